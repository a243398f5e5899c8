//! Bounds of consensus and of the network between nodes, each with its unit. `docs/reference/limits.md` lists them.

use std::time::Duration;

use conclave_batch::MAX_BATCH_BYTES;

/// Addresses of members that are remembered. A cluster has a few nodes; more means that addresses change often.
pub(crate) const MAX_SOURCES: usize = 1_024;
/// Largest `node.cluster`, so that a wrong file is not read into memory, in bytes.
pub(crate) const MAX_CLUSTER_FILE_BYTES: u64 = 1 << 20;
/// Largest `node.key`, far above any Ed25519 key in PKCS#8, in bytes.
pub(crate) const MAX_KEY_FILE_BYTES: u64 = 4096;

/// Bounds on what may be held or sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest encoded batch, in bytes. Stays below `message_bytes`, so an accepted batch can always be sent.
    pub batch_bytes: usize,
    /// Bytes of batches that may wait to be appended and applied on the leader; past it proposals are refused.
    pub waiting_bytes: usize,
    /// Entries of one read of the log, in bytes; at least one entry is read whatever its size.
    pub read_bytes: usize,
    /// Largest message that members exchange, in bytes.
    pub message_bytes: usize,
    /// Largest message from somebody who is no member, in bytes.
    pub stranger_bytes: usize,
    /// Connections from those who are no members. Past it, a new one takes the place of the oldest, of the source that
    /// has most.
    pub stranger_connections: usize,
    /// Time that a connection of somebody who is no member may last; joining takes a few calls.
    pub stranger_time: Duration,
    /// Calls of those who are no members at once. Past it, a new one takes the place of the oldest, of the source that
    /// has most.
    pub stranger_calls: usize,
    /// Handshakes under way at once. Past it, a new one takes the place of the oldest, of the source that has most;
    /// addresses of members come before all others.
    pub handshakes: usize,
    /// Time for one handshake.
    pub handshake_time: Duration,
    /// Entries applied since the last snapshot that make a new one.
    pub snapshot_entries: u64,
    /// Bytes appended since the last snapshot that make a new one.
    pub snapshot_bytes: u64,
    /// Applied entries that stay in the log behind a snapshot, so that a slow follower needs no snapshot.
    pub keep_entries: u64,
    /// Payload bytes that stay in the log behind a snapshot, at most: with large entries, these are fewer than
    /// `keep_entries`. What no checkpoint confirms stays in any case.
    pub keep_bytes: u64,
    /// Rounds for read points that a node has under way at once.
    pub read_rounds: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_bytes: MAX_BATCH_BYTES,
            waiting_bytes: 64 << 20,
            read_bytes: 1 << 20,
            message_bytes: 8 << 20,
            stranger_bytes: 64 << 10,
            stranger_connections: 64,
            stranger_time: Duration::from_secs(60),
            stranger_calls: 256,
            handshakes: 512,
            handshake_time: Duration::from_secs(3),
            snapshot_entries: 100_000,
            snapshot_bytes: 256 << 20,
            keep_entries: 200_000,
            keep_bytes: 1 << 30,
            read_rounds: 8,
        }
    }
}
