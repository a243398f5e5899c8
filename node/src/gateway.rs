//! The seam between HTTP and everything else: what the HTTP layer hands in, and what it gets back to send.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_vault::Request;
use conclave_vault::cors::Cors;
use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::time::Instant;

/// How fresh a read must be (`X-Conclave-Consistency`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Not older than the request; the default.
    #[default]
    Linearizable,
    /// At most this old.
    Bounded(Duration),
    /// Whatever this node has applied.
    Local,
}

/// A request as HTTP understood it.
pub struct Incoming {
    /// What the core sees.
    pub request: Request,
    /// The verb, upper case.
    pub method: String,
    /// Query parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// How fresh a read must be.
    pub consistency: Consistency,
    /// Values of `X-Vault-Index`.
    pub wanted_indexes: Vec<String>,
    /// How long the body was.
    pub body_bytes: usize,
    /// When the client stops to wait.
    pub deadline: Instant,
    /// For the audit record alone.
    pub noted: Noted,
}

/// What of a request only its audit record is about.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// The client's port, as far as it is known.
    pub remote_port: Option<u16>,
    /// Headers that are to be recorded.
    pub headers: Vec<NotedHeader>,
}

/// A header that is to be recorded.
#[derive(Clone, Debug)]
pub struct NotedHeader {
    /// Its name in lower case.
    pub name: String,
    /// Its values, as far as they are text.
    pub values: Vec<String>,
    /// Whether a record holds hashes in place of the values.
    pub is_hashed: bool,
}

/// What goes back.
pub struct Outgoing {
    /// Status code.
    pub status: u16,
    /// Media type; empty if there is no body.
    pub content_type: String,
    /// Further headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What a limit of rates says of a request.
#[derive(Default)]
pub struct Throttled {
    /// Headers that tell how much of it is left.
    pub headers: Vec<(String, String)>,
    /// What the client is answered if it sent too many, and whether audit devices record that.
    pub refusal: Option<(Outgoing, bool)>,
}

/// Serves requests. The HTTP layer holds one; the application is one.
pub trait Gateway: Send + Sync + 'static {
    /// Serves a request.
    fn serve(&self, incoming: Incoming) -> BoxFuture<'_, Outgoing>;

    /// Has a request recorded that HTTP refused: its verb, its path as it was sent, its client, and what that is answered.
    fn note_refusal(&self, verb: &str, path: &str, client: IpAddr, outgoing: &Outgoing);

    /// Which web pages may ask; `None` where nobody knows, as on a sealed node.
    fn cors(&self) -> Option<Arc<Cors>>;

    /// Counts a request of a client for a path against the limits of rates, before its body is taken.
    fn throttle(&self, path: &str, client: IpAddr) -> Throttled;

    /// The headers that are to be recorded.
    fn recorded_headers(&self, headers: &HeaderMap) -> Vec<NotedHeader>;

    /// Whether a token from an address works, or what its sender is answered. Asked before a large body is taken.
    fn vouch<'a>(&'a self, token: &'a str, client: IpAddr, deadline: Instant) -> BoxFuture<'a, Result<(), Outgoing>>;
}
