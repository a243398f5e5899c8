//! Judges what is not a register: counters, lists, tokens, names, versions, identifiers, ends of leases.
//!
//! Each thing is judged alone, as registers are, and for the same reason. What surprises: what certainly did not happen is
//! left out, and what nobody knows is not; a read that brought nothing says nothing.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::model::{AppendList, Counter, Name, Step, Token, Versions};
use super::search::{self, End, Model};
use super::{BUDGET, Findings, SHOWN, Violation, operation};
use crate::history::{Event, Function, HistoryError, Kind};

/// How much a node's clock may differ from ours, in nanoseconds, when the end of a lease is judged.
const CLOCK_NANOS: u64 = 2_000_000_000;

/// What is judged together.
type Judge = fn(&BTreeMap<String, Vec<Step>>) -> Findings;

/// The checkers: a name, the functions it judges, and how.
const CHECKERS: &[(&str, &[Function], Judge)] = &[
    ("counter", &[Function::Add, Function::Total], judge_counters),
    ("append list", &[Function::Append, Function::Elements], judge_lists),
    ("uses and revocation", &[Function::Grant, Function::Use, Function::Revoke], judge_tokens),
    ("names", &[Function::Make, Function::Drop, Function::List, Function::Peek], judge_names),
    (
        "versions",
        &[Function::Put, Function::Delete, Function::Undelete, Function::Destroy, Function::Look],
        judge_versions,
    ),
    ("unique identifiers", &[Function::Mint], judge_identifiers),
    ("ends of leases", &[Function::Lend, Function::Show], judge_leases),
];

/// Judges everything but registers; what the history does not hold is left out.
pub(super) fn check(events: &[Event]) -> Result<Vec<Findings>, HistoryError> {
    let mut all = Vec::new();
    for (name, functions, judge) in CHECKERS {
        let own: Vec<_> = events.iter().filter(|event| functions.contains(&event.function)).cloned().collect();
        if own.is_empty() {
            continue;
        }
        let mut keys: BTreeMap<String, Vec<Step>> = BTreeMap::new();
        for (invoked, ended) in operation::pairs(&own)? {
            let step = Step { invoked: invoked.clone(), ended: ended.cloned() };
            if is_told(&step) {
                keys.entry(invoked.key.clone()).or_default().push(step);
            }
        }
        let operations = keys.values().map(Vec::len).sum();
        all.push(Findings { checker: name, keys: keys.len(), operations, ..judge(&keys) });
    }
    Ok(all)
}

/// Whether an operation says anything: it happened, or may have and would have changed something.
fn is_told(step: &Step) -> bool {
    let is_look = matches!(
        step.invoked.function,
        Function::Total
            | Function::Elements
            | Function::List
            | Function::Peek
            | Function::Look
            | Function::Mint
            | Function::Lend
            | Function::Show
            | Function::Grant
    );
    match &step.ended {
        Some(ended) => ended.kind == Kind::Ok,
        None => !is_look,
    }
}

/// Judges each key by a model.
fn by_model<M: Model<Operation = Step>>(
    keys: &BTreeMap<String, Vec<Step>>,
    model: impl Fn(&[Step]) -> Result<M, (String, Vec<Step>)>,
) -> Findings {
    let mut findings = Findings::default();
    for (key, steps) in keys {
        match model(steps) {
            Ok(model) => judge(&mut findings, key, &model, steps),
            Err((words, steps)) => findings.violations.push(violation(key, words, steps.iter())),
        }
    }
    findings
}

fn judge<M: Model<Operation = Step>>(findings: &mut Findings, key: &str, model: &M, steps: &[Step]) {
    findings.searched += 1;
    match search::search(model, steps, BUDGET) {
        End::Found => {}
        End::TooMany => {
            findings.unknown.insert(key.to_owned(), format!("the search passed {BUDGET} configurations"));
        }
        End::None(count, _, waiting) => {
            let words = format!("no order explains more than {count} operations; none of these can come next");
            findings.violations.push(violation(key, words, waiting.iter().map(|index| &steps[*index])));
        }
    }
}

