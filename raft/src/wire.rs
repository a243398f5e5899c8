//! Our protobuf for wire and disk, and its conversion from and to openraft's types.
//!
//! Every openraft value crosses here, so that an upgrade of openraft changes no format. What arrives is
//! checked for shape only; whether the sender may say it is the server's question.

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_batch::Outcome;
use conclave_storage::log as disk;
use openraft::vote::RaftLeaderId;
use prost::Message;

use crate::acknowledged::Acknowledgement;
use crate::types::{
    AppendEntries, Data, Entry, LeaderId, LogId, Membership, NodeRecord, Payload, StoredMembership, Vote,
};

/// Generated from `proto/wire.proto`.
pub(crate) mod proto {
    // The generator writes public items without documentation; the schema has the comments.
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("conclave.raft.v1");
}

/// A message that cannot be what it claims to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the message is not valid protobuf")]
    Protobuf(#[from] prost::DecodeError),
    #[error("the field {0} is missing")]
    Missing(&'static str),
    #[error("the field {0} has a wrong length or value")]
    Invalid(&'static str),
}

impl From<WireError> for std::io::Error {
    fn from(error: WireError) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        tonic::Status::invalid_argument(error.to_string())
    }
}

pub(crate) fn log_id(id: &LogId) -> proto::LogId {
    proto::LogId { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
}

pub(crate) fn read_log_id(id: &proto::LogId) -> LogId {
    LogId::new(LeaderId::new(id.term, id.leader), id.index)
}

pub(crate) fn disk_id(id: &LogId) -> disk::LogId {
    disk::LogId { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
}

pub(crate) fn from_disk_id(id: &disk::LogId) -> LogId {
    LogId::new(LeaderId::new(id.term, id.leader), id.index)
}

pub(crate) fn vote(vote: &Vote) -> proto::Vote {
    proto::Vote { term: vote.leader_id.term, leader: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn read_vote(vote: Option<&proto::Vote>) -> Result<Vote, WireError> {
    let vote = vote.ok_or(WireError::Missing("vote"))?;
    Ok(Vote { leader_id: LeaderId::new(vote.term, vote.leader), committed: vote.committed })
}

pub(crate) fn encode_vote(value: &Vote) -> Bytes {
    vote(value).encode_to_vec().into()
}

pub(crate) fn decode_vote(bytes: Bytes) -> Result<Vote, WireError> {
    read_vote(Some(&proto::Vote::decode(bytes)?))
}

pub(crate) fn member(id: u64, record: &NodeRecord) -> proto::Member {
    proto::Member {
        id,
        cluster_addr: record.cluster_addr.clone(),
        api_addr: record.api_addr.clone(),
        public_key: Bytes::copy_from_slice(&record.public_key),
        promote: record.promote,
        name: record.name.clone(),
    }
}

pub(crate) fn read_member(member: &proto::Member) -> Result<(u64, NodeRecord), WireError> {
    let public_key = member.public_key.as_ref().try_into().map_err(|_| WireError::Invalid("member.public_key"))?;
    let record = NodeRecord {
        cluster_addr: member.cluster_addr.clone(),
        api_addr: member.api_addr.clone(),
        public_key,
        promote: member.promote,
        name: member.name.clone(),
    };
    Ok((member.id, record))
}

pub(crate) fn membership(membership: &Membership) -> proto::Membership {
    let configs = membership.get_joint_config().iter();
    proto::Membership {
        configs: configs.map(|ids| proto::Voters { ids: ids.iter().copied().collect() }).collect(),
        members: membership.nodes().map(|(id, record)| member(*id, record)).collect(),
    }
}

pub(crate) fn read_membership(membership: &proto::Membership) -> Result<Membership, WireError> {
    let configs = membership.configs.iter().map(|voters| voters.ids.iter().copied().collect()).collect();
    let members = membership.members.iter().map(read_member).collect::<Result<BTreeMap<_, _>, _>>()?;
    Membership::new(configs, members).map_err(|_| WireError::Invalid("membership"))
}

pub(crate) fn encode_membership(value: &Membership) -> Bytes {
    membership(value).encode_to_vec().into()
}

pub(crate) fn decode_membership(bytes: Bytes) -> Result<Membership, WireError> {
    read_membership(&proto::Membership::decode(bytes)?)
}

/// The membership of a table or of a snapshot, with the log id of its entry.
pub(crate) fn stored_membership(stored: &Option<(disk::LogId, Bytes)>) -> Result<StoredMembership, WireError> {
    match stored {
        None => Ok(StoredMembership::default()),
        Some((id, bytes)) => Ok(StoredMembership::new(Some(from_disk_id(id)), decode_membership(bytes.clone())?)),
    }
}

/// An entry as the log keeps it.
pub(crate) fn to_disk(entry: Entry) -> disk::Entry {
    let payload = match entry.payload {
        Payload::Blank => disk::Payload::Blank,
        Payload::Normal(data) => disk::Payload::Batch(data.0),
        Payload::Membership(members) => disk::Payload::Membership(encode_membership(&members)),
    };
    disk::Entry { id: disk_id(&entry.log_id), payload }
}

/// An entry from the log.
pub(crate) fn from_disk(entry: disk::Entry) -> Result<Entry, WireError> {
    let payload = match entry.payload {
        disk::Payload::Blank => Payload::Blank,
        disk::Payload::Batch(bytes) => Payload::Normal(Data(bytes)),
        disk::Payload::Membership(bytes) => Payload::Membership(decode_membership(bytes)?),
    };
    Ok(Entry { log_id: from_disk_id(&entry.id), payload })
}

fn entry(entry: Entry) -> proto::Entry {
    let payload = match entry.payload {
        Payload::Blank => None,
        Payload::Normal(data) => Some(proto::entry::Payload::Batch(data.0)),
        Payload::Membership(members) => Some(proto::entry::Payload::Membership(membership(&members))),
    };
    proto::Entry { id: Some(log_id(&entry.log_id)), payload }
}

fn read_entry(entry: proto::Entry) -> Result<Entry, WireError> {
    let payload = match entry.payload {
        None => Payload::Blank,
        Some(proto::entry::Payload::Batch(bytes)) => Payload::Normal(Data(bytes)),
        Some(proto::entry::Payload::Membership(members)) => Payload::Membership(read_membership(&members)?),
    };
    let id = entry.id.as_ref().ok_or(WireError::Missing("entry.id"))?;
    Ok(Entry { log_id: read_log_id(id), payload })
}

pub(crate) fn append_request(request: AppendEntries) -> proto::AppendRequest {
    proto::AppendRequest {
        vote: Some(vote(&request.vote)),
        prev: request.prev_log_id.as_ref().map(log_id),
        entries: request.entries.into_iter().map(entry).collect(),
        commit: request.leader_commit.as_ref().map(log_id),
    }
}

/// Refuses entries that do not follow `prev` without a hole, which openraft takes for granted.
pub(crate) fn read_append_request(request: proto::AppendRequest) -> Result<AppendEntries, WireError> {
    let prev_log_id = request.prev.as_ref().map(read_log_id);
    let first = prev_log_id.map_or(0, |id| id.index + 1);
    let entries = request.entries.into_iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
    if (first..).zip(&entries).any(|(index, entry)| entry.log_id.index != index) {
        return Err(WireError::Invalid("entries"));
    }
    Ok(AppendEntries {
        vote: read_vote(request.vote.as_ref())?,
        prev_log_id,
        entries,
        leader_commit: request.commit.as_ref().map(read_log_id),
    })
}

pub(crate) fn acknowledgement((node, acknowledged): (u64, Acknowledgement)) -> proto::Acknowledgement {
    proto::Acknowledgement { node, term: acknowledged.term, index: acknowledged.index }
}

pub(crate) fn read_acknowledgement(told: &proto::Acknowledgement) -> (u64, Acknowledgement) {
    (told.node, Acknowledgement { term: told.term, index: told.index })
}

pub(crate) fn outcome(outcome: Outcome) -> proto::Outcome {
    use proto::OutcomeKind as Kind;
    let (kind, index) = match outcome {
        Outcome::Applied { index } => (Kind::Applied, index),
        Outcome::Conflict { index } => (Kind::Conflict, index),
        Outcome::TooOld => (Kind::TooOld, 0),
        Outcome::WrongEpoch => (Kind::WrongEpoch, 0),
        Outcome::Malformed => (Kind::Malformed, 0),
    };
    proto::Outcome { kind: kind.into(), index }
}

pub(crate) fn read_outcome(outcome: &proto::Outcome) -> Result<Outcome, WireError> {
    use proto::OutcomeKind as Kind;
    match outcome.kind() {
        Kind::Applied => Ok(Outcome::Applied { index: outcome.index }),
        Kind::Conflict => Ok(Outcome::Conflict { index: outcome.index }),
        Kind::TooOld => Ok(Outcome::TooOld),
        Kind::WrongEpoch => Ok(Outcome::WrongEpoch),
        Kind::Malformed => Ok(Outcome::Malformed),
        Kind::Unspecified => Err(WireError::Invalid("outcome.kind")),
    }
}

#[cfg(test)]
mod tests;
