//! Rows on disk, in fjall: a log-structured merge tree with a journal.
//!
//! All partitions share one tree, told apart by the first byte of the key. With one tree each, a crash could keep a
//! newer state of one than of another; with one, it keeps the writes up to some point, whole, and loses the rest.
//! fjall checks a 128-bit hash of every block that it reads and one of every journalled batch, so rows need no
//! checksum of their own. What it does not see is a batch that is missing in the middle of old journals: the digest
//! over all rows does.

use std::io::ErrorKind;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ::fjall::config::{CompressionPolicy, PartitioningPolicy};
use ::fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable, Snapshot};
use bytes::Bytes;

use super::digest::LtHash;
use super::migration;
use super::revisioned::{RevisionedTable, bookkeeping};
use super::rows::{Change, Home, Partition, RowView, Rows, Visit};
use super::stack::Place;
use super::{TableError, damaged};
use crate::layout::{Folder, LayoutError, read_small, write_atomically};
use crate::limits::{BLOCK_CACHE_BYTES, JOURNAL_BYTES, MEMTABLE_BYTES};

/// The table on disk.
pub type DurableTable = RevisionedTable<DurableHome>;

/// Version of everything in the table's folder.
const FORMAT_VERSION: u32 = 2;
/// The oldest version that is read; it is brought up to date when it is opened.
const OLDEST_VERSION: u32 = 1;
/// Name of the file that names the set of rows in force.
const CURRENT: &str = "current";
/// Start of the names of sets of rows.
const SET_PREFIX: &str = "rows-";
/// Threads that flush and compact.
const WORKER_THREADS: usize = 2;

impl DurableTable {
    /// Opens or makes the table in `<data>/table`. What an import left unfinished is removed.
    ///
    /// # Errors
    ///
    /// [`TableError::Folder`] if the folder may not be used, [`TableError::Damaged`] if its files are not what was
    /// written.
    pub fn open(data: impl AsRef<Path>) -> Result<Self, TableError> {
        let mut folder = Folder::open_since(data.as_ref(), "table", OLDEST_VERSION, FORMAT_VERSION)?;
        let number = current(&folder)?;
        if number.is_none() {
            // A first start that was cut short may have left half a set.
            remove_other_sets(folder.path(), None)?;
        }
        let in_force = number.unwrap_or(0);
        let rows = DurableRows::open(set_path(folder.path(), in_force), number.is_none())?;
        // A first start that was cut short has written the one file and not yet the other, and no row.
        if folder.is_new() && number.is_some() && !rows.is_empty()? {
            return Err(LayoutError::Damaged { path: folder.path().to_owned() }.into());
        }
        if number.is_none() {
            point_to(folder.path(), 0)?;
        }
        if folder.older_version().is_some() {
            migration::from_version_1(&rows)?;
        }
        folder.complete()?;
        rows.tree.is_doomed.store(false, Ordering::Relaxed);
        if rows.is_empty()? {
            // Without a row it could not be told from one whose first start was cut short, until a checkpoint is confirmed.
            rows.write(bookkeeping(&Place::default(), None, &LtHash::empty()).into())?;
        }
        // A process that died between a write and its sync left what a power loss could still take back.
        rows.sync()?;
        let (path, next_set) = (folder.path().to_owned(), AtomicU64::new(in_force + 1));
        let table = Self::start(DurableHome { folder, next_set }, Arc::new(rows))?;
        // Only now: if the set in force is damaged, another may be all that is left of the table.
        remove_other_sets(&path, Some(in_force))?;
        Ok(table)
    }
}

/// The number of the set in force; `None` if the table was never completed.
fn current(folder: &Folder) -> Result<Option<u64>, TableError> {
    let content = read_small(&folder.path().join(CURRENT))?;
    match content {
        None if folder.is_new() => Ok(None),
        None => Err(damaged("the file `table/current` is missing")),
        Some(content) => {
            let text = std::str::from_utf8(&content).ok().and_then(|text| text.strip_suffix('\n'));
            let number = text.and_then(|text| text.strip_prefix(SET_PREFIX)).and_then(|number| number.parse().ok());
            number.map(Some).ok_or_else(|| damaged("the file `table/current` is malformed"))
        }
    }
}

fn point_to(folder: &Path, number: u64) -> std::io::Result<()> {
    write_atomically(folder, CURRENT, format!("{SET_PREFIX}{number}\n").as_bytes())
}

fn set_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{SET_PREFIX}{number}"))
}

fn remove_other_sets(folder: &Path, number: Option<u64>) -> std::io::Result<()> {
    let kept = number.map(|number| set_path(folder, number));
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_set = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(SET_PREFIX.as_bytes()));
        if is_set && kept.as_ref() != Some(&path) {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// The table's folder: sets of rows, and the name of the one in force.
pub struct DurableHome {
    folder: Folder,
    next_set: AtomicU64,
}

impl Home for DurableHome {
    type Rows = DurableRows;
    type Staging = DurableRows;

    fn stage(&self) -> Result<DurableRows, TableError> {
        let number = self.next_set.fetch_add(1, Ordering::Relaxed);
        DurableRows::open(set_path(self.folder.path(), number), true)
    }

    fn staged<'a>(&self, staging: &'a DurableRows) -> &'a DurableRows {
        staging
    }

    fn adopt(&self, staging: DurableRows) -> Result<Arc<DurableRows>, TableError> {
        let before = current(&self.folder)?;
        // If this fails, either set may be the one in force: both stay, and the next start removes the other one.
        staging.tree.is_doomed.store(false, Ordering::Relaxed);
        write_atomically(self.folder.path(), CURRENT, format!("{}\n", staging.name()).as_bytes())?;
        // Views of the old set may be open: its files go when the last of them is dropped, or at the next start.
        tracing::info!(replaced = before, by = staging.name(), "a received table is in force");
        Ok(Arc::new(staging))
    }

    fn retire(&self, rows: &DurableRows) {
        rows.tree.is_doomed.store(true, Ordering::Relaxed);
    }

    fn path(&self) -> Option<&Path> {
        Some(self.folder.path())
    }
}

