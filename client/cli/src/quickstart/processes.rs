//! The node processes: started in groups of their own, so that an interrupt reaches only this command, which then stops
//! them in good order. Each reads its end of a pipe whose other end this command holds: should it be killed, the pipe
//! ends and they stop by themselves.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::Node;
use super::error::QuickstartError;
use super::folder::Folder;

/// How long a node may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How many lines of a log an error shows.
const TAIL_LINES: usize = 15;

/// A node that ended by itself.
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) log: PathBuf,
    /// How, as the system says it.
    pub(super) how: String,
}

impl Ended {
    /// As an error that shows the end of the node's log.
    pub(super) fn into_error(self) -> QuickstartError {
        QuickstartError::NodeStopped { tail: tail(&self.log), name: self.name, how: self.how, log: self.log }
    }
}

struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

/// All node processes.
pub(super) struct Processes(Vec<Process>);

impl Processes {
    /// Starts a process for each node.
    pub(super) fn start(folder: &Folder, nodes: &[Node]) -> Result<Self, QuickstartError> {
        nodes.iter().map(|node| start(folder, node)).collect::<Result<_, _>>().map(Self)
    }

    /// Resolves when a node ended by itself, which then is none of these any more.
    pub(super) async fn next_ended(&mut self) -> Ended {
        loop {
            for index in 0..self.0.len() {
                let how = match self.0[index].child.try_wait() {
                    Ok(None) => continue,
                    Ok(Some(status)) => status.to_string(),
                    Err(error) => error.to_string(),
                };
                let Process { name, log, .. } = self.0.remove(index);
                return Ended { name, log, how };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none runs any more.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Stops all nodes, and kills those that do not.
    pub(super) async fn stop(&mut self) {
        for process in &self.0 {
            let pid = process.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            if let Some(pid) = pid {
                // It may have ended meanwhile, which is as good.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        for process in &mut self.0 {
            if tokio::time::timeout(STOP_TIMEOUT, process.child.wait()).await.is_err() {
                let _ = process.child.kill().await;
            }
        }
    }
}

fn start(folder: &Folder, node: &Node) -> Result<Process, QuickstartError> {
    let log = folder.log(node);
    let failed = |path: PathBuf| move |source| QuickstartError::File { path, source };
    let output = File::options().create(true).append(true).open(&log).map_err(failed(log.clone()))?;
    let errors = output.try_clone().map_err(failed(log.clone()))?;
    let program = std::env::current_exe().map_err(failed("the running program".into()))?;
    let child = Command::new(&program)
        .args(["server", "-stop-at-end-of-input"])
        .arg(format!("-config={}", folder.configuration(node).display()))
        .stdin(std::process::Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed(program))?;
    Ok(Process { name: node.name.clone(), log, child })
}

fn tail(log: &PathBuf) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
