//! What has to be done now and then: snapshots, purging, promotion, acquaintance.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_storage::table::Contradiction;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, RaftMetrics, ServerState};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::caller::{is_left_behind, is_not_a_member, members_index};
use crate::link::Lane;
use crate::processes;
use crate::raft::Inner;
use crate::round_trip::LeastRoundTrip;
use crate::status::Probe;
use crate::types::Types;
use crate::wire::{self, proto};

/// Into how many parts the bytes that are kept of the log are divided, to know which entries they are.
const MARKS: u64 = 64;
/// Entries that a learner may lack and count as caught up.
const CAUGHT_UP_ENTRIES: u64 = 256;

/// What upkeep remembers from one time to the next.
#[derive(Default)]
struct Memory {
    /// Bytes that had been appended when the last snapshot was made.
    snapshot_bytes: u64,
    /// Since when each learner has kept up.
    caught_up: HashMap<u64, Instant>,
    /// Where the log ended, and how many bytes had been appended by then; oldest first.
    marks: VecDeque<(u64, u64)>,
}

impl Memory {
    /// Notes where the log ends now, and says up to which index it holds more than `keep_bytes` behind.
    fn beyond(&mut self, last: u64, appended: u64, keep_bytes: u64) -> u64 {
        let is_far = self.marks.back().is_none_or(|(_, bytes)| appended - bytes >= keep_bytes / MARKS);
        if is_far {
            self.marks.push_back((last, appended));
        }
        let is_beyond = |mark: &&(u64, u64)| appended - mark.1 > keep_bytes;
        let Some((index, _)) = self.marks.iter().rev().find(is_beyond).copied() else { return 0 };
        // What lies before that mark can tell nothing more.
        self.marks.retain(|(mark, _)| *mark >= index);
        index
    }
}

/// Runs until `stop` turns true. `reopened` names nodes whose connection came up.
pub(crate) async fn run(inner: Arc<Inner>, mut reopened: mpsc::Receiver<u64>, mut stop: watch::Receiver<bool>) {
    let mut memory = Memory::default();
    let mut ticks = tokio::time::interval(inner.config.upkeep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended(&mut stop) => return,
            Some(id) = reopened.recv() => {
                // Whoever can be reached again should not wait for a backoff that began when it could not.
                let _ = inner.raft.trigger().reset_backoff([id]).await;
                continue;
            }
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = inner.upkeep(&mut memory) => {}
            () = ended(&mut stop) => return,
        }
    }
}

