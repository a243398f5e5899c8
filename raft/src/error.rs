//! The errors of this crate's public operations, one enum each.

use std::io;

use conclave_storage::REPLACE_NODE;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error("the cluster configuration is not usable: {0}")]
    Config(String),
    /// The address to listen on is not available.
    #[error("cannot listen for other nodes on {address}")]
    Listen {
        /// The configured address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The cluster file cannot be read or written.
    #[error("the cluster file beside the node's key cannot be used")]
    ClusterFile(#[source] io::Error),
    /// The configuration names another cluster than the one this data belongs to.
    #[error(
        "this data belongs to another cluster than the configured one; use an empty data directory to join that one"
    )]
    OtherCluster,
    /// A node with a log does not know any more which cluster it belongs to.
    #[error(
        "node/node.cluster is missing, which says what cluster the log in this folder is of, and whom it trusts; {REPLACE_NODE}"
    )]
    NoCluster,
    /// A node that was a member of a cluster has neither log nor table any more.
    #[error(
        "log/ and table/ of this folder are gone, and with them what this node voted and acknowledged as a member of its \
         cluster (node/node.cluster); {REPLACE_NODE}"
    )]
    LostLog,
    /// Another node's key or id lies in the data folder, or a changed one.
    #[error(
        "node/node.key or node/node.id is not this node's: the members know another key under its id, or its key under another \
         id; put both back from a copy of this folder, for they never change, or {REPLACE_NODE}"
    )]
    OtherIdentity,
    /// Log and table contradict each other.
    #[error("log and table do not belong together: {0}; {REPLACE_NODE}")]
    Diverged(String),
    /// The table could not be made durable or read.
    #[error("the table cannot be used")]
    Table(#[from] conclave_storage::table::TableError),
    /// TLS could not be set up.
    #[error("TLS between nodes cannot be set up: {0}")]
    Tls(String),
    /// Consensus refused its state.
    #[error("consensus could not start: {0}")]
    Consensus(String),
}

/// Why a batch was not answered with an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It is certain that the batch has no effect, now or later.
    #[error("the change was not accepted and has no effect: {reason}")]
    NotAppended {
        /// What was in the way.
        reason: String,
    },
    /// The batch may have taken effect, or still may. Asking again with the same id finds out.
    #[error("the change was sent, and whether it took effect is not known")]
    Unknown,
    /// The leader refuses this batch: it is sealed, or the tag does not verify.
    #[error("the leader refused the change: {0}")]
    Refused(String),
    /// The batch is larger than the limit.
    #[error("the change is larger than the limit")]
    TooLarge,
    /// This node's consensus has stopped.
    #[error("this node's consensus has stopped")]
    Stopped,
}

/// Why there is no read point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader was found within the deadline, or none that reaches a quorum.
    #[error("there is no leader that can confirm the read")]
    NoLeader,
    /// The read point is known, but was not applied here within the deadline.
    #[error("this node did not catch up with the read point in time")]
    Timeout,
    /// This node stopped applying at an entry whose tag does not verify.
    #[error("this node stopped at an entry that does not verify")]
    Halted,
    /// This node's consensus has stopped.
    #[error("this node's consensus has stopped")]
    Stopped,
}

/// Why an operation on the cluster itself did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Only the leader can do it.
    #[error("this node is not the leader")]
    NotLeader {
        /// Node id of the leader, if known.
        leader: Option<u64>,
    },
    /// No member has this id.
    #[error("node {0:016x} is not a member of this cluster")]
    NotAMember(u64),
    /// The change contradicts the present members.
    #[error("the change does not fit the present members: {0}")]
    Invalid(String),
    /// Another change came first; look at the members and decide again.
    #[error("the members changed meanwhile; look at them and try again")]
    Raced,
    /// No peer is fit to lead: unsealed, recently heard and caught up.
    #[error("no other node is unsealed, recently heard and caught up")]
    NoSuccessor,
    /// It did not complete in time, or leadership was lost on the way. It may still happen.
    #[error("the change did not complete: {0}")]
    Unknown(String),
    /// A cluster exists here already.
    #[error("this node already belongs to a cluster")]
    AlreadyInitialized,
    /// The cluster file cannot be written.
    #[error("the cluster file cannot be written: {0}")]
    Io(String),
    /// This node's consensus has stopped.
    #[error("this node's consensus has stopped")]
    Stopped,
}

/// Why a node's consensus ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// [`crate::Raft::shutdown`] was called.
    #[error("consensus was shut down")]
    Shutdown,
    /// The entry at this index does not verify; nothing is applied any more.
    #[error("the entry at index {0} does not verify")]
    Halted(u64),
    /// Storage failed or consensus found its state broken. The process must exit and must not retry on the same
    /// files.
    #[error("consensus failed: {0}")]
    Fatal(String),
}
