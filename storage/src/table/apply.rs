//! Apply: what an entry does to the rows. Total and deterministic, and it needs no key.
//!
//! The tag of a batch is not looked at here, or nodes with and without keys would differ.

use bytes::Bytes;
use conclave_batch::{Batch, Checkpoint, Guard, MAX_BATCH_BYTES, Outcome, SignedBatch};
use prost::Message;

use super::format::{Identity, changed_at, clock_row, identity_row, value_row};
use super::judge::{Evidence, Judgement, judge};
use super::names::{directory_of, value_appeared, value_vanished};
use super::rows::{Partition, RowView};
use super::stack::{Place, Stack};
use super::transaction::Transaction;
use super::window::{Draft, Window, slot_key};
use super::{Applied, Contradiction, TableError};
use crate::log::{Entry, Payload};

/// The table at a point in time.
pub(crate) struct State<V> {
    pub(crate) applied: Applied,
    pub(crate) stack: Stack<V>,
    /// The newest confirmed index, where a rewind leads: that of the base, or one that the base is about to be led to.
    pub(crate) confirmed: u64,
    /// Kept in memory only.
    pub(crate) contradiction: Option<Contradiction>,
}

impl<V> Clone for State<V> {
    fn clone(&self) -> Self {
        Self { applied: self.applied.clone(), stack: self.stack.clone(), ..*self }
    }
}

impl<V> State<V> {
    /// Whether there is more for the table's thread to do than there was before.
    pub(crate) fn is_ahead_of(&self, before: &Self) -> bool {
        self.confirmed != before.confirmed || self.stack.end() != before.stack.end()
    }

    /// The digest at a remembered index that is not older than the confirmed one.
    pub(crate) fn digest_at(&self, index: u64) -> Option<[u8; 32]> {
        let hash = (index >= self.confirmed).then(|| self.stack.hash_at(index))?;
        Some(hash?.digest())
    }
}

/// One call of apply.
pub(crate) struct Application<'a, V> {
    pub(crate) state: State<V>,
    transaction: Transaction<'a, Stack<V>>,
    pub(crate) draft: Draft<'a>,
    /// Keys whose values were written or deleted.
    pub(crate) written: Vec<Bytes>,
}

impl<'a, V: RowView> Application<'a, V> {
    pub(crate) fn new(before: &'a State<V>, window: &'a Window) -> Self {
        let transaction = Transaction::new(&before.stack);
        Self { state: before.clone(), transaction, draft: Draft::new(window), written: Vec::new() }
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

    /// Brings the open segment to where the last entry left the rows.
    pub(crate) fn settle(&mut self) -> Result<(), TableError> {
        let applied = &self.state.applied;
        let clock = clock_row(applied.epoch, applied.time_millis);
        self.transaction.set(Partition::Clock, Bytes::new(), clock)?;
        self.transaction.flush(&mut self.state.stack);
        Ok(())
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

    /// Confirms an earlier index if its digest is the same here, then remembers this one.
    fn checkpoint(&mut self, index: u64, checkpoint: &Checkpoint) -> Result<(), TableError> {
        let confirmed = checkpoint.index;
        let digest = self.state.digest_at(confirmed);
        if digest.is_some_and(|digest| digest[..] == checkpoint.digest[..]) {
            self.state.contradiction = None;
            self.state.applied.checkpoint = Some((index, confirmed));
            self.state.confirmed = confirmed;
        } else if let Some(digest) = digest.filter(|_| confirmed > 0) {
            // A checkpoint that only marks its own index names index 0 without a digest, which contradicts nothing.
            self.state.contradiction = Some(Contradiction { index: confirmed, digest });
        }
        self.settle()?;
        let State { applied, stack, confirmed, .. } = &mut self.state;
        stack.close(Place { last: applied.last, membership: applied.membership.clone() }, *confirmed);
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
