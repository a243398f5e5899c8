//! Apply: what an entry does to the rows. Total and deterministic, and it needs no key.
//!
//! The tag of a batch is not looked at here, or nodes with and without keys would differ.

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_batch::{Batch, Checkpoint, Guard, MAX_BATCH_BYTES, Outcome, SignedBatch};
use prost::Message;

use super::digest::LtHash;
use super::format::{Identity, Point, changed_at, clock_row, identity_row, point_key, point_row, value_row};
use super::judge::{Evidence, Judgement, judge};
use super::names::{directory_of, value_appeared, value_vanished};
use super::rows::{Change, Partition, RowView};
use super::transaction::Transaction;
use super::window::{Draft, Window, slot_key};
use super::{Applied, Contradiction, TableError};
use crate::log::{Entry, Payload};

/// Everything about the table that is not a row of the digest.
#[derive(Clone)]
pub(crate) struct State {
    /// Its `digest` is that of `hash`.
    pub(crate) applied: Applied,
    /// Where a rewind would lead; undo rows of older segments are garbage.
    pub(crate) rewind: u64,
    pub(crate) hash: LtHash,
    /// Digest at each remembered index, `rewind` always among them.
    pub(crate) points: BTreeMap<u64, [u8; 32]>,
    /// Kept in memory only.
    pub(crate) contradiction: Option<Contradiction>,
}

impl State {
    /// Start of the segment that the next entry belongs to.
    pub(crate) fn segment(&self) -> u64 {
        self.points.last_key_value().map_or(self.rewind, |(index, _)| *index)
    }
}

/// One call of apply.
pub(crate) struct Application<'a, V> {
    pub(crate) state: State,
    pub(crate) transaction: Transaction<'a, V>,
    pub(crate) draft: Draft<'a>,
    /// Changes of [`Partition::Meta`]; a point may be made and dropped in one call, so the last one counts.
    pub(crate) points: BTreeMap<Bytes, Option<Bytes>>,
    /// Keys whose values were written or deleted.
    pub(crate) written: Vec<Bytes>,
}

impl<'a, V: RowView> Application<'a, V> {
    pub(crate) fn new(state: State, view: &'a V, window: &'a Window) -> Self {
        let transaction = Transaction::new(view, state.segment());
        Self { state, transaction, draft: Draft::new(window), points: BTreeMap::new(), written: Vec::new() }
    }

