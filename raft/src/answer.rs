//! The answers to other nodes' requests, once the server has let them pass.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::ServerState;
use openraft::raft::{TransferLeaderRequest, VoteRequest, VoteResponse};
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use crate::caller::{Caller, connection, is_our_cluster, while_member};
use crate::gate::Verdict;
use crate::hooks::{CallError, Peer};
use crate::network::append_reply;
use crate::peers::Peers;
use crate::processes::Processes;
use crate::progress::Progress;
use crate::raft::Inner;
use crate::snapshot;
use crate::types::{Types, Vote};
use crate::wire;
use crate::wire::proto::propose_reply::Answer as ProposeAnswer;
use crate::wire::proto::read_reply::Answer as ReadAnswer;
use crate::wire::proto::{self, call_reply};

/// Longest that a forwarded batch may wait, whatever its proposer says.
const LONGEST_PROPOSAL: Duration = Duration::from_secs(120);
/// Codes of this crate come before those of the node's handlers.
const HANDLER_CODES: u32 = 16;

/// Answers members.
#[derive(Clone)]
pub(crate) struct Answers(pub(crate) Arc<Inner>);

/// Answers those who are no members, and members that do not know yet that they are.
#[derive(Clone)]
pub(crate) struct Strangers(pub(crate) Answers);

impl Answers {
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn peers(&self) -> Arc<Peers> {
        self.0.peers.clone()
    }

    pub(crate) fn processes(&self) -> Arc<Processes> {
        self.0.processes.clone()
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        self.0.progress.clone()
    }

    async fn vote(&self, request: Request<proto::VoteRequest>, is_pre_vote: bool) -> Result<proto::VoteReply, Status> {
        let caller = caller(&request)?;
        if let Some(objection) = self.0.objection_to_voting() {
            return Err(Status::failed_precondition(objection));
        }
        let message = request.into_inner();
        let request = VoteRequest::<Types> {
            vote: vote_of(message.vote.as_ref(), caller)?,
            last_log_id: message.last.as_ref().map(wire::read_log_id),
            leadership_transfer: message.leadership_transfer,
        };
        let raft = &self.0.raft;
        let reply: VoteResponse<Types> =
            if is_pre_vote { raft.pre_vote(request).await } else { raft.vote(request).await }.map_err(stopped)?;
        Ok(proto::VoteReply {
            vote: Some(wire::vote(&reply.vote)),
            granted: reply.vote_granted,
            last: reply.last_log_id.as_ref().map(wire::log_id),
        })
    }

    async fn call(&self, from: Peer, request: proto::CallRequest) -> proto::CallReply {
        let answer = match self.0.hooks.call(from, &request.method, request.body).await {
            Ok(body) if body.len() <= self.0.config.limits.message_bytes / 2 => call_reply::Answer::Body(body),
            Ok(_) => failure(CallError::TooLarge),
            Err(error) => failure(error),
        };
        proto::CallReply { answer: Some(answer) }
    }
}

#[tonic::async_trait]
impl proto::peers_server::Peers for Answers {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<proto::AppendReply, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let caller = caller(&request)?;
        let inner = self.0.clone();
        let requests = request.into_inner().map(move |message| {
            let read = message.and_then(|message| {
                vote_of(message.vote.as_ref(), caller)?;
                *inner.heard_leader.lock() = Instant::now();
                Ok(wire::read_append_request(message)?)
            });
            read.inspect_err(
                |status| tracing::debug!(%status, from = crate::types::node_id(caller.id), "an append stream broke"),
            )
            .ok()
        });
        // What cannot be read ends the stream, and the leader opens another.
        let requests = requests.take_while(|read| std::future::ready(read.is_some())).filter_map(std::future::ready);
        let requests = while_member(requests, caller, self.peers());
        let replies = self.0.raft.stream_append(Box::pin(requests));
        let replies = replies.map(|reply| reply.map(append_reply).map_err(stopped));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteReply>, Status> {
        Answers::vote(self, request, false).await.map(Response::new)
    }

    async fn pre_vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteReply>, Status> {
        Answers::vote(self, request, true).await.map(Response::new)
    }

