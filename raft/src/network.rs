//! openraft's network over our links: what this node says to the others.
//!
//! Every failure to get through is `Unreachable`, never `Network`, because openraft retries the latter ten times
//! without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption, RaftNetworkFactory,
};
use openraft::raft::{
    SnapshotResponse, StreamAppendError, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tonic::metadata::{AsciiMetadataValue, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::acknowledged::Acknowledged;
use crate::link::{Lane, Link};
use crate::machine::{Snapshot, SnapshotData};
use crate::metrics::Counters;
use crate::peers::Peers;
use crate::processes::PROCESS_BYTES;
use crate::snapshot;
use crate::types::{AppendEntries, NodeRecord, Types, Vote};
use crate::wire::{self, proto};

/// Metadata that every request carries: the cluster, the sender's and receiver's node ids, and the sender's process.
pub(crate) const CLUSTER: &str = "conclave-cluster";
pub(crate) const FROM: &str = "conclave-from";
pub(crate) const TO: &str = "conclave-to";
pub(crate) const PROCESS: &str = "conclave-boot";

type Client = proto::peers_client::PeersClient<Channel>;

/// Makes [`Wire`]s for openraft.
#[derive(Clone)]
pub(crate) struct Factory {
    pub(crate) from: u64,
    pub(crate) process: [u8; PROCESS_BYTES],
    pub(crate) peers: Arc<Peers>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) acknowledged: Arc<Acknowledged>,
    pub(crate) message_bytes: usize,
}

impl Factory {
    /// A way to a known node, `None` if nobody has this id.
    pub(crate) fn wire(&self, to: u64, lane: Lane) -> Option<Wire> {
        let link = self.peers.link(to, lane)?;
        Some(Wire { factory: self.clone(), to, link: Some(link) })
    }

    fn wire_to(&self, to: u64, record: &NodeRecord, lane: Lane) -> Wire {
        Wire { factory: self.clone(), to, link: self.peers.link_to(to, record, lane) }
    }
}

impl RaftNetworkFactory<Types> for Factory {
    type Network = Wire;

    async fn new_client(&mut self, target: u64, node: &NodeRecord) -> Wire {
        self.wire_to(target, node, Lane::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &NodeRecord) -> Wire {
        self.wire_to(target, node, Lane::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &NodeRecord) -> Wire {
        self.wire_to(target, node, Lane::Snapshot)
    }
}

/// The way to one node over one lane.
pub(crate) struct Wire {
    factory: Factory,
    to: u64,
    link: Option<Arc<Link>>,
}

impl Wire {
    /// A client, if the connection is up, and the connection's number.
    pub(crate) fn client(&self) -> Result<(u64, Client), Unreachable<Types>> {
        let open = self.link.as_ref().and_then(|link| link.channel());
        let (number, channel) = open.ok_or_else(|| Unreachable::from_string("no connection"))?;
        Ok((number, limited(channel, self.factory.message_bytes)))
    }

    /// A client, once the connection is up.
    pub(crate) async fn client_by(&self, deadline: tokio::time::Instant) -> Option<(u64, Client)> {
        let (number, channel) = self.link.as_ref()?.wait(deadline).await?;
        Some((number, limited(channel, self.factory.message_bytes)))
    }

    /// A request with its metadata.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        stamp(&mut request, self.factory.peers.cluster_id(), self.factory.from, Some(self.to));
        let process = AsciiMetadataValue::try_from(hex(&self.factory.process)).expect("hexadecimal digits are ASCII");
        request.metadata_mut().insert(PROCESS, process);
        request
    }

    /// Notes a failure, so that a broken connection is replaced.
    pub(crate) fn report(&self, number: u64, status: &Status) {
        if let Some(link) = &self.link {
            link.report(number, status);
        }
    }

    fn failed(&self, number: u64, status: Status) -> Unreachable<Types> {
        self.report(number, &status);
        Unreachable::from_string(format!("{}: {}", status.code(), status.message()))
    }

    /// Keeps what the node acknowledged in `term`, and holds back the news that it lost that.
    fn weigh(
        &self,
        result: StreamAppendResult<Types>,
        term: u64,
    ) -> Result<StreamAppendResult<Types>, RPCError<Types>> {
        let acknowledged = &self.factory.acknowledged;
        match &result {
            Ok(Some(matched)) => acknowledged.note(self.to, term, matched.index),
            Err(StreamAppendError::Conflict(lacks)) if acknowledged.has_rolled_back(self.to, term, lacks.index) => {
                return Err(Unreachable::from_string("its disk went back in time").into());
            }
            _ => {}
        }
        Ok(result)
    }

    async fn ask_for_vote(
        &mut self,
        request: VoteRequest<Types>,
        is_pre_vote: bool,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let (number, mut client) = self.client()?;
        let mut message = self.request(proto::VoteRequest {
            vote: Some(wire::vote(&request.vote)),
            last: request.last_log_id.as_ref().map(wire::log_id),
            leadership_transfer: request.leadership_transfer,
        });
        message.set_timeout(option.hard_ttl());
        let reply = if is_pre_vote { client.pre_vote(message).await } else { client.vote(message).await };
        let reply = reply.map_err(|status| self.failed(number, status))?.into_inner();
        let vote = wire::read_vote(reply.vote.as_ref()).map_err(|error| Unreachable::new(&error))?;
        Ok(VoteResponse::new(vote, reply.last.as_ref().map(wire::read_log_id), reply.granted))
    }
}

/// A client with our bounds on messages.
pub(crate) fn limited(channel: Channel, message_bytes: usize) -> Client {
    Client::new(channel).max_decoding_message_size(message_bytes).max_encoding_message_size(message_bytes)
}

/// Writes the metadata that the receiver checks before it parses the message.
pub(crate) fn stamp<T>(request: &mut Request<T>, cluster: Option<[u8; 16]>, from: u64, to: Option<u64>) {
    let metadata = request.metadata_mut();
    if let Some(cluster) = cluster {
        let text = AsciiMetadataValue::try_from(hex(&cluster)).expect("hexadecimal digits are ASCII");
        metadata.insert(CLUSTER, text);
    }
    metadata.insert(FROM, MetadataValue::from(from));
    if let Some(to) = to {
        metadata.insert(TO, MetadataValue::from(to));
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl NetBackoff<Types> for Wire {
    fn backoff(&self) -> Option<Backoff> {
        let steps = [50u64, 100, 200, 500];
        let steps = steps.into_iter().chain(std::iter::repeat(1_000));
        Some(Backoff::new(steps.map(Duration::from_millis)))
    }
}

impl NetStreamAppend<Types> for Wire {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntries> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let (number, mut client) = match self.client() {
                Ok(open) => open,
                Err(error) => {
                    // openraft's pause between retries lies inside the stream of requests; without asking for one, it
                    // would try again thousands of times a second.
                    input.next().await;
                    return Err(error.into());
                }
            };
            let term = Arc::new(AtomicU64::new(0));
            let sent_in = Arc::clone(&term);
            let request = self.request(input.map(move |request| {
                sent_in.store(request.vote.leader_id.term, Ordering::Release);
                wire::append_request(request)
            }));
            // The stream itself has no deadline; keepalive on the connection notices a peer that is gone.
            let opened = tokio::time::timeout(option.hard_ttl().max(Duration::from_secs(1)), client.append(request));
            let replies = match opened.await {
                Ok(Ok(replies)) => replies.into_inner(),
                Ok(Err(status)) => return Err(self.failed(number, status).into()),
                Err(_) => return Err(Unreachable::from_string("the stream did not open in time").into()),
            };
            let this = &*self;
            let replies = replies.map(move |reply| match reply {
                Ok(reply) => this.weigh(read_append_reply(reply)?, term.load(Ordering::Acquire)),
                Err(status) => Err(this.failed(number, status).into()),
            });
            Ok(Box::pin(replies) as BoxStream<'s, _>)
        })
    }
}

fn read_append_reply(reply: proto::AppendReply) -> Result<StreamAppendResult<Types>, RPCError<Types>> {
    use proto::append_reply::Result as Reply;
    match reply.result {
        Some(Reply::Matched(matched)) => Ok(Ok(matched.last.as_ref().map(wire::read_log_id))),
        Some(Reply::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(wire::read_log_id(&id)))),
        Some(Reply::HigherVote(vote)) => {
            let vote = wire::read_vote(Some(&vote)).map_err(|error| Unreachable::new(&error))?;
            Ok(Err(StreamAppendError::HigherVote(vote)))
        }
        None => Err(Unreachable::from_string("an append reply says nothing").into()),
    }
}

pub(crate) fn append_reply(result: StreamAppendResult<Types>) -> proto::AppendReply {
    use proto::append_reply::Result as Reply;
    let result = match result {
        Ok(last) => Reply::Matched(proto::Matched { last: last.as_ref().map(wire::log_id) }),
        Err(StreamAppendError::Conflict(id)) => Reply::Conflict(wire::log_id(&id)),
        Err(StreamAppendError::HigherVote(vote)) => Reply::HigherVote(wire::vote(&vote)),
    };
    proto::AppendReply { result: Some(result) }
}

impl NetVote<Types> for Wire {
    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(request, false, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(request, true, option).await
    }
}

impl NetSnapshot<Types> for Wire {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let (number, mut client) = self.client()?;
        let parts = snapshot::send(vote, snapshot)?;
        let request = self.request(parts);
        tokio::select! {
            closed = cancel => Err(closed.into()),
            reply = client.snapshot(request) => {
                let reply = reply.map_err(|status| self.failed(number, status))?.into_inner();
                let vote = wire::read_vote(reply.vote.as_ref()).map_err(|error| Unreachable::new(&error))?;
                self.factory.counters.snapshots_sent.add(1);
                Ok(SnapshotResponse::new(vote))
            }
        }
    }
}

impl NetTransferLeader<Types> for Wire {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let (number, mut client) = self.client()?;
        let mut message = self.request(proto::TransferRequest {
            from: Some(wire::vote(request.from_leader())),
            to: *request.to_node_id(),
            last: request.last_log_id().map(wire::log_id),
        });
        message.set_timeout(option.hard_ttl());
        let reply = client.transfer(message).await.map_err(|status| self.failed(number, status))?;
        if reply.into_inner().accepted {
            return Ok(Ok(()));
        }
        // Only logged by openraft; which reason it was is in the other node's log.
        Ok(Err(TransferLeaderError::LogNotFlushed { expected: request.last_log_id().copied(), actual: None }))
    }
}
