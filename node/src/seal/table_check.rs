//! What a node does before it serves after it was sealed: find out that its table is the cluster's.
//!
//! While it was sealed it had no key, so it could not check tags, and somebody may have edited its disk. So the table is
//! put back to the newest checkpoint that carries a tag, which is where its rows on the disk stand; those are added up
//! and compared with that checkpoint's digest, and the log is applied again from there, every tag checked. That happens
//! on a copy, so that a large table holds up no entry; only if the copy does not come out as the table is, the table
//! itself is put back and led forward. A table that came by snapshot has no such checkpoint yet: it is added up too, and
//! waits for the next one.

use bytes::Bytes;
use conclave_batch::{Batch, SignedBatch};
use conclave_storage::log::{self, Entry, Log, Payload};
use conclave_storage::table::{Applied, Rewound, Table, empty_digest};
use conclave_vault::seal::KEYRING;
use conclave_vault::{Core, Era, open_key};
use prost::Message;

use super::state::Verdict;
use crate::config::limits::TRIAL_ENTRIES_MAX;
use crate::replica::gated::GatedTable;

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 4 << 20;

/// Why the table must not be served. What to do about it depends on the other nodes: whoever shows the error says it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// Rows were changed while nobody looked.
    #[error("the table at index {0} is not what the cluster's checkpoint says")]
    Digest(u64),
    /// An entry of the log has no valid tag.
    #[error("the log entry at index {0} has no valid tag")]
    Tag(u64),
    /// The newest checkpoint is not in the log.
    #[error("the checkpoint at index {0} is not in the log")]
    NoCheckpoint(u64),
    /// Log or table cannot be read.
    #[error("log or table cannot be read: {0}")]
    Storage(String),
}

/// Checks the table against the newest tagged checkpoint and the log behind it, while entries go on being applied. `passed`
/// is the newest entry that was let through unchecked before there were keys; it may wait to be applied still.
pub(crate) fn check(table: &GatedTable, log: &dyn Log, core: &Core, passed: u64) -> Result<Verdict, CheckError> {
    if let Some(verdict) = on_a_copy(table, log, core, passed) {
        return Ok(verdict);
    }
    // Something is wrong, or too much to be tried in memory: now nothing is applied until it is found out and put right.
    table.hold(|table| {
        let Some(target) = table.applied().last.map(|last| last.index) else { return Ok(Verdict::Confirmed) };
        in_place(table, log, core, target, passed)
    })
}

/// The verdict, if a copy of the table, put back and led forward again, comes out as it was: then what was applied meanwhile
/// was applied to the cluster's table. `None` says nothing about the table.
fn on_a_copy(table: &GatedTable, log: &dyn Log, core: &Core, passed: u64) -> Option<Verdict> {
    let trial = table.trial().ok()?;
    let copy = trial.table();
    let Some(target) = copy.applied().last.map(|last| last.index) else { return Some(Verdict::Confirmed) };
    if target.saturating_sub(copy.rewind_index()) > TRIAL_ENTRIES_MAX {
        return None;
    }
    let verdict = in_place(copy, log, core, target, passed).ok()?;
    trial.is_as_taken().ok()?.then_some(verdict)
}

/// Puts the table back, and leads it forward by the log to `target`; see [`check`].
pub(crate) fn in_place(
    table: &dyn Table,
    log: &dyn Log,
    core: &Core,
    target: u64,
    passed: u64,
) -> Result<Verdict, CheckError> {
    let applied = table.applied();
    let expected = expected_digest(&applied, log)?;
    let rewound = table.rewind().map_err(storage)?;
    let from = rewound.applied.last.map_or(0, |last| last.index + 1);
    // The log is applied again in any case, so that a node that may not serve still replicates.
    let (bad_tag, era) = replay(table, log, core, from, target)?;
    let bad_tag = bad_tag.or(first_untagged(log, core, era, target + 1, passed)?);
    if !is_right(&rewound, expected) {
        return Err(CheckError::Digest(from.saturating_sub(1)));
    }
    // The checkpoint's own tag was checked with those of the entries from there on, or it vouches for nothing.
    if let Some((at, _)) = applied.checkpoint.filter(|(at, _)| *at < from) {
        return Err(CheckError::NoCheckpoint(at));
    }
    match (bad_tag, expected) {
        (Some(index), _) => Err(CheckError::Tag(index)),
        (None, None) if from > 0 => Ok(Verdict::Unconfirmed { since: from - 1 }),
        (None, _) => Ok(Verdict::Confirmed),
    }
}

