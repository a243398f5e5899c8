//! One server process: its life and the signals it gets.
//!
//! What surprises: a stopped process (SIGSTOP) still runs as far as the system is concerned; its sockets accept
//! connections and answer nothing.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::spawner;

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs.
    Running,
    /// It was halted and can be continued.
    Paused,
    /// There is none.
    Down,
}

/// A process that may be there or not.
#[derive(Default)]
pub(super) struct Process {
    child: Option<Child>,
    is_paused: bool,
    namespace: Option<Arc<OwnedFd>>,
}

impl Process {
    /// Lets the next start happen within a network namespace.
    pub(super) fn place_within(&mut self, namespace: Arc<OwnedFd>) {
        self.namespace = Some(namespace);
    }

    /// Starts `conclave server` with its output added to `log`.
    pub(super) fn spawn(
        &mut self,
        program: &Path,
        configuration: &Path,
        log: &Path,
        environment: &[(String, String)],
    ) -> io::Result<()> {
        if self.life() != Life::Down {
            return Err(io::Error::other("it runs already"));
        }
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command
            .arg("server")
            .arg(format!("-config={}", configuration.display()))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        self.child = Some(spawner::spawn_within(command, self.namespace.clone())?);
        self.is_paused = false;
        Ok(())
    }

    /// What it is doing now. One that ended is reaped.
    pub(super) fn life(&mut self) -> Life {
        if let Some(child) = &mut self.child
            && !matches!(child.try_wait(), Ok(None))
        {
            self.child = None;
        }
        match (&self.child, self.is_paused) {
            (None, _) => Life::Down,
            (Some(_), true) => Life::Paused,
            (Some(_), false) => Life::Running,
        }
    }

    /// The process id, while there is a process.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal. The id belongs to our child until it is reaped, so it reaches nobody else.
    pub(super) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.life() == Life::Down {
            return Err(io::Error::other("it does not run"));
        }
        let child = self.child.as_ref().ok_or_else(|| io::Error::other("it does not run"))?;
        kill_process(Pid::from_child(child), signal)?;
        match signal {
            Signal::STOP => {
                await_stop(child.id())?;
                self.is_paused = true;
            }
            Signal::CONT => self.is_paused = false,
            _ => {}
        }
        Ok(())
    }

    /// Kills it and waits until it is gone.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            // An error means that it ended meanwhile, which the wait finds out.
            let _ = child.kill();
            child.wait()?;
        }
        Ok(())
    }
}

/// Waits until all threads of a process stand still: SIGSTOP is obeyed when the main thread gets its turn, and others run until
/// then.
fn await_stop(process: u32) -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_stopped(process)? {
        if Instant::now() >= end {
            return Err(io::Error::other("it does not stop"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether no thread runs: the state is the first field behind the name, which stands in parentheses (proc(5)).
fn is_stopped(process: u32) -> io::Result<bool> {
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
        if !stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}
