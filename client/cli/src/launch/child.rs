//! Runs a program, and shows its output without the secrets it was given.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::mask::{Masker, Patterns};
use crate::failure::Failure;

/// How much of the output is looked at in one go.
const CHUNK_BYTES: usize = 16 << 10;

/// How shells report that a program is not there, cannot be run, or was ended by a signal (POSIX.1-2017, Shell Command
/// Language, 2.8.2).
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
const BY_SIGNAL: i32 = 128;

/// Runs it to its end and gives its exit code. Without patterns it writes to this process's own output itself.
pub(crate) async fn run(
    words: &[OsString],
    environment: BTreeMap<OsString, OsString>,
    patterns: Option<Patterns>,
) -> Result<u8, Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(0) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment);
    if patterns.is_some() {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    // Before the start, so that no signal is lost.
    let mut signals = watch()?;
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_started(program, &error)),
    };
    let pumps = pumps(&mut child, patterns)?;
    let status = wait(&mut child, &mut signals).await?;
    for pump in pumps {
        let ended = tokio::task::spawn_blocking(move || pump.join()).await;
        ended
            .map_err(std::io::Error::other)?
            .map_err(|_| std::io::Error::other("the masking of the output broke off"))?;
    }
    Ok(exit_code(status))
}

fn not_started(program: &OsStr, error: &std::io::Error) -> u8 {
    crate::output::complain(&format!("{}: {error}", program.display()), false);
    if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|number| BY_SIGNAL + number));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// The signals that are handed on, as they come.
fn watch() -> Result<mpsc::Receiver<Signal>, Failure> {
    let mut wanted = vec![Signal::TERM, Signal::HUP, Signal::USR1, Signal::USR2];
    let (sender, receiver) = mpsc::channel(16);
    // A terminal sends these to the program too; it shall not get them twice.
    let from_terminal = [Signal::INT, Signal::QUIT];
    let is_terminal = std::io::stdin().is_terminal();
    wanted.extend(from_terminal);
    for number in wanted {
        let mut arriving = signal(SignalKind::from_raw(number.as_raw()))?;
        let is_ignored = is_terminal && from_terminal.contains(&number);
        let sender = sender.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() {
                if !is_ignored && sender.send(number).await.is_err() {
                    break;
                }
            }
        });
    }
    Ok(receiver)
}

async fn wait(child: &mut Child, signals: &mut mpsc::Receiver<Signal>) -> Result<ExitStatus, Failure> {
    let process = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            Some(number) = signals.recv() => {
                // It may have ended just now, which the next round finds.
                let _ = process.map(|process| kill_process(process, number));
            }
        }
    }
}

fn pumps(child: &mut Child, patterns: Option<Patterns>) -> Result<Vec<JoinHandle<()>>, Failure> {
    let Some(patterns) = patterns.map(Arc::new) else { return Ok(Vec::new()) };
    let mut started = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        started.push(pump(stdout.into_owned_fd()?, std::io::stdout(), Arc::clone(&patterns)));
    }
    if let Some(stderr) = child.stderr.take() {
        started.push(pump(stderr.into_owned_fd()?, std::io::stderr(), patterns));
    }
    Ok(started)
}

/// Masks until the stream ends. If nobody reads on, the program is told by its own writes.
fn pump(from: OwnedFd, mut to: impl Write + Send + 'static, patterns: Arc<Patterns>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut from, mut masker) = (File::from(from), Masker::new(&patterns));
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = match from.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            let shown = masker.push(&chunk[..count]);
            if to.write_all(&shown).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
        // As above: whoever does not read on misses nothing.
        let _ = to.write_all(&masker.finish()).and_then(|()| to.flush());
    })
}
