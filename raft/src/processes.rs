//! Which processes speak under a node's id.
//!
//! A process has a name of its own, made when it started, and says it with every request. After a restart a node's
//! old name is not heard any more; if it is, two processes run under one id, because somebody copied a data folder or
//! stole a node's key. This only takes notes; what follows from them is the node's decision.

use std::collections::HashMap;

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a process's name.
pub const PROCESS_BYTES: usize = 16;
/// A process that was not heard for so long is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
/// Most processes remembered for one node; the one heard longest ago goes first.
const MOST: usize = 4;

/// A process that spoke under a node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: [u8; PROCESS_BYTES],
    /// When it was heard for the first time here.
    pub first: Instant,
    /// When it was heard last here.
    pub last: Instant,
}

/// Notes on every member.
#[derive(Default)]
pub(crate) struct Processes(Mutex<HashMap<u64, Vec<Process>>>);

impl Processes {
    /// Notes that a process spoke. Only members are noted, so there are never many.
    pub(crate) fn note(&self, node: u64, name: [u8; PROCESS_BYTES], now: Instant) {
        let mut all = self.0.lock();
        let known = all.entry(node).or_default();
        if let Some(process) = known.iter_mut().find(|process| process.name == name) {
            process.last = now;
            return;
        }
        known.retain(|process| now.duration_since(process.last) < MEMORY);
        if known.len() == MOST
            && let Some(oldest) = (0..MOST).min_by_key(|at| known[*at].last)
        {
            known.swap_remove(oldest);
        }
        known.push(Process { name, first: now, last: now });
    }

    /// Who spoke under a node's id lately.
    pub(crate) fn of(&self, node: u64, now: Instant) -> Vec<Process> {
        let all = self.0.lock();
        let known = all.get(&node).into_iter().flatten();
        known.filter(|process| now.duration_since(process.last) < MEMORY).copied().collect()
    }

    /// When a node was heard last, however long ago; `None` if never since this process started.
    pub(crate) fn last_heard(&self, node: u64) -> Option<Instant> {
        self.0.lock().get(&node)?.iter().map(|process| process.last).max()
    }

    /// Forgets those who are no members any more.
    pub(crate) fn keep_only(&self, members: &[u64]) {
        self.0.lock().retain(|node, _| members.contains(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> [u8; PROCESS_BYTES] {
        [number; PROCESS_BYTES]
    }

    fn names(processes: &Processes, now: Instant) -> Vec<u8> {
        processes.of(7, now).iter().map(|process| process.name[0]).collect()
    }

    #[test]
    fn two_processes_under_one_id_are_both_remembered_for_a_minute() {
        let (processes, start) = (Processes::default(), Instant::now());
        let at = |secs: u64| start + Duration::from_secs(secs);
        processes.note(7, name(1), at(0));
        processes.note(7, name(2), at(1));
        processes.note(7, name(1), at(2));
        assert_eq!(names(&processes, at(3)), [1, 2]);
        let first = processes.of(7, at(3))[0];
        assert_eq!((first.first, first.last), (at(0), at(2)));
        assert_eq!(names(&processes, at(61)), [1]);
        assert_eq!(names(&processes, at(62)), [0; 0]);
        assert!(processes.of(8, at(3)).is_empty());
    }

    #[test]
    fn a_node_that_restarts_again_and_again_takes_no_more_room() {
        let (processes, start) = (Processes::default(), Instant::now());
        for number in 0..100 {
            processes.note(7, name(number), start + Duration::from_millis(number.into()));
        }
        assert_eq!(processes.of(7, start + Duration::from_secs(1)).len(), MOST);
        assert!(names(&processes, start + Duration::from_secs(1)).contains(&99));
        let last = start + Duration::from_millis(99);
        assert_eq!((processes.last_heard(7), processes.last_heard(8)), (Some(last), None));
        processes.keep_only(&[8]);
        assert!(processes.of(7, start).is_empty());
    }
}
