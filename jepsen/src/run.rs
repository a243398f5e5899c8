//! One run: a cluster, a load, a nemesis, and the judgement of what came of it.
//!
//! A run's folder holds everything needed to judge it again: `run.json`, `history.jsonl`, `faults.jsonl`, how the nodes were
//! (`samples.jsonl`), and the nodes' logs and data under `cluster/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::check::{self, Findings, Verdict};
use crate::cluster::{Cluster, ClusterError, Options};
use crate::history::{self, HistoryError, Recorder};
use crate::nemesis::{self, Outcome, Strike};
use crate::sample::{self, Sample};
use crate::scenario::Settings;
use crate::workload::{Clients, Stage};
use crate::{coverage, readback};

/// Why a run came to no judgement.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The machine cannot do what the scenario needs.
    #[error("skipped: {0}")]
    Skipped(String),
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
    pub findings: Vec<Findings>,
    /// What the nemesis did.
    pub strikes: Vec<Strike>,
    /// Why the run proves nothing, as sentences; empty if it does.
    pub missing: Vec<String>,
}

impl Report {
    /// Whether the run proves what it should: nothing is wrong, nothing unknown, and it was worth judging.
    pub fn has_passed(&self) -> bool {
        let holds = |findings: &Findings| matches!(findings.verdict(), Verdict::Linearizable);
        self.findings.iter().all(holds) && self.missing.is_empty()
    }

    /// How many operations were judged.
    pub fn operations(&self) -> usize {
        self.findings.iter().map(|findings| findings.operations).sum()
    }

    /// Whether a violation was found.
    pub fn has_violation(&self) -> bool {
        self.findings.iter().any(|findings| !findings.violations.is_empty())
    }

    /// The report in words, several lines.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for Findings { checker, keys, searched, operations, violations, unknown } in &self.findings {
            lines.push(format!("{checker}: {operations} operations on {keys} keys ({searched} of them searched)"));
            lines.extend(unknown.iter().map(|(key, reason)| format!("unknown: key {key}: {reason}")));
            lines.extend(violations.first().map(|violation| format!("violation: {violation}")));
            if violations.len() > 1 {
                lines.push(format!("and {} more violations", violations.len() - 1));
            }
        }
        let installed = self.strikes.iter().filter(|strike| strike.outcome == Outcome::Installed).count();
        lines.push(format!("{installed} faults of {} that were tried", self.strikes.len()));
        lines.extend(self.missing.iter().map(|sentence| format!("not covered: {sentence}")));
        lines.push(format!("verdict: {}", self.verdict()));
        lines.join("\n")
    }

    /// The verdict in words.
    pub fn verdict(&self) -> &'static str {
        match (self.has_violation(), self.has_passed(), self.missing.is_empty()) {
            (true, _, _) => "violation",
            (_, true, _) => "pass",
            (_, _, false) => "unknown, because the run covers too little",
            (_, _, true) => "unknown",
        }
    }
}

/// Runs and judges. `folder` must not hold a run yet.
///
/// # Errors
/// Any [`RunError`].
pub async fn run(settings: Settings, folder: &Path) -> Result<Report, RunError> {
    run_with(settings, folder, None).await
}

