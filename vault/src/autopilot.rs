//! Settings of autopilot: when a member counts as healthy, when a learner votes, and when one that is dead is removed. The
//! node's leader keeps to them; `docs/operating/cluster.md` says how.

use prost::Message;

use crate::error::Error;
use crate::store::Store;

/// Where the settings lie in the system area.
const SETTINGS: &[&str] = &["core", "autopilot"];

/// The settings, all of them as they were last written.
#[derive(Clone, PartialEq, Message)]
pub struct AutopilotSettings {
    /// Whether dead members are removed.
    #[prost(bool, tag = "1")]
    pub cleanup_dead_servers: bool,
    /// How long a member may give no answer before it is dead, in seconds.
    #[prost(uint64, tag = "2")]
    pub dead_server_last_contact_threshold_secs: u64,
    /// How long a member may give no answer and be healthy, in milliseconds.
    #[prost(uint64, tag = "3")]
    pub last_contact_threshold_millis: u64,
    /// Entries that a member may lack and be healthy.
    #[prost(uint64, tag = "4")]
    pub max_trailing_logs: u64,
    /// Voters below which none is removed for being dead.
    #[prost(uint64, tag = "5")]
    pub min_quorum: u64,
    /// How long a learner must have kept up before it votes, in seconds.
    #[prost(uint64, tag = "6")]
    pub server_stabilization_time_secs: u64,
}

impl AutopilotSettings {
    /// What counts as long as nobody wrote anything.
    pub const UNSET: Self = Self {
        cleanup_dead_servers: false,
        dead_server_last_contact_threshold_secs: 24 * 3600,
        last_contact_threshold_millis: 10_000,
        max_trailing_logs: 1_000,
        min_quorum: 0,
        server_stabilization_time_secs: 10,
    };
}

/// The settings.
pub fn load(store: &mut Store<'_>) -> Result<AutopilotSettings, Error> {
    let system = store.system();
    Ok(store.get(&system, SETTINGS)?.unwrap_or(AutopilotSettings::UNSET))
}

/// Stores the settings, which the caller checked.
pub(crate) fn put(store: &mut Store<'_>, settings: &AutopilotSettings) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, SETTINGS, settings)
}
