//! The table over any engine: who may write, what readers see, what is written together.
//!
//! One writer at a time holds the state; readers take the standing, which is replaced whole after each write. So a
//! view costs one reference count, never waits for apply, and says the same forever.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::Outcome;
use conclave_batch::{Directory, Name, Record, View, ViewError};
use parking_lot::{Mutex, RwLock};

use super::apply::{Application, State};
use super::digest::LtHash;
use super::format::{
    HAS_CHILDREN, HAS_VALUE, HASH_KEY, POINT_PREFIX, STANDING_KEY, Standing, malformed, name_key, put_standing,
    read_clock, read_directory, read_name, read_point, read_point_key, read_standing, read_undo_key, read_value,
};
use super::rows::{Change, Home, Partition, RowView, Rows};
use super::snapshot::{Reading, Receiver};
use super::touched::Touched;
use super::trial::trial;
use super::window::Window;
use super::{Applied, Contradiction, Export, Import, Table, TableError, Trial, damaged};
use crate::log::Entry;

/// Undo rows below the rewind point that each call of apply removes at least, if there are any.
const GARBAGE_ROWS_MIN: usize = 64;

/// The revisioned table. [`super::MemoryTable`] and [`super::DurableTable`] are this over their engines.
pub struct RevisionedTable<H: Home> {
    inner: Arc<Inner<H>>,
}

pub(crate) struct Inner<H: Home> {
    pub(crate) home: H,
    pub(crate) writer: Mutex<Writer<H::Rows>>,
    /// Index of every id in it is at most that of the published standing.
    pub(crate) window: RwLock<Window>,
    pub(crate) published: RwLock<Arc<Published<<H::Rows as Rows>::View>>>,
}

/// What only the writer touches.
pub(crate) struct Writer<R> {
    pub(crate) rows: Arc<R>,
    pub(crate) state: State,
    /// When keys of these rows were last written.
    pub(crate) touched: Arc<Touched>,
    /// Where the last search for garbage ended, so that the next one does not walk over what is removed already.
    pub(crate) garbage_after: Option<Bytes>,
    /// Set by a write that failed: what is on disk is then unknown.
    pub(crate) has_failed: bool,
}

/// What readers see.
pub(crate) struct Published<V> {
    pub(crate) view: V,
    pub(crate) touched: Arc<Touched>,
    pub(crate) applied: Applied,
    pub(crate) rewind: u64,
    pub(crate) points: BTreeMap<u64, [u8; 32]>,
    pub(crate) contradiction: Option<Contradiction>,
}

impl<H: Home> RevisionedTable<H> {
    /// Takes rows as they are on disk. A table that was being rewound is brought to the end of that first.
    pub(crate) fn start(home: H, rows: Arc<H::Rows>) -> Result<Self, TableError> {
        let loaded = load(rows.as_ref())?;
        let writer = Writer::new(rows, loaded.state);
        let published = RwLock::new(Arc::new(published(&writer)));
        let inner = Inner { home, writer: Mutex::new(writer), window: RwLock::new(loaded.window), published };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads every row of the present point in time and compares their digest with the one that apply kept. Costs
    /// about 3 µs a row; apply and readers go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`TableError::Damaged`] if a row was changed, lost or added by anything but apply.
    pub fn verify(&self) -> Result<Applied, TableError> {
        let published = self.published();
        let (found, expected) = (LtHash::over(&published.view)?.digest(), published.applied.digest);
        if found != expected {
            return Err(damaged("the rows do not add up to the digest that apply kept"));
        }
        Ok(published.applied.clone())
    }

    /// The rows as the engine holds them, for tests that damage them.
    #[cfg(test)]
    pub(crate) fn raw_rows(&self) -> Arc<H::Rows> {
        self.inner.writer.lock().rows.clone()
    }

    fn published(&self) -> Arc<Published<<H::Rows as Rows>::View>> {
        self.inner.published.read().clone()
    }
}

impl<H: Home> Table for RevisionedTable<H> {
    fn applied(&self) -> Applied {
        self.published().applied.clone()
    }

    fn rewind_index(&self) -> u64 {
        self.published().rewind
    }

    fn view(&self) -> Result<Box<dyn View>, TableError> {
        Ok(Box::new(TableView { published: self.published() }))
    }

