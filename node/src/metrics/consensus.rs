//! What consensus counts and knows, as metrics.

use std::time::Duration;

use conclave_raft::{Role, Status};
use parking_lot::Mutex;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use super::summary::Summary;
use super::{family, raise, register, signed};

type Counter = (&'static str, &'static str, fn(&conclave_raft::Metrics) -> u64);
type Gauge = (&'static str, &'static str, fn(&Status) -> u64);

const COUNTERS: [Counter; 19] = [
    ("vault_raft_apply", "Proposals made here that were applied", |m| m.outcomes_applied),
    ("conclave_raft_conflicts_total", "Proposals made here that met a conflict and ran again", |m| m.outcomes_conflict),
    ("conclave_raft_other_outcomes_total", "Proposals too old, of another epoch or malformed", |m| m.outcomes_other),
    ("conclave_raft_not_appended_total", "Proposals that were certainly not appended", |m| m.not_appended),
    ("conclave_raft_unknown_total", "Proposals whose fate is not known", |m| m.unknown),
    ("conclave_raft_refused_total", "Proposals that the leader refused", |m| m.refused),
    ("conclave_raft_doomed_entries_total", "Entries that met a conflict although the leader had checked", |m| {
        m.doomed_entries
    }),
    ("conclave_raft_votes_total", "Votes written and synced", |m| m.votes),
    ("conclave_raft_appends_total", "Synced writes to the log", |m| m.appends),
    ("conclave_raft_appended_entries_total", "Entries written to the log", |m| m.appended_entries),
    ("conclave_raft_appended_bytes_total", "Payload bytes written to the log", |m| m.appended_bytes),
    ("conclave_raft_apply_batches_total", "Atomic writes to the table", |m| m.apply_batches),
    ("conclave_raft_applied_entries_total", "Entries applied to the table", |m| m.applied_entries),
    ("conclave_raft_leader_changes_total", "Changes of leader seen", |m| m.leader_changes),
    ("conclave_raft_read_rounds_total", "Rounds made for read points", |m| m.read_rounds),
    ("conclave_raft_read_points_total", "Read points given out", |m| m.read_points),
    ("conclave_raft_snapshots_built_total", "Snapshots made", |m| m.snapshots_built),
    ("conclave_raft_snapshots_sent_total", "Snapshots sent", |m| m.snapshots_sent),
    ("conclave_raft_snapshots_installed_total", "Snapshots installed", |m| m.snapshots_installed),
];

const GAUGES: [Gauge; 12] = [
    ("vault_core_active", "1 if this node leads", |s| u64::from(s.role == Role::Leader)),
    ("vault_raft_storage_stats_commit_index", "Index through which entries are known to be committed", |s| s.committed),
    ("vault_raft_storage_stats_applied_index", "Index through which entries are applied", |s| s.applied),
    ("vault_raft_peers", "Members of the cluster", |s| s.members.len() as u64),
    ("conclave_raft_voters", "Members that vote", |s| s.members.iter().filter(|member| member.voter).count() as u64),
    ("conclave_raft_term", "Term", |s| s.term),
    ("conclave_raft_has_leader", "1 if a leader is known", |s| u64::from(s.leader.is_some())),
    ("conclave_raft_last_log_index", "Index of the last entry", |s| s.last_log),
    ("conclave_raft_snapshot_index", "Index of the newest snapshot", |s| s.snapshot),
    ("conclave_raft_halted", "1 if apply stopped at an entry that does not verify", |s| u64::from(s.halted.is_some())),
    ("vault_autopilot_healthy", "1 if every other voter answers this node", |s| u64::from(silent_voters(s) == 0)),
    (
        "vault_autopilot_failure_tolerance",
        "Voters that may fail, as this node sees it, before the cluster has no majority",
        failure_tolerance,
    ),
];

