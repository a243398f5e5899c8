//! The way of a batch from any node into the leader's gate, and back with an outcome.
//!
//! The same id is sent again across leader changes until the deadline. What would surprise: once an answer was lost,
//! only an outcome counts. "Not appended" then says nothing about the copy that was lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_batch::Outcome;
use futures::future::BoxFuture;
use openraft::ServerState;
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use openraft::vote::RaftLeaderId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use crate::answer::{is_attested, outcome_claim};
use crate::error::ProposeError;
use crate::gate::{Completion, Leadership, Verdict};
use crate::hooks::AttestationError;
use crate::link::Lane;
use crate::machine::Consensus;
use crate::progress::Progress;
use crate::raft::{Inner, Raft, View};
use crate::status::Candidacy;
use crate::types::{Data, LeaderId};
use crate::wire;
use crate::wire::proto::{self, propose_reply::Answer};

/// Pause before the same leader, or none, is asked again.
const PAUSE: Duration = Duration::from_millis(20);

impl Raft {
    /// Has an encoded signed batch appended and applied, on whichever node leads, and says what it did. When this
    /// returns [`Outcome::Applied`] the leader has applied it; this node may lag.
    pub async fn propose(&self, signed: Bytes, deadline: Instant) -> Result<Outcome, ProposeError> {
        let result = self.inner().propose(signed, deadline).await;
        let counters = &self.inner().counters;
        let counter = match &result {
            Ok(Outcome::Applied { .. }) => &counters.outcomes_applied,
            Ok(Outcome::Conflict { .. }) => &counters.outcomes_conflict,
            Ok(_) => &counters.outcomes_other,
            Err(ProposeError::Unknown) => &counters.unknown,
            Err(ProposeError::Refused(_)) => &counters.refused,
            Err(_) => &counters.not_appended,
        };
        counter.add(1);
        result
    }
}

impl Inner {
    async fn propose(&self, signed: Bytes, deadline: Instant) -> Result<Outcome, ProposeError> {
        if signed.len() > self.config.limits.batch_bytes {
            return Err(ProposeError::TooLarge);
        }
        let mut is_unsure = false;
        let unless_unsure = |is_unsure, error| Err(if is_unsure { ProposeError::Unknown } else { error });
        loop {
            if self.progress.has_ended() {
                return unless_unsure(is_unsure, ProposeError::Stopped);
            }
            let reason = match self.propose_once(&signed, deadline).await {
                // The record of ids may have forgotten what the lost copy did.
                Verdict::Done(Outcome::TooOld) if is_unsure => return Err(ProposeError::Unknown),
                Verdict::Done(outcome) => return Ok(outcome),
                Verdict::Refused(reason) => return unless_unsure(is_unsure, ProposeError::Refused(reason)),
                Verdict::TooLarge => return unless_unsure(is_unsure, ProposeError::TooLarge),
                Verdict::NotAppended(reason) => {
                    return unless_unsure(is_unsure, ProposeError::NotAppended { reason });
                }
                Verdict::NotLeader(reason) => reason,
                Verdict::Unknown => {
                    is_unsure = true;
                    String::new()
                }
            };
            if Instant::now() >= deadline {
                return unless_unsure(is_unsure, ProposeError::NotAppended { reason });
            }
            self.pause(deadline).await;
        }
    }

    async fn propose_once(&self, signed: &Bytes, deadline: Instant) -> Verdict {
        let (leader, term) = {
            let view = self.view();
            (view.leader, view.vote.leader_id.term)
        };
        match leader {
            Some(leader) if leader == self.id => self.gate.submit(signed.clone(), None, deadline).await,
            Some(leader) => self.forward(leader, term, signed, deadline).await,
            None => Verdict::NotLeader("there is no leader".into()),
        }
    }

    async fn forward(&self, leader: u64, term: u64, signed: &Bytes, deadline: Instant) -> Verdict {
        let Some(way) = self.factory.wire(leader, Lane::Calls) else {
            return Verdict::NotLeader("the leader is not known here".into());
        };
        let soon = deadline.min(Instant::now() + self.config.timing.election_max);
        let connected = tokio::select! {
            connected = way.client_by(soon) => connected,
            () = self.leader_changes(leader) => None,
        };
        let Some((number, mut client)) = connected else {
            return Verdict::NotLeader("the leader cannot be reached".into());
        };
        let nonce = Bytes::copy_from_slice(&rand::random::<[u8; 16]>());
        let patience = deadline.saturating_duration_since(Instant::now());
        let timeout_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let message = proto::ProposeRequest { signed: signed.clone(), term, timeout_ms, nonce: nonce.clone() };
        let reply = tokio::select! {
            reply = timeout_at(deadline, client.propose(way.request(message))) => reply,
            // A leader whose disk hangs has answered nobody, and may never. The next one knows what became of this id.
            () = self.another_leads(leader) => return Verdict::Unknown,
        };
        match reply {
            Err(_) => Verdict::Unknown,
            Ok(Ok(reply)) => self.read_reply(&nonce, reply.into_inner(), deadline).await,
            Ok(Err(status)) => {
                way.report(number, &status);
                match status.code() {
                    // Refused before the message was looked at.
                    Code::PermissionDenied | Code::Unimplemented => Verdict::NotLeader(status.message().into()),
                    _ => Verdict::Unknown,
                }
            }
        }
    }

    /// Returns a little after another node than `before` leads, so that a leader which was relieved in good order can still
    /// answer.
    async fn another_leads(&self, before: u64) {
        self.leader_changes(before).await;
        tokio::time::sleep(self.config.timing.election_min).await;
    }

