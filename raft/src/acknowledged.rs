//! What each node acknowledged, to this leader or to others that told of it, so that one that no longer has it is noticed.
//!
//! A follower that misses an entry which it acknowledged in the same term has a disk that went back in time: a backup
//! was put back, or somebody did. openraft takes that for impossible; it stops the leader, or waits for ever. The node
//! learns it from the answer to its next probe, and keeps that in its cluster file (`peers.rs`), because a new leader
//! knows nothing of it.
//!
//! The answers to probes pass on what is known of all members. So a node that starts with an older disk hears of it although
//! the leader that it had acknowledged to is gone, and gives no vote until it has caught up (`standing.rs`). Nobody keeps that
//! on disk: if all nodes went down together, nobody knows.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The newest acknowledgements.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Those to this node as leader.
    own: Mutex<HashMap<u64, Kept>>,
    /// All that this node knows of, by node.
    known: Mutex<HashMap<u64, Acknowledgement>>,
}

/// That a node had all entries up to an index, as it said to the leader of a term. In order of age: terms come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acknowledgement {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// What one node acknowledged.
struct Kept {
    /// Only within one term: another leader may have had the entry replaced, which is no loss.
    term: u64,
    index: u64,
    is_reported: bool,
}

impl Acknowledged {
    /// A node has all entries up to `index`, as it said to the leader of `term`.
    pub(crate) fn note(&self, node: u64, term: u64, index: u64) {
        self.hear(node, Acknowledgement { term, index });
        let mut nodes = self.own.lock();
        let kept = nodes.entry(node).or_insert(Kept { term, index, is_reported: false });
        if kept.term < term {
            *kept = Kept { term, index, is_reported: false };
        } else if kept.term == term {
            kept.index = kept.index.max(index);
        }
    }

    /// Somebody knows of an acknowledgement.
    pub(crate) fn hear(&self, node: u64, acknowledged: Acknowledgement) {
        let mut known = self.known.lock();
        let present = known.entry(node).or_default();
        *present = acknowledged.max(*present);
    }

    /// The newest of each node that is known.
    pub(crate) fn all(&self) -> Vec<(u64, Acknowledgement)> {
        self.known.lock().iter().map(|(node, known)| (*node, *known)).collect()
    }

    /// The newest of one node that is known.
    pub(crate) fn newest_of(&self, node: u64) -> Option<Acknowledgement> {
        self.known.lock().get(&node).copied()
    }

    /// Forgets those who are no members any more.
    pub(crate) fn keep_only(&self, members: impl Fn(u64) -> bool) {
        self.own.lock().retain(|node, _| members(*node));
        self.known.lock().retain(|node, _| members(*node));
    }

    /// The newest entry that a node had acknowledged to the leader of `term`, if it has lost what it acknowledged.
    pub(crate) fn rolled_back_from(&self, node: u64, term: u64) -> Option<u64> {
        let nodes = self.own.lock();
        nodes.get(&node).filter(|kept| kept.term == term && kept.is_reported).map(|kept| kept.index)
    }

    /// Whether a node that lacks the entry at `index` had acknowledged it in this term. Says so in the log, once.
    pub(crate) fn has_rolled_back(&self, node: u64, term: u64, index: u64) -> bool {
        let mut nodes = self.own.lock();
        let Some(kept) = nodes.get_mut(&node).filter(|kept| kept.term == term && index <= kept.index) else {
            return false;
        };
        if !std::mem::replace(&mut kept.is_reported, true) {
            tracing::error!(
                node = format!("{node:016x}"),
                acknowledged = kept.index,
                lacks = index,
                "a node lacks an entry that it had acknowledged: its disk went back in time. It gets no more entries; \
                 remove it from the cluster, wipe its data folder, and let it join as a new node"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_was_acknowledged_in_this_term_cannot_be_missing() {
        let acknowledged = Acknowledged::default();
        acknowledged.note(7, 2, 10);
        acknowledged.note(7, 2, 5);
        assert_eq!(acknowledged.rolled_back_from(7, 2), None);
        assert!(acknowledged.has_rolled_back(7, 2, 10));
        assert_eq!((acknowledged.rolled_back_from(7, 2), acknowledged.rolled_back_from(7, 3)), (Some(10), None));
        assert!(!acknowledged.has_rolled_back(7, 2, 11));
        assert!(!acknowledged.has_rolled_back(8, 2, 10));
    }

    #[test]
    fn what_others_tell_counts_if_it_is_newer_and_goes_with_the_member() {
        let acknowledged = Acknowledged::default();
        acknowledged.note(7, 2, 10);
        acknowledged.hear(7, Acknowledgement { term: 1, index: 90 });
        assert_eq!(acknowledged.newest_of(7), Some(Acknowledgement { term: 2, index: 10 }));
        acknowledged.hear(7, Acknowledgement { term: 3, index: 4 });
        assert_eq!(acknowledged.all(), [(7, Acknowledgement { term: 3, index: 4 })]);
        assert!(acknowledged.has_rolled_back(7, 2, 10), "what was said to this leader stays");
        acknowledged.keep_only(|node| node != 7);
        assert_eq!((acknowledged.newest_of(7), acknowledged.has_rolled_back(7, 2, 10)), (None, false));
    }

    #[test]
    fn what_an_earlier_term_acknowledged_may_have_been_replaced() {
        let acknowledged = Acknowledged::default();
        acknowledged.note(7, 2, 10);
        assert!(!acknowledged.has_rolled_back(7, 3, 10));
        acknowledged.note(7, 3, 4);
        assert!(!acknowledged.has_rolled_back(7, 3, 10));
        assert!(acknowledged.has_rolled_back(7, 3, 4));
    }
}
