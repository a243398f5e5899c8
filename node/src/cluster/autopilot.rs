//! Autopilot: who is healthy and since when, and on the leader: how long a learner waits for its vote, and the removal of
//! members that are dead.
//!
//! What was seen is in `health.rs`.

use std::sync::Arc;
use std::time::Duration;

use conclave_raft::{Role, node_id};
use conclave_vault::autopilot::{self, AutopilotSettings};
use conclave_vault::{Core, Error};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use crate::cluster::health::Seen;
use crate::cluster::membership;
use crate::cluster::nodes::{self, MemberHealth};
use crate::config::limits::LOG_REMINDER_INTERVAL;
use crate::reminder::Reminder;
use crate::seal::Seal;
use crate::view;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Voters from which on a learner waits for its vote as long as the settings say. Below, each moment without it is a moment
/// in which the loss of one node stops the cluster.
const STABLE_VOTERS: usize = 3;
/// How long a learner waits below that.
const EARLY_PROMOTION: Duration = Duration::from_secs(1);

/// Looks until the application stops.
pub(crate) async fn run(seal: Arc<Seal>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut complaint = Reminder::every(LOG_REMINDER_INTERVAL);
    loop {
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            _ = ticks.tick() => {}
        }
        let core = seal.state.serving();
        let settings = core.as_ref().and_then(|core| settings(&seal, core)).unwrap_or(AutopilotSettings::UNSET);
        look(&seal, &settings);
        let (Some(core), Role::Leader) = (core, seal.replica.raft.status().role) else { continue };
        if let Err(error) = clean_up(&seal, &core, &settings).await
            && complaint.is_due((), Instant::now())
        {
            tracing::warn!(%error, "a member that is dead stays one; it is tried again");
        }
    }
}

/// The settings as this node's table has them.
fn settings(seal: &Seal, core: &Core) -> Option<AutopilotSettings> {
    use conclave_storage::table::Table;
    let view = seal.replica.table.view().ok()?;
    autopilot::load(&mut core.store(&view)).ok()
}

fn look(seal: &Seal, settings: &AutopilotSettings) {
    let raft = &seal.replica.raft;
    let (members, now) = (raft.status().members, (Instant::now(), view::now()));
    let threshold = Duration::from_millis(settings.last_contact_threshold_millis);
    for member in &members {
        let is_own = member.id == seal.replica.identity.id();
        let heard = if is_own { Some(now.0) } else { raft.last_heard(member.id) };
        seal.health.note(member.id, heard, threshold, now);
    }
    seal.health.keep_only(&members);
    let voters = members.iter().filter(|member| member.voter).count();
    let stable = Duration::from_secs(settings.server_stabilization_time_secs);
    raft.set_promote_after(if voters < STABLE_VOTERS { stable.min(EARLY_PROMOTION) } else { stable });
}

/// Removes at most one member that is dead, by the rules of every removal.
async fn clean_up(seal: &Arc<Seal>, core: &Core, settings: &AutopilotSettings) -> Result<(), Error> {
    let members = seal.replica.raft.status().members;
    let dead = seal.health.dead(seal.replica.identity.id(), &members, settings, Instant::now());
    let Some(id) = dead else { return Ok(()) };
    membership::remove(seal, core, &node_id(id)).await?;
    tracing::warn!(node = seal.replica.node_name(id), "a member that gave no answer for long was removed by autopilot");
    Ok(())
}

/// How healthy the members are: `sys/storage/raft/autopilot/state`.
pub(crate) async fn state(seal: &Arc<Seal>, core: &Core) -> Map<String, Value> {
    let settings = settings(seal, core).unwrap_or(AutopilotSettings::UNSET);
    look(seal, &settings);
    let (status, rows) = (seal.replica.status(), nodes::standings(seal).await);
    let (mut servers, mut voters, mut healthy_voters) = (Map::new(), Vec::new(), 0);
    for row in &rows {
        let (seen, name) = (seal.health.of(row.id), seal.replica.node_name(row.id));
        let keeps_up = row.lag.is_some_and(|lag| lag <= settings.max_trailing_logs);
        let is_healthy = keeps_up && seen.is_some_and(|seen| seen.is_healthy);
        if row.is_voter {
            voters.push(name.clone());
            healthy_voters += usize::from(is_healthy);
        }
        servers.insert(name.clone(), server(row, seen, &name, is_healthy, status.term));
    }
    let leader = status.leader.map(|leader| seal.replica.node_name(leader.id)).unwrap_or_default();
    let quorum = voters.len() / 2 + 1;
    Map::from_iter([
        ("healthy".to_owned(), servers.values().all(|server| server["healthy"] == true).into()),
        ("failure_tolerance".to_owned(), healthy_voters.saturating_sub(quorum).into()),
        ("leader".to_owned(), leader.into()),
        ("voters".to_owned(), voters.into()),
        ("servers".to_owned(), Value::Object(servers)),
    ])
}

fn server(row: &MemberHealth, seen: Option<Seen>, name: &str, is_healthy: bool, term: u64) -> Value {
    let status = match (row.is_leader, row.is_voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "non-voter",
    };
    let silent = seen.map(|seen| seen.heard.elapsed()).unwrap_or_default();
    let silent = if row.is_own { Duration::ZERO } else { silent };
    json!({
        "id": name,
        "name": name,
        "address": row.address,
        "node_status": if row.is_alive { "alive" } else { "failed" },
        "last_contact": format!("{}ms", silent.as_millis()),
        "last_term": term,
        "last_index": row.applied,
        "healthy": is_healthy,
        "stable_since": seen.filter(|_| is_healthy).map_or_else(view::now, |seen| seen.since).to_string(),
        "status": status,
        "version": row.version,
        "node_type": if row.is_voter { "voter" } else { "non-voter" },
    })
}