/// One set of rows.
pub struct DurableRows {
    tree: Arc<Tree>,
}

/// An open tree, which removes its files when it is dropped unless it is to stay.
struct Tree {
    /// `None` only while being dropped.
    open: Option<(Database, Keyspace)>,
    path: PathBuf,
    is_doomed: AtomicBool,
}

impl Tree {
    fn parts(&self) -> (&Database, &Keyspace) {
        let (database, keyspace) = self.open.as_ref().expect("the tree is open until it is dropped");
        (database, keyspace)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.open = None;
        if self.is_doomed.load(Ordering::Relaxed)
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "a replaced set of rows could not be removed; the next start tries again");
        }
    }
}

impl DurableRows {
    /// Opens a set, which is doomed until somebody says otherwise.
    fn open(path: PathBuf, is_new: bool) -> Result<Self, TableError> {
        if !is_new && !path.join("version").exists() {
            return Err(damaged("the set of rows in force is gone, or its file `version` is"));
        }
        let database = Database::builder(&path)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .journal_compression(CompressionType::None)
            .worker_threads(WORKER_THREADS)
            .open()
            .map_err(|error| if is_new { engine_error(error) } else { reopen_error(error) })?;
        // Ciphertext does not compress.
        let options = || {
            let uncompressed = CompressionPolicy::all(CompressionType::None);
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .data_block_compression_policy(uncompressed)
                // A whole index of a large file is a megabyte, read anew for a row whenever it is no longer cached.
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        };
        if !is_new && !database.keyspace_exists("rows") {
            return Err(damaged("the set of rows in force has no rows"));
        }
        let keyspace = database.keyspace("rows", options).map_err(reopen_error)?;
        let is_doomed = AtomicBool::new(is_new);
        Ok(Self { tree: Arc::new(Tree { open: Some((database, keyspace)), path, is_doomed }) })
    }

    fn is_empty(&self) -> Result<bool, TableError> {
        self.tree.parts().1.is_empty().map_err(engine_error)
    }

    /// Moves what is in memory into sorted files, for tests that damage those.
    #[cfg(test)]
    pub(super) fn flush(&self) {
        self.tree.parts().1.rotate_memtable_and_wait().expect("the files can be written");
    }

    fn name(&self) -> String {
        self.tree.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl Rows for DurableRows {
    type View = DurableView;

    fn view(&self) -> DurableView {
        DurableView { snapshot: self.tree.parts().0.snapshot(), tree: self.tree.clone() }
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), TableError> {
        let (database, keyspace) = self.tree.parts();
        // To the operating system, not to the disk: what matters is synced by the caller.
        let mut batch = database.batch().durability(Some(PersistMode::Buffer));
        for change in changes {
            let key = stored_key(change.partition, &change.key);
            match change.row {
                Some(row) => batch.insert(keyspace, key, row),
                None => batch.remove(keyspace, key),
            }
        }
        batch.commit().map_err(engine_error)
    }

    fn sync(&self) -> Result<(), TableError> {
        self.tree.parts().0.persist(PersistMode::SyncAll).map_err(engine_error)
    }
}

/// A snapshot of the tree.
pub struct DurableView {
    snapshot: Snapshot,
    tree: Arc<Tree>,
}

impl RowView for DurableView {
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        let (_, keyspace) = self.tree.parts();
        let row = self.snapshot.get(keyspace, stored_key(partition, key)).map_err(engine_error)?;
        Ok(row.map(Bytes::from))
    }

    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError> {
        let (_, keyspace) = self.tree.parts();
        let prefix = stored_key(partition, prefix);
        let end = Bound::Excluded(behind_all(&prefix));
        let start = match after {
            Some(after) => Bound::Excluded(stored_key(partition, after).max(prefix)),
            None => Bound::Included(prefix),
        };
        for guard in self.snapshot.range(keyspace, (start, end)) {
            let (key, row) = guard.into_inner().map_err(engine_error)?;
            if let ControlFlow::Break(()) = visit(&key[1..], &row)? {
                break;
            }
        }
        Ok(())
    }
}

/// The partition's byte, then the key.
fn stored_key(partition: Partition, key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + key.len());
    stored.push(partition as u8);
    stored.extend_from_slice(key);
    stored
}

/// The least key behind every key that starts with a stored prefix, whose first byte is a partition's.
fn behind_all(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// A set that is there and does not open: a file that it needs is gone, or too short for what must be in it.
fn reopen_error(error: ::fjall::Error) -> TableError {
    match engine_error(error) {
        TableError::Io(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
            unlike_written(&error)
        }
        error => error,
    }
}

/// Tells what was damaged from what could not be done.
fn engine_error(error: ::fjall::Error) -> TableError {
    use ::fjall::Error as Fjall;
    match error {
        Fjall::Io(error) | Fjall::Storage(LsmError::Io(error)) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => unlike_written(&error),
            _ => TableError::Io(error),
        },
        error @ (Fjall::Storage(_)
        | Fjall::JournalRecovery(_)
        | Fjall::InvalidVersion(_)
        | Fjall::Decompress(_)
        | Fjall::InvalidTrailer
        | Fjall::InvalidTag(_)
        | Fjall::Unrecoverable) => unlike_written(&error),
        error => TableError::Engine(format!("{error:?}")),
    }
}

fn unlike_written(error: &dyn std::fmt::Debug) -> TableError {
    damaged(format!("the files in `table` are not what was written ({error:?})"))
}
