//! Log lines to standard error and, if wanted, to a file, without ever waiting for who reads them.
//!
//! Each destination has a queue and a thread. A pipe that nobody reads fills its queue; then lines are dropped and
//! counted, and the server goes on. Libraries are heard from warnings on only, because their finer levels may show
//! requests. openraft is heard at `debug` only: it warns at every attempt to reach a node that is down, which
//! `cluster/observer.rs` says once. One event is one line, whatever its fields hold.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Format, Level, Limits, Log};

/// Lines that were dropped since the process started.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many log lines were dropped.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Who writes to the log: a logger for each crate of the server.
const LOGGERS: [&str; 6] =
    ["conclave", "conclave_cli", "conclave_client", "conclave_node", "conclave_raft", "conclave_storage"];

/// The levels of this process. There is one log, whatever is started in it.
static LEVELS: Mutex<Levels> = Mutex::new(Levels { configured: None, changed: BTreeMap::new(), filter: None });

struct Levels {
    configured: Option<Level>,
    /// Those that were set while running.
    changed: BTreeMap<&'static str, Level>,
    filter: Option<reload::Handle<Targets, Registry>>,
}

impl Levels {
    fn apply(&self) {
        let targets = targets(self.configured.unwrap_or_default());
        let with =
            |targets: Targets, (name, level): (&&'static str, &Level)| targets.with_target(*name, filter(*level));
        let targets = self.changed.iter().fold(targets, with);
        // Where nothing listens there is nothing to change.
        let _ = self.filter.as_ref().map(|filter| filter.reload(targets));
    }
}

/// The loggers and their levels.
pub(crate) fn levels() -> Vec<(&'static str, Level)> {
    let levels = LEVELS.lock();
    let level = |name| levels.changed.get(name).copied().unwrap_or(levels.configured.unwrap_or_default());
    LOGGERS.iter().map(|name| (*name, level(*name))).collect()
}

/// Sets the level of loggers until the process ends or reads its configuration again; `None` is what that says.
pub(crate) fn set_levels(names: impl Iterator<Item = &'static str>, level: Option<Level>) {
    let mut levels = LEVELS.lock();
    for name in names {
        match level {
            Some(level) => levels.changed.insert(name, level),
            None => levels.changed.remove(name),
        };
    }
    levels.apply();
}

/// The running log.
pub struct Logging {
    lines: Lines,
}

impl Logging {
    /// Starts to log. Fails if the file cannot be opened.
    pub fn start(log: &Log, limits: &Limits) -> io::Result<Self> {
        let mut sinks = vec![Sink::start(Destination::StandardError, limits.log_lines)];
        if let Some(path) = &log.file {
            sinks.push(Sink::start(Destination::File(path.clone(), open(path)?), limits.log_lines));
        }
        let lines = Lines { sinks: sinks.into(), most_bytes: limits.log_line_bytes };
        let (filter, handle) = reload::Layer::new(targets(log.level));
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        let layer = match log.format {
            Format::Standard => layer.boxed(),
            Format::Json => layer.json().flatten_event(true).boxed(),
        };
        // A second server in one process, as in tests, keeps the first one's log.
        let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
        hide_panics();
        let mut levels = LEVELS.lock();
        if levels.filter.is_none() {
            (levels.filter, levels.configured) = (Some(handle), Some(log.level));
        }
        drop(levels);
        Ok(Self { lines })
    }

    /// Changes the level while running, as the configuration says now.
    pub fn set_level(&self, level: Level) {
        let mut levels = LEVELS.lock();
        levels.configured = Some(level);
        levels.changed.clear();
        levels.apply();
    }

    /// Opens the file anew, after it was moved away.
    pub fn reopen(&self) {
        for sink in self.lines.sinks.iter() {
            sink.send(Message::Reopen);
        }
    }

    /// Waits, for a while, until what was said is written.
    pub fn flush(&self, patience: Duration) {
        for sink in self.lines.sinks.iter() {
            let (done, written) = channel();
            sink.send(Message::Flush(done));
            let _ = written.recv_timeout(patience);
        }
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

fn targets(level: Level) -> Targets {
    let level = filter(level);
    let consensus = if level >= LevelFilter::DEBUG { LevelFilter::WARN } else { LevelFilter::OFF };
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("conclave", level)
        .with_target("openraft", consensus)
        // Its errors show bytes of what a directory sent.
        .with_target("ldap3_proto", LevelFilter::OFF)
}

/// A panic's message may hold what a request held, so only its place is logged.
fn hide_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic; its message is withheld, because it may hold secrets");
    }));
}

