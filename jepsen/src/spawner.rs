//! Starts processes that the kernel kills when this process ends, however it ends.
//!
//! The kernel ties that to the thread that started the process, not to the process. So one thread, which lives as long
//! as this process, starts them all; a test's own threads come and go.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use rustix::process::Signal;

/// What a process is to be, beyond its command.
type Namespace = Option<Arc<OwnedFd>>;
type SpawnOrder = (Command, Sender<io::Result<Child>>);

static SPAWNER: OnceLock<Mutex<Sender<SpawnOrder>>> = OnceLock::new();

/// Starts a process in a group of its own, so that an interrupt at the terminal reaches only this one.
///
/// # Errors
/// What the system says.
pub fn spawn(command: Command) -> io::Result<Child> {
    spawn_within(command, None)
}

/// The same, within a network namespace if there is to be one.
///
/// # Errors
/// What the system says.
pub fn spawn_within(mut command: Command, namespace: Namespace) -> io::Result<Child> {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    if let Some(namespace) = namespace {
        enter(&mut command, namespace);
    }
    #[cfg(target_os = "linux")]
    die_with_parent(&mut command);
    let (answer, answered) = channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    let spawner = SPAWNER.get_or_init(|| Mutex::new(start())).lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    spawner.send((command, answer)).map_err(|_| io::Error::other("the thread that starts processes is gone"))?;
    drop(spawner);
    answered.recv().map_err(gone)?
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let arm = || rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    // SAFETY: between fork and exec only one system call is made; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(arm);
    }
}

#[cfg(target_os = "linux")]
fn enter(command: &mut Command, namespace: Arc<OwnedFd>) {
    let enter = move || {
        // SAFETY: it takes no pointers, and the descriptor is open for as long as the closure lives.
        let done = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only one system call is made; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(enter);
    }
}

fn start() -> Sender<SpawnOrder> {
    let (orders, inbox) = channel::<SpawnOrder>();
    thread::spawn(move || {
        for (mut command, answer) in inbox {
            // Whoever asked may have given up; the process then ends with the handle.
            if let Err(unheard) = answer.send(command.spawn())
                && let Ok(mut child) = unheard.0
            {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    });
    orders
}
