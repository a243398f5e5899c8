//! Lists of secrets: the names in a folder, all names below it, and either with what is known of each.
//!
//! What surprises: documents of version 1 that were not written since an upgrade are there too.

use serde_json::{Map, Value, json};

use super::{metadata, secret};
use crate::engine::Call;
use crate::engines::{kv1, listing};
use crate::error::Error;
use crate::reply::Reply;

/// Most secrets that one list tells about.
const MAX_DETAILED: usize = 1_000;

/// The names in a folder.
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let path = secret::path_of(call);
    let new = call.store.list(&call.mount.area, &secret::segments(secret::METADATA, path))?;
    let old = call.store.list(&call.mount.area, &secret::segments(kv1::ROOT, path))?;
    if old.is_empty() {
        return listing::page_of(&new, &call.fields);
    }
    listing::page(merged(listing::keys(&new), listing::keys(&old)), &call.fields)
}

/// The secrets below a folder, at any depth.
pub(super) fn scan(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let path = secret::path_of(call);
    let new = listing::below(call.store, &call.mount.area, &secret::segments(secret::METADATA, path))?;
    let old = listing::below(call.store, &call.mount.area, &secret::segments(kv1::ROOT, path))?;
    listing::page(merged(new, old), &call.fields)
}

/// The names in a folder, with the metadata of those that are secrets.
pub(super) fn list_detailed(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let reply = list(call)?;
    with_details(call, reply)
}

/// The secrets below a folder with their metadata.
pub(super) fn scan_detailed(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let reply = scan(call)?;
    with_details(call, reply)
}

/// Names from both trees.
fn merged(mut keys: Vec<String>, mut old: Vec<String>) -> Vec<String> {
    if !old.is_empty() {
        keys.append(&mut old);
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}

fn with_details(call: &mut Call<'_, '_>, mut reply: Reply) -> Result<Reply, Error> {
    let Some(data) = &mut reply.data else { return Ok(reply) };
    let keys = data.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    if keys.len() > MAX_DETAILED {
        return Err(Error::invalid(format!(
            "{} names are too many to tell about at once; ask for at most {MAX_DETAILED} with limit",
            keys.len()
        )));
    }
    let folder = secret::path_of(call).to_owned();
    let mut details = Map::new();
    for key in keys.iter().filter_map(Value::as_str).filter(|key| !key.ends_with('/')) {
        if let Some(secret) = secret::load_at(call, &format!("{folder}{key}"))? {
            details.insert(key.to_owned(), metadata::describe(&secret));
        }
    }
    data.insert("key_info".into(), json!(details));
    Ok(reply)
}