pub(crate) async fn ended(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could say stop is gone.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

impl Inner {
    async fn upkeep(self: &Arc<Self>, memory: &mut Memory) {
        let metrics = self.raft.metrics().borrow_watched().clone();
        if metrics.running_state.is_err() {
            return;
        }
        self.probe_others().await;
        self.allow_elections();
        self.make_snapshot(&metrics, memory).await;
        self.purge(&metrics, memory).await;
        if metrics.state == ServerState::Leader {
            self.promote_learners(&metrics, memory).await;
        } else {
            memory.caught_up.clear();
        }
    }

    /// Asks every other node how it is, all at once. Their answers keep round trips known, and tell a node that was
    /// away who the members are by now.
    async fn probe_others(&self) {
        let others = self.peers.others();
        self.probes.lock().retain(|id, _| others.contains(id));
        self.processes.keep_only(&others);
        self.refusals.lock().retain(|id, _| others.contains(id));
        self.left_behind_by.lock().retain(|id| others.contains(id));
        self.answered.lock().retain(|id, _| others.contains(id));
        self.factory.acknowledged.keep_only(|id| id == self.id || others.contains(&id));
        let asked = others.iter().map(|id| self.probe(*id));
        let answers: Vec<_> = futures::future::join_all(asked).await.into_iter().flatten().collect();
        // Who has just started has heard too little to say so. With nobody to ask, what was known stays.
        let witnesses = answers.iter().filter(|probe| !probe.has_just_started);
        let (hearing_two, hearing_one): (Vec<&Probe>, Vec<&Probe>) = witnesses.partition(|probe| probe.hears_two);
        if !hearing_two.is_empty() || !hearing_one.is_empty() {
            self.is_doubled.store(hearing_two.len() > hearing_one.len(), Ordering::Relaxed);
        }
    }

    /// Asks one node how it is; `None` if it does not answer within an election timeout.
    pub(crate) async fn probe(&self, id: u64) -> Option<Probe> {
        let way = self.factory.wire(id, Lane::Calls)?;
        self.answered.lock().entry(id).or_insert_with(Instant::now);
        let asked = async {
            let (number, mut client) = way.client_by(Instant::now() + self.config.timing.election_max).await?;
            let start = Instant::now();
            let reply = client.probe(way.request(proto::ProbeRequest {})).await;
            let reply = reply.inspect_err(|status| {
                way.report(number, status);
                if is_not_a_member(status) {
                    self.refusals.lock().insert(id, members_index(status));
                }
                if is_left_behind(status) {
                    self.left_behind_by.lock().insert(id);
                }
            });
            Some((start.elapsed(), reply.ok()?.into_inner()))
        };
        let answer = timeout(self.config.timing.election_max, asked).await.ok().flatten();
        let Some((round_trip, reply)) = answer else {
            self.probes.lock().remove(&id);
            return None;
        };
        let digest = reply.contradicted_digest.as_ref().try_into();
        let contradiction = digest.ok().map(|digest| Contradiction { index: reply.contradicted_index, digest });
        // The clock was read about half a round trip ago.
        let clock_millis = match reply.clock_millis {
            0 => 0,
            read => read.saturating_add(u64::try_from(round_trip.as_millis() / 2).unwrap_or(u64::MAX)),
        };
        let before = self.probes.lock().get(&id).map(|probe| probe.least_round_trip);
        let probe = Probe {
            round_trip,
            least_round_trip: before.map_or(LeastRoundTrip::first(round_trip), |before| before.with(round_trip)),
            can_lead: reply.can_lead,
            last: reply.last.as_ref().map(wire::read_log_id),
            clock_millis,
            at: Instant::now(),
            contradiction,
            unanswered_for: Duration::from_millis(reply.asker_silent_ms),
            reached_voters: usize::try_from(reply.reached_voters).unwrap_or(usize::MAX),
            hears_two: reply.asker_is_doubled,
            is_refused: reply.is_refused,
            has_just_started: reply.has_just_started,
        };
        if reply.rolled_back_from > 0 && self.view().leader == Some(id) {
            self.learn_of_rollback(reply.rolled_back_from);
        }
        for (node, acknowledged) in reply.acknowledged.iter().map(wire::read_acknowledgement) {
            if node == self.id || self.peers.record(node).is_some() {
                self.factory.acknowledged.hear(node, acknowledged);
            }
        }
        self.refusals.lock().remove(&id);
        self.left_behind_by.lock().remove(&id);
        self.probes.lock().insert(id, probe);
        self.answered.lock().insert(id, probe.at);
        if let (Some(from), Some(members)) = (&reply.membership_id, &reply.membership)
            && let Ok(members) = wire::read_membership(members)
        {
            let members = members.nodes().map(|(id, record)| (*id, record.clone())).collect();
            self.peers.vouch(wire::read_log_id(from), members);
        }
        Some(probe)
    }

    /// Whether this node has heard the others for too short a time to tell one process under an id from two.
    pub(crate) fn has_just_started(&self) -> bool {
        self.started_at.elapsed() < processes::ALIVE
    }

    /// For how long a node has given no answer to this one's probes; zero if it answered the last.
    pub(crate) fn unanswered_for(&self, id: u64) -> Duration {
        if self.probes.lock().contains_key(&id) {
            return Duration::ZERO;
        }
        self.answered.lock().get(&id).map_or(Duration::ZERO, Instant::elapsed)
    }

    /// How many voters answer this node's probes, itself included if it votes.
    pub(crate) fn reached_voters(&self) -> usize {
        let probes = self.probes.lock();
        self.view().membership.voter_ids().filter(|id| *id == self.id || probes.contains_key(id)).count()
    }

    async fn make_snapshot(&self, metrics: &RaftMetrics<Types>, memory: &mut Memory) {
        let limits = &self.config.limits;
        let applied = metrics.last_applied.map_or(0, |id| id.index);
        let snapshot = metrics.snapshot.map_or(0, |id| id.index);
        let appended = self.counters.appended_bytes.get();
        let is_due = applied.saturating_sub(snapshot) >= limits.snapshot_entries
            || (applied > snapshot && appended.saturating_sub(memory.snapshot_bytes) >= limits.snapshot_bytes);
        if is_due {
            memory.snapshot_bytes = appended;
            // If consensus has stopped, there is nothing left to look after.
            let _ = self.raft.trigger().snapshot().await;
        }
    }

    /// Purges what no one needs: it is in a snapshot, a confirmed checkpoint covers it, and it is old enough for
    /// followers.
    async fn purge(&self, metrics: &RaftMetrics<Types>, memory: &mut Memory) {
        // Before the first confirmed checkpoint nothing is purged but what an installed snapshot covers.
        let confirmed = self.table.rewind_index();
        let applied = metrics.last_applied.map_or(0, |id| id.index);
        let snapshot = metrics.snapshot.map_or(0, |id| id.index);
        let limits = &self.config.limits;
        let last = metrics.last_log_index.unwrap_or(0);
        let beyond = memory.beyond(last, self.counters.appended_bytes.get(), limits.keep_bytes);
        let old = applied.saturating_sub(limits.keep_entries).max(beyond.min(applied));
        let upto = confirmed.min(snapshot).min(old);
        if upto > metrics.purged.map_or(0, |id| id.index) {
            tracing::info!(upto, "purging the log");
            let _ = self.raft.trigger().purge_log(upto).await;
        }
    }

    async fn promote_learners(&self, metrics: &RaftMetrics<Types>, memory: &mut Memory) {
        let Some(stable) = *self.promote_after.lock() else { return };
        let membership = &metrics.membership_config;
        let last = metrics.last_log_index.unwrap_or(0);
        let matched = |id: &u64| metrics.replication.as_ref().and_then(|all| all.get(id).copied().flatten());
        let candidates: BTreeSet<u64> = membership
            .membership()
            .learner_ids()
            .filter(|id| membership.get_node(id).is_some_and(|record| record.promote))
            .filter(|id| matched(id).is_some_and(|id| id.index + CAUGHT_UP_ENTRIES >= last))
            .collect();
        memory.caught_up.retain(|id, _| candidates.contains(id));
        for id in candidates {
            let since = *memory.caught_up.entry(id).or_insert_with(Instant::now);
            if since.elapsed() < stable {
                continue;
            }
            match self.change(ChangeMembers::AddVoterIds(BTreeSet::from([id])), true).await {
                Ok(()) => tracing::debug!(node = self.name_of(id), "a learner has caught up and votes now"),
                // Tried again at every look, so this is no line for everybody.
                Err(error) => {
                    tracing::debug!(node = self.name_of(id), %error, "a learner could not be made a voter");
                }
            }
            // One change at a time; the next look sees its effect.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_kept_by_bytes_whatever_the_number_of_entries() {
        let mut memory = Memory::default();
        // One entry of 1 MiB at each look, and 64 MiB to be kept.
        let purged = (1..=200_u64).map(|index| memory.beyond(index, index << 20, 64 << 20)).collect::<Vec<_>>();
        assert_eq!(purged[..64], [0; 64]);
        assert_eq!(purged[199], 135, "200 MiB are in the log, so what lies more than 64 MiB behind may go");
        assert!(memory.marks.len() <= MARKS as usize + 2);
    }
}