    async fn transfer(
        &self,
        request: Request<proto::TransferRequest>,
    ) -> Result<Response<proto::TransferReply>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let from = vote_of(message.from.as_ref(), caller)?;
        // openraft would campaign here although elections are switched off, so a sealed node refuses itself.
        if message.to == self.0.id && !self.0.may_lead() {
            tracing::warn!(from = self.0.name_of(caller.id), "leadership was offered to this node, which may not lead");
            return Ok(Response::new(proto::TransferReply { accepted: false }));
        }
        let request = TransferLeaderRequest::new(from, message.to, message.last.as_ref().map(wire::read_log_id));
        let reply = self.0.raft.handle_transfer_leader(request).await.map_err(stopped)?;
        Ok(Response::new(proto::TransferReply { accepted: reply.is_ok() }))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::SnapshotReply>, Status> {
        let caller = caller(&request)?;
        let peers = self.peers();
        let admit = move || match peers.id_of(&caller.connection.public_key) {
            Some(id) if id == caller.id => Ok(()),
            _ => Err(Status::permission_denied("not a member of this cluster")),
        };
        let received = snapshot::receive(request.into_inner(), &self.0.table, admit).await?;
        let vote = self.0.install(caller.id, received).await?;
        Ok(Response::new(proto::SnapshotReply { vote: Some(wire::vote(&vote)) }))
    }

    async fn read(&self, request: Request<proto::ReadRequest>) -> Result<Response<proto::ReadReply>, Status> {
        let nonce = request.into_inner().nonce;
        let refused =
            |reason: String| proto::ReadReply { answer: Some(ReadAnswer::Refused(reason)), ..Default::default() };
        let reply = match self.0.confirm.index().await {
            Err(failed) => refused(failed.0),
            Ok(index) => match self.0.hooks.attest(&read_claim(&nonce, index)) {
                Ok(attestation) => proto::ReadReply { answer: Some(ReadAnswer::Index(index)), attestation },
                Err(reason) => refused(reason),
            },
        };
        Ok(Response::new(reply))
    }

    async fn propose(&self, request: Request<proto::ProposeRequest>) -> Result<Response<proto::ProposeReply>, Status> {
        let message = request.into_inner();
        let patience = Duration::from_millis(message.timeout_ms).min(LONGEST_PROPOSAL);
        let verdict = self.0.gate.submit(message.signed, Some(message.term), Instant::now() + patience).await;
        let answer = match verdict {
            Verdict::Done(outcome) => ProposeAnswer::Outcome(wire::outcome(outcome)),
            Verdict::NotLeader(reason) => ProposeAnswer::NotLeader(reason),
            Verdict::NotAppended(reason) => ProposeAnswer::NotAppended(reason),
            Verdict::Refused(reason) => ProposeAnswer::Refused(reason),
            Verdict::TooLarge => ProposeAnswer::TooLarge(proto::Empty {}),
            Verdict::Unknown => ProposeAnswer::Unknown(proto::Empty {}),
        };
        let mut reply = proto::ProposeReply { answer: Some(answer), attestation: Bytes::new() };
        if !is_attested(&reply) {
            return Ok(Response::new(reply));
        }
        match (self.0.hooks.attest(&outcome_claim(&message.nonce, &reply)), &reply.answer) {
            (Ok(attestation), _) => reply.attestation = attestation,
            // Sealed meanwhile. What happened to the batch is for the next leader to say.
            (Err(_), Some(ProposeAnswer::Outcome(_))) => reply.answer = Some(ProposeAnswer::Unknown(proto::Empty {})),
            (Err(reason), _) => reply.answer = Some(ProposeAnswer::NotLeader(reason)),
        }
        Ok(Response::new(reply))
    }

    async fn probe(&self, request: Request<proto::ProbeRequest>) -> Result<Response<proto::ProbeReply>, Status> {
        let caller = caller(&request)?;
        let view = self.0.view();
        let rolled_back_from = match view.state {
            ServerState::Leader => self.0.factory.acknowledged.rolled_back_from(caller.id, view.vote.leader_id.term),
            _ => None,
        };
        let contradiction = self.0.table.contradiction();
        Ok(Response::new(proto::ProbeReply {
            can_lead: self.0.may_lead(),
            clock_millis: self.0.hooks.clock_millis(),
            contradicted_index: contradiction.map_or(0, |found| found.index),
            contradicted_digest: contradiction.map_or_else(Bytes::new, |found| Bytes::copy_from_slice(&found.digest)),
            rolled_back_from: rolled_back_from.unwrap_or(0),
            applied: self.0.progress.index(),
            membership_id: view.membership.log_id().as_ref().map(wire::log_id),
            membership: Some(wire::membership(view.membership.membership())),
            asker_silent_ms: u64::try_from(self.0.unanswered_for(caller.id).as_millis()).unwrap_or(u64::MAX),
            reached_voters: u32::try_from(self.0.reached_voters()).unwrap_or(u32::MAX),
            asker_is_doubled: self.0.processes.is_doubled(caller.id, Instant::now()),
            is_refused: self.0.is_refused_by_most(),
            acknowledged: self.0.factory.acknowledged.all().into_iter().map(wire::acknowledgement).collect(),
            has_just_started: self.0.has_just_started(),
            last: self.0.last_log_id().as_ref().map(wire::log_id),
        }))
    }

