//! The record of every request: that it was asked, before anything comes of it, and how it ended, before the reply leaves.
//!
//! A request is recorded once, on the node that its client is connected to, however often it runs and wherever it ends up.
//! Devices write the record down; without one nothing is done. If no device took the first half, the request is refused
//! before anything is changed; if none took the second, the client does not get what the record lacks.
//!
//! What surprises: what must work although every device is broken is recorded without waiting and refused by nobody, and
//! the record holds no values: a ceremony, the emergency brake, and what was refused before the core saw it.

pub mod entry;
mod recording;
pub(crate) mod vouching;

mod chain;
mod collector;
mod file;
mod line;
mod network;
mod output;
mod settings;
mod sink;
mod socket;
mod syslog;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use conclave_batch::View;
use conclave_cli::audit_chain::Link;
use conclave_vault::{AuditDevice, AuditHead, AuditRules, AuditedHeader, Core, Error, ErrorKind, Time};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::HeaderMap;
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::entry::{Asked, Entry};
pub(crate) use self::recording::Recording;
pub(crate) use self::settings::DeviceTerms;
use self::settings::Settings;
use self::sink::AuditSink;
use crate::config::limits::{AUDIT_GROUP, LOG_REMINDER_INTERVAL};
use crate::config::{Config, Limits, Raft, Storage};
use crate::gateway::{Incoming, NotedHeader, Outgoing};
use crate::metrics::Metrics;
use crate::reminder::Reminder;

/// Writes records down. Gets them in the order in which they were handed over.
pub trait Device: Send + Sync + 'static {
    /// Its name, for the log.
    fn name(&self) -> &str;

    /// A record as this device writes it. Called in the task of the request, so that one device does not wait for the other's.
    /// Without a core there is nothing to hash values with, and the record holds none.
    fn render(&self, entry: &Entry, core: Option<&Core>) -> Vec<u8>;

    /// Writes records down, all or none. What went wrong is for the log, and holds no value of a record.
    fn write<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, Result<(), String>>;

    /// Its newest line, and when that was written; absent where lines form no chain.
    fn newest(&self) -> Option<(Link, Time)> {
        None
    }

    /// Somebody may have moved its file away.
    fn reopen(&self) {}
}

/// A record on its way to one device.
pub struct Record {
    /// What is recorded.
    pub entry: Arc<Entry>,
    /// The same as the device rendered it.
    pub line: Vec<u8>,
}

/// What a node with a configuration allows its devices.
pub(crate) fn terms(config: &Config) -> DeviceTerms {
    let mut forbidden: Vec<_> = match &config.storage {
        Storage::Memory => Vec::new(),
        Storage::File { path } | Storage::Raft(Raft { path, .. }) => vec![path.clone()],
    };
    let tls = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let files = tls.flat_map(|tls| [&tls.cert_file, &tls.key_file]).map(|file| file.as_path().to_owned());
    let files = files.chain(std::env::current_exe().ok());
    forbidden.extend(files.filter_map(|file| Some(file.canonicalize().ok()?.parent()?.to_owned())));
    forbidden.extend(config.audit.sources.iter().cloned());
    DeviceTerms {
        forbidden,
        paths: config.audit.paths.clone(),
        allows_prefix: config.audit.allows_prefix,
        outbound: config.outbound.clone(),
    }
}

/// What a configuration asks of audit that cannot be obeyed, one line for each device. Makes no file.
pub(crate) fn check(config: &Config) -> Vec<String> {
    let terms = terms(config);
    config.audit.devices.iter().filter_map(|device| refusal(device, &terms, sink::check)).collect()
}

/// Why a device of the configuration cannot be had, as trying it says.
fn refusal(
    device: &AuditDevice,
    terms: &DeviceTerms,
    try_it: fn(&Settings, &DeviceTerms) -> Result<(), String>,
) -> Option<String> {
    let tried = Settings::of(device, terms, true).and_then(|settings| try_it(&settings, terms));
    tried.err().map(|reason| format!("audit {:?} {:?}: {reason}", device.kind, device.path))
}

