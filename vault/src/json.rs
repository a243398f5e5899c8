//! Bounds on JSON before it becomes values: depth, nodes, and keys that occur twice.
//!
//! A small body can become a large tree (`[{"":0},…]` grows a hundredfold), and two readers of one body may disagree
//! about which of two equal keys counts. So the text is walked once without building anything, and whoever holds it knows what
//! the tree will take before it is built.

use crate::limits::{MAX_JSON_DEPTH, MAX_JSON_VALUES};
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// With this begin the keys by which the JSON library hands values to itself. An object that has one would become
/// another value, such as a number.
const PRIVATE: &str = "$serde_json::private::";

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// No JSON, over a bound, or a key twice; the text holds a position, never content.
    #[error("failed to decode JSON input: {0}")]
    Malformed(String),
    /// JSON, but no object.
    #[error("failed to decode JSON input: the body must be a JSON object")]
    NotAnObject,
}

// What a decoded document takes on a 64-bit machine, in bytes, rounded up.

/// A value in an array that grew by doubling, or the text of a number.
const VALUE_BYTES: usize = 64;
/// What the allocator keeps beside a string.
const STRING_BYTES: usize = 32;
/// A node of a B-tree with room for eleven fields, in which an object begins however few it has.
const OBJECT_BYTES: usize = 640;
/// A further field of an object, whose nodes are half full.
const FIELD_BYTES: usize = 120;

/// A JSON document that keeps the bounds, not decoded yet.
pub struct Bounded<T> {
    text: T,
    decoded_bytes: usize,
}

impl<T: AsRef<[u8]>> Bounded<T> {
    /// Walks a document.
    ///
    /// # Errors
    ///
    /// [`JsonError::Malformed`] for what is no JSON or passes a bound.
    pub fn new(text: T) -> Result<Self, JsonError> {
        let bytes = text.as_ref();
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { text, decoded_bytes: 0 });
        }
        if has_private_key(bytes) {
            return Err(JsonError::Malformed(format!("a key must not begin with {PRIVATE}")));
        }
        let mut count = Count { values_left: MAX_JSON_VALUES, bytes: 0 };
        let mut parser = serde_json::Deserializer::from_slice(bytes);
        Guard { depth: 0, count: &mut count }
            .deserialize(&mut parser)
            .and_then(|()| parser.end())
            .map_err(|error| described(&error))?;
        Ok(Self { decoded_bytes: count.bytes, text })
    }

    /// What it takes in memory once it is decoded, in bytes, at most.
    pub fn decoded_bytes(&self) -> usize {
        self.decoded_bytes
    }

    /// Decodes an object; `None` for nothing and `null`.
    ///
    /// # Errors
    ///
    /// [`JsonError::NotAnObject`] for any other value.
    pub fn into_object(self) -> Result<Option<Map<String, Value>>, JsonError> {
        if self.decoded_bytes == 0 {
            return Ok(None);
        }
        match serde_json::from_slice(self.text.as_ref()).map_err(|error| described(&error))? {
            Value::Object(map) => Ok(Some(map)),
            Value::Null => Ok(None),
            _ => Err(JsonError::NotAnObject),
        }
    }
}

/// Decodes an object that keeps the bounds, or `None` for nothing and `null`.
pub(crate) fn parse_object(text: &[u8]) -> Result<Option<Map<String, Value>>, JsonError> {
    Bounded::new(text)?.into_object()
}

/// Whether an object of the text has a key that begins with [`PRIVATE`], escapes included. The text need not be JSON: only
/// its strings are looked at, and what a colon follows is a key.
fn has_private_key(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(begin) = rest.iter().position(|byte| *byte == b'"') {
        let string = &rest[begin..];
        let mut end = 1;
        while end < string.len() && string[end] != b'"' {
            end += if string[end] == b'\\' { 2 } else { 1 };
        }
        let Some((string, tail)) = string.split_at_checked(end + 1) else { return false };
        let is_key = tail.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        // Only a dollar sign, or an escape of one, can begin such a key.
        let may_be = is_key && matches!(string.get(1), Some(b'$' | b'\\'));
        if may_be && serde_json::from_slice::<String>(string).is_ok_and(|key| key.starts_with(PRIVATE)) {
            return true;
        }
        rest = tail;
    }
    false
}

