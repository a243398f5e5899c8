//! What people note about entities, aliases and groups: pairs of texts, and names of policies; and how all of it is shown.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::engine::Call;
use crate::engines::terms::{assignable, or_null};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::identity::record::AliasRecord;
use crate::mount::Class;
use crate::mount::class_of;
use crate::mount::table::MountTable;
use crate::printable;
use crate::time::Time;

/// Most pairs.
const MAX_PAIRS: usize = 64;
/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 128;
/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 512;

pub(super) const METADATA: Field = field("metadata", Kind::KeyValues, "Pairs of texts, which policies may refer to.");
pub(super) const POLICIES: Field = field("policies", Kind::CommaNames, "Policies that it gives; never root.");
pub(super) const CUSTOM_METADATA: Field =
    field("custom_metadata", Kind::KeyValues, "Pairs of texts, which policies may refer to.");

/// Pairs of texts that were sent, in place of those before; `None` if none were sent.
pub(super) fn pairs(fields: &Fields, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(sent) = fields.map(name) else { return Ok(None) };
    if sent.len() > MAX_PAIRS {
        return Err(Error::invalid(format!("{name} holds {} pairs, at most {MAX_PAIRS} are kept", sent.len())));
    }
    let pairs = sent.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
    let pairs: BTreeMap<_, _> = pairs.collect();
    if pairs.iter().any(|(key, value)| key.len() > MAX_KEY_BYTES || value.len() > MAX_VALUE_BYTES) {
        return Err(Error::invalid(format!(
            "{name} holds a key of more than {MAX_KEY_BYTES} bytes, or a value of more than {MAX_VALUE_BYTES}"
        )));
    }
    printable::check_pairs(name, &pairs)?;
    Ok(Some(pairs))
}

/// Names of policies that were sent; `None` if none were.
pub(super) fn policies(fields: &Fields) -> Result<Option<Vec<String>>, Error> {
    let Some(sent) = fields.list(POLICIES.name) else { return Ok(None) };
    let sent: Vec<String> = sent.iter().filter(|name| !name.trim().is_empty()).cloned().collect();
    assignable(POLICIES.name, &sent).map(Some)
}

/// Pairs as clients know them: a map, or `null`.
pub(super) fn shown_pairs(pairs: &BTreeMap<String, String>) -> Value {
    if pairs.is_empty() { Value::Null } else { json!(pairs) }
}

/// A time as clients know it.
pub(super) fn shown_time(nanos: i64) -> String {
    Time::from_nanos(nanos).to_string()
}

/// An alias as a part of its owner.
pub(super) fn shown_alias(mounts: &MountTable, alias: &AliasRecord, owner_id: &str) -> Value {
    let mut shown = shown_in_list(mounts, alias, owner_id);
    shown["id"] = alias.id.clone().into();
    shown["creation_time"] = shown_time(alias.created_nanos).into();
    shown["last_update_time"] = shown_time(alias.updated_nanos).into();
    shown["merged_from_canonical_ids"] = or_null(&alias.merged_from_ids);
    shown
}

/// An alias as a list shows it.
pub(super) fn shown_in_list(mounts: &MountTable, alias: &AliasRecord, owner_id: &str) -> Value {
    let (path, kind) = mount_of(mounts, alias);
    json!({
        "canonical_id": owner_id,
        "custom_metadata": shown_pairs(&alias.custom_metadata),
        "local": false,
        "metadata": shown_pairs(&alias.metadata),
        "mount_accessor": alias.mount_accessor,
        "mount_path": path,
        "mount_type": kind,
        "name": alias.name,
    })
}

/// Path and kind of the mount that an alias is of; empty if that is gone.
pub(super) fn mount_of<'m>(mounts: &'m MountTable, alias: &AliasRecord) -> (&'m str, &'m str) {
    let entry = mounts.iter().find(|entry| entry.record.accessor == alias.mount_accessor);
    entry.map_or(("", ""), |entry| (entry.record.path.as_str(), entry.record.kind.as_str()))
}

/// Refuses an accessor that is not one of an auth method.
pub(super) fn check_accessor(call: &mut Call<'_, '_>, accessor: &str) -> Result<(), Error> {
    let mounts = MountTable::load(call.store)?;
    let is_known =
        |record: &crate::mount::MountRecord| record.accessor == accessor && class_of(&record.path) == Class::Auth;
    match mounts.iter().any(|entry| is_known(&entry.record)) {
        true => Ok(()),
        false => Err(Error::invalid(format!("invalid mount accessor {accessor:?}"))),
    }
}
