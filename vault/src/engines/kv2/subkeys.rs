//! `subkeys/`: the shape of a secret, for those who may know which keys it has and not their values.

use serde_json::{Map, Value, json};

use super::secret;
use crate::engine::Call;
use crate::error::Error;
use crate::reply::{Reply, Status};

/// Reads the keys of a version.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let secret = secret::load(call)?.ok_or_else(Error::not_found)?;
    let number = call.fields.int("version").and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    let version = secret.version(number).ok_or_else(Error::not_found)?;
    let levels = match call.fields.int("depth") {
        None | Some(0) => usize::MAX,
        // Any negative number is one level, as clients know it.
        Some(depth) => usize::try_from(depth).unwrap_or(1),
    };
    let data = secret.data(call, version)?;
    let status = if data.is_some() { Status::Done } else { Status::NotFound };
    let subkeys = data.map(|data| shape(&data, levels));
    Ok(Reply { status, ..Reply::data(json!({ "metadata": secret.describe(version), "subkeys": subkeys })) })
}

/// The keys of a map, `levels` deep; leaves and empty maps are `null`.
fn shape(map: &Map<String, Value>, levels: usize) -> Value {
    let entry = |(key, value): (&String, &Value)| {
        let below = match value {
            Value::Object(inner) if levels > 1 && !inner.is_empty() => shape(inner, levels - 1),
            _ => Value::Null,
        };
        (key.clone(), below)
    };
    Value::Object(map.iter().map(entry).collect())
}