/// The same with a fault planted in the servers; see [`crate::mutant`].
///
/// # Errors
/// Any [`RunError`].
pub async fn run_with(mut settings: Settings, folder: &Path, mutant: Option<&str>) -> Result<Report, RunError> {
    let lacks = settings.lacks();
    if !lacks.is_empty() {
        return Err(RunError::Skipped(lacks.join("; ")));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    settings.began_secs = now.map_or(0, |now| now.as_secs());
    fs::create_dir_all(folder).map_err(file(folder))?;
    let folder = folder.canonicalize().map_err(file(folder))?;
    let recorder = Arc::new(Recorder::create(&folder.join("history.jsonl"))?);
    write(&folder.join("run.json"), &serde_json::to_string_pretty(&settings).unwrap_or_default())?;
    let environment = mutant.map(|name| ("CONCLAVE_MUTANT".to_owned(), name.to_owned())).into_iter().collect();
    let options = Options { environment, root: Some(folder.join("cluster")), ..settings.options() };
    let cluster = Cluster::start(options).await?;
    if let Some(network) = cluster.network() {
        network.switch().lay(|from, to| settings.link(from, to));
    }
    let mut samples = Vec::new();
    let strikes = tokio::select! {
        strikes = perform(&cluster, &settings, &recorder) => strikes,
        () = sample::watch(&cluster, &recorder, &mut samples) => unreachable!("it watches for ever"),
    };
    write_lines(&folder.join("samples.jsonl"), &samples)?;
    let strikes = strikes.inspect_err(|_| {
        // The history may show why; that it could not be completed is the smaller trouble.
        let _ = recorder.finish();
    })?;
    write_lines(&folder.join("faults.jsonl"), &strikes)?;
    if let Some(network) = cluster.network() {
        write_lines(&folder.join("links.jsonl"), &network.switch().counts())?;
    }
    recorder.finish()?;
    drop(cluster);
    judge(&folder)
}

/// Load and faults together, then quiet, then the read-back.
async fn perform(cluster: &Cluster, settings: &Settings, recorder: &Arc<Recorder>) -> Result<Vec<Strike>, RunError> {
    let request = |what| move |source| RunError::Request { what, source };
    let stage = Stage::new(cluster, Arc::clone(recorder)).map_err(request("setting up clients"))?;
    let mut clients = Clients::default();
    for workload in &settings.workloads {
        let begun = workload.begin(&stage, settings.seed, &mut clients).await;
        begun.map_err(request("setting up a load"))?;
    }
    let until = Instant::now() + Duration::from_secs(settings.secs);
    let schedule = (settings.seed, settings.faults.as_slice());
    let strikes = nemesis::torment(cluster, recorder, schedule, until, |node| stage.note_leader(node)).await;
    stage.end();
    clients.tasks.join_all().await;
    let strikes = strikes?;
    cluster.wait_until_serving().await?;
    for closing in clients.closing {
        closing.await;
    }
    readback::read(&cluster.client(), recorder, stage.process()).await.map_err(request("reading back"))?;
    Ok(strikes)
}

/// Judges a run from its folder.
///
/// # Errors
/// [`RunError::File`] and [`RunError::History`].
pub fn judge(folder: &Path) -> Result<Report, RunError> {
    let settings = settings(folder)?;
    let strikes: Vec<Strike> = parse(&folder.join("faults.jsonl"))?;
    let events = history::read(&folder.join("history.jsonl"))?;
    let findings = check::check_all(&events)?;
    let missing = coverage::missing(&events, &strikes, &settings);
    Ok(Report { settings, findings, strikes, missing })
}

/// What was run in a folder.
///
/// # Errors
/// [`RunError::File`].
pub fn settings(folder: &Path) -> Result<Settings, RunError> {
    let path = folder.join("run.json");
    let empty = || RunError::File { path: path.clone(), source: io::Error::other("it is empty") };
    parse(&path)?.into_iter().next().ok_or_else(empty)
}

/// How the nodes were in the run of a folder.
///
/// # Errors
/// [`RunError::File`].
pub fn samples(folder: &Path) -> Result<Vec<Sample>, RunError> {
    parse(&folder.join("samples.jsonl"))
}

/// All JSON documents of a file.
fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>, RunError> {
    let text = fs::read_to_string(path).map_err(file(path))?;
    let documents = serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>();
    documents.map_err(|error| RunError::File { path: path.to_owned(), source: error.into() })
}

fn write_lines(path: &Path, values: &[impl Serialize]) -> Result<(), RunError> {
    let lines = values.iter().map(|value| serde_json::to_string(value).unwrap_or_default() + "\n");
    write(path, &lines.collect::<String>())
}

/// Writes a file of a run.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), RunError> {
    fs::write(path, text).map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> RunError + use<> {
    let path = path.to_owned();
    move |source| RunError::File { path, source }
}
