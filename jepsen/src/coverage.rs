//! Whether a run could have found anything: a cluster that was never hurt, or never asked, passes every checker.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::history::{Event, Function, Kind};
use crate::nemesis::{Fault, Outcome, Strike};

/// Operations that must have been done for each second of a run, so that a cluster that mostly refuses does not pass.
const DONE_EACH_SECOND: u64 = 10;
/// A run at least this long must have seen every fault.
const EVERY_FAULT_AFTER: Duration = Duration::from_secs(60);

/// What is missing, as sentences; nothing if the run is worth judging.
pub fn missing(events: &[Event], strikes: &[Strike], nodes: usize, length: Duration) -> Vec<String> {
    let mut missing = Vec::new();
    let installed: Vec<_> = strikes.iter().filter(|strike| strike.outcome == Outcome::Installed).collect();
    let kinds: BTreeSet<_> = installed.iter().map(|strike| strike.fault).collect();
    if kinds.is_empty() {
        missing.push("no fault took place".to_owned());
    }
    if length >= EVERY_FAULT_AFTER {
        let absent = Fault::ALL.into_iter().filter(|fault| !kinds.contains(fault));
        missing.extend(absent.map(|fault| format!("the fault {fault:?} never took place")));
    }
    if !installed.iter().any(|strike| strike.has_moved_leadership()) {
        missing.push("leadership never moved".to_owned());
    }
    let done = |function: Function, node: Option<usize>| {
        let is_it = |event: &&Event| event.function == function && node.is_none_or(|node| event.node == node);
        events.iter().filter(|event| event.kind == Kind::Ok).filter(is_it).count() as u64
    };
    for node in 0..nodes {
        for function in [Function::Read, Function::Write, Function::Cas] {
            if done(function, Some(node)) == 0 {
                missing.push(format!("node{} never did a {function:?}", node + 1));
            }
        }
    }
    let all = done(Function::Read, None) + done(Function::Write, None) + done(Function::Cas, None);
    let least = DONE_EACH_SECOND * length.max(load(events)).as_secs();
    if all < least {
        missing.push(format!("only {all} operations were done, at least {least} are needed"));
    }
    if !struck(events, &installed) {
        missing.push("no operation failed or was lost while a fault lasted".to_owned());
    }
    missing
}

/// How long the clients were at it, which is longer than was asked for if the last healing took long.
fn load(events: &[Event]) -> Duration {
    let is_load = |event: &&Event| matches!(event.function, Function::Read | Function::Write | Function::Cas);
    let nanos = || events.iter().filter(is_load).map(|event| event.nanos);
    Duration::from_nanos(nanos().max().unwrap_or(0) - nanos().min().unwrap_or(0))
}

/// Whether some operation felt a fault.
fn struck(events: &[Event], installed: &[&Strike]) -> bool {
    let is_during = |nanos: u64| installed.iter().any(|strike| (strike.from_nanos..=strike.to_nanos).contains(&nanos));
    events.iter().any(|event| matches!(event.kind, Kind::Fail | Kind::Info) && is_during(event.nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(function: Function, node: usize, kind: Kind) -> Event {
        let (key, value, version, expected, err) = ("k".to_owned(), None, Some(1), None, None);
        Event { index: 0, process: 0, nanos: 5, kind, function, key, value, version, expected, node, err }
    }

    fn strike(leader_meanwhile: Option<usize>) -> Strike {
        let (fault, outcome, leader_before) = (Fault::KillLeader, Outcome::Installed, Some(0));
        let (nodes, leader_after) = (vec![0], leader_meanwhile);
        Strike { fault, nodes, from_nanos: 0, to_nanos: 9, leader_before, leader_meanwhile, leader_after, outcome }
    }

    fn full() -> Vec<Event> {
        let functions = [Function::Read, Function::Write, Function::Cas];
        let nodes = (0..3).flat_map(|node| functions.map(|function| done(function, node, Kind::Ok)));
        nodes.cycle().take(90).chain([done(Function::Read, 0, Kind::Fail)]).collect()
    }

    const LENGTH: Duration = Duration::from_secs(9);

    #[test]
    fn a_run_that_was_hurt_and_asked_is_covered() {
        assert_eq!(missing(&full(), &[strike(Some(1))], 3, LENGTH), Vec::<String>::new());
    }

    #[test]
    fn a_run_without_faults_is_not_covered() {
        assert!(missing(&full(), &[], 3, LENGTH).contains(&"no fault took place".to_owned()));
    }

    #[test]
    fn a_run_whose_leader_stayed_is_not_covered() {
        for leader in [None, Some(0)] {
            assert_eq!(missing(&full(), &[strike(leader)], 3, LENGTH), ["leadership never moved"]);
        }
    }

    #[test]
    fn leadership_that_moved_only_after_the_healing_counts() {
        let late = Strike { leader_meanwhile: None, ..strike(Some(1)) };
        assert_eq!(missing(&full(), &[late], 3, LENGTH), Vec::<String>::new());
    }

    #[test]
    fn a_run_that_dragged_on_needs_operations_for_all_of_its_time() {
        let mut events = full();
        events.last_mut().unwrap().nanos = Duration::from_secs(60).as_nanos() as u64;
        let missing = missing(&events, &[strike(Some(1))], 3, LENGTH);
        assert!(missing.iter().any(|sentence| sentence.contains("operations were done")), "{missing:?}");
    }

    #[test]
    fn a_run_in_which_a_node_never_answered_is_not_covered() {
        let events: Vec<_> = full().into_iter().filter(|event| event.node != 2).collect();
        let missing = missing(&events, &[strike(Some(1))], 3, Duration::from_secs(1));
        assert!(missing.contains(&"node3 never did a Read".to_owned()), "{missing:?}");
    }

    #[test]
    fn a_long_run_must_have_seen_every_fault() {
        let missing = missing(&full(), &[strike(Some(1))], 3, EVERY_FAULT_AFTER);
        assert!(missing.contains(&"the fault PauseLeader never took place".to_owned()), "{missing:?}");
    }
}
