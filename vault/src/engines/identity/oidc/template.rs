//! Templates of claims: JSON in which `{{identity.entity.name}}` and the like stand for values of who asks.
//!
//! Each stands for a whole JSON value, so nothing that an entity holds can end a text and begin a claim. A value that is not
//! there is an empty text, list or map.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::field::parse_duration;
use crate::identity::record::{AliasRecord, EntityRecord};
use crate::identity::rights::Standing;
use crate::json;
use crate::time::Time;

/// Longest template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 16 * 1024;
/// Longest JSON that a template is filled to, in bytes.
const MAX_FILLED_BYTES: usize = 64 * 1024;
/// Claims that no template sets.
const RESTRICTED: [&str; 10] =
    ["iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash"];

/// Refuses what fills to no JSON object, or sets a claim that is not its to set.
pub(super) fn check(template: &str) -> Result<(), Error> {
    if template.len() > MAX_TEMPLATE_BYTES {
        return Err(Error::invalid(format!("the template is longer than {MAX_TEMPLATE_BYTES} bytes")));
    }
    let claims = filled(template, &Standing::default(), Time::default())?;
    match claims.keys().find(|key| RESTRICTED.contains(&key.as_str())) {
        Some(key) => Err(Error::invalid(format!(
            "top level key {key:?} not allowed. Restricted keys: {}",
            RESTRICTED.join(", ")
        ))),
        None => Ok(()),
    }
}

/// The claims of a template for who asks; none for an empty one. Names of claims may be filled in too, so a claim that no
/// template sets is left out here.
pub(super) fn fill(template: &str, standing: &Standing, now: Time) -> Result<Map<String, Value>, Error> {
    let mut claims = filled(template, standing, now)?;
    claims.retain(|name, _| !RESTRICTED.contains(&name.as_str()));
    Ok(claims)
}

