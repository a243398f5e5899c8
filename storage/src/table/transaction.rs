//! The rows that one call of apply read and changed, on top of the rows it started from.

use std::collections::HashMap;

use bytes::Bytes;

use super::TableError;
use super::rows::{Partition, RowView};
use super::stack::Stack;

/// A row under work.
struct Cell {
    /// As in the view, or as it was flushed last.
    stored: Option<Bytes>,
    /// As of now.
    current: Option<Bytes>,
    /// Whether it waits to be flushed.
    queued: bool,
}

/// Changes on top of a view.
pub(crate) struct Transaction<'a, V> {
    view: &'a V,
    cells: [HashMap<Bytes, Cell>; Partition::DIGESTED.len()],
    queue: Vec<(Partition, Bytes)>,
}

impl<'a, V: RowView> Transaction<'a, V> {
    /// Starts with nothing changed.
    pub(crate) fn new(view: &'a V) -> Self {
        Self { view, cells: Default::default(), queue: Vec::new() }
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
        let cell = Cell { stored: row.clone(), current: row, queued: false };
        self.cells_of(partition).entry(key).or_insert(cell);
    }

    /// Sets or removes a row.
    pub(crate) fn set(&mut self, partition: Partition, key: Bytes, row: Option<Bytes>) -> Result<(), TableError> {
        if self.get(partition, &key)? == row {
            return Ok(());
        }
        let cell = self.cells_of(partition).get_mut(&key).expect("reading the old row made the cell");
        cell.current = row;
        if !std::mem::replace(&mut cell.queued, true) {
            self.queue.push((partition, key));
        }
        Ok(())
    }

    /// Puts every row that changed since the last time into the open segment, once.
    pub(crate) fn flush<W>(&mut self, stack: &mut Stack<W>) {
        for (partition, key) in std::mem::take(&mut self.queue) {
            let cell = self.cells_of(partition).get_mut(&key).expect("a queued row has a cell");
            cell.queued = false;
            if cell.stored != cell.current {
                stack.put(partition, &key, cell.stored.as_ref(), cell.current.clone());
                cell.stored.clone_from(&cell.current);
            }
        }
    }

    fn cells_of(&mut self, partition: Partition) -> &mut HashMap<Bytes, Cell> {
        let place = partition.digested_place().expect("a transaction changes rows of the digest only");
        &mut self.cells[place]
    }
}
