//! Whether a history of versioned registers is linearizable, key by key.
//!
//! Linearizability is local (Herlihy and Wing, 1990, theorem 1), so each key is judged alone. First what is known is put
//! together, then the order that the version numbers themselves prescribe is tried (`witness`), and only where some
//! version is unknown does a search begin (`linear`). What surprises: a search that runs out of its budget says
//! [`Verdict::Unknown`], which is no pass.

mod knowledge;
mod linear;
mod model;
mod operation;
mod others;
mod search;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Event, HistoryError};

pub use model::{ABSENT, DELETED, DESTROYED, LIVE};
pub use operation::{Action, KeyHistory, Operation};

/// Configurations that a search may visit for one key.
const BUDGET: usize = 2_000_000;
/// Operations that a violation shows.
const SHOWN: usize = 12;

/// What is known about a history or one of its keys.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none.
    Violation(Violation),
    /// Nobody found out; the reason.
    Unknown(String),
}

/// Why no order explains a key's history.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The key.
    pub key: String,
    /// What is wrong, in words.
    pub words: String,
    /// The operations that show it, in words.
    pub operations: Vec<String>,
    /// The events with which they began.
    pub events: Vec<u64>,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "key {}: {}", self.key, self.words)?;
        self.operations.iter().take(SHOWN).try_for_each(|operation| write!(formatter, "\n    {operation}"))
    }
}

/// What one checker found in a whole history.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Which checker.
    pub checker: &'static str,
    /// How many keys there were.
    pub keys: usize,
    /// How many of them needed a search.
    pub searched: usize,
    /// How many operations were judged.
    pub operations: usize,
    /// Every violation, at most one a key.
    pub violations: Vec<Violation>,
    /// Keys about which nothing was found out, with the reason.
    pub unknown: BTreeMap<String, String>,
}

impl Findings {
    /// The verdict on the whole: one violation decides, then one key that is unknown.
    pub fn verdict(&self) -> Verdict {
        match (self.violations.first(), self.unknown.first_key_value()) {
            (Some(violation), _) => Verdict::Violation(violation.clone()),
            (None, Some((key, reason))) => Verdict::Unknown(format!("key {key}: {reason}")),
            (None, None) => Verdict::Linearizable,
        }
    }
}

/// Checks a whole history by every checker that it has something for.
///
/// # Errors
/// [`HistoryError::Event`] if the events do not fit together.
pub fn check_all(events: &[Event]) -> Result<Vec<Findings>, HistoryError> {
    let mut all = Vec::new();
    if events.iter().any(|event| event.function.is_register()) {
        all.push(check(events)?);
    }
    all.extend(others::check(events)?);
    Ok(all)
}

/// Checks the registers of a history.
///
/// # Errors
/// [`HistoryError::Event`] if the events do not fit together.
pub fn check(events: &[Event]) -> Result<Findings, HistoryError> {
    let registers: Vec<_> = events.iter().filter(|event| event.function.is_register()).cloned().collect();
    let histories = operation::by_key(&registers)?;
    let (mut violations, mut unknown) = (Vec::new(), BTreeMap::new());
    let (mut searched, mut operations) = (0, 0);
    for (key, history) in &histories {
        let (verdict, was_searched) = judge(key, history, BUDGET);
        operations += history.operations.len();
        searched += usize::from(was_searched);
        match verdict {
            Verdict::Linearizable => {}
            Verdict::Violation(violation) => violations.push(violation),
            Verdict::Unknown(reason) => drop(unknown.insert(key.clone(), reason)),
        }
    }
    Ok(Findings { checker: "registers", keys: histories.len(), searched, operations, violations, unknown })
}

/// Judges one key, and says whether that took a search.
fn judge(key: &str, history: &KeyHistory, budget: usize) -> (Verdict, bool) {
    let found = |flaw: Flaw| {
        let operations = flaw.operations.iter().map(ToString::to_string).collect();
        let events = flaw.operations.iter().map(|operation| operation.invoked).collect();
        Verdict::Violation(Violation { key: key.to_owned(), words: flaw.words, operations, events })
    };
    let operations = match knowledge::resolve(history) {
        Ok(operations) => operations,
        Err(flaw) => return (found(flaw), false),
    };
    match witness::judge(&operations) {
        witness::Judgement::Holds => (Verdict::Linearizable, false),
        witness::Judgement::Broken(flaw) => (found(flaw), false),
        witness::Judgement::Undecided => match linear::search(&operations, budget) {
            linear::SearchEnd::Found => (Verdict::Linearizable, true),
            linear::SearchEnd::None(flaw) => (found(flaw), true),
            linear::SearchEnd::TooMany => {
                (Verdict::Unknown(format!("the search passed {budget} configurations")), true)
            }
        },
    }
}

/// A violation whose key is not yet said.
#[derive(Clone, Debug)]
struct Flaw {
    words: String,
    operations: Vec<Operation>,
}

impl Flaw {
    fn new(words: impl Into<String>, operations: &[&Operation]) -> Self {
        Self { words: words.into(), operations: operations.iter().map(|operation| (*operation).clone()).collect() }
    }
}
