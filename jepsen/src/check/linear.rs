//! The search for an order, where some version is unknown.
//!
//! This is the algorithm of Wing and Gong (1993) with the memory of Lowe (2017): an operation may come next if nothing
//! that has not come yet had returned before it was invoked; a configuration, that is what has come and the state it
//! left, is visited once. A configuration is kept small by a window: the first operation that must still come, and only
//! those behind it that have come. An operation with an unknown end may come at any time after its invocation, or never.

use std::collections::{BTreeMap, HashSet};

use super::Flaw;
use super::operation::{Action, Operation};

/// How a search ended.
pub(super) enum SearchEnd {
    /// There is an order.
    Found,
    /// There is none.
    None(Flaw),
    /// The budget was spent first.
    TooMany,
}

/// The register: its version, and its value from version 1 on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct RegisterModel {
    version: u64,
    value: Option<u64>,
}

/// What has come, and what it left.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Configuration {
    /// The first operation that must come and has not.
    low: usize,
    /// Operations that have come and either lie behind `low` or need not have come; sorted.
    come: Vec<usize>,
    register: RegisterModel,
}

struct Search<'a> {
    operations: &'a [Operation],
    /// Operations with an unknown end.
    open: Vec<usize>,
    /// Values of versions that are known, so that a write with an unknown version does not take one.
    taken: BTreeMap<u64, u64>,
}

/// Searches for an order of operations, which are sorted by their invocation.
pub(super) fn search(operations: &[Operation], budget: usize) -> SearchEnd {
    let search = Search::new(operations);
    let mut first = Configuration::default();
    search.advance(&mut first);
    let (mut seen, mut stack) = (HashSet::from([first.clone()]), vec![first.clone()]);
    let mut furthest = first;
    while let Some(configuration) = stack.pop() {
        if configuration.low == operations.len() {
            return SearchEnd::Found;
        }
        if search.progress(&configuration) > search.progress(&furthest) {
            furthest = configuration.clone();
        }
        // The earliest is pushed last and so tried first: it is the likeliest.
        for next in search.candidates(&configuration).into_iter().rev() {
            if let Some(configuration) = search.follow(&configuration, next)
                && seen.insert(configuration.clone())
            {
                if seen.len() > budget {
                    return SearchEnd::TooMany;
                }
                stack.push(configuration);
            }
        }
    }
    SearchEnd::None(search.explain(&furthest))
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let open = (0..operations.len()).filter(|index| !operations[*index].is_certain()).collect();
        let mut taken = BTreeMap::new();
        for operation in operations {
            match operation.action {
                Action::Write { value, version: Some(version), .. } | Action::Read { version, value: Some(value) } => {
                    taken.insert(version, value);
                }
                _ => {}
            }
        }
        Self { operations, open, taken }
    }

    /// What may come next.
    fn candidates(&self, configuration: &Configuration) -> Vec<usize> {
        let has_come = |index: &usize| configuration.come.binary_search(index).is_ok();
        let early = self.open.iter().copied().take_while(|index| *index < configuration.low);
        let mut candidates: Vec<_> = early.filter(|index| !has_come(index)).collect();
        let mut horizon = u64::MAX;
        for index in configuration.low..self.operations.len() {
            let operation = &self.operations[index];
            if operation.invoked >= horizon {
                break;
            }
            if !has_come(&index) {
                horizon = horizon.min(operation.returned);
                candidates.push(index);
            }
        }
        candidates
    }

    /// The configuration after an operation, if it can come.
    fn follow(&self, configuration: &Configuration, index: usize) -> Option<Configuration> {
        let register = self.apply(configuration.register, &self.operations[index].action)?;
        let mut come = configuration.come.clone();
        let place = come.binary_search(&index).unwrap_or_else(|place| place);
        come.insert(place, index);
        let mut next = Configuration { low: configuration.low, come, register };
        self.advance(&mut next);
        Some(next)
    }

    /// Moves the window over all that has come or need not.
    fn advance(&self, configuration: &mut Configuration) {
        while let Some(operation) = self.operations.get(configuration.low) {
            let found = configuration.come.binary_search(&configuration.low);
            match (operation.is_certain(), found) {
                (true, Ok(place)) => drop(configuration.come.remove(place)),
                (true, Err(_)) => return,
                (false, _) => {}
            }
            configuration.low += 1;
        }
    }

    fn apply(&self, register: RegisterModel, action: &Action) -> Option<RegisterModel> {
        match *action {
            Action::Read { version, value } => {
                let is_same = version == register.version && (version == 0 || value == register.value);
                is_same.then_some(register)
            }
            Action::Mismatch { expected } => (register.version != expected).then_some(register),
            Action::Write { value, expected, version } => {
                let next = register.version + 1;
                let is_expected = expected.is_none_or(|expected| expected == register.version);
                let is_numbered = version.is_none_or(|version| version == next);
                let is_free = self.taken.get(&next).is_none_or(|taken| *taken == value);
                (is_expected && is_numbered && is_free).then_some(RegisterModel { version: next, value: Some(value) })
            }
        }
    }

    /// How many operations that must come have come.
    fn progress(&self, configuration: &Configuration) -> usize {
        let certain = |index: &&usize| self.operations[**index].is_certain();
        let passed_open = self.open.partition_point(|index| *index < configuration.low);
        configuration.low - passed_open + configuration.come.iter().filter(certain).count()
    }

    fn explain(&self, furthest: &Configuration) -> Flaw {
        let waiting = self.candidates(furthest);
        let operations: Vec<_> = waiting.iter().map(|index| &self.operations[*index]).collect();
        let count = self.progress(furthest);
        let words = format!(
            "no order explains more than {count} operations; at version {} none of these can come next",
            furthest.register.version
        );
        Flaw::new(words, &operations)
    }
}
