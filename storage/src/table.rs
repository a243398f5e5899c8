//! The revisioned table: the state that the log's entries build.

mod apply;
mod digest;
mod durable;
mod format;
mod judge;
mod layer;
mod memory;
mod merge;
mod migration;
mod names;
mod revisioned;
mod rewind;
mod rows;
mod snapshot;
mod stack;
mod touched;
mod transaction;
mod treap;
mod trial;
mod window;

#[cfg(test)]
mod tests;

pub use durable::DurableTable;
pub use judge::{Evidence, Judgement, judge};
pub use memory::MemoryTable;
pub use revisioned::RevisionedTable;

use std::path::Path;

use bytes::Bytes;
use conclave_batch::{Outcome, View, ViewError};

use crate::REPLACE_NODE;
use crate::log::{Entry, LogId};

/// The digest of a table without rows, which is where a log begins.
pub fn empty_digest() -> [u8; 32] {
    digest::LtHash::empty().digest()
}

/// Where the table stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Last applied entry.
    pub last: Option<LogId>,
    /// Log id and encoding of the membership in force.
    pub membership: Option<(LogId, Bytes)>,
    /// Epoch that batches must carry.
    pub epoch: u64,
    /// Cluster time: the highest proposer's clock that was applied, milliseconds since the Unix epoch.
    pub time_millis: u64,
    /// Index of the newest checkpoint entry and the index it confirms, if any.
    pub checkpoint: Option<(u64, u64)>,
}

/// Where a rewind led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewound {
    /// Where the table stands now; its checkpoint is the newest that was known before.
    pub applied: Applied,
    /// BLAKE3 of the LtHash state over every row that was found on the disk.
    pub digest: [u8; 32],
}

/// A checkpoint that names another digest than this table had at its index: this table, or the one that the checkpoint was
/// made from, is not what the log builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The index that the checkpoint vouches for.
    pub index: u64,
    /// What this table's digest was there.
    pub digest: [u8; 32],
}

/// Why the table cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file system failed.
    #[error("the table's file system failed: {0}")]
    Io(#[from] std::io::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] crate::layout::LayoutError),
    /// The engine failed.
    #[error("the table's engine failed: {0}")]
    Engine(String),
    /// A row is not what was written.
    #[error("the table is damaged: {0}")]
    Damaged(String),
    /// What no checkpoint confirms would fill the memory.
    #[error(
        "{mebibytes} MiB of changes lie in memory because no checkpoint confirms them, and apply takes no more; the log holds \
         them all: if this node contradicts the cluster's checkpoints, replace it by a fresh one, else unseal a node so that \
         it makes a checkpoint"
    )]
    Unconfirmed {
        /// Their size, in MiB.
        mebibytes: usize,
    },
    /// A caller broke the protocol (an index twice, a bad chunk).
    #[error("the table was misused: {0}")]
    Misuse(String),
}

/// A damage, and what to do about it: the log builds the table.
fn damaged(what: impl std::fmt::Display) -> TableError {
    TableError::Damaged(format!(
        "{what}. Stop the node, move its folder `table` away and start it again: it builds the table anew if its log still holds \
         every entry. If that start is refused, {REPLACE_NODE}"
    ))
}

impl From<TableError> for ViewError {
    fn from(error: TableError) -> Self {
        Self(error.to_string())
    }
}

impl From<ViewError> for TableError {
    fn from(ViewError(what): ViewError) -> Self {
        Self::Engine(what)
    }
}

/// A table being read out, as chunks for [`Import`].
pub trait Export: Send {
    /// Where the exported point in time stands.
    fn applied(&self) -> &Applied;
    /// Digest of that point in time. Computed at the first call, as by [`Table::digest`].
    fn digest(&self) -> [u8; 32];
    /// The next chunk, at most about 1 MiB; `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, TableError>;
}

/// A table being received into a staging folder.
pub trait Import: Send {
    /// Takes the next chunk, in order.
    fn push(&mut self, chunk: &[u8]) -> Result<(), TableError>;
    /// Verifies the whole against its digest, syncs it, and puts it in the place of the table, atomically.
    fn install(self: Box<Self>) -> Result<Applied, TableError>;
}

/// A copy of a table at one point in time, to try on what must not disturb the table. What is changed stays in memory and is gone
/// with the copy; it takes no snapshot.
pub trait Trial: Send {
    /// The copy.
    fn table(&self) -> &dyn Table;
    /// Whether the copy, after whatever was done to it, holds row by row what it held when it was taken.
    fn is_as_taken(&self) -> Result<bool, TableError>;
}

/// The revisioned table.
pub trait Table: Send + Sync + 'static {
    /// Where it stands.
    fn applied(&self) -> Applied;
    /// A point-in-time view.
    fn view(&self) -> Result<Box<dyn View>, TableError>;
    /// Applies consecutive entries and says what each batch did ([`None`] for the others). Total and deterministic: a
    /// bad entry has an outcome, not an error. All effects of one call, and [`Applied`], show at once. They lie in memory, so that a
    /// table that is opened anew is behind, and the log leads it on.
    fn apply(&self, entries: &[Entry]) -> Result<Vec<Option<Outcome>>, TableError>;
    /// What a batch answered that was applied within the id window.
    fn outcome_of(&self, id: &[u8; 16]) -> Result<Option<Outcome>, TableError>;
    /// Makes everything durable that a checkpoint confirmed so far; the log makes the rest up. Answers where the table stands.
    fn sync(&self) -> Result<Applied, TableError>;
    /// Reads out the present point in time.
    fn export(&self) -> Result<Box<dyn Export>, TableError>;
    /// Starts to receive a table.
    fn import(&self) -> Result<Box<dyn Import>, TableError>;
    /// The folder it lies in, if it lies on a disk.
    fn path(&self) -> Option<&Path>;
    /// Puts the table back to the index that the newest confirmed checkpoint names (0 if there is none), which is what lies on
    /// the disk, and computes the digest from every row. The caller compares it with the checkpoint's and
    /// applies the log again from there. Not callable while views of a running reader are trusted.
    fn rewind(&self) -> Result<Rewound, TableError>;
    /// A copy of the present point in time; the table goes on meanwhile.
    fn trial(&self) -> Result<Box<dyn Trial>, TableError>;
    /// Where a table that is opened now would stand, whatever happens to the machine: soon after a checkpoint, the index that it
    /// confirmed; before the first, the index of the snapshot that was installed, or 0. The log must keep every entry behind it.
    fn rewind_index(&self) -> u64;
    /// What the changes that no checkpoint confirms take in memory, in bytes, about.
    fn unconfirmed_bytes(&self) -> usize;
    /// Digest of the present point in time. Computed for each call: two elements for each row that changed since the newest
    /// remembered index.
    fn digest(&self) -> Result<[u8; 32], TableError>;
    /// Digest remembered at an index: at every checkpoint entry, for the next checkpoint to confirm. Waits until it is computed.
    fn digest_at(&self, index: u64) -> Result<Option<[u8; 32]>, TableError>;
    /// The newest checkpoint that contradicts this table, until a later one confirms it. No part of what the log builds, so
    /// it is forgotten when the table is opened or rewound; applying the log again finds it again.
    fn contradiction(&self) -> Option<Contradiction>;
}
