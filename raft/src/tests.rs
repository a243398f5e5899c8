//! openraft's own conformance suite for storage, over our adapters.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::Outcome;
use conclave_batch::View;
use conclave_storage::log::{DurableLog, Entry, Log, LogError, LogId, LogState, MemoryLog, Payload, Synced};
use conclave_storage::table::{Applied, DurableTable, Export, Import, MemoryTable, Rewound, Table, TableError, Trial};
use futures::future::BoxFuture;
use openraft::testing::log::{StoreBuilder, Suite};

use crate::hooks::{CallError, Hooks, Peer};
use crate::log::{Durability, LogStore};
use crate::machine::Machine;
use crate::metrics::Counters;
use crate::progress::Progress;
use crate::types::Types;

/// A node that has no opinion.
pub(crate) struct Indifferent;

impl Hooks for Indifferent {
    fn verify_for_append(&self, _: &[u8], _: u64) -> Result<(), String> {
        Ok(())
    }

    fn before_apply(&self, _: u64, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn applied(&self, _: u64, _: &[Bytes]) {}

    fn installed(&self) {}

    fn call(&self, _: Peer, _: &str, _: Bytes) -> BoxFuture<'static, Result<Bytes, CallError>> {
        Box::pin(std::future::ready(Err(CallError::UnknownMethod)))
    }
}

/// A table that accepts entries out of the blue, as the suite applies them; ours insists on every one since the
/// first.
struct WithoutGaps(Arc<dyn Table>);

impl Table for WithoutGaps {
    fn apply(&self, entries: &[Entry]) -> Result<Vec<Option<Outcome>>, TableError> {
        let next = self.0.applied().last.map_or(0, |id| id.index + 1);
        if let Some(first) = entries.first() {
            let blank = |index| Entry { id: LogId { index, ..first.id }, payload: Payload::Blank };
            self.0.apply(&(next..first.id.index).map(blank).collect::<Vec<_>>())?;
        }
        self.0.apply(entries)
    }

    fn applied(&self) -> Applied {
        self.0.applied()
    }

    fn view(&self) -> Result<Box<dyn View>, TableError> {
        self.0.view()
    }

    fn outcome_of(&self, id: &[u8; 16]) -> Result<Option<Outcome>, TableError> {
        self.0.outcome_of(id)
    }

    fn sync(&self) -> Result<Applied, TableError> {
        self.0.sync()
    }

    fn export(&self) -> Result<Box<dyn Export>, TableError> {
        self.0.export()
    }

    fn import(&self) -> Result<Box<dyn Import>, TableError> {
        self.0.import()
    }

    fn path(&self) -> Option<&Path> {
        self.0.path()
    }

    fn trial(&self) -> Result<Box<dyn Trial>, TableError> {
        self.0.trial()
    }

    fn rewind(&self) -> Result<Rewound, TableError> {
        self.0.rewind()
    }

    fn rewind_index(&self) -> u64 {
        self.0.rewind_index()
    }

    fn unconfirmed_bytes(&self) -> usize {
        self.0.unconfirmed_bytes()
    }

    fn digest(&self) -> Result<[u8; 32], TableError> {
        self.0.digest()
    }

    fn digest_at(&self, index: u64) -> Result<Option<[u8; 32]>, TableError> {
        self.0.digest_at(index)
    }

    fn contradiction(&self) -> Option<conclave_storage::table::Contradiction> {
        self.0.contradiction()
    }
}

/// A log that the suite may begin anywhere; ours begins at 0 or behind what was purged.
struct FromAnywhere(Arc<dyn Log>);

impl Log for FromAnywhere {
    fn append(&self, mut entries: Vec<Entry>, synced: Synced) -> Result<(), LogError> {
        if self.0.state().last.is_none()
            && let Some(first) = entries.first().map(|entry| entry.id)
        {
            let blank = |index| Entry { id: LogId { index, ..first }, payload: Payload::Blank };
            entries.splice(0..0, (0..first.index).map(blank));
        }
        self.0.append(entries, synced)
    }

    fn state(&self) -> LogState {
        self.0.state()
    }

    fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        self.0.read(range, max_bytes)
    }

    fn save_vote(&self, vote: Bytes) -> Result<(), LogError> {
        self.0.save_vote(vote)
    }

    fn save_committed(&self, committed: Option<LogId>) -> Result<(), LogError> {
        self.0.save_committed(committed)
    }

    fn sync(&self) -> Result<(), LogError> {
        self.0.sync()
    }

    fn truncate_after(&self, last: Option<LogId>) -> Result<(), LogError> {
        self.0.truncate_after(last)
    }

    fn purge(&self, upto: LogId) -> Result<(), LogError> {
        self.0.purge(upto)
    }

    fn synced_index(&self) -> Option<u64> {
        self.0.synced_index()
    }

    fn stalled_for(&self) -> std::time::Duration {
        self.0.stalled_for()
    }
}

fn adapters(log: Arc<dyn Log>, table: Arc<dyn Table>) -> (LogStore, Machine) {
    let log: Arc<dyn Log> = Arc::new(FromAnywhere(log));
    let table = Arc::new(WithoutGaps(table));
    let counters = Arc::new(Counters::default());
    let durability = Arc::new(Durability::new(log.clone()));
    let progress = Arc::new(Progress::new(None));
    let store = LogStore::new(log, durability, progress.clone(), counters.clone(), 1 << 20);
    // The suite applies entries that it did not append, so there is no log to wait for.
    let machine = Machine::new(table, None, Arc::new(Indifferent), progress, counters);
    (store, machine.expect("an empty table is fine"))
}

struct InMemory;

impl StoreBuilder<Types, LogStore, Machine> for InMemory {
    async fn build(&self) -> Result<((), LogStore, Machine), openraft::StorageError<Types>> {
        let (store, machine) = adapters(Arc::new(MemoryLog::new()), Arc::new(MemoryTable::new()));
        Ok(((), store, machine))
    }
}

struct OnDisk;

impl StoreBuilder<Types, LogStore, Machine, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), openraft::StorageError<Types>> {
        let owner_only = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(owner_only).tempdir().expect("a temporary directory");
        let log = DurableLog::open(dir.path()).expect("a new log opens");
        let table = DurableTable::open(dir.path()).expect("a new table opens");
        let (store, machine) = adapters(Arc::new(log), Arc::new(table));
        Ok((dir, store, machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_in_memory_keeps_openrafts_contract() {
    Suite::<Types, LogStore, Machine, _, _>::test_all(InMemory).await.expect("the suite passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_on_disk_keeps_openrafts_contract() {
    Suite::<Types, LogStore, Machine, _, _>::test_all(OnDisk).await.expect("the suite passes");
}
