//! What can stand in the way of a quickstart, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why the quickstart did not come up.
#[derive(Debug, thiserror::Error)]
pub enum QuickstartError {
    /// Somebody listens there.
    #[error("port {port} is in use; stop what listens there, or choose others with -port")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The folder is not ours.
    #[error("{path} exists and is no quickstart cluster; choose another folder with -dir, or remove it")]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a cluster with other settings.
    #[error(
        "{path} holds a cluster of {nodes} nodes from port {port}; run with -nodes {nodes} -port {port}, or choose another folder with -dir"
    )]
    OtherSettings {
        /// The folder.
        path: PathBuf,
        /// Its number of nodes.
        nodes: u16,
        /// Its first port.
        port: u16,
    },
    /// A file could not be written or read.
    #[error("{path}: {source}; check the permissions and the space left, or choose another folder with -dir")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Certificates could not be made.
    #[error("the certificates could not be made: {0}")]
    Certificates(String),
    /// A node did not start or stopped by itself.
    #[error("{name} stopped by itself ({how}); the end of {log} says:\n{tail}")]
    NodeStopped {
        /// Which node.
        name: String,
        /// How it ended, as the system says it.
        how: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines.
        tail: String,
    },
    /// A node did not do in time what it should.
    #[error("{what} took longer than {secs} s; the nodes' log files in the folder say more")]
    TooSlow {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        secs: u64,
    },
    /// A request to a node failed.
    #[error("{what}: {source}")]
    Request {
        /// What was asked for.
        what: String,
        /// Why not.
        source: conclave_client::Error,
    },
    /// Too few of the shares are in the folder.
    #[error(
        "{folder} has {found} of the {needed} shares that unseal the cluster; put the files share-1 to share-5 back, \
         or remove the whole folder above it to start afresh"
    )]
    SharesMissing {
        /// The folder of the shares.
        folder: PathBuf,
        /// How many are there and were accepted.
        found: u64,
        /// How many it takes.
        needed: u32,
    },
}
