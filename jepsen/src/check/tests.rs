//! Good histories pass, bad ones are found, and the three ways to judge (order of versions, search, trying everything)
//! never disagree.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::operation::{Action, KeyHistory, OPEN, Operation};
use super::search::Timed;
use super::*;
use crate::history::{Function, Kind, MISMATCH};

/// A history in the making: each call is `process, what` in the order in which it happened.
#[derive(Default)]
struct Script {
    events: Vec<Event>,
}

impl Script {
    fn push(&mut self, process: u32, kind: Kind, function: Function) -> &mut Event {
        let index = self.events.len() as u64;
        let event = Event::new(process, process as usize % 3, function, "k");
        self.events.push(Event { index, nanos: index * 1000, kind, ..event });
        self.events.last_mut().unwrap()
    }

    fn call_read(mut self, process: u32) -> Self {
        self.push(process, Kind::Invoke, Function::Read);
        self
    }

    fn saw(mut self, process: u32, version: u64, value: u64) -> Self {
        let event = self.push(process, Kind::Ok, Function::Read);
        (event.version, event.value) = (Some(version), (version > 0).then_some(value));
        self
    }

    fn call_write(mut self, process: u32, value: u64) -> Self {
        self.push(process, Kind::Invoke, Function::Write).value = Some(value);
        self
    }

    fn wrote(mut self, process: u32, version: u64) -> Self {
        self.push(process, Kind::Ok, Function::Write).version = Some(version);
        self
    }

    fn failed(mut self, process: u32, function: Function) -> Self {
        self.push(process, Kind::Fail, function);
        self
    }

    fn lost(mut self, process: u32, function: Function) -> Self {
        self.push(process, Kind::Info, function);
        self
    }

    fn call_cas(mut self, process: u32, expected: u64, value: u64) -> Self {
        let event = self.push(process, Kind::Invoke, Function::Cas);
        (event.expected, event.value) = (Some(expected), Some(value));
        self
    }

    fn swapped(mut self, process: u32, version: u64) -> Self {
        self.push(process, Kind::Ok, Function::Cas).version = Some(version);
        self
    }

    fn mismatched(mut self, process: u32) -> Self {
        self.push(process, Kind::Fail, Function::Cas).err = Some(MISMATCH.to_owned());
        self
    }

    /// A write and a read of it, one after the other.
    fn put(self, process: u32, value: u64, version: u64) -> Self {
        self.call_write(process, value).wrote(process, version)
    }

    fn get(self, process: u32, version: u64, value: u64) -> Self {
        self.call_read(process).saw(process, version, value)
    }

    fn read_back(mut self, newest: u64, versions: &[(u64, u64)]) -> Self {
        for (version, value) in versions {
            self.push(900, Kind::Invoke, Function::Version);
            let event = self.push(900, Kind::Ok, Function::Version);
            (event.version, event.value) = (Some(*version), Some(*value));
        }
        self.push(900, Kind::Invoke, Function::Newest);
        self.push(900, Kind::Ok, Function::Newest).version = Some(newest);
        self
    }

    fn verdict(&self) -> Verdict {
        check(&self.events).unwrap().verdict()
    }

    #[track_caller]
    fn holds(&self) {
        let verdict = self.verdict();
        assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
    }

    #[track_caller]
    fn breaks(&self, words: &str) {
        match self.verdict() {
            Verdict::Violation(violation) => assert!(violation.words.contains(words), "{violation}"),
            verdict => panic!("{verdict:?}"),
        }
    }
}

#[test]
fn reads_and_writes_one_after_the_other_are_linearizable() {
    Script::default().get(1, 0, 0).put(2, 10, 1).get(1, 1, 10).put(1, 11, 2).get(3, 2, 11).holds();
}

// check 238
#[test]
fn a_stale_read_is_found_and_said_in_words() {
    let script = Script::default().put(1, 10, 1).put(1, 11, 2).get(2, 1, 10);
    script.breaks("a read returned version 1 although version 2 had been acknowledged before it began");
}

