//! A device that writes on a thread of its own, so that what stalls stalls nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use conclave_cli::audit_chain::Link;
use conclave_vault::{AuditDevice, Core, Time};
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::chain::{Chain, Newest};
use super::file::{self, LogFile};
use super::line::Writer;
use super::network::Reach;
use super::output::{self, Discard, Open, Output};
use super::settings::{AuditTarget, DeviceTerms, Form, Settings};
use super::{Device, Record, collector, socket, syslog};
use crate::audit::entry::Entry;

/// How long an output that did not open is left alone.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// Lines on their way to the thread, and who waits for them.
struct Job {
    lines: Vec<Vec<u8>>,
    done: oneshot::Sender<Result<(), String>>,
}

/// A device of a node.
pub(super) struct AuditSink {
    path: String,
    id: String,
    form: Form,
    jobs: SyncSender<Job>,
    /// Whether the thread has a job that it has not done.
    is_busy: Arc<AtomicBool>,
    is_moved: Arc<AtomicBool>,
    newest: Newest,
}

impl AuditSink {
    /// Starts a device. One that cannot be had fails with every record, and says why.
    pub(super) fn start(
        device: &AuditDevice,
        settings: Result<Settings, String>,
        terms: &DeviceTerms,
        node: &str,
    ) -> Self {
        let is_moved = Arc::<AtomicBool>::default();
        let (form, open) = match settings {
            Ok(Settings { form, target, reach, .. }) => {
                (form, opener(target, reach, terms.clone(), Arc::clone(&is_moved)))
            }
            Err(reason) => (Form::STRICT, Box::new(move || Err(reason.clone())) as Open),
        };
        let (jobs, waiting) = sync_channel(1);
        let is_busy = Arc::<AtomicBool>::default();
        let (busy, newest) = (Arc::clone(&is_busy), Newest::default());
        let chain = Chain::new(node, &device.path, &form.prefix, Arc::clone(&newest));
        // Detached on purpose: it may hang in a write for ever, and must not keep the process alive.
        let spawned = thread::Builder::new().name("audit".into()).spawn(move || run(open, chain, &waiting, &busy));
        if let Err(error) = spawned {
            tracing::error!(device = device.path, %error, "an audit device has no thread to write with");
        }
        Self { path: device.path.clone(), id: device.id.clone(), form, jobs, is_busy, is_moved, newest }
    }
}

/// Opens a device once, to see whether it can be had.
pub(super) fn try_open(settings: &Settings, terms: &DeviceTerms) -> Result<(), String> {
    opener(settings.target.clone(), settings.reach.clone(), terms.clone(), Arc::default())().map(drop)
}

/// The same for files only: a receiver may come up later than the node that sends to it.
pub(super) fn try_files(settings: &Settings, terms: &DeviceTerms) -> Result<(), String> {
    match settings.target {
        AuditTarget::File { .. } => try_open(settings, terms),
        _ => Ok(()),
    }
}

/// The same without making a file.
pub(super) fn check(settings: &Settings, terms: &DeviceTerms) -> Result<(), String> {
    match &settings.target {
        AuditTarget::File { path, .. } if !path.exists() => file::check_place(path, terms),
        _ => try_files(settings, terms),
    }
}

fn opener(target: AuditTarget, reach: Reach, terms: DeviceTerms, is_moved: Arc<AtomicBool>) -> Open {
    match target {
        AuditTarget::Stdout => Box::new(|| Ok(Box::new(output::stdout()))),
        AuditTarget::Discard => Box::new(|| Ok(Box::new(Discard))),
        AuditTarget::Socket(socket) => Box::new(move || socket::open(&socket, &reach)),
        AuditTarget::Syslog(syslog) => Box::new(move || syslog::open(&syslog, &reach)),
        AuditTarget::Http(collector) => Box::new(move || collector::open(&collector, &reach)),
        AuditTarget::File { path, mode } => Box::new(move || {
            let file = LogFile::open(&path, mode, &terms, Arc::clone(&is_moved))?;
            Ok(Box::new(file))
        }),
    }
}

impl Device for AuditSink {
    fn name(&self) -> &str {
        &self.path
    }

    fn render(&self, entry: &Entry, core: Option<&Core>) -> Vec<u8> {
        let hasher = core.map(|core| core.audit_hasher(&self.id));
        Writer { form: &self.form, hasher: hasher.as_ref() }.line(entry)
    }

    fn write<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if self.is_busy.swap(true, Ordering::AcqRel) {
                return Err("it has not taken earlier records yet".to_owned());
            }
            let (done, outcome) = oneshot::channel();
            let lines = records.iter().map(|record| record.line.clone()).collect();
            if self.jobs.try_send(Job { lines, done }).is_err() {
                return Err("its thread has ended".to_owned());
            }
            outcome.await.unwrap_or_else(|_| Err("its thread has ended".to_owned()))
        })
    }

    fn newest(&self) -> Option<(Link, Time)> {
        *self.newest.lock()
    }

    fn reopen(&self) {
        self.is_moved.store(true, Ordering::Release);
    }
}

/// Writes what comes, and opens the output anew whenever it failed.
fn run(open: Open, chain: Chain, jobs: &Receiver<Job>, is_busy: &AtomicBool) {
    let mut outlet = Outlet { open, output: None, refused: None, chain };
    for Job { lines, done } in jobs {
        let outcome = outlet.write(&lines);
        is_busy.store(false, Ordering::Release);
        // Who waited may have given up.
        let _ = done.send(outcome);
    }
}

/// An output that is there or not.
struct Outlet {
    open: Open,
    output: Option<Box<dyn Output>>,
    /// When it last did not open, and why.
    refused: Option<(Instant, String)>,
    chain: Chain,
}

impl Outlet {
    fn write(&mut self, records: &[Vec<u8>]) -> Result<(), String> {
        let mut output = match self.output.take() {
            Some(output) => output,
            None => self.open()?,
        };
        output.write(&mut self.chain, records)?;
        self.output = Some(output);
        Ok(())
    }

    fn open(&mut self) -> Result<Box<dyn Output>, String> {
        if let Some((at, reason)) = &self.refused
            && at.elapsed() < REOPEN_PAUSE
        {
            return Err(reason.clone());
        }
        let opened = (self.open)();
        self.refused = opened.as_ref().err().map(|reason| (Instant::now(), reason.clone()));
        opened
    }
}
