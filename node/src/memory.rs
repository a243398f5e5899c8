//! Keeps secrets in memory out of core dumps, debuggers, swap and files that others may read.
//!
//! Works on the whole process, so it runs before the first thread starts. What cannot be done is said and does not stop
//! the server; locking the pages that hold keys is the vault's own work.

use std::fs;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};

/// Hardens the process. Answers what an operator should know, as sentences.
pub fn harden() -> Vec<String> {
    let mut notes = Vec::new();
    // Whatever the caller's mask is, files of this process are for its user alone.
    umask(Mode::from_raw_mode(0o077));
    if setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_err() {
        notes.push("core dumps could not be turned off; a dump would hold secrets".to_owned());
    }
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        notes.push("other processes of this user can read this one's memory".to_owned());
    }
    if rustix::thread::set_no_new_privs(true).is_err() {
        notes.push("programs started from here could gain privileges".to_owned());
    }
    raise_soft(Resource::Memlock);
    raise_soft(Resource::Nofile);
    notes
}

/// What to say about swap; `None` if there is none, or the operator has accepted it with `disable_mlock`.
pub fn swap_warning(is_accepted: bool) -> Option<&'static str> {
    let has_swap = fs::read_to_string("/proc/swaps").is_ok_and(|text| has_swap(&text));
    (has_swap && !is_accepted).then_some(
        "swap is on: pages of keys are locked, but buffers of requests may be written to disk; \
         turn swap off, or set disable_mlock = true to accept it",
    )
}

/// What to say if keys could not be locked into memory; `None` if all are.
pub fn lock_warning() -> Option<&'static str> {
    (!conclave_vault::is_everything_locked()).then_some(
        "the system does not lock pages of keys, so they may be written to swap; raise the limit of locked memory \
         (RLIMIT_MEMLOCK, with systemd LimitMEMLOCK=infinity), or turn swap off",
    )
}

/// Whether `/proc/swaps` lists anything below its head line.
fn has_swap(text: &str) -> bool {
    text.lines().skip(1).any(|line| !line.trim().is_empty())
}

fn raise_soft(resource: Resource) {
    let limit = getrlimit(resource);
    // The hard limit is the administrator's word; the soft one is only a default.
    let _ = setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_device_is_noticed() {
        assert!(!has_swap("Filename\tType\tSize\tUsed\tPriority\n"));
        assert!(has_swap("Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n"));
    }
}
