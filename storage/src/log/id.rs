//! The identity of an entry.

/// Identifies an entry: which leader of which term wrote it, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// Consensus term.
    pub term: u64,
    /// Node id of the leader.
    pub leader: u64,
    /// Position, from 0.
    pub index: u64,
}
