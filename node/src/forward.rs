//! A request that lost twice runs on the leader: how it gets there, and how its answer comes back.
//!
//! Both ways are sealed under the forward key, bound to sender, receiver and a fresh nonce, so that a sealed node that
//! plays leader can neither read the request nor make up an answer.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::{CallError, Peer};
use conclave_vault::{CanonicalPath, Core, Envelope, Error, Operation, Random as _, Request};
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::config::limits::{MAX_FORWARD_AGE_MILLIS, MAX_NONCES};
use crate::gateway::{Consistency, Incoming, Noted, Outgoing};
use crate::replica::Replica;
use crate::seal::Seal;
use crate::view::{self, SystemRandomness};

/// The node-to-node method.
pub(crate) const METHOD: &str = "request";

/// A request on its way to the leader.
#[derive(Clone, PartialEq, Message)]
struct ForwardedRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    operation: String,
    #[prost(string, tag = "3")]
    path: String,
    #[prost(string, tag = "4")]
    namespace: String,
    #[prost(string, tag = "5")]
    data_json: String,
    #[prost(bool, tag = "6")]
    has_body: bool,
    #[prost(string, optional, tag = "7")]
    token: Option<String>,
    #[prost(string, optional, tag = "8")]
    wrap_ttl: Option<String>,
    #[prost(string, optional, tag = "9")]
    idempotency_key: Option<String>,
    #[prost(string, tag = "10")]
    remote_address: String,
    #[prost(uint64, tag = "11")]
    timeout_millis: u64,
    /// When it was sent, by the sender's clock; see [`Nonces`].
    #[prost(uint64, tag = "12")]
    sent_millis: u64,
    #[prost(bytes = "vec", repeated, tag = "13")]
    client_certificates: Vec<Vec<u8>>,
}

/// The leader's answer.
#[derive(Clone, PartialEq, Message)]
struct ForwardedReply {
    #[prost(uint32, tag = "1")]
    status: u32,
    #[prost(string, tag = "2")]
    content_type: String,
    #[prost(string, repeated, tag = "3")]
    header_names: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    header_values: Vec<String>,
    #[prost(bytes = "bytes", tag = "5")]
    body: Bytes,
}

/// Runs a request on the leader; `None` if there is no other leader to run it.
pub(crate) async fn to_leader(
    replica: &Replica,
    core: &Arc<Core>,
    incoming: &Incoming,
) -> Result<Option<Outgoing>, Error> {
    let (Some(leader), own) = (replica.raft.status().leader.map(|leader| leader.id), replica.identity.id()) else {
        return Ok(None);
    };
    if leader == own {
        return Ok(None);
    }
    let mut random = SystemRandomness::default();
    let mut nonce = [0; 16];
    random.fill(&mut nonce);
    let envelope = Envelope { from: own, to: leader, nonce: &nonce, method: METHOD };
    let message = Zeroizing::new(ForwardedRequest::from(incoming).encode_to_vec());
    let sealed = core
        .barrier()
        .seal_forward(&envelope, &message, &mut random)
        .map_err(|error| Error::unavailable(error.to_string()))?;
    let body = [nonce.as_slice(), &sealed].concat().into();
    let called = replica.while_in_contact(replica.raft.call(leader, METHOD, body, incoming.deadline)).await;
    let answer = match called.unwrap_or_else(|_| Err(CallError::Unknown("no quorum confirms a leader".into()))) {
        Ok(answer) => answer,
        // Nothing ran there, so it may run here.
        Err(CallError::Unreachable(_) | CallError::NotAMember(_)) => return Ok(None),
        // It was looked at and refused before it ran.
        Err(CallError::Denied(reason)) => {
            let mut failed = Error::unavailable("the leader refused the request; nothing was changed, try again");
            failed.detail = Some(reason);
            return Err(failed);
        }
        Err(error) => {
            let mut failed = Error::unknown_outcome("the leader did not answer in time");
            failed.detail = Some(error.to_string());
            return Err(failed);
        }
    };
    // The leader ran it; after a rotation it may answer under a key that this node does not have yet.
    let unreadable = || Error::unknown_outcome("the leader's answer cannot be read here");
    let plain = core.barrier().open_forward(&envelope.turned(), &answer).map_err(|_| unreadable())?;
    let reply = ForwardedReply::decode(plain.as_slice()).map_err(|_| unreadable())?;
    Ok(Some(Outgoing {
        status: u16::try_from(reply.status).unwrap_or(500),
        content_type: reply.content_type,
        headers: reply.header_names.into_iter().zip(reply.header_values).collect(),
        body: reply.body,
    }))
}

