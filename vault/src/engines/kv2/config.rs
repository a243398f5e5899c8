//! `config`: defaults for all secrets of a mount.

use std::time::Duration;

use serde_json::json;

use super::record::ConfigRecord;
use super::secret;
use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Kind, field, parse_duration};
use crate::reply::Reply;
use crate::time::format_duration;

pub(super) const FIELDS: &[Field] = &[
    field("max_versions", Kind::Int, "Versions kept of each secret; 0 is 10."),
    field("cas_required", Kind::Bool, "Whether every write must say which version it follows."),
    field(
        "delete_version_after",
        Kind::Text,
        "How long a version lives; 0 is for ever, negative whatever a secret says.",
    ),
];

/// Reads the defaults.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let config = secret::config(call)?;
    Ok(Reply::data(json!({
        "cas_required": config.cas_required,
        "delete_version_after": format_after(config.delete_after_nanos),
        "max_versions": config.max_versions,
        "metadata_cas_required": false,
    })))
}

/// Changes the defaults that were sent.
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut config: ConfigRecord = secret::config(call)?;
    if let Some(limit) = call.fields.int("max_versions") {
        // As a 32-bit number without a sign, which is how clients read it back.
        config.max_versions = limit as u32;
    }
    if let Some(required) = call.fields.bool("cas_required") {
        config.cas_required = required;
    }
    if let Some(text) = call.fields.text("delete_version_after") {
        config.delete_after_nanos = parse_after(text)?;
    }
    call.store.put(&call.mount.area, secret::CONFIG, &config)?;
    Ok(Reply::empty())
}

fn parse_after(text: &str) -> Result<i64, Error> {
    let invalid = || {
        Error::invalid(
            "Field validation failed: error converting input for field \"delete_version_after\": expected a duration such as 90, \"1h30m\" or \"2d\"",
        )
    };
    if let Some(positive) = text.trim().strip_prefix('-') {
        return parse_duration(positive).map(|_| -1).ok_or_else(invalid);
    }
    parse_duration(text).map(nanos_of).ok_or_else(invalid)
}

/// A duration in nanoseconds, as records keep it.
pub(super) fn nanos_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The time after which versions delete themselves, as replies show it.
pub(super) fn format_after(nanos: i64) -> String {
    match u64::try_from(nanos) {
        Ok(nanos) => format_duration(Duration::from_nanos(nanos)),
        Err(_) => "-1s".to_owned(),
    }
}
