//! Handing leadership over.
//!
//! openraft stops taking writes once a transfer began and never takes it back: if the chosen node fails, the cluster
//! waits for an election. So the choice is careful: a voter that said it may lead, was heard just now, and is caught
//! up.

use std::sync::Arc;
use std::time::Duration;

use openraft::Instant as _;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, timeout_at};

use crate::error::ChangeError;
use crate::raft::{Inner, Raft, View};

/// Entries that the chosen node may lack; it gets them before it campaigns.
const CLOSE_ENTRIES: u64 = 256;

impl Raft {
    /// Hands leadership to `to`, or to the best fit. Returns the id of the node that leads after that. Only on the
    /// leader.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, ChangeError> {
        let inner = self.inner();
        let candidates = inner.successors()?;
        let wanted = |id: &u64| to.is_none_or(|to| to == *id);
        let mut chosen = None;
        let voters = inner.view().membership.voter_ids().count();
        for id in candidates.into_iter().filter(wanted) {
            // Asked now: what the last probe said may be old.
            let Some(probe) = inner.probe(id).await.filter(|probe| probe.can_lead) else { continue };
            // One that reaches no quorum could not win, but may not have looked for a while.
            if probe.reached_voters * 2 > voters {
                chosen = Some(id);
                break;
            }
            chosen = chosen.or(Some(id));
        }
        let chosen = chosen.ok_or(ChangeError::NoSuccessor)?;
        let term = inner.view().vote.leader_id.term;
        inner.raft.trigger().transfer_leader(chosen).await.map_err(|_| ChangeError::Stopped)?;
        inner.next_leader(term).await
    }
}

impl Inner {
    /// Voters that were heard within an election timeout and lack little, the most advanced first.
    fn successors(&self) -> Result<Vec<u64>, ChangeError> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        if metrics.state != ServerState::Leader {
            return Err(ChangeError::NotLeader { leader: metrics.current_leader });
        }
        let heartbeats = metrics.heartbeat.unwrap_or_default();
        let replication = metrics.replication.unwrap_or_default();
        let last = metrics.last_log_index.unwrap_or(0);
        let is_heard = |id: &u64| {
            let heard = heartbeats.get(id).copied().flatten();
            heard.is_some_and(|heard| heard.into_inner().elapsed() < self.config.timing.election_max)
        };
        let matched = |id: &u64| replication.get(id).copied().flatten().map(|id| id.index);
        let mut fit: Vec<_> = metrics
            .membership_config
            .voter_ids()
            .filter(|id| *id != self.id && is_heard(id))
            .filter_map(|id| Some((matched(&id)?, id)))
            .filter(|(matched, _)| matched + CLOSE_ENTRIES >= last)
            .collect();
        fit.sort_unstable_by(|a, b| b.cmp(a));
        Ok(fit.into_iter().map(|(_, id)| id).collect())
    }

    /// Waits for the leader of a later term than `term`.
    async fn next_leader(&self, term: u64) -> Result<u64, ChangeError> {
        let limit = Instant::now() + self.config.timing.election_max * 4 + Duration::from_secs(1);
        let mut view = self.view.clone();
        let later = |view: &Arc<View>| view.leader.is_some() && view.vote.leader_id.term > term;
        let leader = match timeout_at(limit, view.wait_for(later)).await {
            Ok(Ok(view)) => view.leader,
            Ok(Err(_)) => return Err(ChangeError::Stopped),
            Err(_) => None,
        };
        match leader {
            Some(id) if id != self.id => Ok(id),
            Some(_) => Err(ChangeError::Unknown("the chosen node failed, and this one was elected again".into())),
            None => Err(ChangeError::Unknown("no other node leads yet".into())),
        }
    }
}
