//! Opening what the configuration names: identity, log, table, and consensus over them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use conclave_raft::{Identity, IdentityError, Raft, Timing};
use conclave_storage::log::{DurableLog, Log, LogError, LogState, MemoryLog};
use conclave_storage::table::{DurableTable, MemoryTable, Table, TableError};
use parking_lot::Mutex;

use crate::cluster::health::Observed;
use crate::cluster::hooks::NodeHooks;
use crate::config::{self, Config, Storage};
use crate::metrics::Metrics;
use crate::replica::Replica;
use crate::replica::entering::Entering;
use crate::replica::gated::GatedTable;
use crate::replica::standstill::Standstill;
use crate::seal::state::SealState;
use crate::seal::{Ceremonies, Seal, keyring};
use crate::view;
use crate::wakeups::Wakeups;

/// How long a learner must have kept up before it becomes a voter.
const PROMOTE_AFTER: Duration = Duration::from_secs(1);

/// In a data folder whose recovery was begun and did not end.
pub(crate) const RECOVERY_MARKER: &str = "recovering";

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log does not open.
    #[error("the Raft log in {path} does not open")]
    Log {
        /// The data folder.
        path: PathBuf,
        /// Why.
        source: LogError,
    },
    /// The table does not open.
    #[error("the table in {path} does not open")]
    Table {
        /// The data folder.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// The node's key does not load.
    #[error("the node's identity does not load: {0}")]
    Identity(String),
    /// Consensus does not start.
    #[error("consensus does not start")]
    Raft(#[from] conclave_raft::StartError),
    /// The configuration does not fit together.
    #[error("the configuration is not usable: {0}")]
    Config(String),
    /// `operator recover` has begun to change this node and did not end.
    #[error(
        "a recovery of this node was begun and did not end; run `conclave operator recover -path={} -force` again",
        .0.display()
    )]
    Recovering(PathBuf),
    /// Dev mode could not set itself up.
    #[error("dev mode could not be set up: {0}")]
    Dev(String),
}

/// What was opened: a sealed node.
pub(crate) struct Opened {
    pub(crate) seal: Arc<Seal>,
    pub(crate) hooks: Arc<NodeHooks>,
}

/// Opens everything that the configuration names, and starts consensus.
pub(crate) async fn open(config: Config) -> Result<Opened, StartError> {
    let (identity, log, table) = open_storage(&config)?;
    let (state, wakeups, ceremonies) = (Arc::<SealState>::default(), Arc::<Wakeups>::default(), Ceremonies::default());
    let table = Arc::new(GatedTable::new(table, keyring::before_snapshot(&state)));
    let mut raft_config = raft_config(&config)?;
    let fingerprint = ceremonies.boot_key.fingerprint(identity.id(), &identity.public_key());
    raft_config.process = fingerprint.to_bytes();
    let hooks = Arc::new(NodeHooks::new(Arc::clone(&state), Arc::clone(&table), Arc::clone(&wakeups)));
    let raft = Raft::start(raft_config, Arc::clone(&identity), Arc::clone(&log), table.clone(), hooks.clone()).await?;
    let replica = Arc::new(Replica {
        config,
        identity,
        log,
        table,
        raft,
        clock: Arc::clone(state.clock()),
        metrics: Arc::new(Metrics::new()),
        wakeups,
        standstill: Standstill::default(),
        last_read_point: Mutex::default(),
        entering: Entering::default(),
        active_since: AtomicI64::new(0),
        started_at: view::now(),
    });
    let seal = Seal {
        replica,
        state,
        fingerprint,
        ceremonies: Mutex::new(ceremonies),
        joining: Mutex::default(),
        trying: Mutex::default(),
        join_key: Mutex::default(),
        answered: Mutex::default(),
        health: Observed::default(),
    };
    Ok(Opened { seal: Arc::new(seal), hooks })
}

/// A node's identity, its log and its table.
type Opening = (Arc<Identity>, Arc<dyn Log>, Arc<dyn Table>);

