//! One run: a cluster, a workload, a nemesis, and the judgement of what came of it.
//!
//! A run's folder holds everything needed to judge it again: `run.json`, `history.jsonl`, `faults.jsonl`, and the nodes'
//! logs and data under `cluster/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::check::{self, Findings, Verdict};
use crate::cluster::{Cluster, ClusterError, Options};
use crate::history::{self, HistoryError, Recorder};
use crate::nemesis::{self, Strike};
use crate::workload::register::{KEPT_VERSIONS, MOUNT, Register};
use crate::{coverage, readback};

/// What to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// How many nodes.
    pub nodes: usize,
    /// How long the load lasts, in seconds.
    pub secs: u64,
    /// Decides the schedule.
    pub seed: u64,
    /// The server; see [`Options::binary`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<PathBuf>,
}

/// Why a run came to no judgement.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cluster does not do what it must; that it does not come back after a fault is one such thing.
    #[error("the cluster: {0}")]
    Cluster(#[from] ClusterError),
    /// The history.
    #[error("the history: {0}")]
    History(#[from] HistoryError),
    /// A request of the harness itself failed.
    #[error("{what}: {source}")]
    Request {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: conclave_client::Error,
    },
    /// A file of the run.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says, or what is wrong inside.
        source: io::Error,
    },
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub settings: Settings,
    /// What the checkers found.
    pub findings: Findings,
    /// What the nemesis did.
    pub strikes: Vec<Strike>,
    /// Why the run proves nothing, as sentences; empty if it does.
    pub missing: Vec<String>,
}

impl Report {
    /// Whether the run proves what it should: linearizable, and worth judging.
    pub fn has_passed(&self) -> bool {
        matches!(self.findings.verdict(), Verdict::Linearizable) && self.missing.is_empty()
    }

    /// Whether a violation was found.
    pub fn has_violation(&self) -> bool {
        !self.findings.violations.is_empty()
    }

    /// The report in words, several lines.
    pub fn text(&self) -> String {
        let Findings { keys, searched, operations, violations, unknown } = &self.findings;
        let mut lines = vec![format!(
            "{operations} operations on {keys} keys ({searched} of them searched), {} faults",
            self.strikes.len()
        )];
        lines.extend(self.missing.iter().map(|sentence| format!("not covered: {sentence}")));
        lines.extend(unknown.iter().map(|(key, reason)| format!("unknown: key {key}: {reason}")));
        lines.extend(violations.first().map(|violation| format!("violation: {violation}")));
        if violations.len() > 1 {
            lines.push(format!("and {} more keys are not linearizable", violations.len() - 1));
        }
        lines.push(match (self.findings.verdict(), self.missing.is_empty()) {
            (Verdict::Violation(_), _) => "verdict: not linearizable".to_owned(),
            (Verdict::Linearizable, true) => "verdict: linearizable".to_owned(),
            (Verdict::Linearizable, false) => "verdict: unknown, because the run covers too little".to_owned(),
            (Verdict::Unknown(_), _) => "verdict: unknown".to_owned(),
        });
        lines.join("\n")
    }
}

/// Runs and judges. `folder` must not hold a run yet.
///
/// # Errors
/// Any [`RunError`].
pub async fn run(settings: Settings, folder: &Path) -> Result<Report, RunError> {
    fs::create_dir_all(folder).map_err(file(folder))?;
    let folder = folder.canonicalize().map_err(file(folder))?;
    let recorder = Arc::new(Recorder::create(&folder.join("history.jsonl"))?);
    write(&folder.join("run.json"), &serde_json::to_string_pretty(&settings).unwrap_or_default())?;
    let options = Options {
        nodes: settings.nodes,
        binary: settings.server.clone(),
        root: Some(folder.join("cluster")),
        ..Options::default()
    };
    let cluster = Cluster::start(options).await?;
    let strikes = perform(&cluster, &settings, &recorder).await?;
    let lines = strikes.iter().map(|strike| json!(strike).to_string() + "\n");
    write(&folder.join("faults.jsonl"), &lines.collect::<String>())?;
    recorder.finish()?;
    drop(cluster);
    judge(&folder)
}

/// Load and faults together, then quiet, then the read-back.
async fn perform(cluster: &Cluster, settings: &Settings, recorder: &Arc<Recorder>) -> Result<Vec<Strike>, RunError> {
    let request = |what| move |source| RunError::Request { what, source };
    let keep = json!({ "max_versions": KEPT_VERSIONS });
    let kept = cluster.client().raw(conclave_client::Method::Post, &format!("{MOUNT}/config"), &[], Some(&keep)).await;
    kept.map_err(request("keeping all versions"))?;
    let register = Register::new(Arc::clone(recorder));
    let clients = register.begin(cluster, settings.seed).map_err(request("setting up clients"))?;
    let until = Instant::now() + Duration::from_secs(settings.secs);
    let strikes = nemesis::torment(cluster, recorder, settings.seed, until, |node| register.note_leader(node)).await;
    register.end();
    clients.join_all().await;
    let strikes = strikes.inspect_err(|_| {
        // The history may show why; that it could not be completed is the smaller trouble.
        let _ = recorder.finish();
    })?;
    cluster.wait_until_serving().await?;
    readback::read(&cluster.client(), recorder, register.process()).await.map_err(request("reading back"))?;
    Ok(strikes)
}

/// Judges a run from its folder.
///
/// # Errors
/// [`RunError::File`] and [`RunError::History`].
pub fn judge(folder: &Path) -> Result<Report, RunError> {
    let settings: Settings = parse(&folder.join("run.json"))?
        .into_iter()
        .next()
        .ok_or_else(|| RunError::File { path: folder.join("run.json"), source: io::Error::other("it is empty") })?;
    let strikes: Vec<Strike> = parse(&folder.join("faults.jsonl"))?;
    let events = history::read(&folder.join("history.jsonl"))?;
    let findings = check::check(&events)?;
    let missing = coverage::missing(&events, &strikes, settings.nodes, Duration::from_secs(settings.secs));
    Ok(Report { settings, findings, strikes, missing })
}

/// All JSON documents of a file.
fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>, RunError> {
    let text = fs::read_to_string(path).map_err(file(path))?;
    let documents = serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>();
    documents.map_err(|error| RunError::File { path: path.to_owned(), source: error.into() })
}

fn write(path: &Path, text: &str) -> Result<(), RunError> {
    fs::write(path, text).map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> RunError + use<> {
    let path = path.to_owned();
    move |source| RunError::File { path, source }
}
