//! The table over any engine: who may write, what readers see, what lies in memory and what on the disk.
//!
//! One writer at a time makes the next point in time, which is replaced whole; readers take it. So a view costs one reference count,
//! never waits for apply, and says the same forever. Apply writes nothing to the disk: rows that changed lie in memory until a
//! checkpoint confirms them, and a thread of the table then leads the rows on the disk there ([`super::merge`]). What a
//! process that dies had in memory, the log brings back.

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
    HAS_CHILDREN, HAS_VALUE, HASH_KEY, STANDING_KEY, Standing, malformed, name_key, put_standing, read_clock,
    read_directory, read_name, read_standing, read_value,
};
use super::merge::Worker;
use super::rows::{Change, Home, Partition, RowView, Rows};
use super::snapshot::{Reading, Receiver};
use super::stack::{Base, Place, Stack};
use super::touched::Touched;
use super::trial::trial;
use super::window::Window;
use super::{Applied, Contradiction, Export, Import, Rewound, Table, TableError, Trial, damaged};
use crate::limits::CHANGES_MAX_BYTES;
use crate::log::Entry;

/// The revisioned table. [`super::MemoryTable`] and [`super::DurableTable`] are this over their engines.
pub struct RevisionedTable<H: Home> {
    pub(crate) inner: Arc<Inner<H>>,
    /// None leads the rows of a trial anywhere.
    worker: Option<Worker>,
}

pub(crate) type ViewOf<H> = <<H as Home>::Rows as Rows>::View;

pub(crate) struct Inner<H: Home> {
    pub(crate) home: H,
    /// Held by whoever changes the rows on the disk, before the writer's lock is taken.
    pub(crate) merging: Mutex<()>,
    pub(crate) writer: Mutex<Writer<H::Rows>>,
    /// Index of every id in it is at most that of the published point in time.
    pub(crate) window: RwLock<Window>,
    pub(crate) published: RwLock<Arc<Published<ViewOf<H>>>>,
    /// Whether rows that are confirmed go to the disk.
    pub(crate) is_merging: bool,
    /// See [`CHANGES_MAX_BYTES`].
    pub(crate) changes_max_bytes: usize,
}

/// What only a writer touches.
pub(crate) struct Writer<R> {
    pub(crate) rows: Arc<R>,
    /// Set by a write that failed: what is on disk is then unknown.
    pub(crate) has_failed: bool,
}

/// A point in time.
pub(crate) struct Published<V> {
    pub(crate) state: State<V>,
    /// When keys of these rows were last written.
    pub(crate) touched: Arc<Touched>,
}

impl<H: Home> RevisionedTable<H> {
    /// Takes rows as they are on disk.
    pub(crate) fn start(home: H, rows: Arc<H::Rows>) -> Result<Self, TableError> {
        Self::start_bounded(home, rows, CHANGES_MAX_BYTES)
    }

    /// As [`RevisionedTable::start`], with another bound than [`CHANGES_MAX_BYTES`].
    pub(crate) fn start_bounded(home: H, rows: Arc<H::Rows>, changes_max_bytes: usize) -> Result<Self, TableError> {
        let (state, window) = load(rows.as_ref())?;
        let inner = Arc::new(Inner::new(home, rows, state, window, true, changes_max_bytes));
        let worker = Some(Worker::start(Arc::clone(&inner))?);
        Ok(Self { inner, worker })
    }

    /// A table whose changes never leave memory.
    pub(crate) fn start_trial(
        home: H,
        rows: Arc<H::Rows>,
        state: State<ViewOf<H>>,
        changes_max_bytes: usize,
    ) -> Result<Self, TableError> {
        let window = Window::load(&state.stack, index_of(&state.applied))?;
        let inner = Arc::new(Inner::new(home, rows, state, window, false, changes_max_bytes));
        Ok(Self { inner, worker: None })
    }

    /// Reads every row of the present point in time and compares their digest with the one that follows from what apply
    /// changed. Costs about 3 µs a row; apply and readers go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`TableError::Damaged`] if a row was changed, lost or added by anything but apply.
    pub fn verify(&self) -> Result<Applied, TableError> {
        let published = self.inner.published();
        let State { applied, stack, .. } = &published.state;
        if LtHash::over(stack)? != stack.hash() {
            return Err(damaged("the rows do not add up to the digest that apply kept"));
        }
        Ok(applied.clone())
    }