/// Says what is wrong and where. The parser's own message may quote the input, so only our messages pass.
fn described(error: &serde_json::Error) -> JsonError {
    let text = error.to_string();
    let ours =
        ["nested too deeply", "too many values", "a key occurs twice"].into_iter().find(|ours| text.starts_with(ours));
    let what = ours.unwrap_or(if error.is_eof() { "unexpected end of JSON input" } else { "invalid character" });
    JsonError::Malformed(format!("{what} (line {}, column {})", error.line(), error.column()))
}

/// What a walk has met so far.
struct Count {
    values_left: usize,
    bytes: usize,
}

/// Walks a document and counts.
struct Guard<'a> {
    depth: usize,
    count: &'a mut Count,
}

impl Guard<'_> {
    fn below(&mut self) -> Guard<'_> {
        Guard { depth: self.depth + 1, count: self.count }
    }
}

impl<'de> DeserializeSeed<'de> for Guard<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > MAX_JSON_DEPTH {
            return Err(D::Error::custom(format!("nested too deeply, at most {MAX_JSON_DEPTH} levels")));
        }
        let left = self.count.values_left.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.count.values_left = left;
        self.count.bytes += VALUE_BYTES;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Guard<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.count.bytes += STRING_BYTES + text.len();
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.below())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            // A number comes as an object of one field with a key of the library's own.
            if !key.starts_with(PRIVATE) {
                self.count.bytes += if keys.is_empty() { OBJECT_BYTES } else { FIELD_BYTES } + STRING_BYTES + key.len();
            }
            if !keys.insert(key) {
                return Err(A::Error::custom("a key occurs twice"));
            }
            entries.next_value_seed(self.below())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_or_nothing_is_a_body() {
        assert!(parse_object(b"").unwrap().is_none());
        assert!(parse_object(b" null ").unwrap().is_none());
        assert_eq!(parse_object(br#"{"a":1.10,"b":123456789012345678901234567890}"#).unwrap().unwrap().len(), 2);
        assert!(matches!(parse_object(b"[1]"), Err(JsonError::NotAnObject)));
        assert!(matches!(parse_object(b"{} x"), Err(JsonError::Malformed(_))));
        assert!(matches!(parse_object(b"\xef\xbb\xbf{}"), Err(JsonError::Malformed(_))));
    }

    #[test]
    fn what_a_document_takes_is_known_before_it_is_decoded() {
        let takes = |text: &str| Bounded::new(text.as_bytes()).unwrap().decoded_bytes();
        assert_eq!((takes(""), takes(" \n")), (0, 0));
        let many = format!("{{\"a\":[{}0]}}", "{\"\":0},".repeat(1_000));
        assert!(takes(&many) > 700 * 1_000, "{}", takes(&many));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
        assert!((100_000..101_000).contains(&takes(&long)), "{}", takes(&long));
        assert!(takes(r#"{"a":1.5}"#) < takes(r#"{"a":{"b":1}}"#));
    }

    #[test]
    fn numbers_keep_every_digit() {
        let body = parse_object(br#"{"a":1.10,"b":123456789012345678901234567890}"#).unwrap().unwrap();
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"a":1.10,"b":123456789012345678901234567890}"#);
    }

    #[test]
    fn no_object_becomes_a_number() {
        for body in [
            r#"{"a":{"$serde_json::private::Number":"5"}}"#,
            r#"{"a":{"\u0024serde_json::private::Number" : "5"}}"#,
            r#"{"a":{"$serde_json::private::RawValue":"[]"}}"#,
        ] {
            assert!(matches!(parse_object(body.as_bytes()), Err(JsonError::Malformed(_))), "{body}");
        }
        let body = r#"{"a":"$serde_json::private::Number","\\":"\"","b":"x\\"}"#;
        assert_eq!(parse_object(body.as_bytes()).unwrap().unwrap().len(), 3);
    }

    #[test]
    fn bounds_hold_and_nothing_is_quoted() {
        // check 57, 193, 214
        let deep = format!("{}1{}", "{\"k\":[".repeat(40), "]}".repeat(40));
        let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(MAX_JSON_VALUES));
        let twice = br#"{"canary":1,"canary":2}"#.to_vec();
        let broken = br#"{"a":canary}"#.to_vec();
        for body in [deep.into_bytes(), wide.into_bytes(), twice, broken, br#"{"a":{"b":1,"b":2}}"#.to_vec()] {
            let error = parse_object(&body).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
