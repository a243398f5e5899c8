//! One half of a request's record: that it was asked, or how it ended. Raw values: who writes them down makes HMACs of
//! them first, so nothing here has a `Debug`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use conclave_vault::{Time, Trail};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::config::limits::AUDIT_ASIDE_BYTES;
use crate::gateway::{Incoming, Noted, Outgoing};
use crate::view;

/// One half of a request's record.
pub struct Entry {
    /// When it was made, by this node's clock.
    pub time: Time,
    /// What was asked; the same in both halves, but for what a later run of the request found out.
    pub asked: Arc<Asked>,
    /// How it ended; absent in the first half.
    pub answer: Option<Answered>,
    /// Why it was refused, if it was.
    pub error: Option<String>,
}

/// What was asked.
#[derive(Clone)]
pub struct Asked {
    /// The request's id; empty if it was refused before it had one.
    pub id: String,
    /// What was to be done, such as `update`; of a request that HTTP refused, its verb.
    pub operation: String,
    /// The path; canonical, unless HTTP refused it.
    pub path: String,
    /// Namespace as the header gave it.
    pub namespace: String,
    /// What was sent; `None` where the record holds no values.
    pub data: Option<Map<String, Value>>,
    /// Whether what was sent is so much that hashing it takes a while.
    pub is_large: bool,
    /// The client token.
    pub token: Option<Zeroizing<String>>,
    /// The wrap header.
    pub wrap_ttl: Option<String>,
    /// Where the client is.
    pub remote_address: Option<IpAddr>,
    /// What else its record is about.
    pub noted: Noted,
    /// What the core found out; empty if no core saw it.
    pub trail: Trail,
}

/// How it ended: the very bytes that leave the node, or none where the record holds no values.
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// Media type of the body.
    pub content_type: String,
    /// The body: of most replies the envelope, with `auth`, `data`, `wrap_info`, `lease_id` and `warnings`.
    pub body: Option<Bytes>,
}

impl Entry {
    /// That something was asked.
    pub(crate) fn asked(asked: &Arc<Asked>, error: Option<String>) -> Self {
        Self { time: view::now(), asked: Arc::clone(asked), answer: None, error }
    }

    /// How it ended.
    pub(crate) fn answered(asked: &Arc<Asked>, outgoing: &Outgoing) -> Self {
        let (content_type, body) = (outgoing.content_type.clone(), Some(outgoing.body.clone()));
        let answer = Answered { status: outgoing.status, content_type, body };
        Self { time: view::now(), asked: Arc::clone(asked), answer: Some(answer), error: errors_in(outgoing) }
    }

    /// Whether it holds so much that other requests should not wait until it is hashed.
    pub(super) fn is_large(&self) -> bool {
        let body = self.answer.as_ref().and_then(|answer| answer.body.as_ref());
        body.is_some_and(|body| body.len() >= AUDIT_ASIDE_BYTES) || self.asked.is_large
    }

    /// The same without values.
    pub(crate) fn without_values(mut self) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.body = None;
        }
        self
    }
}

impl Asked {
    /// A request that the core saw.
    pub(crate) fn new(incoming: &Incoming, trail: Trail) -> Self {
        let (request, noted) = (&incoming.request, incoming.noted.clone());
        let (data, token) = (Some(request.data.clone()), request.token.clone());
        let is_large = incoming.body_bytes >= AUDIT_ASIDE_BYTES;
        Self { data, is_large, token, noted, trail, ..Self::without_values(incoming) }
    }

    /// A request of which only who asked for what is written down.
    pub(crate) fn without_values(incoming: &Incoming) -> Self {
        let request = &incoming.request;
        Self {
            id: request.id.clone(),
            operation: request.operation.as_str().to_owned(),
            path: request.path.as_str().to_owned(),
            namespace: request.namespace.clone(),
            data: None,
            is_large: false,
            token: None,
            wrap_ttl: request.wrap_ttl.clone(),
            remote_address: request.remote_address,
            noted: Noted { remote_port: incoming.noted.remote_port, headers: Vec::new() },
            trail: Trail::default(),
        }
    }

    /// A request that HTTP refused.
    pub(crate) fn refused(verb: &str, path: &str, client: IpAddr) -> Self {
        Self {
            id: String::new(),
            operation: verb.to_owned(),
            path: path.to_owned(),
            namespace: String::new(),
            data: None,
            is_large: false,
            token: None,
            wrap_ttl: None,
            remote_address: Some(client),
            noted: Noted::default(),
            trail: Trail::default(),
        }
    }
}

/// The texts of a reply that is an error, one after the other.
fn errors_in(outgoing: &Outgoing) -> Option<String> {
    if outgoing.status < 400 {
        return None;
    }
    let body: Value = serde_json::from_slice(&outgoing.body).unwrap_or_default();
    let texts = body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Some(texts.collect::<Vec<_>>().join("; "))
}
