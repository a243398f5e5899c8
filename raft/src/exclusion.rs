//! Whether the cluster goes on without this node. Nobody tells a removed node, but all who know refuse it.
//!
//! Refusals are counted, since one member that was away when this node joined refuses it too. What surprises: two nodes that
//! were removed at the same moment may each answer the other still, so whoever is refused itself proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::raft::{Inner, Raft};

/// Why a cluster goes on without a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// It was removed.
    Removed,
    /// Its majority was given up, and another node was made the only voter.
    LeftBehind,
}

/// What a node knows of its place when it is refused.
struct Evidence {
    /// Whether its own membership names it.
    is_listed: bool,
    /// The voters of that membership.
    voters: BTreeSet<u64>,
    /// Where that membership stands in the log.
    members_index: u64,
    /// Who refuses it, and the index of the committed membership that each follows, or 0.
    refusals: BTreeMap<u64, u64>,
}

impl Evidence {
    /// Most voters refuse it, or it has seen its removal itself and somebody refuses it.
    fn is_refused_by_most(&self) -> bool {
        let refusing = self.voters.iter().filter(|voter| self.refusals.contains_key(voter)).count();
        if self.is_listed { refusing * 2 > self.voters.len() } else { !self.refusals.is_empty() }
    }

    /// A voter follows a later membership, which is committed and does not name it. Believed only while nobody else answers.
    fn is_removed_since(&self) -> bool {
        let mut voters = self.voters.iter().filter_map(|voter| self.refusals.get(voter));
        voters.any(|index| *index > self.members_index)
    }
}

impl Raft {
    /// Why the cluster goes on without this node, if it does and those who answer say so: a majority of the voters that it
    /// knows refuse it; or it has seen its removal itself, and any member does; or a voter does that follows a later
    /// membership. One member that was away when this node joined refuses it too, and proves nothing.
    pub fn exclusion(&self) -> Option<Exclusion> {
        let inner = self.inner();
        let is_answered = inner.probes.lock().values().any(|probe| !probe.is_refused);
        if is_answered || inner.peers.is_entering() {
            return None;
        }
        // One that lies costs a node that nobody else answers its keys, that is a ceremony.
        if !inner.left_behind_by.lock().is_empty() {
            return Some(Exclusion::LeftBehind);
        }
        let evidence = inner.evidence();
        (evidence.is_refused_by_most() || evidence.is_removed_since()).then_some(Exclusion::Removed)
    }
}

impl Inner {
    /// Whether enough refuse this node to show that it is no member, whoever else answers it.
    pub(crate) fn is_refused_by_most(&self) -> bool {
        !self.peers.is_entering() && self.evidence().is_refused_by_most()
    }

    fn evidence(&self) -> Evidence {
        let view = self.view();
        Evidence {
            is_listed: view.membership.nodes().any(|(id, _)| *id == self.id),
            voters: view.membership.voter_ids().collect(),
            members_index: view.membership.log_id().map_or(0, |id| id.index),
            refusals: self.refusals.lock().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that follows the membership at index 10.
    fn evidence(is_listed: bool, voters: &[u64], refusals: &[(u64, u64)]) -> Evidence {
        Evidence {
            is_listed,
            voters: voters.iter().copied().collect(),
            members_index: 10,
            refusals: refusals.iter().copied().collect(),
        }
    }

    #[test]
    fn one_member_that_never_heard_of_a_node_does_not_remove_it() {
        let proves = |is_listed, voters: &[u64], refusals: &[(u64, u64)]| {
            let evidence = evidence(is_listed, voters, refusals);
            evidence.is_refused_by_most() || evidence.is_removed_since()
        };
        // Node 3 joined while 2 was away, and 1, which knows it, is down.
        assert!(!proves(true, &[1, 2, 3], &[(2, 0)]));
        assert!(!proves(true, &[1, 2, 3], &[(2, 9)]), "it follows the membership of before");
        assert!(proves(true, &[1, 2, 3], &[(1, 0), (2, 0)]));
        // Of two voters both must have agreed, so a removed one has seen it itself, or the other one says where it stands.
        assert!(!proves(true, &[1, 2], &[(1, 0)]));
        assert!(proves(true, &[1, 2], &[(1, 11)]));
        assert!(proves(false, &[1], &[(1, 0)]));
        assert!(!proves(false, &[1], &[]));
        assert!(!proves(true, &[1, 2, 3], &[(7, 11), (8, 11), (9, 11)]), "learners decide nothing");
    }

    #[test]
    fn whoever_one_voter_alone_refuses_still_counts_for_others() {
        assert!(!evidence(true, &[1, 2, 3], &[(1, 11)]).is_refused_by_most());
        assert!(evidence(true, &[1, 2, 3], &[(1, 11)]).is_removed_since());
        assert!(evidence(true, &[1, 2, 3], &[(1, 11), (2, 0)]).is_refused_by_most());
    }
}
