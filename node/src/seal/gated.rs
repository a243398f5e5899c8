//! The table with a gate in front of apply, so that it can be checked while nothing changes it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::Outcome;
use conclave_batch::View;
use conclave_storage::log::Entry;
use conclave_storage::table::{Applied, Contradiction, Export, Import, Rewound, Table, TableError, Trial};
use conclave_vault::open_key;
use parking_lot::Mutex;

use super::state::SealState;

/// A table whose apply waits while the gate is held.
pub(crate) struct GatedTable {
    inner: Arc<dyn Table>,
    gate: Arc<Mutex<()>>,
    state: Arc<SealState>,
}

/// A snapshot being received; it takes the table's place only through the gate.
struct GatedImport {
    inner: Box<dyn Import>,
    gate: Arc<Mutex<()>>,
    state: Arc<SealState>,
}

impl Import for GatedImport {
    fn push(&mut self, chunk: &[u8]) -> Result<(), TableError> {
        self.inner.push(chunk)
    }

    fn install(self: Box<Self>) -> Result<Applied, TableError> {
        let _held = self.gate.lock();
        // Before the new table can be read: nobody has confirmed it yet. At which index a checkpoint will is known after.
        self.state.withdraw(u64::MAX);
        self.inner.install()
    }
}

impl GatedTable {
    /// Puts a gate in front of a table. A snapshot withdraws the node before it takes the table's place.
    pub(crate) fn new(inner: Arc<dyn Table>, state: Arc<SealState>) -> Self {
        Self { inner, gate: Arc::default(), state }
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
        Ok(Box::new(GatedImport { inner, gate: Arc::clone(&self.gate), state: Arc::clone(&self.state) }))
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
