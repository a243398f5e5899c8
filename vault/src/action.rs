//! What only the node can do or knows, because it touches the process or the cluster.
//!
//! The core decides whether a caller may. What is to be known or made for a reply is asked while the request runs
//! ([`crate::errand`]); what ends the matter (seal, step down, remove a node) stands in the reply, and is done after the batch was
//! committed and before the reply leaves.

use crate::seal::proof::{Challenge, Joiner, NONCE_BYTES};

/// Something only the node can do or knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Seal this node, after handing over leadership.
    Seal,
    /// Hand leadership to another node.
    StepDown,
    /// Answer with the nodes of the cluster and their state.
    HaStatus,
    /// Answer with the Raft configuration.
    RaftConfiguration,
    /// Remove a node from the cluster.
    RemovePeer {
        /// Its id, as the configuration lists it.
        server_id: String,
    },
    /// Make a join token and answer with it.
    JoinToken {
        /// How long it may be redeemed, in seconds.
        ttl_secs: u64,
        /// How many nodes it lets in.
        uses: u64,
    },
    /// Answer with a challenge for a node that wants to join by shares.
    JoinChallenge(Joiner),
    /// Check the answer to it, and answer with a join token for that node alone.
    JoinAnswer {
        /// Who joins.
        joiner: Joiner,
        /// What was asked.
        challenge: Challenge,
        /// What the joiner drew.
        nonce: [u8; NONCE_BYTES],
        /// Its proof.
        proof: [u8; 32],
    },
    /// Answer with metrics.
    Metrics {
        /// `prometheus` or empty for JSON.
        format: String,
    },
    /// Answer with facts about the host.
    HostInfo,
    /// Answer with the requests that are being served.
    InFlightRequests,
    /// Answer with the configuration in force, without secrets.
    SanitizedConfig,
    /// Answer with the versions that ran here.
    VersionHistory,
}

impl Action {
    /// Whether only the leader can do it, so that another node hands the request on.
    pub fn is_for_the_leader(&self) -> bool {
        matches!(self, Self::StepDown | Self::RemovePeer { .. })
    }
}
