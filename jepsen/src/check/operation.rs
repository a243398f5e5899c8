//! Operations out of events: what was asked, what came back, and between which two events it took effect.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Event, Function, HistoryError, Kind, MISMATCH};

/// When an operation whose end nobody knows returned: never.
pub(super) const OPEN: u64 = u64::MAX;

/// What an operation did, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Saw this version with this value; version 0 is "nothing there".
    Read {
        /// The version.
        version: u64,
        /// Its value.
        value: Option<u64>,
    },
    /// Made a version, or may have.
    Write {
        /// The value, which no other write has.
        value: u64,
        /// The version that had to be the newest, for a check-and-set.
        expected: Option<u64>,
        /// The version made, if known.
        version: Option<u64>,
    },
    /// Was refused because the newest version was not the expected one.
    Mismatch {
        /// The version that was expected.
        expected: u64,
    },
}

/// One operation on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who did it.
    pub process: u32,
    /// Which node was asked, from 0.
    pub node: usize,
    /// The index of its first event.
    pub invoked: u64,
    /// The index of its last event; [`u64::MAX`] if it may still take effect.
    pub returned: u64,
    /// What it did.
    pub action: Action,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, process, node) = (self.invoked, self.process, self.node + 1);
        write!(formatter, "process {process} on node{node}, from event {first} ")?;
        match self.returned {
            OPEN => formatter.write_str("with an unknown end: ")?,
            last => write!(formatter, "to {last}: ")?,
        }
        match self.action {
            Action::Read { version: 0, .. } => formatter.write_str("read nothing"),
            Action::Read { version, value } => {
                write!(formatter, "read version {version}")?;
                value.map_or(Ok(()), |value| write!(formatter, " (value {value})"))
            }
            Action::Write { value, expected, version } => {
                write!(formatter, "wrote value {value}")?;
                expected.map_or(Ok(()), |expected| write!(formatter, " over version {expected}"))?;
                version.map_or(Ok(()), |version| write!(formatter, " as version {version}"))
            }
            Action::Mismatch { expected } => write!(formatter, "was refused: the version was not {expected}"),
        }
    }
}

/// All that is known about one key.
#[derive(Clone, Debug, Default)]
pub struct KeyHistory {
    /// What took effect or may have, by the order of invocation.
    pub operations: Vec<Operation>,
    /// Writes that the server said did not happen, by their value.
    pub refused: BTreeMap<u64, Operation>,
    /// Values of versions, read after the run.
    pub observed: BTreeMap<u64, u64>,
    /// The newest version, read after the run.
    pub newest: Option<u64>,
}

/// An operation's first event, and its last if what became of it is known.
pub(super) type Pair<'a> = (&'a Event, Option<&'a Event>);

/// Pairs the events of a history, by the order of invocation. A process that does not know stays open, which retires it.
pub(super) fn pairs(events: &[Event]) -> Result<Vec<Pair<'_>>, HistoryError> {
    let mut done: Vec<Pair<'_>> = Vec::new();
    let mut open: BTreeMap<u32, &Event> = BTreeMap::new();
    let mut last = None;
    for event in events {
        let wrong = |reason| HistoryError::Event { index: event.index, reason };
        if last >= Some(event.index) {
            return Err(wrong("the indexes do not rise"));
        }
        last = Some(event.index);
        if event.kind == Kind::Invoke {
            if open.insert(event.process, event).is_some() {
                return Err(wrong("its process was not done yet, or was retired"));
            }
            continue;
        }
        let invoked = open.get(&event.process).copied().ok_or_else(|| wrong("its process had nothing under way"))?;
        if invoked.key != event.key || invoked.function != event.function {
            return Err(wrong("its process was doing something else"));
        }
        if event.kind != Kind::Info {
            open.remove(&event.process);
            done.push((invoked, Some(event)));
        }
    }
    done.extend(open.into_values().map(|invoked| (invoked, None)));
    done.sort_by_key(|(invoked, _)| invoked.index);
    Ok(done)
}

/// Sorts a history of registers by key.
pub(super) fn by_key(events: &[Event]) -> Result<BTreeMap<String, KeyHistory>, HistoryError> {
    let mut keys: BTreeMap<String, KeyHistory> = BTreeMap::new();
    for (invoked, ended) in pairs(events)? {
        let wrong = |reason| HistoryError::Event { index: ended.unwrap_or(invoked).index, reason };
        take(keys.entry(invoked.key.clone()).or_default(), invoked, ended).map_err(wrong)?;
    }
    Ok(keys)
}

/// Takes one operation into its key's history; without an end it is open.
fn take(history: &mut KeyHistory, invoked: &Event, ended: Option<&Event>) -> Result<(), &'static str> {
    let returned = ended.map_or(OPEN, |event| event.index);
    let kind = ended.map_or(Kind::Info, |event| event.kind);
    let version = ended.and_then(|event| event.version);
    let operation =
        |action| Operation { process: invoked.process, node: invoked.node, invoked: invoked.index, returned, action };
    match (invoked.function, kind) {
        (Function::Read, Kind::Ok) => {
            let version = version.ok_or("a read needs a version")?;
            let value = ended.and_then(|event| event.value);
            history.operations.push(operation(Action::Read { version, value }));
        }
        (Function::Version, Kind::Ok) => {
            let value = ended.and_then(|event| event.value).ok_or("a version needs a value")?;
            history.observed.insert(version.ok_or("a version needs its number")?, value);
        }
        (Function::Newest, Kind::Ok) => history.newest = Some(version.ok_or("the newest version needs its number")?),
        (Function::Cas, Kind::Fail) if ended.is_some_and(|event| event.err.as_deref() == Some(MISMATCH)) => {
            let expected = invoked.expected.ok_or("a check-and-set needs the expected version")?;
            let value = invoked.value.ok_or("a write needs a value")?;
            let refused = operation(Action::Mismatch { expected });
            history.refused.insert(value, refused.clone());
            history.operations.push(refused);
        }
        (Function::Write | Function::Cas, kind) => {
            let value = invoked.value.ok_or("a write needs a value")?;
            if kind == Kind::Ok && version.is_none() {
                return Err("a write that was done needs its version");
            }
            let written = operation(Action::Write { value, expected: invoked.expected, version });
            match kind {
                Kind::Fail => drop(history.refused.insert(value, written)),
                _ => history.operations.push(written),
            }
        }
        // What was only read, and did not come back, says nothing.
        (Function::Read | Function::Version | Function::Newest, _) => {}
        (_, _) => return Err("it is about no register"),
    }
    Ok(())
}
