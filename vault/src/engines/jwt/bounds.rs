//! What a role asks of a token's claims, and what it takes out of them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engines::jwt::role::JwtRoleRecord;
use crate::error::Error;
use crate::glob;
use crate::jose::claims::Claims;

/// A value as a list: a list is its entries, all else is one.
fn entries(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// Whether two scalars are the same, numbers by value.
fn is_same(one: &Value, other: &Value) -> bool {
    let (Value::Number(first), Value::Number(second)) = (one, other) else { return one == other };
    match (first.as_i64(), second.as_i64()) {
        (Some(first), Some(second)) => first == second,
        _ => first == second || (first.is_f64() || second.is_f64()) && first.as_f64() == second.as_f64(),
    }
}

fn is_met(wanted: &Value, claimed: &Value, has_globs: bool) -> bool {
    match (wanted.as_str(), claimed.as_str()) {
        (Some(pattern), Some(text)) if has_globs => glob::matches(pattern, text),
        _ => is_same(wanted, claimed),
    }
}

fn invalid(what: &str, reason: impl std::fmt::Display) -> Error {
    Error::invalid(format!("error validating {what}: {reason}"))
}

/// Checks audience, subject and bound claims.
pub(super) fn check(role: &JwtRoleRecord, claims: &Claims) -> Result<(), Error> {
    if !role.subject.is_empty() && claims.text("sub") != role.subject {
        return Err(invalid("token", "invalid subject (sub) claim"));
    }
    let audience = claims.audience().map_err(|reason| invalid("token", reason))?;
    // In a browser the provider says whom it is for, and that was checked.
    if role.is_for_tokens && role.audiences.is_empty() && !audience.is_empty() {
        return Err(invalid("claims", "audience claim found in JWT but no audiences bound to the role"));
    }
    if !role.audiences.is_empty() && !role.audiences.iter().any(|wanted| audience.contains(&wanted.as_str())) {
        return Err(invalid(
            "token",
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ));
    }
    for (name, wanted) in &role.bound_claims() {
        let Some(claimed) = claims.get(name).filter(|claimed| !claimed.is_null()) else {
            return Err(invalid("claims", format!("claim {name:?} is missing")));
        };
        let is_met = |wanted: &Value| entries(claimed).iter().any(|one| is_met(wanted, one, role.has_globs));
        if !entries(wanted).iter().any(is_met) {
            return Err(invalid("claims", format!("claim {name:?} does not match any associated bound claim values")));
        }
    }
    Ok(())
}

/// By what a token's holder is known.
pub(super) fn user(role: &JwtRoleRecord, claims: &Claims) -> Result<String, Error> {
    let name = &role.user_claim;
    let claim = if role.is_user_claim_pointer { claims.get(name) } else { claims.named(name) };
    match claim {
        None | Some(Value::Null) => Err(Error::invalid(format!("claim {name:?} not found in token"))),
        Some(Value::String(user)) if user.is_empty() => Err(Error::invalid(format!("claim {name:?} is empty"))),
        Some(Value::String(user)) => Ok(user.clone()),
        Some(_) => Err(Error::invalid(format!("claim {name:?} could not be converted to string"))),
    }
}

/// What a role keeps of a token, as metadata of the one that it gives.
pub(super) fn metadata(role: &JwtRoleRecord, claims: &Claims) -> Result<BTreeMap<String, String>, Error> {
    let mut metadata = BTreeMap::new();
    for (name, key) in &role.claim_mappings {
        let text = match claims.get(name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => scalar.to_string(),
            Some(_) => return Err(Error::invalid(format!("error converting claim '{name}' to string"))),
        };
        metadata.insert(key.clone(), text);
    }
    Ok(metadata)
}

/// The groups that a token says its holder is in.
pub(super) fn groups(role: &JwtRoleRecord, claims: &Claims) -> Result<Vec<String>, Error> {
    let name = &role.groups_claim;
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let claimed = claims.get(name).filter(|claimed| !claimed.is_null());
    let claimed = claimed.ok_or_else(|| Error::invalid(format!("{name:?} claim not found in token")))?;
    let text = |group: &Value| group.as_str().map(str::to_owned);
    let groups: Option<Vec<_>> = entries(claimed).iter().map(text).collect();
    groups.ok_or_else(|| Error::invalid(format!("claim {name:?} holds groups that are no texts")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_compared_by_kind_and_value() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (one, other, expected) in [
            ("3", "3.0", true),
            ("3", "\"3\"", false),
            ("true", "\"true\"", false),
            ("9007199254740993", "9007199254740992", false),
            ("1", "true", false),
            ("null", "null", true),
        ] {
            assert_eq!(is_same(&parse(one), &parse(other)), expected, "{one} {other}");
        }
        assert!(!is_met(&json!("a*"), &json!("ab"), false) && is_met(&json!("a*"), &json!("ab"), true));
    }
}
