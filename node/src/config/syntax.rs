//! Reads HCL and JSON configuration text into one tree that knows its lines.
//!
//! This is HCL as Vault's configuration files use it: blocks with labels, attributes, literals, lists, objects,
//! heredocs and comments. It is not the expression language: nothing is computed, and `${` is plain text. One reader serves both
//! formats because JSON, once checked to be JSON, is a subset of what is read here; and it allows quoted names of
//! attributes, which `custom_response_headers` needs and newer HCL forbids.

use serde::de::IgnoredAny;

/// Largest configuration text, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Deepest nesting of blocks, lists and objects.
pub const MAX_DEPTH: usize = 16;

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
    /// What was expected.
    pub message: String,
}

/// Reads a whole text: JSON if it begins with `{`, otherwise HCL.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Node)>, SyntaxError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(SyntaxError { line: 1, message: format!("the file is larger than {MAX_TEXT_BYTES} bytes") });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, position: 0, line: 1 };
    if !text.trim_start().starts_with('{') {
        return reader.body(None, 0);
    }
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(SyntaxError { line: error.line(), message: "the file is not valid JSON here".into() });
    }
    reader.skip_blank()?;
    match reader.value(0)?.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(reader.error("a JSON object")),
    }
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
    line: usize,
}

impl Reader<'_> {
    /// Items up to a closing brace, or to the end of the text at the top.
    fn body(&mut self, opened_at: Option<usize>, depth: usize) -> Result<Vec<(String, Node)>, SyntaxError> {
        let mut entries = Vec::new();
        loop {
            self.skip_blank()?;
            match (self.peek(), opened_at) {
                (None, None) => return Ok(entries),
                (None, Some(line)) => return Err(self.error(&format!("a brace that closes the one of line {line}"))),
                (Some('}'), Some(_)) => {
                    self.bump();
                    return Ok(entries);
                }
                (Some(','), _) if !entries.is_empty() => {
                    self.bump();
                }
                _ => entries.push(self.item(depth)?),
            }
        }
    }

    /// `name = value`, `"name": value` or `name "label" { … }`.
    fn item(&mut self, depth: usize) -> Result<(String, Node), SyntaxError> {
        let line = self.line;
        let mut names = vec![self.name()?];
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some('=' | ':') if names.len() == 1 => {
                    self.bump();
                    self.skip_blank()?;
                    let node = self.value(depth)?;
                    return Ok((names.remove(0), Node { line, value: node.value }));
                }
                Some('{') => {
                    let mut value = self.value(depth)?.value;
                    // Labels are levels: `listener "tcp" {}` is the same as `listener { tcp {} }`.
                    while names.len() > 1 {
                        let label = names.pop().unwrap_or_default();
                        value = Value::Map(vec![(label, Node { line, value })]);
                    }
                    return Ok((names.remove(0), Node { line, value }));
                }
                _ => names.push(self.name()?),
            }
        }
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Some('"') => self.quoted(),
            Some(c) if c.is_alphabetic() || c == '_' => {
                Ok(self.take_while(|c| c.is_alphanumeric() || "_-.".contains(c)))
            }
            _ => Err(self.error("a name, as in `name = value` or `name { … }`")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(&format!("at most {MAX_DEPTH} levels of nesting")));
        }
        let line = self.line;
        let value = match self.peek() {
            Some('{') => {
                self.bump();
                Value::Map(self.body(Some(line), depth + 1)?)
            }
            Some('[') => self.list(depth + 1)?,
            Some('"') => Value::Text(self.quoted()?),
            Some('<') => Value::Text(self.heredoc()?),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '+' => {
                Value::Number(self.take_while(|c| c.is_ascii_alphanumeric() || "+-._".contains(c)))
            }
            Some(c) if c.is_alphabetic() => match self.take_while(|c| c.is_alphanumeric() || c == '_').as_str() {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                "null" => Value::Null,
                _ => return Err(self.error("a value; a text needs quotation marks")),
            },
            _ => return Err(self.error("a value")),
        };
        Ok(Node { line, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.bump();
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some(']') => {
                    self.bump();
                    return Ok(Value::List(items));
                }
                Some(',') if !items.is_empty() => {
                    self.bump();
                }
                _ => items.push(self.value(depth)?),
            }
        }
    }

    fn quoted(&mut self) -> Result<String, SyntaxError> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some('\n') | None => return Err(self.error("a quotation mark that closes the text on its line")),
                Some(c) => text.push(c),
            }
        }
    }

    /// The escapes of JSON (RFC 8259, section 7), which HCL shares.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        Ok(match self.bump() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('u') => {
                let high = self.four_digits()?;
                let code = if (0xd800..0xdc00).contains(&high) {
                    let pair = (self.bump(), self.bump());
                    let low = if pair == (Some('\\'), Some('u')) { self.four_digits()? } else { 0 };
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(self.error("the second half of an escaped character"));
                    }
                    0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    high
                };
                char::from_u32(code).ok_or_else(|| self.error("an escaped character"))?
            }
            _ => return Err(self.error("one of the escapes \\n \\t \\r \\\" \\\\ \\uXXXX")),
        })
    }

    fn four_digits(&mut self) -> Result<u32, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.bump().and_then(|c| c.to_digit(16));
            code = code << 4 | digit.ok_or_else(|| self.error("four hexadecimal digits"))?;
        }
        Ok(code)
    }

    /// `<<EOF`, or `<<-EOF` whose lines lose the white space in front of them.
    fn heredoc(&mut self) -> Result<String, SyntaxError> {
        let opener = self.take_while(|c| c == '<' || c == '-');
        let marker = self.take_while(|c| c.is_alphanumeric() || c == '_');
        let rest_of_line = self.take_while(|c| c != '\n');
        if !(opener == "<<" || opener == "<<-") || marker.is_empty() || !rest_of_line.trim().is_empty() {
            return Err(self.error("a text, or a heredoc that begins with <<NAME"));
        }
        let mut text = String::new();
        while self.bump().is_some() {
            let line = self.take_while(|c| c != '\n');
            if line.trim() == marker {
                return Ok(text);
            }
            let line = line.strip_suffix('\r').unwrap_or(&line);
            text.push_str(if opener == "<<-" { line.trim_start() } else { line });
            text.push('\n');
        }
        Err(self.error(&format!("a line with {marker} that ends the heredoc")))
    }

    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.take_while(char::is_whitespace);
            let rest = &self.text[self.position..];
            if rest.starts_with('#') || rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if rest.starts_with("/*") {
                let Some(length) = rest.find("*/") else { return Err(self.error("*/ at the end of the comment")) };
                let end = self.position + length + 2;
                while self.position < end {
                    self.bump();
                }
            } else {
                return Ok(());
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.position;
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
        self.text[start..self.position].to_owned()
    }

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// Says what was expected; never what was there, which may be a secret.
    fn error(&self, expected: &str) -> SyntaxError {
        SyntaxError { line: self.line, message: format!("expected {expected}") }
    }
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
            ("a = \"b\nc\"", 2),
            ("{\"a\": 1,\n}", 2),
            ("a = <<EOF\nx\n", 3),
            ("/* x", 1),
            ("= 1", 1),
        ];
        for (text, line) in cases {
            assert_eq!(parse(text).map_err(|error| error.line), Err(line), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let text = format!("{}1{}", "a = [".to_owned() + &"[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH + 1));
        assert!(parse(&text).unwrap_err().message.contains("levels of nesting"));
        assert!(parse(&"a {".repeat(100_000)).is_err());
    }

    #[test]
    fn an_error_does_not_quote_the_file() {
        let error = parse("token = s.secret").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
