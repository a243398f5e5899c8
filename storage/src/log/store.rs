//! The files of the durable log: those of `raft-log`, and the tail. One caller at a time; nothing here waits.

use std::fs::{DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bytes::Bytes;
use raft_log::RaftLog;
use raft_log::api::raft_log_writer::RaftLogWriter;

use super::chain::{Walk, collect, decode_at};
use super::record::{self, Chain, chain_start};
use super::tail::{self, Found, Reach, SLOT_BYTES, SLOT_DISTANCE, Tail, TailBytes};
use super::wal::{Block, Committed, Shape, Vote};
use super::{Entry, LogError, LogId, LogState, check_next, end_of, misuse};
use crate::layout::{Folder, LayoutError, private_file, sync_folder};

/// Name of the second file.
const TAIL: &str = "tail";
/// Name of the folder that `raft-log` writes into.
const WAL: &str = "wal";
/// Records of closed files that are kept in memory, in bytes; those of the open file always are.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// As above, counted.
const CACHE_RECORDS: usize = 64 * 1024;
/// Buffer for reading a file when the log is opened, in bytes.
const READ_BUFFER_BYTES: usize = 1024 * 1024;

/// When a file of the log is closed and the next one begun. A closed file is removed once all of it is purged.
#[derive(Clone, Copy)]
pub(super) struct ChunkLimits {
    pub(super) bytes: usize,
    pub(super) records: usize,
}

/// The open files, and what they hold once the buffer is written.
pub(super) struct Store {
    wal: RaftLog<Shape>,
    tail: Tail<TailFile>,
    reach: Reach,
    purged: Option<LogId>,
    /// Chain hash of the purged entry. While its purge may be lost with the power, the entry may be there again, so a
    /// tail lowered to it must name the entry's own hash.
    purged_chain: Chain,
    vote: Option<Bytes>,
    committed: Option<LogId>,
    is_committed_saved: bool,
    /// Counts truncations: a sync that began before one must not raise the tail after it.
    truncations: u64,
    has_failed: bool,
}

/// What a sync that begins now will have reached, unless the log is cut meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Target {
    reach: Reach,
    truncations: u64,
}

impl Store {
    /// Opens the files, or makes them in a folder that is new, and checks all of them.
    pub(super) fn open(folder: &Folder, limits: ChunkLimits) -> Result<Self, LogError> {
        let tail = open_tail(folder)?;
        let wal = open_wal(&folder.path().join(WAL), limits)?;
        Self::check(wal, tail)
    }

    /// Takes what was opened, if every entry in it is sound and it holds what the tail says.
    fn check(wal: RaftLog<Shape>, tail: Tail<TailFile>) -> Result<Self, LogError> {
        let state = wal.log_state();
        let purged = state.purged().copied().map(LogId::from);
        let last = state.last().copied().map(LogId::from);
        let (vote, votes) = match state.vote() {
            Some(vote) => (Some(vote.bytes.0.clone()), vote.sequence),
            None => (None, 0),
        };
        let committed = state.user_data.and_then(|committed| committed.0);
        let mut walk = Walk::new(purged, tail.written().last);
        for read in wal.read(purged.map_or(0, |purged| purged.index + 1), end_of(last)) {
            let unreadable = |error| tail::damaged(format!("an entry cannot be read ({error})"));
            let (position, block) = read.map_err(unreadable)?;
            walk.next(position.into(), &block.0)?;
        }
        if walk.last() != last {
            return Err(tail::damaged("its end does not agree with its entries"));
        }
        tail::check(tail.written(), &Found { purged, last, votes, at_tail: walk.at_tail() })?;
        Ok(Self {
            wal,
            tail,
            reach: Reach { last, chain: walk.chain(), votes },
            purged,
            purged_chain: chain_start(purged),
            vote,
            committed,
            is_committed_saved: true,
            truncations: 0,
            has_failed: false,
        })
    }

    pub(super) fn state(&self) -> LogState {
        let (last, vote) = (self.reach.last, self.vote.clone());
        LogState { purged: self.purged, last, vote, committed: self.committed }
    }