    fn apply(&self, entries: &[Entry]) -> Result<Vec<Option<Outcome>>, TableError> {
        let mut writer = self.inner.writer.lock();
        writer.check()?;
        let before = self.published();
        let window = self.inner.window.read();
        let mut application = Application::new(writer.state.clone(), &before.view, &window);
        let outcomes = entries.iter().map(|entry| application.entry(entry)).collect::<Result<Vec<_>, _>>()?;
        application.settle()?;
        let mut changes: Vec<Change> = application.point_changes().collect();
        let Application { state, transaction, draft, written, .. } = application;
        let (garbage, searched) = writer.garbage(&before.view, transaction.undo_count())?;
        changes.extend(transaction.into_changes());
        changes.extend(garbage.iter().map(|key| Change { partition: Partition::Undo, key: key.clone(), row: None }));
        changes.extend(bookkeeping(&state));
        let added = draft.into_added();
        drop(window);
        writer.write(changes)?;
        writer.state = state;
        writer.touched.note(&written, writer.last_index());
        writer.garbage_after = searched;
        self.inner.window.write().extend(added, writer.last_index());
        self.inner.publish(&writer);
        Ok(outcomes)
    }

    fn outcome_of(&self, id: &[u8; 16]) -> Result<Option<Outcome>, TableError> {
        let window = self.inner.window.read();
        // Seen from the entry that comes next, so that the answer is the one which apply would give.
        Ok(window.find(id, index_of(&self.published().applied) + 1))
    }

    fn sync(&self) -> Result<Applied, TableError> {
        // Without the writer's lock while it takes long, so that apply goes on; what that adds may become durable
        // too, which does no harm.
        let (rows, applied) = {
            let writer = self.inner.writer.lock();
            writer.check()?;
            (writer.rows.clone(), writer.state.applied.clone())
        };
        rows.sync().inspect_err(|_| self.inner.writer.lock().has_failed = true)?;
        Ok(applied)
    }

    fn export(&self) -> Result<Box<dyn Export>, TableError> {
        Ok(Box::new(Reading::new(self.published())))
    }

    fn import(&self) -> Result<Box<dyn Import>, TableError> {
        Ok(Box::new(Receiver::new(self.inner.clone())?))
    }

    fn path(&self) -> Option<&Path> {
        self.inner.home.path()
    }

    fn rewind(&self) -> Result<Applied, TableError> {
        self.inner.rewind()
    }

    fn trial(&self) -> Result<Box<dyn Trial>, TableError> {
        trial(self.published())
    }

    fn digest_at(&self, index: u64) -> Result<Option<[u8; 32]>, TableError> {
        Ok(self.published().points.get(&index).copied())
    }

    fn contradiction(&self) -> Option<Contradiction> {
        self.published().contradiction
    }
}

impl<H: Home> Inner<H> {
    /// Shows readers what the writer wrote.
    pub(crate) fn publish(&self, writer: &Writer<H::Rows>) {
        let next = Arc::new(published(writer));
        *self.published.write() = next;
    }

    /// Shows readers another set of rows.
    pub(crate) fn replace(&self, writer: &mut Writer<H::Rows>, rows: Arc<H::Rows>) -> Result<Applied, TableError> {
        let loaded = load(rows.as_ref()).inspect_err(|_| writer.has_failed = true)?;
        *writer = Writer::new(rows, loaded.state);
        *self.window.write() = loaded.window;
        self.publish(writer);
        Ok(writer.state.applied.clone())
    }
}

impl<R: Rows> Writer<R> {
    fn new(rows: Arc<R>, state: State) -> Self {
        Self { rows, state, touched: Arc::new(Touched::new()), garbage_after: None, has_failed: false }
    }

    /// Refuses everything after a failed write.
    pub(crate) fn check(&self) -> Result<(), TableError> {
        if self.has_failed {
            return Err(TableError::Engine(
                "an earlier write failed; restart the process to open the table anew".into(),
            ));
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, changes: Vec<Change>) -> Result<(), TableError> {
        self.rows.write(changes).inspect_err(|_| self.has_failed = true)
    }

    fn last_index(&self) -> u64 {
        index_of(&self.state.applied)
    }

    /// Keys of some undo rows that no rewind will need. `added` rows are made in the same write, so removing twice
    /// as many keeps up without ever making one write long.
    fn garbage(&self, view: &R::View, added: usize) -> Result<(Vec<Bytes>, Option<Bytes>), TableError> {
        let (mut keys, most) = (Vec::new(), GARBAGE_ROWS_MIN.max(added * 2));
        let mut is_full = false;
        // The rewind point from before this call: segments below it get no more rows, so none is left behind.
        let floor = self.state.rewind;
        view.scan(Partition::Undo, &[], self.garbage_after.as_deref(), &mut |key, _| {
            let (segment, ..) = read_undo_key(key)?;
            is_full = segment < floor && keys.len() == most;
            if segment >= floor || is_full {
                return Ok(ControlFlow::Break(()));
            }
            keys.push(Bytes::copy_from_slice(key));
            Ok(ControlFlow::Continue(()))
        })?;
        // Nothing is left below the floor: even if nothing was found, the next search starts there. After a restart each
        // entry would else walk over all that was removed since the file was made.
        let searched = if is_full { keys.last().cloned() } else { Some(Bytes::copy_from_slice(&floor.to_be_bytes())) };
        Ok((keys, searched))
    }
}

/// A point in time of the table.
struct TableView<V> {
    published: Arc<Published<V>>,
}

impl<V: RowView> View for TableView<V> {
    fn index(&self) -> u64 {
        index_of(&self.published.applied)
    }

