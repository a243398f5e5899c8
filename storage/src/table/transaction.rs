//! The rows that one call of apply read and changed, on top of the view it started from.
//!
//! Keeps three things in step: the new rows, the hash state (brought up to date only when somebody needs the
//! digest, so a directory that 300 entries change costs two elements and not 600), and the undo rows, one for each
//! row at its first change in a segment.

use std::collections::HashMap;

use bytes::Bytes;

use super::TableError;
use super::digest::LtHash;
use super::format::{changed_at, undo_key, undo_row};
use super::rows::{Change, Partition, RowView};

/// A row under work.
struct Cell {
    /// As in the view.
    stored: Option<Bytes>,
    /// As in the hash state.
    hashed: Option<Bytes>,
    /// As of now.
    current: Option<Bytes>,
    /// Whether it waits for the hash state.
    queued: bool,
}

/// Changes on top of a view.
pub(crate) struct Transaction<'a, V> {
    view: &'a V,
    cells: [HashMap<Bytes, Cell>; Partition::DIGESTED.len()],
    undo: HashMap<Bytes, Bytes>,
    queue: Vec<(Partition, Bytes)>,
    segment: u64,
}

impl<'a, V: RowView> Transaction<'a, V> {
    /// Starts with nothing changed, in the segment behind the newest remembered index.
    pub(crate) fn new(view: &'a V, segment: u64) -> Self {
        Self { view, cells: Default::default(), undo: HashMap::new(), queue: Vec::new(), segment }
    }

    /// The present row.
    pub(crate) fn get(&mut self, partition: Partition, key: &Bytes) -> Result<Option<Bytes>, TableError> {
        let cells = self.cells_of(partition);
        if let Some(cell) = cells.get(key) {
            return Ok(cell.current.clone());
        }
        let row = self.view.get(partition, key)?;
        self.learn(partition, key.clone(), row.clone());
        Ok(row)
    }

    /// Says what the view holds for a row that the caller knows without reading it.
    pub(crate) fn learn(&mut self, partition: Partition, key: Bytes, row: Option<Bytes>) {
        let cell = Cell { stored: row.clone(), hashed: row.clone(), current: row, queued: false };
        self.cells_of(partition).entry(key).or_insert(cell);
    }

    /// Sets or removes a row, and keeps its old one if this is its first change in the segment.
    pub(crate) fn set(&mut self, partition: Partition, key: Bytes, row: Option<Bytes>) -> Result<(), TableError> {
        let old = self.get(partition, &key)?;
        if old == row {
            return Ok(());
        }
        self.keep_old(partition, &key, old)?;
        let cells = self.cells_of(partition);
        let cell = cells.get_mut(&key).expect("reading the old row made the cell");
        cell.current = row;
        if !std::mem::replace(&mut cell.queued, true) {
            self.queue.push((partition, key));
        }
        Ok(())
    }

    /// Brings the hash state up to the present rows.
    pub(crate) fn settle(&mut self, hash: &mut LtHash) {
        for (partition, key) in std::mem::take(&mut self.queue) {
            let cell = self.cells_of(partition).get_mut(&key).expect("a queued row has a cell");
            cell.queued = false;
            if cell.hashed == cell.current {
                continue;
            }
            if let Some(old) = &cell.hashed {
                hash.remove(partition, &key, old);
            }
            if let Some(new) = &cell.current {
                hash.add(partition, &key, new);
            }
            cell.hashed.clone_from(&cell.current);
        }
    }

    /// Changes from here on are undone separately from those before.
    pub(crate) fn start_segment(&mut self, index: u64) {
        self.segment = index;
    }

    /// How many undo rows this transaction made.
    pub(crate) fn undo_count(&self) -> usize {
        self.undo.len()
    }

    /// Every row that differs from the view, and the undo rows.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.undo.len() * 2 + 4);
        for (partition, cells) in Partition::DIGESTED.into_iter().zip(self.cells) {
            let differing = cells.into_iter().filter(|(_, cell)| cell.stored != cell.current);
            changes.extend(differing.map(|(key, cell)| Change { partition, key, row: cell.current }));
        }
        let undo = self.undo.into_iter();
        changes.extend(undo.map(|(key, row)| Change { partition: Partition::Undo, key, row: Some(row) }));
        changes
    }

    fn cells_of(&mut self, partition: Partition) -> &mut HashMap<Bytes, Cell> {
        let place = partition.digested_place().expect("a transaction changes rows of the digest only");
        &mut self.cells[place]
    }

    fn keep_old(&mut self, partition: Partition, key: &Bytes, old: Option<Bytes>) -> Result<(), TableError> {
        // The clock is the one row that does not start with the index of its last change.
        let index = old.as_deref().filter(|_| partition != Partition::Clock).map_or(0, changed_at);
        if index > self.segment {
            return Ok(());
        }
        let undo = undo_key(self.segment, partition, key);
        if self.undo.contains_key(&undo) {
            return Ok(());
        }
        // A present row was not touched in this segment, or its index would say so. An absent one may have been
        // removed in it, by this call or an earlier one.
        let may_have_been = old.is_none() || partition == Partition::Clock;
        if may_have_been && self.view.get(Partition::Undo, &undo)?.is_some() {
            return Ok(());
        }
        self.undo.insert(undo, undo_row(old.as_ref()));
        Ok(())
    }
}