/// The devices of this node: those of its configuration, and those of the cluster.
pub struct Audit {
    /// Whether there are any; asked by every request.
    is_on: AtomicBool,
    devices: RwLock<Arc<[Attached]>>,
    /// The cluster's rules as this node saw them last. Changes with the plan locked.
    followed: ArcSwap<Followed>,
    plan: Mutex<DevicePlan>,
    /// This node's name in the lines with which chains begin.
    node: String,
    /// Entries that wait for one device.
    waiting: usize,
    /// Longest wait for one device.
    time: Duration,
    metrics: Arc<Metrics>,
    failures: Mutex<Reminder<String>>,
}

/// What devices there are to be.
#[derive(Default)]
struct DevicePlan {
    configured: Vec<AuditDevice>,
    terms: DeviceTerms,
}

/// Rules, and the view that has them.
#[derive(Default)]
struct Followed {
    rules: Arc<AuditRules>,
    /// Lineage and index of the view.
    at: (u64, u64),
}

/// A device and the way to the task that feeds it.
#[derive(Clone)]
struct Attached {
    /// What it was made from; absent if it was given to the node.
    described: Option<AuditDevice>,
    device: Arc<dyn Device>,
    entries: mpsc::Sender<Handed>,
}

/// The devices that record one request.
#[derive(Clone, Default)]
pub(crate) struct Devices(Arc<[Attached]>);

/// A record on its way to a device, and who waits for it to be written down.
struct Handed {
    record: Record,
    written: oneshot::Sender<Result<(), Lacking>>,
}

/// A device lacks an entry; the log says why.
struct Lacking;

/// Why a device lacks an entry that it was not even given.
const BEHIND: &str = "it is behind by as many records as may wait for it";

