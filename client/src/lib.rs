//! The Rust client of Conclave, which speaks the HashiCorp Vault HTTP API and so works with either.
//!
//! Its promise is failover. Given some addresses, a call moves on when a node is down, sealed, without a leader, lost
//! or slow. A read is simply tried again. A write carries an `Idempotency-Key`, the same on every attempt, and a server
//! that echoes it answers a repeated write with the first reply instead of doing it twice. Where that is not known, a
//! write that may have reached a server is never sent again: the caller gets [`Error::UnknownOutcome`].
//!
//! It is not a cache, and it renews nothing unasked: tokens and leases are the caller's. [`Client::keep_token`] keeps the
//! client's own token alive.
//!
//! What surprises: an error reply that follows a lost attempt is an unknown outcome too, because the lost attempt may
//! still be under way. Only a success is proof.

mod address;
mod api;
mod builder;
mod client;
mod discovery;
mod environment;
mod error;
mod failover;
mod index;
mod method;
mod nodes;
mod renewal;
mod reply;
mod request;
mod retry;
mod secret;
mod tls;
mod transport;

pub use address::{Address, InvalidAddress};
pub use api::cluster::{Cluster, HaStatus, Health, KeyStatus, Leader, Member, RaftServer};
pub use api::kv1::Kv1;
pub use api::kv2::{Kv2, KvMetadata, KvSecret, KvVersion, MetadataUpdate};
pub use api::mounts::{Mount, MountSettings, Mounts};
pub use api::policies::Policies;
pub use api::seal::{Candidate, InitRequest, InitResult, SealStatus, Seals, UnsealedNode};
pub use api::token::{TokenRequest, Tokens};
pub use api::wrapping::Wrapping;
pub use builder::{ClientBuilder, Discovery};
pub use client::Client;
pub use environment::{Environment, Variable};
pub use error::{Attempt, Cause, Error, StatusError, TlsFault};
pub use renewal::TokenEnd;
pub use reply::{Auth, OUTCOME_IS_UNKNOWN, Reply, WrapInfo};
pub use request::{Effect, Method, Request};
pub use secret::Secret;
