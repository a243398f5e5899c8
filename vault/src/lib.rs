//! The deterministic core of Conclave: a request is a pure function of a snapshot of the store, and its result is a
//! reply and a guarded batch.
//!
//! Knows keys and plaintext. Does no IO, reads no clock, draws no randomness of its own and runs no task: time and
//! randomness come with each call's [`context::Context`], the store through [`conclave_batch::View`], and what must happen
//! outside is handed back as an [`action::Action`].

pub mod core;

pub mod action;
pub mod context;
pub mod errand;
pub mod error;
pub mod path;
pub mod reply;
pub mod request;
pub mod time;
pub mod trail;

pub mod batch;
pub mod cache;
pub mod store;

pub mod bootstrap;
mod describe;
pub mod engine;
pub mod engines;
pub mod field;
pub mod hcl;
pub mod idempotency;
pub mod json;
pub mod lease;
pub mod lockout;
pub mod members;
pub mod mount;
pub mod pattern;
mod printable;
pub mod rotation;

pub mod policy;
pub mod task;
pub mod token;
pub mod wrapping;

pub mod barrier;
pub mod seal;

#[cfg(test)]
pub(crate) mod testing;
