//! Histories with known verdicts, one good and at least one bad for each checker.

use super::super::model::{DELETED, DESTROYED, LIVE};
use super::*;

/// A history in the making, in the order in which it happened.
#[derive(Default)]
struct Tale {
    events: Vec<Event>,
}

impl Tale {
    fn push(mut self, event: Event) -> Self {
        let index = self.events.len() as u64;
        self.events.push(Event { index, nanos: index * 1_000, ..event });
        self
    }

    /// Process `process` begins something.
    fn call(self, process: u32, function: Function, value: Option<u64>, version: Option<u64>) -> Self {
        self.push(Event { value, version, ..Event::new(process, 0, function, "key") })
    }

    /// What a process began last.
    fn begun(&self, process: u32) -> Event {
        self.events.iter().rfind(|event| event.process == process).expect("it began something").clone()
    }

    /// It ends well, with an answer.
    fn answer(self, process: u32, value: Option<u64>, version: Option<u64>, list: Option<&[u64]>) -> Self {
        let list = list.map(<[u64]>::to_vec);
        let event = Event { kind: Kind::Ok, value, version, list, ..self.begun(process) };
        self.push(event)
    }

    fn lost(self, process: u32) -> Self {
        let event = Event { kind: Kind::Info, ..self.begun(process) };
        self.push(event)
    }

    fn refused(self, process: u32) -> Self {
        let event = Event { kind: Kind::Fail, ..self.begun(process) };
        self.push(event)
    }

    /// Something with an argument, done at once.
    fn done(self, process: u32, function: Function, value: Option<u64>) -> Self {
        self.call(process, function, value, None).answer(process, value, None, None)
    }

    /// A read of a number, a use, and the like: its answer is a number.
    fn says(self, process: u32, function: Function, answer: u64) -> Self {
        self.call(process, function, None, None).answer(process, Some(answer), None, None)
    }

    fn lists(self, process: u32, function: Function, list: &[u64]) -> Self {
        self.call(process, function, None, None).answer(process, None, None, Some(list))
    }

    /// Something about a version, done at once.
    fn of_version(self, process: u32, function: Function, version: u64, answer: Option<u64>) -> Self {
        self.call(process, function, None, Some(version)).answer(process, answer, Some(version), None)
    }

    fn put(self, process: u32, version: u64) -> Self {
        self.call(process, Function::Put, None, None).answer(process, None, Some(version), None)
    }

    fn findings(&self) -> Findings {
        let mut all = check(&self.events).unwrap();
        assert_eq!(all.len(), 1, "the events belong to one checker");
        all.remove(0)
    }

    #[track_caller]
    fn holds(&self) {
        let findings = self.findings();
        assert!(findings.violations.is_empty() && findings.unknown.is_empty(), "{findings:?}");
    }

    #[track_caller]
    fn breaks(&self, words: &str) {
        let findings = self.findings();
        let found = findings.violations.first().expect("a violation is found");
        assert!(found.words.contains(words), "{found}");
    }
}

const NO_ORDER: &str = "no order explains";

#[test]
fn a_counter_shows_every_addition_that_was_acknowledged() {
    let twice = || Tale::default().done(1, Function::Add, None).done(2, Function::Add, None);
    twice().says(3, Function::Total, 2).holds();
    twice().says(3, Function::Total, 1).breaks(NO_ORDER);
    twice().says(3, Function::Total, 3).breaks(NO_ORDER);
}

#[test]
fn an_addition_that_nobody_knows_of_may_count_late_or_never_but_once() {
    let lost = || Tale::default().call(1, Function::Add, None, None).lost(1).says(2, Function::Total, 0);
    lost().says(2, Function::Total, 1).holds();
    lost().says(2, Function::Total, 0).holds();
    lost().says(2, Function::Total, 1).says(2, Function::Total, 0).breaks(NO_ORDER);
    lost().says(2, Function::Total, 2).breaks(NO_ORDER);
}

#[test]
fn an_addition_that_was_refused_does_not_count() {
    let refused = || Tale::default().call(1, Function::Add, None, None).refused(1);
    refused().says(2, Function::Total, 0).holds();
    refused().says(2, Function::Total, 1).breaks(NO_ORDER);
}

#[test]
fn a_list_keeps_what_was_appended_in_one_order() {
    let two = || Tale::default().done(1, Function::Append, Some(7)).done(1, Function::Append, Some(8));
    two().lists(2, Function::Elements, &[7, 8]).holds();
    two().lists(2, Function::Elements, &[8, 7]).breaks(NO_ORDER);
    two().lists(2, Function::Elements, &[7]).breaks(NO_ORDER);
    two().lists(2, Function::Elements, &[7, 8, 8]).breaks("twice");
    let divided = two().lists(2, Function::Elements, &[7, 8]).lists(3, Function::Elements, &[8]);
    divided.breaks("do not agree");
}

