//! What the table needs of an engine: get, scan, an atomic write, a point in time, a sync.
//!
//! Everything above this line is shared by all engines and decides what rows mean; an engine moves bytes.
//! An engine must detect a row that is not what was written and answer [`TableError::Damaged`].

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::TableError;

/// Disjoint sets of rows. The numbers are part of the disk format and of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Partition {
    /// Key to revision and value.
    Values = 1,
    /// Directory and segment to revision and flags.
    Names = 2,
    /// Directory to revision and count.
    Directories = 3,
    /// The batch-id window, one row a slot.
    Identities = 4,
    /// Epoch and cluster time, one row under the empty key.
    Clock = 5,
    /// Old rows, by segment; only version 1 has any.
    Undo = 6,
    /// Where the rows on the disk stand, and the hash state.
    Meta = 7,
}

impl Partition {
    /// Partitions whose rows are elements of the digest, in the order of an export.
    pub const DIGESTED: [Partition; 5] = [Self::Values, Self::Names, Self::Directories, Self::Identities, Self::Clock];

    /// The partition of a stored byte, if it is one whose rows are elements of the digest.
    pub(crate) fn digested_from(byte: u8) -> Option<Self> {
        Self::DIGESTED.into_iter().find(|partition| *partition as u8 == byte)
    }

    /// Place among [`Self::DIGESTED`], if it is there.
    pub(crate) fn digested_place(self) -> Option<usize> {
        let place = usize::from(self as u8) - 1;
        (place < Self::DIGESTED.len()).then_some(place)
    }
}

/// One row that an atomic write sets, or removes if `row` is absent.
pub struct Change {
    /// Where the row belongs.
    pub partition: Partition,
    /// Its key inside the partition.
    pub key: Bytes,
    /// Its new bytes.
    pub row: Option<Bytes>,
}

/// Called with each key and row of a scan, until it breaks.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, TableError>;

/// Rows at a point in time. Reading takes no lock that a writer holds while it works.
pub trait RowView: Send + Sync + 'static {
    /// One row.
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError>;
    /// Rows whose key starts with `prefix` and lies behind `after`, ascending.
    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError>;
}

/// An engine. There is one writer at a time; views are taken by any thread.
pub trait Rows: Send + Sync + 'static {
    /// Its point in time.
    type View: RowView;
    /// All writes so far, frozen.
    fn view(&self) -> Self::View;
    /// Makes all changes visible at once and, after a crash, keeps all of them or none. A key occurs once.
    fn write(&self, changes: Vec<Change>) -> Result<(), TableError>;
    /// Makes all writes so far survive a crash.
    fn sync(&self) -> Result<(), TableError>;
}

/// Where rows live, and how a received set takes the place of the present one.
pub trait Home: Send + Sync + 'static {
    /// The engine.
    type Rows: Rows;
    /// Rows being received. Dropping it without adopting it leaves nothing behind.
    type Staging: Send;
    /// Starts an empty set beside the present one.
    fn stage(&self) -> Result<Self::Staging, TableError>;
    /// The rows of a staging.
    fn staged<'a>(&self, staging: &'a Self::Staging) -> &'a Self::Rows;
    /// Makes a synced staging the present set; after a crash either is there, whole.
    fn adopt(&self, staging: Self::Staging) -> Result<Arc<Self::Rows>, TableError>;
    /// Says that the set is no longer in force: its files may go once nobody reads it.
    fn retire(&self, rows: &Self::Rows);
    /// The folder, if there is one.
    fn path(&self) -> Option<&Path>;
}
