//! What a node finds out about itself, for the keeper to judge: clock, table, disk, membership, network.
//!
//! Nothing here decides anything. What cannot be measured at the moment stays as it was.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conclave_raft::Status;
use conclave_storage::table::{Contradiction, Table};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::Storage;
use crate::config::limits::{DISK_CALM, DISK_STALL_MIN, UNREACHED_MIN};
use crate::keeper::{self, Troubles, WayBack};
use crate::replica::Replica;
use crate::replica::contact::Contact;
use crate::replica::standstill::Look;
use crate::seal::state::SealState;

/// How often a node looks at itself. A fraction of the shortest election timeout.
const INTERVAL: Duration = Duration::from_millis(100);
/// How often it looks how full its disk is.
const DISK_INTERVAL: Duration = Duration::from_secs(1);

/// What is remembered from one look to the next.
struct Memory {
    /// Since when most voters have said that they do not reach this node.
    unreached_since: Option<Instant>,
    /// Until when a disk that stalled counts as slow.
    slow_until: Option<Instant>,
    disk: DiskSpace,
}

/// Runs until the application stops.
pub(crate) async fn run(replica: Arc<Replica>, state: Arc<SealState>) {
    let disk = DiskSpace { path: data_path(&replica), asked: None, free_bytes: None, next: Instant::now() };
    let mut memory = Memory { unreached_since: None, slow_until: None, disk };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = replica.wakeups.stopping() => return,
            _ = ticks.tick() => {}
        }
        let status = replica.raft.status();
        memory.disk.look().await;
        let before = state.troubles();
        state.observe(Troubles {
            exclusion: replica.raft.exclusion(),
            is_doubled: replica.raft.is_doubled(),
            diverged_at: diverged_at(&replica, &status),
            rolled_back_from: replica.raft.rolled_back_from(),
            clock_ahead_millis: clock_ahead(&replica, &status).unwrap_or(before.clock_ahead_millis),
            behind: behind(&replica, &state),
            is_disk_stalled: memory.is_disk_stalled(&replica),
            unreached_by: memory.unreached_by(&status),
            disk_free_bytes: memory.disk.low(state.low_water_mark(), before.disk_free_bytes.is_some()),
        });
    }
}

/// Looks at the table alone, before it is served for the first time.
pub(crate) fn look_at_table(replica: &Replica, state: &SealState) {
    let diverged_at = diverged_at(replica, &replica.raft.status());
    state.observe(Troubles { diverged_at, ..state.troubles() });
}

fn data_path(replica: &Replica) -> Option<PathBuf> {
    match &replica.config.storage {
        Storage::Memory => None,
        Storage::File { path } => Some(path.clone()),
        Storage::Raft(settings) => Some(settings.path.clone()),
    }
}

fn voters(status: &Status) -> impl Iterator<Item = u64> {
    status.members.iter().filter(|member| member.voter).map(|member| member.id)
}

/// `None` if too few clocks are known; inside, how far this node's is ahead, if that is too much.
fn clock_ahead(replica: &Replica, status: &Status) -> Option<Option<i64>> {
    let clock_of = |id: u64| match status.peers.iter().find(|peer| peer.id == id) {
        Some(peer) => peer.clock_ahead_millis,
        None => (id == status.id).then_some(0),
    };
    let clocks: Vec<_> = voters(status).filter_map(clock_of).collect();
    let ahead = keeper::clock_ahead(&clocks, voters(status).count())?;
    if keeper::is_too_far(ahead) {
        return Some(Some(ahead));
    }
    replica.clock.trust();
    Some(None)
}

/// How many entries this node lacks, if it stands still.
fn behind(replica: &Replica, state: &SealState) -> Option<u64> {
    let look = Look {
        now: Instant::now(),
        applied: replica.raft.applied_index(),
        read_point: replica.raft.known_read_point(),
        // Without keys it serves nothing, and the check of its table holds apply up.
        is_expected: !state.is_sealed() && matches!(replica.contact(), Contact::Confirmed { .. }),
    };
    replica.standstill.look(&look, replica.config.limits.consensus_time)
}

fn diverged_at(replica: &Replica, status: &Status) -> Option<u64> {
    let voters: Vec<_> = voters(status).collect();
    let others = status.peers.iter().filter(|peer| voters.contains(&peer.id));
    let others: Vec<Contradiction> = others.filter_map(|peer| peer.contradiction).collect();
    let digest_at = |index| replica.table.digest_at(index).ok().flatten();
    keeper::diverged_at(replica.table.contradiction(), &others, voters.len(), digest_at)
}

impl Memory {
    /// How many voters do not reach this node, once that has lasted for a while.
    fn unreached_by(&mut self, status: &Status) -> Option<usize> {
        let voters: Vec<_> = voters(status).collect();
        let others = status.peers.iter().filter(|peer| voters.contains(&peer.id) && peer.round_trip.is_some());
        let others: Vec<_> = others
            .map(|peer| WayBack {
                unanswered_for: peer.unanswered_for,
                reached_voters: peer.reached_voters,
                can_lead: peer.can_lead == Some(true),
            })
            .collect();
        let count = keeper::unreached_by(&others, voters.len());
        if count.is_none() {
            self.unreached_since = None;
        }
        count.filter(|_| self.unreached_since.get_or_insert_with(Instant::now).elapsed() >= UNREACHED_MIN)
    }

    /// A disk that stalled once often does it again, so that it counts as slow for a while after.
    fn is_disk_stalled(&mut self, replica: &Replica) -> bool {
        if replica.raft.stalled_for() >= replica.raft.election_timeout().max(DISK_STALL_MIN) {
            self.slow_until = Some(Instant::now() + DISK_CALM);
        }
        self.slow_until.is_some_and(|until| Instant::now() < until)
    }
}

/// How much room a disk has. A disk that hangs is asked once, not again and again.
struct DiskSpace {
    path: Option<PathBuf>,
    asked: Option<JoinHandle<Option<u64>>>,
    free_bytes: Option<u64>,
    next: Instant,
}

impl DiskSpace {
    /// Bytes free, if these are too few. A disk that was nearly full must have somewhat more to count as well again.
    fn low(&self, least: u64, was_low: bool) -> Option<u64> {
        let least = if was_low { least.saturating_add(least / 4) } else { least };
        self.free_bytes.filter(|free| *free < least)
    }

    async fn look(&mut self) {
        if self.asked.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(asked) = self.asked.take()
        {
            self.free_bytes = asked.await.ok().flatten();
        }
        if let Some(path) = self.path.clone()
            && self.asked.is_none()
            && Instant::now() >= self.next
        {
            self.next = Instant::now() + DISK_INTERVAL;
            self.asked = Some(tokio::task::spawn_blocking(move || {
                let space = rustix::fs::statvfs(&path).ok()?;
                Some(space.f_bavail.saturating_mul(space.f_frsize))
            }));
        }
    }
}

#[cfg(test)]
mod tests;
