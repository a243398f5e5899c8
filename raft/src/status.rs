//! What a node can say about its cluster: the words. The report is made in `report`.

use std::time::Duration;

use conclave_storage::table::Contradiction;
use tokio::time::Instant;

use crate::round_trip::LeastRoundTrip;
use crate::types::{LogId, NodeRecord};

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
    pub(crate) fn new(id: u64, record: &NodeRecord, voter: bool) -> Self {
        Self {
            id,
            name: record.name.clone(),
            cluster_addr: record.cluster_addr.clone(),
            api_addr: record.api_addr.clone(),
            public_key: record.public_key,
            voter,
        }
    }

    pub(crate) fn record(&self) -> NodeRecord {
        NodeRecord {
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

/// Whether a node may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidacy {
    /// It campaigns and accepts leadership.
    Free,
    /// It campaigns only if the others have failed to elect one of them, and hands over at once. For a node whose log
    /// is sound and that cannot serve, such as a sealed one.
    LastResort,
    /// It neither campaigns nor accepts leadership, and hands over at once; as long as nobody can take over, it goes on
    /// leading. For a node that is slower than the others should be.
    Reluctant,
    /// It neither campaigns nor accepts leadership, appends nothing, and hands over at once.
    Never,
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
    /// The smallest round trip of the last minute or two; `None` if it has not answered for that long.
    pub least_round_trip: Option<Duration>,
    /// Whether it said in that probe that it may lead (it is unsealed).
    pub can_lead: Option<bool>,
    /// How many milliseconds its clock is ahead of this node's, by the last probe that it answered.
    pub clock_ahead_millis: Option<i64>,
    /// The checkpoint that contradicts its table, by its own account.
    pub contradiction: Option<Contradiction>,
    /// For how long its own probes of this node have brought it no answer, by its account in the last probe that it
    /// answered; zero if they do.
    pub unanswered_for: Duration,
    /// How many voters it reaches, itself included, by the same account.
    pub reached_voters: usize,
    /// Index of the newest acknowledgement of its that this node has heard of, from whichever leader it was for; 0 if of none.
    pub acknowledged: u64,
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
    /// What an operator should know of peers that are far away for the heartbeat, by their ids.
    pub far_peers: Vec<(u64, String)>,
}

/// What a node said when it was last asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) round_trip: Duration,
    pub(crate) least_round_trip: LeastRoundTrip,
    pub(crate) can_lead: bool,
    /// The last entry of its log.
    pub(crate) last: Option<LogId>,
    /// Its clock in milliseconds since the Unix epoch, and when it said so; 0 if it said nothing.
    pub(crate) clock_millis: u64,
    pub(crate) at: Instant,
    pub(crate) contradiction: Option<Contradiction>,
    /// For how long its own probes of this node had brought it no answer.
    pub(crate) unanswered_for: Duration,
    /// Voters that it reaches, itself included.
    pub(crate) reached_voters: usize,
    /// It hears two processes under this node's id.
    pub(crate) hears_two: bool,
    /// Most voters that it knows refuse it.
    pub(crate) is_refused: bool,
    /// It has started so lately that it cannot have heard two processes under one id yet.
    pub(crate) has_just_started: bool,
}
