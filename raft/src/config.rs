//! What the node tells this crate when it starts: addresses, timing; its limits stand in `limits.rs`.
//!
//! Everything has a unit. Nothing is read from the environment here.

use std::net::SocketAddr;
use std::time::Duration;

use conclave_batch::MAX_BATCH_BYTES;

use crate::limits::Limits;
use crate::processes::PROCESS_BYTES;

/// How fast a cluster notices a dead leader. All nodes of a cluster should have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between heartbeats. Must stay at least three times the largest round trip between nodes: a heartbeat
    /// that takes longer counts as lost, and an idle cluster would wedge.
    pub heartbeat: Duration,
    /// Shortest time without a leader before a node campaigns.
    pub election_min: Duration,
    /// Longest such time; also the leader's lease. A failover takes up to about twice this, unless the leader's
    /// process has ended, which is noticed at once.
    pub election_max: Duration,
}

impl Timing {
    /// For nodes in one region: 100 ms heartbeat, 500 to 1,000 ms election.
    pub const fn lan() -> Self {
        Self::millis(100, 500, 1_000)
    }

    /// For round trips up to about 150 ms: 500 ms heartbeat, 1,500 to 3,000 ms election.
    pub const fn multi_region() -> Self {
        Self::millis(500, 1_500, 3_000)
    }

    /// For one node without a network, which has nobody to wait for: 20 ms heartbeat, 50 to 100 ms election.
    pub const fn single() -> Self {
        Self::millis(20, 50, 100)
    }

    const fn millis(heartbeat: u64, min: u64, max: u64) -> Self {
        Self {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(min),
            election_max: Duration::from_millis(max),
        }
    }
}

/// How a node takes part in its cluster.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster this node belongs to; `None` until it bootstraps or joins one, or if the cluster file says it.
    pub cluster_id: Option<[u8; 16]>,
    /// Where to listen for other nodes; `None` for a single node without a network.
    pub cluster_listen: Option<SocketAddr>,
    /// Names this process among all that ever ran under this node's id; said with every request to other nodes.
    pub process: [u8; PROCESS_BYTES],
    /// What people call this node; empty if it has no name but its id.
    pub name: String,
    /// `host:port` at which other nodes reach this one. Port 0 means the port that was bound.
    pub cluster_addr: String,
    /// URL of this node's HTTP API, handed to those who ask for the leader.
    pub api_addr: String,
    /// Heartbeats and elections.
    pub timing: Timing,
    /// Bounds.
    pub limits: Limits,
    /// Whether this node may campaign as soon as it runs. A node that starts sealed says `false`.
    pub campaign: bool,
    /// How long a learner that is to become a voter must have kept up before the leader promotes it; `None` leaves
    /// promotion to [`crate::Raft::promote`].
    pub promote_after: Option<Duration>,
    /// How often the leader looks after snapshots, purging and promotion.
    pub upkeep_interval: Duration,
    /// Answers read points with the local applied index at once, which breaks linearizability. For showing that a
    /// checker finds it.
    #[cfg(feature = "mutants")]
    pub unsafe_skip_read_point: bool,
}

impl Config {
    /// A single node without a network.
    pub fn single(api_addr: impl Into<String>) -> Self {
        Self {
            cluster_id: None,
            cluster_listen: None,
            process: rand::random(),
            name: String::new(),
            cluster_addr: String::new(),
            api_addr: api_addr.into(),
            timing: Timing::single(),
            limits: Limits::default(),
            campaign: true,
            promote_after: Some(Duration::from_secs(10)),
            upkeep_interval: Duration::from_secs(1),
            #[cfg(feature = "mutants")]
            unsafe_skip_read_point: false,
        }
    }

    /// A node that listens for others, with LAN timing.
    pub fn clustered(listen: SocketAddr, cluster_addr: impl Into<String>, api_addr: impl Into<String>) -> Self {
        Self {
            cluster_listen: Some(listen),
            cluster_addr: cluster_addr.into(),
            timing: Timing::lan(),
            ..Self::single(api_addr)
        }
    }

    /// openraft's view of this, or why it makes no sense.
    pub(crate) fn consensus(&self) -> Result<openraft::Config, String> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if self.limits.batch_bytes > MAX_BATCH_BYTES {
            return Err(format!("batch_bytes may be at most {MAX_BATCH_BYTES}"));
        }
        if self.limits.batch_bytes + self.limits.read_bytes >= self.limits.message_bytes {
            return Err("message_bytes must exceed batch_bytes and read_bytes together".into());
        }
        let config = openraft::Config {
            cluster_name: "conclave".into(),
            heartbeat_interval: millis(self.timing.heartbeat),
            election_timeout_min: millis(self.timing.election_min),
            election_timeout_max: millis(self.timing.election_max),
            quorum_loss_probe_interval: Some(2 * millis(self.timing.election_max)),
            enable_elect: self.campaign,
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            // This crate decides itself when to make snapshots and what to purge (see `upkeep`).
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            // The real bound is `read_bytes`.
            max_payload_entries: 2_000,
            broadcast_submitted_on_append: Some(true),
            ..Default::default()
        };
        config.validate().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_accepted() {
        for timing in [Timing::lan(), Timing::multi_region(), Timing::single()] {
            let config = Config { timing, ..Config::single("http://127.0.0.1:8200") };
            config.consensus().expect("a preset is valid");
        }
    }

    // check 243
    #[test]
    fn a_batch_that_would_not_fit_a_message_is_refused_as_configuration() {
        let mut config = Config::single("http://127.0.0.1:8200");
        config.limits.message_bytes = config.limits.batch_bytes;
        assert!(config.consensus().is_err());
    }
}
