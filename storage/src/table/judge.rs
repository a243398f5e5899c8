//! What a batch comes to, decided in one place for the two that must agree: apply, and the gate in front of the log.
//!
//! The gate asks early, on the view it has, so that a batch that would come to nothing makes no entry; what apply
//! answers is what counts. A rule that only one of them knew would let a batch happen twice, or be told a lie about.

use std::collections::HashSet;

use bytes::Bytes;
use conclave_batch::key::segments;
use conclave_batch::{Batch, Guard, MAX_GUARDS, MAX_OPS, MAX_VALUE_BYTES, Outcome, WINDOW};

use super::TableError;

/// What the table knows that decides about a batch.
pub trait Evidence {
    /// What this id answered, if it was seen less than [`WINDOW`] entries before `index`.
    fn answered(&self, id: &[u8; 16], index: u64) -> Result<Option<Outcome>, TableError>;
    /// The epoch in force.
    fn epoch(&self) -> u64;
    /// The present revision of what a guard names; 0 if it is absent.
    fn revision(&mut self, guard: &Guard) -> Result<u64, TableError>;
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The id was seen before, and answers what it answered then.
    Repeated(Outcome),
    /// To be done, or refused, now; [`Outcome::Applied`] if it is to be done.
    New(Outcome),
    /// It has no id of 16 bytes, so nothing can be remembered of it.
    Nameless,
}

/// Decides about a batch as the entry at `index`.
///
/// # Errors
///
/// Those of reading the evidence; never the batch's fault.
pub fn judge(batch: &Batch, index: u64, evidence: &mut impl Evidence) -> Result<Judgement, TableError> {
    let Ok(id) = <[u8; 16]>::try_from(batch.id.as_ref()) else { return Ok(Judgement::Nameless) };
    if let Some(outcome) = evidence.answered(&id, index)? {
        return Ok(Judgement::Repeated(outcome));
    }
    outcome_of_new(batch, index, evidence).map(Judgement::New)
}

fn outcome_of_new(batch: &Batch, index: u64, evidence: &mut impl Evidence) -> Result<Outcome, TableError> {
    if batch.base >= index || !is_well_formed(batch) {
        return Ok(Outcome::Malformed);
    }
    // Before the epoch: a batch this old may have been done in the epoch it names. Before the guards: it may be this
    // very batch that changed what they name.
    if index - batch.base > WINDOW {
        return Ok(Outcome::TooOld);
    }
    if batch.epoch != evidence.epoch() {
        return Ok(Outcome::WrongEpoch);
    }
    for guard in &batch.guards {
        if evidence.revision(guard)? != guard.revision {
            return Ok(Outcome::Conflict { index });
        }
    }
    Ok(Outcome::Applied { index })
}

/// Whether a batch keeps the limits and every key is one, once.
fn is_well_formed(batch: &Batch) -> bool {
    let mut seen = HashSet::with_capacity(batch.ops.len());
    batch.guards.len() <= MAX_GUARDS
        && batch.ops.len() <= MAX_OPS
        && batch.guards.iter().all(|guard| is_guardable(&guard.key, guard.is_directory))
        && batch.ops.iter().all(|op| {
            let small = op.value.as_ref().is_none_or(|value| value.len() <= MAX_VALUE_BYTES);
            small && segments(&op.key).is_some() && seen.insert(&op.key)
        })
        && batch.checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.digest.len() == 32)
        && batch.new_epoch.is_none_or(|new| new.epoch > batch.epoch)
}

fn is_guardable(key: &Bytes, is_directory: bool) -> bool {
    (is_directory && key.is_empty()) || segments(key).is_some()
}