    /// Index of the last entry, plus one.
    pub(super) fn end(&self) -> u64 {
        end_of(self.reach.last)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Ends the log: every later call is refused.
    pub(super) fn fail(&mut self) {
        self.has_failed = true;
    }

    /// Ends the log if this failed.
    pub(super) fn fail_on<T>(&mut self, result: &io::Result<T>) {
        if let Err(error) = result {
            tracing::error!(%error, "the log could not be synced; the process must stop");
            self.fail();
        }
    }

    pub(super) fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let begin = self.purged.map_or(0, |purged| purged.index + 1);
        if range.start < begin || range.end > self.end() {
            return Err(misuse(format!("entries {range:?} were read, and {begin}..{} are in the log", self.end())));
        }
        let records = self.wal.read(range.start, range.end);
        collect(range, max_bytes, records.map(|read| read.map(|(position, block)| (position.into(), block.0))))
    }

    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let Reach { mut last, mut chain, .. } = self.reach;
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            check_next(last, entry.id)?;
            let (record, next) = record::encode(entry, &chain);
            records.push((entry.id.into(), Block(record)));
            (last, chain) = (Some(entry.id), next);
        }
        let written = self.wal.append(records);
        self.fatal(written)?;
        (self.reach.last, self.reach.chain) = (last, chain);
        Ok(())
    }

    pub(super) fn save_vote(&mut self, vote: Bytes) -> Result<(), LogError> {
        let sequence = self.reach.votes + 1;
        let written = self.wal.save_vote(Vote { sequence, bytes: Block(vote.clone()) });
        self.fatal(written)?;
        self.reach.votes = sequence;
        self.vote = Some(vote);
        Ok(())
    }

    /// Written with the next sync: only the newest counts.
    pub(super) fn save_committed(&mut self, committed: Option<LogId>) {
        self.is_committed_saved &= self.committed == committed;
        self.committed = committed;
    }

    /// Whether the committed position is in the log as far as a sync has reached.
    pub(super) fn is_committed_saved(&self) -> bool {
        self.is_committed_saved
    }

    pub(super) fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), LogError> {
        let keep = last.or(self.purged);
        if end_of(keep) >= self.end() {
            return Ok(());
        }
        let chain = self.chain_at(keep)?;
        // On disk before the log is cut, or a crash between the two would leave a log that looks robbed.
        let lowered = self.tail.lower(keep, chain);
        self.fatal(lowered)?;
        let written = self.wal.truncate(end_of(keep));
        self.fatal(written)?;
        self.truncations += 1;
        // What comes right behind a purge follows its start, whether the entry before it was cut or never there.
        let chain = if keep == self.purged { chain_start(keep) } else { chain };
        (self.reach.last, self.reach.chain) = (keep, chain);
        Ok(())
    }

    pub(super) fn purge(&mut self, upto: LogId) -> Result<(), LogError> {
        if end_of(self.purged) > upto.index {
            return Ok(());
        }
        let is_held = upto.index < self.end();
        let chain = if is_held { self.chain_at(Some(upto))? } else { chain_start(Some(upto)) };
        let written = self.wal.purge(upto.into());
        self.fatal(written)?;
        (self.purged, self.purged_chain) = (Some(upto), chain);
        if self.end() <= upto.index + 1 {
            (self.reach.last, self.reach.chain) = (Some(upto), chain_start(Some(upto)));
        }
        Ok(())
    }

    /// Gives the buffer to the thread of `raft-log`, which writes it, syncs, and says so.
    pub(super) fn start_sync(&mut self, done: SyncSender<io::Result<()>>) -> io::Result<Target> {
        if !self.is_committed_saved {
            self.wal.save_user_data(Some(Committed(self.committed)))?;
            self.is_committed_saved = true;
        }
        let target = Target { reach: self.reach, truncations: self.truncations };
        self.wal.flush(true, Some(done))?;
        Ok(target)
    }

    /// After that sync: index through which entries are synced, plus one; `None` if the log was cut meanwhile.
    pub(super) fn finish_sync(&mut self, target: Target) -> io::Result<Option<u64>> {
        if target.truncations != self.truncations {
            return Ok(None);
        }
        self.tail.raise(target.reach)?;
        Ok(Some(end_of(target.reach.last)))
    }

    /// Waits until purged files are gone too.
    #[cfg(test)]
    pub(super) fn wait_until_idle(&self) {
        self.wal.wait_worker_idle().unwrap();
    }

    pub(super) fn is_tail_synced(&self) -> bool {
        self.tail.is_synced()
    }

    /// What it takes to sync the tail while others use the log: its file, and which write is there now.
    pub(super) fn begin_tail_sync(&self) -> (Arc<File>, u64) {
        (Arc::clone(&self.tail.bytes().file), self.tail.sequence())
    }

    /// The file was synced since that write.
    pub(super) fn end_tail_sync(&mut self, sequence: u64) {
        self.tail.note_synced(sequence);
    }

    pub(super) fn sync_tail(&mut self) -> io::Result<()> {
        self.tail.sync()
    }

    /// Chain hash of the entry `id`, which must be in the log, or be the purged one.
    fn chain_at(&self, id: Option<LogId>) -> Result<Chain, LogError> {
        let Some(id) = id.filter(|id| self.purged != Some(*id)) else { return Ok(self.purged_chain) };
        let found = self.wal.read(id.index, id.index + 1).next().transpose()?;
        let found = found.filter(|(position, _)| LogId::from(*position) == id);
        let (_, block) = found.ok_or_else(|| misuse(format!("the log has no entry {id:?}")))?;
        Ok(decode_at(id, &block.0)?.chain)
    }

    fn fatal<T>(&mut self, result: io::Result<T>) -> Result<T, LogError> {
        Ok(result.inspect_err(|_| self.has_failed = true)?)
    }
}

