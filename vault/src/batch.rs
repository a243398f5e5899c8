//! The guarded batch as the core makes it.
//!
//! The bytes are the interface: the storage side decodes the same protobuf (`docs/internals/batch.md`) without knowing
//! this crate, and a test vector holds both sides together.

use bytes::Bytes;
use prost::Message;

use crate::barrier::Barrier;

/// Longest value, in bytes, before encryption.
pub const MAX_VALUE_BYTES: usize = 2 * 1024 * 1024;
/// Longest batch, in bytes, as it is proposed.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Most operations in a batch.
pub const MAX_OPS: usize = 4096;
/// Most guards of one batch.
pub const MAX_GUARDS: usize = 4096;

/// A batch together with its authentication tag.
#[derive(Clone, PartialEq, Message)]
pub struct SignedBatch {
    /// An encoded [`Batch`].
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// Key term of the tag.
    #[prost(uint32, tag = "2")]
    pub term: u32,
    /// MAC, 32 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub tag: Bytes,
}

/// Effects, and the conditions under which they happen.
#[derive(Clone, PartialEq, Message)]
pub struct Batch {
    /// Unique, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The table's epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Index of the view.
    #[prost(uint64, tag = "3")]
    pub base: u64,
    /// The proposer's clock, milliseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub time_millis: u64,
    /// All must hold.
    #[prost(message, repeated, tag = "5")]
    pub guards: Vec<Guard>,
    /// What is done.
    #[prost(message, repeated, tag = "6")]
    pub ops: Vec<Op>,
    /// A confirmed table digest.
    #[prost(message, optional, tag = "7")]
    pub checkpoint: Option<Checkpoint>,
}

/// A key or directory, and the revision it must still have.
#[derive(Clone, PartialEq, Message)]
pub struct Guard {
    /// Encoded key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Whether the directory is meant.
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
    /// The new ciphertext; absent means delete.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// The table digest at an index.
#[derive(Clone, PartialEq, Message)]
pub struct Checkpoint {
    /// Log index.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub digest: Bytes,
}

/// A batch that is ready to be proposed.
#[derive(Clone)]
pub struct Proposal {
    /// The batch's id.
    pub id: [u8; 16],
    /// An encoded [`SignedBatch`].
    pub bytes: Bytes,
}

impl Batch {
    /// Tags the batch under the barrier's current term.
    pub fn sign(&self, barrier: &Barrier) -> Proposal {
        let body = Bytes::from(self.encode_to_vec());
        let (term, tag) = barrier.sign_batch(&body);
        let signed = SignedBatch { body, term, tag: Bytes::copy_from_slice(&tag) };
        let mut id = [0; 16];
        id.copy_from_slice(&self.id);
        Proposal { id, bytes: Bytes::from(signed.encode_to_vec()) }
    }
}
