//! HTTP: sockets, TLS, and the way from bytes to a request and from an answer back to bytes.
//!
//! Knows no secrets engine, no token's rights and no Raft. It hands an [`crate::gateway::Incoming`] to a
//! [`crate::gateway::Gateway`] and sends what comes back. What surprises: a request runs on a task of its own, so a
//! client that hangs up does not cut it in half, and a handler that panics ends only its own request.

pub mod listener;
pub mod service;

pub mod body;
pub mod certificate;
pub(crate) mod cors;
pub mod forwarded;
pub mod header;
pub mod query;
pub mod request;
pub mod response;
pub(crate) mod ui;

pub mod error;
pub mod in_flight;

pub mod stall;
pub mod tls;
pub(crate) mod untaken;
