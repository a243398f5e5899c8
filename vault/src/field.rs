//! Fields: what a path takes, as data, and the loose typing with which clients send it.
//!
//! The command line sends every value as text, old libraries send lists as comma text, so a field is decoded by what
//! the path declares, never by what arrived. What is refused is refused with the field's name, never with its value.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::Error;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text, lowered.
    LowerText,
    /// A whole number.
    Int,
    /// A truth value.
    Bool,
    /// A duration: whole seconds, or text with units (`ns us ms s m h d`).
    Duration,
    /// A list of texts; a single text is a list of one.
    List,
    /// A list of texts; a single text is split at commas, and entries are trimmed.
    CommaList,
    /// A map, kept as it is.
    Map,
    /// A map of text to text: a map, a list of `k=v`, or one `k=v`.
    KeyValues,
    /// Whatever JSON there is.
    Any,
}

/// One field that a path takes.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the body, the query or the path.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it is for, for people.
    pub help: &'static str,
}

/// Declares a field; keeps the tables of engines short.
pub const fn field(name: &'static str, kind: Kind, help: &'static str) -> Field {
    Field { name, kind, help }
}

/// A decoded value.
#[derive(Clone)]
enum Decoded {
    Text(String),
    Int(i64),
    Bool(bool),
    Duration(Duration),
    List(Vec<String>),
    Map(Map<String, Value>),
    Any(Value),
}

/// The fields of one request, decoded. A field that was not sent, or sent as `null`, is absent.
#[derive(Default)]
pub struct Fields {
    values: Vec<(&'static str, Decoded)>,
    /// Names that were sent as `null`.
    nulls: Vec<&'static str>,
    /// What the client should know: parameters that were ignored or replaced.
    pub warnings: Vec<String>,
}

impl Fields {
    /// Decodes what was sent and what the path captured; the path wins.
    pub fn decode(
        fields: &[Field],
        data: &Map<String, Value>,
        captures: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut decoded = Self::default();
        let (mut ignored, mut replaced) = (Vec::new(), Vec::new());
        for (name, value) in data {
            if captures.iter().any(|(captured, _)| captured == name) {
                replaced.push(name.as_str());
            } else if let Some(field) = fields.iter().find(|field| field.name == name) {
                if value.is_null() {
                    decoded.nulls.push(field.name);
                } else {
                    decoded.values.push((field.name, decode_value(field, value)?));
                }
            } else {
                ignored.push(name.as_str());
            }
        }
        for (name, value) in captures {
            let is_lower = fields.iter().any(|field| field.name == *name && field.kind == Kind::LowerText);
            let value = if is_lower { value.to_lowercase() } else { (*value).to_owned() };
            decoded.values.push((name, Decoded::Text(value)));
        }
        decoded.warn("Endpoint ignored these unrecognized parameters", ignored);
        decoded.warn(
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path",
            replaced,
        );
        Ok(decoded)
    }

    fn warn(&mut self, text: &str, mut names: Vec<&str>) {
        if !names.is_empty() {
            names.sort_unstable();
            self.warnings.push(format!("{text}: [{}]", names.join(" ")));
        }
    }

    fn get(&self, name: &str) -> Option<&Decoded> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether the field was sent and is not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the field was sent as `null`.
    pub fn is_null(&self, name: &str) -> bool {
        self.nulls.contains(&name)
    }

    /// A text, if it was sent.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Decoded::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text; empty if it was not sent.
    pub fn text_or_empty(&self, name: &str) -> &str {
        self.text(name).unwrap_or("")
    }

    /// A whole number, if it was sent.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Decoded::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// A truth value, if it was sent.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(Decoded::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// A duration, if it was sent.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.get(name) {
            Some(Decoded::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    /// A list, if it was sent.
    pub fn list(&self, name: &str) -> Option<&[String]> {
        match self.get(name) {
            Some(Decoded::List(list)) => Some(list),
            _ => None,
        }
    }

    /// A map, if it was sent; of a [`Kind::KeyValues`] field every value is text.
    pub fn map(&self, name: &str) -> Option<&Map<String, Value>> {
        match self.get(name) {
            Some(Decoded::Map(map)) => Some(map),
            _ => None,
        }
    }

    /// The JSON value, if it was sent.
    pub fn any(&self, name: &str) -> Option<&Value> {
        match self.get(name) {
            Some(Decoded::Any(value)) => Some(value),
            _ => None,
        }
    }
}

fn decode_value(field: &Field, value: &Value) -> Result<Decoded, Error> {
    let fail = |expected: &str| {
        Error::invalid(format!(
            "Field validation failed: error converting input for field \"{}\": expected {expected}",
            field.name
        ))
    };
    let decoded = match field.kind {
        Kind::Text => scalar_text(value).map(Decoded::Text).ok_or_else(|| fail("text"))?,
        Kind::LowerText => scalar_text(value).map(|t| Decoded::Text(t.to_lowercase())).ok_or_else(|| fail("text"))?,
        Kind::Int => int(value).map(Decoded::Int).ok_or_else(|| fail("a whole number"))?,
        Kind::Bool => boolean(value).map(Decoded::Bool).ok_or_else(|| fail("true or false"))?,
        Kind::Duration => duration(value)
            .map(Decoded::Duration)
            .ok_or_else(|| fail("a duration such as 30, \"90s\", \"1.5h\" or \"2d\", not negative"))?,
        Kind::List => list(value).map(Decoded::List).ok_or_else(|| fail("a list of texts"))?,
        Kind::CommaList => comma_list(value).map(Decoded::List).ok_or_else(|| fail("a list of texts"))?,
        Kind::Map => map(value).map(Decoded::Map).ok_or_else(|| fail("a map"))?,
        Kind::KeyValues => key_values(value).map(Decoded::Map).ok_or_else(|| fail("a map of texts"))?,
        Kind::Any => Decoded::Any(value.clone()),
    };
    Ok(decoded)
}

/// A scalar as text; numbers and truth values become what they look like.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(if *value { "1" } else { "0" }.to_owned()),
        _ => None,
    }
}

