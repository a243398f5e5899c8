//! What runs by itself: the leader's expiry, clean-up and checkpoints, and every node's reservation of key uses.
//!
//! Guards make a second runner harmless, so nothing here needs a lock or a lease: a leader that was deposed without
//! noticing loses every race.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_batch::Outcome;
use conclave_raft::{CallError, Peer, Role};
use conclave_storage::table::Table;
use conclave_vault::{Core, Error, rotate_term_if_due, run_tasks};
use tokio::time::Instant;

use crate::audit::Audit;
use crate::audit::vouching::Vouching;
use crate::cluster::join::challenge;
use crate::config::limits::{CHECKPOINT_BYTES, LOG_REMINDER_INTERVAL};
use crate::gauges::Gauges;
use crate::reminder::Reminder;
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// How often upkeep looks around.
const INTERVAL: Duration = Duration::from_millis(500);
/// Longest wait for one of upkeep's own batches.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Chunks of due work done in one round, so that other work gets its turn.
const CHUNKS: u32 = 32;
/// Entries after which the leader makes a checkpoint.
const CHECKPOINT_ENTRIES: u64 = 4096;
/// Time after which the leader makes a checkpoint if there were entries at all.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(30);

/// Runs until the application stops.
pub(crate) async fn run(seal: Arc<Seal>, gauges: Arc<Gauges>, audit: Arc<Audit>) {
    let mut failures = Reminder::every(LOG_REMINDER_INTERVAL);
    let mut checkpointed = Checkpointed { index: 0, at: Instant::now() };
    let mut vouching = Vouching::default();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            _ = ticks.tick() => {}
            () = seal.replica.wakeups.upkeep_wanted() => {}
        }
        seal.try_confirm();
        seal.ask_for_checkpoint().await;
        if let Some(core) = seal.state.serving() {
            // Tried again at the next tick; until then this node refuses to encrypt more than it reserved.
            let _ = seal.reserve_uses(&core).await;
            challenge::write_key(&seal, &core).await;
            // A node that serves nobody opens its devices too, and says early if it cannot.
            if let Ok(view) = seal.replica.table.view() {
                let _ = audit.follow(&core, &view);
            }
        }
        let status = seal.replica.raft.status();
        let is_leader = status.role == Role::Leader;
        match seal.state.serving() {
            Some(core) if is_leader => {
                let done = rotate_if_due(&seal, &core).await.and(work(&seal, &core).await);
                match done {
                    Ok(()) => failures.clear(),
                    Err(failure) if failures.is_due(failure.clone(), Instant::now()) => tracing::error!("{failure}"),
                    Err(_) => {}
                }
                checkpoint_if_due(&seal, &core, &mut checkpointed).await;
            }
            _ => {}
        }
        if let Some(core) = seal.state.serving() {
            vouching.commit_if_due(&seal, &core, &audit).await;
        }
        gauges.publish();
    }
}

/// Rotates the key term when it was used often enough, or long enough. An error is a line for the log.
async fn rotate_if_due(seal: &Seal, core: &Core) -> Result<(), String> {
    let proposal = {
        let Ok(view) = seal.replica.table.view() else { return Ok(()) };
        let mut random = SystemRandomness::default();
        let mut context = seal.replica.context(&mut random);
        rotate_term_if_due(core, &mut context, &view)
    };
    match proposal {
        Ok(Some(proposal)) => match seal.replica.propose(&proposal, Instant::now() + TIMEOUT).await {
            Ok(_) => Ok(()),
            Err(error) => Err(told("the key term is due for rotation, and that failed; it is tried again", &error)),
        },
        Ok(None) => Ok(()),
        Err(error) => Err(told("whether the key term is due for rotation could not be found out", &error)),
    }
}

/// Does what is due: expired tokens and leases, tasks. An error is a line for the log.
async fn work(seal: &Seal, core: &Core) -> Result<(), String> {
    for _ in 0..CHUNKS {
        let proposal = {
            let Ok(view) = seal.replica.table.view() else { return Ok(()) };
            let mut random = SystemRandomness::default();
            let mut context = seal.replica.context(&mut random);
            run_tasks(core, &mut context, &view)
        };
        match proposal {
            Ok(Some(proposal)) => match seal.replica.propose(&proposal, Instant::now() + TIMEOUT).await {
                Ok(Outcome::Applied { .. }) => {}
                // Somebody changed one of the records; the next round looks again.
                Ok(_) | Err(_) => return Ok(()),
            },
            Ok(None) => return Ok(()),
            Err(error) => return Err(told("work in the background failed; it is tried again", &error)),
        }
    }
    Ok(())
}

/// A sentence and the detail that is for the log alone.
fn told(what: &str, error: &Error) -> String {
    match &error.detail {
        Some(detail) => format!("{what}: {detail}"),
        None => format!("{what}: {error}"),
    }
}

/// The newest checkpoint that this leader made.
struct Checkpointed {
    index: u64,
    at: Instant,
}

async fn checkpoint_if_due(seal: &Seal, core: &Core, last: &mut Checkpointed) {
    let applied = seal.replica.raft.applied_index();
    let new_entries = applied.saturating_sub(last.index);
    let is_due = new_entries >= CHECKPOINT_ENTRIES
        || (new_entries > 0 && last.at.elapsed() >= CHECKPOINT_INTERVAL)
        || seal.replica.table.unconfirmed_bytes() >= CHECKPOINT_BYTES;
    // Asked for, it is made on an idle cluster too: whoever asks waits for one that is newer than its snapshot.
    if (seal.replica.wakeups.take_checkpoint_request() || is_due)
        && let Some(index) = checkpoint(seal, core).await
    {
        *last = Checkpointed { index, at: Instant::now() };
    }
}

/// Makes a checkpoint: one entry marks an index, the next confirms the digest that the table had there.
pub(crate) async fn checkpoint(seal: &Seal, core: &Core) -> Option<u64> {
    let mark = propose_checkpoint(seal, core, None).await?;
    let table = Arc::clone(&seal.replica.table);
    // What changed since the last one is added up first.
    let digest = tokio::task::spawn_blocking(move || table.digest_at(mark)).await.ok()?.ok().flatten()?;
    propose_checkpoint(seal, core, Some((mark, digest))).await
}

async fn propose_checkpoint(seal: &Seal, core: &Core, confirmed: Option<(u64, [u8; 32])>) -> Option<u64> {
    let proposal = {
        let mut random = SystemRandomness::default();
        let mut context = seal.replica.context(&mut random);
        core.checkpoint(&mut context, seal.replica.raft.applied_index(), confirmed)
    };
    match seal.replica.propose(&proposal, Instant::now() + TIMEOUT).await {
        Ok(Outcome::Applied { index }) => Some(index),
        _ => None,
    }
}

/// A member that was just unsealed wants to know whether its table is right.
pub(crate) fn answer_checkpoint(seal: &Seal, from: Peer) -> Result<Bytes, CallError> {
    if from.id.is_none() {
        return Err(CallError::Denied("only members ask for checkpoints".into()));
    }
    seal.replica.wakeups.request_checkpoint();
    Ok(Bytes::new())
}
