//! What a node does before it serves after it was sealed: find out that its table is the cluster's.
//!
//! While it was sealed it had no key, so it could not check tags, and somebody may have edited its disk. So the table is
//! put back to the newest checkpoint that carries a tag, its rows are added up and compared with that checkpoint's digest,
//! and the log is applied again from there, every tag checked. A table that came by snapshot has no such checkpoint yet:
//! it is added up too, and waits for the next one.

use conclave_storage::batch::{Batch, SignedBatch};
use conclave_storage::log::{Entry, Log, Payload};
use conclave_storage::table::{Applied, Table};
use conclave_vault::core::Core;
use prost::Message;

use crate::cluster::gated::GatedTable;

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 4 << 20;

/// How the check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The table is the cluster's.
    Confirmed,
    /// The rows add up, but no checkpoint says so yet; one that confirms an index from this one on will.
    Unconfirmed {
        /// Index of the imported snapshot.
        since: u64,
    },
}

/// Why the table must not be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// Rows were changed while nobody looked.
    #[error(
        "the table at index {0} is not what the cluster's checkpoint says; this node must be replaced by a fresh one"
    )]
    Digest(u64),
    /// An entry of the log has no valid tag.
    #[error("the log entry at index {0} has no valid tag; this node must be replaced by a fresh one")]
    Tag(u64),
    /// The newest checkpoint is not in the log.
    #[error("the checkpoint at index {0} is not in the log; this node must be replaced by a fresh one")]
    NoCheckpoint(u64),
    /// Log or table cannot be read.
    #[error("log or table cannot be read: {0}")]
    Storage(String),
}

/// Checks the table against the newest tagged checkpoint and the log behind it. Nothing is applied meanwhile. `passed` is
/// the newest entry that was let through unchecked before there were keys; it may wait to be applied still.
pub(crate) fn check(table: &GatedTable, log: &dyn Log, core: &Core, passed: u64) -> Result<Verdict, CheckError> {
    table.hold(|table| {
        let applied = table.applied();
        let Some(target) = applied.last.map(|last| last.index) else { return Ok(Verdict::Confirmed) };
        let expected = expected_digest(&applied, log, core)?;
        let rewound = table.rewind().map_err(storage)?;
        let from = rewound.last.map_or(0, |last| last.index + 1);
        let is_right = expected.is_none_or(|digest| digest == rewound.digest);
        // The log is applied again in any case, so that a node that may not serve still replicates.
        let bad_tag = replay(table, log, core, from, target)?.or(first_untagged(log, core, target + 1, passed)?);
        if !is_right {
            return Err(CheckError::Digest(from.saturating_sub(1)));
        }
        match (bad_tag, expected) {
            (Some(index), _) => Err(CheckError::Tag(index)),
            (None, None) if from > 0 => Ok(Verdict::Unconfirmed { since: from - 1 }),
            (None, _) => Ok(Verdict::Confirmed),
        }
    })
}

/// The digest that the newest tagged checkpoint vouches for; `None` if there is none.
fn expected_digest(applied: &Applied, log: &dyn Log, core: &Core) -> Result<Option<[u8; 32]>, CheckError> {
    let Some((at, confirmed)) = applied.checkpoint else { return Ok(None) };
    let entries = log.read(at..at + 1, READ_BYTES).map_err(|_| CheckError::NoCheckpoint(at))?;
    let Some(Payload::Batch(signed)) = entries.first().map(|entry| &entry.payload) else {
        return Err(CheckError::NoCheckpoint(at));
    };
    core.verify_batch(signed, at).map_err(|_| CheckError::Tag(at))?;
    let checkpoint = SignedBatch::decode(signed.clone())
        .and_then(|signed| Batch::decode(signed.body))
        .ok()
        .and_then(|batch| batch.checkpoint)
        .filter(|checkpoint| checkpoint.index == confirmed)
        .ok_or(CheckError::NoCheckpoint(at))?;
    Ok(checkpoint.digest.as_ref().try_into().ok())
}

/// Applies the log again up to `target`; answers the first entry whose tag does not hold.
fn replay(table: &dyn Table, log: &dyn Log, core: &Core, from: u64, target: u64) -> Result<Option<u64>, CheckError> {
    let (mut next, mut bad_tag) = (from, None);
    while next <= target {
        let entries = log.read(next..target + 1, READ_BYTES).map_err(storage)?;
        let Some(last) = entries.last() else { break };
        next = last.id.index + 1;
        bad_tag = bad_tag.or_else(|| entries.iter().find(|entry| !is_tagged(core, entry)).map(|entry| entry.id.index));
        table.apply(&entries).map_err(storage)?;
    }
    Ok(bad_tag)
}

/// The first entry of a range whose tag does not hold.
fn first_untagged(log: &dyn Log, core: &Core, from: u64, to: u64) -> Result<Option<u64>, CheckError> {
    let mut next = from;
    while next <= to {
        let entries = log.read(next..to + 1, READ_BYTES).map_err(storage)?;
        if let Some(entry) = entries.iter().find(|entry| !is_tagged(core, entry)) {
            return Ok(Some(entry.id.index));
        }
        next = entries.last().map_or(to, |last| last.id.index) + 1;
    }
    Ok(None)
}

fn is_tagged(core: &Core, entry: &Entry) -> bool {
    match &entry.payload {
        Payload::Batch(signed) => core.verify_batch(signed, entry.id.index).is_ok(),
        Payload::Blank | Payload::Membership(_) => true,
    }
}

fn storage(error: impl std::fmt::Display) -> CheckError {
    CheckError::Storage(error.to_string())
}
