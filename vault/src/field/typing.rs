//! The loose typing with which clients send fields: which JSON values stand for what.
//!
//! Two readers must agree on it: the engine, which decodes a field, and a policy, which forbids a value and must find it
//! in every spelling that the engine would accept. So both ask here.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::field::Kind;
use crate::json;
use crate::limits::MAX_DURATION_SECS;
use crate::spelling;

/// A decoded value.
#[derive(Clone, PartialEq)]
pub(super) enum Decoded {
    Text(String),
    Int(i64),
    Bool(bool),
    Duration(Duration),
    List(Vec<String>),
    Map(Map<String, Value>),
    Any(Value),
}

/// Decodes a value as a kind; `None` if it is none of it. `null` is what stands for nothing.
pub(super) fn decode(kind: Kind, value: &Value) -> Option<Decoded> {
    let is_null = value.is_null();
    Some(match kind {
        Kind::Any => Decoded::Any(value.clone()),
        Kind::Text | Kind::Name | Kind::LowerText | Kind::PolicyName | Kind::MountPath if is_null => {
            Decoded::Text(String::new())
        }
        Kind::Text | Kind::Name => Decoded::Text(scalar_text(value)?),
        Kind::LowerText | Kind::PolicyName => Decoded::Text(spelling::lower(&scalar_text(value)?).into_owned()),
        Kind::MountPath => Decoded::Text(scalar_text(value)?.trim_matches('/').to_owned()),
        Kind::Int if is_null => Decoded::Int(0),
        Kind::Int => Decoded::Int(int(value)?),
        Kind::Bool if is_null => Decoded::Bool(false),
        Kind::Bool => Decoded::Bool(boolean(value)?),
        Kind::Duration if is_null => Decoded::Duration(Duration::ZERO),
        Kind::Duration => Decoded::Duration(duration(value)?),
        Kind::List | Kind::CommaList | Kind::Names | Kind::CommaNames if is_null => Decoded::List(Vec::new()),
        Kind::List | Kind::Names => Decoded::List(list(value)?),
        Kind::CommaList | Kind::CommaNames => Decoded::List(comma_list(value)?),
        Kind::Map | Kind::KeyValues if is_null => Decoded::Map(Map::new()),
        Kind::Map => Decoded::Map(map(value)?),
        Kind::KeyValues => Decoded::Map(key_values(value)?),
    })
}

/// Kinds that a value without a kind of its own may be read as further on.
const GUESSES: [Kind; 5] = [Kind::Text, Kind::Int, Kind::Bool, Kind::Duration, Kind::KeyValues];

impl Kind {
    /// Whether a field of this kind says the same by both values. A list says the same in any order.
    pub(crate) fn reads_alike(self, one: &Value, other: &Value) -> bool {
        if self == Self::Any {
            return one == other || GUESSES.iter().any(|kind| kind.reads_alike(one, other));
        }
        match (decode(self, one), decode(self, other)) {
            (Some(one), Some(other)) => self.normal(one) == self.normal(other),
            _ => false,
        }
    }

    /// The texts that a field of this kind reads out of a value, as the engine will know them: a list's entries, or the
    /// one text. None for kinds that are neither.
    pub(crate) fn texts(self, value: &Value) -> Vec<String> {
        let kind = if self == Self::Any { Self::CommaList } else { self };
        match decode(kind, value).map(|decoded| kind.normal(decoded)) {
            Some(Decoded::Text(text)) => vec![text],
            Some(Decoded::List(list)) => list,
            _ => Vec::new(),
        }
    }

    /// A value with what does not count taken off.
    fn normal(self, decoded: Decoded) -> Decoded {
        match decoded {
            Decoded::List(mut list) => {
                if matches!(self, Self::Names | Self::CommaNames) {
                    list.iter_mut().for_each(|name| *name = spelling::lower(name.trim()).into_owned());
                }
                list.sort_unstable();
                list.dedup();
                Decoded::List(list)
            }
            Decoded::Text(name) if self == Self::Name => Decoded::Text(spelling::lower(&name).into_owned()),
            other => other,
        }
    }
}

/// A scalar as text; numbers and truth values become what they look like.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(if *value { "1" } else { "0" }.to_owned()),
        _ => None,
    }
}

/// A whole number, also as text; an empty text is 0.
pub(crate) fn int(value: &Value) -> Option<i64> {
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
        Value::String(text) if text.is_empty() => Some(false),
        Value::String(text) => boolean_text(text),
        _ => None,
    }
}

/// A truth value as text, in the spellings that clients and operators write.
pub fn boolean_text(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration: whole seconds as a number, or text.
pub(crate) fn duration(value: &Value) -> Option<Duration> {
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
pub(crate) fn comma_list(value: &Value) -> Option<Vec<String>> {
    let parts = match value {
        Value::Array(items) => items.iter().map(scalar_text).collect::<Option<Vec<_>>>()?,
        other => scalar_text(other)?.split(',').map(str::to_owned).collect(),
    };
    Some(parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
}

fn map(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map.clone()),
        Value::String(text) => embedded(text),
        _ => None,
    }
}

/// A JSON object that was sent as text inside a body. It meets the same bounds as a body.
fn embedded(text: &str) -> Option<Map<String, Value>> {
    json::parse_object(text.as_bytes()).ok().flatten()
}

/// A map of texts: a map, a list of `k=v`, or text that is a JSON object or `k=v,k=v`.
pub(crate) fn key_values(value: &Value) -> Option<Map<String, Value>> {
    let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.trim().to_owned(), Value::from(value)));
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| Some((key.clone(), Value::from(scalar_text(value)?)))).collect()
        }
        Value::Array(items) => items.iter().map(|item| pair(item.as_str()?)).collect(),
        Value::String(text) if text.is_empty() => Some(Map::new()),
        Value::String(text) if text.starts_with('{') => key_values(&Value::Object(embedded(text)?)),
        Value::String(text) => text.split(',').map(pair).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::MAX_JSON_VALUES;

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
            (json!("999999h"), Some(3_599_996_400.0)),
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
    fn a_map_in_text_meets_the_bounds_of_a_body() {
        let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(MAX_JSON_VALUES));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        for text in [wide.as_str(), &deep, r#"{"a":1,"a":2}"#, r#"{"a":{"$serde_json::private::Number":"5"}}"#] {
            assert!(map(&json!(text)).is_none());
            assert!(key_values(&json!(text)).is_none());
        }
        assert_eq!(map(&json!(r#"{"a":{"b":[1]}}"#)), json!({"a": {"b": [1]}}).as_object().cloned());
    }

    #[test]
    fn null_is_what_stands_for_nothing() {
        let zero = [
            (Kind::Text, json!("")),
            (Kind::LowerText, json!("")),
            (Kind::Int, json!(0)),
            (Kind::Bool, json!(false)),
            (Kind::Duration, json!(0)),
            (Kind::CommaList, json!([])),
            (Kind::Names, json!([])),
            (Kind::Map, json!({})),
            (Kind::KeyValues, json!({})),
        ];
        for (kind, nothing) in zero {
            assert!(kind.reads_alike(&Value::Null, &nothing), "{kind:?}");
        }
    }
}
