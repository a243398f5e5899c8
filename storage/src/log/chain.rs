//! Walking along stored records: at open over all of them, and on every read over some.

use std::ops::Range;

use bytes::Bytes;

use super::record::{self, Chain, Decoded, chain_start};
use super::tail::damaged;
use super::{Entry, LogError, LogId, misuse};

/// The walk at open, from what was purged to the end.
pub(crate) struct Walk {
    last: Option<LogId>,
    chain: Chain,
    /// Whether the next entry must name `chain`: not right behind a purge, which forgets it.
    is_linked: bool,
    tail_index: Option<u64>,
    at_tail: Option<(LogId, Chain)>,
}

impl Walk {
    /// Starts behind what was purged, on the lookout for the entry at the tail's index.
    pub(crate) fn new(purged: Option<LogId>, tail: Option<LogId>) -> Self {
        let tail_index = tail.map(|tail| tail.index);
        Self { last: purged, chain: chain_start(purged), is_linked: false, tail_index, at_tail: None }
    }

    /// Takes the next record, which is stored under an id.
    pub(crate) fn next(&mut self, id: LogId, record: &Bytes) -> Result<(), LogError> {
        let decoded = decode_at(id, record)?;
        let expected = self.last.map_or(id.index, |last| last.index + 1);
        if id.index != expected {
            return Err(damaged(format!("entry {expected} is missing")));
        }
        if self.is_linked && decoded.previous != self.chain {
            return Err(unlinked(id.index));
        }
        self.last = Some(id);
        self.chain = decoded.chain;
        self.is_linked = true;
        if self.tail_index == Some(id.index) {
            self.at_tail = Some((id, decoded.chain));
        }
        Ok(())
    }

    /// The last entry, purged or not.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.last
    }

    /// What the next entry will name.
    pub(crate) fn chain(&self) -> Chain {
        self.chain
    }

    /// The entry at the tail's index, if it was met.
    pub(crate) fn at_tail(&self) -> Option<(LogId, Chain)> {
        self.at_tail
    }
}

/// Entries of a range out of stored records: at least one, then up to `max_bytes`, none missing.
pub(crate) fn collect<E>(
    range: Range<u64>,
    max_bytes: usize,
    records: impl Iterator<Item = Result<(LogId, Bytes), E>>,
) -> Result<Vec<Entry>, LogError>
where
    LogError: From<E>,
{
    let mut entries: Vec<Entry> = Vec::new();
    let mut size = 0;
    let mut chain = None;
    for record in records {
        let (id, record) = record?;
        let decoded = decode_at(id, &record)?;
        let expected = range.start + entries.len() as u64;
        if id.index != expected || chain.is_some_and(|chain: Chain| chain != decoded.previous) {
            return Err(unlinked(expected));
        }
        size += record.len();
        if size > max_bytes && !entries.is_empty() {
            return Ok(entries);
        }
        chain = Some(decoded.chain);
        entries.push(decoded.entry);
    }
    match entries.last() {
        Some(last) if last.id.index + 1 == range.end => Ok(entries),
        _ => Err(misuse(format!("entries {range:?} are not all in the log"))),
    }
}

/// Reads a record that is stored under an id.
pub(crate) fn decode_at(id: LogId, record: &Bytes) -> Result<Decoded, LogError> {
    let decoded = record::decode(record).filter(|decoded| decoded.entry.id == id);
    decoded.ok_or_else(|| damaged(format!("entry {} is not what was written", id.index)))
}

fn unlinked(index: u64) -> LogError {
    damaged(format!("entry {index} does not follow from the one before"))
}
