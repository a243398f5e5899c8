//! A node that does not run, as its data folder has it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::View;
use conclave_raft::sole_voter::{self, SoleVoterError};
use conclave_raft::{Identity, IdentityError, Member, node_id};
use conclave_storage::layout::LayoutError;
use conclave_storage::log::{self, DurableLog, Log, LogError, LogId, LogState};
use conclave_storage::table::{DurableTable, Table, TableError};
use conclave_vault::open_key;
use conclave_vault::seal::{self, Outside, SealError};

use crate::opening::RECOVERY_MARKER;
use crate::replica::gated::GatedTable;

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 4 << 20;

/// Why the node's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoppedError {
    #[error("{0} is not the data folder of a node: it has no {1}")]
    NoNode(PathBuf, &'static str),
    #[error("{path} belongs to user {owner}, and this is user {user}: run this as the user that the server runs as")]
    OtherUser { path: PathBuf, owner: u32, user: u32 },
    #[error("the folder cannot be looked at")]
    Io(#[from] std::io::Error),
    #[error("a server has {0} open: stop the server first")]
    InUse(PathBuf),
    #[error("the Raft log does not open; choose another node")]
    Log(#[source] LogError),
    #[error("the table does not open; choose another node")]
    Table(#[source] TableError),
    #[error("the node's identity does not load; choose another node")]
    Identity(#[from] IdentityError),
    #[error("this node holds nothing of a cluster; choose another one")]
    Empty,
    #[error("the records outside the barrier are damaged; choose another node")]
    Seal(#[from] SealError),
}

/// The parts of a node that does not run.
pub(super) struct StoppedNode {
    pub(super) identity: Identity,
    pub(super) log: DurableLog,
    pub(super) table: GatedTable,
    folder: PathBuf,
}

impl StoppedNode {
    /// Opens the folder, which no server may have open. Makes nothing that is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, StoppedError> {
        for part in ["log/format", "table/format", "node/node.key", "node/node.id"] {
            if !folder.join(part).is_file() {
                return Err(StoppedError::NoNode(folder.to_owned(), part));
            }
        }
        // Files that root makes could not be opened by the server afterwards.
        let (owner, user) = (fs::metadata(folder.join("log"))?.uid(), rustix::process::geteuid().as_raw());
        if owner != user {
            return Err(StoppedError::OtherUser { path: folder.to_owned(), owner, user });
        }
        let log = DurableLog::open(folder).map_err(|error| match error {
            LogError::Folder(LayoutError::InUse { .. }) => StoppedError::InUse(folder.to_owned()),
            error => StoppedError::Log(error),
        })?;
        let table = DurableTable::open(folder).map_err(StoppedError::Table)?;
        let identity = Identity::load(&folder.join("node"))?;
        let table = GatedTable::new(Arc::new(table), || {});
        let node = Self { identity, log, table, folder: folder.to_owned() };
        // As consensus does before it runs: the table on the disk is behind.
        let LogState { last, committed, .. } = node.log.state();
        if let (Some(last), Some(committed)) = (last, committed) {
            node.apply_to(last.index.min(committed.index)).map_err(StoppedError::Table)?;
        }
        Ok(node)
    }

    /// Makes a node of a table that came from elsewhere, in a folder that holds none. The log begins behind the table.
    pub(super) fn make(folder: &Path, chunks: &[&[u8]]) -> Result<Self, StoppedError> {
        let log = DurableLog::open(folder).map_err(StoppedError::Log)?;
        let table = DurableTable::open(folder).map_err(StoppedError::Table)?;
        let identity = Identity::load_or_create(&folder.join("node"))?;
        let mut import = table.import().map_err(StoppedError::Table)?;
        for chunk in chunks {
            import.push(chunk).map_err(StoppedError::Table)?;
        }
        let applied = import.install().map_err(StoppedError::Table)?;
        log.purge(applied.last.ok_or(StoppedError::Empty)?).map_err(StoppedError::Log)?;
        let table = GatedTable::new(Arc::new(table), || {});
        Ok(Self { identity, log, table, folder: folder.to_owned() })
    }

    /// The last entry of the log.
    pub(super) fn last(&self) -> Result<LogId, StoppedError> {
        self.log.state().last.ok_or(StoppedError::Empty)
    }

    /// The records outside the barrier.
    pub(super) fn outside(&self) -> Result<Outside, StoppedError> {
        let view = self.table.view().map_err(StoppedError::Table)?;
        let read = |name| Ok(view.get(&open_key(name)).map_err(TableError::from)?.map(|record| record.value));
        let read = |name| read(name).map_err(StoppedError::Table);
        match (read(seal::CLUSTER)?, read(seal::SEAL)?, read(seal::KEYRING)?) {
            (Some(cluster), Some(seal), Some(keyring)) => Ok(Outside::decode(&cluster, &seal, &keyring)?),
            _ => Err(StoppedError::Empty),
        }
    }

    /// The sealed keyring and the index of its entry.
    pub(super) fn keyring(&self) -> Option<(Bytes, u64)> {
        let record = self.table.view().ok()?.get(&open_key(seal::KEYRING)).ok()??;
        Some((record.value, record.revision))
    }

    /// The members as the table has them.
    pub(super) fn members(&self) -> Result<Vec<Member>, SoleVoterError> {
        let (_, membership) = self.table.applied().membership.ok_or(SoleVoterError::NotAMember)?;
        sole_voter::members(&membership)
    }

    /// Cuts the log behind an index, if it goes on there. What counted as committed behind it does no more, also if an earlier
    /// cut was interrupted; that becomes durable with the next append.
    pub(super) fn cut(&self, keep: u64) -> Result<(), LogError> {
        if self.log.state().last.is_some_and(|last| last.index > keep) {
            let entries = self.log.read(keep..keep + 1, 1)?;
            self.log.truncate_after(entries.first().map(|entry| entry.id))?;
        }
        let LogState { last, committed, .. } = self.log.state();
        let is_beyond = committed.is_some_and(|committed| last.is_none_or(|last| committed.index > last.index));
        if is_beyond { self.log.save_committed(last) } else { Ok(()) }
    }

    /// Brings the table to an index of the log.
    pub(super) fn apply_to(&self, index: u64) -> Result<(), TableError> {
        let next = self.table.applied().last.map_or(0, |last| last.index + 1);
        for entries in log::pieces(&self.log, next..index + 1, READ_BYTES) {
            self.table.apply(&entries.map_err(|error| TableError::Misuse(error.to_string()))?)?;
        }
        self.table.sync().map(drop)
    }

    /// Says on the disk that the log is committed up to its last entry, so that a server applies all of it when it starts.
    pub(super) fn commit(&self, last: LogId) -> Result<(), LogError> {
        self.log.save_committed(Some(last))?;
        self.log.sync()
    }

    /// What an operator compares between nodes.
    pub(super) fn describe(&self) -> Result<String, StoppedError> {
        let (outside, last, applied) = (self.outside()?, self.last()?, self.table.applied());
        let cluster = uuid::Uuid::from_bytes(outside.cluster_id);
        let members = self.members().unwrap_or_default();
        let own = members.iter().find(|member| member.id == self.identity.id());
        let name = own.map_or_else(|| node_id(self.identity.id()), shown_name);
        let committed = self.log.state().committed.into_iter().chain(applied.last).map(|id| id.index).max();
        let checkpoint = match applied.checkpoint {
            Some((at, index)) => format!("entry {at} confirms index {index}"),
            None => "none".to_owned(),
        };
        let mut text = format!(
            "Node          {name}\nCluster       {cluster}, epoch {}\nLast entry    term {}, index {}\n\
             Committed     at least to index {}\nCheckpoint    {checkpoint}\n",
            outside.epoch,
            last.term,
            last.index,
            committed.unwrap_or_default(),
        );
        for (number, member) in members.iter().filter(|member| member.voter).enumerate() {
            let title = if number == 0 { "Voters" } else { "" };
            // Writing to a text does not fail.
            let _ = writeln!(text, "{title:<14}{} at {}", shown_name(member), member.cluster_addr);
        }
        if self.folder.join(RECOVERY_MARKER).exists() {
            text.push_str("A recovery of this node was begun and did not end: run it again, with -force.\n");
        }
        Ok(text)
    }
}

/// A node's name with its id, or the id alone.
pub(super) fn shown_name(member: &Member) -> String {
    let id = node_id(member.id);
    if member.name.is_empty() { id } else { format!("{} ({id})", member.name) }
}
