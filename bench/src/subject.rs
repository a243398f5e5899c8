//! What is measured: a server that can be put under load, and its processes.

pub(crate) mod bare;
pub(crate) mod conclave;
pub(crate) mod etcd;
pub(crate) mod other;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::Full;

use crate::connection::Target;
use crate::error::BenchError;
use crate::request::{Dialect, Operation};

/// A server under load.
#[derive(Clone)]
pub(crate) struct Subject {
    /// What results call it.
    pub(crate) name: String,
    /// Where the load goes.
    pub(crate) target: Target,
    pub(crate) dialect: Dialect,
    /// The processes that serve it on this machine.
    pub(crate) processes: Vec<u32>,
    /// The number of the next write.
    pub(crate) writes: Arc<AtomicU64>,
    /// Where each of its nodes shows what it synced.
    pub(crate) gauges: Vec<Gauge>,
}

impl Subject {
    /// Sends one request on a connection of its own; an answer that is not 2xx is an error.
    pub(crate) async fn send(&self, operation: Operation) -> Result<Bytes, BenchError> {
        let number = self.numbers(operation).fetch_add(1, Ordering::Relaxed);
        let request = self.dialect.request(&authority(&self.target)?, operation, number);
        let failed = |detail| BenchError::Connection { address: self.target.authority.clone(), detail };
        let answer = self.target.connect().await?.send(request).await.map_err(|error| failed(error.to_string()))?;
        match answer.status {
            200..300 => Ok(answer.body),
            status => Err(failed(format!("{operation:?} was answered with {status}"))),
        }
    }

    /// Where the requests of an operation get their numbers from. No number is given to two writes; other requests
    /// take none of those.
    pub(crate) fn numbers(&self, operation: Operation) -> Arc<AtomicU64> {
        if operation == Operation::Write { Arc::clone(&self.writes) } else { Arc::default() }
    }

    /// Synced writes to the logs of all nodes so far; none if the subject does not say.
    pub(crate) async fn syncs(&self) -> Option<f64> {
        let mut all = 0.0;
        for gauge in &self.gauges {
            all += gauge.syncs().await?;
        }
        (!self.gauges.is_empty()).then_some(all)
    }
}

/// The host and port of a target, for the `Host` header.
pub(crate) fn authority(target: &Target) -> Result<HeaderValue, BenchError> {
    HeaderValue::from_str(&target.authority)
        .map_err(|_| BenchError::Settings(format!("`{}` is no host and port", target.authority)))
}

/// Where a node shows its metrics, and the token that may read them.
#[derive(Clone)]
pub(crate) struct Gauge {
    target: Target,
    token: HeaderValue,
}

/// The metric that counts synced writes to a node's log.
const APPENDS: &str = "conclave_raft_appends_total ";

impl Gauge {
    async fn syncs(&self) -> Option<f64> {
        let mut request = http::Request::get("/v1/sys/metrics?format=prometheus")
            .header(http::header::HOST, authority(&self.target).ok()?)
            .body(Full::new(Bytes::new()))
            .ok()?;
        request.headers_mut().insert("x-vault-token", self.token.clone());
        let answer = self.target.connect().await.ok()?.send(request).await.ok()?;
        let text = String::from_utf8_lossy(&answer.body);
        text.lines().find_map(|line| line.strip_prefix(APPENDS)?.trim().parse().ok())
    }
}