/// Answers a request that a peer forwarded; `run` runs it.
pub(crate) async fn answer<R>(
    seal: &Seal,
    nonces: &Mutex<Nonces>,
    from: Peer,
    body: &[u8],
    run: impl FnOnce(Arc<Core>, Incoming) -> R,
) -> Result<Bytes, CallError>
where
    R: Future<Output = Outgoing>,
{
    let refuse = |message: &str| CallError::Denied(message.to_owned());
    let core = seal.state.serving().ok_or_else(|| refuse("this node is sealed"))?;
    let sender = from.id.ok_or_else(|| refuse("only members may forward requests"))?;
    let own = seal.replica.identity.id();
    let (nonce, sealed) = body.split_first_chunk::<16>().ok_or_else(|| refuse("the request is too short"))?;
    let envelope = Envelope { from: sender, to: own, nonce, method: METHOD };
    let plain = core.barrier().open_forward(&envelope, sealed).map_err(|_| refuse("the request does not verify"))?;
    let forwarded = ForwardedRequest::decode(plain.as_slice()).map_err(|_| refuse("the request does not decode"))?;
    if !nonces.lock().is_new(nonce, forwarded.sent_millis, now_millis()) {
        return Err(refuse("the request was sent before, or long ago"));
    }
    let incoming = forwarded.into_incoming().ok_or_else(|| refuse("the request is not valid"))?;
    let outgoing = run(Arc::clone(&core), incoming).await;
    let (header_names, header_values) = outgoing.headers.into_iter().unzip();
    let reply = ForwardedReply {
        status: u32::from(outgoing.status),
        content_type: outgoing.content_type,
        header_names,
        header_values,
        body: outgoing.body,
    };
    let mut random = SystemRandomness::default();
    let reply = Zeroizing::new(reply.encode_to_vec());
    let sealed = core.barrier().seal_forward(&envelope.turned(), &reply, &mut random);
    // It ran, so this is no refusal.
    sealed.map(Bytes::from).map_err(|error| CallError::Unknown(error.to_string()))
}

impl From<&Incoming> for ForwardedRequest {
    fn from(incoming: &Incoming) -> Self {
        let request = &incoming.request;
        let left = incoming.deadline.saturating_duration_since(Instant::now());
        Self {
            id: request.id.clone(),
            operation: request.operation.as_str().to_owned(),
            path: request.path.as_str().to_owned(),
            namespace: request.namespace.clone(),
            data_json: serde_json::Value::Object(request.data.clone()).to_string(),
            has_body: request.has_body,
            token: request.token.as_ref().map(|token| token.to_string()),
            wrap_ttl: request.wrap_ttl.clone(),
            idempotency_key: request.idempotency_key.clone(),
            remote_address: request.remote_address.map(|address| address.to_string()).unwrap_or_default(),
            timeout_millis: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            sent_millis: now_millis(),
            client_certificates: request.client_certificates.to_vec(),
        }
    }
}

impl ForwardedRequest {
    fn into_incoming(self) -> Option<Incoming> {
        let operation = operation(&self.operation)?;
        let body_bytes = self.data_json.len();
        let request = Request {
            id: self.id,
            operation,
            path: CanonicalPath::new(self.path).ok()?,
            namespace: self.namespace,
            data: serde_json::from_str(&self.data_json).ok()?,
            has_body: self.has_body,
            token: self.token.map(Zeroizing::new),
            wrap_ttl: self.wrap_ttl,
            idempotency_key: self.idempotency_key,
            remote_address: self.remote_address.parse().ok(),
            client_certificates: self.client_certificates.into(),
        };
        Some(Incoming {
            request,
            method: String::new(),
            query: Vec::new(),
            consistency: Consistency::Linearizable,
            wanted_indexes: Vec::new(),
            body_bytes,
            noted: Noted::default(),
            deadline: Instant::now() + Duration::from_millis(self.timeout_millis),
        })
    }
}