fn filled(template: &str, standing: &Standing, now: Time) -> Result<Map<String, Value>, Error> {
    let decoded = STANDARD.decode(template.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let template = decoded.as_deref().unwrap_or(template);
    if template.trim().is_empty() {
        return Ok(Map::new());
    }
    let (mut filled, mut rest) = (String::new(), template);
    while let Some((literal, behind)) = rest.split_once("{{") {
        let unclosed = || Error::invalid("error parsing template JSON: a template is not closed; write {{name}}");
        let (name, behind) = behind.split_once("}}").ok_or_else(unclosed)?;
        filled.push_str(literal);
        let value = value_of(name.trim(), standing, now);
        let unknown = || Error::invalid(format!("unknown template parameter {:?}", name.trim()));
        filled.push_str(&value.ok_or_else(unknown)?.to_string());
        rest = behind;
        if filled.len() > MAX_FILLED_BYTES {
            return Err(Error::invalid(format!("the claims are longer than {MAX_FILLED_BYTES} bytes")));
        }
    }
    filled.push_str(rest);
    let parsed = json::parse_object(filled.as_bytes());
    parsed.ok().flatten().ok_or_else(|| {
        Error::invalid("error parsing template JSON: it must be an object, and each {{name}} in it a value of its own")
    })
}

/// What a name stands for; `None` if there is no such name.
fn value_of(name: &str, standing: &Standing, now: Time) -> Option<Value> {
    let entity = standing.entity.as_ref().map(|entity| &entity.record);
    let text = |pick: fn(&EntityRecord) -> &str| Value::from(entity.map_or("", pick));
    if let Some(name) = name.strip_prefix("identity.entity.") {
        return match name {
            "id" => Some(text(|entity| &entity.id)),
            "name" => Some(text(|entity| &entity.name)),
            "metadata" => Some(entity.map_or_else(|| json!({}), |entity| json!(entity.metadata))),
            "groups.ids" => Some(standing.group_ids().collect()),
            "groups.names" => Some(standing.group_names().collect()),
            _ => match name.split_once('.')? {
                ("metadata", key) => {
                    Some(entity.and_then(|entity| entity.metadata.get(key)).map_or("", String::as_str).into())
                }
                ("aliases", rest) => of_alias(rest, entity),
                _ => None,
            },
        };
    }
    match name.strip_prefix("time.now")? {
        "" => Some(now.secs().into()),
        shift => {
            let secs = |text: &str| parse_duration(text).and_then(|duration| i64::try_from(duration.as_secs()).ok());
            match (shift.strip_prefix(".plus."), shift.strip_prefix(".minus.")) {
                (Some(duration), _) => Some(now.secs().saturating_add(secs(duration)?).into()),
                (_, Some(duration)) => Some(now.secs().saturating_sub(secs(duration)?).into()),
                _ => None,
            }
        }
    }
}

/// What is known of an alias, named by its mount's accessor.
fn of_alias(rest: &str, entity: Option<&EntityRecord>) -> Option<Value> {
    let (accessor, name) = rest.split_once('.')?;
    let alias = entity.and_then(|entity| entity.aliases.iter().find(|alias| alias.mount_accessor == accessor));
    let text = |pick: fn(&AliasRecord) -> &str| Value::from(alias.map_or("", pick));
    match name {
        "id" => Some(text(|alias| &alias.id)),
        "name" => Some(text(|alias| &alias.name)),
        "metadata" => Some(alias.map_or_else(|| json!({}), |alias| json!(alias.metadata))),
        "custom_metadata" => Some(alias.map_or_else(|| json!({}), |alias| json!(alias.custom_metadata))),
        _ => {
            let (kind, key) = name.split_once('.')?;
            let pairs = match kind {
                "metadata" => alias.map(|alias| &alias.metadata),
                "custom_metadata" => alias.map(|alias| &alias.custom_metadata),
                _ => return None,
            };
            Some(pairs.and_then(|pairs| pairs.get(key)).map_or("", String::as_str).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::identity::entity::Entity;

    fn standing() -> Standing {
        let mut record =
            EntityRecord { id: "e-1".into(), name: "ann\",\"sub\":\"root".into(), ..EntityRecord::default() };
        record.metadata.insert("team".into(), "red".into());
        let alias = AliasRecord { mount_accessor: "acc".into(), name: "a".into(), ..AliasRecord::default() };
        record.aliases.push(alias);
        let mut standing = Standing::default();
        standing.entity = Some(Arc::new(Entity { record, digest: [0; 32] }));
        standing
    }

    #[test]
    fn a_value_is_a_value_whatever_it_holds() {
        let template = r#"{"who": {{identity.entity.name}}, "team": {{identity.entity.metadata.team}},
            "none": {{identity.entity.metadata.none}}, "all": {{identity.entity.metadata}},
            "alias": {{identity.entity.aliases.acc.name}}, "groups": {{identity.entity.groups.names}},
            "later": {{time.now.plus.1h}}}"#;
        let claims = fill(template, &standing(), Time::from_secs(100)).unwrap();
        let expected = json!({
            "who": "ann\",\"sub\":\"root", "team": "red", "none": "", "all": { "team": "red" }, "alias": "a",
            "groups": [], "later": 3700,
        });
        assert_eq!(Value::Object(claims), expected);
    }

    #[test]
    fn a_name_that_is_filled_in_sets_no_claim_of_the_server() {
        let template = r#"{ {{identity.entity.metadata.claim}}: {{identity.entity.name}}, "team": "red" }"#;
        for name in RESTRICTED {
            let mut record = EntityRecord { id: "e-1".into(), ..EntityRecord::default() };
            record.metadata.insert("claim".into(), name.into());
            let mut standing = Standing::default();
            standing.entity = Some(Arc::new(Entity { record, digest: [0; 32] }));
            assert!(check(template).is_ok());
            let claims = fill(template, &standing, Time::default()).unwrap();
            assert_eq!(Value::Object(claims), json!({ "team": "red" }), "{name}");
        }
    }

    #[test]
    fn what_is_no_template_of_claims_is_refused() {
        for template in [
            "{nope",
            "{",
            "[1]",
            r#"{"a": "{{identity.entity.name}}"}"#,
            r#"{"a": {{identity.entity.secret}}}"#,
            r#"{"a": {{identity.entity.name}"#,
            r#"{"iss": "me"}"#,
            r#"{"a": {{time.now.plus.often}}}"#,
        ] {
            assert!(check(template).is_err(), "{template}");
        }
        for template in ["", "{}", r#"{"a": {"sub": 1}}"#, "e30="] {
            assert!(check(template).is_ok(), "{template}");
        }
    }
}