/// A whole number, also as text; an empty text is 0.
pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => text.parse().ok(),
        Value::Bool(value) => Some(i64::from(*value)),
        _ => None,
    }
}

/// A truth value in the spellings that clients send.
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => number.as_i64().map(|number| number != 0),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Longest duration that is understood: 100 years.
const MAX_DURATION_SECS: f64 = 100.0 * 365.25 * 86_400.0;

/// A duration: whole seconds as a number, or text.
pub fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(number) => {
            let secs = number
                .as_u64()
                .or_else(|| number.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u64))?;
            ((secs as f64) <= MAX_DURATION_SECS).then(|| Duration::from_secs(secs))
        }
        Value::String(text) => parse_duration(text),
        _ => None,
    }
}

/// A duration in text: seconds, or numbers with units (`1h30m`, `1.5h`, `2d`, `100ms`).
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Duration::ZERO);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|secs| (*secs as f64) <= MAX_DURATION_SECS).map(Duration::from_secs);
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let unit_length = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        total += number * unit_secs(&tail[..unit_length])?;
        rest = &tail[unit_length..];
    }
    (total <= MAX_DURATION_SECS).then(|| Duration::from_secs_f64(total))
}

fn unit_secs(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

fn list(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(scalar_text).collect(),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        other => scalar_text(other).map(|text| vec![text]),
    }
}

/// A list of texts; one text is split at commas. Entries are trimmed, empty ones dropped.
pub fn comma_list(value: &Value) -> Option<Vec<String>> {
    let parts = match value {
        Value::Array(items) => items.iter().map(scalar_text).collect::<Option<Vec<_>>>()?,
        other => scalar_text(other)?.split(',').map(str::to_owned).collect(),
    };
    Some(parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
}

fn map(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// A map of texts: a map, a list of `k=v`, or text that is a JSON object or `k=v,k=v`.
pub fn key_values(value: &Value) -> Option<Map<String, Value>> {
    let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.trim().to_owned(), Value::from(value)));
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| Some((key.clone(), Value::from(scalar_text(value)?)))).collect()
        }
        Value::Array(items) => items.iter().map(|item| pair(item.as_str()?)).collect(),
        Value::String(text) if text.is_empty() => Some(Map::new()),
        Value::String(text) if text.starts_with('{') => key_values(&serde_json::from_str(text).ok()?),
        Value::String(text) => text.split(',').map(pair).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_taken_as_clients_send_them() {
        let cases = [
            (json!(30), Some(30.0)),
            (json!("120"), Some(120.0)),
            (json!("1.5h"), Some(5400.0)),
            (json!("2d"), Some(172_800.0)),
            (json!("1h30m"), Some(5400.0)),
            (json!("100ms"), Some(0.1)),
            (json!(""), Some(0.0)),
            (json!("10M"), None),
            (json!("-5s"), None),
            (json!(-5), None),
            (json!("h"), None),
            (json!("99999999999999h"), None),
            (json!([1]), None),
        ];
        for (value, expected) in cases {
            assert_eq!(duration(&value).map(|d| d.as_secs_f64()), expected, "{value}");
        }
    }

    #[test]
    fn loose_typing_has_limits() {
        assert_eq!(int(&json!("5")), Some(5));
        assert_eq!(int(&json!(5.0)), None);
        assert_eq!(int(&json!([5])), None);
        assert_eq!(boolean(&json!("TRUE")), Some(true));
        assert_eq!(boolean(&json!("yes")), None);
        assert_eq!(key_values(&json!(["a=1", "b=2"])), json!({"a": "1", "b": "2"}).as_object().cloned());
        assert_eq!(key_values(&json!({"a": {"b": 1}})), None);
        assert_eq!(comma_list(&json!("a, b ,")), Some(vec!["a".into(), "b".into()]));
        assert_eq!(list(&json!("a, b")), Some(vec!["a, b".into()]));
    }

    #[test]
    fn what_a_path_does_not_take_is_named() {
        let fields = [field("ttl", Kind::Duration, "")];
        let data = json!({"ttl": "1h", "zzz": 1, "aaa": 2, "name": "x"});
        let fields = Fields::decode(&fields, data.as_object().unwrap(), &[("name", "y")]).unwrap();
        assert_eq!(fields.text("name"), Some("y"));
        assert_eq!(fields.duration("ttl"), Some(Duration::from_secs(3600)));
        assert_eq!(fields.warnings[0], "Endpoint ignored these unrecognized parameters: [aaa zzz]");
    }
}
