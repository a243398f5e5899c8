//! What is known about a key when everything is put together: which version each value became.
//!
//! A write with an unknown end whose value somebody saw did happen, and is known like any other. One that nobody saw may
//! not simply be left out, because a refused check-and-set may be its only trace; it is left out only if the values of
//! all versions are known, and its own is not among them.

use std::collections::{BTreeMap, BTreeSet};

use super::Flaw;
use super::operation::{Action, KeyHistory, Operation};

/// Versions and values, each way, with who says so.
#[derive(Default)]
struct Knowledge<'a> {
    values: BTreeMap<u64, (u64, Option<&'a Operation>)>,
    versions: BTreeMap<u64, u64>,
}

impl<'a> Knowledge<'a> {
    fn add(&mut self, version: u64, value: u64, source: Option<&'a Operation>) -> Result<(), Flaw> {
        let (known, earlier) = *self.values.entry(version).or_insert((value, source));
        let both: Vec<_> = earlier.into_iter().chain(source).collect();
        if known != value {
            let words = format!("version {version} has two values, {known} and {value}");
            return Err(Flaw::new(words, &both));
        }
        let known = *self.versions.entry(value).or_insert(version);
        if known != version {
            let words = format!("value {value}, written once, became two versions, {known} and {version}");
            let first = self.values.get(&known).and_then(|(_, source)| *source);
            return Err(Flaw::new(words, &first.into_iter().chain(source).collect::<Vec<_>>()));
        }
        Ok(())
    }

    fn gather(history: &'a KeyHistory) -> Result<Self, Flaw> {
        let mut knowledge = Self::default();
        for operation in &history.operations {
            match operation.action {
                Action::Write { value, version: Some(version), .. } => {
                    knowledge.add(version, value, Some(operation))?
                }
                Action::Read { version, value: Some(value) } if version > 0 => {
                    knowledge.add(version, value, Some(operation))?;
                }
                _ => {}
            }
        }
        for (version, value) in &history.observed {
            knowledge.add(*version, *value, None)?;
        }
        Ok(knowledge)
    }

    /// Whether every version up to the newest is known.
    fn is_complete(&self, newest: u64) -> bool {
        (1..=newest).all(|version| self.values.contains_key(&version))
    }
}

/// The operations of a key with all that is known about them, or what contradicts itself.
pub(super) fn resolve(history: &KeyHistory) -> Result<Vec<Operation>, Flaw> {
    refuse_twins(history)?;
    let knowledge = Knowledge::gather(history)?;
    refuse_strangers(history, &knowledge)?;
    let is_complete = history.newest.is_some_and(|newest| knowledge.is_complete(newest));
    let mut resolved = Vec::new();
    for operation in &history.operations {
        let mut operation = operation.clone();
        if let Action::Write { value, version, expected } = &mut operation.action {
            *version = version.or_else(|| knowledge.versions.get(value).copied());
            if version.is_none() && is_complete {
                continue;
            }
            if let (Some(expected), Some(version)) = (*expected, *version)
                && version != expected + 1
            {
                let words = format!("a check-and-set over version {expected} became version {version}");
                return Err(Flaw::new(words, &[&operation]));
            }
        }
        resolved.push(operation);
    }
    Ok(resolved)
}

/// Each value that was seen must come from a write that happened or may have.
fn refuse_strangers(history: &KeyHistory, knowledge: &Knowledge<'_>) -> Result<(), Flaw> {
    let is_written = |value: u64| {
        history
            .operations
            .iter()
            .any(|operation| matches!(operation.action, Action::Write { value: own, .. } if own == value))
    };
    for (version, (value, source)) in &knowledge.values {
        if is_written(*value) {
            continue;
        }
        let refused = history.refused.get(value);
        let words = match refused {
            Some(_) => format!("version {version} holds value {value}, whose write was answered as not done"),
            None => format!("version {version} holds value {value}, which nobody wrote"),
        };
        return Err(Flaw::new(words, &refused.into_iter().chain(*source).collect::<Vec<_>>()));
    }
    Ok(())
}

/// Each value is written once; otherwise a version could not be traced to its write.
fn refuse_twins(history: &KeyHistory) -> Result<(), Flaw> {
    let mut values = BTreeSet::new();
    for operation in &history.operations {
        if let Action::Write { value, .. } = operation.action
            && !values.insert(value)
        {
            return Err(Flaw::new(
                format!("value {value} was written twice, so this history proves nothing"),
                &[operation],
            ));
        }
    }
    Ok(())
}
