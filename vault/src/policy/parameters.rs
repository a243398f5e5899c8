//! The limits of a block on a request's fields: which must, may and must not be there, and with which values.
//!
//! What is checked is what was sent; defaults of an engine are not known here. Engines decode fields loosely, so one
//! value has many spellings: `5` and `"5"`, a list and comma text, `false` and `"f"`. A denied value is therefore found
//! in every spelling that the field's kind reads as it, an allowed value only in its own. A limit on a field holds for
//! its old and its present name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::field::{Field, Kind};
use crate::spelling;

/// Names of fields, in lower case, with the values they may (or must not) have. No values means any.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ParameterRules(BTreeMap<String, Vec<Value>>);

/// The name that stands for all fields.
const ANY: &str = "*";

impl ParameterRules {
    /// Adds a field; `false` if it is there already, also in other letters.
    pub(crate) fn insert(&mut self, name: &str, values: Vec<Value>) -> bool {
        self.0.insert(spelling::lower(name).into_owned(), values).is_none()
    }

    /// Whether there is no limit.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of another block with the same pattern. Per field, no values on either side means any.
    pub(crate) fn merge(&mut self, other: &Self) {
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

    /// Whether this, as the denied fields of a block, denies a field of the request to a path that takes `fields`.
    pub(crate) fn deny(&self, data: &Map<String, Value>, fields: Taken<'_>) -> bool {
        if self.0.contains_key(ANY) {
            return !data.is_empty();
        }
        data.iter().any(|(name, value)| {
            let kind = fields.iter().copied().flatten().find(|field| field.name == *name).map(|field| field.kind);
            let is_hit =
                |denied: &Value| is_denied(denied, value) || kind.is_some_and(|kind| is_read(kind, denied, value));
            self.limits(name, fields).any(|denied| denied.is_empty() || denied.iter().any(is_hit))
        })
    }

    /// Whether this, as the allowed fields of a block, allows every field of the request to a path that takes `fields`.
    /// Values of `*` do not count.
    pub(crate) fn allow(&self, data: &Map<String, Value>, fields: Taken<'_>) -> bool {
        let others = self.is_empty() || self.0.contains_key(ANY);
        data.iter().all(|(name, value)| {
            let mut limits = self.limits(name, fields).filter(|_| name != ANY).peekable();
            match limits.peek() {
                Some(_) => limits.all(|allowed| allowed.is_empty() || is_allowed(allowed, value)),
                None => others,
            }
        })
    }

    /// The limits on a field: under its name, and under the others that it has or had.
    fn limits<'p>(&'p self, name: &'p str, fields: Taken<'p>) -> impl Iterator<Item = &'p Vec<Value>> {
        let all = || fields.iter().copied().flatten();
        let present = all().find(|field| field.name == name).and_then(|field| field.renamed);
        let old = all().filter(move |field| field.renamed == Some(name)).map(|field| field.name);
        let names = std::iter::once(spelling::lower(name)).chain(present.into_iter().chain(old).map(Cow::Borrowed));
        names.filter_map(|name| self.0.get(name.as_ref()))
    }
}

