//! `data/`: reading, writing, patching and deleting the newest version.

use serde_json::{Map, Value, json};

use super::secret::{self, KvSecret};
use crate::engine::Call;
use crate::error::Error;
use crate::field::int;
use crate::reply::{Reply, Status};

/// Reads a version.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let secret = secret::load(call)?.ok_or_else(Error::not_found)?;
    let number = call.fields.int("version").and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    let version = secret.version(number).ok_or_else(Error::not_found)?;
    let data = secret.data(call, version)?;
    let status = if data.is_some() { Status::Done } else { Status::NotFound };
    let reply = Reply::data(json!({ "data": data, "metadata": secret.describe(version) }));
    Ok(Reply { status, ..reply })
}

/// Writes a new version.
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let data = sent_data(call)?;
    let secret = secret::load(call)?;
    check_and_set(call, secret.as_ref())?;
    let mut secret = secret.unwrap_or_else(|| KvSecret::new(call.context.now));
    secret.add_version(call, &data)?;
    Ok(newest(&secret))
}

/// Merges into the newest version (RFC 7396).
pub(super) fn patch(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let changes = sent_data(call)?;
    let mut secret = secret::load(call)?.filter(|secret| secret.record.current > 0).ok_or_else(Error::not_found)?;
    check_and_set(call, Some(&secret))?;
    let version = secret.version(0).ok_or_else(Error::not_found)?;
    let Some(mut data) = secret.data(call, version)? else {
        return Ok(Reply { status: Status::NotFound, ..Reply::data(secret.describe(version)) });
    };
    merge(&mut data, &changes);
    secret.add_version(call, &data)?;
    Ok(newest(&secret))
}

/// Deletes the newest version, so that it can be brought back.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let Some(mut secret) = secret::load(call)? else { return Ok(Reply::empty()) };
    let (now, current) = (call.context.now, secret.record.current);
    let version = secret.record.versions.iter_mut().find(|version| version.number == current);
    if let Some(version) = version.filter(|version| version.is_readable(now)) {
        version.deletion_nanos = now.nanos();
        secret.record.updated_nanos = now.nanos();
        secret.save(call)?;
    }
    Ok(Reply::empty())
}

fn newest(secret: &KvSecret) -> Reply {
    secret.version(0).map_or_else(Reply::empty, |version| Reply::data(secret.describe(version)))
}

/// The map that was sent. `null` is an empty one, absent is none.
fn sent_data(call: &Call<'_, '_>) -> Result<Map<String, Value>, Error> {
    match call.fields.map("data") {
        Some(data) => Ok(data.clone()),
        None if call.fields.is_null("data") => Ok(Map::new()),
        None => Err(Error::invalid("no data provided")),
    }
}

/// Refuses a write that expected another newest version.
fn check_and_set(call: &mut Call<'_, '_>, secret: Option<&KvSecret>) -> Result<(), Error> {
    let expected = call.fields.map("options").and_then(|options| options.get("cas")).cloned();
    let Some(expected) = expected.filter(|expected| !expected.is_null()) else {
        let is_required = secret.is_some_and(|secret| secret.record.cas_required) || secret::config(call)?.cas_required;
        let missing = || Err(Error::invalid("check-and-set parameter required for this call"));
        return if is_required { missing() } else { Ok(()) };
    };
    let expected = int(&expected).ok_or_else(|| Error::invalid("error parsing check-and-set parameter"))?;
    let current = secret.map_or(0, |secret| secret.record.current);
    if u64::try_from(expected) == Ok(current) {
        return Ok(());
    }
    Err(Error::invalid("check-and-set parameter did not match the current version"))
}

/// JSON merge patch (RFC 7396, section 2): `null` removes, maps merge, everything else replaces.
fn merge(target: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (key, change) in changes {
        match change {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(changes) => {
                let slot = target.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, changes);
                }
            }
            other => {
                target.insert(key.clone(), other.clone());
            }
        }
    }
}
