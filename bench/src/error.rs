//! Why something cannot be measured.

use std::io;
use std::path::PathBuf;

use conclave_jepsen::cluster::ClusterError;

/// Why something cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A cluster does not come up.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A call that prepares a measurement.
    #[error("{what}: {source}")]
    Call { what: String, source: conclave_client::Error },
    /// The operating system.
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
    /// A connection under load.
    #[error("{address}: {detail}")]
    Connection { address: String, detail: String },
    /// A server refused some of the requests, so that its times say nothing.
    #[error("{case}: {subject} refused or lost {failed} of {sent} requests, the first with {first}")]
    Failed { case: String, subject: String, failed: u64, sent: u64, first: String },
    /// A process that should serve does not.
    #[error("{name} does not answer; the end of what it said:\n{tail}")]
    Silent { name: String, tail: String },
    /// A file of results.
    #[error("{path} is no result of `run --json`: {source}", path = .path.display())]
    Result { path: PathBuf, source: serde_json::Error },
    /// No case has such a name.
    #[error("no case fits what was asked for; `list` shows them")]
    NoCase,
    /// A plot.
    #[error("a plot cannot be drawn: {0}")]
    Plot(String),
    /// Something in the settings.
    #[error("{0}")]
    Settings(String),
}

impl BenchError {
    pub(crate) fn system(what: &str) -> impl FnOnce(io::Error) -> Self + use<> {
        let what = what.to_owned();
        move |source| Self::System { what, source }
    }

    pub(crate) fn call(what: &str) -> impl FnOnce(conclave_client::Error) -> Self + use<> {
        let what = what.to_owned();
        move |source| Self::Call { what, source }
    }
}
