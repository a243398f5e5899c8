//! A batch with its tag, ready to be proposed.

use bytes::Bytes;
use conclave_batch::{Batch, SignedBatch};
use prost::Message;

use crate::barrier::Barrier;

/// A batch that is ready to be proposed.
#[derive(Clone)]
pub struct Proposal {
    /// The batch's id.
    pub id: [u8; 16],
    /// An encoded [`SignedBatch`].
    pub bytes: Bytes,
}

/// Tags a batch, whose id has 16 bytes, under the barrier's current term.
pub(crate) fn sign(batch: &Batch, barrier: &Barrier) -> Proposal {
    let body = Bytes::from(batch.encode_to_vec());
    let (term, tag) = barrier.sign_batch(&body);
    let signed = SignedBatch { body, term, tag: Bytes::copy_from_slice(&tag) };
    let mut id = [0; 16];
    id.copy_from_slice(&batch.id);
    Proposal { id, bytes: Bytes::from(signed.encode_to_vec()) }
}
