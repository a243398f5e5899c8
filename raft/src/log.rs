//! openraft's log storage over [`conclave_storage::log::Log`].
//!
//! Holds no entries and no rules of its own. The underlying log completes appends in order from one writer
//! thread, which is what makes openraft's watermark of completed writes a group commit.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conclave_storage::log::{Log, LogError};
use futures::Stream;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use tokio::sync::watch;

use crate::metrics::Counters;
use crate::progress::Progress;
use crate::types::{Entry, LogId, Payload, Types, Vote};
use crate::wire;

/// Entries this close to the end of the log are in memory, so reading them may happen on the caller's thread.
const RECENT_ENTRIES: u64 = 1_024;

/// How long to wait for news of a sync before looking at the log itself.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Wakes whoever waits for entries to be synced.
pub(crate) struct Durability {
    log: Arc<dyn Log>,
    synced: watch::Sender<()>,
}

impl Durability {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, synced: watch::Sender::new(()) }
    }

    /// Returns once the entry at `index`, which must be in the log, is on disk.
    pub(crate) async fn wait(&self, index: u64) {
        let mut synced = self.synced.subscribe();
        // A failed sync ends consensus, and with it whoever waits here. Looking again now and then covers a sync that
        // raised the mark for no append of ours, as after a truncation.
        while self.log.synced_index() < Some(index) {
            let _ = tokio::time::timeout(LOOK_AGAIN, synced.changed()).await;
        }
    }
}

/// The log as openraft sees it.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Arc<dyn Log>,
    durability: Arc<Durability>,
    progress: Arc<Progress>,
    counters: Arc<Counters>,
    read_bytes: usize,
    /// Where the log began when it was empty and nothing had been purged; a cluster's own log begins at 0.
    first: Arc<AtomicU64>,
}

impl LogStore {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        durability: Arc<Durability>,
        progress: Arc<Progress>,
        counters: Arc<Counters>,
        read_bytes: usize,
    ) -> Self {
        Self { log, durability, progress, counters, read_bytes, first: Arc::default() }
    }

    /// Runs what may wait for a disk away from the executor.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Log) -> Result<T, LogError> + Send + 'static,
    ) -> io::Result<T> {
        let log = self.log.clone();
        let done = tokio::task::spawn_blocking(move || work(log.as_ref())).await;
        done.map_err(io::Error::other)?.map_err(to_io)
    }

    /// The part of a range that the log holds; `start == end` if none.
    fn clamp(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let state = self.log.state();
        let first = state.purged.map_or_else(|| self.first.load(Ordering::Acquire), |id| id.index + 1);
        let end = state.last.map_or(first, |id| id.index + 1);
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let stop = match range.end_bound() {
            Bound::Included(stop) => stop + 1,
            Bound::Excluded(stop) => *stop,
            Bound::Unbounded => u64::MAX,
        };
        let start = start.max(first);
        (start, stop.min(end).max(start))
    }

    /// At least one entry from `start`, up to the byte limit; `start < end`, and both inside the log.
    async fn read(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let max_bytes = self.read_bytes;
        let last = self.log.state().last.map_or(0, |id| id.index);
        let entries = if last.saturating_sub(start) < RECENT_ENTRIES {
            self.log.read(start..end, max_bytes).map_err(to_io)?
        } else {
            self.blocking(move |log| log.read(start..end, max_bytes)).await?
        };
        if entries.first().is_none_or(|entry| entry.id.index != start) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the log left out the first entry of a range"));
        }
        entries.into_iter().map(|entry| wire::from_disk(entry).map_err(io::Error::from)).collect()
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, io::Error> {
        let (mut start, end) = self.clamp(&range);
        let mut entries = Vec::new();
        while start < end {
            let mut part = self.read(start, end).await?;
            start += part.len() as u64;
            entries.append(&mut part);
        }
        Ok(entries)
    }

    async fn entries_stream<R: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + Send {
        let (start, end) = self.clamp(&range);
        let state = (self.clone(), start, end, Vec::new().into_iter());
        futures::stream::try_unfold(state, |(store, mut start, end, mut part)| async move {
            if part.len() == 0 && start < end {
                let entries = store.read(start, end).await?;
                start += entries.len() as u64;
                part = entries.into_iter();
            }
            Ok(part.next().map(|entry| (entry, (store, start, end, part))))
        })
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        if start >= end { Ok(Vec::new()) } else { self.read(start, end).await }
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.state().vote.map(wire::decode_vote).transpose()?)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let state = self.log.state();
        let purged = state.purged.as_ref().map(wire::from_disk_id);
        let last = state.last.as_ref().map(wire::from_disk_id);
        Ok(LogState { last_purged_log_id: purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let vote = wire::encode_vote(vote);
        self.counters.votes.add(1);
        self.blocking(move |log| log.save_vote(vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.log.save_committed(committed.as_ref().map(wire::disk_id)).map_err(to_io)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.state().committed.as_ref().map(wire::from_disk_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let to_disk = |entry: Entry| {
            if matches!(entry.payload, Payload::Membership(_)) {
                self.progress.note_membership(entry.log_id.index);
            }
            wire::to_disk(entry)
        };
        let entries: Vec<_> = entries.into_iter().map(to_disk).collect();
        self.counters.count_append(&entries);
        if let Some(first) = entries.first()
            && self.log.state().last.is_none()
        {
            self.first.store(first.id.index, Ordering::Release);
        }
        let (durability, counters, start) = (self.durability.clone(), self.counters.clone(), Instant::now());
        let synced = Box::new(move |result: io::Result<()>| {
            counters.sync.observe(start.elapsed());
            callback.io_completed(result);
            durability.synced.send_replace(());
        });
        self.log.append(entries, synced).map_err(to_io)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.blocking(move |log| log.truncate_after(last.as_ref().map(wire::disk_id))).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.blocking(move |log| log.purge(wire::disk_id(&upto))).await
    }
}

fn to_io(error: LogError) -> io::Error {
    match error {
        LogError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
