//! Consensus after its majority is gone for good: what a stopped node's log says, and making that node the only voter.
//!
//! For a process that holds log, table and identity and runs no consensus over them. What surprises: nobody elects this node.
//! That is safe only because an operator vouches that the other voters never run again; a node that is left behind and
//! comes back all the same is refused by its key, and told why.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use conclave_storage::log::{Entry, Log, LogError, LogId, Payload};
use openraft::vote::RaftLeaderId;

use crate::identity::Identity;
use crate::peers;
use crate::status::Member;
use crate::types::{LeaderId, Membership, Vote};
use crate::wire::{self, WireError};

/// Why a node cannot be made the only voter.
#[derive(Debug, thiserror::Error)]
pub enum SoleVoterError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The file system.
    #[error("the data folder cannot be written")]
    Io(#[from] io::Error),
    /// Vote or membership are not what this program wrote.
    #[error("the vote or the membership in the log does not decode: {0}")]
    Malformed(String),
    /// It never belonged to the cluster, or left it.
    #[error("this node is no member of the cluster that its log tells of; choose another one")]
    NotAMember,
}

impl From<WireError> for SoleVoterError {
    fn from(error: WireError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// The members as a membership entry lists them, voters marked.
pub fn members(encoded: &Bytes) -> Result<Vec<Member>, SoleVoterError> {
    let membership = wire::decode_membership(encoded.clone())?;
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    Ok(membership.nodes().map(|(id, record)| Member::new(*id, record, voters.contains(id))).collect())
}

/// The newest term that a node has voted in; 0 before the first.
pub fn term_of_vote(vote: Option<&Bytes>) -> Result<u64, SoleVoterError> {
    let vote = vote.map(|bytes| wire::decode_vote(bytes.clone())).transpose()?;
    Ok(vote.map_or(0, |vote| vote.leader_id.term))
}

/// Notes beside the node's key whom this recovery leaves behind, so that they are told when they come back.
pub fn leave_behind(identity: &Identity, members: &[Member]) -> Result<(), SoleVoterError> {
    let others = members.iter().filter(|member| member.id != identity.id());
    Ok(peers::leave_behind(identity, others.map(|member| (member.id, member.record())).collect())?)
}

/// Writes down which cluster a node belongs to that was made of a snapshot, and whom it leaves behind. Before this is there,
/// no server starts over its log.
pub fn found(identity: &Identity, cluster_id: [u8; 16], left_behind: &[Member]) -> Result<(), SoleVoterError> {
    let others = left_behind.iter().filter(|member| member.id != identity.id());
    Ok(peers::found(identity, cluster_id, others.map(|member| (member.id, member.record())).collect())?)
}

/// Appends a membership whose only voter is this node, and `batches` behind it, in a term that no other node has led.
/// Synced on return. Answers the last entry.
pub fn make_sole_voter(
    identity: &Identity,
    log: &dyn Log,
    members: &[Member],
    batches: Vec<Bytes>,
) -> Result<LogId, SoleVoterError> {
    let own = members.iter().find(|member| member.id == identity.id() && member.public_key == identity.public_key());
    let record = own.ok_or(SoleVoterError::NotAMember)?.record();
    let state = log.state();
    let last = state.last.ok_or(SoleVoterError::NotAMember)?;
    let term = term_of_vote(state.vote.as_ref())?.max(last.term) + 1;
    let leader = identity.id();
    log.save_vote(wire::encode_vote(&Vote { leader_id: LeaderId::new(term, leader), committed: false }))?;
    let (voters, nodes) = (vec![BTreeSet::from([leader])], BTreeMap::from([(leader, record)]));
    let membership = Membership::new(voters, nodes).map_err(|error| SoleVoterError::Malformed(error.to_string()))?;
    let payloads = std::iter::once(Payload::Membership(wire::encode_membership(&membership)))
        .chain(batches.into_iter().map(Payload::Batch));
    let entries: Vec<_> = (last.index + 1..)
        .zip(payloads)
        .map(|(index, payload)| Entry { id: LogId { term, leader, index }, payload })
        .collect();
    let end = LogId { term, leader, index: last.index + entries.len() as u64 };
    let (done, wait) = sync_channel(1);
    // Whoever waits holds the other end.
    log.append(entries, Box::new(move |result| drop(done.send(result))))?;
    wait.recv().unwrap_or_else(|_| Err(io::Error::other("the log ended before it was synced")))?;
    Ok(end)
}
