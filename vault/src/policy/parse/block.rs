//! One `path` block: its keys and what they take.

use std::sync::Arc;
use std::time::Duration;

use crate::field;
use crate::hcl::{Member, Value};
use crate::policy::capability::Capabilities;
use crate::policy::filter::KeyFilter;
use crate::policy::grant::Grant;
use crate::policy::parameters::ParameterRules;
use crate::policy::parse::{Problem, excerpt};
use crate::policy::pattern::Pattern;
use crate::policy::template::Template;
use crate::policy::{PathRule, RulePath};
use crate::time::Time;

/// The keys of a block, for messages.
pub(super) const KNOWN_KEYS: &str = "capabilities, allowed_parameters, denied_parameters, required_parameters, \
     min_wrapping_ttl, max_wrapping_ttl, pagination_limit, list_scan_response_keys_filter_path, expiration, comment, \
     policy";

/// Reads a block. A problem comes with the line it is in.
pub(super) fn read(path: &str, line: u32, members: &[Member]) -> Result<PathRule, (u32, Problem)> {
    let place = read_place(path).map_err(|problem| (line, problem))?;
    let (mut grant, mut expiration) = (Grant::default(), None);
    for (index, member) in members.iter().enumerate() {
        let [key] = member.keys.as_slice() else {
            return Err((member.line, Problem::UnknownKey(excerpt(&member.keys.join(" ")))));
        };
        if members[..index].iter().any(|earlier| earlier.keys[0] == *key) {
            return Err((member.line, Problem::Twice(excerpt(key))));
        }
        read_key(key, &member.value, &mut grant, &mut expiration).map_err(|problem| (member.line, problem))?;
    }
    match (grant.min_wrapping_ttl, grant.max_wrapping_ttl) {
        (Some(least), Some(most)) if most < least => Err((line, Problem::CrossedWrapping)),
        _ => Ok(PathRule { place, grant: Arc::new(grant), expiration }),
    }
}

fn read_place(path: &str) -> Result<RulePath, Problem> {
    let path = Pattern::validate(path)?;
    Ok(match Template::parse(path)? {
        Some(template) => RulePath::Templated(template),
        None => RulePath::Fixed(Arc::new(Pattern::new(path))),
    })
}

fn read_key(key: &str, value: &Value, grant: &mut Grant, expiration: &mut Option<Time>) -> Result<(), Problem> {
    match key {
        "capabilities" => grant.capabilities = grant.capabilities | capabilities(value)?,
        "policy" => grant.capabilities = grant.capabilities | old_word(value)?,
        "allowed_parameters" => grant.allowed = parameters("allowed_parameters", value)?,
        "denied_parameters" => grant.denied = parameters("denied_parameters", value)?,
        "required_parameters" => {
            grant.required = texts("required_parameters", value)?.iter().map(|name| name.to_lowercase()).collect();
        }
        "min_wrapping_ttl" => grant.min_wrapping_ttl = duration("min_wrapping_ttl", value)?,
        "max_wrapping_ttl" => grant.max_wrapping_ttl = duration("max_wrapping_ttl", value)?,
        "pagination_limit" => grant.pagination_limit = pagination_limit(value)?,
        "list_scan_response_keys_filter_path" => {
            let text = text("list_scan_response_keys_filter_path", value)?;
            grant.key_filter = if text.is_empty() { None } else { Some(Arc::new(KeyFilter::parse(text)?)) };
        }
        "expiration" => *expiration = read_expiration(value)?,
        "comment" => drop(text("comment", value)?),
        // Narrows the capability to subscribe, which nothing here needs.
        "subscribe_event_types" => drop(texts("subscribe_event_types", value)?),
        "mfa_methods" => unsupported("mfa_methods", value)?,
        "control_group" => unsupported("control_group", value)?,
        other => return Err(Problem::UnknownKey(excerpt(other))),
    }
    Ok(())
}

fn wrong(key: &'static str, expected: &'static str, value: &Value) -> Problem {
    Problem::Type { key, expected, found: value.kind() }
}

