//! The search for an order of a register's operations, where some version is unknown.

use std::collections::BTreeMap;

use super::Flaw;
use super::operation::{Action, Operation};
use super::search::{self, End, Model, Timed};

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
struct Register {
    version: u64,
    value: Option<u64>,
}

struct RegisterModel {
    /// Values of versions that are known, so that a write with an unknown version does not take one.
    taken: BTreeMap<u64, u64>,
}

impl Timed for Operation {
    fn invoked(&self) -> u64 {
        self.invoked
    }

    fn returned(&self) -> u64 {
        self.returned
    }
}

/// Searches for an order of operations, which are sorted by their invocation.
pub(super) fn search(operations: &[Operation], budget: usize) -> SearchEnd {
    match search::search(&RegisterModel::new(operations), operations, budget) {
        End::Found => SearchEnd::Found,
        End::TooMany => SearchEnd::TooMany,
        End::None(count, register, waiting) => {
            let waiting: Vec<_> = waiting.into_iter().map(|index| &operations[index]).collect();
            let words = format!(
                "no order explains more than {count} operations; at version {} none of these can come next",
                register.version
            );
            SearchEnd::None(Flaw::new(words, &waiting))
        }
    }
}

impl RegisterModel {
    fn new(operations: &[Operation]) -> Self {
        let mut taken = BTreeMap::new();
        for operation in operations {
            match operation.action {
                Action::Write { value, version: Some(version), .. } | Action::Read { version, value: Some(value) } => {
                    taken.insert(version, value);
                }
                _ => {}
            }
        }
        Self { taken }
    }
}

impl Model for RegisterModel {
    type Operation = Operation;
    type State = Register;

    fn begin(&self) -> Register {
        Register::default()
    }

    fn apply(&self, register: &Register, operation: &Operation) -> Option<Register> {
        match operation.action {
            Action::Read { version, value } => {
                let is_same = version == register.version && (version == 0 || value == register.value);
                is_same.then_some(*register)
            }
            Action::Mismatch { expected } => (register.version != expected).then_some(*register),
            Action::Write { value, expected, version } => {
                let next = register.version + 1;
                let is_expected = expected.is_none_or(|expected| expected == register.version);
                let is_numbered = version.is_none_or(|version| version == next);
                let is_free = self.taken.get(&next).is_none_or(|taken| *taken == value);
                (is_expected && is_numbered && is_free).then_some(Register { version: next, value: Some(value) })
            }
        }
    }
}
