//! What an operator must know of the cluster, one line in the log for each change: who leads, who is a member, which
//! peer gives no answer.
//!
//! A look twice a second compares what consensus shows with what it showed before, on every node, sealed or not. Silent
//! otherwise: a peer that is gone costs a line when it goes, one a minute, and one when it is back. A change that is
//! undone between two looks leaves no line; `conclave_raft_leader_changes_total` counts those of the leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conclave_raft::Status;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::limits::{LOG_FAR_PEER_INTERVAL, LOG_REMINDER_INTERVAL};
use crate::reminder::Reminder;
use crate::replica::Replica;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long a peer may give no answer before it counts as gone: some probes, which are made once a second.
const GONE_AFTER: Duration = Duration::from_secs(3);

/// Looks until the application stops.
pub(crate) async fn run(replica: Arc<Replica>) {
    let mut observer = Observer::default();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = replica.wakeups.stopping() => return,
            _ = ticks.tick() => {}
        }
        let mut status = replica.status();
        if replica.contact().is_out() {
            // No peer answers a node that is no member, and that is said already.
            status.peers.clear();
        }
        for change in observer.look(&status, Instant::now()) {
            say(&replica, &status, &change);
        }
    }
}

/// What happened, in the terms of a status.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// This node has become a member, or a voter.
    Joined { is_voter: bool },
    /// Another node has.
    Added { id: u64, is_voter: bool },
    /// A member votes from now on.
    Promoted { id: u64 },
    /// A member is one no more.
    Removed { id: u64 },
    /// A node leads, in a term.
    Leads { id: u64, term: u64 },
    /// This node leads no longer.
    LeadsNoLonger,
    /// No leader is known.
    Leaderless,
    /// A peer has given no answer for a while.
    Gone { id: u64, secs: u64 },
    /// A peer that was gone answers.
    Back { id: u64, secs: u64 },
    /// What consensus warns of.
    Warning(String),
}

/// A peer that gives no answer.
struct Absence {
    since: Instant,
    reminder: Reminder<()>,
    is_said: bool,
}

/// What was seen last.
struct Observer {
    leader: Option<(u64, u64)>,
    /// Members and whether they vote; `None` before the first look.
    members: Option<BTreeMap<u64, bool>>,
    absent: BTreeMap<u64, Absence>,
    warnings: Reminder<usize>,
    /// When each peer was last said to be far away; kept when it comes nearer, so that one at the border is no flood.
    far: BTreeMap<u64, Reminder<()>>,
}

impl Default for Observer {
    fn default() -> Self {
        let warnings = Reminder::every(LOG_REMINDER_INTERVAL);
        Self { leader: None, members: None, absent: BTreeMap::new(), warnings, far: BTreeMap::new() }
    }
}

impl Observer {
    fn look(&mut self, status: &Status, now: Instant) -> Vec<Change> {
        let mut changes = self.members(status);
        changes.extend(self.leader(status));
        changes.extend(self.peers(status, now));
        if status.warnings.is_empty() {
            self.warnings.clear();
        } else if self.warnings.is_due(status.warnings.len(), now) {
            // Their numbers differ from look to look, so how many there are decides whether there is something new.
            changes.extend(status.warnings.iter().cloned().map(Change::Warning));
        }
        self.far.retain(|id, _| status.peers.iter().any(|peer| peer.id == *id));
        for (id, text) in &status.far_peers {
            let reminder = self.far.entry(*id).or_insert_with(|| Reminder::every(LOG_FAR_PEER_INTERVAL));
            if reminder.is_due((), now) {
                changes.push(Change::Warning(text.clone()));
            }
        }
        changes
    }

