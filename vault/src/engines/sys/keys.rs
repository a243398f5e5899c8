//! `sys/key-status` and `sys/rotate`: the barrier's key term.

use serde_json::{Value, json};

use crate::barrier::uses::{DEFAULT_ROTATION_LIMIT, MIN_ROTATION_LIMIT, is_valid_rotation_limit};
use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::request::Operation;
use crate::rotation::{self, MIN_INTERVAL_SECS};
use crate::time::format_duration;

const SETTINGS: &[Field] = &[
    field("max_operations", Kind::Int, "Encryptions after which the term rotates by itself"),
    field("interval", Kind::Duration, "Age after which the term rotates by itself; 0 is never, else at least a day"),
    field("enabled", Kind::Bool, "Whether it rotates by age and before the hard limit"),
];

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "key-status",
        operations: &[(Operation::Read, status)],
        help: "Read the number and age of the barrier's key term, and how often it encrypted; what other nodes reserved counts in full",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rotate",
        operations: &[(Operation::Update, rotate)],
        access: Access::Sudo,
        help: "Begin a new key term",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rotate/keyring",
        operations: &[(Operation::Update, rotate)],
        access: Access::Sudo,
        help: "Begin a new key term",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rotate/config",
        fields: &[SETTINGS],
        operations: &[(Operation::Read, read), (Operation::Update, write)],
        access: Access::Sudo,
        help: "Read or change when the key term rotates by itself",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rotate/keyring/config",
        fields: &[SETTINGS],
        operations: &[(Operation::Read, read), (Operation::Update, write)],
        access: Access::Sudo,
        help: "Read or change when the key term rotates by itself",
        ..Path::DEFAULT
    },
];

fn status(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let reserved = rotation::encryptions(call.store)?;
    let barrier = call.store.barrier();
    // What other nodes reserved is counted in full: how much of it they have spent, only they know.
    let encryptions = reserved.saturating_sub(barrier.unspent_uses());
    Ok(Reply::data(json!({
        "term": barrier.active_term(),
        "install_time": barrier.active_term_made_at().to_string(),
        "encryptions": encryptions,
    }))
    .injected())
}

fn rotate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    rotation::rotate_term(call.store, call.context)?;
    Ok(Reply::empty())
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let settings = rotation::settings(call.store)?;
    let interval = match settings.interval_secs {
        0 => Value::from(0),
        secs => format_duration(std::time::Duration::from_secs(secs)).into(),
    };
    Ok(Reply::data(
        json!({ "enabled": !settings.is_disabled, "interval": interval, "max_operations": settings.limit() }),
    ))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut settings = rotation::settings(call.store)?;
    if let Some(limit) = call.fields.int("max_operations") {
        let limit = u64::try_from(limit).ok().filter(|limit| is_valid_rotation_limit(*limit));
        settings.max_operations = limit.ok_or_else(|| {
            Error::invalid(format!(
                "max_operations must be in the range [{MIN_ROTATION_LIMIT},{DEFAULT_ROTATION_LIMIT}]"
            ))
        })?;
    }
    if let Some(interval) = call.fields.duration("interval") {
        settings.interval_secs = interval.as_secs();
        if !interval.is_zero() && settings.interval_secs < MIN_INTERVAL_SECS {
            return Err(Error::invalid("interval must be greater or equal to 24h0m0s"));
        }
    }
    if call.fields.has("enabled") {
        let is_enabled = call.fields.bool_or("enabled", true, true);
        settings.is_disabled = !is_enabled;
    }
    rotation::put_settings(call.store, &settings)?;
    Ok(Reply::empty())
}
