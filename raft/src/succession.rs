//! A leader whose process has ended is followed at once, not after the silence that an election needs.
//!
//! Raft waits because silence can mean anything. Connections that all broke together with an address where nobody listens any
//! more mean one thing: that process is gone (RFC 9293, section 3.10.7.1: a reset answers a segment for a port without a
//! listener). Then the most advanced voter acts as if the leader had handed leadership to it, which voters grant although
//! the lease has not run out (Ongaro, "Consensus: Bridging Theory and Practice", 2014, section 4.2.3). If the sign was wrong, one
//! election too many was held: it is an election like any other, so nothing but time can be lost. A machine that lost
//! power, or a link that was cut, gives no such sign, and the election timeout remains.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::raft::TransferLeaderRequest;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::raft::{Inner, View};
use crate::types::LogId;
use crate::upkeep::ended;

/// Runs until `stop` turns true.
pub(crate) async fn run(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = ended(&mut stop) => return,
            () = inner.connections.one_ended() => {}
        }
        tokio::select! {
            () = ended(&mut stop) => return,
            () = inner.succeed_if_gone() => {}
        }
    }
}

impl Inner {
    /// Takes leadership if the leader's process is gone and this is the voter that should: at once if it is the most
    /// advanced of those that answer, else when those before it had their time.
    async fn succeed_if_gone(&self) {
        let view = self.view();
        let Some(leader) = self.leader_to_succeed(&view) else { return };
        if !self.is_gone(leader).await {
            return;
        }
        let rank = self.rank(&view, leader).await;
        if rank > 0 {
            sleep(self.turn() * rank).await;
        }
        if self.leader_to_succeed(&self.view()) != Some(leader) {
            return;
        }
        let last = self.last_log_id();
        tracing::info!(leader = self.name_of(leader), "the leader's process has ended; this node campaigns");
        let request = TransferLeaderRequest::new(view.vote, self.id, last);
        if let Ok(Err(error)) = self.raft.handle_transfer_leader(request).await {
            tracing::debug!(%error, "another vote came first");
        }
    }

    /// The leader that this node follows, if it is a voter that may lead itself.
    fn leader_to_succeed(&self, view: &View) -> Option<u64> {
        let is_voter = view.membership.voter_ids().any(|id| id == self.id);
        let leader = view.leader.filter(|leader| *leader != self.id);
        leader.filter(|_| is_voter && view.state == ServerState::Follower && self.may_lead())
    }

    /// Whether all connections of the leader have ended and nobody listens at its address while its machine answers. Asked again
    /// for a while, because a process ends one after the other; what the leader sends meanwhile ends the doubt.
    async fn is_gone(&self, leader: u64) -> bool {
        let Some(place) = self.peers.place(leader) else { return false };
        let broke_at = Instant::now();
        while *self.heard_leader.lock() <= broke_at && broke_at.elapsed() < self.config.timing.election_min {
            // While one is open, a refusal proves only that the leader is not where it is looked for.
            if !self.connections.has(leader) {
                let dialled = timeout(self.turn(), TcpStream::connect(&place)).await;
                if matches!(dialled, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused) {
                    return true;
                }
            }
            sleep(self.config.timing.heartbeat / 4).await;
        }
        false
    }

    /// How many of the other voters are more advanced and may lead. Of equally advanced ones, the lower id comes first.
    async fn rank(&self, view: &View, leader: u64) -> u32 {
        let own = (self.last_log_id(), std::cmp::Reverse(self.id));
        let others = view.membership.voter_ids().filter(|id| *id != self.id && *id != leader);
        let asked = others.map(async |id| (timeout(self.turn(), self.probe(id)).await.ok().flatten(), id));
        let answers = futures::future::join_all(asked).await;
        let is_before = |(probe, id): &(Option<crate::status::Probe>, u64)| {
            probe.is_some_and(|probe| probe.can_lead && (probe.last, std::cmp::Reverse(*id)) > own)
        };
        u32::try_from(answers.iter().filter(|answer| is_before(answer)).count()).unwrap_or(u32::MAX)
    }

    /// How long each voter has before the next one tries, and how long an answer may take.
    fn turn(&self) -> Duration {
        self.config.timing.heartbeat * 2
    }

    pub(crate) fn last_log_id(&self) -> Option<LogId> {
        self.log.state().last.as_ref().map(crate::wire::from_disk_id)
    }
}
