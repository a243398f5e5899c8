//! openraft's state machine over [`conclave_storage::table::Table`].
//!
//! What an entry does is the table's business. This adds the order around it: the local log is synced first, the
//! tag is checked, the table is written, caches are told, and only then the applied index is published and
//! the proposer answered. Work on the disk happens away from the executor.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use conclave_batch::{Batch, Outcome, SignedBatch};
use conclave_storage::log as disk;
use conclave_storage::table::{Applied, Export, Import, Table, TableError};
use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use parking_lot::Mutex;
use prost::Message;

use crate::hooks::Hooks;
use crate::log::Durability;
use crate::metrics::Counters;
use crate::progress::Progress;
use crate::types::{LeaderId, LogId, NodeRecord, SnapshotMeta, StoredMembership, Types};
use crate::wire;

/// Entries in one atomic write of the table.
const APPLY_ENTRIES: usize = 512;
/// Payload bytes in one, give or take an entry.
const APPLY_BYTES: usize = 4 << 20;

/// A snapshot with its contents, and the consensus that works on this machine.
pub(crate) type Snapshot = openraft::Snapshot<LeaderId, u64, NodeRecord, SnapshotData>;
pub(crate) type Consensus = openraft::Raft<Types, Machine>;

/// A snapshot on its way: read out of this table, received for it, or just made and not read.
pub(crate) enum SnapshotData {
    /// A snapshot was made durable; whoever wants to send it asks for it again.
    Marker,
    /// A point in time of this table.
    Outgoing(Box<dyn Export>),
    /// A table that was received and waits to take this one's place.
    Incoming(Box<dyn Import>),
}

/// The table as openraft sees it.
pub(crate) struct Machine {
    parts: Parts,
    /// `None` only where entries are applied that no log holds, in a test of this adapter.
    durability: Option<Arc<Durability>>,
    hooks: Arc<dyn Hooks>,
    progress: Arc<Progress>,
}

/// What the snapshot builder shares with the machine.
#[derive(Clone)]
struct Parts {
    table: Arc<dyn Table>,
    counters: Arc<Counters>,
    /// The newest point that a snapshot stands for: the table on the disk and the log behind it bring it back.
    snapshot: Arc<Mutex<Option<SnapshotMeta>>>,
}

type Waiting = (disk::Entry, Option<ApplyResponder<Types>>);

impl Machine {
    /// Takes the table as it is, which is as it lies on the disk.
    pub(crate) fn new(
        table: Arc<dyn Table>,
        durability: Option<Arc<Durability>>,
        hooks: Arc<dyn Hooks>,
        progress: Arc<Progress>,
        counters: Arc<Counters>,
    ) -> Result<Self, wire::WireError> {
        let applied = table.applied();
        let snapshot = if applied.last.is_some() { Some(meta(&applied)?) } else { None };
        let parts = Parts { table, counters, snapshot: Arc::new(Mutex::new(snapshot)) };
        Ok(Self { parts, durability, hooks, progress })
    }

    /// Applies entries, those whose tags hold together in one atomic write.
    async fn apply_together(&self, mut waiting: Vec<Waiting>) -> io::Result<()> {
        if let (Some(durability), Some((last, _))) = (&self.durability, waiting.last()) {
            durability.wait(last.id.index).await;
        }
        while !waiting.is_empty() {
            let rest = waiting.split_off(self.verified(&waiting)?);
            self.write(waiting).await?;
            waiting = rest;
        }
        Ok(())
    }

