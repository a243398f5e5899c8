//! Why a cluster does not do what a test needs of it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a cluster cannot be set up or steered.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no server to run.
    #[error(
        "there is no server at {}; run `cargo build`, or name one with CONCLAVE_BINARY", .0.display()
    )]
    NoBinary(PathBuf),
    /// The loopback addresses are taken.
    #[error("no addresses for the nodes: {0}")]
    Addresses(io::Error),
    /// The certificate of the API.
    #[error("a certificate cannot be made: {0}")]
    Certificate(rcgen::Error),
    /// A file or folder.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A process does not start, or takes no signal.
    #[error("{node}: {source}")]
    Process {
        /// The node's name.
        node: String,
        /// What the system says.
        source: io::Error,
    },
    /// A node ended by itself.
    #[error("{node} ended by itself; the end of its log:\n{tail}")]
    Ended {
        /// The node's name.
        node: String,
        /// The last lines of its log.
        tail: String,
    },
    /// A node does not run, and should.
    #[error("{node} does not run")]
    NotRunning {
        /// The node's name.
        node: String,
    },
    /// A request of the ceremony failed.
    #[error("{what}: {source}")]
    Request {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: conclave_client::Error,
    },
    /// A phase took too long.
    #[error("{what} took longer than {secs} s")]
    TooSlow {
        /// What was waited for.
        what: String,
        /// How long.
        secs: u64,
    },
}

impl ClusterError {
    pub(crate) fn too_slow(what: &str, patience: Duration) -> Self {
        Self::TooSlow { what: what.to_owned(), secs: patience.as_secs() }
    }

    pub(crate) fn folder(source: io::Error) -> Self {
        Self::File { path: std::env::temp_dir(), source }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    pub(crate) fn request(what: &str) -> impl FnOnce(conclave_client::Error) -> Self + use<> {
        let what = what.to_owned();
        move |source| Self::Request { what, source }
    }
}
