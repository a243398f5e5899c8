//! Questions to other nodes: read points to the leader, and the node crate's own requests.

use std::sync::Weak;

use bytes::Bytes;
use futures::future::BoxFuture;
use openraft::ReadPolicy;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request};

use crate::answer::{read_call_reply, read_claim};
use crate::error::ReadError;
use crate::hooks::CallError;
use crate::link::{self, Lane};
use crate::network::stamp;
use crate::raft::{Inner, Raft};
use crate::read::RoundFailed;
use crate::status::Confirmed;
use crate::wire::proto::{self, door_client::DoorClient, read_reply::Answer};

impl Raft {
    /// An index that covers every write acknowledged before this call, anywhere; it is applied here when this
    /// returns. Reads that wait together share a round, and only one that started after they came.
    pub async fn read_point(&self, deadline: Instant) -> Result<u64, ReadError> {
        let inner = self.inner();
        #[cfg(feature = "mutants")]
        if inner.config.unsafe_skip_read_point {
            return Ok(inner.progress.index());
        }
        loop {
            inner.progress.refuse_if_ended()?;
            match timeout_at(deadline, inner.read_point()).await {
                Ok(Ok(index)) => {
                    inner.progress.wait(index, deadline).await?;
                    inner.counters.read_points.add(1);
                    return Ok(index);
                }
                Ok(Err(RoundFailed(reason))) if Instant::now() < deadline => {
                    tracing::debug!(reason, "a read round failed");
                    inner.pause(deadline).await;
                }
                Ok(Err(_)) | Err(_) => return Err(ReadError::NoLeader),
            }
        }
    }

    /// Has a quorum confirm who leads, once; [`Raft::confirmed`] then says who it was.
    pub async fn confirm_leader(&self) -> Result<(), ReadError> {
        let inner = self.inner();
        inner.progress.refuse_if_ended()?;
        match inner.read_point().await {
            Ok(_) => Ok(()),
            Err(RoundFailed(reason)) => {
                tracing::trace!(reason, "nobody confirmed a leader");
                Err(ReadError::NoLeader)
            }
        }
    }

    /// Sends a request of the node crate to a member. [`CallError::Unreachable`] promises that it was not executed.
    pub async fn call(&self, to: u64, method: &str, body: Bytes, deadline: Instant) -> Result<Bytes, CallError> {
        let inner = self.inner();
        if inner.progress.has_ended() {
            return Err(CallError::Stopped);
        }
        if body.len() > inner.config.limits.message_bytes / 2 {
            return Err(CallError::TooLarge);
        }
        let way = inner.factory.wire(to, Lane::Calls).ok_or(CallError::NotAMember(to))?;
        let Some((number, mut client)) = way.client_by(deadline).await else {
            return Err(CallError::Unreachable("there was no connection until the deadline".into()));
        };
        let message = proto::CallRequest { method: method.into(), body };
        match timeout_at(deadline, client.call(way.request(message))).await {
            Ok(Ok(reply)) => read_call_reply(reply.into_inner()),
            Ok(Err(status)) => {
                way.report(number, &status);
                Err(refusal(&status))
            }
            Err(_) => Err(CallError::Unknown("no answer until the deadline".into())),
        }
    }

    /// Sends a request to an address, over a connection of its own, before either side knows the other as a member.
    /// With `expected_key` the other side must prove that key; without, it may be anybody, and nothing secret may be
    /// sent.
    pub async fn call_address(
        &self,
        address: &str,
        expected_key: Option<[u8; 32]>,
        method: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let inner = self.inner();
        if body.len() > inner.config.limits.stranger_bytes / 2 {
            return Err(CallError::TooLarge);
        }
        let tls = inner.peers.client_tls(expected_key).ok_or(CallError::Stopped)?;
        let dial = timeout_at(deadline, link::open(address, tls, inner.config.timing));
        let channel = match dial.await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(CallError::Unreachable(error.to_string())),
            Err(_) => return Err(CallError::Unreachable("there was no connection until the deadline".into())),
        };
        let mut client = DoorClient::new(channel).max_decoding_message_size(inner.config.limits.message_bytes);
        let mut request = Request::new(proto::CallRequest { method: method.into(), body });
        stamp(&mut request, inner.peers.cluster_id(), inner.id, None);
        match timeout_at(deadline, client.call(request)).await {
            Ok(Ok(reply)) => read_call_reply(reply.into_inner()),
            Ok(Err(status)) => Err(refusal(&status)),
            Err(_) => Err(CallError::Unknown("no answer until the deadline".into())),
        }
    }
}

