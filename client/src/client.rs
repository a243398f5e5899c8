//! The client: what the caller holds.
//!
//! A clone shares connections, known nodes, token and memory of writes with its original. What surprises:
//! [`Client::with_token`] shares all but the token.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::address::Address;
use crate::discovery;
use crate::error::Error;
use crate::failover::{self, Shared};
use crate::index::IndexMemory;
use crate::nodes::Nodes;
use crate::reply::Reply;
use crate::request::{Method, Request, Scope};
use crate::secret::Secret;
use crate::transport::Context;

/// A client of one cluster.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) token: Arc<RwLock<Option<Secret>>>,
    pub(crate) namespace: Option<String>,
    pub(crate) wrap_ttl: Option<String>,
}

impl Client {
    /// Replaces the token of this client and of its clones.
    pub fn set_token(&self, token: Option<Secret>) {
        *self.token.write() = token;
    }

    /// A client for the same cluster with another token, or with none.
    pub fn with_token(&self, token: Option<Secret>) -> Self {
        Self { token: Arc::new(RwLock::new(token)), ..self.clone() }
    }

    /// A client for another namespace of the same cluster.
    pub fn with_namespace(&self, namespace: Option<String>) -> Self {
        Self { namespace, ..self.clone() }
    }

    /// A client that talks to one node only, with this client's token and settings.
    pub fn at(&self, address: Address) -> Self {
        let shared = Shared {
            transport: Arc::clone(&self.shared.transport),
            nodes: Mutex::new(Nodes::new(vec![address])),
            indexes: Mutex::new(IndexMemory::default()),
            remembers: AtomicBool::new(self.shared.remembers.load(std::sync::atomic::Ordering::Acquire)),
            limits: self.shared.limits,
            discovery: None,
        };
        Self { shared: Arc::new(shared), ..self.clone() }
    }

    /// The addresses known now, the configured ones first.
    pub fn addresses(&self) -> Vec<Address> {
        self.shared.nodes.lock().addresses()
    }

    /// Asks the cluster for its nodes and adds those that can be trusted; answers how many are known then.
    ///
    /// # Errors
    /// As [`Client::send`]. [`Error::Configuration`] if the answer came over plaintext, where anyone could have
    /// written it.
    pub async fn refresh_addresses(&self) -> Result<usize, Error> {
        let reply = self.send(Request::get("sys/ha-status")).await?;
        discovery::learn(&self.shared, &reply)
    }

    /// Sends a request and moves on between nodes as the crate's page says.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::may_have_happened`] tells whether a write may have been carried out.
    pub async fn send(&self, request: Request) -> Result<Reply, Error> {
        let mut request = request;
        if request.wrap_ttl.is_none() && request.scope == Scope::Cluster {
            request.wrap_ttl.clone_from(&self.wrap_ttl);
        }
        let token = self.token.read().clone();
        let context = Context { token: token.clone(), namespace: self.namespace.clone(), indexes: Vec::new() };
        let reply = failover::run(&self.shared, &request, context).await?;
        if let Some(token) = token {
            discovery::after_reply(&self.shared, reply.address(), token);
        }
        Ok(reply)
    }

    /// Sends any request: the way to endpoints that have no call of their own here.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Error> {
        let mut request = Request::new(method, path);
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    /// Sends a request and reads the envelope's `data`.
    pub(crate) async fn fetch_data<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let asked = request.clone();
        let reply = self.send(request).await?;
        let data = reply.json().get("data").unwrap_or(&Value::Null);
        T::deserialize(data).map_err(|source| asked.malformed(shape(&source)))
    }

    /// Sends a request and reads the whole document, for endpoints without an envelope.
    pub(crate) async fn fetch_document<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let asked = request.clone();
        let reply = self.send(request).await?;
        T::deserialize(reply.json()).map_err(|source| asked.malformed(shape(&source)))
    }

    /// Sends a listing; one that does not exist is empty, because the API does not tell the two apart.
    pub(crate) async fn fetch_keys(&self, request: Request) -> Result<Vec<String>, Error> {
        match self.send(request).await {
            Ok(reply) => Ok(reply.keys().into_iter().map(str::to_owned).collect()),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Sends a request whose reply does not matter.
    pub(crate) async fn order(&self, request: Request) -> Result<(), Error> {
        self.send(request).await.map(drop)
    }
}

/// What was wrong with a document, without any of its values: serde's own text may quote one.
pub(crate) fn shape(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let quotes_a_value = text.starts_with("invalid");
    if quotes_a_value { "a field has another type than expected".to_owned() } else { text }
}

/// Turns "not there" into nothing.
pub(crate) fn optional<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
