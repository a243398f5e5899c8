//! The limits of a block on a request's fields: which must, may and must not be there, and with which values.
//!
//! What is checked is what was sent; defaults of an engine are not known here. Engines decode fields loosely, so one
//! value has many spellings: `5` and `"5"`, a list and comma text. A denied value is therefore found in every spelling,
//! an allowed value only in its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Names of fields, in lower case, with the values they may (or must not) have. No values means any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(BTreeMap<String, Vec<Value>>);

/// The name that stands for all fields.
const ANY: &str = "*";

impl Parameters {
    /// Adds a field; `false` if it is there already, also in other letters.
    pub fn insert(&mut self, name: &str, values: Vec<Value>) -> bool {
        self.0.insert(name.to_lowercase(), values).is_none()
    }

    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of another block with the same pattern. Per field, no values on either side means any.
    pub fn merge(&mut self, other: &Self) {
        for (name, values) in &other.0 {
            match self.0.get_mut(name) {
                None => {
                    self.0.insert(name.clone(), values.clone());
                }
                Some(have) if have.is_empty() || values.is_empty() => have.clear(),
                Some(have) => {
                    let new: Vec<_> = values.iter().filter(|value| !have.contains(value)).cloned().collect();
                    have.extend(new);
                }
            }
        }
    }

    /// Whether this, as the denied fields of a block, denies a field of the request.
    pub fn deny(&self, data: &Map<String, Value>) -> bool {
        if self.0.contains_key(ANY) {
            return !data.is_empty();
        }
        data.iter().any(|(name, value)| {
            self.0
                .get(lower(name).as_ref())
                .is_some_and(|denied| denied.is_empty() || denied.iter().any(|denied| is_denied(denied, value)))
        })
    }

    /// Whether this, as the allowed fields of a block, allows every field of the request. Values of `*` do not count.
    pub fn allow(&self, data: &Map<String, Value>) -> bool {
        let others = self.is_empty() || self.0.contains_key(ANY);
        data.iter().all(|(name, value)| match self.0.get(lower(name).as_ref()) {
            Some(_) if name == ANY => others,
            Some(allowed) => allowed.is_empty() || is_allowed(allowed, value),
            None => others,
        })
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.to_lowercase())
    }
}

/// Whether a value is among the allowed ones. If only a glob matches a text with commas, every piece must be allowed on
/// its own, because a field that takes a list would split it: `*.example.com` does not allow `evil.org,a.example.com`.
fn is_allowed(allowed: &[Value], value: &Value) -> bool {
    let Value::String(text) = value else {
        return allowed.iter().any(|allowed| is_same(allowed, value));
    };
    let mut patterns = allowed.iter().filter_map(Value::as_str);
    if patterns.clone().any(|pattern| pattern == text) {
        return true;
    }
    patterns.any(|pattern| glob_matches(pattern, text))
        && text
            .split(',')
            .all(|piece| allowed.iter().filter_map(Value::as_str).any(|pattern| glob_matches(pattern, piece.trim())))
}

/// Whether a value is a denied one in any spelling that an engine might read as it: as a number, as text, in a list, in
/// comma text.
fn is_denied(denied: &Value, value: &Value) -> bool {
    if let Value::Array(items) = value {
        return denied == value || items.iter().any(|item| is_denied(denied, item));
    }
    let (Some(denied), Some(text)) = (spelling(denied), spelling(value)) else {
        return denied == value;
    };
    let numbers = || Some((denied.parse::<f64>().ok()?, text.parse::<f64>().ok()?));
    glob_matches(&denied, &text)
        || numbers().is_some_and(|(denied, sent)| denied == sent)
        || text.contains(',') && text.split(',').any(|piece| glob_matches(&denied, piece.trim()))
}

/// A scalar as text.
fn spelling(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        _ => None,
    }
}

/// Equal, except that no number equals any: the API has never let a listed number allow one.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), _) | (_, Value::Number(_)) => false,
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones.iter().all(|(key, one)| others.get(key).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}

/// Whether a text matches a value that may have a `*` in front, at the end, or both.
fn glob_matches(pattern: &str, text: &str) -> bool {
    if pattern == ANY {
        return true;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => text.contains(&pattern[1..pattern.len() - 1]),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameters(of: Value) -> Parameters {
        let entries = of.as_object().unwrap().iter();
        Parameters(entries.map(|(name, values)| (name.clone(), values.as_array().unwrap().clone())).collect())
    }

    fn data(of: Value) -> Map<String, Value> {
        of.as_object().unwrap().clone()
    }

    #[test]
    fn a_denied_value_is_found_in_every_spelling() {
        // check 56
        let denied = parameters(json!({"p": ["root", "adm*"], "n": [1], "b": [true]}));
        for sent in [
            json!({"p": "root"}),
            json!({"P": "admin"}),
            json!({"p": ["dev", "root"]}),
            json!({"p": "dev, root"}),
            json!({"p": [["root"]]}),
            json!({"n": 1}),
            json!({"n": "1"}),
            json!({"n": 1.0}),
            json!({"n": [2, 1]}),
            json!({"b": true}),
            json!({"b": "true"}),
        ] {
            assert!(denied.deny(&data(sent.clone())), "{sent}");
        }
        for sent in [json!({"p": "rooter"}), json!({"n": 2}), json!({"b": false}), json!({"other": "root"}), json!({})]
        {
            assert!(!denied.deny(&data(sent.clone())), "{sent}");
        }
    }

    #[test]
    fn an_allowed_value_is_found_only_as_it_was_listed() {
        // check 56
        let allowed = parameters(json!({"p": ["dev", "team-*", "a,b", ["x", "y"]], "n": [1], "b": [true]}));
        for sent in [
            json!({"p": "dev"}),
            json!({"p": "team-a"}),
            json!({"p": "a,b"}),
            json!({"p": "team-a, dev"}),
            json!({"p": ["x", "y"]}),
            json!({"b": true}),
        ] {
            assert!(allowed.allow(&data(sent.clone())), "{sent}");
        }
        for sent in [
            json!({"p": "team-a,root"}),
            json!({"p": ["dev"]}),
            json!({"p": "DEV"}),
            json!({"p": null}),
            json!({"n": 1}),
            json!({"n": "1"}),
            json!({"b": "true"}),
            json!({"other": 1}),
        ] {
            assert!(!allowed.allow(&data(sent.clone())), "{sent}");
        }
    }

    #[test]
    fn no_values_win_over_values_when_blocks_merge() {
        let mut merged = parameters(json!({"a": ["1"], "b": ["1"], "c": []}));
        merged.merge(&parameters(json!({"a": [], "b": ["1", "2"], "c": ["3"], "d": []})));
        assert_eq!(merged, parameters(json!({"a": [], "b": ["1", "2"], "c": [], "d": []})));
    }
}