fn refusal(status: &tonic::Status) -> CallError {
    match status.code() {
        Code::PermissionDenied => CallError::Denied(status.message().into()),
        Code::OutOfRange | Code::ResourceExhausted => CallError::TooLarge,
        code => CallError::Unknown(code.description().into()),
    }
}

/// Rounds in which this node, as leader, has a quorum confirm that it still leads.
pub(crate) fn leader_rounds(
    inner: Weak<Inner>,
) -> impl Fn() -> BoxFuture<'static, Result<u64, RoundFailed>> + Send + Sync + 'static {
    move || {
        let inner = inner.clone();
        Box::pin(async move { live(&inner)?.confirm_leadership().await })
    }
}

/// Rounds that ask whoever leads.
pub(crate) fn rounds(
    inner: Weak<Inner>,
) -> impl Fn() -> BoxFuture<'static, Result<u64, RoundFailed>> + Send + Sync + 'static {
    move || {
        let inner = inner.clone();
        Box::pin(async move {
            let inner = live(&inner)?;
            let asked_at = Instant::now();
            let leader = inner.view().leader.ok_or_else(|| RoundFailed("there is no leader".into()))?;
            let index = match leader == inner.id {
                true => inner.confirm.index().await?,
                false => inner.ask_leader(leader).await?,
            };
            inner.note_confirmed(index, Confirmed { leader, asked_at });
            Ok(index)
        })
    }
}

fn live(inner: &Weak<Inner>) -> Result<std::sync::Arc<Inner>, RoundFailed> {
    inner.upgrade().ok_or_else(|| RoundFailed("this node has stopped".into()))
}

impl Inner {
    /// A read point by the shortest way that there is: this node's own word, its word as leader that a quorum confirms, or the
    /// leader's.
    async fn read_point(&self) -> Result<u64, RoundFailed> {
        let asked_at = Instant::now();
        let index = match self.own_read_point() {
            Some(index) => index,
            None if self.view.borrow().leader == Some(self.id) => self.confirm.index().await?,
            None => return self.reads.index().await,
        };
        self.note_confirmed(index, Confirmed { leader: self.id, asked_at });
        Ok(index)
    }

    fn note_confirmed(&self, index: u64, newest: Confirmed) {
        self.progress.note_read_point(index);
        let mut confirmed = self.confirmed.lock();
        if confirmed.is_none_or(|known| known.asked_at <= newest.asked_at) {
            *confirmed = Some(newest);
        }
    }

    async fn confirm_leadership(&self) -> Result<u64, RoundFailed> {
        self.counters.read_rounds.add(1);
        // The read index is fixed when this arrives, and answered by heartbeats sent after.
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((id, _)) => Ok(id.index()),
            Err(error) => Err(RoundFailed(error.to_string())),
        }
    }

    async fn ask_leader(&self, leader: u64) -> Result<u64, RoundFailed> {
        let failed = |reason: &str| RoundFailed(reason.into());
        self.counters.read_rounds.add(1);
        let way = self.factory.wire(leader, Lane::Calls).ok_or_else(|| failed("the leader is not known here"))?;
        let deadline = Instant::now() + self.config.timing.election_max;
        let opened = way.client_by(deadline).await;
        let (number, mut client) = opened.ok_or_else(|| failed("the leader cannot be reached"))?;
        let nonce = Bytes::copy_from_slice(&rand::random::<[u8; 16]>());
        let request = way.request(proto::ReadRequest { nonce: nonce.clone() });
        let reply = match timeout_at(deadline, client.read(request)).await {
            Ok(Ok(reply)) => reply.into_inner(),
            Ok(Err(status)) => {
                way.report(number, &status);
                return Err(failed(status.message()));
            }
            Err(_) => return Err(failed("the leader gave no answer in time")),
        };
        match reply.answer {
            Some(Answer::Index(index)) => {
                let claim = read_claim(&nonce, index);
                let checked = self.check_attestation(&claim, &reply.attestation, deadline).await;
                checked.map_err(|error| RoundFailed(error.to_string()))?;
                Ok(index)
            }
            Some(Answer::Refused(reason)) => Err(RoundFailed(reason)),
            None => Err(failed("the leader's answer says nothing")),
        }
    }
}
