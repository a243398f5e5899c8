//! Counters that the node exports. Plain numbers; names and labels are the node's business.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// How long something took, by how long.
#[derive(Default)]
pub(crate) struct Timer {
    counts: [Count; Times::BOUNDS_MICROS.len() + 1],
    sum_micros: Count,
}

impl Timer {
    pub(crate) fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = Times::BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.counts[place].add(1);
        self.sum_micros.add(micros);
    }

    fn read(&self) -> Times {
        Times { counts: std::array::from_fn(|place| self.counts[place].get()), sum_micros: self.sum_micros.get() }
    }
}

/// How long something took since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many took at most the bound of the same place, and more than the one before; the last, more than all.
    pub counts: [u64; Self::BOUNDS_MICROS.len() + 1],
    /// All together, in microseconds.
    pub sum_micros: u64,
}

impl Times {
    /// Upper bounds, in microseconds.
    pub const BOUNDS_MICROS: [u64; 12] =
        [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];
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
    pub(crate) sync: Timer,
    pub(crate) apply: Timer,
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
    /// From handing entries to the log until they are on disk.
    pub sync: Times,
    /// One atomic write to the table.
    pub apply: Times,
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
            sync: counters.sync.read(),
            apply: counters.apply.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_at_its_bound() {
        let timer = Timer::default();
        for micros in [0, 250, 251, 5_000_000, 5_000_001] {
            timer.observe(Duration::from_micros(micros));
        }
        let times = timer.read();
        assert_eq!((times.counts[0], times.counts[1], times.counts[11], times.counts[12]), (2, 1, 1, 1));
        assert_eq!(times.sum_micros, 10_000_502);
    }
}