    /// How many of the entries, from the first on, have tags that hold. One may need what an earlier one brings (a
    /// new key term), so it stops consensus only when nothing stands before it.
    fn verified(&self, waiting: &[Waiting]) -> io::Result<usize> {
        for (place, (entry, _)) in waiting.iter().enumerate() {
            let disk::Payload::Batch(signed) = &entry.payload else { continue };
            let index = entry.id.index;
            match self.hooks.before_apply(index, signed) {
                Ok(()) => {}
                Err(_) if place > 0 => return Ok(place),
                Err(reason) => {
                    let (term, leader) = (entry.id.term, format!("{:016x}", entry.id.leader));
                    tracing::error!(index, term, leader, reason, "an entry does not verify");
                    self.progress.halt(index);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("entry {index} does not verify")));
                }
            }
        }
        Ok(waiting.len())
    }

    async fn write(&self, waiting: Vec<Waiting>) -> io::Result<()> {
        let (entries, responders): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let Some(last) = entries.last().map(|entry| wire::from_disk_id(&entry.id)) else { return Ok(()) };
        let entries = Arc::new(entries);
        let shared = entries.clone();
        let start = Instant::now();
        self.progress.set_applying(true);
        let outcomes = self.parts.blocking(move |table| table.apply(&shared)).await;
        self.progress.set_applying(false);
        let outcomes = outcomes?;
        self.parts.counters.apply.observe(start.elapsed());
        if outcomes.len() != entries.len() {
            return Err(io::Error::other("the table did not answer every entry"));
        }
        self.parts.counters.apply_batches.add(1);
        self.parts.counters.applied_entries.add(entries.len() as u64);
        for (entry, outcome) in entries.iter().zip(&outcomes) {
            self.tell_caches(entry, outcome);
        }
        self.progress.publish(last);
        for (responder, outcome) in responders.into_iter().zip(outcomes) {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    fn tell_caches(&self, entry: &disk::Entry, outcome: &Option<Outcome>) {
        match outcome {
            // A repeated id answers with the earlier index and changes nothing.
            Some(Outcome::Applied { index }) if *index == entry.id.index => {
                self.hooks.applied(*index, &changed_keys(entry));
            }
            Some(Outcome::Conflict { .. }) => self.parts.counters.doomed_entries.add(1),
            _ => {}
        }
    }
}

impl Parts {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Table) -> Result<T, TableError> + Send + 'static,
    ) -> io::Result<T> {
        let table = self.table.clone();
        let done = tokio::task::spawn_blocking(move || work(table.as_ref())).await;
        done.map_err(io::Error::other)?.map_err(to_io)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = self.parts.table.applied();
        let membership = wire::stored_membership(&applied.membership)?;
        Ok((applied.last.as_ref().map(wire::from_disk_id), membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some(first) = entries.next().await {
            let mut waiting = Vec::with_capacity(16);
            let mut size = push(&mut waiting, first?);
            while waiting.len() < APPLY_ENTRIES && size < APPLY_BYTES {
                match entries.next().now_or_never() {
                    Some(Some(next)) => size += push(&mut waiting, next?),
                    _ => break,
                }
            }
            self.apply_together(waiting).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.parts.clone())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> Result<(), io::Error> {
        let applied = match snapshot {
            SnapshotData::Marker => return Err(io::Error::other("a snapshot without contents cannot be installed")),
            SnapshotData::Incoming(import) => self.parts.blocking(move |_| import.install()).await?,
            SnapshotData::Outgoing(export) => self.parts.blocking(move |table| copy(export, table)).await?,
        };
        let installed = self::meta(&applied)?;
        if installed.last_log_id != meta.last_log_id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot is not the one that was announced"));
        }
        self.hooks.installed();
        if let Some(last) = installed.last_log_id {
            self.progress.publish(last);
        }
        self.parts.counters.snapshots_installed.add(1);
        *self.parts.snapshot.lock() = Some(installed);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        if self.parts.snapshot.lock().is_none() {
            return Ok(None);
        }
        // Newer than the durable point, which openraft accepts: the sender's own log still covers the difference.
        let export = self.parts.blocking(|table| table.export()).await?;
        let meta = meta(export.applied())?;
        Ok(Some(Snapshot { meta, snapshot: SnapshotData::Outgoing(export) }))
    }
}

/// Makes a snapshot: what is confirmed is written to the disk, nothing more. The log is kept behind that, whatever a snapshot
/// covers, and it is read out only when somebody wants it.
pub(crate) struct Builder(Parts);

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let applied = self.0.blocking(|table| table.sync()).await?;
        let meta = meta(&applied)?;
        *self.0.snapshot.lock() = Some(meta.clone());
        self.0.counters.snapshots_built.add(1);
        Ok(Snapshot { meta, snapshot: SnapshotData::Marker })
    }
}

fn push(waiting: &mut Vec<Waiting>, (entry, responder): EntryResponder<Types>) -> usize {
    let entry = wire::to_disk(entry);
    let size = match &entry.payload {
        disk::Payload::Blank => 0,
        disk::Payload::Batch(bytes) | disk::Payload::Membership(bytes) => bytes.len(),
    };
    waiting.push((entry, responder));
    size
}

fn changed_keys(entry: &disk::Entry) -> Vec<Bytes> {
    let disk::Payload::Batch(signed) = &entry.payload else { return Vec::new() };
    // It was applied, so it decodes; if it did not, there would be no keys that changed.
    let batch = SignedBatch::decode(signed.clone()).and_then(|signed| Batch::decode(signed.body));
    batch.map(|batch| batch.ops.into_iter().map(|op| op.key).collect()).unwrap_or_default()
}

fn copy(mut export: Box<dyn Export>, table: &dyn Table) -> Result<Applied, TableError> {
    let mut import = table.import()?;
    while let Some(chunk) = export.next_chunk()? {
        import.push(&chunk)?;
    }
    import.install()
}

pub(crate) fn meta(applied: &Applied) -> Result<SnapshotMeta, wire::WireError> {
    Ok(SnapshotMeta {
        last_log_id: applied.last.as_ref().map(wire::from_disk_id),
        last_membership: wire::stored_membership(&applied.membership)?,
    })
}

fn to_io(error: TableError) -> io::Error {
    match error {
        TableError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
