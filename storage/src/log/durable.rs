//! The log on disk, on the crate `raft-log`, with our records, chain and tail around it.
//!
//! Group commit: callers put records into a buffer and leave; one thread hands the buffer to the disk, waits for the
//! sync, raises the tail and then runs what waited, in order. What arrives meanwhile shares the next sync. A failed
//! sync ends the log: what the kernel dropped then cannot be known, so nothing is tried again.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::store::{ChunkLimits, Store};
use super::tail::SYNC_INTERVAL;
use super::{Entry, Log, LogError, LogId, LogState, Synced};
use crate::layout::Folder;

/// Version of everything in the log's folder.
const FORMAT_VERSION: u32 = 1;
/// When a file of the log is closed and the next one begun.
const CHUNK_LIMITS: ChunkLimits = ChunkLimits { bytes: 32 * 1024 * 1024, records: 256 * 1024 };

/// The durable log.
pub struct DurableLog {
    shared: Arc<Shared>,
    flusher: Option<JoinHandle<()>>,
    /// Released last, after the flusher has closed the files.
    _folder: Folder,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something waits for a sync, or the log is being closed.
    work: Condvar,
    /// Index through which entries are synced, plus one.
    synced: AtomicU64,
    stall: Stall,
    /// Stands for a disk that takes its time.
    #[cfg(test)]
    before_tail_sync: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// Since when the oldest write waits for the disk. Read without the queue's lock, which is held across some writes.
struct Stall {
    opened: Instant,
    /// Milliseconds from `opened`; [`Stall::NONE`] if nothing waits.
    since: AtomicU64,
}

impl Stall {
    const NONE: u64 = u64::MAX;

    fn new() -> Self {
        Self { opened: Instant::now(), since: AtomicU64::new(Self::NONE) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(Self::NONE - 1)
    }

    /// Something waits from now on, unless something waits already.
    fn begin(&self) {
        self.since.fetch_min(self.now(), Ordering::AcqRel);
    }

    /// What waited is done; what still waits, if anything, has since `since`.
    fn end(&self, since: Option<u64>) {
        self.since.store(since.unwrap_or(Self::NONE), Ordering::Release);
    }

    fn lasts(&self) -> Duration {
        match self.since.load(Ordering::Acquire) {
            Self::NONE => Duration::ZERO,
            since => Duration::from_millis(self.now().saturating_sub(since)),
        }
    }
}

/// The files, and who waits for their next sync.
struct Queue {
    store: Store,
    waiting: Vec<Synced>,
    /// When the first of them came, by the clock of [`Stall`].
    waiting_since: Option<u64>,
    /// Whether the sync thread waits for nothing but to be woken.
    is_idle: bool,
    is_closing: bool,
}

impl DurableLog {
    /// Opens or makes the log in `<data>/log`, and checks every entry in it.
    ///
    /// # Errors
    ///
    /// [`LogError::Folder`] if the folder may not be used; [`LogError::Damaged`] if the log ends before what was
    /// synced, has a hole, or any byte is not what was written.
    pub fn open(data: impl AsRef<Path>) -> Result<Self, LogError> {
        Self::open_with(data.as_ref(), CHUNK_LIMITS)
    }

    /// As [`DurableLog::open`], with files of another size.
    pub(super) fn open_with(data: &Path, limits: ChunkLimits) -> Result<Self, LogError> {
        let mut folder = Folder::open(data, "log", FORMAT_VERSION)?;
        let store = Store::open(&folder, limits)?;
        folder.complete()?;
        let synced = AtomicU64::new(store.end());
        let queue =
            Mutex::new(Queue { store, waiting: Vec::new(), waiting_since: None, is_idle: false, is_closing: false });
        let shared = Arc::new(Shared {
            queue,
            work: Condvar::new(),
            synced,
            stall: Stall::new(),
            #[cfg(test)]
            before_tail_sync: Mutex::default(),
        });
        let flusher = {
            let shared = shared.clone();
            std::thread::Builder::new().name("log-sync".into()).spawn(move || shared.flush_until_closed())?
        };
        Ok(Self { shared, flusher: Some(flusher), _folder: folder })
    }
}

#[cfg(test)]
impl DurableLog {
    /// Runs something in place of the next sync of the tail, which follows.
    pub(super) fn before_tail_sync(&self, hook: impl FnOnce() + Send + 'static) {
        *self.shared.before_tail_sync.lock() = Some(Box::new(hook));
    }
}

impl Drop for DurableLog {
    fn drop(&mut self) {
        self.shared.queue.lock().is_closing = true;
        self.shared.work.notify_one();
        if let Some(flusher) = self.flusher.take()
            && flusher.join().is_err()
        {
            tracing::error!("the log's sync thread panicked");
        }
    }
}

impl Log for DurableLog {
    fn state(&self) -> LogState {
        self.shared.queue.lock().store.state()
    }

    fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        self.shared.queue.lock().store.read(range, max_bytes)
    }

    fn append(&self, entries: Vec<Entry>, synced: Synced) -> Result<(), LogError> {
        let mut queue = self.shared.usable()?;
        queue.store.append(&entries)?;
        self.shared.wait_with(&mut queue, synced);
        Ok(())
    }

