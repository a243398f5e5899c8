//! The record of every request: that it was asked, before anything comes of it, and how it ended, before the reply leaves.
//!
//! A request is recorded once, on the node that its client is connected to, however often it runs and wherever it ends up.
//! Devices write the record down; there are none that can be configured yet, and without one nothing is done. If no device
//! took the first half, the request is refused before anything is changed; if none took the second, the client does not get
//! what the record lacks.
//!
//! What surprises: what must work although every device is broken is recorded without waiting and refused by nobody, and
//! the record holds no values: a ceremony, the emergency brake, and what was refused before the core saw it.

pub mod entry;
mod recording;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_vault::Error;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::entry::{Asked, Entry};
pub(crate) use self::recording::Recording;
use crate::config::Limits;
use crate::config::limits::LOG_REMINDER_INTERVAL;
use crate::gateway::{Incoming, Outgoing};
use crate::reminder::Reminder;

/// Writes records down. Gets one after the other, in the order in which they were handed over.
pub trait Device: Send + Sync + 'static {
    /// Its name, for the log.
    fn name(&self) -> &str;

    /// Writes one down. What went wrong is for the log, and holds no value of the entry.
    fn write<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), String>>;
}

/// The devices of this node.
pub struct Audit {
    /// Whether there are any; asked by every request.
    is_on: AtomicBool,
    devices: RwLock<Arc<[Attached]>>,
    /// Entries that wait for one device.
    waiting: usize,
    /// Longest wait for one device.
    time: Duration,
    failures: Mutex<Reminder<String>>,
}

/// A device and the way to the task that feeds it.
#[derive(Clone)]
struct Attached {
    name: Arc<str>,
    entries: mpsc::Sender<Handed>,
}

/// An entry on its way to a device, and who waits for it to be written down.
struct Handed {
    entry: Arc<Entry>,
    written: oneshot::Sender<Result<(), Lacking>>,
}

/// A device lacks an entry; the log says why.
struct Lacking;

/// Why a device lacks an entry that it was not even given.
const BEHIND: &str = "it is behind by as many records as may wait for it";

impl Audit {
    /// Without devices.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            is_on: AtomicBool::new(false),
            devices: RwLock::default(),
            waiting: limits.audit_entries,
            time: limits.audit_time,
            failures: Mutex::new(Reminder::every(LOG_REMINDER_INTERVAL)),
        }
    }

    /// Whether anything is recorded.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Has a device get everything from now on.
    pub fn attach(&self, device: Arc<dyn Device>) {
        let (sender, entries) = mpsc::channel(self.waiting);
        let attached = Attached { name: device.name().into(), entries: sender };
        tokio::spawn(feed(device, entries, self.time));
        let mut devices = self.devices.write();
        *devices = devices.iter().cloned().chain([attached]).collect();
        self.is_on.store(true, Ordering::Release);
    }

    /// Has an entry written down. One device that did so is enough; the others do it in their own time.
    ///
    /// # Errors
    /// [`conclave_vault::ErrorKind::Unavailable`] if none did in time.
    pub(crate) async fn record(&self, entry: Entry) -> Result<(), Error> {
        let written = timeout(self.time, self.hand_over(Arc::new(entry)).any(|end| std::future::ready(end.is_ok())));
        if written.await.unwrap_or(false) {
            return Ok(());
        }
        self.report("all", "none wrote the record down in time");
        Err(Error::unavailable(
            "no audit device of this node recorded the request; nothing was changed, try another node",
        ))
    }

    /// Hands an entry to all devices; how each ended with it, in the order in which they do. A device that is behind by
    /// all that it may be is waited for only if all are.
    fn hand_over(&self, entry: Arc<Entry>) -> FuturesUnordered<BoxFuture<'static, Result<(), Lacking>>> {
        let devices = Arc::clone(&self.devices.read());
        let tried: Vec<_> = devices.iter().map(|device| (device, device.try_hand(&entry))).collect();
        let is_handed = tried.iter().any(|(_, (late, _))| late.is_none());
        let ends = FuturesUnordered::new();
        for (device, (late, outcome)) in tried {
            if late.is_some() && is_handed {
                self.report(&device.name, BEHIND);
                continue;
            }
            let entries = device.entries.clone();
            ends.push(Box::pin(async move {
                if let Some(late) = late {
                    entries.send(late).await.map_err(|_| Lacking)?;
                }
                outcome.await.map_err(|_| Lacking)?
            }) as BoxFuture<'static, _>);
        }
        ends
    }

    /// Hands an entry over without waiting.
    pub(crate) fn note(&self, entry: Entry) {
        let entry = Arc::new(entry);
        for device in self.devices.read().iter() {
            if device.try_hand(&entry).0.is_some() {
                self.report(&device.name, BEHIND);
            }
        }
    }

    /// Records what was refused before a core saw it.
    pub(crate) fn note_refusal(&self, asked: impl FnOnce() -> Asked, outgoing: &Outgoing) {
        if self.is_on() {
            let asked = Arc::new(asked());
            let answer = Entry::answered(&asked, outgoing).without_values();
            self.note(Entry::asked(&asked, answer.error.clone()));
            self.note(answer);
        }
    }

    /// Does what must work although every device is broken. Who only asks how things stand is not recorded.
    pub(crate) async fn noting(&self, incoming: &Incoming, work: impl Future<Output = Outgoing>) -> Outgoing {
        if !self.is_on() || incoming.request.operation.is_read() {
            return work.await;
        }
        let asked = Arc::new(Asked::without_values(&incoming.request));
        self.note(Entry::asked(&asked, None));
        let outgoing = work.await;
        self.note(Entry::answered(&asked, &outgoing).without_values());
        outgoing
    }

    fn report(&self, device: &str, failure: &str) {
        if self.failures.lock().is_due(device.to_owned(), Instant::now()) {
            tracing::error!(device, "an audit device lacks a record: {failure}");
        }
    }
}

impl Attached {
    /// Hands an entry over, which comes back if there is no place; and how the device ends with it.
    fn try_hand(&self, entry: &Arc<Entry>) -> (Option<Handed>, oneshot::Receiver<Result<(), Lacking>>) {
        let (written, outcome) = oneshot::channel();
        let late = match self.entries.try_send(Handed { entry: Arc::clone(entry), written }) {
            Err(TrySendError::Full(handed)) => Some(handed),
            Ok(()) | Err(TrySendError::Closed(_)) => None,
        };
        (late, outcome)
    }
}

/// Gives a device what is handed over, one after the other.
async fn feed(device: Arc<dyn Device>, mut entries: mpsc::Receiver<Handed>, time: Duration) {
    let mut failures = Reminder::every(LOG_REMINDER_INTERVAL);
    while let Some(Handed { entry, written }) = entries.recv().await {
        let outcome = timeout(time, device.write(&entry)).await;
        let outcome = outcome.unwrap_or_else(|_| Err("it did not write it down in time".to_owned()));
        match &outcome {
            Ok(()) => failures.clear(),
            Err(failure) if failures.is_due(failure.clone(), Instant::now()) => {
                tracing::error!(device = device.name(), "an audit device lacks a record: {failure}");
            }
            Err(_) => {}
        }
        // Who waited may have given up.
        let _ = written.send(outcome.map_err(|_| Lacking));
    }
}