fn violation<'a>(key: &str, words: String, steps: impl Iterator<Item = &'a Step>) -> Violation {
    let (mut operations, mut events) = (Vec::new(), Vec::new());
    for step in steps.take(SHOWN) {
        let Event { process, node, index, function, .. } = &step.invoked;
        let end = step.ended.as_ref().map_or("with an unknown end".to_owned(), |ended| format!("to {}", ended.index));
        let asked = step.invoked.value.or(step.invoked.version).map_or(String::new(), |value| format!(" {value}"));
        let answer = step.ended.as_ref().map_or(String::new(), |ended| {
            let list = ended.list.as_ref().map_or(String::new(), |list| format!(" {list:?}"));
            let value = ended.value.map_or(String::new(), |value| format!(" {value}"));
            format!(" ->{value}{list}")
        });
        operations.push(format!(
            "process {process} on node{}, from event {index} {end}: {function:?}{asked}{answer}",
            node + 1
        ));
        events.push(*index);
    }
    Violation { key: key.to_owned(), words, operations, events }
}

fn judge_counters(keys: &BTreeMap<String, Vec<Step>>) -> Findings {
    by_model(keys, |_| Ok(Counter))
}

fn judge_versions(keys: &BTreeMap<String, Vec<Step>>) -> Findings {
    by_model(keys, |_| Ok(Versions))
}

/// Every list that was read must be a beginning of the longest.
fn judge_lists(keys: &BTreeMap<String, Vec<Step>>) -> Findings {
    by_model(keys, |steps| {
        let list = |step: &Step| step.ended.as_ref().and_then(|ended| ended.list.clone()).unwrap_or_default();
        let longest = steps.iter().max_by_key(|step| list(step).len());
        let order = longest.map(list).unwrap_or_default();
        if order.iter().collect::<BTreeSet<_>>().len() < order.len() {
            return Err(("an element is twice in the list".to_owned(), longest.into_iter().cloned().collect()));
        }
        if let Some(other) = steps.iter().find(|step| !order.starts_with(&list(step))) {
            let both = longest.into_iter().chain([other]).cloned().collect();
            return Err(("two reads do not agree about the order".to_owned(), both));
        }
        Ok(AppendList { order })
    })
}

fn judge_tokens(keys: &BTreeMap<String, Vec<Step>>) -> Findings {
    by_model(keys, |steps| {
        let granted = steps.iter().find(|step| step.invoked.function == Function::Grant);
        Ok(Token { uses: granted.and_then(|step| step.invoked.value) })
    })
}

/// Names are judged one by one; a listing of a folder is a look at each of them.
fn judge_names(keys: &BTreeMap<String, Vec<Step>>) -> Findings {
    let mut findings = Findings::default();
    for (folder, steps) in keys {
        let listed = steps.iter().filter_map(|step| step.ended.as_ref()?.list.as_ref()).flatten();
        let numbers: BTreeSet<u64> =
            steps.iter().filter_map(|step| step.invoked.value).chain(listed.copied()).collect();
        for number in numbers {
            let is_about = |step: &&Step| step.invoked.value.is_none_or(|value| value == number);
            let own: Vec<_> = steps.iter().filter(is_about).cloned().collect();
            judge(&mut findings, &format!("{folder}/{number}"), &Name { number }, &own);
        }
    }
    findings
}

fn judge_identifiers(keys: &BTreeMap<String, Vec<Step>>) -> Findings {
    let mut findings = Findings::default();
    for (key, steps) in keys {
        let mut seen: BTreeMap<u64, &Step> = BTreeMap::new();
        for step in steps {
            let Some(identifier) = step.ended.as_ref().and_then(|ended| ended.value) else { continue };
            if let Some(earlier) = seen.insert(identifier, step) {
                let words = "the same identifier was given twice".to_owned();
                findings.violations.push(violation(key, words, [earlier, step].into_iter()));
            }
        }
    }
    findings
}

/// A lease that was shown must be taken before its end and refused behind it, but for what clocks may differ.
fn judge_leases(keys: &BTreeMap<String, Vec<Step>>) -> Findings {
    let mut findings = Findings::default();
    for (key, steps) in keys {
        let Some(lent) = steps.iter().find(|step| step.invoked.function == Function::Lend) else { continue };
        let Some(ended) = &lent.ended else { continue };
        let length = lent.invoked.value.unwrap_or(0).saturating_mul(1_000_000_000);
        let earliest = (lent.invoked.nanos + length).saturating_sub(CLOCK_NANOS);
        let latest = ended.nanos + length + CLOCK_NANOS;
        for step in steps.iter().filter(|step| step.invoked.function == Function::Show) {
            let Some(shown) = &step.ended else { continue };
            let was_taken = shown.value == Some(1);
            let words = match was_taken {
                true if step.invoked.nanos > latest => "a lease was taken after its end",
                false if shown.nanos < earliest => "a lease was refused before its end",
                _ => continue,
            };
            findings.violations.push(violation(key, words.to_owned(), [lent, step].into_iter()));
        }
    }
    findings
}
