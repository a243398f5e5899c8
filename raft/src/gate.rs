//! The gate in front of the leader's log: every batch, local or forwarded, passes it before it becomes an entry.
//!
//! In order: the leader has applied its own term's first entry; the id is looked up among the applied and the ones in
//! flight; the batch stands in line for its keys; it is judged on the table by the rule that apply has; the node checks
//! its tag; it is appended. So a doomed batch is answered `Conflict` and makes no entry.
//!
//! The gate decides nothing that apply relies on. Apply checks guards and ids again, and must: another leader's
//! entries may come between. What would surprise: an answer that promises "no effect" is remembered, because a
//! delayed copy of the same batch may arrive after its proposer was told so.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::View;
use conclave_batch::key;
use conclave_batch::{Batch, Guard, Outcome, SignedBatch};
use conclave_storage::table::{Evidence, Judgement, Table, TableError, judge};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::hooks::Hooks;
use crate::queue::{Claims, Mode, Queue, Ticket};

/// Ids answered "no effect" that are remembered, so that a delayed copy gets the same answer.
const REMEMBERED: usize = 1 << 16;
/// The semaphore counts in units of this many bytes, since it cannot count to 64 Mi.
const UNIT_BYTES: usize = 64;

/// What the gate answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done(Outcome),
    /// Not appended, because this node does not lead; another may.
    NotLeader(String),
    /// Not appended, because too much else is under way.
    NotAppended(String),
    Refused(String),
    TooLarge,
    Unknown,
}

/// How an append ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    Applied(Outcome),
    NotLeader(String),
    Unknown,
}

/// Leadership as the gate needs it.
pub(crate) trait Leadership: Send + Sync + 'static {
    /// The term in which this node leads, once it has applied that term's first entry.
    fn ready(&self, deadline: Instant) -> BoxFuture<'_, Result<u64, String>>;
    /// Hands a batch to the log, if this node still leads in `term`. Batches handed over one after the other are
    /// appended in that order. The inner future resolves after apply.
    fn append(&self, term: u64, signed: Bytes) -> BoxFuture<'_, Result<BoxFuture<'static, Completion>, String>>;
}

/// The gate.
pub(crate) struct Gate {
    table: Arc<dyn Table>,
    hooks: Arc<dyn Hooks>,
    leadership: Arc<dyn Leadership>,
    queue: Mutex<Queue>,
    running: Mutex<Running>,
    room: Arc<Semaphore>,
    units: usize,
    batch_bytes: usize,
    /// Breaks the guard check on purpose, for the test that shows that it is needed.
    #[cfg(test)]
    pub(crate) skip_guards: bool,
}

#[derive(Default)]
struct Running {
    term: u64,
    in_flight: HashMap<[u8; 16], watch::Receiver<State>>,
    without_effect: Remembered,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not handed to the log.
    Waiting,
    /// In the log, as far as the gate knows.
    Appended,
    Done(Verdict),
}

/// The last ids that were answered "no effect" in the present term.
#[derive(Default)]
struct Remembered {
    verdicts: HashMap<[u8; 16], Verdict>,
    order: VecDeque<[u8; 16]>,
}

impl Remembered {
    fn insert(&mut self, id: [u8; 16], verdict: Verdict) {
        if self.verdicts.insert(id, verdict).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }
}

/// A batch as the gate reads it.
struct Parsed {
    id: [u8; 16],
    signed: Bytes,
    batch: Batch,
}

impl Parsed {
    fn new(signed: Bytes) -> Option<Self> {
        let envelope = SignedBatch::decode(signed.clone()).ok()?;
        let batch = Batch::decode(envelope.body).ok()?;
        Some(Self { id: batch.id.as_ref().try_into().ok()?, signed, batch })
    }

    /// The places whose order matters: guards are read, operations write, and each directory above an operation may
    /// gain or lose a name.
    fn claims(&self) -> Claims {
        let mut claims = Claims::default();
        for guard in &self.batch.guards {
            claims.add(guard.key.clone(), guard.is_directory, Mode::Read);
        }
        for op in &self.batch.ops {
            claims.add(op.key.clone(), false, Mode::Write);
            let mut above = key::split_last(&op.key).map(|(parent, _)| parent);
            while let Some(directory) = above {
                above = key::split_last(&directory).map(|(parent, _)| parent);
                claims.add(directory, true, Mode::Touch);
            }
        }
        claims
    }
}