enum Destination {
    StandardError,
    File(PathBuf, File),
}

enum Message {
    Line(Vec<u8>),
    Reopen,
    Flush(std::sync::mpsc::Sender<()>),
}

/// One destination's queue.
struct Sink(SyncSender<Message>);

impl Sink {
    fn start(destination: Destination, most_lines: usize) -> Self {
        let (sender, messages) = sync_channel(most_lines);
        // Detached on purpose: it may hang in a write for ever, and must not keep the process alive.
        let spawned = thread::Builder::new().name("log".into()).spawn(move || write_all(destination, &messages));
        if spawned.is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Self(sender)
    }

    fn send(&self, message: Message) {
        if self.0.try_send(message).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(mut destination: Destination, messages: &Receiver<Message>) {
    for message in messages {
        match (message, &mut destination) {
            // Nobody is left who could be told of a failure.
            (Message::Line(line), Destination::StandardError) => drop(io::stderr().write_all(&line)),
            (Message::Line(line), Destination::File(_, file)) => drop(file.write_all(&line)),
            (Message::Reopen, Destination::File(path, file)) => {
                if let Ok(reopened) = open(path) {
                    *file = reopened;
                }
            }
            (Message::Reopen, Destination::StandardError) => {}
            (Message::Flush(done), _) => drop(done.send(())),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Hands finished lines to every destination.
#[derive(Clone)]
struct Lines {
    sinks: Arc<[Sink]>,
    most_bytes: usize,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = one_line(event, self.most_bytes);
        for sink in self.sinks.iter() {
            sink.send(Message::Line(line.clone()));
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event as exactly one line of bounded length: control characters are written out.
fn one_line(event: &[u8], most_bytes: usize) -> Vec<u8> {
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    let mut line = Vec::with_capacity(event.len() + 1);
    for byte in event {
        if line.len() >= most_bytes {
            line.extend_from_slice(b" (cut off)");
            break;
        }
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' | 0x20..=0x7e | 0x80..=0xff => line.push(*byte),
            other => line.extend_from_slice(format!("\\x{other:02x}").as_bytes()),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        // check 218
        assert_eq!(one_line(b"a\nb\r\x1b[31mc\n", 100), b"a\\nb\\r\\x1b[31mc\n");
        assert_eq!(one_line("é".as_bytes(), 100), "é\n".as_bytes());
        assert_eq!(one_line(&[b'a'; 10], 4), b"aaaa (cut off)\n");
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_does_not_wait() {
        let (sender, _never_read) = sync_channel(1);
        let sink = Sink(sender);
        let before = dropped();
        sink.send(Message::Line(vec![]));
        sink.send(Message::Line(vec![]));
        assert!(dropped() > before);
    }

    #[test]
    fn libraries_are_heard_from_warnings_on() {
        let filter = targets(Level::Trace);
        assert!(filter.would_enable("conclave_node::http", &tracing::Level::TRACE));
        assert!(!filter.would_enable("h2::codec", &tracing::Level::INFO));
        assert!(!targets(Level::Error).would_enable("h2::codec", &tracing::Level::WARN));
    }

    #[test]
    fn openraft_is_heard_by_those_who_debug_only() {
        for (level, is_heard) in [(Level::Info, false), (Level::Warn, false), (Level::Debug, true)] {
            let filter = targets(level);
            assert_eq!(filter.would_enable("openraft::core::heartbeat", &tracing::Level::WARN), is_heard, "{level:?}");
            assert!(!filter.would_enable("openraft::core::heartbeat", &tracing::Level::INFO));
        }
    }

    #[test]
    fn a_file_gets_the_lines_and_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::start(Destination::File(path.clone(), open(&path).unwrap()), 8);
        let mut lines = Lines { sinks: vec![sink].into(), most_bytes: 100 };
        lines.write_all(b"hello\n").unwrap();
        let (done, written) = channel();
        lines.sinks[0].send(Message::Flush(done));
        written.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"hello\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
