//! Processes that are measured, and what the system says of them.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conclave_jepsen::spawner;

use crate::connection::Target;
use crate::error::BenchError;

/// How often a process that starts is asked whether it listens, every tenth of a second.
const TRIES: u32 = 200;
/// `USER_HZ` of Linux, the unit of processor times in proc_pid_stat(5).
const TICKS_PER_SECOND: u64 = 100;
/// Bytes of a log that an error shows.
const TAIL_BYTES: usize = 800;

/// A process that ends with this value.
pub(crate) struct Running {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Running {
    /// Starts a command; what it says goes to a file of the folder.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self, BenchError> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).map_err(BenchError::system("making a log"))?;
        let errors = output.try_clone().map_err(BenchError::system("making a log"))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = spawner::spawn(command).map_err(BenchError::system(&format!("starting {name}")))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it takes connections.
    pub(crate) async fn wait_until_listening(&self, target: &Target) -> Result<(), BenchError> {
        for _ in 0..TRIES {
            if target.connect().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let said = fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(TAIL_BYTES)..]).into_owned();
        Err(BenchError::Silent { name: self.name.clone(), tail })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time that processes have used so far, of user and system together.
pub(crate) fn cpu_time(processes: &[u32]) -> Duration {
    let ticks: u64 =
        processes.iter().filter_map(|id| ticks(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Fields 14 and 15 of proc_pid_stat(5). The name before may hold blanks, but no bracket follows it.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Resident memory of processes together, in bytes.
pub(crate) fn resident_bytes(processes: &[u32]) -> u64 {
    let of_one = |id: &u32| resident(&fs::read_to_string(format!("/proc/{id}/status")).ok()?);
    processes.iter().filter_map(of_one).sum()
}

/// VmRSS of proc_pid_status(5).
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read_rightly() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 2 3 4 120 30 5 6 20 0 1 0 100 1000 10";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t  2048 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
        assert!(resident_bytes(&[std::process::id()]) > 100_000);
    }
}
