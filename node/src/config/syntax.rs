//! A configuration's text as one tree that knows its lines, in HCL or JSON.
//!
//! The vault's reader of policies reads both. Here labels become levels, so that `listener "tcp" {}` is the same as
//! `listener { tcp {} }` and as JSON's `{"listener": {"tcp": {}}}`.

use conclave_vault::hcl::{self, Member};

use crate::config::limits::MAX_CONFIGURATION_BYTES;

/// A value and the line, counted from 1, on which it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Line in the file.
    pub(crate) line: usize,
    /// What is there.
    pub(crate) value: Value,
}

/// A literal, with numbers as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `null`, which counts as absent.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number's digits.
    Number(String),
    /// A quoted text or a heredoc.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object or a block: names in the order of the file, possibly repeated.
    Map(Vec<(String, Node)>),
}

/// Text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SyntaxError {
    /// Line, counted from 1.
    pub line: usize,
    /// What was expected; never what was there, which may be a secret.
    pub message: String,
}

/// Reads a whole text: JSON if it begins with `{`, otherwise HCL.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Node)>, SyntaxError> {
    if text.len() > MAX_CONFIGURATION_BYTES {
        return Err(SyntaxError {
            line: 1,
            message: format!("the file is larger than {MAX_CONFIGURATION_BYTES} bytes"),
        });
    }
    match hcl::parse(text) {
        Ok(members) => Ok(members.into_iter().map(entry).collect()),
        Err(error) => Err(SyntaxError {
            line: error.line as usize,
            message: format!("column {}: expected {}", error.column, error.expected),
        }),
    }
}

fn entry(member: Member) -> (String, Node) {
    let line = member.line as usize;
    let mut keys = member.keys;
    let mut node = node(member.value, line);
    while keys.len() > 1 {
        let label = keys.pop().unwrap_or_default();
        node = Node { line, value: Value::Map(vec![(label, node)]) };
    }
    (keys.pop().unwrap_or_default(), node)
}

fn node(value: hcl::Value, line: usize) -> Node {
    let value = match value {
        hcl::Value::Null => Value::Null,
        hcl::Value::Bool(value) => Value::Boolean(value),
        hcl::Value::Number(number) => Value::Number(number.to_string()),
        hcl::Value::Text(text) => Value::Text(text),
        hcl::Value::List(items) => Value::List(items.into_iter().map(|item| node(item, line)).collect()),
        hcl::Value::Object(members) => Value::Map(members.into_iter().map(entry).collect()),
    };
    Node { line, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(entries: &[(String, Node)]) -> String {
        let shown: Vec<String> = entries.iter().map(|(name, node)| format!("{name}:{}", shown(&node.value))).collect();
        shown.join(" ")
    }

    fn shown(value: &Value) -> String {
        match value {
            Value::Null => "null".into(),
            Value::Boolean(value) => value.to_string(),
            Value::Number(digits) => digits.clone(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => {
                format!("[{}]", items.iter().map(|item| shown(&item.value)).collect::<Vec<_>>().join(","))
            }
            Value::Map(entries) => format!("{{{}}}", flat(entries)),
        }
    }

    #[test]
    fn hcl_is_read_as_vault_writes_it() {
        let cases = [
            ("ui = true", "ui:true"),
            ("a = 1, b = -2.5", "a:1 b:-2.5"),
            ("listener \"tcp\" {\n address = \"x\"\n}", "listener:{tcp:{address:\"x\"}}"),
            ("telemetry { a = [\"x\", \"y\",] }", "telemetry:{a:[\"x\",\"y\"]}"),
            ("\"default\" = { \"X-A\" = [\"b\"] }", "default:{X-A:[\"b\"]}"),
            ("# one\n// two\n/* three\n*/ a = \"b\\n\\u00e9\"", "a:\"b\\né\""),
            ("a = <<EOF\n x\ny\nEOF\nb = 1", "a:\" x\\ny\\n\" b:1"),
            ("a = <<-EOF\n  x\n  EOF\n", "a:\"x\\n\""),
            ("a = \"${b}\"", "a:\"${b}\""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(flat(&parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))), expected, "{text}");
        }
    }

    #[test]
    fn json_gives_the_same_tree() {
        let hcl = parse("listener \"tcp\" {\n a = 1\n}\nui = true").unwrap();
        let json = parse(" {\"listener\": {\"tcp\": {\"a\": 1}},\n \"ui\": true, \"gone\": null}").unwrap();
        assert_eq!(flat(&hcl), "listener:{tcp:{a:1}} ui:true");
        assert_eq!(flat(&json), "listener:{tcp:{a:1}} ui:true gone:null");
    }

    #[test]
    fn every_name_knows_its_line() {
        let entries = parse("a = 1\n\nb {\n  c = [\n1]\n}\n").unwrap();
        assert_eq!((entries[0].1.line, entries[1].1.line), (1, 3));
        let Value::Map(inner) = &entries[1].1.value else { panic!("no map") };
        assert_eq!(inner[0].1.line, 4);
    }

    #[test]
    fn what_cannot_be_read_names_its_line() {
        let cases = [
            ("a = 1\nb = \n", 3),
            ("a = word", 1),
            ("a {\n", 2),
            ("a = \"b\nc\"", 1),
            ("{\"a\": 1,\n \"b\"}", 2),
            ("a = <<EOF\nx\n", 1),
            ("/* x", 1),
            ("= 1", 1),
        ];
        for (text, line) in cases {
            assert_eq!(parse(text).map_err(|error| error.line), Err(line), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        assert!(parse(&format!("a = {}1{}", "[".repeat(40), "]".repeat(40))).unwrap_err().message.contains("nesting"));
        assert!(parse(&"a {".repeat(100_000)).is_err());
    }

    #[test]
    fn an_error_does_not_quote_the_file() {
        let error = parse("token = s.secret").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
