//! Leadership where it does good: a node that may not lead hands it over, and campaigns only if nobody else can win.
//!
//! A sealed node votes, so it may hold entries that no unsealed one has. Then none of those can win, and with a quorum up
//! there would be no leader until somebody brings keys. So a sealed voter campaigns once the others had their chance; as
//! leader it only replicates, and hands over to the first unsealed node that has caught up.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::Timing;
use crate::raft::{Inner, Raft};
use crate::status::Candidacy;
use crate::upkeep::ended;

/// Time between two log lines about campaigns of a node that may not lead.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// Runs until `stop` turns true.
pub(crate) async fn run(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    let timing = inner.config.timing;
    let mut candidacy = inner.candidacy.subscribe();
    let mut next = Instant::now();
    let mut said = None;
    let mut ticks = tokio::time::interval(timing.heartbeat * 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended(&mut stop) => return,
            // The sender lives as long as this node.
            _ = candidacy.changed() => next = Instant::now(),
            _ = ticks.tick() => {}
        }
        let present = *candidacy.borrow_and_update();
        if present == Candidacy::Free || Instant::now() < next {
            continue;
        }
        let acted = tokio::select! {
            acted = inner.act_withdrawn(present, &mut said) => acted,
            () = ended(&mut stop) => return,
        };
        if acted {
            next = Instant::now() + timing.election_min;
        }
    }
}

/// How long a node of last resort waits after it last heard from a leader: the lease, one whole round of the others, and
/// something by chance, so that two such nodes seldom meet.
fn patience(timing: &Timing) -> Duration {
    timing.election_max * 5 / 2 + timing.election_min.mul_f64(rand::random::<f64>())
}

impl Inner {
    /// What a node that is not free does about leadership. Says whether it tried anything. `said` is when the log last told
    /// of a campaign.
    async fn act_withdrawn(self: &Arc<Self>, candidacy: Candidacy, said: &mut Option<Instant>) -> bool {
        let state = self.view().state;
        match state {
            ServerState::Leader => {
                self.hand_over().await;
                true
            }
            ServerState::Follower | ServerState::Candidate if candidacy == Candidacy::LastResort => {
                self.campaign_as_last_resort(said).await
            }
            _ => false,
        }
    }

    /// A node that may not lead and does, hands over. If nobody can take it, it stays: a quorum without any leader
    /// would not be better off.
    async fn hand_over(self: &Arc<Self>) {
        match Raft::from(self.clone()).transfer_leadership(None).await {
            Ok(id) => tracing::info!(node = self.name_of(id), "handed leadership to a node that may lead"),
            Err(error) => tracing::debug!(%error, "this node may not lead, but nobody can take over"),
        }
    }

    /// How long ago a leader last sent something here, or was confirmed to this node by a quorum. One that others do not
    /// reach hears from no leader, and learns of it only by asking.
    fn leaderless_for(&self) -> Duration {
        let heard = self.heard_leader.lock().elapsed();
        let confirmed = self.confirmed.lock().map(|known| known.asked_at.elapsed());
        confirmed.map_or(heard, |confirmed| confirmed.min(heard))
    }

    async fn campaign_as_last_resort(&self, said: &mut Option<Instant>) -> bool {
        let silence = self.leaderless_for();
        if self.objection_to_voting().is_some() || silence < patience(&self.config.timing) {
            return false;
        }
        let others: Vec<_> = self.view().membership.voter_ids().filter(|id| *id != self.id).collect();
        let probes = futures::future::join_all(others.into_iter().map(|id| self.probe(id))).await;
        // Without anybody to hand over to, a leader would help nobody.
        if !probes.into_iter().flatten().any(|probe| probe.can_lead) {
            return false;
        }
        let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        if said.is_none_or(|said| said.elapsed() >= REMINDER_INTERVAL) {
            *said = Some(Instant::now());
            tracing::info!(
                silence_ms,
                "no node that may lead has won an election; this one campaigns, to hand leadership over"
            );
        } else {
            tracing::debug!(silence_ms, "this node campaigns again");
        }
        // With a round of pre-votes, so that a leader whom only this node does not hear is not disturbed.
        self.raft.trigger().elect(true).await.is_ok()
    }

    /// The leader says that this node has lost what it had acknowledged up to an index. Whether it lacks that, it sees
    /// itself. With such a vote or acknowledgement, what was acknowledged to clients could be lost.
    pub(crate) fn learn_of_rollback(&self, index: u64) {
        let last = self.log.state().last.map_or(0, |last| last.index);
        if last >= index {
            return;
        }
        let is_news = self.peers.note_loss(index).unwrap_or_else(|error| {
            tracing::error!(%error, "the cluster file cannot be written; after a restart this node must learn of its loss anew");
            true
        });
        if is_news {
            self.raft.runtime_config().elect(false);
            tracing::error!(
                acknowledged = index,
                last,
                "this node lacks entries that it had acknowledged: its disk went back in time, as by a backup that was put \
                 back. It serves, votes and leads no more; remove it from the cluster, empty its data folder, and let it \
                 join as a new node"
            );
        }
    }
}
