//! Configuration as Vault spells it, in HCL or JSON, from files, folders and the environment: one typed value.
//!
//! Several files are merged in the order in which they are named, a folder's files by name: the last setting counts,
//! listeners add up. Relative paths stay relative to the working directory. What cannot be used is an error and the
//! server does not start; what is unknown is a warning. See `docs/operating/configuration.md`.

pub mod address;
pub mod limits;
pub mod listener;
pub mod section;
pub mod storage;
pub mod syntax;

mod audit;
mod merge;
mod outbound;
mod sanitized;
mod user_lockout;
mod vocabulary;

use std::path::PathBuf;
use std::time::Duration;

use conclave_vault::UserLockout;

pub use crate::config::audit::AuditSettings;
pub use crate::config::limits::Limits;
pub use crate::config::listener::{ClientCertificate, Forwarded, Listener, Tls, TlsVersion};
pub(crate) use crate::config::merge::named;
pub use crate::config::merge::{ConfigError, load};
pub use crate::config::outbound::Outbound;
pub use crate::config::section::Problem;
pub use crate::config::storage::{Hidden, Raft, RetryJoin, Storage, Timing};

/// Everything that an operator can say about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where data lives.
    pub storage: Storage,
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// URL at which clients and nodes reach this node's API.
    pub api_addr: String,
    /// URL at which other nodes reach this one: `https://host:port`.
    pub cluster_addr: String,
    /// Name for people.
    pub cluster_name: Option<String>,
    /// Time to live of a lease that nobody gave one: 768 hours.
    pub default_lease_ttl: Duration,
    /// Longest time to live of a lease: 768 hours.
    pub max_lease_ttl: Duration,
    /// How stale a reply may be that a client accepts stale: zero, so that no revoked token works anywhere.
    pub max_staleness: Duration,
    /// When auth methods lock users out that say nothing themselves.
    pub user_lockout: UserLockout,
    /// Which servers outside may be reached.
    pub outbound: Outbound,
    /// Whether the operator accepts that memory may be swapped out.
    pub disable_mlock: bool,
    /// Whether a web interface was asked for.
    pub ui: bool,
    /// Whether `sys/raw` was asked for.
    pub raw_storage_endpoint: bool,
    /// Logging.
    pub log: Log,
    /// File that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// Metrics.
    pub telemetry: Telemetry,
    /// Audit devices.
    pub audit: AuditSettings,
    /// Bounds.
    pub limits: Limits,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Log {
    /// What is written.
    pub level: Level,
    /// How it is written.
    pub format: Format,
    /// Where it is written besides standard error.
    pub file: Option<PathBuf>,
}

/// What is important enough to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// What stops something from working.
    Error,
    /// What needs attention.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// Why it happened.
    Debug,
    /// Every step.
    Trace,
}

impl Level {
    /// From its name, in any case, with the synonyms that occur.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "err" | "error" => Self::Error,
            "warn" | "warning" => Self::Warn,
            "info" | "notice" | "" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Standard,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// From its name.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "standard" | "" => Some(Self::Standard),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Json => "json",
        }
    }
}

/// Metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// How long a metric that is not updated stays; 24 hours. Ours stay as long as the process.
    pub prometheus_retention_time: Duration,
    /// Whether names of metrics are without the host's name. Ours never have it.
    pub disable_hostname: bool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { prometheus_retention_time: Duration::from_secs(86_400), disable_hostname: false }
    }
}

/// Default and longest time to live of a lease, in seconds.
const LEASE_SECS: u64 = 768 * 3600;

impl Config {
    /// A server in memory with one plain listener, as dev mode starts from.
    pub fn memory(address: &str) -> Self {
        let listener = Listener::plain(address);
        Self {
            storage: Storage::Memory,
            api_addr: format!("http://{}", address::reachable(address).unwrap_or_else(|| address.to_owned())),
            cluster_addr: format!("https://{}", listener.cluster_address),
            listeners: vec![listener],
            cluster_name: None,
            default_lease_ttl: Duration::from_secs(LEASE_SECS),
            max_lease_ttl: Duration::from_secs(LEASE_SECS),
            max_staleness: Duration::ZERO,
            user_lockout: UserLockout::NONE.clone(),
            outbound: Outbound::default(),
            disable_mlock: false,
            ui: false,
            raw_storage_endpoint: false,
            log: Log::default(),
            pid_file: None,
            telemetry: Telemetry::default(),
            audit: AuditSettings::default(),
            limits: Limits::default(),
        }
    }

    /// Whether the rekey ceremony may be run without a token: only if no listener forbids it.
    pub fn has_open_rekey(&self) -> bool {
        self.listeners.iter().all(|listener| listener.has_open_rekey)
    }

    /// Whether the generate-root ceremony may be run without a token: only if no listener forbids it.
    pub fn has_open_generate_root(&self) -> bool {
        self.listeners.iter().all(|listener| listener.has_open_generate_root)
    }
}

#[cfg(test)]
mod tests;
