//! A trial: a copy of the table at one point in time whose changes stay in memory, so that the table can be rewound and led
//! forward again while it goes on being applied to and read.
//!
//! Reads fall through to the frozen rows of the table; what the copy writes lies on top. So its cost is the rows that change,
//! not the table.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::format::{point_key, read_undo, read_undo_key, undo_row};
use super::revisioned::{Published, RevisionedTable};
use super::rows::{Change, Home, Partition, RowView, Rows, Visit};
use super::treap::Treap;
use super::{Table, TableError, Trial};

const PARTITIONS: [Partition; 7] = [
    Partition::Values,
    Partition::Names,
    Partition::Directories,
    Partition::Identities,
    Partition::Clock,
    Partition::Undo,
    Partition::Meta,
];

/// A copy over what a table has published.
pub(crate) fn trial<V: RowView>(published: Arc<Published<V>>) -> Result<Box<dyn Trial>, TableError> {
    let rewind = published.rewind;
    let base: Arc<dyn RowView> = Arc::new(Frozen(published));
    let rows = Arc::new(Overlay { base, changed: RwLock::default() });
    let table = RevisionedTable::start(TrialHome, Arc::clone(&rows))?;
    Ok(Box::new(Copied { table, rows, rewind }))
}

/// The copy.
struct Copied {
    table: RevisionedTable<TrialHome>,
    rows: Arc<Overlay>,
    /// Where the table would have been rewound to when the copy was taken.
    rewind: u64,
}

impl Trial for Copied {
    fn table(&self) -> &dyn Table {
        &self.table
    }

    fn is_as_taken(&self) -> Result<bool, TableError> {
        let changed = self.rows.changed.read().clone();
        let mut is_same = true;
        for (partition, map) in PARTITIONS.into_iter().zip(&changed.maps) {
            map.scan_from(&[], &mut |key, row| {
                let base = self.rows.base.get(partition, key)?;
                is_same &= is_free(partition, key, self.rewind, base.as_ref())? || base == read_undo(row)?;
                Ok(if is_same { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
        }
        Ok(is_same)
    }
}

/// Whether it means nothing that a row differs: garbage that the table has not removed yet, and the point before the first
/// entry, which is remembered without a row.
fn is_free(partition: Partition, key: &[u8], rewind: u64, base: Option<&Bytes>) -> Result<bool, TableError> {
    Ok(match partition {
        Partition::Undo => read_undo_key(key)?.0 < rewind,
        Partition::Meta => base.is_none() && key == point_key(0).as_ref(),
        _ => false,
    })
}

/// A published point in time as rows.
struct Frozen<V>(Arc<Published<V>>);

impl<V: RowView> RowView for Frozen<V> {
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        self.0.view.get(partition, key)
    }

    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError> {
        self.0.view.scan(partition, prefix, after, visit)
    }
}

/// Changed rows over frozen ones.
pub(crate) struct Overlay {
    base: Arc<dyn RowView>,
    changed: RwLock<Changed>,
}

/// The changed rows of each partition, in the form of undo rows: one may be absent.
#[derive(Clone, Default)]
struct Changed {
    maps: [Treap; PARTITIONS.len()],
}

impl Changed {
    fn map(&self, partition: Partition) -> &Treap {
        &self.maps[usize::from(partition as u8) - 1]
    }
}

/// Changed and frozen rows at a point in time.
pub(crate) struct OverlayView {
    base: Arc<dyn RowView>,
    changed: Changed,
}

impl Rows for Overlay {
    type View = OverlayView;

    fn view(&self) -> OverlayView {
        OverlayView { base: Arc::clone(&self.base), changed: self.changed.read().clone() }
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), TableError> {
        let mut changed = self.changed.write();
        for change in changes {
            let map = &mut changed.maps[usize::from(change.partition as u8) - 1];
            map.insert(change.key, undo_row(change.row.as_ref()));
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), TableError> {
        Ok(())
    }
}

impl OverlayView {
    /// The changed rows that a scan meets.
    fn changed(&self, partition: Partition, prefix: &[u8], after: Option<&[u8]>) -> Result<Vec<Met>, TableError> {
        let mut met = Vec::new();
        self.changed.map(partition).scan_from(after.unwrap_or(prefix).max(prefix), &mut |key, row| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            if after != Some(key) {
                met.push((Bytes::copy_from_slice(key), read_undo(row)?));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(met)
    }
}

type Met = (Bytes, Option<Bytes>);

impl RowView for OverlayView {
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        match self.changed.map(partition).get(key) {
            Some(row) => read_undo(row),
            None => self.base.get(partition, key),
        }
    }

    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError> {
        let mut changed = self.changed(partition, prefix, after)?.into_iter().peekable();
        let mut flow = ControlFlow::Continue(());
        self.base.scan(partition, prefix, after, &mut |key, row| {
            let mut is_changed = false;
            while let Some((own, row)) = changed.next_if(|(own, _)| own.as_ref() <= key) {
                is_changed = own == key;
                if let Some(row) = row {
                    flow = visit(&own, &row)?;
                }
                if flow.is_break() {
                    return Ok(flow);
                }
            }
            if !is_changed {
                flow = visit(key, row)?;
            }
            Ok(flow)
        })?;
        for (key, row) in changed {
            if let Some(row) = row.filter(|_| flow.is_continue()) {
                flow = visit(&key, &row)?;
            }
        }
        Ok(())
    }
}

/// A copy has no place of its own, and takes no snapshot.
pub(crate) struct TrialHome;

impl Home for TrialHome {
    type Rows = Overlay;
    type Staging = Overlay;

    fn stage(&self) -> Result<Overlay, TableError> {
        Err(TableError::Misuse("a trial takes no snapshot".into()))
    }

    fn staged<'a>(&self, staging: &'a Overlay) -> &'a Overlay {
        staging
    }

    fn adopt(&self, _: Overlay) -> Result<Arc<Overlay>, TableError> {
        Err(TableError::Misuse("a trial takes no snapshot".into()))
    }

    fn retire(&self, _: &Overlay) {}

    fn path(&self) -> Option<&Path> {
        None
    }
}
