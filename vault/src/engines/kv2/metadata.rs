//! `metadata/`: a secret as a whole, its settings and what users say about it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::PATH;
use super::config::{format_after, nanos_of};
use super::record::SecretRecord;
use super::secret::{self, KvSecret};
use crate::engine::Call;
use crate::error::{Error, multi};
use crate::field::{Field, Kind, field, scalar_text};
use crate::printable::is_printable;
use crate::reply::Reply;
use crate::request::Operation;
use crate::time::Time;

/// Most entries of custom metadata.
const MAX_CUSTOM_KEYS: usize = 64;
/// Longest key of it, in bytes.
const MAX_CUSTOM_KEY_BYTES: usize = 128;
/// Longest value of it, in bytes.
const MAX_CUSTOM_VALUE_BYTES: usize = 512;

pub(super) const FIELDS: &[Field] = &[
    PATH,
    field("max_versions", Kind::Int, "Versions kept; 0 is the mount's."),
    field("cas_required", Kind::Bool, "Whether every write must say which version it follows."),
    field("delete_version_after", Kind::Duration, "How long a version lives; 0 is the mount's."),
    field("custom_metadata", Kind::Any, "What users say about the secret: a map of texts."),
];

/// Reads everything but the data.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if secret::path_of(call).is_empty() {
        return Ok(super::root());
    }
    let secret = secret::load(call)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(describe(&secret)))
}

/// Everything but the data.
pub(super) fn describe(secret: &KvSecret) -> Value {
    let record = &secret.record;
    let versions: Map<String, Value> =
        record.versions.iter().map(|version| (version.number.to_string(), version.describe())).collect();
    json!({
        "cas_required": record.cas_required,
        "created_time": Time::from_nanos(record.created_nanos).to_string(),
        "current_metadata_version": record.metadata_version,
        "current_version": record.current,
        "custom_metadata": secret.custom_metadata(),
        "delete_version_after": format_after(record.delete_after_nanos),
        "max_versions": record.max_versions,
        "metadata_cas_required": false,
        "oldest_version": record.oldest,
        "updated_time": Time::from_nanos(record.updated_nanos).to_string(),
        "versions": versions,
    })
}

/// Changes settings; custom metadata is replaced as a whole. Makes the secret if there is none.
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let custom = call.fields.any("custom_metadata").map(replacement).transpose()?;
    let mut secret = secret::load(call)?.unwrap_or_else(|| KvSecret::new(call.context.now));
    if let Some(custom) = custom {
        secret.record.custom = custom;
    }
    let reply = change_settings(call, &mut secret.record)?;
    save(call, &mut secret)?;
    Ok(reply)
}

/// Changes settings; custom metadata is merged, and its `null` entries removed. The secret must be there.
pub(super) fn patch(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut secret = secret::load(call)?.ok_or_else(Error::not_found)?;
    let before = secret.record.clone();
    match call.fields.any("custom_metadata") {
        Some(Value::Null) => secret.record.custom.clear(),
        Some(changes) => secret.record.custom = merged(&secret.record.custom, changes)?,
        None => {}
    }
    let reply = change_settings(call, &mut secret.record)?;
    if secret.record != before {
        save(call, &mut secret)?;
    }
    Ok(reply)
}

/// Removes the secret with all its versions.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if let Some(secret) = secret::load(call)? {
        secret.remove(call)?;
    }
    Ok(Reply::empty())
}

fn save(call: &mut Call<'_, '_>, secret: &mut KvSecret) -> Result<(), Error> {
    secret.record.metadata_version += 1;
    secret.record.updated_nanos = call.context.now.nanos();
    secret.save(call)
}

fn change_settings(call: &mut Call<'_, '_>, record: &mut SecretRecord) -> Result<Reply, Error> {
    let mut reply = Reply::empty();
    if let Some(limit) = call.fields.int("max_versions") {
        // As a 32-bit number without a sign, which is how clients read it back.
        record.max_versions = limit as u32;
    }
    // The reference server leaves this one setting as it is when a patch sends null, and clients are recorded so; a write
    // with null, or a patch with 0, resets it.
    let is_kept = call.request.operation == Operation::Patch && call.fields.is_null("delete_version_after");
    if let Some(after) = call.fields.duration("delete_version_after").filter(|_| !is_kept) {
        record.delete_after_nanos = nanos_of(after);
    }
    if let Some(required) = call.fields.bool("cas_required") {
        record.cas_required = required;
        if !required && secret::config(call)?.cas_required {
            reply = reply
                .warn("\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.");
        }
    }
    Ok(reply)
}

fn as_map(value: &Value) -> Result<&Map<String, Value>, Error> {
    let wrong = || Error::invalid("error converting input for field \"custom_metadata\": expected a map of texts");
    value.as_object().ok_or_else(wrong)
}

fn text_of(value: &Value) -> Result<String, Error> {
    scalar_text(value).ok_or_else(|| Error::invalid("custom_metadata validation failed: every value must be text"))
}

fn replacement(value: &Value) -> Result<BTreeMap<String, String>, Error> {
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let pairs = as_map(value)?.iter().map(|(key, value)| Ok((key.clone(), text_of(value)?)));
    checked(pairs.collect::<Result<_, Error>>()?)
}

fn merged(present: &BTreeMap<String, String>, changes: &Value) -> Result<BTreeMap<String, String>, Error> {
    let mut result = present.clone();
    for (key, value) in as_map(changes)? {
        if value.is_null() {
            result.remove(key);
        } else {
            result.insert(key.clone(), text_of(value)?);
        }
    }
    checked(result)
}

fn checked(custom: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    let failed = |what: String| Err(Error::invalid(multi(&format!("custom_metadata validation failed: {what}"))));
    if custom.len() > MAX_CUSTOM_KEYS {
        return failed(format!("payload must contain at most {MAX_CUSTOM_KEYS} keys, provided {}", custom.len()));
    }
    for (key, value) in &custom {
        if key.is_empty() || key.len() > MAX_CUSTOM_KEY_BYTES {
            return failed(format!("a key has {} bytes but must be 0 < len(key) <= {MAX_CUSTOM_KEY_BYTES}", key.len()));
        }
        if value.is_empty() || value.len() > MAX_CUSTOM_VALUE_BYTES {
            return failed(format!(
                "a value has {} bytes but must be 0 < len(value) <= {MAX_CUSTOM_VALUE_BYTES}",
                value.len()
            ));
        }
        if !(is_printable(key) && is_printable(value)) {
            return failed("a key or value holds a character that cannot be printed".to_owned());
        }
    }
    Ok(custom)
}
