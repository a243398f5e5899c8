//! Whether a run could have found anything: a cluster that was never hurt, or never asked, passes every checker.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::history::{Event, Function, Kind};
use crate::nemesis::{Outcome, Strike};
use crate::scenario::{Settings, Wiring};

/// Operations that must have been done for each second of a run, so that a cluster that mostly refuses does not pass.
/// It is little, so that a slow machine can do it: what makes a run worth judging is that every node did everything.
const DONE_EACH_SECOND: u64 = 2;
/// The same where nodes are far apart.
const DONE_EACH_SECOND_FAR: u64 = 1;
/// In so many seconds there is time for one fault and what follows from it, on a machine that is busy with other things.
const SECS_FOR_ONE: u64 = 15;

/// What is missing, as sentences; nothing if the run is worth judging.
pub fn missing(events: &[Event], strikes: &[Strike], settings: &Settings) -> Vec<String> {
    let installed: Vec<_> = strikes.iter().filter(|strike| strike.outcome == Outcome::Installed).collect();
    let mut missing = missing_faults(&installed, settings);
    let done = |function: Function, node: Option<usize>| {
        let is_it = |event: &&Event| event.function == function && node.is_none_or(|node| event.node == node);
        events.iter().filter(|event| event.kind == Kind::Ok).filter(is_it).count() as u64
    };
    for workload in &settings.workloads {
        let nodes: Vec<Option<usize>> =
            if workload.is_everywhere() { (0..settings.nodes).map(Some).collect() } else { vec![None] };
        for (node, function) in nodes.iter().flat_map(|node| workload.functions().iter().map(move |it| (node, it))) {
            if done(*function, *node) == 0 {
                let who = node.map_or("any node".to_owned(), |node| format!("node{}", node + 1));
                missing.push(format!("{who} never did a {function:?}"));
            }
        }
    }
    let all = events.iter().filter(|event| event.kind == Kind::Ok).count() as u64;
    let each = if settings.wiring == Wiring::Regions { DONE_EACH_SECOND_FAR } else { DONE_EACH_SECOND };
    let least = each * Duration::from_secs(settings.secs).max(load(events)).as_secs();
    if all < least {
        missing.push(format!("only {all} operations were done, at least {least} are needed"));
    }
    if settings.faults.iter().any(|fault| fault.is_felt()) && !struck(events, &installed) {
        missing.push("no operation failed or was lost while a fault lasted".to_owned());
    }
    missing
}

fn missing_faults(installed: &[&Strike], settings: &Settings) -> Vec<String> {
    let mut missing = Vec::new();
    if settings.faults.is_empty() {
        return missing;
    }
    let kinds: BTreeSet<_> = installed.iter().map(|strike| strike.fault).collect();
    let wanted = u64::try_from(settings.faults.len()).unwrap_or(u64::MAX).min(settings.secs / SECS_FOR_ONE).max(1);
    if (kinds.len() as u64) < wanted {
        missing.push(format!("only {} kinds of faults took place, at least {wanted} are needed", kinds.len()));
    }
    let may_move = settings.faults.iter().any(|fault| fault.moves_leadership());
    if may_move && !installed.iter().any(|strike| strike.has_moved_leadership()) {
        missing.push("leadership never moved".to_owned());
    }
    missing
}

/// How long the clients were at it, which is longer than was asked for if the last healing took long.
fn load(events: &[Event]) -> Duration {
    let is_load = |event: &&Event| !matches!(event.function, Function::Version | Function::Newest);
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
    use crate::nemesis::Fault;
    use crate::scenario;

    fn done(function: Function, node: usize, kind: Kind) -> Event {
        Event { nanos: 5, kind, version: Some(1), ..Event::new(0, node, function, "k") }
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

    fn settings(secs: u64) -> Settings {
        let settings = scenario::find("process").unwrap().settings(1);
        Settings { secs, ..settings }
    }

    const SECS: u64 = 9;

    #[test]
    fn a_run_that_was_hurt_and_asked_is_covered() {
        assert_eq!(missing(&full(), &[strike(Some(1))], &settings(SECS)), Vec::<String>::new());
    }

    #[test]
    fn a_run_without_faults_is_not_covered() {
        assert!(
            missing(&full(), &[], &settings(SECS))
                .contains(&"only 0 kinds of faults took place, at least 1 are needed".to_owned())
        );
    }

    #[test]
    fn a_run_whose_leader_stayed_is_not_covered() {
        for leader in [None, Some(0)] {
            assert_eq!(missing(&full(), &[strike(leader)], &settings(SECS)), ["leadership never moved"]);
        }
    }

    #[test]
    fn leadership_that_moved_only_after_the_healing_counts() {
        let late = Strike { leader_meanwhile: None, ..strike(Some(1)) };
        assert_eq!(missing(&full(), &[late], &settings(SECS)), Vec::<String>::new());
    }

    #[test]
    fn a_run_that_dragged_on_needs_operations_for_all_of_its_time() {
        let mut events = full();
        events.last_mut().unwrap().nanos = Duration::from_secs(60).as_nanos() as u64;
        let missing = missing(&events, &[strike(Some(1))], &settings(SECS));
        assert!(missing.iter().any(|sentence| sentence.contains("operations were done")), "{missing:?}");
    }

    #[test]
    fn a_run_in_which_a_node_never_answered_is_not_covered() {
        let events: Vec<_> = full().into_iter().filter(|event| event.node != 2).collect();
        let missing = missing(&events, &[strike(Some(1))], &settings(1));
        assert!(missing.contains(&"node3 never did a Read".to_owned()), "{missing:?}");
    }

    #[test]
    fn a_long_run_must_have_seen_every_fault() {
        let missing = missing(&full(), &[strike(Some(1))], &settings(60));
        assert!(
            missing.contains(&"only 1 kinds of faults took place, at least 4 are needed".to_owned()),
            "{missing:?}"
        );
    }
}
