//! `sys/storage/raft/autopilot`: settings and state of autopilot. The core keeps the settings, the node knows the state.

use std::time::Duration;

use serde_json::json;

use crate::action::Action;
use crate::autopilot;
use crate::engine::{Call, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::request::Operation;
use crate::time::format_duration;

/// Shortest time after which a silent member may count as dead, in seconds.
const MIN_DEAD_SERVER_SECS: u64 = 60;
/// Longest of the times, in seconds.
const MAX_AUTOPILOT_SECS: u64 = 365 * 24 * 3600;

const SETTINGS: &[Field] = &[
    field("cleanup_dead_servers", Kind::Bool, "Whether dead members are removed"),
    field(
        "dead_server_last_contact_threshold",
        Kind::Duration,
        "How long a member gives no answer before it is dead; 1m at least",
    ),
    field("last_contact_threshold", Kind::Duration, "How long a member may give no answer and be healthy"),
    field("max_trailing_logs", Kind::Int, "Entries that a member may lack and be healthy"),
    field("min_quorum", Kind::Int, "Voters below which none is removed for being dead"),
    field("server_stabilization_time", Kind::Duration, "How long a learner must have kept up before it votes"),
    field("disable_upgrade_migration", Kind::Bool, "Refused if true: there is no such migration"),
];

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "storage/raft/autopilot/configuration",
        fields: &[SETTINGS],
        operations: &[(Operation::Read, read), (Operation::Update, write)],
        help: "Read or change when members count as healthy, vote, and are removed",
        ..Path::DEFAULT
    },
    Path {
        pattern: "storage/raft/autopilot/state",
        operations: &[(Operation::Read, state)],
        help: "Read how healthy the members are",
        ..Path::DEFAULT
    },
];

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let settings = autopilot::load(call.store)?;
    Ok(Reply::data(json!({
        "cleanup_dead_servers": settings.cleanup_dead_servers,
        "dead_server_last_contact_threshold": format_duration(Duration::from_secs(settings.dead_server_last_contact_threshold_secs)),
        "last_contact_threshold": format_duration(Duration::from_millis(settings.last_contact_threshold_millis)),
        "max_trailing_logs": settings.max_trailing_logs,
        "min_quorum": settings.min_quorum,
        "server_stabilization_time": format_duration(Duration::from_secs(settings.server_stabilization_time_secs)),
    })))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if call.fields.bool("disable_upgrade_migration") == Some(true) {
        return Err(Error::invalid(
            "disable_upgrade_migration is not supported: leave it out, nothing migrates by itself",
        ));
    }
    let mut settings = autopilot::load(call.store)?;
    let time = |name: &str| match call.fields.duration(name) {
        Some(time) if time.as_secs() > MAX_AUTOPILOT_SECS => {
            Err(Error::invalid(format!("{name} must be at most {MAX_AUTOPILOT_SECS} seconds")))
        }
        time => Ok(time),
    };
    let number = |name: &str| match call.fields.int(name) {
        Some(number) => {
            u64::try_from(number).map(Some).map_err(|_| Error::invalid(format!("{name} must not be negative")))
        }
        None => Ok(None),
    };
    if let Some(cleanup) = call.fields.bool("cleanup_dead_servers") {
        settings.cleanup_dead_servers = cleanup;
    }
    if let Some(time) = time("dead_server_last_contact_threshold")? {
        if time < Duration::from_secs(MIN_DEAD_SERVER_SECS) {
            return Err(Error::invalid("dead_server_last_contact_threshold should not be less than 1m"));
        }
        settings.dead_server_last_contact_threshold_secs = time.as_secs();
    }
    if let Some(time) = time("last_contact_threshold")? {
        if time.is_zero() {
            return Err(Error::invalid("last_contact_threshold must be positive"));
        }
        settings.last_contact_threshold_millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }
    if let Some(time) = time("server_stabilization_time")? {
        settings.server_stabilization_time_secs = time.as_secs();
    }
    settings.max_trailing_logs = number("max_trailing_logs")?.unwrap_or(settings.max_trailing_logs);
    settings.min_quorum = number("min_quorum")?.unwrap_or(settings.min_quorum);
    autopilot::put(call.store, &settings)?;
    Ok(Reply::empty())
}

fn state(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.context.ask_node(Action::AutopilotState)
}
