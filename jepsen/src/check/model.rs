//! What things other than registers do when one client at a time asks them.

use super::operation::OPEN;
use super::search::{Model, Timed};
use crate::history::{Event, Function};

/// What a look at a version found: nothing, a value, that it was deleted, that it was destroyed.
pub const ABSENT: u64 = 0;
/// See [`ABSENT`].
pub const LIVE: u64 = 1;
/// See [`ABSENT`].
pub const DELETED: u64 = 2;
/// See [`ABSENT`].
pub const DESTROYED: u64 = 3;

/// One operation: its beginning, and its end if that is known.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) invoked: Event,
    pub(super) ended: Option<Event>,
}

impl Step {
    fn function(&self) -> Function {
        self.invoked.function
    }

    fn answer(&self) -> Option<u64> {
        self.ended.as_ref().and_then(|event| event.value)
    }

    /// Whether a name was seen or not, for what looks at names.
    fn sees(&self, name: u64) -> bool {
        let Some(ended) = &self.ended else { return false };
        match &ended.list {
            Some(list) => list.contains(&name),
            None => ended.version == Some(1),
        }
    }
}

impl Timed for Step {
    fn invoked(&self) -> u64 {
        self.invoked.index
    }

    fn returned(&self) -> u64 {
        self.ended.as_ref().map_or(OPEN, |event| event.index)
    }
}

/// A number that is increased.
pub(super) struct Counter;

impl Model for Counter {
    type Operation = Step;
    type State = u64;

    fn begin(&self) -> u64 {
        0
    }

    fn apply(&self, state: &u64, step: &Step) -> Option<u64> {
        match step.function() {
            Function::Add => Some(state + 1),
            _ => (step.answer().unwrap_or(0) == *state).then_some(*state),
        }
    }
}

/// A list that is appended to, of which the longest that anybody read is known.
pub(super) struct AppendList {
    pub(super) order: Vec<u64>,
}

impl Model for AppendList {
    type Operation = Step;
    type State = usize;

    fn begin(&self) -> usize {
        0
    }

    fn apply(&self, length: &usize, step: &Step) -> Option<usize> {
        if step.function() == Function::Append {
            let element = step.invoked.value?;
            let is_next = match self.order.get(*length) {
                Some(next) => *next == element,
                None => !self.order.contains(&element),
            };
            return is_next.then_some(length + 1);
        }
        let read = step.ended.as_ref()?.list.as_ref()?;
        let is_it = read.len() == *length && self.order.get(..*length) == Some(read.as_slice());
        is_it.then_some(*length)
    }
}

/// A token, or what is like one: it can be used so often, until it is revoked.
pub(super) struct Token {
    /// How often; without a limit if nothing is said.
    pub(super) uses: Option<u64>,
}

impl Model for Token {
    type Operation = Step;
    /// Whether it lives, and how often it was used.
    type State = (bool, u64);

    fn begin(&self) -> (bool, u64) {
        (true, 0)
    }

    fn apply(&self, (lives, used): &(bool, u64), step: &Step) -> Option<(bool, u64)> {
        let can_be_used = *lives && self.uses.is_none_or(|uses| *used < uses);
        // Without a limit the number of uses says nothing, and would only make more states.
        let after = (*lives, if self.uses.is_some() { used + 1 } else { 0 });
        match (step.function(), step.answer()) {
            (Function::Revoke, _) => Some((false, *used)),
            (Function::Use, Some(0)) => (!can_be_used).then_some((*lives, *used)),
            (Function::Use, _) => can_be_used.then_some(after),
            _ => Some((*lives, *used)),
        }
    }
}

/// A name in a folder: there or not.
pub(super) struct Name {
    pub(super) number: u64,
}

impl Model for Name {
    type Operation = Step;
    type State = bool;

    fn begin(&self) -> bool {
        false
    }

    fn apply(&self, is_there: &bool, step: &Step) -> Option<bool> {
        match step.function() {
            Function::Make => Some(true),
            Function::Drop => Some(false),
            _ => (step.sees(self.number) == *is_there).then_some(*is_there),
        }
    }
}

/// A secret with versions that are deleted, brought back, and destroyed.
pub(super) struct Versions;

impl Model for Versions {
    type Operation = Step;
    /// What each version is, from version 1 on.
    type State = Vec<u8>;

    fn begin(&self) -> Vec<u8> {
        Vec::new()
    }

    fn apply(&self, versions: &Vec<u8>, step: &Step) -> Option<Vec<u8>> {
        let mut after = versions.clone();
        if step.function() == Function::Put {
            let made = step.ended.as_ref().and_then(|event| event.version);
            after.push(LIVE as u8);
            return made.is_none_or(|made| made == after.len() as u64).then_some(after);
        }
        let number = usize::try_from(step.invoked.version?).ok()?.checked_sub(1)?;
        let now = after.get(number).map_or(ABSENT, |now| u64::from(*now));
        let next = match (step.function(), now) {
            (Function::Look, now) => (step.answer() == Some(now)).then_some(now)?,
            (Function::Delete, LIVE) => DELETED,
            (Function::Undelete, DELETED) => LIVE,
            (Function::Destroy, LIVE | DELETED) => DESTROYED,
            (_, now) => now,
        };
        if let Some(version) = after.get_mut(number) {
            *version = next as u8;
        }
        Some(after)
    }
}