// check 239
#[test]
fn a_read_of_the_old_value_by_a_node_that_slept_through_the_write_is_found() {
    let script = Script::default().put(1, 10, 1).call_read(2).saw(2, 1, 10).put(1, 11, 2).call_read(2).saw(2, 1, 10);
    script.breaks("a read returned version 1");
}

#[test]
fn a_read_of_nothing_after_an_acknowledged_write_is_found() {
    Script::default().put(1, 10, 1).get(2, 0, 0).breaks("a read returned version 0");
}

#[test]
fn a_read_that_overlaps_a_write_may_return_either_value() {
    let overlapping = || Script::default().put(1, 10, 1).call_write(1, 11).call_read(2);
    overlapping().saw(2, 1, 10).wrote(1, 2).holds();
    overlapping().saw(2, 2, 11).wrote(1, 2).holds();
}

#[test]
fn two_reads_that_go_back_in_time_are_found_although_each_overlaps_the_write() {
    let script = Script::default().put(1, 10, 1).call_write(1, 11).get(2, 2, 11).get(3, 1, 10).wrote(1, 2);
    script.breaks("an earlier read had returned version 2");
}

#[test]
fn a_lost_write_that_took_effect_late_is_linearizable() {
    let lost = Script::default().put(1, 10, 1).call_write(2, 11).lost(2, Function::Write).get(3, 1, 10);
    lost.get(3, 2, 11).holds();
}

#[test]
fn a_lost_write_that_was_seen_and_then_gone_is_found() {
    let lost = Script::default().put(1, 10, 1).call_write(2, 11).lost(2, Function::Write);
    lost.get(3, 2, 11).get(3, 1, 10).breaks("an earlier read had returned version 2");
}

#[test]
fn a_value_whose_write_was_answered_as_not_done_must_not_appear() {
    let refused = Script::default().call_write(1, 10).failed(1, Function::Write);
    refused.get(2, 1, 10).breaks("whose write was answered as not done");
}

#[test]
fn a_value_that_nobody_wrote_must_not_appear() {
    Script::default().get(2, 1, 10).breaks("which nobody wrote");
}

#[test]
fn a_version_written_twice_is_found() {
    Script::default().put(1, 10, 1).put(2, 11, 1).breaks("two values");
}

#[test]
fn a_write_that_happened_twice_is_found() {
    Script::default().put(1, 10, 1).get(2, 1, 10).get(2, 2, 10).breaks("became two versions");
}

#[test]
fn a_version_that_nobody_made_is_found() {
    Script::default().put(1, 10, 1).put(1, 11, 3).breaks("nobody wrote version 2");
}

#[test]
fn a_refused_check_and_set_is_legal_only_if_the_version_was_another_at_some_moment() {
    Script::default()
        .put(1, 10, 1)
        .call_cas(2, 1, 11)
        .mismatched(2)
        .breaks("refused although the version was the expected");
    Script::default().put(1, 10, 1).call_cas(2, 0, 11).mismatched(2).holds();
    Script::default().put(1, 10, 1).call_cas(2, 1, 11).put(1, 12, 2).mismatched(2).holds();
    Script::default().call_cas(2, 1, 11).put(1, 10, 1).mismatched(2).holds();
    Script::default().call_cas(2, 0, 11).mismatched(2).breaks("refused although the version was the expected");
}

#[test]
fn a_refusal_may_force_a_write_to_come_late_which_a_read_then_contradicts() {
    let late = || Script::default().call_write(1, 10).call_cas(2, 1, 11).mismatched(2);
    late().wrote(1, 1).holds();
    let early = Script::default().call_write(1, 10).get(3, 1, 10).call_cas(2, 1, 11).mismatched(2).wrote(1, 1);
    early.breaks("refused although");
}

#[test]
fn a_refusal_that_only_a_lost_write_explains_is_linearizable() {
    let script = Script::default().put(1, 10, 1).call_write(2, 11).lost(2, Function::Write);
    script.call_cas(3, 1, 12).mismatched(3).holds();
}

