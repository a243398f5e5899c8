//! Tags on batches: an unsealed node made this batch, in this cluster.
//!
//! `HMAC-SHA256(tag key, "conclave batch tag v1" · cluster id (16) · term (4) · body)`, never truncated. A tag does not
//! decide what apply does, for sealed nodes cannot check it: the leader checks before it appends, unsealed nodes before
//! they apply. A tag counts under the active term, or under the one before it until [`GRACE_ENTRIES`] after the
//! rotation, because batches made before it may still be under way; a term older than that never counts.

use std::sync::Arc;

use super::ClusterId;
use super::error::BarrierError;
use super::term::Term;

/// What every tag begins with.
const CONTEXT: &[u8] = b"conclave batch tag v1";
/// Log entries after a rotation during which tags of the previous term count: as many as batch ids are remembered.
pub(crate) const GRACE_ENTRIES: u64 = 1 << 18;
/// How errors call it.
const WHAT: &str = "batch";

/// The tag of a batch's body.
pub(crate) fn sign(term: &Term, cluster_id: &ClusterId, body: &[u8]) -> [u8; 32] {
    term.keys(cluster_id).tag.sign(&[CONTEXT, cluster_id, &term.number().to_be_bytes(), body])
}

/// Checks a tag, in constant time, under a term that counts.
pub(crate) fn verify(term: &Term, cluster_id: &ClusterId, body: &[u8], tag: &[u8]) -> Result<(), BarrierError> {
    let is_authentic =
        term.keys(cluster_id).tag.verify(&[CONTEXT, cluster_id, &term.number().to_be_bytes(), body], tag);
    if is_authentic { Ok(()) } else { Err(BarrierError::NotAuthentic { what: WHAT }) }
}

/// The terms whose tags count while one keyring is in force.
#[derive(Clone)]
pub struct Era {
    /// The newest term.
    pub active: u32,
    /// The term before it.
    pub previous: Option<u32>,
    /// Log index of the rotation to the active term; while nobody said which that is, only the active term counts.
    pub installed_at: Option<u64>,
    /// Those of them that the barrier has not got: they were made by a rotation that lies in the log and is not applied yet.
    /// Else an era holds no key.
    pub(super) foreseen: Vec<Arc<Term>>,
}

impl Era {
    /// A term that only this era knows.
    pub(super) fn foreseen(&self, number: u32) -> Option<&Arc<Term>> {
        self.foreseen.iter().find(|term| term.number() == number)
    }

    /// Whether a term counts for the entry at index `at`.
    pub fn check(&self, term: u32, at: u64) -> Result<(), BarrierError> {
        if term == self.active {
            return Ok(());
        }
        if term > self.active {
            return Err(BarrierError::UnknownTerm { term });
        }
        let is_in_grace =
            self.installed_at.is_some_and(|installed_at| at <= installed_at.saturating_add(GRACE_ENTRIES));
        let counts = self.previous == Some(term) && is_in_grace;
        if counts { Ok(()) } else { Err(BarrierError::StaleTerm { term, active: self.active }) }
    }
}