fn open_wal(path: &Path, limits: ChunkLimits) -> Result<RaftLog<Shape>, LogError> {
    let mut config = raft_log::Config::new(path.display());
    config.log_cache_capacity = Some(CACHE_BYTES);
    config.log_cache_max_items = Some(CACHE_RECORDS);
    config.wal.read_buffer_size = Some(READ_BUFFER_BYTES);
    config.wal.chunk_max_size = Some(limits.bytes);
    config.wal.chunk_max_records = Some(limits.records);
    // Requests are gathered by the caller: here, waiting would only delay the one there is.
    config.wal.flush_batch_wait = Some(Duration::ZERO);
    RaftLog::open(Arc::new(config)).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            tail::damaged(format!("the files in `log/wal` are not what was written ({error})"))
        }
        _ => LogError::Io(error),
    })
}

/// Opens the tail; in a folder that never held a log, makes it, and the folder for the log's own files.
fn open_tail(folder: &Folder) -> Result<Tail<TailFile>, LogError> {
    let (path, wal) = (folder.path().join(TAIL), folder.path().join(WAL));
    if !folder.is_new() {
        for (path, name) in [(&path, "log/tail"), (&wal, "log/wal")] {
            if !path.exists() {
                return Err(tail::damaged(format!("`{name}` is missing")));
            }
        }
        return Tail::open(TailFile::open(path)?);
    }
    if wal.exists() && std::fs::read_dir(&wal).map_err(LayoutError::Io)?.next().is_some() {
        return Err(LayoutError::Damaged { path: folder.path().to_owned() }.into());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&wal)?;
    let tail = Tail::create(TailFile::open(path)?)?;
    sync_folder(folder.path())?;
    Ok(tail)
}

struct TailFile {
    file: Arc<File>,
}

impl TailFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: Arc::new(private_file().read(true).write(true).truncate(false).open(path)?) })
    }
}

impl TailBytes for TailFile {
    fn read(&self) -> io::Result<Vec<u8>> {
        let end = usize::try_from(SLOT_DISTANCE).expect("the second slot lies in the first 8 KiB") + SLOT_BYTES;
        let mut bytes = vec![0; end];
        let mut filled = 0;
        while filled < end {
            match self.file.read_at(&mut bytes[filled..], filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