    fn members(&mut self, status: &Status) -> Vec<Change> {
        let now: BTreeMap<_, _> = status.members.iter().map(|member| (member.id, member.voter)).collect();
        let Some(before) = self.members.replace(now.clone()) else { return Vec::new() };
        // A node that joins learns of all the others at once; the first one of a cluster votes from its first moment on.
        let is_newcomer = !before.contains_key(&status.id) && now.get(&status.id) != Some(&true);
        let mut changes = Vec::new();
        for (id, is_voter) in &now {
            let (id, is_voter) = (*id, *is_voter);
            match before.get(&id) {
                None if id == status.id => changes.push(Change::Joined { is_voter }),
                None if is_newcomer => {}
                None => changes.push(Change::Added { id, is_voter }),
                Some(false) if is_voter => changes.push(Change::Promoted { id }),
                Some(_) => {}
            }
        }
        changes.extend(before.keys().filter(|id| !now.contains_key(id)).map(|id| Change::Removed { id: *id }));
        changes
    }

    fn leader(&mut self, status: &Status) -> Vec<Change> {
        let now = status.leader.as_ref().map(|leader| (leader.id, status.term));
        let before = std::mem::replace(&mut self.leader, now);
        if now == before {
            return Vec::new();
        }
        let has_led = before.is_some_and(|(id, _)| id == status.id);
        let is_deposed = has_led && now.is_none_or(|(id, _)| id != status.id);
        let new = now.map_or(Change::Leaderless, |(id, term)| Change::Leads { id, term });
        is_deposed.then_some(Change::LeadsNoLonger).into_iter().chain([new]).collect()
    }

    fn peers(&mut self, status: &Status, now: Instant) -> Vec<Change> {
        self.absent.retain(|id, _| status.peers.iter().any(|peer| peer.id == *id));
        let mut changes = Vec::new();
        for peer in &status.peers {
            let id = peer.id;
            if peer.round_trip.is_some() {
                let absence = self.absent.remove(&id).filter(|absence| absence.is_said);
                changes.extend(absence.map(|absence| Change::Back { id, secs: (now - absence.since).as_secs() }));
                continue;
            }
            let absence = self.absent.entry(id).or_insert_with(|| Absence {
                since: now,
                reminder: Reminder::every(LOG_REMINDER_INTERVAL),
                is_said: false,
            });
            let time = now - absence.since;
            if time >= GONE_AFTER && absence.reminder.is_due((), now) {
                absence.is_said = true;
                changes.push(Change::Gone { id, secs: time.as_secs() });
            }
        }
        changes
    }
}

fn say(replica: &Replica, status: &Status, change: &Change) {
    let node = |id: &u64| replica.node_name(*id);
    let address = |id: &u64| {
        let member = status.members.iter().find(|member| member.id == *id);
        member.map(|member| member.cluster_addr.clone()).unwrap_or_default()
    };
    match change {
        Change::Joined { is_voter } => tracing::info!(is_voter, "this node is a member of the cluster"),
        Change::Added { id, is_voter } => {
            tracing::info!(node = node(id), address = address(id), is_voter, "a node joined the cluster");
        }
        Change::Promoted { id } => tracing::info!(node = node(id), address = address(id), "a node votes from now on"),
        // `contact.rs` says it, also to a node that does not get the entry any more.
        Change::Removed { id } if *id == status.id => {}
        Change::Removed { id } => tracing::info!(node = node(id), "a node was removed from the cluster"),
        Change::Leads { id, term } if *id == status.id => tracing::info!(term, "this node leads"),
        Change::Leads { id, term } => tracing::info!(node = node(id), address = address(id), term, "a node leads"),
        Change::LeadsNoLonger => tracing::info!("this node leads no longer"),
        Change::Leaderless => tracing::warn!("no leader is known"),
        Change::Gone { id, secs } => {
            tracing::warn!(node = node(id), address = address(id), secs, "a node gives no answer");
        }
        Change::Back { id, secs } => {
            tracing::info!(node = node(id), address = address(id), secs, "a node answers again");
        }
        Change::Warning(text) => tracing::warn!("{text}"),
    }
}

#[cfg(test)]
mod tests;
