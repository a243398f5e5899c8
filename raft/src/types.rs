//! The types with which this crate instantiates openraft, and short names for them.
//!
//! Not a wire or disk format: those are in `wire`. Node ids are random and never reused, so one term may have
//! several would-be leaders told apart by node id (openraft's `leader_id_adv`).

use std::fmt;

use bytes::Bytes;
use conclave_batch::Outcome;

/// The payload of an entry: an encoded signed batch. Its contents never show in a log line.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Bytes);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the membership knows of a node besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeRecord {
    pub(crate) cluster_addr: String,
    pub(crate) api_addr: String,
    pub(crate) public_key: [u8; 32],
    /// A learner that is to become a voter once it has caught up.
    pub(crate) promote: bool,
    /// What people call it; empty if it has no name but its id.
    pub(crate) name: String,
}

/// A node's id as people see it, the same everywhere: 16 hexadecimal digits.
pub fn node_id(id: u64) -> String {
    format!("{id:016x}")
}

openraft::declare_raft_types!(
    /// openraft's parameters for Conclave.
    pub(crate) Types:
        D = Data,
        R = Option<Outcome>,
        NodeId = u64,
        Node = NodeRecord,
        AsyncRuntime = openraft_rt_tokio::TokioRuntime,
);

pub(crate) type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Payload = openraft::EntryPayload<Data, u64, NodeRecord>;
pub(crate) type Entry = openraft::Entry<LeaderId, Payload>;
pub(crate) type Membership = openraft::Membership<u64, NodeRecord>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, NodeRecord>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, NodeRecord>;
pub(crate) type AppendEntries = openraft::raft::AppendEntriesRequest<Types>;
