//! Answers that a node acts on, such as a read point: authenticated over the nonce of whoever asked.
//!
//! A sealed node has no answer key, so it cannot play leader, and an old answer has the wrong nonce. This is a MAC and
//! no encryption: what it carries are indexes. `HMAC-SHA256(answer key, "conclave answer v1" · cluster id (16) · term
//! (4) · envelope · body)`; the envelope is encoded as for [`super::forward`] and states the length of its last part.

use super::ClusterId;
use super::error::BarrierError;
use super::forward::Envelope;
use super::term::Term;

/// What every MAC begins with.
const CONTEXT: &[u8] = b"conclave answer v1";
/// How errors call it.
const WHAT: &str = "answer";

/// The MAC of an answer.
pub(crate) fn sign(term: &Term, cluster_id: &ClusterId, epoch: u64, envelope: &Envelope<'_>, body: &[u8]) -> [u8; 32] {
    let number = term.number().to_be_bytes();
    term.keys(cluster_id).answer.sign(&[CONTEXT, cluster_id, &number, &envelope.encode(epoch), body])
}

/// Checks an answer, in constant time.
pub(crate) fn verify(
    term: &Term,
    cluster_id: &ClusterId,
    epoch: u64,
    envelope: &Envelope<'_>,
    body: &[u8],
    mac: &[u8],
) -> Result<(), BarrierError> {
    let number = term.number().to_be_bytes();
    let parts: [&[u8]; 5] = [CONTEXT, cluster_id, &number, &envelope.encode(epoch), body];
    if term.keys(cluster_id).answer.verify(&parts, mac) {
        Ok(())
    } else {
        Err(BarrierError::NotAuthentic { what: WHAT })
    }
}
