//! Rows in memory: for development, tests and simulation. Nothing survives the process.
//!
//! A view is a copy of the persistent maps, so readers hold no lock while they read.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::TableError;
use super::revisioned::RevisionedTable;
use super::rows::{Change, Home, Partition, RowView, Rows, Visit};
use super::treap::Treap;

/// The table in memory.
pub type MemoryTable = RevisionedTable<MemoryHome>;

impl MemoryTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::start(MemoryHome, Arc::new(MemoryRows::default()))
            .expect("empty memory holds nothing that could be damaged")
    }
}

impl Default for MemoryTable {
    fn default() -> Self {
        Self::new()
    }
}

/// Nowhere in particular.
pub struct MemoryHome;

impl Home for MemoryHome {
    type Rows = MemoryRows;
    type Staging = MemoryRows;

    fn stage(&self) -> Result<MemoryRows, TableError> {
        Ok(MemoryRows::default())
    }

    fn staged<'a>(&self, staging: &'a MemoryRows) -> &'a MemoryRows {
        staging
    }

    fn adopt(&self, staging: MemoryRows) -> Result<Arc<MemoryRows>, TableError> {
        Ok(Arc::new(staging))
    }

    fn retire(&self, _: &MemoryRows) {}

    fn path(&self) -> Option<&Path> {
        None
    }
}

/// One persistent map a partition.
#[derive(Default)]
pub struct MemoryRows {
    maps: RwLock<MemoryView>,
}

/// The maps at a point in time.
#[derive(Clone, Default)]
pub struct MemoryView {
    maps: [Treap<Bytes>; 7],
}

impl MemoryView {
    fn map(&self, partition: Partition) -> &Treap<Bytes> {
        &self.maps[usize::from(partition as u8) - 1]
    }
}

#[cfg(test)]
impl From<MemoryView> for MemoryRows {
    fn from(view: MemoryView) -> Self {
        Self { maps: RwLock::new(view) }
    }
}

impl Rows for MemoryRows {
    type View = MemoryView;

    fn view(&self) -> MemoryView {
        self.maps.read().clone()
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), TableError> {
        // Worked on aside, so that whoever takes a view meanwhile does not wait.
        let mut next = self.maps.read().clone();
        for change in changes {
            let map = &mut next.maps[usize::from(change.partition as u8) - 1];
            match change.row {
                Some(row) => map.insert(change.key, row),
                None => map.remove(&change.key),
            }
        }
        *self.maps.write() = next;
        Ok(())
    }

    fn sync(&self) -> Result<(), TableError> {
        Ok(())
    }
}

impl RowView for MemoryView {
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        Ok(self.map(partition).get(key).cloned())
    }

    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError> {
        let rows = self.map(partition).iter_from(after.unwrap_or(prefix).max(prefix));
        for (key, row) in rows.take_while(|(key, _)| key.starts_with(prefix)) {
            if after != Some(key) && visit(key, row)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