#[test]
fn a_refusal_that_a_lost_write_would_explain_is_found_if_the_read_back_shows_that_it_never_happened() {
    let script = Script::default().put(1, 10, 1).call_write(2, 11).lost(2, Function::Write);
    script.call_cas(3, 1, 12).mismatched(3).read_back(1, &[]).breaks("refused although");
}

#[test]
fn the_read_back_says_which_version_a_lost_write_became() {
    let lost = || Script::default().put(1, 10, 1).call_write(2, 11).lost(2, Function::Write).put(1, 12, 3);
    lost().read_back(3, &[(2, 11)]).holds();
    lost().read_back(3, &[(2, 99)]).breaks("which nobody wrote");
}

#[test]
fn an_acknowledged_write_that_the_read_back_does_not_find_is_found() {
    let lost = Script::default().put(1, 10, 1).call_write(2, 11).lost(2, Function::Write);
    lost.read_back(1, &[(1, 11)]).breaks("two values");
}

#[test]
fn a_successful_check_and_set_must_follow_its_version() {
    Script::default().put(1, 10, 1).call_cas(2, 1, 11).swapped(2, 2).holds();
    Script::default().put(1, 10, 1).call_cas(2, 0, 11).swapped(2, 2).breaks("over version 0 became version 2");
}

#[test]
fn a_search_that_passes_its_budget_is_unknown() {
    let mut script = Script::default();
    for process in 0..20 {
        script = script.call_write(process, u64::from(process)).lost(process, Function::Write);
    }
    script = script.call_cas(50, 30, 99).mismatched(50).get(51, 0, 0).call_read(52).saw(52, 0, 0);
    let history = operation::by_key(&script.call_cas(53, 0, 98).swapped(53, 1).events).unwrap();
    assert!(matches!(judge("k", &history["k"], 2).0, Verdict::Unknown(_)));
}

#[test]
fn a_retired_process_must_not_act_again() {
    let script = Script::default().call_write(1, 10).lost(1, Function::Write).call_read(1);
    assert!(check(&script.events).is_err());
}

/// A register that is linearizable by construction: each call takes effect at one moment between its two events.
fn simulate(random: &mut StdRng, calls: usize, processes: usize) -> Vec<Operation> {
    let (mut version, mut value, mut clock, mut next_value) = (0, None, 0, 1);
    // What each process has under way: the operation and whether it took effect.
    let mut under_way: Vec<Option<(Operation, bool)>> = vec![None; processes];
    let mut done = Vec::new();
    while done.len() < calls {
        let process = random.random_range(0..processes);
        clock += 1;
        match under_way[process].take() {
            None => {
                let expected = random.random_bool(0.4).then(|| random.random_range(0..=version + 1));
                let action = match random.random_range(0..3) {
                    0 => Action::Read { version: 0, value: None },
                    _ => Action::Write { value: next_value, expected, version: None },
                };
                next_value += 1;
                let (process_number, node) = (u32::try_from(process).unwrap(), process % 3);
                let operation = Operation { process: process_number, node, invoked: clock, returned: OPEN, action };
                under_way[process] = Some((operation, false));
            }
            Some((mut operation, false)) => {
                match &mut operation.action {
                    Action::Write { expected: Some(expected), .. } if *expected != version => {
                        operation.action = Action::Mismatch { expected: *expected };
                    }
                    Action::Write { value: written, version: made, .. } => {
                        version += 1;
                        (value, *made) = (Some(*written), Some(version));
                    }
                    action => *action = Action::Read { version, value },
                }
                under_way[process] = Some((operation, true));
            }
            Some((mut operation, true)) => {
                let is_lost = random.random_bool(0.15);
                if let (true, Action::Write { version, .. }) = (is_lost, &mut operation.action) {
                    *version = None;
                } else {
                    operation.returned = clock;
                }
                done.push(operation);
            }
        }
    }
    // Whatever took effect and did not return is open, like a lost write; those that saw something are forgotten.
    for (mut operation, _) in under_way.into_iter().flatten() {
        if let Action::Write { version, .. } = &mut operation.action {
            *version = None;
            done.push(operation);
        }
    }
    done.sort_by_key(|operation| operation.invoked);
    done
}