#[test]
fn an_element_that_was_refused_must_not_show() {
    let refused = Tale::default().call(1, Function::Append, Some(7), None).refused(1);
    refused.lists(2, Function::Elements, &[7]).breaks(NO_ORDER);
}

#[test]
fn a_token_is_used_as_often_as_was_granted() {
    let granted =
        || Tale::default().done(1, Function::Grant, Some(2)).says(1, Function::Use, 1).says(2, Function::Use, 1);
    granted().says(3, Function::Use, 0).holds();
    granted().says(3, Function::Use, 1).breaks(NO_ORDER);
    let early = Tale::default().done(1, Function::Grant, Some(2)).says(1, Function::Use, 1).says(2, Function::Use, 0);
    early.breaks(NO_ORDER);
}

#[test]
fn a_use_whose_answer_was_lost_may_have_counted() {
    let granted = || Tale::default().done(1, Function::Grant, Some(1)).call(2, Function::Use, None, None).lost(2);
    granted().says(3, Function::Use, 0).holds();
    granted().says(3, Function::Use, 1).holds();
    granted().says(3, Function::Use, 1).says(3, Function::Use, 1).breaks(NO_ORDER);
}

#[test]
fn a_revoked_token_works_nowhere_once_that_is_acknowledged() {
    let granted = || Tale::default().done(1, Function::Grant, None).says(2, Function::Use, 1);
    granted().done(1, Function::Revoke, None).says(2, Function::Use, 0).holds();
    granted().done(1, Function::Revoke, None).says(2, Function::Use, 1).breaks(NO_ORDER);
    let overlapping = granted().call(1, Function::Revoke, None, None).says(2, Function::Use, 1);
    overlapping.answer(1, None, None, None).says(2, Function::Use, 0).holds();
    let back = granted().call(1, Function::Revoke, None, None).lost(1).says(2, Function::Use, 0);
    back.says(3, Function::Use, 1).breaks(NO_ORDER);
}

#[test]
fn a_listing_shows_the_names_that_are_there_and_no_others() {
    let made = || Tale::default().done(1, Function::Make, Some(3));
    made().lists(2, Function::List, &[3]).holds();
    made().lists(2, Function::List, &[]).breaks(NO_ORDER);
    made().lists(2, Function::List, &[3, 4]).breaks(NO_ORDER);
    made().done(1, Function::Drop, Some(3)).lists(2, Function::List, &[3]).breaks(NO_ORDER);
}

#[test]
fn a_listing_and_the_secret_itself_agree() {
    let peek = |tale: Tale, there: bool| {
        tale.call(3, Function::Peek, Some(3), None).answer(3, Some(3), Some(u64::from(there)), None)
    };
    let lost = || Tale::default().call(1, Function::Make, Some(3), None).lost(1);
    peek(lost(), true).lists(2, Function::List, &[3]).holds();
    peek(lost(), true).lists(2, Function::List, &[]).breaks(NO_ORDER);
    peek(lost(), false).lists(2, Function::List, &[3]).holds();
}

#[test]
fn a_destroyed_version_never_comes_back() {
    let two = || Tale::default().put(1, 1).put(1, 2);
    let look = |tale: Tale, answer| tale.of_version(2, Function::Look, 1, Some(answer));
    look(two(), LIVE).holds();
    look(two().of_version(1, Function::Delete, 1, None), DELETED).holds();
    let back = two().of_version(1, Function::Delete, 1, None).of_version(1, Function::Undelete, 1, None);
    look(back, LIVE).holds();
    let destroyed = || two().of_version(1, Function::Destroy, 1, None).of_version(1, Function::Undelete, 1, None);
    look(destroyed(), DESTROYED).holds();
    look(destroyed(), LIVE).breaks(NO_ORDER);
    two().put(1, 2).breaks(NO_ORDER);
}

#[test]
fn an_identifier_that_is_given_twice_is_found() {
    Tale::default().says(1, Function::Mint, 5).says(2, Function::Mint, 6).holds();
    Tale::default().says(1, Function::Mint, 5).says(2, Function::Mint, 5).breaks("given twice");
}

/// A lease of ten seconds that is shown so many seconds after it was lent.
fn shown_after(secs: u64, taken: bool) -> Tale {
    let mut tale = Tale::default().done(1, Function::Lend, Some(10)).says(2, Function::Show, u64::from(taken));
    for event in &mut tale.events[2..] {
        event.nanos = secs * 1_000_000_000;
    }
    tale
}

#[test]
fn a_lease_is_taken_before_its_end_and_refused_behind_it() {
    shown_after(5, true).holds();
    shown_after(5, false).breaks("before its end");
    shown_after(15, false).holds();
    shown_after(15, true).breaks("after its end");
    for taken in [true, false] {
        shown_after(10, taken).holds();
    }
}
