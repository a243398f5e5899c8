//! The settings of a mount: what `config` of a new mount and a tuning may hold, and how it is checked.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::context::SystemTtl;
use crate::error::Error;
use crate::field::{self, Field, Kind, field};
use crate::lockout;
use crate::mount::Class;
use crate::mount::{self, MountRecord};
use crate::registry::Registry;

/// Settings that a tuning takes at the top level of its body, and a new mount inside `config`.
pub(super) const FIELDS: &[Field] = &[
    field("default_lease_ttl", Kind::Any, "Time to live where none is asked for; 0 or \"system\" is the server's"),
    field("max_lease_ttl", Kind::Any, "Longest time to live; 0 or \"system\" is the server's"),
    field("audit_non_hmac_request_keys", Kind::CommaList, "Request fields that audit records show in the clear"),
    field("audit_non_hmac_response_keys", Kind::CommaList, "Response fields that audit records show in the clear"),
    field("passthrough_request_headers", Kind::CommaList, "Shown, without effect: no engine is given headers"),
    field("allowed_response_headers", Kind::CommaList, "Shown, without effect: no engine sets headers"),
    field("allowed_managed_keys", Kind::CommaList, "Shown, without effect: there are no managed keys"),
    field("delegated_auth_accessors", Kind::CommaList, "Shown, without effect: no engine delegates"),
    field("listing_visibility", Kind::Text, "Who sees the mount listed: \"unauth\" for everybody, or \"hidden\""),
    field("token_type", Kind::Text, "Type of the tokens that an auth mount hands out").one_of(&TOKEN_TYPES),
    field("user_lockout_config", Kind::Map, "When an auth mount locks out a user after wrong passwords"),
    field("force_no_cache", Kind::Bool, "Shown, without effect: caches here are never stale"),
    field("plugin_version", Kind::Text, "Accepted, without effect: engines are built in"),
    field("identity_token_key", Kind::Text, "Accepted, without effect"),
];

/// Settings that are lists of texts.
const LISTS: [&str; 6] = [
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "passthrough_request_headers",
    "allowed_response_headers",
    "allowed_managed_keys",
    "delegated_auth_accessors",
];
/// Values of `listing_visibility`; the empty one is the default and not stored.
const VISIBILITIES: [&str; 3] = ["", "hidden", "unauth"];
/// Values of `token_type`.
const TOKEN_TYPES: [&str; 4] = ["default-service", "default-batch", "service", "batch"];

/// Puts settings that were sent into a mount's record. What was not sent stays.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] for a value that is none, or lease times that contradict each other; the record
/// may be half changed then.
pub(super) fn apply(
    record: &mut MountRecord,
    sent: &Map<String, Value>,
    system: SystemTtl,
    registry: &Registry,
) -> Result<(), Error> {
    let mut config: Map<String, Value> = serde_json::from_str(&record.config_json).unwrap_or_default();
    lease_times(record, sent, system)?;
    for name in LISTS {
        if let Some(value) = sent.get(name) {
            set_list(&mut config, name, value)?;
        }
    }
    if let Some(value) = sent.get("force_no_cache").and_then(field::boolean) {
        config.insert("force_no_cache".into(), value.into());
    }
    if let Some(word) = text(sent, "listing_visibility")? {
        if !VISIBILITIES.contains(&word.as_str()) {
            return Err(Error::invalid(format!(
                "invalid listing_visibility {word}; expected \"unauth\", \"hidden\" or nothing"
            )));
        }
        set_text(&mut config, "listing_visibility", word);
    }
    token_type(record, &mut config, sent)?;
    if let Some(sent) = sent.get("user_lockout_config").and_then(Value::as_object) {
        set_lockout(record, &mut config, sent, &registry.locking_out())?;
    }
    record.config_json = Value::Object(config).to_string();
    Ok(())
}

/// Names in `config` of a new mount that mean nothing, sorted.
pub(super) fn unknown(sent: &Map<String, Value>) -> Vec<&str> {
    sent.keys().map(String::as_str).filter(|name| FIELDS.iter().all(|field| field.name != *name)).collect()
}

fn lease_times(record: &mut MountRecord, sent: &Map<String, Value>, system: SystemTtl) -> Result<(), Error> {
    let default_secs = lease_time(sent, "default_lease_ttl", "default")?;
    let max_secs = lease_time(sent, "max_lease_ttl", "max")?;
    if default_secs.is_none() && max_secs.is_none() {
        return Ok(());
    }
    record.default_ttl_secs = default_secs.unwrap_or(record.default_ttl_secs);
    record.max_ttl_secs = max_secs.unwrap_or(record.max_ttl_secs);
    let max_secs = if record.max_ttl_secs == 0 { system.max_secs } else { record.max_ttl_secs };
    if record.default_ttl_secs > max_secs {
        return Err(Error::invalid(format!(
            "the default lease TTL of {} seconds is greater than the maximum of {max_secs} seconds; raise max_lease_ttl too",
            record.default_ttl_secs
        )));
    }
    Ok(())
}