impl Audit {
    /// Without devices.
    pub(crate) fn new(node: String, limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            is_on: AtomicBool::new(false),
            devices: RwLock::default(),
            followed: ArcSwap::default(),
            plan: Mutex::default(),
            node,
            waiting: limits.audit_entries,
            time: limits.audit_time,
            metrics,
            failures: Mutex::new(Reminder::every(LOG_REMINDER_INTERVAL)),
        }
    }

    /// Whether anything is recorded.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// The present devices.
    pub(crate) fn devices(&self) -> Devices {
        Devices(Arc::clone(&self.devices.read()))
    }

    /// Has a device get everything from now on.
    pub fn attach(&self, device: Arc<dyn Device>) {
        let attached = self.fed(None, device);
        let devices = self.devices.read().iter().cloned().chain([attached]).collect();
        self.set(devices);
    }

    fn fed(&self, described: Option<AuditDevice>, device: Arc<dyn Device>) -> Attached {
        let (entries, handed) = mpsc::channel(self.waiting);
        tokio::spawn(feed(Arc::clone(&device), handed, self.time, Arc::clone(&self.metrics)));
        Attached { described, device, entries }
    }

    fn set(&self, devices: Arc<[Attached]>) {
        let mut present = self.devices.write();
        self.is_on.store(!devices.is_empty(), Ordering::Release);
        *present = devices;
    }

    /// Has the devices be those of a configuration, besides those of the cluster.
    ///
    /// # Errors
    /// What cannot be obeyed, one line for each device; then nothing is changed.
    pub(crate) fn configure(&self, configured: &[AuditDevice], terms: DeviceTerms) -> Result<(), Vec<String>> {
        let mut plan = self.plan.lock();
        let opens = |device: &&AuditDevice| !plan.configured.contains(device);
        let failures: Vec<String> =
            configured.iter().filter(opens).filter_map(|device| refusal(device, &terms, sink::try_files)).collect();
        if !failures.is_empty() {
            return Err(failures);
        }
        (plan.configured, plan.terms) = (configured.to_vec(), terms);
        self.follow_plan(&plan);
        Ok(())
    }

    /// Takes over the cluster's rules as a view has them. What a request is recorded by is decided by the view that it runs
    /// on, so a device records from the first request on that can know of it.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub(crate) fn follow(&self, core: &Core, view: &dyn View) -> Result<(), Error> {
        let at = (view.lineage(), view.index());
        if self.followed.load().at == at {
            return Ok(());
        }
        let rules = core.audit_rules(view)?;
        let plan = self.plan.lock();
        let last = self.followed.load_full();
        if at.0 == last.at.0 && at.1 < last.at.1 {
            return Ok(());
        }
        let is_same = rules == last.rules;
        self.followed.store(Arc::new(Followed { rules, at }));
        if !is_same {
            self.follow_plan(&plan);
        }
        Ok(())
    }

    /// Starts and ends devices, so that they are those of the plan. One that stays goes on undisturbed.
    fn follow_plan(&self, plan: &DevicePlan) {
        let rules = Arc::clone(&self.followed.load().rules);
        let known = self.devices();
        let mut devices: Vec<_> = known.0.iter().filter(|known| known.described.is_none()).cloned().collect();
        let wanted = plan.configured.iter().map(|device| (device, true));
        for (device, is_configured) in wanted.chain(rules.devices.iter().map(|device| (device, false))) {
            let same = known.0.iter().find(|known| known.described.as_ref() == Some(device));
            devices.push(same.cloned().unwrap_or_else(|| {
                let settings = Settings::of(device, &plan.terms, is_configured);
                self.fed(Some(device.clone()), Arc::new(AuditSink::start(device, settings, &plan.terms, &self.node)))
            }));
        }
        self.set(devices.into());
    }

    /// The devices that the configuration names, as lists show them.
    pub(crate) fn configured(&self) -> Map<String, Value> {
        let shown = |device: &AuditDevice| (device.path.clone(), device.shown());
        self.plan.lock().configured.iter().map(shown).collect()
    }

    /// Whether a device that is to be enabled can be had here.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn try_device(&self, device: AuditDevice) -> Result<(), Error> {
        let (terms, is_named) = {
            let plan = self.plan.lock();
            (plan.terms.clone(), plan.configured.iter().any(|known| known.path == device.path))
        };
        if is_named {
            return Err(Error::invalid("path already in use"));
        }
        let settings = Settings::of(&device, &terms, false).map_err(Error::invalid)?;
        if settings.skips_test {
            return Ok(());
        }
        let tried = tokio::task::spawn_blocking(move || sink::try_open(&settings, &terms));
        match timeout(self.time, tried).await {
            Ok(Ok(tried)) => tried.map_err(Error::invalid),
            Ok(Err(_)) => Err(Error::internal("trying an audit device ended early")),
            Err(_) => Err(Error::invalid("the audit device did not open in time on this node")),
        }
    }

    /// Opens the files of all devices anew, which may have been moved away.
    pub(crate) fn reopen(&self) {
        self.devices().0.iter().for_each(|attached| attached.device.reopen());
    }

    /// How far the chains of the devices are.
    pub(crate) fn heads(&self) -> Vec<AuditHead> {
        let head = |attached: &Attached| {
            let (link, written) = attached.device.newest()?;
            Some(AuditHead {
                device: attached.device.name().to_owned(),
                node: self.node.clone(),
                chain: hex::encode(link.id),
                number: link.number,
                value: hex::encode(link.value),
                written_millis: written.millis(),
            })
        };
        self.devices().0.iter().filter_map(head).collect()
    }

    /// What of a request's headers is to be recorded.
    pub(crate) fn recorded_headers(&self, headers: &HeaderMap) -> Vec<NotedHeader> {
        if !self.is_on() {
            return Vec::new();
        }
        let noted = |rule: &AuditedHeader| {
            let values: Vec<_> = headers
                .get_all(&rule.name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            (!values.is_empty()).then(|| NotedHeader { name: rule.name.clone(), values, is_hashed: rule.is_hashed })
        };
        self.followed.load().rules.headers.iter().filter_map(noted).collect()
    }

    /// Has an entry written down. One device that did so is enough; the others do it in their own time.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if none did in time.
    pub(crate) async fn record(&self, devices: &Devices, core: &Arc<Core>, entry: Entry) -> Result<(), Error> {
        let is_answer = entry.answer.is_some();
        let handed = self.hand_over(devices, core, Arc::new(entry));
        let written = timeout(self.time, async { handed.await.any(|end| std::future::ready(end.is_ok())).await });
        if written.await.unwrap_or(false) {
            return Ok(());
        }
        self.metrics.audit.lost(is_answer);
        self.report("all", "none wrote the record down in time");
        Err(Error::new(
            ErrorKind::Internal,
            "no audit device of this node recorded the request; nothing was changed, try another node",
        ))
    }

    /// Hands an entry to all devices; how each ended with it, in the order in which they do. A device that is behind by
    /// all that it may be is waited for only if all are.
    async fn hand_over(
        &self,
        devices: &Devices,
        core: &Arc<Core>,
        entry: Arc<Entry>,
    ) -> FuturesUnordered<BoxFuture<'static, Result<(), Lacking>>> {
        let lines = devices.render(core, &entry).await;
        let handed = devices.0.iter().zip(lines);
        let tried: Vec<_> = handed.map(|(device, line)| (device, device.try_hand(&entry, line))).collect();
        let is_handed = tried.iter().any(|(_, (late, _))| late.is_none());
        let ends = FuturesUnordered::new();
        for (device, (late, outcome)) in tried {
            if late.is_some() && is_handed {
                self.report(device.device.name(), BEHIND);
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

    /// Hands an entry without values over without waiting.
    pub(crate) fn note(&self, entry: Entry) {
        let entry = Arc::new(entry);
        for device in self.devices().0.iter() {
            let line = device.device.render(&entry, None);
            if device.try_hand(&entry, line).0.is_some() {
                self.report(device.device.name(), BEHIND);
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
        let asked = Arc::new(Asked::without_values(incoming));
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

impl Devices {
    /// The entry as each device writes it. A large one beside the executor: hashing takes a while.
    async fn render(&self, core: &Arc<Core>, entry: &Arc<Entry>) -> Vec<Vec<u8>> {
        let render = |devices: &Self, core: &Core, entry: &Entry| -> Vec<Vec<u8>> {
            devices.0.iter().map(|attached| attached.device.render(entry, Some(core))).collect()
        };
        if !entry.is_large() {
            return render(self, core, entry);
        }
        let (devices, core, entry) = (self.clone(), Arc::clone(core), Arc::clone(entry));
        tokio::task::spawn_blocking(move || render(&devices, &core, &entry)).await.unwrap_or_default()
    }
}

impl Attached {
    /// Hands an entry over, which comes back if there is no place; and how the device ends with it.
    fn try_hand(&self, entry: &Arc<Entry>, line: Vec<u8>) -> (Option<Handed>, oneshot::Receiver<Result<(), Lacking>>) {
        let (written, outcome) = oneshot::channel();
        let handed = Handed { record: Record { entry: Arc::clone(entry), line }, written };
        let late = match self.entries.try_send(handed) {
            Err(TrySendError::Full(handed)) => Some(handed),
            Ok(()) | Err(TrySendError::Closed(_)) => None,
        };
        (late, outcome)
    }
}

/// Gives a device what is handed over, one group after the other: whatever waits is written at once.
async fn feed(device: Arc<dyn Device>, mut entries: mpsc::Receiver<Handed>, time: Duration, metrics: Arc<Metrics>) {
    let mut failures = Reminder::every(LOG_REMINDER_INTERVAL);
    let mut group = Vec::new();
    while entries.recv_many(&mut group, AUDIT_GROUP).await > 0 {
        let (records, waiting): (Vec<_>, Vec<_>) =
            group.drain(..).map(|handed| (handed.record, handed.written)).unzip();
        let outcome = timeout(time, device.write(&records)).await;
        let outcome = outcome.unwrap_or_else(|_| Err("it did not write it down in time".to_owned()));
        metrics.audit.wrote(device.name(), records.len(), outcome.is_ok());
        match &outcome {
            Ok(()) => failures.clear(),
            Err(failure) if failures.is_due(failure.clone(), Instant::now()) => {
                tracing::error!(device = device.name(), "an audit device lacks a record: {failure}");
            }
            Err(_) => {}
        }
        for written in waiting {
            // Who waited may have given up.
            let _ = written.send(if outcome.is_ok() { Ok(()) } else { Err(Lacking) });
        }
    }
}
