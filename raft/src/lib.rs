//! Consensus and the node-to-node network.
//!
//! The only crate that names openraft and tonic; neither shows in its public surface. It orders opaque, signed
//! batches, has the table apply them, and says at which index a read is linearizable. It knows no keys of the barrier
//! and no plaintext: what needs them is asked of the node through [`Hooks`].
//!
//! Read in this order: `raft` and `start` put everything together, `propose`, `gate` and `queue` are the way of a
//! write, `read` that of a read, `log` and `machine` are storage as openraft sees it, the rest is the network.
//! [`admission`] shares what strangers may hold open, here and at the HTTP port.

pub mod admission;

mod config;
mod connections;
mod error;
mod exclusion;
mod hooks;
mod identity;
mod limits;
mod raft;
mod report;
mod round_trip;
mod start;
mod status;
mod succession;

mod alone;
mod gate;
mod propose;
mod queue;
mod read;

mod log;
mod machine;
mod metrics;
mod processes;
mod progress;
mod types;

mod leadership;
mod membership;
pub mod sole_voter;
mod transfer;
mod upkeep;

mod acknowledged;
mod answer;
mod call;
mod caller;
mod link;
mod network;
mod peers;
mod server;
mod snapshot;
mod standing;
mod tls;
mod wire;

pub use config::{Config, Timing};
pub use error::{ChangeError, ProposeError, ReadError, StartError, Stop};
pub use exclusion::Exclusion;
pub use hooks::{AttestationError, CallError, Hooks, Peer};
pub use identity::{Identity, IdentityError, verify_signature};
pub use limits::Limits;
pub use metrics::{Metrics, Times};
pub use processes::{PROCESS_BYTES, Process};
pub use raft::Raft;
pub use status::{Candidacy, Confirmed, Leader, Member, PeerStatus, Role, Status};
pub use types::node_id;

#[cfg(test)]
mod tests;