    /// Applies one entry. An error leaves this whole call useless, and is never the entry's fault.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<Option<Outcome>, TableError> {
        let index = entry.id.index;
        let expected = self.state.applied.last.map(|last| last.index + 1);
        // A log starts with a membership at 0, or at 1 for callers that have none.
        if expected.map_or(index > 1, |expected| index != expected) {
            let expected = expected.unwrap_or(0);
            return Err(TableError::Misuse(format!("entry {index} was given to apply where {expected} comes next")));
        }
        let slot = slot_key(index);
        self.transaction.learn(Partition::Identities, slot.clone(), self.draft.stored_at_slot_of(index));
        let done = match &entry.payload {
            Payload::Blank => Done::default(),
            Payload::Membership(bytes) => {
                self.state.applied.membership = Some((entry.id, bytes.clone()));
                Done::default()
            }
            Payload::Batch(bytes) => self.batch(index, bytes)?,
        };
        self.transaction.set(Partition::Identities, slot, done.recorded.map(|identity| identity_row(&identity)))?;
        self.state.applied.last = Some(entry.id);
        if let Some(checkpoint) = &done.checkpoint {
            self.checkpoint(index, checkpoint)?;
        }
        Ok(done.outcome)
    }

    /// Brings row, hash state and digest to where the last entry left them.
    pub(crate) fn settle(&mut self) -> Result<(), TableError> {
        let applied = &self.state.applied;
        let clock = clock_row(applied.epoch, applied.time_millis);
        self.transaction.set(Partition::Clock, Bytes::new(), clock)?;
        self.transaction.settle(&mut self.state.hash);
        self.state.applied.digest = self.state.hash.digest();
        Ok(())
    }

    /// Changes of the remembered points.
    pub(crate) fn point_changes(&mut self) -> impl Iterator<Item = Change> + use<'a, V> {
        let points = std::mem::take(&mut self.points);
        points.into_iter().map(|(key, row)| Change { partition: Partition::Meta, key, row })
    }

    fn batch(&mut self, index: u64, bytes: &Bytes) -> Result<Done, TableError> {
        let Some(batch) = decode(bytes) else {
            return Ok(Done { outcome: Some(Outcome::Malformed), ..Done::default() });
        };
        let outcome = match judge(&batch, index, self)? {
            Judgement::Repeated(outcome) => return Ok(Done { outcome: Some(outcome), ..Done::default() }),
            Judgement::Nameless => return Ok(Done { outcome: Some(Outcome::Malformed), ..Done::default() }),
            Judgement::New(outcome) => outcome,
        };
        let id = batch.id.as_ref().try_into().expect("a batch without an id of 16 bytes was judged nameless");
        let mut checkpoint = None;
        if let Outcome::Applied { .. } = outcome {
            for op in batch.ops {
                self.op(index, op.key, op.value)?;
            }
            let applied = &mut self.state.applied;
            applied.time_millis = applied.time_millis.max(batch.time_millis);
            if let Some(new) = batch.new_epoch {
                applied.epoch = new.epoch;
                applied.time_millis = new.time_millis.unwrap_or(applied.time_millis);
            }
            checkpoint = batch.checkpoint;
        }
        let identity = Identity { index, id, outcome };
        self.draft.record(identity);
        Ok(Done { recorded: Some(identity), outcome: Some(outcome), checkpoint })
    }

    fn op(&mut self, index: u64, key: Bytes, value: Option<Bytes>) -> Result<(), TableError> {
        let existed = self.transaction.get(Partition::Values, &key)?.is_some();
        let row = value.map(|value| value_row(index, &value));
        match (existed, row.is_some()) {
            (false, true) => value_appeared(&mut self.transaction, &key, index)?,
            (true, false) => value_vanished(&mut self.transaction, &key, index)?,
            _ => {}
        }
        self.written.push(key.clone());
        self.transaction.set(Partition::Values, key, row)
    }

    /// Confirms an earlier point if its digest is the same here, then remembers this one.
    fn checkpoint(&mut self, index: u64, checkpoint: &Checkpoint) -> Result<(), TableError> {
        let confirmed = checkpoint.index;
        let digest = self.state.points.get(&confirmed).copied();
        if digest.is_some_and(|digest| digest[..] == checkpoint.digest[..]) {
            self.state.contradiction = None;
            self.state.applied.checkpoint = Some((index, confirmed));
            self.state.rewind = confirmed;
            let kept = self.state.points.split_off(&confirmed);
            let dropped = std::mem::replace(&mut self.state.points, kept);
            self.points.extend(dropped.into_keys().map(|index| (point_key(index), None)));
        } else if let Some(digest) = digest.filter(|_| confirmed > 0) {
            // A checkpoint that only marks its own index names index 0 without a digest, which contradicts nothing.
            self.state.contradiction = Some(Contradiction { index: confirmed, digest });
        }
        self.settle()?;
        let State { applied, points, .. } = &mut self.state;
        points.insert(index, applied.digest);
        let point = Point { last: applied.last, membership: applied.membership.clone(), digest: applied.digest };
        self.points.insert(point_key(index), Some(point_row(&point)));
        self.transaction.start_segment(index);
        Ok(())
    }
}

impl<V: RowView> Evidence for Application<'_, V> {
    fn answered(&self, id: &[u8; 16], index: u64) -> Result<Option<Outcome>, TableError> {
        Ok(self.draft.find(id, index))
    }

    fn epoch(&self) -> u64 {
        self.state.applied.epoch
    }

    fn revision(&mut self, guard: &Guard) -> Result<u64, TableError> {
        if guard.is_directory {
            return Ok(directory_of(&mut self.transaction, &guard.key)?.revision);
        }
        Ok(self.transaction.get(Partition::Values, &guard.key)?.as_deref().map_or(0, changed_at))
    }
}

/// What an entry came to.
#[derive(Default)]
struct Done {
    /// Goes into the id window.
    recorded: Option<Identity>,
    outcome: Option<Outcome>,
    /// Of a batch that was applied by this very entry.
    checkpoint: Option<Checkpoint>,
}

fn decode(bytes: &Bytes) -> Option<Batch> {
    if bytes.len() > MAX_BATCH_BYTES {
        return None;
    }
    let signed = SignedBatch::decode(bytes.clone()).ok()?;
    Batch::decode(signed.body).ok()
}