/// The fields that a path takes, as its table has them; none where that is not known.
pub(crate) type Taken<'a> = &'a [&'a [Field]];

/// Whether a field of a kind reads a value as the denied one, or reads an entry of a list, or a text, that a pattern of
/// the denied value fits.
fn is_read(kind: Kind, denied: &Value, value: &Value) -> bool {
    let patterns = if denied.is_array() || denied.is_null() { Vec::new() } else { kind.texts(denied) };
    let texts = kind.texts(value);
    kind.reads_alike(denied, value)
        || patterns.iter().any(|pattern| texts.iter().any(|text| glob_matches(pattern, text)))
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::field::{Fields, field};

    fn parameters(of: Value) -> ParameterRules {
        let entries = of.as_object().unwrap().iter();
        ParameterRules(entries.map(|(name, values)| (name.clone(), values.as_array().unwrap().clone())).collect())
    }

    fn data(of: Value) -> Map<String, Value> {
        of.as_object().unwrap().clone()
    }

    const NONE: Taken<'_> = &[];

    /// Kinds with a denied value and a spelling of it.
    type Spelled = BoxedStrategy<(Kind, Value, Value)>;

    /// One of the kinds, and any two of the spellings of one value.
    fn any_two(kinds: &[Kind], spellings: Vec<Value>) -> Spelled {
        let spelling = prop::sample::select(spellings);
        (prop::sample::select(kinds.to_vec()), spelling.clone(), spelling).boxed()
    }

    fn names() -> impl Strategy<Value = String> {
        "[a-z]{1,6}"
    }

    fn scalars() -> Spelled {
        let truth = prop::bool::ANY.prop_flat_map(|value| {
            let spellings = match value {
                true => json!([true, 1, 2, "1", "t", "T", "TRUE", "True", "true"]),
                false => json!([false, 0, "0", "f", "F", "False", "", null]),
            };
            any_two(&[Kind::Bool], spellings.as_array().cloned().unwrap_or_default())
        });
        let number = (0_i64..9).prop_flat_map(|n| any_two(&[Kind::Int], vec![json!(n), json!(n.to_string())]));
        let duration = (1_u64..9).prop_flat_map(|hours| {
            let secs = hours * 3600;
            let texts = [secs.to_string(), format!("{hours}h"), format!(" {}h30m1800s", hours - 1)];
            any_two(&[Kind::Duration], texts.into_iter().map(Value::from).chain([json!(secs)]).collect())
        });
        let text = names().prop_flat_map(|text| any_two(&[Kind::Text], vec![json!(text)]));
        let lower = names().prop_flat_map(|text| {
            any_two(&[Kind::Name, Kind::LowerText, Kind::PolicyName], vec![json!(text), json!(text.to_uppercase())])
        });
        let path = names().prop_flat_map(|text| {
            any_two(&[Kind::MountPath], vec![json!(text), json!(format!("{text}/")), json!(format!("/{text}/"))])
        });
        prop_oneof![truth, number, duration, text, lower, path].boxed()
    }

    fn maps() -> Spelled {
        let texts = (names(), names()).prop_flat_map(|(key, value)| {
            let pair = format!("{key}={value}");
            let map = json!({ key: value });
            any_two(&[Kind::KeyValues, Kind::Any], vec![json!(map.to_string()), map, json!(pair), json!([pair])])
        });
        let any = (names(), 0_u64..9).prop_flat_map(|(key, value)| {
            let map = json!({ key: value });
            any_two(&[Kind::Map], vec![json!(map.to_string()), map])
        });
        prop_oneof![texts, any].boxed()
    }

    /// A denied name, and lists that hold it in one of the spellings given.
    fn listed(kind: Kind, denied: String, spellings: &[String]) -> Spelled {
        let is_comma = matches!(kind, Kind::CommaList | Kind::CommaNames);
        let lists = spellings.iter().flat_map(|name| {
            let comma = is_comma.then(|| json!(format!("other, {name}")));
            [json!(name), json!([name]), json!(["other", name])].into_iter().chain(comma)
        });
        (Just(kind), Just(Value::from(denied)), prop::sample::select(lists.collect::<Vec<_>>())).boxed()
    }

    fn lists() -> Spelled {
        let kinds = prop::sample::select(vec![Kind::List, Kind::CommaList, Kind::Names, Kind::CommaNames]);
        let list = (kinds, names()).prop_flat_map(|(kind, name)| {
            let upper = name.to_uppercase();
            match kind {
                Kind::List => listed(kind, name.clone(), &[name]),
                Kind::CommaList => listed(kind, name.clone(), &[name.clone(), format!(" {name}")]),
                _ => listed(kind, name.clone(), &[name.clone(), format!(" {name}"), format!("{upper}\u{a0}"), upper]),
            }
        });
        list.boxed()
    }

    proptest! {
        #[test]
        fn every_spelling_that_a_kind_accepts_of_a_denied_value_is_denied((kind, denied, sent) in prop_oneof![scalars(), maps(), lists()]) {
            let fields = [field("f", kind, "")];
            let sent = data(json!({ "f": sent }));
            prop_assert!(Fields::decode(&[&fields], &sent, &[]).is_ok(), "the kind does not accept it");
            let denied = parameters(json!({ "f": [denied] }));
            prop_assert!(denied.deny(&sent, &[&fields]));
        }
    }

    #[test]
    fn a_limit_holds_for_the_old_name_of_a_field_and_for_the_new_one() {
        let fields = [field("new", Kind::Text, ""), field("old", Kind::Text, "").renamed_to("new")];
        for (limited, sent) in [("new", "old"), ("old", "new"), ("new", "new")] {
            let limit = parameters(json!({ limited: ["a"] }));
            assert!(limit.deny(&data(json!({ sent: "a" })), &[&fields]));
            assert!(!limit.deny(&data(json!({ sent: "b" })), &[&fields]));
            let limit = parameters(json!({ limited: ["a"], "*": [] }));
            assert!(limit.allow(&data(json!({ sent: "a" })), &[&fields]));
            assert!(!limit.allow(&data(json!({ sent: "b" })), &[&fields]));
        }
    }

    #[test]
    fn what_a_kind_does_not_read_as_the_denied_value_is_not_denied() {
        for (kind, denied, sent) in [
            (Kind::Bool, json!(false), json!(true)),
            (Kind::Text, json!("a"), json!("A")),
            (Kind::Text, json!(false), json!("0x")),
            (Kind::Duration, json!("1h"), json!("61m")),
            (Kind::Names, json!("admin"), json!("admins, administrator")),
            (Kind::List, json!("a"), json!("A")),
            (Kind::KeyValues, json!("a=1"), json!({"a": "2"})),
        ] {
            let fields = [field("f", kind, "")];
            let denied = parameters(json!({ "f": [denied] }));
            assert!(!denied.deny(&data(json!({ "f": sent })), &[&fields]), "{kind:?} {sent}");
        }
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
            assert!(denied.deny(&data(sent.clone()), NONE), "{sent}");
        }
        for sent in [json!({"p": "rooter"}), json!({"n": 2}), json!({"b": false}), json!({"other": "root"}), json!({})]
        {
            assert!(!denied.deny(&data(sent.clone()), NONE), "{sent}");
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
            assert!(allowed.allow(&data(sent.clone()), NONE), "{sent}");
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
            assert!(!allowed.allow(&data(sent.clone()), NONE), "{sent}");
        }
    }

    #[test]
    fn no_values_win_over_values_when_blocks_merge() {
        let mut merged = parameters(json!({"a": ["1"], "b": ["1"], "c": []}));
        merged.merge(&parameters(json!({"a": [], "b": ["1", "2"], "c": ["3"], "d": []})));
        assert_eq!(merged, parameters(json!({"a": [], "b": ["1", "2"], "c": [], "d": []})));
    }
}