/// Spoils one thing that a client saw.
fn spoil(random: &mut StdRng, operations: &mut [Operation]) {
    let index = random.random_range(0..operations.len());
    let versions: Vec<_> = operations
        .iter()
        .filter_map(|operation| match operation.action {
            Action::Write { value, version: Some(version), .. } => Some((version, value)),
            _ => None,
        })
        .collect();
    let action = &mut operations[index].action;
    match action {
        Action::Read { .. } if !versions.is_empty() => {
            let (version, value) = versions[random.random_range(0..versions.len())];
            *action = Action::Read { version, value: Some(value) };
        }
        Action::Mismatch { expected } => *expected = random.random_range(0..=*expected + 1),
        _ => {}
    }
}

fn resolved(operations: Vec<Operation>) -> Option<Vec<Operation>> {
    knowledge::resolve(&KeyHistory { operations, ..KeyHistory::default() }).ok()
}

fn is_found(operations: &[Operation]) -> bool {
    match linear::search(operations, 1_000_000) {
        linear::SearchEnd::Found => true,
        linear::SearchEnd::None(_) => false,
        linear::SearchEnd::TooMany => panic!("the search passed its budget"),
    }
}

#[test]
fn every_history_of_a_linearizable_register_passes() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let operations = resolved(simulate(&mut random, 60, 5)).expect("a true history does not contradict itself");
        assert!(is_found(&operations), "seed {seed}");
        assert!(!matches!(witness::judge(&operations), witness::Judgement::Broken(_)), "seed {seed}");
    }
}

#[test]
fn the_order_of_versions_and_the_search_always_agree() {
    let (mut agreed, mut broken) = (0, 0);
    for seed in 0..10_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut operations = simulate(&mut random, 14, 4);
        spoil(&mut random, &mut operations);
        let Some(operations) = resolved(operations) else { continue };
        match witness::judge(&operations) {
            witness::Judgement::Undecided => continue,
            witness::Judgement::Holds => assert!(is_found(&operations), "seed {seed}: {operations:#?}"),
            witness::Judgement::Broken(flaw) => {
                broken += 1;
                assert!(!is_found(&operations), "seed {seed}: {}: {operations:#?}", flaw.words);
            }
        }
        agreed += 1;
    }
    assert!(agreed > 1_000 && broken > 100, "{agreed} compared, {broken} of them broken: this proves too little");
}

/// Whether some order explains everything, by trying all: no memory, no window, no pruning.
fn is_explained(left: &[&Operation], version: u64, value: Option<u64>) -> bool {
    if left.iter().all(|operation| !operation.is_certain()) {
        return true;
    }
    let horizon = left.iter().map(|operation| operation.returned).min().unwrap_or(OPEN);
    (0..left.len()).filter(|index| left[*index].invoked < horizon).any(|index| {
        let (next_version, next_value) = match left[index].action {
            Action::Read { version: seen, value: held } if seen == version && (seen == 0 || held == value) => {
                (version, value)
            }
            Action::Mismatch { expected } if expected != version => (version, value),
            Action::Write { value: written, expected, version: made }
                if expected.is_none_or(|expected| expected == version)
                    && made.is_none_or(|made| made == version + 1) =>
            {
                (version + 1, Some(written))
            }
            _ => return false,
        };
        let mut rest = left.to_vec();
        rest.remove(index);
        is_explained(&rest, next_version, next_value)
    })
}

#[test]
fn the_search_agrees_with_trying_everything() {
    let mut broken = 0;
    for seed in 0..4_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut operations = simulate(&mut random, 7, 3);
        spoil(&mut random, &mut operations);
        let Some(operations) = resolved(operations) else { continue };
        let truth = is_explained(&operations.iter().collect::<Vec<_>>(), 0, None);
        broken += usize::from(!truth);
        assert_eq!(is_found(&operations), truth, "seed {seed}: {operations:#?}");
    }
    assert!(broken > 100, "{broken} broken histories prove too little");
}
