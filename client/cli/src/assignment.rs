//! Data on the command line: `name=value`, `name=@file`, `name=-`, `@file.json` and `-`.
//!
//! Values stay texts; the server reads numbers and durations out of them. What surprises: a name given twice becomes a
//! list, and `name=\@x` is the text `@x`.

use std::fs;
use std::io::Read;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The most that is read from a file or from standard input, in bytes.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Reads all arguments; standard input is read at most once.
pub(crate) fn parse(arguments: &[String], input: &mut dyn Read) -> Result<Map<String, Value>, Failure> {
    let mut data = Map::new();
    for argument in arguments {
        match argument.split_once('=') {
            Some((name, value)) if !name.starts_with('@') => add(&mut data, name, text(value, input)?),
            _ if argument == "-" => merge(&mut data, argument, &read(input, "standard input")?)?,
            _ => match argument.strip_prefix('@') {
                Some(file) => merge(&mut data, argument, &read_file(file)?)?,
                None => {
                    let reason = "write data as name=value, name=@file, @file.json, or - for JSON on standard input";
                    return Err(Failure::Usage(format!("`{argument}` is no data; {reason}")));
                }
            },
        }
    }
    Ok(data)
}

/// As [`parse`], from this process's standard input.
pub(crate) fn from_process(arguments: &[String]) -> Result<Map<String, Value>, Failure> {
    parse(arguments, &mut std::io::stdin().lock())
}

/// Reads `name=value` only, such as metadata.
pub(crate) fn pairs(arguments: &[String]) -> Result<Map<String, Value>, Failure> {
    let pair = |argument: &String| match argument.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), Value::from(value))),
        None => Err(Failure::Usage(format!("`{argument}` must be written as name=value"))),
    };
    arguments.iter().map(pair).collect()
}

/// Reads a text that may be `@file` or `-`.
pub(crate) fn text(value: &str, input: &mut dyn Read) -> Result<String, Failure> {
    if value == "-" {
        return Ok(read(input, "standard input")?.to_string());
    }
    if let Some(file) = value.strip_prefix('@') {
        return Ok(read_file(file)?.to_string());
    }
    Ok(value.strip_prefix('\\').filter(|rest| rest.starts_with(['@', '-'])).unwrap_or(value).to_owned())
}

fn read_file(file: &str) -> Result<Zeroizing<String>, Failure> {
    let mut opened = fs::File::open(file).map_err(Failure::file(file))?;
    read(&mut opened, file)
}

fn read(input: &mut dyn Read, name: &str) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    input.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(Failure::file(name))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Failure::Usage(format!("{name} is longer than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

fn merge(data: &mut Map<String, Value>, argument: &str, text: &str) -> Result<(), Failure> {
    // The parser's own words may quote a value, so only the place is told.
    let parsed: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::Usage(format!("`{argument}` does not hold a JSON object (line {line}, column {column})"))
    })?;
    data.extend(parsed);
    Ok(())
}

fn add(data: &mut Map<String, Value>, name: &str, value: String) {
    let value = Value::from(value);
    match data.get_mut(name) {
        None => drop(data.insert(name.to_owned(), value)),
        Some(Value::Array(items)) => items.push(value),
        Some(single) => *single = Value::Array(vec![single.take(), value]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(arguments: &[&str], input: &str) -> Result<Value, Failure> {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        parse(&arguments, &mut input.as_bytes()).map(Value::Object)
    }

    #[test]
    fn values_stay_texts_and_may_hold_equal_signs() {
        assert_eq!(parsed(&["a=1", "b=c=d"], "").unwrap(), json!({"a": "1", "b": "c=d"}));
    }

    #[test]
    fn a_name_given_twice_becomes_a_list() {
        assert_eq!(parsed(&["a=1", "a=2", "a=3"], "").unwrap(), json!({"a": ["1", "2", "3"]}));
    }

    #[test]
    fn a_dash_as_value_reads_standard_input() {
        assert_eq!(parsed(&["a=-"], "line\n").unwrap(), json!({"a": "line\n"}));
    }

    #[test]
    fn a_lone_dash_reads_json() {
        assert_eq!(parsed(&["-"], r#"{"a": {"b": 1}}"#).unwrap(), json!({"a": {"b": 1}}));
    }

    #[test]
    fn a_value_after_an_at_sign_is_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "content").unwrap();
        let argument = format!("a=@{}", file.path().display());
        assert_eq!(parsed(&[&argument], "").unwrap(), json!({"a": "content"}));
    }

    #[test]
    fn an_escaped_at_sign_is_a_text() {
        assert_eq!(parsed(&[r"a=\@b"], "").unwrap(), json!({"a": "@b"}));
    }

    #[test]
    fn json_that_cannot_be_read_is_not_quoted() {
        let failure = parsed(&["-"], r#"{"password": canary}"#).unwrap_err();
        assert!(!failure.to_string().contains("canary"));
    }

    #[test]
    fn a_word_without_a_value_is_refused() {
        assert!(parsed(&["word"], "").is_err());
    }
}
