//! A node's report of its cluster, made without asking anybody.

use std::time::Duration;

use openraft::Instant as _;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use crate::raft::{Inner, Raft};
use crate::status::{Leader, Member, PeerStatus, Probe, Role, Status};
use crate::types::node_id;

impl Raft {
    /// What people call a node: its name, or its id if it has none or is not known.
    pub fn name_of(&self, id: u64) -> String {
        self.inner().name_of(id)
    }

    /// This node's view of its cluster. Asks nobody, so it may be old.
    pub fn status(&self) -> Status {
        let inner = self.inner();
        // Cloned at once: whoever holds the guard stops consensus.
        let metrics = inner.raft.metrics().borrow_watched().clone();
        let stored = &metrics.membership_config;
        let voters: Vec<u64> = stored.voter_ids().collect();
        let members: Vec<_> =
            stored.nodes().map(|(id, record)| Member::new(*id, record, voters.contains(id))).collect();
        let leader = inner.view().leader.map(|id| {
            let record = inner.peers.record(id).or_else(|| stored.get_node(&id).cloned()).unwrap_or_default();
            Leader { id, api_addr: record.api_addr, cluster_addr: record.cluster_addr }
        });
        let index = |id: &Option<crate::types::LogId>| id.map_or(0, |id| id.index);
        let peers: Vec<_> = members
            .iter()
            .filter(|member| member.id != inner.id)
            .map(|member| inner.peer_status(member.id, &metrics))
            .collect();
        Status {
            id: inner.id,
            cluster_id: inner.peers.cluster_id(),
            role: if inner.progress.has_ended() { Role::Stopped } else { role(metrics.state) },
            term: metrics.current_term,
            leader,
            may_lead: inner.may_lead(),
            committed: index(&metrics.local_committed),
            applied: inner.progress.index(),
            last_log: metrics.last_log_index.unwrap_or(0),
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            warnings: inner.warnings(&peers),
            far_peers: inner.far_peers(&peers),
            members,
            peers,
            halted: inner.progress.halted(),
        }
    }
}

impl Inner {
    /// What people call a node: its name, or its id if it has none or is not known.
    pub(crate) fn name_of(&self, id: u64) -> String {
        let name = match id == self.id {
            true => self.own.name.clone(),
            false => self.peers.record(id).map(|record| record.name).unwrap_or_default(),
        };
        if name.is_empty() { node_id(id) } else { name }
    }

    fn peer_status(&self, id: u64, metrics: &openraft::RaftMetrics<crate::types::Types>) -> PeerStatus {
        let matched = metrics.replication.as_ref().and_then(|peers| peers.get(&id).copied().flatten());
        let heard = metrics.heartbeat.as_ref().and_then(|peers| peers.get(&id).copied().flatten());
        let probed = self.probes.lock().get(&id).copied();
        PeerStatus {
            id,
            matched: matched.map(|id| id.index),
            last_contact: heard.map(|heard| heard.into_inner().elapsed()),
            round_trip: probed.map(|probe| probe.round_trip),
            least_round_trip: probed.and_then(|probe| probe.least_round_trip.get()),
            can_lead: probed.map(|probe| probe.can_lead),
            clock_ahead_millis: probed.and_then(|probe| self.clock_ahead(&probe)),
            contradiction: probed.and_then(|probe| probe.contradiction),
            unanswered_for: probed.map_or(Duration::ZERO, |probe| probe.unanswered_for),
            reached_voters: probed.map_or(0, |probe| probe.reached_voters),
            acknowledged: self.factory.acknowledged.newest_of(id).map_or(0, |known| known.index),
        }
    }

    /// How far a clock is ahead of this node's now. What passed since the probe is measured by the clock that nobody sets.
    fn clock_ahead(&self, probe: &Probe) -> Option<i64> {
        let read = Some(probe.clock_millis).filter(|read| *read > 0)?;
        let there = read.saturating_add(u64::try_from(probe.at.elapsed().as_millis()).unwrap_or(u64::MAX));
        let (there, here) = (i64::try_from(there).ok()?, i64::try_from(self.hooks.clock_millis()).ok()?);
        Some(there.saturating_sub(here))
    }

    fn warnings(&self, peers: &[PeerStatus]) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(index) = self.progress.halted() {
            warnings.push(format!("The entry at index {index} does not verify; this node applies nothing any more."));
        }
        if let Some(lacks) = self.lacks() {
            warnings.push(format!(
                "This node lacks entries up to index {}, which it had acknowledged in term {} by another node's account: its \
                 disk went back in time, as by a backup that was put back. It gives no vote until it has caught up.",
                lacks.index, lacks.term
            ));
        }
        if self.is_doubled() {
            warnings.push(
                "Another process runs under this node's id: its data folder was copied and the copy started, or its key \
                 stolen. Stop the copy and delete its folder."
                    .into(),
            );
        }
        let is_doubled = |peer: &&PeerStatus| self.processes.is_doubled(peer.id, Instant::now());
        warnings.extend(peers.iter().filter(is_doubled).map(|peer| {
            let name = self.name_of(peer.id);
            format!("Two processes run under the id of node {name}: stop the copy and delete its folder.")
        }));
        warnings
    }

    fn far_peers(&self, peers: &[PeerStatus]) -> Vec<(u64, String)> {
        let far = |peer: &PeerStatus| far_peer(peer, &self.name_of(peer.id), self.config.timing.heartbeat);
        peers.iter().filter_map(|peer| Some((peer.id, far(peer)?))).collect()
    }
}

/// What to say of a peer whose heartbeats may not come back in time. openraft gives each a deadline of its own
/// interval.
fn far_peer(peer: &PeerStatus, name: &str, heartbeat: Duration) -> Option<String> {
    let round_trip = peer.least_round_trip.filter(|time| *time * 3 > heartbeat)?;
    Some(format!(
        "A round trip to node {name} takes at least {} ms, and the heartbeat of {} ms should be at least three times that; use the \
         multi-region timing on all nodes.",
        round_trip.as_millis(),
        heartbeat.as_millis()
    ))
}

fn role(state: ServerState) -> Role {
    match state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(least_round_trip: Option<Duration>) -> PeerStatus {
        PeerStatus {
            id: 5,
            matched: None,
            last_contact: None,
            round_trip: None,
            least_round_trip,
            can_lead: None,
            clock_ahead_millis: None,
            contradiction: None,
            unanswered_for: Duration::ZERO,
            reached_voters: 0,
            acknowledged: 0,
        }
    }

    #[test]
    fn a_heartbeat_that_is_short_for_the_round_trip_is_warned_of() {
        let heartbeat = Duration::from_millis(100);
        let warning =
            far_peer(&peer(Some(Duration::from_millis(34))), "b", heartbeat).expect("three times 34 ms is more");
        assert!(warning.contains("node b ") && warning.contains("34 ms"));
        assert_eq!(far_peer(&peer(Some(Duration::from_millis(33))), "b", heartbeat), None);
        assert_eq!(far_peer(&peer(None), "b", heartbeat), None);
    }
}
