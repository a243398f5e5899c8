//! The revisioned table: the state that the log's entries build.

mod apply;
mod digest;
mod durable;
mod format;
mod judge;
mod memory;
mod names;
mod revisioned;
mod rewind;
mod rows;
mod snapshot;
mod transaction;
mod treap;
mod window;

#[cfg(test)]
mod tests;

pub use durable::DurableTable;
pub use judge::{Evidence, Judgement, judge};
pub use memory::MemoryTable;
pub use revisioned::RevisionedTable;

use std::path::Path;

use bytes::Bytes;

use crate::batch::Outcome;
use crate::log::{Entry, LogId};

/// A value and the log index of its last change.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Log index of the entry that wrote it.
    pub revision: u64,
    /// The value.
    pub value: Bytes,
}

/// A directory: how many names it holds, and when one was last added or removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Log index at which a name was last added or removed, or got or lost a value or children; 0 if it is empty.
    pub revision: u64,
    /// Names in it now.
    pub count: u64,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The segment.
    pub segment: Bytes,
    /// Whether a value lies under it.
    pub has_value: bool,
    /// Whether it is a directory with names in it.
    pub has_children: bool,
}

/// The digest of a table without rows, which is where a log begins.
pub fn empty_digest() -> [u8; 32] {
    digest::LtHash::empty().digest()
}

/// Where the table stands. Written in the same atomic write as the effects.
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
    /// BLAKE3 of the LtHash state over all rows.
    pub digest: [u8; 32],
    /// Index of the newest checkpoint entry and the index it confirms, if any.
    pub checkpoint: Option<(u64, u64)>,
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
    /// A caller broke the protocol (an index twice, a bad chunk).
    #[error("the table was misused: {0}")]
    Misuse(String),
}

/// A point in time of the table.
pub trait View: Send + Sync {
    /// Applied index of this point in time; 0 if nothing was applied.
    fn index(&self) -> u64;
    /// The value under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Record>, TableError>;
    /// A directory's revision and count; the root directory is empty bytes.
    fn directory(&self, key: &[u8]) -> Result<Directory, TableError>;
    /// Up to `limit` names of a directory in the order of their bytes, behind `after`.
    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, TableError>;
}

/// A table being read out, as chunks for [`Import`].
pub trait Export: Send {
    /// Where the exported point in time stands.
    fn applied(&self) -> &Applied;
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

/// The revisioned table.
pub trait Table: Send + Sync + 'static {
    /// Where it stands.
    fn applied(&self) -> Applied;
    /// A point-in-time view.
    fn view(&self) -> Result<Box<dyn View>, TableError>;
    /// Applies consecutive entries and says what each batch did ([`None`] for the others). Total and deterministic: a
    /// bad entry has an outcome, not an error. All effects of one call, and [`Applied`], are one atomic write.
    fn apply(&self, entries: &[Entry]) -> Result<Vec<Option<Outcome>>, TableError>;
    /// What a batch answered that was applied within the id window.
    fn outcome_of(&self, id: &[u8; 16]) -> Result<Option<Outcome>, TableError>;
    /// Makes everything applied so far durable.
    fn sync(&self) -> Result<Applied, TableError>;
    /// Reads out the present point in time.
    fn export(&self) -> Result<Box<dyn Export>, TableError>;
    /// Starts to receive a table.
    fn import(&self) -> Result<Box<dyn Import>, TableError>;
    /// The folder it lies in, if it lies on a disk.
    fn path(&self) -> Option<&Path>;
    /// Puts the table back to the index that the newest confirmed checkpoint names (0 if there is none), from the undo
    /// rows kept since, and recomputes the digest from every row. The caller compares it with the checkpoint's and
    /// applies the log again from there. Not callable while views of a running reader are trusted.
    fn rewind(&self) -> Result<Applied, TableError>;
    /// Where [`Table::rewind`] would lead: the index the newest confirmed checkpoint names; before the first, the index
    /// of the snapshot that was installed, or 0. The log must keep every entry behind it.
    fn rewind_index(&self) -> u64 {
        self.applied().checkpoint.map_or(0, |(_, confirmed)| confirmed)
    }
    /// Digest remembered at an index: at every checkpoint entry, for the next checkpoint to confirm.
    fn digest_at(&self, index: u64) -> Result<Option<[u8; 32]>, TableError>;
}
