//! A trial: a copy of the table at one point in time whose changes stay in memory, so that the table can be rewound and led
//! forward again while it goes on being applied to and read.
//!
//! The copy shares the rows on the disk and those in memory with the table. So its cost is the rows that change, not the table.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::apply::State;
use super::revisioned::{Published, RevisionedTable};
use super::rows::{Change, Home, Partition, RowView, Rows, Visit};
use super::stack::Base;
use super::{Table, TableError, Trial};

/// A copy of what a table has published, which is confirmed as far as the rows on the disk reach.
pub(crate) fn trial<V: RowView>(
    taken: Arc<Published<V>>,
    changes_max_bytes: usize,
) -> Result<Box<dyn Trial>, TableError> {
    let State { applied, stack, confirmed, contradiction } = taken.state.clone();
    let base = stack.base();
    let frozen = Frozen(base.clone());
    let base = Base { view: frozen.clone(), at: base.at.clone(), hash: base.hash.clone() };
    let state = State { applied, stack: stack.over(Arc::new(base)), confirmed, contradiction };
    let table = RevisionedTable::start_trial(TrialHome, Arc::new(frozen), state, changes_max_bytes)?;
    Ok(Box::new(Copied { table, taken }))
}

/// The copy.
struct Copied<V: RowView> {
    table: RevisionedTable<TrialHome>,
    taken: Arc<Published<V>>,
}

impl<V: RowView> Trial for Copied<V> {
    fn table(&self) -> &dyn Table {
        &self.table
    }

    fn is_as_taken(&self) -> Result<bool, TableError> {
        let copy = self.table.inner.published();
        let (now, taken) = (&copy.state, &self.taken.state);
        if now.applied != taken.applied || now.stack.base().hash != taken.stack.base().hash {
            return Ok(false);
        }
        for (partition, key) in now.stack.changed().chain(taken.stack.changed()) {
            if now.stack.get(partition, key)? != taken.stack.get(partition, key)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The rows on the disk as they are, also for writing, which is refused.
#[derive(Clone)]
pub(crate) struct Frozen(Arc<dyn RowView>);

impl RowView for Frozen {
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        self.0.get(partition, key)
    }

    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError> {
        self.0.scan(partition, prefix, after, visit)
    }
}

impl Rows for Frozen {
    type View = Self;

    fn view(&self) -> Self {
        self.clone()
    }

    fn write(&self, _: Vec<Change>) -> Result<(), TableError> {
        Err(TableError::Misuse("a trial writes no row to the disk".into()))
    }

    fn sync(&self) -> Result<(), TableError> {
        Ok(())
    }
}

/// A copy has no place of its own, and takes no snapshot.
pub(crate) struct TrialHome;

impl Home for TrialHome {
    type Rows = Frozen;
    type Staging = Frozen;

    fn stage(&self) -> Result<Frozen, TableError> {
        Err(TableError::Misuse("a trial takes no snapshot".into()))
    }

    fn staged<'a>(&self, staging: &'a Frozen) -> &'a Frozen {
        staging
    }

    fn adopt(&self, _: Frozen) -> Result<Arc<Frozen>, TableError> {
        Err(TableError::Misuse("a trial takes no snapshot".into()))
    }

    fn retire(&self, _: &Frozen) {}

    fn path(&self) -> Option<&Path> {
        None
    }
}
