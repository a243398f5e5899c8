//! Counters that the node exports. Plain numbers; names and labels are the node's business.

use std::sync::atomic::{AtomicU64, Ordering};

use conclave_storage::log::{Entry, Payload};

/// A number that only grows, or a gauge, depending on its owner.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts kept while running.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) votes: Count,
    pub(crate) appends: Count,
    pub(crate) appended_entries: Count,
    pub(crate) appended_bytes: Count,
    pub(crate) apply_batches: Count,
    pub(crate) applied_entries: Count,
    pub(crate) leader_changes: Count,
    pub(crate) read_rounds: Count,
    pub(crate) read_points: Count,
    pub(crate) outcomes_applied: Count,
    pub(crate) outcomes_conflict: Count,
    pub(crate) outcomes_other: Count,
    pub(crate) not_appended: Count,
    pub(crate) unknown: Count,
    pub(crate) refused: Count,
    pub(crate) doomed_entries: Count,
    pub(crate) snapshots_built: Count,
    pub(crate) snapshots_sent: Count,
    pub(crate) snapshots_installed: Count,
}

impl Counters {
    pub(crate) fn count_append(&self, entries: &[Entry]) {
        let size = |entry: &Entry| match &entry.payload {
            Payload::Blank => 0,
            Payload::Batch(bytes) | Payload::Membership(bytes) => bytes.len() as u64,
        };
        self.appends.add(1);
        self.appended_entries.add(entries.len() as u64);
        self.appended_bytes.add(entries.iter().map(size).sum());
    }
}

/// Counters and gauges of one node, all since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Votes written and synced: elections this node took part in.
    pub votes: u64,
    /// Writes to the log.
    pub appends: u64,
    /// Entries in them; divided by `appends`, the mean size of a write.
    pub appended_entries: u64,
    /// Payload bytes in them.
    pub appended_bytes: u64,
    /// Atomic writes to the table.
    pub apply_batches: u64,
    /// Entries in them.
    pub applied_entries: u64,
    /// How often this node saw another leader, or none.
    pub leader_changes: u64,
    /// Rounds made for read points.
    pub read_rounds: u64,
    /// Read points given out; divided by `read_rounds`, how many reads share a round.
    pub read_points: u64,
    /// Proposals made here that were applied.
    pub outcomes_applied: u64,
    /// Proposals made here that met a conflict.
    pub outcomes_conflict: u64,
    /// Proposals made here that were too old, of another epoch, or malformed.
    pub outcomes_other: u64,
    /// Proposals made here that were certainly not appended.
    pub not_appended: u64,
    /// Proposals made here whose fate is not known.
    pub unknown: u64,
    /// Proposals made here that the leader refused.
    pub refused: u64,
    /// Entries that met a conflict at apply although the leader had checked them. Should stay near zero.
    pub doomed_entries: u64,
    /// Snapshots made.
    pub snapshots_built: u64,
    /// Snapshots sent to other nodes.
    pub snapshots_sent: u64,
    /// Snapshots received and installed.
    pub snapshots_installed: u64,
    /// Bytes of batches waiting to be appended and applied, on the leader.
    pub waiting_bytes: u64,
    /// Batches waiting to be appended and applied, on the leader.
    pub waiting_batches: u64,
}

impl Metrics {
    pub(crate) fn read(counters: &Counters, waiting_bytes: u64, waiting_batches: u64) -> Self {
        Self {
            votes: counters.votes.get(),
            appends: counters.appends.get(),
            appended_entries: counters.appended_entries.get(),
            appended_bytes: counters.appended_bytes.get(),
            apply_batches: counters.apply_batches.get(),
            applied_entries: counters.applied_entries.get(),
            leader_changes: counters.leader_changes.get(),
            read_rounds: counters.read_rounds.get(),
            read_points: counters.read_points.get(),
            outcomes_applied: counters.outcomes_applied.get(),
            outcomes_conflict: counters.outcomes_conflict.get(),
            outcomes_other: counters.outcomes_other.get(),
            not_appended: counters.not_appended.get(),
            unknown: counters.unknown.get(),
            refused: counters.refused.get(),
            doomed_entries: counters.doomed_entries.get(),
            snapshots_built: counters.snapshots_built.get(),
            snapshots_sent: counters.snapshots_sent.get(),
            snapshots_installed: counters.snapshots_installed.get(),
            waiting_bytes,
            waiting_batches,
        }
    }
}
