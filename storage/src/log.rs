//! The Raft log: entries, the vote and the committed position, durable before they are acknowledged.

mod chain;
mod durable;
mod id;
mod memory;
mod record;
mod store;
mod tail;
mod wal;

#[cfg(test)]
pub(crate) mod tests;

pub use durable::DurableLog;
pub use id::LogId;
pub use memory::MemoryLog;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

/// What an entry carries.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// An encoded [`conclave_batch::SignedBatch`].
    Batch(Bytes),
    /// An encoded membership, opaque here.
    Membership(Bytes),
}

/// One entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identity.
    pub id: LogId,
    /// Its content.
    pub payload: Payload,
}

/// What a log holds when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Last entry that was purged.
    pub purged: Option<LogId>,
    /// Last entry, purged or not.
    pub last: Option<LogId>,
    /// The saved vote, opaque here.
    pub vote: Option<Bytes>,
    /// The saved committed position.
    pub committed: Option<LogId>,
}

/// Called once, after the entries are synced or failed to.
pub type Synced = Box<dyn FnOnce(std::io::Result<()>) + Send>;

/// Why the log cannot be used. Every variant is fatal: the process must stop.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system failed.
    #[error("the log's file system failed: {0}")]
    Io(#[from] std::io::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] crate::layout::LayoutError),
    /// What is on disk is not what was synced: cut short, a hole, a flipped bit, an older copy.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// A caller broke the protocol (a gap, an index below the purged one).
    #[error("the log was misused: {0}")]
    Misuse(String),
}

/// The durable log. One writer thread behind it drains what waits, writes once, syncs once and completes all in order.
pub trait Log: Send + Sync + 'static {
    /// The present state.
    fn state(&self) -> LogState;
    /// Entries of a range, ascending and without holes, at least one and then up to `max_bytes`.
    /// A range that is not wholly present is [`LogError::Misuse`].
    fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, LogError>;
    /// Appends consecutive entries. They are readable on return; `synced` runs after the sync.
    fn append(&self, entries: Vec<Entry>, synced: Synced) -> Result<(), LogError>;
    /// Saves the vote; synced on return, and ordered after all earlier appends.
    fn save_vote(&self, vote: Bytes) -> Result<(), LogError>;
    /// Saves the committed position; cheap. It is synced with the next append, or about a second later.
    fn save_committed(&self, committed: Option<LogId>) -> Result<(), LogError>;
    /// Makes everything so far durable, the committed position too.
    fn sync(&self) -> Result<(), LogError>;
    /// Removes every entry behind `last`, or all if `None`.
    fn truncate_after(&self, last: Option<LogId>) -> Result<(), LogError>;
    /// Forgets every entry up to and including `upto`.
    fn purge(&self, upto: LogId) -> Result<(), LogError>;
    /// Index through which entries are synced (exclusive upper bound is this plus one); `None` before the first.
    fn synced_index(&self) -> Option<u64>;
    /// For how long the oldest write has waited for the disk; zero if none waits. Never waits itself.
    fn stalled_for(&self) -> Duration;
}

/// The entries of a range in pieces of up to `max_bytes`, and at least one entry each. Ends at the first error.
pub fn pieces(
    log: &dyn Log,
    range: Range<u64>,
    max_bytes: usize,
) -> impl Iterator<Item = Result<Vec<Entry>, LogError>> {
    let mut next = range.start;
    std::iter::from_fn(move || {
        if next >= range.end {
            return None;
        }
        let piece = log.read(next..range.end, max_bytes);
        let last = piece.as_ref().ok().and_then(|entries| entries.last());
        next = last.map_or(range.end, |last| last.id.index + 1);
        Some(piece)
    })
}

/// Whether an entry may come behind the last one. The first of an empty log may have any index.
fn check_next(last: Option<LogId>, next: LogId) -> Result<(), LogError> {
    match last {
        Some(last) if next.index != last.index + 1 => {
            Err(misuse(format!("entry {} was appended where {} comes next", next.index, last.index + 1)))
        }
        _ => Ok(()),
    }
}

fn misuse(what: String) -> LogError {
    LogError::Misuse(what)
}

/// Index of the entry behind the last one.
fn end_of(last: Option<LogId>) -> u64 {
    last.map_or(0, |last| last.index + 1)
}