    fn lineage(&self) -> u64 {
        self.published.touched.lineage()
    }

    fn may_have_changed(&self, key: &[u8], since: u64) -> bool {
        self.published.touched.is_behind(key, since)
    }

    fn written_below(&self, directory: &[u8], since: u64) -> Option<Vec<Bytes>> {
        self.published.touched.written_below(directory, since)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError> {
        Ok(self.published.view.get(Partition::Values, key)?.map(|row| read_value(&row)).transpose()?)
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        let row = self.published.view.get(Partition::Directories, key)?;
        Ok(row.map_or(Ok(Directory::default()), |row| read_directory(&row))?)
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError> {
        let mut names = Vec::new();
        if limit == 0 || key.len() > conclave_batch::MAX_KEY_BYTES {
            return Ok(names);
        }
        let prefix = name_key(key, &[]);
        let after = after.map(|segment| name_key(key, segment));
        self.published.view.scan(Partition::Names, &prefix, after.as_deref(), &mut |name, row| {
            let flags = read_name(row)?;
            names.push(Name {
                segment: Bytes::copy_from_slice(&name[prefix.len()..]),
                has_value: flags & HAS_VALUE != 0,
                has_children: flags & HAS_CHILDREN != 0,
            });
            Ok(if names.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(names)
    }
}

fn published<R: Rows>(writer: &Writer<R>) -> Published<R::View> {
    let State { applied, rewind, points, contradiction, .. } = &writer.state;
    Published {
        view: writer.rows.view(),
        touched: Arc::clone(&writer.touched),
        applied: applied.clone(),
        rewind: *rewind,
        points: points.clone(),
        contradiction: *contradiction,
    }
}

pub(crate) fn index_of(applied: &Applied) -> u64 {
    applied.last.map_or(0, |last| last.index)
}

/// The rows that say where the table stands.
pub(crate) fn bookkeeping(state: &State) -> [Change; 2] {
    let State { applied, rewind, hash, .. } = state;
    let standing = Standing {
        last: applied.last,
        membership: applied.membership.clone(),
        checkpoint: applied.checkpoint,
        rewind: *rewind,
    };
    let mut row = Vec::with_capacity(256);
    put_standing(&mut row, &standing);
    [
        Change { partition: Partition::Meta, key: Bytes::from_static(STANDING_KEY), row: Some(row.into()) },
        Change { partition: Partition::Meta, key: Bytes::from_static(HASH_KEY), row: Some(hash.to_bytes().into()) },
    ]
}

pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) window: Window,
}

/// Reads where a set of rows stands. If its hash state is missing, which a rewind leaves until its second write, it
/// is computed from every row and written.
pub(crate) fn load<R: Rows>(rows: &R) -> Result<Loaded, TableError> {
    let view = rows.view();
    let standing_row = view.get(Partition::Meta, STANDING_KEY)?;
    let is_new = standing_row.is_none();
    let standing = standing_row.map_or(Ok(Standing::default()), |row| read_standing(&row))?;
    let (epoch, time_millis) = read_clock(view.get(Partition::Clock, &[])?.as_deref())?;
    let stored = view.get(Partition::Meta, HASH_KEY)?;
    let hash = match &stored {
        Some(row) => LtHash::from_bytes(row).ok_or_else(|| malformed("hash"))?,
        None => LtHash::over(&view)?,
    };
    let applied = Applied {
        last: standing.last,
        membership: standing.membership,
        epoch,
        time_millis,
        digest: hash.digest(),
        checkpoint: standing.checkpoint,
    };
    let mut points = load_points(&view)?;
    if stored.is_none() {
        points.insert(standing.rewind, applied.digest);
    } else if standing.rewind == 0 {
        // A table that was never confirmed, imported or rewound goes back to nothing at all, which has no row.
        points.entry(0).or_insert_with(|| LtHash::empty().digest());
    }
    let state = State { applied, rewind: standing.rewind, hash, points, contradiction: None };
    let window = Window::load(&view, index_of(&state.applied))?;
    if stored.is_none() && !is_new {
        rows.write(super::rewind::settled(&state).into())?;
    }
    Ok(Loaded { state, window })
}

fn load_points(view: &impl RowView) -> Result<BTreeMap<u64, [u8; 32]>, TableError> {
    let mut points = BTreeMap::new();
    view.scan(Partition::Meta, POINT_PREFIX, None, &mut |key, row| {
        points.insert(read_point_key(key)?, read_point(row)?.digest);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(points)
}