/// Other voters that give this node no answer.
fn silent_voters(status: &Status) -> u64 {
    let is_voter = |id: u64| status.members.iter().any(|member| member.id == id && member.voter);
    status.peers.iter().filter(|peer| is_voter(peer.id) && peer.round_trip.is_none()).count() as u64
}

fn failure_tolerance(status: &Status) -> u64 {
    let voters = status.members.iter().filter(|member| member.voter).count() as u64;
    (voters - silent_voters(status).min(voters)).saturating_sub(voters / 2 + 1)
}

/// The metrics of consensus.
pub(super) struct Consensus {
    counters: Vec<IntCounter>,
    gauges: Vec<IntGauge>,
    waiting_bytes: IntGauge,
    peer_lag: IntGaugeVec,
    peer_contact: IntGaugeVec,
    peer_answers: IntGaugeVec,
    leader_contact: Summary,
    last: Mutex<conclave_raft::Metrics>,
}

impl Consensus {
    pub(super) fn new(registry: &Registry) -> Self {
        let of_peer =
            |name: &str, help: &str| register(registry, IntGaugeVec::new(Opts::new(name, help), &["node_id"]));
        let waiting = ("conclave_raft_waiting_bytes", "Bytes of batches that wait to be appended and applied");
        Self {
            counters: COUNTERS
                .iter()
                .map(|(name, help, _)| register(registry, IntCounter::new(*name, *help)))
                .collect(),
            gauges: GAUGES.iter().map(|(name, help, _)| register(registry, IntGauge::new(*name, *help))).collect(),
            waiting_bytes: register(registry, IntGauge::new(waiting.0, waiting.1)),
            peer_lag: of_peer("conclave_raft_peer_lag_entries", "Entries that a member lacks; on the leader only"),
            peer_contact: of_peer(
                "conclave_raft_peer_contact_milliseconds",
                "Time since a member acknowledged a heartbeat; on the leader only",
            ),
            peer_answers: of_peer("conclave_raft_peer_answers", "1 if a member answered this node's last probe"),
            leader_contact: Summary::new(),
            last: Mutex::default(),
        }
    }

    /// Takes over what consensus says now. Members that are none any more vanish.
    pub(super) fn set(&self, status: &Status, counted: conclave_raft::Metrics, name: impl Fn(u64) -> String) {
        for ((_, _, read), counter) in COUNTERS.iter().zip(&self.counters) {
            raise(counter, read(&counted));
        }
        for ((_, _, read), gauge) in GAUGES.iter().zip(&self.gauges) {
            gauge.set(signed(read(status)));
        }
        self.waiting_bytes.set(signed(counted.waiting_bytes));
        [&self.peer_lag, &self.peer_contact, &self.peer_answers].into_iter().for_each(IntGaugeVec::reset);
        for peer in &status.peers {
            let name = name(peer.id);
            let label = [name.as_str()];
            self.peer_answers.with_label_values(&label).set(i64::from(peer.round_trip.is_some()));
            if let Some(matched) = peer.matched {
                self.peer_lag.with_label_values(&label).set(signed(status.last_log.saturating_sub(matched)));
            }
            if let Some(contact) = peer.last_contact {
                self.peer_contact.with_label_values(&label).set(signed(millis(contact)));
            }
        }
        if status.role == Role::Leader
            && let Some(longest) = status.peers.iter().filter_map(|peer| peer.last_contact).max()
        {
            self.leader_contact.observe(longest);
        }
        *self.last.lock() = counted;
    }

    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let last = self.last.lock();
        vec![
            family::summary(
                "vault_raft_leader_lastContact",
                "Longest time since a member acknowledged a heartbeat, looked at twice a second, in milliseconds; on the leader only",
                &self.leader_contact,
            ),
            family::histogram(
                "conclave_raft_sync_seconds",
                "Time from handing entries to the log until they are on disk",
                &last.sync,
            ),
            family::histogram(
                "conclave_raft_apply_seconds",
                "Time of one atomic write of entries to the table",
                &last.apply,
            ),
        ]
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
