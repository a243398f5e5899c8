//! How far this node has applied, published to whoever waits, and whether it halted.
//!
//! Published by the state machine only after caches were invalidated, so a reader that waited for an index
//! finds neither an old row nor an old cached object.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::error::ReadError;
use crate::types::LogId;

/// No entry has this index; it stands for "not halted".
const RUNNING: u64 = u64::MAX;

pub(crate) struct Progress {
    index: watch::Sender<u64>,
    last: watch::Sender<Option<LogId>>,
    halted: AtomicU64,
    /// Since when the table is being written, if it is.
    applying_since: Mutex<Option<Instant>>,
    /// The newest read point that a leader confirmed to this node.
    read_point: AtomicU64,
    /// Index of the newest membership that this process appended to its log; 0 if it appended none.
    appended_membership: AtomicU64,
    /// Set once consensus has ended for whatever reason; waiting for more is then in vain.
    ended: watch::Sender<bool>,
}

impl Progress {
    pub(crate) fn new(last: Option<LogId>) -> Self {
        Self {
            index: watch::Sender::new(last.map_or(0, |id| id.index)),
            last: watch::Sender::new(last),
            halted: AtomicU64::new(RUNNING),
            applying_since: Mutex::default(),
            read_point: AtomicU64::new(0),
            appended_membership: AtomicU64::new(0),
            ended: watch::Sender::new(false),
        }
    }

    /// Publishes that everything up to `last` is applied and every cache knows.
    pub(crate) fn publish(&self, last: LogId) {
        self.last.send_replace(Some(last));
        self.index.send_replace(last.index);
    }

    /// Notes an index that a leader confirmed, which this node is to reach.
    pub(crate) fn note_read_point(&self, index: u64) {
        self.read_point.fetch_max(index, Ordering::Relaxed);
    }

    /// The newest index that a leader confirmed to this node; 0 before the first.
    pub(crate) fn read_point(&self) -> u64 {
        self.read_point.load(Ordering::Relaxed)
    }

    /// Notes a membership that is about to be appended, and counts from then on.
    pub(crate) fn note_membership(&self, index: u64) {
        self.appended_membership.fetch_max(index, Ordering::Release);
    }

    pub(crate) fn appended_membership(&self) -> u64 {
        self.appended_membership.load(Ordering::Acquire)
    }

    /// Says that a write to the table begins, or has ended.
    pub(crate) fn set_applying(&self, is_applying: bool) {
        *self.applying_since.lock() = is_applying.then(Instant::now);
    }

    /// For how long the table's present write has lasted; zero without one.
    pub(crate) fn applying_for(&self) -> Duration {
        self.applying_since.lock().map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(crate) fn halt(&self, index: u64) {
        self.halted.store(index, Ordering::Release);
        self.end();
    }

    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn halted(&self) -> Option<u64> {
        Some(self.halted.load(Ordering::Acquire)).filter(|index| *index != RUNNING)
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Index of the last applied entry; 0 before the first.
    pub(crate) fn index(&self) -> u64 {
        *self.index.borrow()
    }

    /// The last applied entry.
    pub(crate) fn last(&self) -> Option<LogId> {
        *self.last.borrow()
    }

    pub(crate) fn subscribe_last(&self) -> watch::Receiver<Option<LogId>> {
        self.last.subscribe()
    }

    /// Returns once `index` is applied.
    pub(crate) async fn wait(&self, index: u64, deadline: Instant) -> Result<(), ReadError> {
        self.refuse_if_ended()?;
        let mut applied = self.index.subscribe();
        if *applied.borrow_and_update() >= index {
            return Ok(());
        }
        let mut ended = self.ended.subscribe();
        let reached = async {
            tokio::select! {
                reached = applied.wait_for(|applied| *applied >= index) => {
                    reached.map(|_| ()).map_err(|_| ReadError::Stopped)
                }
                _ = ended.wait_for(|ended| *ended) => self.refuse_if_ended(),
            }
        };
        timeout_at(deadline, reached).await.unwrap_or(Err(ReadError::Timeout))
    }

    pub(crate) fn refuse_if_ended(&self) -> Result<(), ReadError> {
        match (self.halted(), self.has_ended()) {
            (Some(_), _) => Err(ReadError::Halted),
            (None, true) => Err(ReadError::Stopped),
            (None, false) => Ok(()),
        }
    }
}