/// Whether the rewound table is the one that the log goes on from. Without a checkpoint that is known only of a log from
/// its first entry on, which begins with nothing.
pub(crate) fn is_right(rewound: &Rewound, expected: Option<[u8; 32]>) -> bool {
    match (expected, rewound.applied.last) {
        (Some(digest), _) => digest == rewound.digest,
        (None, None) => rewound.digest == empty_digest(),
        (None, Some(_)) => true,
    }
}

/// The digest that the newest checkpoint vouches for, its tag still to be checked; `None` if there is none.
fn expected_digest(applied: &Applied, log: &dyn Log) -> Result<Option<[u8; 32]>, CheckError> {
    let Some((at, confirmed)) = applied.checkpoint else { return Ok(None) };
    let entries = log.read(at..at + 1, READ_BYTES).map_err(|_| CheckError::NoCheckpoint(at))?;
    let checkpoint = entries
        .first()
        .and_then(batch_of)
        .and_then(|batch| batch.checkpoint)
        .filter(|checkpoint| checkpoint.index == confirmed)
        .ok_or(CheckError::NoCheckpoint(at))?;
    Ok(checkpoint.digest.as_ref().try_into().ok())
}

/// Applies the log again up to `target`, each entry judged by the keyring that was in force when it was applied. Answers the
/// first entry whose tag does not hold, and which terms count after the last; `None` if the keyring there does not open.
fn replay(
    table: &dyn Table,
    log: &dyn Log,
    core: &Core,
    from: u64,
    target: u64,
) -> Result<(Option<u64>, Option<Era>), CheckError> {
    let mut bad_tag = None;
    let mut era = era_of(table, core)?;
    for entries in log::pieces(log, from..target + 1, READ_BYTES) {
        let entries = entries.map_err(storage)?;
        for run in entries.chunk_by(|entry, _| keyring_in(entry).is_none()) {
            let is_bad = |entry: &&Entry| !era.as_ref().is_some_and(|era| is_tagged(core, era, entry));
            bad_tag = bad_tag.or_else(|| run.iter().find(is_bad).map(|entry| entry.id.index));
            table.apply(run).map_err(storage)?;
            if run.last().is_some_and(|entry| keyring_in(entry).is_some()) {
                era = era_of(table, core)?;
            }
        }
    }
    Ok((bad_tag, era))
}

/// The first entry of a range whose tag does not hold. Whether a rotation in it takes effect is not known yet, so that the
/// terms from before and from after it count.
fn first_untagged(log: &dyn Log, core: &Core, era: Option<Era>, from: u64, to: u64) -> Result<Option<u64>, CheckError> {
    let mut eras = Vec::from_iter(era);
    for entries in log::pieces(log, from..to + 1, READ_BYTES) {
        for entry in &entries.map_err(storage)? {
            if !eras.iter().any(|era| is_tagged(core, era, entry)) {
                return Ok(Some(entry.id.index));
            }
            eras.extend(keyring_in(entry).and_then(|sealed| core.barrier().era_of(&sealed, entry.id.index).ok()));
        }
    }
    Ok(None)
}

/// The terms that count for the next entry: those of the table's keyring. `None` if it does not open, so that none does.
fn era_of(table: &dyn Table, core: &Core) -> Result<Option<Era>, CheckError> {
    let record = table.view().and_then(|view| Ok(view.get(&open_key(KEYRING))?)).map_err(storage)?;
    Ok(match record {
        Some(record) => core.barrier().era_of(&record.value, record.revision).ok(),
        None => Some(core.barrier().first_era()),
    })
}

/// The keyring that an entry writes, if it takes effect.
fn keyring_in(entry: &Entry) -> Option<Bytes> {
    let key = open_key(KEYRING);
    batch_of(entry)?.ops.into_iter().find(|op| op.key == key)?.value
}

fn batch_of(entry: &Entry) -> Option<Batch> {
    let Payload::Batch(signed) = &entry.payload else { return None };
    SignedBatch::decode(signed.clone()).and_then(|signed| Batch::decode(signed.body)).ok()
}

fn is_tagged(core: &Core, era: &Era, entry: &Entry) -> bool {
    match &entry.payload {
        Payload::Batch(signed) => core.verify_batch_in(era, signed, entry.id.index).is_ok(),
        Payload::Blank | Payload::Membership(_) => true,
    }
}

fn storage(error: impl std::fmt::Display) -> CheckError {
    CheckError::Storage(error.to_string())
}