    /// The rows as the engine holds them, for tests that damage them.
    #[cfg(test)]
    pub(crate) fn raw_rows(&self) -> Arc<H::Rows> {
        self.inner.writer.lock().rows.clone()
    }
}

impl<H: Home> Table for RevisionedTable<H> {
    fn applied(&self) -> Applied {
        self.inner.published().state.applied.clone()
    }

    fn rewind_index(&self) -> u64 {
        self.inner.published().state.stack.base().at.index()
    }

    fn view(&self) -> Result<Box<dyn View>, TableError> {
        Ok(Box::new(TableView { published: self.inner.published() }))
    }

    fn apply(&self, entries: &[Entry]) -> Result<Vec<Option<Outcome>>, TableError> {
        self.inner.make_room()?;
        let writer = self.inner.writer.lock();
        writer.check()?;
        let before = self.inner.published();
        let window = self.inner.window.read();
        let mut application = Application::new(&before.state, &window);
        let outcomes = entries.iter().map(|entry| application.entry(entry)).collect::<Result<Vec<_>, _>>()?;
        application.settle()?;
        let Application { state, draft, written, .. } = application;
        let added = draft.into_added();
        drop(window);
        let (last, is_closed) = (index_of(&state.applied), state.is_ahead_of(&before.state));
        before.touched.note(&written, last);
        self.inner.window.write().extend(added, last);
        self.inner.publish(Published { state, touched: Arc::clone(&before.touched) });
        drop(writer);
        if let Some(worker) = self.worker.as_ref().filter(|_| is_closed) {
            worker.wake();
        }
        Ok(outcomes)
    }

    fn outcome_of(&self, id: &[u8; 16]) -> Result<Option<Outcome>, TableError> {
        let window = self.inner.window.read();
        // Seen from the entry that comes next, so that the answer is the one which apply would give.
        Ok(window.find(id, index_of(&self.inner.published().state.applied) + 1))
    }

    fn sync(&self) -> Result<Applied, TableError> {
        self.inner.merge()?;
        Ok(self.applied())
    }

    fn export(&self) -> Result<Box<dyn Export>, TableError> {
        Ok(Box::new(Reading::new(self.inner.published())))
    }

    fn import(&self) -> Result<Box<dyn Import>, TableError> {
        Ok(Box::new(Receiver::new(self.inner.clone())?))
    }

    fn path(&self) -> Option<&Path> {
        self.inner.home.path()
    }

    fn rewind(&self) -> Result<Rewound, TableError> {
        self.inner.rewind()
    }

    fn trial(&self) -> Result<Box<dyn Trial>, TableError> {
        self.inner.merge()?;
        trial(self.inner.published(), self.inner.changes_max_bytes)
    }

    fn digest(&self) -> Result<[u8; 32], TableError> {
        Ok(self.inner.published().state.stack.hash().digest())
    }

    fn digest_at(&self, index: u64) -> Result<Option<[u8; 32]>, TableError> {
        Ok(self.inner.published().state.digest_at(index))
    }

    fn unconfirmed_bytes(&self) -> usize {
        let State { stack, confirmed, .. } = &self.inner.published().state;
        stack.bytes_behind(*confirmed)
    }

    fn contradiction(&self) -> Option<Contradiction> {
        self.inner.published().state.contradiction
    }
}

impl<H: Home> Inner<H> {
    fn new(
        home: H,
        rows: Arc<H::Rows>,
        state: State<ViewOf<H>>,
        window: Window,
        is_merging: bool,
        changes_max_bytes: usize,
    ) -> Self {
        let published = RwLock::new(Arc::new(Published { state, touched: Arc::new(Touched::new()) }));
        let writer = Mutex::new(Writer { rows, has_failed: false });
        let (merging, window) = (Mutex::new(()), RwLock::new(window));
        Self { home, merging, writer, window, published, is_merging, changes_max_bytes }
    }

    /// What readers see.
    pub(crate) fn published(&self) -> Arc<Published<ViewOf<H>>> {
        self.published.read().clone()
    }

    /// Shows readers the next point in time. Only for who holds the writer's lock.
    pub(crate) fn publish(&self, next: Published<ViewOf<H>>) {
        let next = Arc::new(next);
        // What it replaces may be large, and is dropped behind the lock.
        let before = std::mem::replace(&mut *self.published.write(), next);
        drop(before);
    }

