//! The search for an order of operations that a model allows.
//!
//! This is the algorithm of Wing and Gong (1993) with the memory of Lowe (2017): an operation may come next if nothing
//! that has not come yet had returned before it was invoked; a configuration, that is what has come and the state it
//! left, is visited once. A configuration is kept small by a window: the first operation that must still come, and only
//! those behind it that have come. An operation with an unknown end may come at any time after its invocation, or never.

use std::collections::HashSet;
use std::hash::Hash;

use super::operation::OPEN;

/// When something was invoked, and when it returned.
pub(super) trait Timed {
    /// The index of its first event.
    fn invoked(&self) -> u64;
    /// The index of its last event, or [`OPEN`].
    fn returned(&self) -> u64;
    /// Whether it certainly took effect.
    fn is_certain(&self) -> bool {
        self.returned() != OPEN
    }
}

/// What a thing does when it is asked by one client at a time.
pub(super) trait Model {
    /// What is asked.
    type Operation: Timed;
    /// What it remembers.
    type State: Clone + Eq + Hash;
    /// What it remembers at first.
    fn begin(&self) -> Self::State;
    /// What it remembers after an operation; nothing if that could not come now.
    fn apply(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;
}

/// How a search ended.
pub(super) enum End<S> {
    /// There is an order.
    Found,
    /// There is none. The furthest that any order comes: how many operations, what they leave, and what waits then.
    None(usize, S, Vec<usize>),
    /// The budget was spent first.
    TooMany,
}

/// What has come, and what it left.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration<S> {
    /// The first operation that must come and has not.
    low: usize,
    /// Operations that have come and either lie behind `low` or need not have come; sorted.
    come: Vec<usize>,
    state: S,
}

struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a [M::Operation],
    /// Operations with an unknown end.
    open: Vec<usize>,
}

/// Searches for an order of operations, which are sorted by their invocation.
pub(super) fn search<M: Model>(model: &M, operations: &[M::Operation], budget: usize) -> End<M::State> {
    let open = (0..operations.len()).filter(|index| !operations[*index].is_certain()).collect();
    let search = Search { model, operations, open };
    let mut first = Configuration { low: 0, come: Vec::new(), state: model.begin() };
    search.advance(&mut first);
    let (mut seen, mut stack) = (HashSet::from([first.clone()]), vec![first.clone()]);
    let mut furthest = first;
    while let Some(configuration) = stack.pop() {
        if configuration.low == operations.len() {
            return End::Found;
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
                    return End::TooMany;
                }
                stack.push(configuration);
            }
        }
    }
    End::None(search.progress(&furthest), furthest.state.clone(), search.candidates(&furthest))
}

impl<M: Model> Search<'_, M> {
    /// What may come next.
    fn candidates(&self, configuration: &Configuration<M::State>) -> Vec<usize> {
        let has_come = |index: &usize| configuration.come.binary_search(index).is_ok();
        let early = self.open.iter().copied().take_while(|index| *index < configuration.low);
        let mut candidates: Vec<_> = early.filter(|index| !has_come(index)).collect();
        let mut horizon = u64::MAX;
        for index in configuration.low..self.operations.len() {
            let operation = &self.operations[index];
            if operation.invoked() >= horizon {
                break;
            }
            if !has_come(&index) {
                horizon = horizon.min(operation.returned());
                candidates.push(index);
            }
        }
        candidates
    }

    /// The configuration after an operation, if it can come.
    fn follow(&self, configuration: &Configuration<M::State>, index: usize) -> Option<Configuration<M::State>> {
        let state = self.model.apply(&configuration.state, &self.operations[index])?;
        let mut come = configuration.come.clone();
        let place = come.binary_search(&index).unwrap_or_else(|place| place);
        come.insert(place, index);
        let mut next = Configuration { low: configuration.low, come, state };
        self.advance(&mut next);
        Some(next)
    }

    /// Moves the window over all that has come or need not.
    fn advance(&self, configuration: &mut Configuration<M::State>) {
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

    /// How many operations that must come have come.
    fn progress(&self, configuration: &Configuration<M::State>) -> usize {
        let certain = |index: &&usize| self.operations[**index].is_certain();
        let passed_open = self.open.partition_point(|index| *index < configuration.low);
        configuration.low - passed_open + configuration.come.iter().filter(certain).count()
    }
}
