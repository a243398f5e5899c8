//! Which processes speak under a node's id.
//!
//! A process has a name of its own, made when it started, and says it with every request. After a restart a node's
//! old name is not heard any more; if it is, two processes run under one id, because somebody copied a data folder or
//! stole a node's key. This only takes notes; what follows from them is decided elsewhere. What surprises: the last words of
//! a process that ended may arrive after the first of its successor, as after a fault of the network, so one word proves
//! nothing.

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
/// For how long an older process must have gone on beside a newer one. What was held back of one that ended arrives at once.
const BESIDE: Duration = Duration::from_secs(1);
/// How long ago a process may have been heard last and count as alive: some probes, which are made once a second.
pub(crate) const ALIVE: Duration = Duration::from_secs(5);

/// A process that spoke under a node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: [u8; PROCESS_BYTES],
    /// When it was heard for the first time here.
    pub first: Instant,
    /// When it was heard last here.
    pub last: Instant,
    /// When it was heard for the first time after the newest of the others was; `None` if it is the newest, or has not been
    /// heard since.
    pub beside_since: Option<Instant>,
}

/// Notes on every member.
#[derive(Default)]
pub(crate) struct Processes(Mutex<HashMap<u64, Vec<Process>>>);

/// Whether two of a node's processes are alive: an older one goes on beside a newer one.
fn are_two(known: &[Process], now: Instant) -> bool {
    let is_alive = |process: &&Process| now.duration_since(process.last) < ALIVE;
    let goes_on = |process: &Process| process.beside_since.is_some_and(|since| process.last - since >= BESIDE);
    let mut older = known.iter().filter(is_alive).filter(|process| goes_on(process));
    older.any(|older| known.iter().filter(is_alive).any(|newer| newer.first > older.first))
}

impl Processes {
    /// Notes that a process spoke. Only members are noted, so there are never many.
    pub(crate) fn note(&self, node: u64, name: [u8; PROCESS_BYTES], now: Instant) {
        let mut all = self.0.lock();
        let known = all.entry(node).or_default();
        let newest = known.iter().map(|process| process.first).max();
        if let Some(process) = known.iter_mut().find(|process| process.name == name) {
            process.last = now;
            if newest > Some(process.first) {
                process.beside_since.get_or_insert(now);
            }
            return;
        }
        known.retain(|process| now.duration_since(process.last) < MEMORY);
        if known.len() == MOST
            && let Some(oldest) = (0..MOST).min_by_key(|at| known[*at].last)
        {
            known.swap_remove(oldest);
        }
        known.iter_mut().for_each(|process| process.beside_since = None);
        known.push(Process { name, first: now, last: now, beside_since: None });
    }

    /// Whether two processes run under a node's id.
    pub(crate) fn is_doubled(&self, node: u64, now: Instant) -> bool {
        self.0.lock().get(&node).is_some_and(|known| are_two(known, now))
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

    /// Says in order who is heard at which millisecond, and whether they are two at the end.
    fn are_two_after(heard: &[(u8, u64)], asked_at: u64) -> bool {
        let (processes, start) = (Processes::default(), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        heard.iter().for_each(|(number, millis)| processes.note(7, name(*number), at(*millis)));
        processes.is_doubled(7, at(asked_at))
    }

    #[test]
    fn a_copy_beside_its_node_is_noticed_until_one_of_them_is_gone() {
        let both: Vec<_> = (0..4).flat_map(|second| [(1, second * 1_000), (2, second * 1_000 + 500)]).collect();
        assert!(!are_two_after(&both[..4], 1_600), "one word after the other's first proves nothing");
        assert!(are_two_after(&both, 3_600));
        assert!(!are_two_after(&both, 8_100), "the older one is silent by now");
        let without_the_copy: Vec<_> = both.iter().copied().chain((4..=9).map(|second| (1, second * 1_000))).collect();
        assert!(are_two_after(&without_the_copy[..10], 5_000));
        assert!(!are_two_after(&without_the_copy, 9_000));
        // And a restart of it then is no second process.
        let restarted: Vec<_> = without_the_copy.into_iter().chain([(3, 9_500), (3, 10_500), (3, 11_500)]).collect();
        assert!(!are_two_after(&restarted, 11_500));
    }

    #[test]
    fn the_last_words_of_a_process_that_ended_are_no_second_process() {
        // A fault held them back until its successor had spoken for a while.
        let heard = [(1, 0), (2, 2_000), (2, 3_000), (1, 3_001), (1, 3_002), (1, 3_100), (2, 4_000), (2, 5_000)];
        assert!(!are_two_after(&heard, 5_001));
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