/// Leaves the lines whatever happens.
struct Standing<'a> {
    queue: &'a Mutex<Queue>,
    ticket: Ticket,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.queue.lock().release(self.ticket);
    }
}

impl Gate {
    /// `waiting_bytes` bounds what is inside at once, `batch_bytes` one batch.
    pub(crate) fn new(
        table: Arc<dyn Table>,
        hooks: Arc<dyn Hooks>,
        leadership: Arc<dyn Leadership>,
        waiting_bytes: usize,
        batch_bytes: usize,
    ) -> Self {
        let units = waiting_bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            table,
            hooks,
            leadership,
            queue: Mutex::default(),
            running: Mutex::default(),
            room: Arc::new(Semaphore::new(units)),
            units,
            batch_bytes,
            #[cfg(test)]
            skip_guards: false,
        }
    }

    /// Passes a batch through, or attaches to the same id that is already inside. `expected_term` is the term in
    /// which the proposer believes this node to lead, `None` if the proposer is this node.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        signed: Bytes,
        expected_term: Option<u64>,
        deadline: Instant,
    ) -> Verdict {
        if signed.len() > self.batch_bytes {
            return Verdict::TooLarge;
        }
        let Some(parsed) = Parsed::new(signed) else { return Verdict::Done(Outcome::Malformed) };
        let term = match self.leadership.ready(deadline).await {
            Ok(term) => term,
            Err(reason) => return Verdict::NotLeader(reason),
        };
        if expected_term.is_some_and(|expected| expected != term) {
            return Verdict::NotLeader("the leader's term has changed".into());
        }
        let (state, is_first) = self.attach_or_begin(parsed, term, deadline);
        wait(state, is_first, deadline).await
    }

    /// Bytes and batches inside.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let bytes = (self.units - self.room.available_permits()) * UNIT_BYTES;
        (bytes as u64, self.running.lock().in_flight.len() as u64)
    }

    fn attach_or_begin(
        self: &Arc<Self>,
        parsed: Parsed,
        term: u64,
        deadline: Instant,
    ) -> (watch::Receiver<State>, bool) {
        let mut running = self.running.lock();
        if running.term < term {
            running.term = term;
            running.without_effect = Remembered::default();
        }
        if let Some(state) = running.in_flight.get(&parsed.id) {
            return (state.clone(), false);
        }
        let (sender, state) = watch::channel(State::Waiting);
        if let Some(verdict) = running.without_effect.verdicts.get(&parsed.id) {
            sender.send_replace(State::Done(verdict.clone()));
            return (state, true);
        }
        running.in_flight.insert(parsed.id, state.clone());
        let gate = self.clone();
        // On its own task, so that a batch that was appended is followed to its end although its proposer went away.
        tokio::spawn(async move { gate.drive(parsed, term, deadline, sender).await });
        (state, true)
    }

    async fn drive(&self, parsed: Parsed, term: u64, deadline: Instant, state: watch::Sender<State>) {
        let id = parsed.id;
        let verdict = self.admit(parsed, term, deadline, &state).await;
        let mut running = self.running.lock();
        running.in_flight.remove(&id);
        // The others may be tried again under the same id, and count as unknown once an answer was lost.
        let is_final =
            matches!(verdict, Verdict::Done(Outcome::Conflict { .. } | Outcome::WrongEpoch) | Verdict::Refused(_));
        if is_final && running.term == term {
            running.without_effect.insert(id, verdict.clone());
        }
        drop(running);
        state.send_replace(State::Done(verdict));
    }

    async fn admit(&self, parsed: Parsed, term: u64, deadline: Instant, state: &watch::Sender<State>) -> Verdict {
        match self.table.outcome_of(&parsed.id) {
            Ok(Some(outcome)) => return Verdict::Done(outcome),
            Ok(None) => {}
            Err(error) => return broken(&error),
        }
        let units = parsed.signed.len().div_ceil(UNIT_BYTES).min(self.units);
        let Ok(_room) = self.room.clone().try_acquire_many_owned(units as u32) else {
            return Verdict::NotAppended("too many changes are waiting; try again later".into());
        };
        let (ticket, granted) = self.queue.lock().enter(parsed.claims());
        let _place = Standing { queue: &self.queue, ticket };
        if let Some(granted) = granted
            && timeout_at(deadline, granted).await.is_err()
        {
            return Verdict::NotAppended("others were changing the same keys until the deadline".into());
        }
        match self.foresee(&parsed.batch) {
            Ok(Outcome::Applied { .. }) => {}
            Ok(outcome) => return Verdict::Done(outcome),
            Err(error) => return broken(&error),
        }
        if let Err(reason) = self.hooks.verify_for_append(&parsed.signed, parsed.batch.time_millis) {
            return Verdict::Refused(reason);
        }
        let completion = match self.leadership.append(term, parsed.signed).await {
            Ok(completion) => completion,
            Err(reason) => return Verdict::NotLeader(reason),
        };
        self.queue.lock().release_reads(ticket);
        state.send_replace(State::Appended);
        match completion.await {
            Completion::Applied(outcome) => Verdict::Done(outcome),
            Completion::NotLeader(reason) => Verdict::NotLeader(reason),
            Completion::Unknown => Verdict::Unknown,
        }
    }

    /// What apply would answer, were this the next entry.
    fn foresee(&self, batch: &Batch) -> Result<Outcome, TableError> {
        let (table, view) = (self.table.as_ref(), self.table.view()?);
        // A follower may have applied what this leader has not: the entry comes behind the batch's base in any case.
        let (seen, next) = (view.index(), view.index().max(batch.base).saturating_add(1));
        let mut present = Present {
            table,
            view,
            #[cfg(test)]
            skip_guards: self.skip_guards,
        };
        Ok(match judge(batch, next, &mut present)? {
            // Who runs again waits for this index, so it must be one that was applied.
            Judgement::New(Outcome::Conflict { .. }) => Outcome::Conflict { index: seen },
            Judgement::New(outcome) | Judgement::Repeated(outcome) => outcome,
            Judgement::Nameless => Outcome::Malformed,
        })
    }
}