    /// Shows readers another table.
    pub(crate) fn replace(&self, state: State<ViewOf<H>>, window: Window) {
        *self.window.write() = window;
        self.publish(Published { state, touched: Arc::new(Touched::new()) });
    }

    /// Waits until the rows in memory are few enough for some more.
    fn make_room(&self) -> Result<(), TableError> {
        let bytes = || self.published().state.stack.bytes();
        if bytes() <= self.changes_max_bytes {
            return Ok(());
        }
        self.merge()?;
        match bytes() {
            bytes if bytes <= self.changes_max_bytes => Ok(()),
            bytes => Err(TableError::Unconfirmed { mebibytes: bytes >> 20 }),
        }
    }
}

impl<R> Writer<R> {
    /// Refuses everything after a failed write.
    pub(crate) fn check(&self) -> Result<(), TableError> {
        if self.has_failed {
            return Err(TableError::Engine(
                "an earlier write failed; restart the process to open the table anew".into(),
            ));
        }
        Ok(())
    }
}

/// A point in time of the table.
struct TableView<V> {
    published: Arc<Published<V>>,
}

impl<V: RowView> View for TableView<V> {
    fn index(&self) -> u64 {
        index_of(&self.published.state.applied)
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
        Ok(self.published.state.stack.get(Partition::Values, key)?.map(|row| read_value(&row)).transpose()?)
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        let row = self.published.state.stack.get(Partition::Directories, key)?;
        Ok(row.map_or(Ok(Directory::default()), |row| read_directory(&row))?)
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError> {
        let mut names = Vec::new();
        if limit == 0 || key.len() > conclave_batch::MAX_KEY_BYTES {
            return Ok(names);
        }
        let prefix = name_key(key, &[]);
        let after = after.map(|segment| name_key(key, segment));
        self.published.state.stack.scan(Partition::Names, &prefix, after.as_deref(), &mut |name, row| {
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

pub(crate) fn index_of(applied: &Applied) -> u64 {
    applied.last.map_or(0, |last| last.index)
}

/// The rows that say where the rows on the disk stand.
pub(crate) fn bookkeeping(at: &Place, checkpoint: Option<(u64, u64)>, hash: &LtHash) -> [Change; 2] {
    let (last, membership) = (at.last, at.membership.clone());
    let mut row = Vec::with_capacity(256);
    put_standing(&mut row, &Standing { last, membership, checkpoint, rewind: at.index() });
    [
        Change { partition: Partition::Meta, key: Bytes::from_static(STANDING_KEY), row: Some(row.into()) },
        Change { partition: Partition::Meta, key: Bytes::from_static(HASH_KEY), row: Some(hash.to_bytes().into()) },
    ]
}

/// Reads where a set of rows stands. Without a state of the digest it is computed from every row.
pub(crate) fn load<R: Rows>(rows: &R) -> Result<(State<R::View>, Window), TableError> {
    let view = rows.view();
    let standing = view.get(Partition::Meta, STANDING_KEY)?;
    let standing = standing.map_or(Ok(Standing::default()), |row| read_standing(&row))?;
    let hash = match view.get(Partition::Meta, HASH_KEY)? {
        Some(row) => LtHash::from_bytes(&row).ok_or_else(|| malformed("hash"))?,
        None => LtHash::over(&view)?,
    };
    let Standing { last, membership, checkpoint, rewind } = standing;
    let at = Place { last, membership };
    if rewind != at.index() {
        return Err(malformed("standing"));
    }
    stand(Base { view, at, hash }, checkpoint)
}

/// A table that holds nothing but what lies on the disk.
pub(crate) fn stand<V: RowView>(
    base: Base<V>,
    checkpoint: Option<(u64, u64)>,
) -> Result<(State<V>, Window), TableError> {
    let (epoch, time_millis) = read_clock(base.view.get(Partition::Clock, &[])?.as_deref())?;
    let Place { last, membership } = base.at.clone();
    let window = Window::load(&base.view, base.at.index())?;
    let applied = Applied { last, membership, epoch, time_millis, checkpoint };
    let confirmed = base.at.index();
    Ok((State { applied, stack: Stack::new(Arc::new(base)), confirmed, contradiction: None }, window))
}