    async fn call(&self, request: Request<proto::CallRequest>) -> Result<Response<proto::CallReply>, Status> {
        let Caller { id, connection } = caller(&request)?;
        let from = Peer { id: Some(id), public_key: connection.public_key, address: connection.address };
        Ok(Response::new(Answers::call(self, from, request.into_inner()).await))
    }
}

#[tonic::async_trait]
impl proto::door_server::Door for Strangers {
    async fn call(&self, request: Request<proto::CallRequest>) -> Result<Response<proto::CallReply>, Status> {
        let inner = &self.0.0;
        let connection = connection(&request)?;
        let is_ours = is_our_cluster(request.metadata(), inner.peers.cluster_id());
        let message = request.into_inner();
        if !is_ours || !inner.hooks.open_to_strangers(&message.method) {
            let answer = failure(CallError::Denied("this is for members of the cluster only".into()));
            return Ok(Response::new(proto::CallReply { answer: Some(answer) }));
        }
        let id = inner.peers.id_of(&connection.public_key);
        let from = Peer { id, public_key: connection.public_key, address: connection.address };
        Ok(Response::new(Answers::call(&self.0, from, message).await))
    }
}

/// The member that a request comes from; the server attached it.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get().copied().ok_or_else(|| Status::permission_denied("not a member of this cluster"))
}

/// A vote that the caller made for itself. Nobody speaks for another.
fn vote_of(vote: Option<&proto::Vote>, caller: Caller) -> Result<Vote, Status> {
    let vote = wire::read_vote(vote)?;
    if vote.leader_id.node_id == caller.id { Ok(vote) } else { Err(Status::permission_denied("not the sender's vote")) }
}

fn stopped(error: impl std::fmt::Display) -> Status {
    tracing::debug!(%error, "consensus cannot answer");
    Status::unavailable("consensus has stopped here")
}

/// What a leader attests of a read point.
pub(crate) fn read_claim(nonce: &[u8], index: u64) -> Vec<u8> {
    [b"conclave read point\0".as_slice(), nonce, &index.to_be_bytes()].concat()
}

/// What a leader attests of a proposal's answer; `reply` without its attestation.
pub(crate) fn outcome_claim(nonce: &[u8], reply: &proto::ProposeReply) -> Vec<u8> {
    [b"conclave proposal\0".as_slice(), nonce, &reply.encode_to_vec()].concat()
}

/// Whether an answer is one that a proposer acts on. The others only send it elsewhere.
pub(crate) fn is_attested(reply: &proto::ProposeReply) -> bool {
    !matches!(reply.answer, None | Some(ProposeAnswer::NotLeader(_) | ProposeAnswer::Unknown(_)))
}

fn failure(error: CallError) -> call_reply::Answer {
    let (code, message) = match error {
        CallError::Denied(message) => (1, message),
        CallError::UnknownMethod => (2, String::new()),
        CallError::TooLarge => (3, String::new()),
        CallError::Unreachable(message) => (4, message),
        CallError::Unknown(message) => (5, message),
        CallError::NotAMember(id) => (6, id.to_string()),
        CallError::Stopped => (7, String::new()),
        CallError::Failed { code, message } => (code.saturating_add(HANDLER_CODES), message),
    };
    call_reply::Answer::Failure(proto::CallFailure { code, message })
}

/// The other side's answer to a call.
pub(crate) fn read_call_reply(reply: proto::CallReply) -> Result<Bytes, CallError> {
    let failure = match reply.answer {
        Some(call_reply::Answer::Body(body)) => return Ok(body),
        Some(call_reply::Answer::Failure(failure)) => failure,
        None => return Err(CallError::Unknown("the reply says nothing".into())),
    };
    Err(match failure.code {
        1 => CallError::Denied(failure.message),
        2 => CallError::UnknownMethod,
        3 => CallError::TooLarge,
        4 => CallError::Unreachable(failure.message),
        6 => CallError::NotAMember(failure.message.parse().unwrap_or(0)),
        7 => CallError::Unreachable("the node is stopping".into()),
        code if code >= HANDLER_CODES => CallError::Failed { code: code - HANDLER_CODES, message: failure.message },
        _ => CallError::Unknown(failure.message),
    })
}
