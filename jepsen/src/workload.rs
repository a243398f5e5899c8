//! What clients do to a cluster while it is hurt.

mod documents;
pub mod key;
pub mod register;
mod stage;
mod tokens;

use conclave_client::Error;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::history::Function;
use documents::Document;

pub use stage::{Hand, Stage};

/// The clients of a run.
#[derive(Default)]
pub struct Clients {
    /// They go on until [`Stage::end`].
    pub tasks: JoinSet<()>,
    /// What is to be read when all is over and the cluster is well.
    pub closing: Vec<BoxFuture<'static, ()>>,
}

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Registers, through all nodes.
    Registers,
    /// Registers, through the leader only.
    LeaderRegisters,
    /// Registers, through followers only.
    FollowerRegisters,
    /// Counters that are read, and written back increased, by check-and-set.
    Counters,
    /// Lists that are appended to in the same way.
    Lists,
    /// Folders whose names come and go, listed and looked into.
    Folders,
    /// Versions that are written, deleted, brought back, destroyed.
    Versions,
    /// Tokens, secret ids and wrapped replies that can be used so often, and tokens whose parent is revoked.
    Tickets,
    /// Tokens that end by themselves.
    Leases,
}

impl Workload {
    /// Starts its clients.
    ///
    /// # Errors
    /// What the cluster answers while something is set up.
    pub async fn begin(self, stage: &Stage, seed: u64, clients: &mut Clients) -> Result<(), Error> {
        match self {
            Self::Registers => register::begin(stage, seed, register::Reach::All, clients).await,
            Self::LeaderRegisters => register::begin(stage, seed, register::Reach::Leader, clients).await,
            Self::FollowerRegisters => register::begin(stage, seed, register::Reach::Followers, clients).await,
            Self::Counters => documents::begin(stage, seed, Document::Counter, clients).await,
            Self::Lists => documents::begin(stage, seed, Document::List, clients).await,
            Self::Folders => documents::begin(stage, seed, Document::Folder, clients).await,
            Self::Versions => documents::begin(stage, seed, Document::Versions, clients).await,
            Self::Tickets => tokens::begin_tickets(stage, seed, clients).await,
            Self::Leases => tokens::begin_leases(stage, seed, clients),
        }
    }

    /// What must have been done on every node for the load to count.
    pub fn functions(self) -> &'static [Function] {
        use Function::*;
        match self {
            Self::Registers | Self::LeaderRegisters | Self::FollowerRegisters => &[Read, Write, Cas],
            Self::Counters => &[Add, Total],
            Self::Lists => &[Append, Elements],
            Self::Folders => &[Make, Drop, List, Peek],
            Self::Versions => &[Put, Look],
            Self::Tickets => &[Grant, Use],
            Self::Leases => &[Lend, Show],
        }
    }

    /// Whether it is on every node, and not only where leadership takes it.
    pub fn is_everywhere(self) -> bool {
        !matches!(self, Self::LeaderRegisters | Self::FollowerRegisters)
    }
}
