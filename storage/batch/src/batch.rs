//! The guarded batch: what a log entry carries and apply understands.
//!
//! An entry's payload is a [`SignedBatch`] in protobuf; its `body` is a [`Batch`] in protobuf. The tag is
//! computed by somebody who has keys, over the bytes of `body`; apply never looks at it. Field numbers are
//! part of the disk format (`docs/internals/batch.md`).

use bytes::Bytes;
use prost::Message;

/// Entries that a batch id is remembered for, and that a batch's base may lie behind its entry.
pub const WINDOW: u64 = 1 << 18;
/// A batch together with its authentication tag.
#[derive(Clone, PartialEq, Message)]
pub struct SignedBatch {
    /// An encoded [`Batch`].
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// The key term under which the tag was made.
    #[prost(uint32, tag = "2")]
    pub term: u32,
    /// MAC over `term` and `body`, 32 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub tag: Bytes,
}

/// Effects on the table, and the conditions under which they happen.
#[derive(Clone, PartialEq, Message)]
pub struct Batch {
    /// Unique, 16 bytes. A batch whose id was applied before does nothing and answers what it answered then.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Must equal the table's epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Applied index of the view that the batch was computed on.
    #[prost(uint64, tag = "3")]
    pub base: u64,
    /// The proposer's clock, milliseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub time_millis: u64,
    /// All must hold, or nothing is done.
    #[prost(message, repeated, tag = "5")]
    pub guards: Vec<Guard>,
    /// Done in order; a key occurs once.
    #[prost(message, repeated, tag = "6")]
    pub ops: Vec<Op>,
    /// A confirmation of the table digest at an earlier index.
    #[prost(message, optional, tag = "7")]
    pub checkpoint: Option<Checkpoint>,
    /// Ends the epoch that the batch was made in.
    #[prost(message, optional, tag = "8")]
    pub new_epoch: Option<NewEpoch>,
}

/// A key or directory, and the revision it must still have.
#[derive(Clone, PartialEq, Message)]
pub struct Guard {
    /// Encoded key; the root directory is empty.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Whether the revision of the directory is meant, not of the value.
    #[prost(bool, tag = "2")]
    pub is_directory: bool,
    /// Log index of its last change; 0 if absent.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
}

/// One change.
#[derive(Clone, PartialEq, Message)]
pub struct Op {
    /// Encoded key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The new value; absent means delete.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// Says what the table digest was at an index. Only a holder of keys can make one that verifies.
#[derive(Clone, PartialEq, Message)]
pub struct Checkpoint {
    /// The log index.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// BLAKE3 of the table's LtHash state after that index was applied, 32 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub digest: Bytes,
}

/// Begins an epoch: batches made in an earlier one are refused from then on. Only a holder of keys can make one that
/// verifies.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct NewEpoch {
    /// Higher than that of the batch.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// What cluster time is from then on, milliseconds since the Unix epoch; absent leaves it as it is. The one thing that
    /// can set cluster time back.
    #[prost(uint64, optional, tag = "2")]
    pub time_millis: Option<u64>,
}

/// What apply answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The operations were done at this index.
    Applied {
        /// Log index of the entry that did it (an earlier one for a repeated id).
        index: u64,
    },
    /// A guard did not hold; nothing was done.
    Conflict {
        /// Log index at which the conflict was found; run again on a view at least this new.
        index: u64,
    },
    /// The view was older than the id window reaches; nothing was done now, and whether it was done before is unknown.
    TooOld,
    /// The batch belongs to another epoch; nothing was done.
    WrongEpoch,
    /// The bytes are no batch, or break a limit; nothing was done.
    Malformed,
}