fn open_storage(config: &Config) -> Result<Opening, StartError> {
    let identity_error = |error: &dyn std::fmt::Display| StartError::Identity(error.to_string());
    match &config.storage {
        Storage::Memory => {
            let identity = Identity::ephemeral().map_err(|error| identity_error(&error))?;
            Ok((Arc::new(identity), Arc::new(MemoryLog::default()), Arc::new(MemoryTable::new())))
        }
        Storage::File { path } | Storage::Raft(config::Raft { path, .. }) => {
            if path.as_os_str().is_empty() {
                return Err(StartError::Config("the storage needs a path".into()));
            }
            if path.join(RECOVERY_MARKER).exists() {
                return Err(StartError::Recovering(path.clone()));
            }
            let log = DurableLog::open(path).map_err(|source| StartError::Log { path: path.clone(), source })?;
            let table = DurableTable::open(path).map_err(|source| StartError::Table { path: path.clone(), source })?;
            let identity = load_identity(&path.join("node"), &log, &table).map_err(|error| identity_error(&error))?;
            Ok((Arc::new(identity), Arc::new(log), Arc::new(table)))
        }
    }
}

/// The node's key and id. They are made for a node that has written nothing, and for no other: the other members know this
/// node by its key, and a node under a new one would look to itself as if the others did not answer.
fn load_identity(folder: &Path, log: &DurableLog, table: &DurableTable) -> Result<Identity, IdentityError> {
    let (log, applied) = (log.state(), table.applied().last);
    if log == LogState::default() && applied.is_none() {
        return Identity::load_or_create(folder);
    }
    Identity::load(folder)
}

fn raft_config(config: &Config) -> Result<conclave_raft::Config, StartError> {
    let mut raft = match &config.storage {
        Storage::Raft(settings) => {
            let mut raft =
                conclave_raft::Config::clustered(listen(config)?, cluster_addr(config), config.api_addr.clone());
            raft.name = settings.node_id.clone().unwrap_or_default();
            raft.timing = match settings.timing {
                config::Timing::Lan => Timing::lan(),
                config::Timing::MultiRegion => Timing::multi_region(),
            };
            raft.limits.keep_entries = settings.trailing_logs.unwrap_or(raft.limits.keep_entries);
            raft.limits.snapshot_entries = settings.snapshot_threshold.unwrap_or(raft.limits.snapshot_entries);
            raft
        }
        Storage::Memory | Storage::File { .. } => conclave_raft::Config::single(config.api_addr.clone()),
    };
    // A node starts sealed, and a sealed node campaigns as a last resort only.
    raft.campaign = false;
    raft.promote_after = Some(PROMOTE_AFTER);
    #[cfg(feature = "mutants")]
    mutate(&mut raft)?;
    Ok(raft)
}

/// Plants the fault that `CONCLAVE_MUTANT` names, for showing that a checker finds it. A name that is none is refused, so
/// that no run passes for want of a fault.
#[cfg(feature = "mutants")]
fn mutate(raft: &mut conclave_raft::Config) -> Result<(), StartError> {
    match std::env::var_os("CONCLAVE_MUTANT") {
        None => Ok(()),
        Some(name) if name == "skip-read-point" => {
            raft.unsafe_skip_read_point = true;
            Ok(())
        }
        Some(name) => Err(StartError::Config(format!("CONCLAVE_MUTANT is {name:?}; there is skip-read-point"))),
    }
}

/// Where to listen for other nodes: what the first listener says, its name resolved.
fn listen(config: &Config) -> Result<SocketAddr, StartError> {
    let address = config.listeners.first().map_or("", |listener| listener.cluster_address.as_str());
    let resolved = address.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    resolved
        .ok_or_else(|| StartError::Config(format!("cluster_address \"{address}\" is no host and port to listen on")))
}

/// `host:port` at which others reach this node.
fn cluster_addr(config: &Config) -> String {
    let url = config.cluster_addr.as_str();
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests;