    fn save_vote(&self, vote: Bytes) -> Result<(), LogError> {
        let (done, wait) = sync_channel(1);
        {
            let mut queue = self.shared.usable()?;
            queue.store.save_vote(vote)?;
            // Whoever waits holds the other end, so this cannot fail in a way that matters.
            self.shared.wait_with(&mut queue, Box::new(move |result| drop(done.send(result))));
        }
        Ok(wait.recv().unwrap_or_else(|_| Err(failed()))?)
    }

    fn save_committed(&self, committed: Option<LogId>) -> Result<(), LogError> {
        let mut queue = self.shared.usable()?;
        queue.store.save_committed(committed);
        if queue.is_idle && !queue.store.is_committed_saved() {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        let (done, wait) = sync_channel(1);
        self.shared.wait_with(&mut *self.shared.usable()?, Box::new(move |result| drop(done.send(result))));
        Ok(wait.recv().unwrap_or_else(|_| Err(failed()))?)
    }

    fn truncate_after(&self, last: Option<LogId>) -> Result<(), LogError> {
        let mut queue = self.shared.usable()?;
        queue.store.truncate_after(last)?;
        self.shared.synced.fetch_min(queue.store.end(), Ordering::AcqRel);
        // A sync that runs now will not say what it reached, so there must be a next one.
        self.shared.wait_with(&mut queue, Box::new(|_| {}));
        Ok(())
    }

    fn purge(&self, upto: LogId) -> Result<(), LogError> {
        let mut queue = self.shared.usable()?;
        queue.store.purge(upto)?;
        // Files are removed behind a sync, so there must be one.
        self.shared.wait_with(&mut queue, Box::new(|_| {}));
        Ok(())
    }

    fn synced_index(&self) -> Option<u64> {
        self.shared.synced.load(Ordering::Acquire).checked_sub(1)
    }

    fn stalled_for(&self) -> Duration {
        self.shared.stall.lasts()
    }
}

impl Shared {
    /// The queue, unless a write or sync failed before.
    fn usable(&self) -> Result<MutexGuard<'_, Queue>, LogError> {
        let queue = self.queue.lock();
        if queue.store.has_failed() { Err(LogError::Io(failed())) } else { Ok(queue) }
    }

    fn wait_with(&self, queue: &mut Queue, synced: Synced) {
        queue.waiting.push(synced);
        queue.waiting_since = queue.waiting_since.or(Some(self.stall.now()));
        self.stall.begin();
        self.work.notify_one();
    }

    /// The sync thread.
    fn flush_until_closed(&self) {
        let mut queue = self.queue.lock();
        // By when a tail that was raised, and a committed position that was saved, must be synced, however many writes come.
        let mut tail_due = None;
        while !queue.store.has_failed() {
            tail_due = match queue.store.is_tail_synced() && queue.store.is_committed_saved() {
                true => None,
                false => tail_due.or_else(|| Some(Instant::now() + SYNC_INTERVAL)),
            };
            if tail_due.is_some_and(|due| Instant::now() >= due) {
                if !queue.store.is_committed_saved() {
                    queue = self.flush(queue);
                }
                if !queue.store.is_tail_synced() && !queue.store.has_failed() {
                    queue = self.sync_tail(queue);
                }
                tail_due = None;
            } else if !queue.waiting.is_empty() {
                queue = self.flush(queue);
            } else if queue.is_closing {
                break;
            } else if let Some(due) = tail_due {
                // Whether it was woken or is due, the next turn finds out.
                let _ = self.work.wait_until(&mut queue, due);
            } else {
                queue.is_idle = true;
                self.work.wait(&mut queue);
                queue.is_idle = false;
            }
        }
        if !queue.store.has_failed() {
            queue = self.flush(queue);
            let synced = queue.store.sync_tail();
            queue.store.fail_on(&synced);
        }
        queue.store.fail();
        let left = std::mem::take(&mut queue.waiting);
        drop(queue);
        left.into_iter().for_each(|synced| synced(Err(failed())));
    }

    /// Syncs the tail. Nobody waits for that but the next sync of the log.
    fn sync_tail<'a>(&'a self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let (file, sequence) = queue.store.begin_tail_sync();
        self.stall.begin();
        drop(queue);
        #[cfg(test)]
        if let Some(hook) = self.before_tail_sync.lock().take() {
            hook();
        }
        let synced = file.sync_data();
        let mut queue = self.queue.lock();
        if synced.is_ok() {
            queue.store.end_tail_sync(sequence);
        }
        queue.store.fail_on(&synced);
        self.stall.end(queue.waiting_since);
        queue
    }

    /// One sync for all that waits.
    fn flush<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let waiting = std::mem::take(&mut queue.waiting);
        queue.waiting_since = None;
        let (done, wait) = sync_channel(1);
        let started = queue.store.start_sync(done);
        drop(queue);
        let synced = started.and_then(|target| wait.recv().unwrap_or_else(|_| Err(failed())).map(|()| target));
        let mut queue = self.queue.lock();
        let result = synced.and_then(|target| queue.store.finish_sync(target));
        queue.store.fail_on(&result);
        if let Ok(Some(end)) = result {
            self.synced.store(end, Ordering::Release);
        }
        self.stall.end(queue.waiting_since);
        // Without the lock: what waits may call the log again.
        drop(queue);
        for synced in waiting {
            let copy = result.as_ref().map(|_| ());
            synced(copy.map_err(|error| io::Error::new(error.kind(), error.to_string())));
        }
        self.queue.lock()
    }
}

fn failed() -> io::Error {
    io::Error::other("an earlier write or sync of the log failed; the process must stop, and open the log anew")
}
