//! The second file: how far the log reaches at least.
//!
//! A log that lost its end looks like a log that never had it. So a small file of its own says which entry was the
//! last that was synced, with its chain hash, and how often a vote was saved. It is written after each sync of the
//! log, without a sync of its own, and synced at most [`SYNC_INTERVAL`] later and when the log is closed: a process
//! that dies leaves it exact, a power loss may leave it that much behind, never ahead. Before the log is cut on
//! purpose it is lowered and synced first. Format: `docs/internals/log.md`.

use std::io;
use std::time::Duration;

use super::record::Chain;
use super::{LogError, LogId, end_of};
use crate::REPLACE_NODE;
use crate::encoding::{Fields, put_optional_log_id};

/// How long a raised tail may wait for its own sync.
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Distance of the two slots in bytes, so that no sector holds both.
pub(crate) const SLOT_DISTANCE: u64 = 4096;
/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 106;
const VERSION: u8 = 1;

/// What the log must at least hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Its last entry.
    pub(crate) last: Option<LogId>,
    /// Chain hash of that entry.
    pub(crate) chain: Chain,
    /// How often a vote was saved.
    pub(crate) votes: u64,
}

/// The bytes under a tail.
pub(crate) trait TailBytes: Send {
    /// Everything in the file, up to both slots.
    fn read(&self) -> io::Result<Vec<u8>>;
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

/// An open tail.
pub(crate) struct Tail<B> {
    bytes: B,
    sequence: u64,
    written: Reach,
    is_synced: bool,
}

impl<B: TailBytes> Tail<B> {
    /// Starts a tail for an empty log: both slots are written and synced.
    pub(crate) fn create(mut bytes: B) -> Result<Self, LogError> {
        let written = Reach::default();
        for sequence in [0, 1] {
            bytes.write_at(offset_of(sequence), &encode(sequence, &written))?;
        }
        bytes.sync()?;
        Ok(Self { bytes, sequence: 1, written, is_synced: true })
    }

    /// Reads the newer slot that is whole.
    pub(crate) fn open(bytes: B) -> Result<Self, LogError> {
        let content = bytes.read()?;
        let slots = [0, SLOT_DISTANCE].map(|offset| {
            let start = usize::try_from(offset).expect("slots lie in the first 8 KiB");
            content.get(start..start + SLOT_BYTES).and_then(decode)
        });
        if slots.iter().any(Option::is_none) {
            tracing::warn!("one slot of the log's tail file is torn; the other one counts");
        }
        let newest = slots.into_iter().flatten().max_by_key(|(sequence, _)| *sequence);
        let (sequence, written) = newest.ok_or_else(|| {
            damaged("the file `log/tail`, which says how far the log reaches, is cut short or unreadable")
        })?;
        Ok(Self { bytes, sequence, written, is_synced: true })
    }

    pub(crate) fn written(&self) -> &Reach {
        &self.written
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// The bytes under it.
    pub(crate) fn bytes(&self) -> &B {
        &self.bytes
    }

    /// Names the newest write, for [`Tail::note_synced`].
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Somebody else has synced the file since this write.
    pub(crate) fn note_synced(&mut self, sequence: u64) {
        self.is_synced |= self.sequence == sequence;
    }

    /// Writes what the log was just synced through. The sync of this file comes later.
    pub(crate) fn raise(&mut self, reach: Reach) -> io::Result<()> {
        if reach == self.written {
            return Ok(());
        }
        self.sequence += 1;
        self.bytes.write_at(offset_of(self.sequence), &encode(self.sequence, &reach))?;
        self.written = reach;
        self.is_synced = false;
        Ok(())
    }

    /// Before the log is cut to `last`: if the tail names a later entry, lowers it and syncs that. A cut that takes
    /// only what was not synced changes nothing here, or the tail would promise what the disk does not hold yet.
    pub(crate) fn lower(&mut self, last: Option<LogId>, chain: Chain) -> io::Result<()> {
        if end_of(self.written.last) <= end_of(last) {
            return Ok(());
        }
        self.raise(Reach { last, chain, votes: self.written.votes })?;
        self.sync()
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.bytes.sync()?;
            self.is_synced = true;
        }
        Ok(())
    }
}

/// What a log was found to hold, to be compared with its tail.
pub(crate) struct Found {
    pub(crate) purged: Option<LogId>,
    pub(crate) last: Option<LogId>,
    pub(crate) votes: u64,
    /// Id and chain hash of the entry at the tail's index, if it is not purged.
    pub(crate) at_tail: Option<(LogId, Chain)>,
}

/// Refuses a log that does not hold what its tail says.
pub(crate) fn check(reach: &Reach, found: &Found) -> Result<(), LogError> {
    let is_empty = found.purged.is_none() && found.last.is_none() && found.votes == 0;
    if is_empty && (reach.last.is_some() || reach.votes > 0) {
        return Err(damaged("the files in `log/wal` are gone or empty"));
    }
    if found.votes < reach.votes {
        return Err(damaged(format!("it holds vote {}, and vote {} was saved", found.votes, reach.votes)));
    }
    let Some(last) = reach.last else { return Ok(()) };
    if found.purged.is_some_and(|purged| purged.index >= last.index) {
        return Ok(());
    }
    if found.last.is_none_or(|end| end.index < last.index) {
        let end = found.last.map_or("before its first entry".to_owned(), |end| format!("at {}", end.index));
        return Err(damaged(format!("it ends {end}, and entry {} was synced", last.index)));
    }
    if found.at_tail != Some((last, reach.chain)) {
        return Err(damaged(format!("entry {} is not the one that was synced", last.index)));
    }
    Ok(())
}

/// A damage, and what to do about it.
pub(crate) fn damaged(what: impl std::fmt::Display) -> LogError {
    LogError::Damaged(format!(
        "{what}. This node may have forgotten what it acknowledged or voted, so it must not start under its id: \
         {REPLACE_NODE}"
    ))
}

fn offset_of(sequence: u64) -> u64 {
    (sequence % 2) * SLOT_DISTANCE
}

fn encode(sequence: u64, reach: &Reach) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.push(VERSION);
    slot.extend_from_slice(&sequence.to_be_bytes());
    slot.extend_from_slice(&reach.votes.to_be_bytes());
    slot.extend_from_slice(&reach.chain);
    put_optional_log_id(&mut slot, reach.last);
    // The checksum has its place at the end whether there is an entry or not.
    slot.resize(SLOT_BYTES - 32, 0);
    let checksum = blake3::hash(&slot);
    slot.extend_from_slice(checksum.as_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<(u64, Reach)> {
    let (body, checksum) = slot.split_last_chunk::<32>()?;
    if blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    let mut fields = Fields::new(body);
    if fields.u8()? != VERSION {
        return None;
    }
    let (sequence, votes, chain) = (fields.u64()?, fields.u64()?, fields.array()?);
    Some((sequence, Reach { last: fields.optional_log_id()?, chain, votes }))
}
