//! The deterministic core of Conclave: a request is a pure function of a snapshot of the store, and its result is a
//! reply and a guarded batch.
//!
//! Knows keys and plaintext. Does no IO, reads no clock, draws no randomness of its own and runs no task: time and
//! randomness come with each call's [`Context`], the store through [`conclave_batch::View`], and what must happen
//! outside is handed back as an [`Action`] or an [`Errand`].
//!
//! Read in this order: `core` is a request's way, `engine` what answers it, `store` what it reads and writes; `barrier`
//! and [`seal`] are the keys, `task` is what no request waits for. A module is public only where its name belongs to its
//! functions, as in `members::load`; all else that a node needs is listed here.

mod core;

mod action;
mod audit;
pub mod autopilot;
mod context;
mod errand;
mod error;
mod path;
mod reply;
mod request;
mod time;
mod trail;

mod batch;
mod cache;
pub mod cors;
mod store;

mod bootstrap;
mod describe;
mod directory;
mod engine;
mod engines;
mod epoch;
mod field;
mod glob;
pub mod hcl;
mod idempotency;
mod identity;
mod jose;
mod json;
mod lease;
mod limits;
mod lockout;
pub mod members;
mod mfa;
mod mount;
mod otp;
mod password;
mod pattern;
mod printable;
pub mod quota;
mod random;
mod registry;
mod rekey;
mod rotation;
mod spelling;
mod web;

mod policy;
mod task;
mod token;
mod wrapping;

mod barrier;
pub mod seal;

// A request and how it ends.
pub use crate::core::{Core, Done, Plan};
pub use action::{Action, CeremonyStep, Confidential, GivenShare, LoggerStep, NewShares, TokenCover};
pub use audit::head::{AuditHead, note as note_audit_heads};
pub use audit::rules::AuditHasher;
pub use audit::{AuditDevice, AuditRules, AuditedHeader};
pub use batch::Proposal;
pub use context::{Context, OpenCeremonies, Random, SystemTtl};
pub use engines::before_unseal;
pub use errand::{Answer, Computation, ComputeFn, DigestMemory, Errand, Errands, OutsideCall, Password};
pub use error::{Error, ErrorKind};
pub use path::CanonicalPath;
pub use reply::{Raw, Reply};
pub use request::{Operation, Request};
pub use time::Time;
pub use trail::Trail;

// What an engine or auth method is made of; see `docs/adding-an-engine.md`.
pub use engine::{Access, Call, CeremonyKind, Effect, Engine, Exists, Handler, Leasing, Life, Path, Work};
pub use field::{Field, Fields, Kind, field};
pub use lease::grant::LeaseTerms;
pub use lease::record::{Lease, LeaseRecord, LeaseState};
pub use mount::{Class, Mount, MountRecord};
pub use registry::Registry;
pub use task::tree::delete_below;

// What engines ask of web servers outside.
pub use web::{WEB, WebReply, WebRequest};

// What they ask of directories.
pub use directory::{DIRECTORY, DirectoryAnswer, DirectoryQuestion, DirectoryServers, DirectoryVerdict, with_user_dn};

// The store, and what the node itself reads and writes there.
pub use bootstrap::{NewCluster, first_batch};
pub use epoch::{EpochChange, begin_epoch};
pub use identity::rights::authenticate;
pub use rekey::replace_seal;
pub use rotation::{rotate_term, rotate_term_if_due};
pub use store::{Store, open_key};
pub use task::ending::{end_lease, leases_to_end};
pub use task::run_tasks;
pub use token::create_root;
pub use token::pad::Pad;

// The keys of an unsealed node.
pub use barrier::Barrier;
pub use barrier::error::BarrierError;
pub use barrier::forward::Envelope;
pub use barrier::locked::is_everything_locked;
pub use barrier::tag::Era;

// How clients and operators spell values: HTTP and the configuration read them by the same rules.
pub use field::{boolean, boolean_text, parse_duration};
pub use json::Bounded;
pub use limits::{MAX_IDEMPOTENCY_KEY_BYTES, MAX_LOCKOUT_THRESHOLD, MAX_MEMBERS};
pub use lockout::rule::{LockoutRule, UserLockout};
pub use token::cidr::Cidr;

#[cfg(test)]
pub(crate) mod testing;