    /// Returns as soon as another node than `before` leads; never, if consensus ends.
    async fn leader_changes(&self, before: u64) {
        let mut view = self.view.clone();
        if view.wait_for(|view| view.leader.is_some_and(|leader| leader != before)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Checks that the leader vouched for its answer. It may have applied a rotation that this node has not: then this waits
    /// for an election timeout at most.
    pub(crate) async fn check_attestation(
        &self,
        claim: &[u8],
        attestation: &[u8],
        deadline: Instant,
    ) -> Result<(), AttestationError> {
        let until = deadline.min(Instant::now() + self.config.timing.election_max);
        let mut applied = self.progress.subscribe_last();
        loop {
            applied.borrow_and_update();
            match self.hooks.verify_attestation(claim, attestation) {
                Err(newer @ AttestationError::Newer(_)) => {
                    if !matches!(timeout_at(until, applied.changed()).await, Ok(Ok(()))) {
                        return Err(newer);
                    }
                }
                checked => return checked,
            }
        }
    }

    async fn read_reply(&self, nonce: &[u8], mut reply: proto::ProposeReply, deadline: Instant) -> Verdict {
        if is_attested(&reply) {
            let attestation = std::mem::take(&mut reply.attestation);
            let claim = outcome_claim(nonce, &reply);
            if let Err(error) = self.check_attestation(&claim, &attestation, deadline).await {
                tracing::warn!(reason = %error, "a leader's answer to a proposal does not verify");
                return Verdict::Unknown;
            }
        }
        match reply.answer {
            Some(Answer::Outcome(outcome)) => wire::read_outcome(&outcome).map_or(Verdict::Unknown, Verdict::Done),
            Some(Answer::NotAppended(reason)) => Verdict::NotAppended(reason),
            Some(Answer::NotLeader(reason)) => Verdict::NotLeader(reason),
            Some(Answer::Refused(reason)) => Verdict::Refused(reason),
            Some(Answer::TooLarge(_)) => Verdict::TooLarge,
            Some(Answer::Unknown(_)) | None => Verdict::Unknown,
        }
    }

    /// Waits for another leader, a little while at most.
    pub(crate) async fn pause(&self, deadline: Instant) {
        let mut view = self.view.clone();
        let before = view.borrow_and_update().leader;
        let until = deadline.min(Instant::now() + PAUSE);
        // Whether there is a new leader or the pause is over, it is time to look again.
        let _ = timeout_at(until, view.wait_for(|view| view.leader.is_some() && view.leader != before)).await;
    }

    /// The term in which this node leads, once it has applied that term's first entry.
    pub(crate) async fn lead_ready(&self, deadline: Instant) -> Result<u64, String> {
        let (id, raft) = (self.id, self.raft.clone());
        let candidacy = self.candidacy.subscribe();
        Lead { id, raft, view: self.view.clone(), progress: self.progress.clone(), candidacy }
            .wait(deadline, true)
            .await
    }
}

/// This node's leadership, for the gate.
pub(crate) struct Lead {
    pub(crate) id: u64,
    pub(crate) raft: Consensus,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) candidacy: watch::Receiver<Candidacy>,
}

impl Lead {
    /// Waits for the first entry of this node's own term; with `patiently`, for leadership too.
    async fn wait(&self, deadline: Instant, patiently: bool) -> Result<u64, String> {
        let mut view = self.view.clone();
        let mut applied = self.progress.subscribe_last();
        loop {
            let leader = {
                let now = view.borrow_and_update();
                let leads = now.state == ServerState::Leader && now.vote.committed && now.leader == Some(self.id);
                leads.then_some(now.vote.leader_id)
            };
            let last = applied.borrow_and_update().map(|id| id.leader_id);
            match leader {
                // Whoever proposes waits for the next leader.
                Some(_)
                    if !patiently && matches!(*self.candidacy.borrow(), Candidacy::LastResort | Candidacy::Never) =>
                {
                    return Err("this leader hands leadership over".into());
                }
                Some(leader) if last == Some(leader) => return Ok(leader.term),
                None if !patiently => return Err("this node is not the leader".into()),
                _ => {}
            }
            let change = async {
                tokio::select! { seen = view.changed() => seen, seen = applied.changed() => seen }
            };
            match timeout_at(deadline, change).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err("consensus has stopped here".into()),
                Err(_) => return Err("the new leader is not ready yet".into()),
            }
        }
    }
}

impl Leadership for Lead {
    fn ready(&self, deadline: Instant) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(self.wait(deadline, false))
    }

    fn append(&self, term: u64, signed: Bytes) -> BoxFuture<'_, Result<BoxFuture<'static, Completion>, String>> {
        Box::pin(async move {
            let (responder, done) = ProgressResponder::complete_only();
            let leader = LeaderId::new(term, self.id);
            let sent = self.raft.write(Data(signed)).with_leader(leader).responder(responder).await;
            sent.map_err(|_| "consensus has stopped here".to_string())?;
            let completion: BoxFuture<'static, Completion> = Box::pin(async move {
                match done.await {
                    Ok(Ok(response)) => response.data.map_or(Completion::Unknown, Completion::Applied),
                    Ok(Err(ClientWriteError::ForwardToLeader(_))) => {
                        Completion::NotLeader("this node is not the leader any more".into())
                    }
                    // Discarded by a new leader, or consensus ended: it may be in a log somewhere.
                    Ok(Err(_)) | Err(_) => Completion::Unknown,
                }
            });
            Ok(completion)
        })
    }
}
