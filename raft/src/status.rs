//! What a node can say about its cluster, without asking anybody.

use std::time::Duration;

use conclave_storage::table::Contradiction;
use openraft::Instant as _;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use crate::raft::{Inner, Raft};
use crate::types::{Endpoint, node_id};
use crate::upkeep::Probe;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Node id.
    pub id: u64,
    /// What people call it; empty if it has no name but its id.
    pub name: String,
    /// `host:port` for other nodes.
    pub cluster_addr: String,
    /// URL of its HTTP API.
    pub api_addr: String,
    /// Its pinned Ed25519 key.
    pub public_key: [u8; 32],
    /// In a status: whether it votes. When it is added: whether it is to vote once it has caught up.
    pub voter: bool,
}

impl Member {
    pub(crate) fn new(id: u64, endpoint: &Endpoint, voter: bool) -> Self {
        Self {
            id,
            name: endpoint.name.clone(),
            cluster_addr: endpoint.cluster_addr.clone(),
            api_addr: endpoint.api_addr.clone(),
            public_key: endpoint.public_key,
            voter,
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            cluster_addr: self.cluster_addr.clone(),
            api_addr: self.api_addr.clone(),
            public_key: self.public_key,
            promote: self.voter,
            name: self.name.clone(),
        }
    }
}

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Replicates and does not vote.
    Learner,
    /// Votes, and hears a leader or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Has stopped.
    Stopped,
}

/// Who leads, as far as a node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Node id.
    pub id: u64,
    /// URL of its HTTP API; empty if the membership does not name it yet.
    pub api_addr: String,
    /// `host:port` for other nodes; empty likewise.
    pub cluster_addr: String,
}

/// A leader that a quorum confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Node id.
    pub leader: u64,
    /// When this node asked; the leader led then or later.
    pub asked_at: Instant,
}

/// What a node knows of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Node id.
    pub id: u64,
    /// Last log index that it is known to have; on the leader only.
    pub matched: Option<u64>,
    /// Time since it last acknowledged a heartbeat; on the leader only.
    pub last_contact: Option<Duration>,
    /// Round trip of the last probe that it answered.
    pub round_trip: Option<Duration>,
    /// Whether it said in that probe that it may lead (it is unsealed).
    pub can_lead: Option<bool>,
    /// How many milliseconds its clock is ahead of this node's, by the last probe that it answered.
    pub clock_ahead_millis: Option<i64>,
    /// The checkpoint that contradicts its table, by its own account.
    pub contradiction: Option<Contradiction>,
}

/// A node's view of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: u64,
    /// Its cluster, if it belongs to one.
    pub cluster_id: Option<[u8; 16]>,
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Who leads.
    pub leader: Option<Leader>,
    /// Whether this node may campaign and accept leadership.
    pub may_lead: bool,
    /// Index through which it knows entries to be committed.
    pub committed: u64,
    /// Index through which it has applied them.
    pub applied: u64,
    /// Index of its last entry.
    pub last_log: u64,
    /// Index of its newest snapshot.
    pub snapshot: u64,
    /// Index through which its log is purged.
    pub purged: u64,
    /// All members, this node included.
    pub members: Vec<Member>,
    /// The others, as far as this node has something to say about them.
    pub peers: Vec<PeerStatus>,
    /// The entry that does not verify and at which this node stopped.
    pub halted: Option<u64>,
    /// What an operator should know, as sentences.
    pub warnings: Vec<String>,
}

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
            stored.nodes().map(|(id, endpoint)| Member::new(*id, endpoint, voters.contains(id))).collect();
        let leader = inner.view.borrow().leader.map(|id| {
            let endpoint = inner.peers.endpoint(id).or_else(|| stored.get_node(&id).cloned()).unwrap_or_default();
            Leader { id, api_addr: endpoint.api_addr, cluster_addr: endpoint.cluster_addr }
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
            false => self.peers.endpoint(id).map(|endpoint| endpoint.name).unwrap_or_default(),
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
            can_lead: probed.map(|probe| probe.can_lead),
            clock_ahead_millis: probed.and_then(|probe| self.clock_ahead(&probe)),
            contradiction: probed.and_then(|probe| probe.contradiction),
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
        let slow = |peer: &PeerStatus| slow_peer(peer, &self.name_of(peer.id), self.config.timing.heartbeat);
        warnings.extend(peers.iter().filter_map(slow));
        warnings
    }
}

/// What to say of a peer whose heartbeats may not come back in time. openraft gives each a deadline of its own
/// interval.
fn slow_peer(peer: &PeerStatus, name: &str, heartbeat: Duration) -> Option<String> {
    let round_trip = peer.round_trip.filter(|time| *time * 3 > heartbeat)?;
    Some(format!(
        "A round trip to node {name} takes {} ms, and the heartbeat of {} ms should be at least three times that; use the \
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

    fn peer(round_trip: Option<Duration>) -> PeerStatus {
        PeerStatus {
            id: 5,
            matched: None,
            last_contact: None,
            round_trip,
            can_lead: None,
            clock_ahead_millis: None,
            contradiction: None,
        }
    }

    #[test]
    fn a_heartbeat_that_is_short_for_the_round_trip_is_warned_of() {
        let heartbeat = Duration::from_millis(100);
        let warning =
            slow_peer(&peer(Some(Duration::from_millis(34))), "b", heartbeat).expect("three times 34 ms is more");
        assert!(warning.contains("node b ") && warning.contains("34 ms"));
        assert_eq!(slow_peer(&peer(Some(Duration::from_millis(33))), "b", heartbeat), None);
        assert_eq!(slow_peer(&peer(None), "b", heartbeat), None);
    }
}