fn text<'v>(key: &'static str, value: &'v Value) -> Result<&'v str, Problem> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null => Ok(""),
        other => Err(wrong(key, "a text", other)),
    }
}

fn texts<'v>(key: &'static str, value: &'v Value) -> Result<Vec<&'v str>, Problem> {
    match value {
        Value::List(items) => items.iter().map(|item| text(key, item)).collect(),
        Value::Null => Ok(Vec::new()),
        other => Err(wrong(key, "a list of texts, such as [\"read\"]", other)),
    }
}

fn capabilities(value: &Value) -> Result<Capabilities, Problem> {
    texts("capabilities", value)?.into_iter().try_fold(Capabilities::NONE, |set, word| {
        let one = Capabilities::parse(word).ok_or_else(|| Problem::UnknownCapability(excerpt(word)))?;
        Ok(set | one)
    })
}

fn old_word(value: &Value) -> Result<Capabilities, Problem> {
    let word = text("policy", value)?;
    Capabilities::parse_old(word).ok_or_else(|| Problem::UnknownOldWord(excerpt(word)))
}

fn parameters(key: &'static str, value: &Value) -> Result<ParameterRules, Problem> {
    let members = match value {
        Value::Object(members) => members.as_slice(),
        Value::Null => &[],
        other => return Err(wrong(key, "an object of lists, such as { \"ttl\" = [\"1h\"], \"*\" = [] }", other)),
    };
    let mut parameters = ParameterRules::default();
    for member in members {
        let [name] = member.keys.as_slice() else { return Err(wrong(key, "lists only", &member.value)) };
        let Value::List(items) = &member.value else {
            return Err(wrong(key, "a list for each parameter", &member.value));
        };
        let values: Option<Vec<_>> = items.iter().map(Value::to_json).collect();
        let values =
            values.ok_or_else(|| wrong(key, "values without labels and without a key twice", &member.value))?;
        if !parameters.insert(name, values) {
            return Err(Problem::Twice(excerpt(name)));
        }
    }
    Ok(parameters)
}

/// Zero is no limit.
fn duration(key: &'static str, value: &Value) -> Result<Option<Duration>, Problem> {
    let found = value.to_json().and_then(|json| field::duration(&json));
    let found = found.ok_or_else(|| wrong(key, "a duration such as 90, \"90s\" or \"1h30m\", not negative", value))?;
    Ok(Some(found).filter(|duration| !duration.is_zero()))
}

/// Zero is no limit.
fn pagination_limit(value: &Value) -> Result<Option<u64>, Problem> {
    let found = value.to_json().and_then(|json| field::int(&json)).and_then(|limit| u64::try_from(limit).ok());
    let found = found.ok_or_else(|| wrong("pagination_limit", "a whole number, not negative", value))?;
    Ok(Some(found).filter(|limit| *limit != 0))
}

/// Seconds since the Unix epoch, or RFC 3339; an empty text is never.
fn read_expiration(value: &Value) -> Result<Option<Time>, Problem> {
    let time = match value {
        Value::Text(text) if text.is_empty() => return Ok(None),
        Value::Text(text) => {
            let timestamp = text.parse::<jiff::Timestamp>().ok();
            timestamp.and_then(|timestamp| i64::try_from(timestamp.as_nanosecond()).ok()).map(Time::from_nanos)
        }
        Value::Number(number) => number.as_i64().filter(|secs| *secs > 0).map(Time::from_secs),
        _ => None,
    };
    let expected = "a time such as \"2030-01-31T12:00:00Z\" or seconds since 1970";
    time.map(Some).ok_or_else(|| wrong("expiration", expected, value))
}

/// Tolerates a key only where it says nothing.
fn unsupported(key: &'static str, value: &Value) -> Result<(), Problem> {
    match value {
        Value::List(items) if items.is_empty() => Ok(()),
        Value::Object(members) if members.is_empty() => Ok(()),
        Value::Null => Ok(()),
        _ => Err(Problem::Unsupported(key)),
    }
}
