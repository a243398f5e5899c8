//! The table with a gate in front of apply, so that it can be checked while nothing changes it. It knows nothing of keys: who
//! has some is told before a snapshot takes the table's place.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::Outcome;
use conclave_batch::View;
use conclave_storage::log::Entry;
use conclave_storage::table::{Applied, Contradiction, Export, Import, Rewound, Table, TableError, Trial};
use conclave_vault::open_key;
use parking_lot::Mutex;

/// Called before a snapshot takes the table's place, while nobody reads the new one yet.
type BeforeInstall = Arc<dyn Fn() + Send + Sync>;

/// A table whose apply waits while the gate is held.
pub(crate) struct GatedTable {
    inner: Arc<dyn Table>,
    gate: Arc<Mutex<()>>,
    before_install: BeforeInstall,
}

/// A snapshot being received; it takes the table's place only through the gate.
struct GatedImport {
    inner: Box<dyn Import>,
    gate: Arc<Mutex<()>>,
    before_install: BeforeInstall,
}

impl Import for GatedImport {
    fn push(&mut self, chunk: &[u8]) -> Result<(), TableError> {
        self.inner.push(chunk)
    }

    fn install(self: Box<Self>) -> Result<Applied, TableError> {
        let _held = self.gate.lock();
        (self.before_install)();
        self.inner.install()
    }
}

impl GatedTable {
    /// Puts a gate in front of a table, and has something done before a snapshot takes the table's place.
    pub(crate) fn new(inner: Arc<dyn Table>, before_install: impl Fn() + Send + Sync + 'static) -> Self {
        Self { inner, gate: Arc::default(), before_install: Arc::new(before_install) }
    }

    /// A record outside the barrier, with its revision.
    pub(crate) fn open_record(&self, name: &str) -> Option<(u64, Bytes)> {
        let record = self.view().ok()?.get(&open_key(name)).ok()??;
        Some((record.revision, record.value))
    }

    /// Runs something while no entry is applied and no snapshot installed; it gets the table behind the gate.
    pub(crate) fn hold<T>(&self, run: impl FnOnce(&dyn Table) -> T) -> T {
        let _held = self.gate.lock();
        run(self.inner.as_ref())
    }
}

impl Table for GatedTable {
    fn applied(&self) -> Applied {
        self.inner.applied()
    }

    fn view(&self) -> Result<Box<dyn View>, TableError> {
        self.inner.view()
    }

    fn apply(&self, entries: &[Entry]) -> Result<Vec<Option<Outcome>>, TableError> {
        let _held = self.gate.lock();
        self.inner.apply(entries)
    }

    fn outcome_of(&self, id: &[u8; 16]) -> Result<Option<Outcome>, TableError> {
        self.inner.outcome_of(id)
    }

    fn sync(&self) -> Result<Applied, TableError> {
        self.inner.sync()
    }

    fn export(&self) -> Result<Box<dyn Export>, TableError> {
        self.inner.export()
    }

    fn import(&self) -> Result<Box<dyn Import>, TableError> {
        let inner = self.inner.import()?;
        Ok(Box::new(GatedImport {
            inner,
            gate: Arc::clone(&self.gate),
            before_install: Arc::clone(&self.before_install),
        }))
    }

    fn path(&self) -> Option<&Path> {
        self.inner.path()
    }

    fn rewind(&self) -> Result<Rewound, TableError> {
        self.inner.rewind()
    }

    fn trial(&self) -> Result<Box<dyn Trial>, TableError> {
        self.inner.trial()
    }

    fn rewind_index(&self) -> u64 {
        self.inner.rewind_index()
    }

    fn unconfirmed_bytes(&self) -> usize {
        self.inner.unconfirmed_bytes()
    }

    fn digest(&self) -> Result<[u8; 32], TableError> {
        self.inner.digest()
    }

    fn digest_at(&self, index: u64) -> Result<Option<[u8; 32]>, TableError> {
        self.inner.digest_at(index)
    }

    fn contradiction(&self) -> Option<Contradiction> {
        self.inner.contradiction()
    }
}
