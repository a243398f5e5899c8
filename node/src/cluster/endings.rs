//! The leader's work of taking back what engines lent out: several leases at once, a few of each target.
//!
//! Beside `upkeep.rs`, which nobody outside may hold up. A lease that is being worked on when leadership changes is worked on by
//! the next leader too, which does no harm; the first one loses the race for its record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_raft::Role;
use conclave_storage::table::Table;
use conclave_vault::{Answer, Core, Done, Errand, Errands, Error, end_lease, leases_to_end};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::limits::{LOG_REMINDER_INTERVAL, MAX_ENDING_RUNS};
use crate::outside::Ways;
use crate::reminder::Reminder;
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// How often it is looked what waits.
const INTERVAL: Duration = Duration::from_millis(500);
/// Longest time for one lease, its errands and commits together.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Pause after one that came to no end, before it is looked at again.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs until the node stops.
pub(crate) async fn run(seal: Arc<Seal>, ways: Arc<Ways>) {
    let mut failures = Reminder::every(LOG_REMINDER_INTERVAL);
    let mut work = JoinSet::<Result<(), String>>::new();
    let mut names = BTreeMap::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            Some(ended) = work.join_next_with_id(), if !work.is_empty() => {
                // One that panicked has come to no end either; the hook of panics has logged it.
                let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                names.remove(&id);
                if let Ok((_, Err(failure))) = ended
                    && failures.is_due(failure.clone(), Instant::now())
                {
                    tracing::error!("what a lease gave is not taken back yet, and that is tried again: {failure}");
                }
            }
            _ = ticks.tick() => {}
        }
        for name in waiting(&seal, &names.values().cloned().collect()) {
            if names.len() >= seal.replica.config.limits.endings {
                break;
            }
            let (seal, ways, own) = (Arc::clone(&seal), Arc::clone(&ways), name.clone());
            let task = work.spawn(async move { end_or_pause(&seal, &ways, &own).await });
            names.insert(task.id(), name);
        }
    }
}

/// Names of leases that can be taken back by this node; none where another one leads.
fn waiting(seal: &Seal, busy: &BTreeSet<String>) -> Vec<String> {
    if seal.replica.raft.status().role != Role::Leader {
        return Vec::new();
    }
    let Some((core, view)) = seal.state.serving().zip(seal.replica.table.view().ok()) else { return Vec::new() };
    leases_to_end(&core, &view, busy).unwrap_or_default()
}

async fn end_or_pause(seal: &Seal, ways: &Ways, name: &str) -> Result<(), String> {
    let ended = end(seal, ways, name).await;
    if ended.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    ended.map_err(|error| error.detail.unwrap_or_else(|| error.messages.join("; ")))
}

/// Takes one lease back, or notes why that failed.
async fn end(seal: &Seal, ways: &Ways, name: &str) -> Result<(), Error> {
    let deadline = Instant::now() + TIMEOUT;
    let mut errands = Errands::new(SystemRandomness::default().seed());
    for _ in 0..MAX_ENDING_RUNS {
        // Sealed or withdrawn meanwhile: another node goes on.
        let Some(core) = seal.state.serving() else { return Ok(()) };
        let done = run_once(seal, &core, &mut errands, name)?;
        if let Some(errand) = done.errand {
            let Errand::Outside(outside) = &errand else {
                return Err(Error::internal("what is taken back asks for what only a request can ask"));
            };
            let answer = Answer::Outside(ways.reach(outside, deadline).await);
            errands.answer(errand, answer);
            continue;
        }
        done.result?;
        let Some(proposal) = done.batch else { return Ok(()) };
        match seal.replica.propose(&proposal, deadline).await? {
            Outcome::Conflict { index } => seal.replica.catch_up(index, deadline).await?,
            _ => return Ok(()),
        }
    }
    Err(Error::unavailable("the lease's record kept changing"))
}

fn run_once(seal: &Seal, core: &Arc<Core>, errands: &mut Errands, name: &str) -> Result<Done, Error> {
    let view = seal.replica.table.view().map_err(|error| Error::internal(error.to_string()))?;
    let mut random = SystemRandomness::default();
    let mut context = seal.replica.context(&mut random);
    context.errands = std::mem::take(errands);
    let done = end_lease(core, &mut context, &view, name);
    *errands = context.errands;
    Ok(done)
}
