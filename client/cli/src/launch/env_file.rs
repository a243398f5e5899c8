//! Files of variables, as dotenv made them usual: `NAME=value` on each line.
//!
//! Nothing in a value is looked up or run: `$` and backquotes stand for themselves. Own, because the crates for it set
//! the process's own environment, put other variables into values, or show a wrong line, which may hold a secret.

/// Largest file that is read.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// The variables of a file, in order; the error names the line and never shows it.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        found.push(variable(line).map_err(|reason| format!("line {}: {reason}", at + 1))?);
    }
    Ok(found)
}

fn variable(line: &str) -> Result<(String, String), &'static str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, rest) = line.split_once('=').ok_or("this is no NAME=value")?;
    let name = name.trim();
    let is_name =
        |(at, byte): (usize, u8)| byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit());
    if name.is_empty() || !name.bytes().enumerate().all(is_name) {
        return Err("a name is made of letters, digits and _, and begins with no digit");
    }
    let rest = rest.trim();
    let (value, behind) = match rest.as_bytes().first() {
        Some(b'\'') => literal(&rest[1..])?,
        Some(b'"') => escaped(&rest[1..])?,
        _ => (rest.find(" #").or_else(|| rest.find("\t#")).map_or(rest, |end| &rest[..end]).trim_end().to_owned(), ""),
    };
    if !behind.trim().is_empty() && !behind.trim_start().starts_with('#') {
        return Err("there is something behind the closing quote");
    }
    if value.contains('\0') {
        return Err("no variable can hold a zero byte");
    }
    Ok((name.to_owned(), value))
}

const UNCLOSED: &str = "the closing quote is missing; line breaks are written as \\n between double quotes";

fn literal(text: &str) -> Result<(String, &str), &'static str> {
    text.split_once('\'').map(|(value, behind)| (value.to_owned(), behind)).ok_or(UNCLOSED)
}

fn escaped(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match characters.next().ok_or(UNCLOSED)?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('"' | '\\' | '$' | '`' | '\'') => same,
                _ => return Err("after \\ comes one of n, r, t, \", ', \\, $ and `"),
            }),
            other => value.push(other),
        }
    }
    Err(UNCLOSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<(String, String), String> {
        parse(line).map(|found| found.into_iter().next().unwrap())
    }

    #[test]
    fn each_kind_of_value_is_read() {
        for (line, value) in [
            ("A=b c", "b c"),
            ("A=b # note", "b"),
            ("A=vault://secret/app#key", "vault://secret/app#key"),
            ("A='b # $c'", "b # $c"),
            (r#"A="b\n\"c\"" # note"#, "b\n\"c\""),
            ("export A = b", "b"),
            ("A=", ""),
        ] {
            assert_eq!(one(line), Ok(("A".to_owned(), value.to_owned())), "{line}");
        }
    }

    #[test]
    fn notes_and_empty_lines_are_passed_over() {
        assert_eq!(parse("# note\n\nA=b\r\nC=d\n").unwrap().len(), 2);
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number_and_not_shown() {
        for line in ["hunter2", "1A=hunter2", "A='hunter2", "A=\"hunter2", "A=\"a\" hunter2", r#"A="hunter\x""#] {
            let error = parse(&format!("B=c\n{line}")).unwrap_err();
            assert!(error.starts_with("line 2: ") && !error.contains("hunter"), "{error}");
        }
    }
}