/// The table as it is now, for [`judge`].
struct Present<'a> {
    table: &'a dyn Table,
    view: Box<dyn View>,
    #[cfg(test)]
    skip_guards: bool,
}

impl Evidence for Present<'_> {
    fn answered(&self, id: &[u8; 16], _: u64) -> Result<Option<Outcome>, TableError> {
        self.table.outcome_of(id)
    }

    fn epoch(&self) -> u64 {
        self.table.applied().epoch
    }

    fn revision(&mut self, guard: &Guard) -> Result<u64, TableError> {
        #[cfg(test)]
        if self.skip_guards {
            return Ok(guard.revision);
        }
        if guard.is_directory {
            return Ok(self.view.directory(&guard.key)?.revision);
        }
        Ok(self.view.get(&guard.key)?.map_or(0, |record| record.revision))
    }
}

/// A table that cannot be read ends the process soon; until then nothing was appended.
fn broken(error: &TableError) -> Verdict {
    tracing::error!(%error, "the table cannot be read");
    Verdict::NotLeader("the leader cannot read its table".into())
}

/// Waits for the verdict. Past the deadline the batch may be in the log, unless the caller's own deadline is the one
/// that governs it and it is still in line: then the gate is about to say so.
async fn wait(mut state: watch::Receiver<State>, is_first: bool, deadline: Instant) -> Verdict {
    let done = |state: &State| matches!(state, State::Done(_));
    let early = timeout_at(deadline, state.wait_for(done)).await.map(|seen| seen.map(|seen| seen.clone()));
    let seen = match early {
        Ok(seen) => seen,
        Err(_) if is_first => state.wait_for(|state| *state != State::Waiting).await.map(|seen| seen.clone()),
        Err(_) => return Verdict::Unknown,
    };
    match seen {
        Ok(State::Done(verdict)) => verdict,
        // Appended, or the task that drove it is gone.
        Ok(_) | Err(_) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests;
