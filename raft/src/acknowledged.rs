//! What each node acknowledged to this leader, so that one that no longer has it is noticed.
//!
//! A follower that misses an entry which it acknowledged in the same term has a disk that went back in time: a backup
//! was put back, or somebody did. openraft takes that for impossible; it stops the leader, or waits for ever. The node
//! learns it from the answer to its next probe, and keeps that in its cluster file (`peers.rs`), because a new leader
//! knows nothing of it.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The newest acknowledgements.
#[derive(Default)]
pub(crate) struct Acknowledged(Mutex<HashMap<u64, Kept>>);

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
        let mut nodes = self.0.lock();
        let kept = nodes.entry(node).or_insert(Kept { term, index, is_reported: false });
        if kept.term < term {
            *kept = Kept { term, index, is_reported: false };
        } else if kept.term == term {
            kept.index = kept.index.max(index);
        }
    }

    /// The newest entry that a node had acknowledged to the leader of `term`, if it has lost what it acknowledged.
    pub(crate) fn lost(&self, node: u64, term: u64) -> Option<u64> {
        let nodes = self.0.lock();
        nodes.get(&node).filter(|kept| kept.term == term && kept.is_reported).map(|kept| kept.index)
    }

    /// Whether a node that lacks the entry at `index` had acknowledged it in this term. Says so in the log, once.
    pub(crate) fn has_lost(&self, node: u64, term: u64, index: u64) -> bool {
        let mut nodes = self.0.lock();
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
        assert_eq!(acknowledged.lost(7, 2), None);
        assert!(acknowledged.has_lost(7, 2, 10));
        assert_eq!((acknowledged.lost(7, 2), acknowledged.lost(7, 3)), (Some(10), None));
        assert!(!acknowledged.has_lost(7, 2, 11));
        assert!(!acknowledged.has_lost(8, 2, 10));
    }

    #[test]
    fn what_an_earlier_term_acknowledged_may_have_been_replaced() {
        let acknowledged = Acknowledged::default();
        acknowledged.note(7, 2, 10);
        assert!(!acknowledged.has_lost(7, 3, 10));
        acknowledged.note(7, 3, 4);
        assert!(!acknowledged.has_lost(7, 3, 10));
        assert!(acknowledged.has_lost(7, 3, 4));
    }
}
