//! What clients did and saw, one JSON object a line: `history.jsonl`.
//!
//! An operation is two events of one process: `invoke`, then `ok`, `fail` (it certainly did not happen) or `info` (nobody
//! knows). It is not a log of the server. What surprises: a process number whose operation ended in `info` is retired,
//! because that operation may still take effect, and a process does one thing at a time.
//!
//! The form follows Jepsen's histories (<https://github.com/jepsen-io/history>).

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Most events of a history that is read; more would not fit into memory.
const MAX_EVENTS: usize = 20_000_000;
/// The `err` of a check-and-set that was refused because the version was another.
pub const MISMATCH: &str = "mismatch";

/// What an event says about its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is about to be sent.
    Invoke,
    /// It was done.
    Ok,
    /// It was not done and will not be.
    Fail,
    /// It may have been done, or may yet be.
    Info,
}

/// What is done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// Reads the newest version.
    Read,
    /// Writes a new version.
    Write,
    /// Writes a new version if the newest is the expected one.
    Cas,
    /// After the run: the value of one version.
    Version,
    /// After the run: the number of the newest version.
    Newest,
    /// Increases a counter by one.
    Add,
    /// Reads a counter: `value`.
    Total,
    /// Appends `value` to a list.
    Append,
    /// Reads a list: `list`.
    Elements,
    /// Makes a token, or what is like one, that can be used `value` times; without a limit if there is none.
    Grant,
    /// Uses it: `value` is 1 if it was accepted, 0 if it was refused.
    Use,
    /// Revokes it.
    Revoke,
    /// Makes something with an identifier; `value` stands for it.
    Mint,
    /// Makes a token that ends after `value` seconds.
    Lend,
    /// Uses it: `value` is 1 if it was accepted, 0 if it was refused.
    Show,
    /// Makes the name `value` in a folder.
    Make,
    /// Deletes the name `value` from a folder.
    Drop,
    /// Lists a folder: `list`.
    List,
    /// Looks for the name `value` in a folder: `version` is 1 if it is there, 0 if not.
    Peek,
    /// Writes the next version of a secret: `version`.
    Put,
    /// Deletes a version.
    Delete,
    /// Brings a deleted version back.
    Undelete,
    /// Destroys a version.
    Destroy,
    /// Looks at a version: `value` is 0 if there is none, 1 if it has its value, 2 if it is deleted, 3 if it is destroyed.
    Look,
}

impl Function {
    /// Whether it belongs to the registers.
    pub fn is_register(self) -> bool {
        matches!(self, Self::Read | Self::Write | Self::Cas | Self::Version | Self::Newest)
    }
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the history, from 0. It is the clock of the checkers.
    #[serde(rename = "i")]
    pub index: u64,
    /// The process: one sequence of operations.
    #[serde(rename = "p")]
    pub process: u32,
    /// Nanoseconds since the run began, for people.
    #[serde(rename = "t")]
    pub nanos: u64,
    /// What the event says.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What is done.
    #[serde(rename = "f")]
    pub function: Function,
    /// To which key.
    pub key: String,
    /// The value written or read; each write has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// The version made or read; 0 if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The version that a check-and-set expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// The numbers of a list that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Vec<u64>>,
    /// The node that is asked, from 0.
    pub node: usize,
    /// Why it failed, or why nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<String>,
}

impl Event {
    /// The beginning of an operation.
    pub fn new(process: u32, node: usize, function: Function, key: &str) -> Self {
        let (value, version, expected, err) = (None, None, None, None);
        let (kind, key) = (Kind::Invoke, key.to_owned());
        Self { index: 0, process, nanos: 0, kind, function, key, value, version, expected, list: None, node, err }
    }
}

/// Why a history cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no event.
    #[error("line {line} of the history is no event: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The events do not fit together.
    #[error("event {index} does not fit into the history: {reason}")]
    Event {
        /// The event's place.
        index: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Takes events from many tasks and puts them in one order.
pub struct Recorder {
    began: Instant,
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    file: BufWriter<File>,
    events: Vec<Event>,
    failure: Option<io::Error>,
}

impl Recorder {
    /// Begins a history.
    ///
    /// # Errors
    /// [`HistoryError::File`], also if there is a history already.
    pub fn create(path: &Path) -> Result<Self, HistoryError> {
        let file = File::create_new(path).map_err(|source| HistoryError::File { path: path.to_owned(), source })?;
        let inner = Inner { file: BufWriter::new(file), events: Vec::new(), failure: None };
        Ok(Self { began: Instant::now(), path: path.to_owned(), inner: Mutex::new(inner) })
    }

    /// Nanoseconds since the history began.
    pub fn nanos(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Adds an event; its place and time are set here. An `invoke` is recorded before the request is sent and the rest
    /// after the reply came, so that the order of the history never claims more than was true.
    pub fn record(&self, mut event: Event) {
        let mut inner = self.lock();
        event.index = inner.events.len() as u64;
        event.nanos = self.nanos();
        if inner.failure.is_none()
            && let Err(error) = write_line(&mut inner.file, &event)
        {
            inner.failure = Some(error);
        }
        inner.events.push(event);
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// Makes the file complete.
    ///
    /// # Errors
    /// [`HistoryError::File`] if any line could not be written.
    pub fn finish(&self) -> Result<(), HistoryError> {
        let mut inner = self.lock();
        let result = match inner.failure.take() {
            Some(error) => Err(error),
            None => inner.file.flush(),
        };
        result.map_err(|source| HistoryError::File { path: self.path.clone(), source })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each event is pushed whole, so a panic elsewhere leaves the history valid.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn write_line(file: &mut BufWriter<File>, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *file, event)?;
    file.write_all(b"\n")
}

/// Reads a history.
///
/// # Errors
/// [`HistoryError::File`] and [`HistoryError::Line`].
pub fn read(path: &Path) -> Result<Vec<Event>, HistoryError> {
    let failed = |source| HistoryError::File { path: path.to_owned(), source };
    let mut events = Vec::new();
    for (number, line) in BufReader::new(File::open(path).map_err(failed)?).lines().enumerate() {
        let malformed = |reason: String| HistoryError::Line { line: number + 1, reason };
        if number == MAX_EVENTS {
            return Err(malformed(format!("a history has at most {MAX_EVENTS} events")));
        }
        let line = line.map_err(failed)?;
        events.push(serde_json::from_str(&line).map_err(|error| malformed(error.to_string()))?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind) -> Event {
        let (value, expected, err) = (Some(7), Some(0), Some("timed out".to_owned()));
        Event { kind, value, expected, err, ..Event::new(3, 1, Function::Cas, "k") }
    }

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path).unwrap();
        recorder.record(event(Kind::Invoke));
        recorder.record(event(Kind::Info));
        recorder.finish().unwrap();
        assert_eq!(read(&path).unwrap(), recorder.events());
        assert_eq!(recorder.events()[1].index, 1);
    }

    #[test]
    fn a_history_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        Recorder::create(&path).unwrap();
        assert!(Recorder::create(&path).is_err());
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        assert!(matches!(read(&path), Err(HistoryError::Line { line: 1, .. })));
    }
}