/// A lease time in seconds; `None` if it was not sent. Clients that tune something else send an empty text here, which
/// therefore leaves the time as it is; 0 and `system` reset it.
fn lease_time(sent: &Map<String, Value>, name: &str, word: &str) -> Result<Option<u64>, Error> {
    match sent.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text == "system" => Ok(Some(0)),
        Some(value) => match field::duration(value) {
            Some(duration) => Ok(Some(duration.as_secs())),
            None => {
                let shown = field::scalar_text(value).unwrap_or_default();
                Err(Error::invalid(format!(
                    "unable to parse {word} TTL of {shown}: a duration such as 3600, \"90m\" or \"system\" is expected"
                )))
            }
        },
    }
}

fn set_list(config: &mut Map<String, Value>, name: &str, value: &Value) -> Result<(), Error> {
    let list = if value.is_null() { Some(Vec::new()) } else { field::comma_list(value) };
    let list = list.ok_or_else(|| Error::invalid(format!("{name} must be a list of texts")))?;
    if list.is_empty() {
        config.remove(name);
    } else {
        config.insert(name.to_owned(), list.into());
    }
    Ok(())
}

fn set_text(config: &mut Map<String, Value>, name: &str, word: String) {
    if word.is_empty() {
        config.remove(name);
    } else {
        config.insert(name.to_owned(), word.into());
    }
}

/// A text, if it was sent; `null` resets it.
fn text(sent: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match sent.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(String::new())),
        Some(value) => {
            field::scalar_text(value).map(Some).ok_or_else(|| Error::invalid(format!("{name} must be text")))
        }
    }
}

fn token_type(record: &MountRecord, config: &mut Map<String, Value>, sent: &Map<String, Value>) -> Result<(), Error> {
    let Some(word) = text(sent, "token_type")?.filter(|word| !word.is_empty()) else { return Ok(()) };
    if mount::class_of(&record.path) != Class::Auth {
        return Err(Error::invalid("'token_type' can only be modified on auth mounts"));
    }
    if !TOKEN_TYPES.contains(&word.as_str()) {
        return Err(Error::invalid(format!(
            "invalid value for 'token_type'; expected one of {}",
            TOKEN_TYPES.join(", ")
        )));
    }
    // The mount whose tokens do not come from logins.
    if mount::is_fixed(&record.path) {
        return Err(Error::invalid("'token_type' cannot be set for 'token' or 'ns_token' auth mounts"));
    }
    set_text(config, "token_type", word);
    Ok(())
}

fn set_lockout(
    record: &MountRecord,
    config: &mut Map<String, Value>,
    sent: &Map<String, Value>,
    kinds: &[&str],
) -> Result<(), Error> {
    if !kinds.contains(&record.kind.as_str()) {
        return Err(Error::invalid(format!(
            "tuning of user lockout configuration for auth type {:?} not allowed; only {} lock users out",
            record.kind,
            kinds.join(", ")
        )));
    }
    let before = config.get("user_lockout_config").cloned().unwrap_or_default();
    let secs = |name: &str, stored: &str| match sent.get(name) {
        None | Some(Value::Null) => Ok(before[stored].as_u64().unwrap_or(0)),
        Some(value) => field::duration(value)
            .as_ref()
            .map(Duration::as_secs)
            .ok_or_else(|| Error::invalid(format!("{name} must be a duration"))),
    };
    let threshold = match sent.get("lockout_threshold") {
        None | Some(Value::Null) => before["user_lockout_threshold"].as_i64().unwrap_or(0),
        Some(value) => lockout::checked_threshold(field::int(value))?,
    };
    let is_disabled = sent.get("lockout_disable").and_then(field::boolean);
    let is_disabled = is_disabled.unwrap_or(before["user_lockout_disable"].as_bool().unwrap_or(false));
    let lock_secs = secs("lockout_duration", "user_lockout_duration")?;
    let reset_secs = secs("lockout_counter_reset_duration", "user_lockout_counter_reset_duration")?;
    let lockout = lockout::shown(threshold, lock_secs, reset_secs, is_disabled);
    config.insert("user_lockout_config".into(), lockout);
    Ok(())
}