/// The nonces of the requests that this node ran, so that none is run again by somebody who recorded it. One that is too
/// old to be remembered is refused for its age.
#[derive(Default)]
pub(crate) struct Nonces {
    known: HashSet<[u8; 16]>,
    order: VecDeque<(u64, [u8; 16])>,
}

impl Nonces {
    /// Whether a request may run; from now on it may not.
    fn is_new(&mut self, nonce: &[u8; 16], sent_millis: u64, now_millis: u64) -> bool {
        while let Some((seen_at, oldest)) = self.order.front().copied()
            && (seen_at.abs_diff(now_millis) > 2 * MAX_FORWARD_AGE_MILLIS || self.order.len() >= MAX_NONCES)
        {
            self.order.pop_front();
            self.known.remove(&oldest);
        }
        if sent_millis.abs_diff(now_millis) > MAX_FORWARD_AGE_MILLIS || !self.known.insert(*nonce) {
            return false;
        }
        self.order.push_back((now_millis, *nonce));
        true
    }
}

fn now_millis() -> u64 {
    view::now().millis()
}

fn operation(word: &str) -> Option<Operation> {
    use Operation as O;
    [O::Create, O::Read, O::Update, O::Patch, O::Delete, O::List, O::Scan, O::Header, O::Help]
        .into_iter()
        .find(|operation| operation.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::config::Config;

    async fn ask(app: &App, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
        let run = |core, incoming| async move { app.runner.execute_queued(core, &incoming).await };
        answer(&app.seal, &app.nonces, from, body, run).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_was_recorded_is_not_run_again() {
        let (app, _) = App::start_dev(Config::memory("127.0.0.1:0"), Some("root-of-test")).await.unwrap();
        let core = app.seal.state.serving().unwrap();
        let (sender, nonce) = (7, [1; 16]);
        let request = |sent_millis| ForwardedRequest {
            id: "1".into(),
            operation: "update".into(),
            path: "auth/token/create".into(),
            data_json: "{}".into(),
            token: Some("root-of-test".into()),
            timeout_millis: 20_000,
            sent_millis,
            ..ForwardedRequest::default()
        };
        let body = |nonce: [u8; 16], sent_millis| {
            let envelope = Envelope { from: sender, to: app.replica.identity.id(), nonce: &nonce, method: METHOD };
            let message = request(sent_millis).encode_to_vec();
            let sealed = core.barrier().seal_forward(&envelope, &message, &mut SystemRandomness::default()).unwrap();
            [nonce.as_slice(), &sealed].concat()
        };
        let from = Peer { id: Some(sender), public_key: [0; 32], address: ([127, 0, 0, 1], 1).into() };
        let recorded = body(nonce, now_millis());
        assert!(ask(&app, from, &recorded).await.is_ok());
        assert!(matches!(ask(&app, from, &recorded).await, Err(CallError::Denied(_))));
        assert!(ask(&app, from, &body([2; 16], now_millis())).await.is_ok());
        let late = body([3; 16], now_millis() - 2 * MAX_FORWARD_AGE_MILLIS);
        assert!(matches!(ask(&app, from, &late).await, Err(CallError::Denied(_))));
    }

    #[test]
    fn the_client_knows_an_unknown_outcome_by_its_words() {
        let error = Error::unknown_outcome("the leader did not answer in time");
        assert!(error.to_string().contains(conclave_client::OUTCOME_IS_UNKNOWN), "{error}");
    }

    #[test]
    fn what_is_too_old_to_be_remembered_is_refused_for_its_age() {
        let mut nonces = Nonces::default();
        let start = 10 * MAX_FORWARD_AGE_MILLIS;
        assert!(nonces.is_new(&[1; 16], start, start));
        let later = start + 2 * MAX_FORWARD_AGE_MILLIS + 1;
        assert!(nonces.is_new(&[2; 16], later, later));
        assert_eq!((nonces.known.len(), nonces.order.len()), (1, 1), "the first is forgotten");
        assert!(!nonces.is_new(&[1; 16], start, later), "and too old to run");
        assert!(!nonces.is_new(&[2; 16], later, later));
    }
}
