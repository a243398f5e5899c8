//! What the members say before a root key leaves a node.
//!
//! The node with the keys may have been away when a member was removed, and may be cut off now: what its own table says
//! about the members can be old. So it asks all of them. Nothing is handed over before a majority of the members record
//! has answered and none of them knows a newer one; and a node under whose id two processes were heard gets nothing,
//! because one of them is not the machine that the operator means.

use std::time::Duration;

use super::Fingerprint;

/// What one member of the record says; the node with the keys is one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// Revision of the members record in its table.
    pub applied_revision: u64,
    /// Index of the newest change of the members record in its log, applied or not; 0 if there is none.
    pub logged_revision: u64,
    /// Which processes it heard, and under which node's id.
    pub heard: Vec<Heard>,
}

/// A process that spoke under a node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The node.
    pub node: u64,
    /// The process.
    pub process: Fingerprint,
    /// How long ago it was heard last.
    pub ago: Duration,
}

/// What all members say.
#[derive(Clone, Debug)]
pub struct Survey {
    /// How many nodes the members record of the node with the keys names, itself included.
    pub members: usize,
    /// Its revision.
    pub revision: u64,
    /// Whether a leader has just confirmed that this node has applied everything.
    pub is_current: bool,
    /// What those say who answered.
    pub testimonies: Vec<Testimony>,
}

/// Why nothing, or nothing to one node, is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// Too few answered.
    #[error(
        "only {answered} of the {members} nodes of the cluster answer, and the root key moves only while {needed} do: \
         start them, or remove those that are gone with `operator raft remove-peer`, then hold the ceremony again"
    )]
    NoQuorum {
        /// Members that answered.
        answered: usize,
        /// Members of the record.
        members: usize,
        /// A majority of them.
        needed: usize,
    },
    /// A member was added or removed, and this node does not know it yet.
    #[error(
        "another node knows a newer list of the members than this one: wait until this node has caught up, then hold \
         the ceremony again"
    )]
    NewerMembers,
    /// Two machines run under one id.
    #[error(
        "two processes run under this node's id, {0} and {1}: stop the one that is a copy. A minute after it was last \
         heard, hold the ceremony again"
    )]
    TwoProcesses(Fingerprint, Fingerprint),
}

impl Survey {
    /// Whether anything may be handed over.
    pub fn judge(&self) -> Result<(), Objection> {
        let (answered, needed) = (self.testimonies.len(), self.members / 2 + 1);
        if answered < needed {
            return Err(Objection::NoQuorum { answered, members: self.members, needed });
        }
        let newest = |testimony: &Testimony| match self.is_current {
            // What is in a log behind that is not committed, and may never be.
            true => testimony.applied_revision,
            false => testimony.applied_revision.max(testimony.logged_revision),
        };
        if self.testimonies.iter().any(|testimony| newest(testimony) > self.revision) {
            return Err(Objection::NewerMembers);
        }
        Ok(())
    }

    /// Whether the process that offers to receive is the only one under its node's id. `known` is how long the node with
    /// the keys has known of it: a process that was heard after that lives beside it, and is not its predecessor.
    pub fn judge_process(&self, node: u64, process: Fingerprint, known: Duration) -> Result<(), Objection> {
        let heard = self.testimonies.iter().flat_map(|testimony| &testimony.heard);
        let mut others = heard.filter(|heard| heard.node == node && heard.process != process && heard.ago < known);
        match others.next() {
            Some(other) => Err(Objection::TwoProcesses(process, other.process)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVISION: u64 = 40;

    fn says(applied_revision: u64, logged_revision: u64) -> Testimony {
        Testimony { applied_revision, logged_revision, heard: Vec::new() }
    }

    fn survey(members: usize, is_current: bool, testimonies: Vec<Testimony>) -> Survey {
        Survey { members, revision: REVISION, is_current, testimonies }
    }

    #[test]
    fn nothing_is_handed_over_before_a_majority_of_the_members_answered() {
        for is_current in [false, true] {
            for (members, needed) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
                let answers = |count: usize| survey(members, is_current, vec![says(REVISION, 0); count]).judge();
                let objection = Objection::NoQuorum { answered: needed - 1, members, needed };
                assert_eq!(answers(needed - 1), Err(objection), "{members} members");
                assert_eq!(answers(needed), Ok(()), "{members} members");
            }
        }
    }

    #[test]
    fn nothing_is_handed_over_if_a_member_has_applied_a_newer_record() {
        for is_current in [false, true] {
            let answers = vec![says(REVISION, 0), says(REVISION + 1, 0)];
            assert_eq!(survey(3, is_current, answers).judge(), Err(Objection::NewerMembers));
        }
    }

    #[test]
    fn without_a_leader_a_newer_record_in_a_log_counts_and_with_one_it_does_not() {
        let answers = vec![says(REVISION, REVISION), says(REVISION, REVISION + 5)];
        assert_eq!(survey(3, false, answers.clone()).judge(), Err(Objection::NewerMembers));
        assert_eq!(survey(3, true, answers).judge(), Ok(()));
    }

    #[test]
    fn a_member_that_lags_behind_is_no_objection() {
        assert_eq!(survey(3, false, vec![says(REVISION, 0), says(REVISION - 9, 0)]).judge(), Ok(()));
    }

    fn process(number: u8) -> Fingerprint {
        Fingerprint::from_bytes([number; 16])
    }

    fn heard(node: u64, number: u8, millis: u64) -> Testimony {
        let heard = Heard { node, process: process(number), ago: Duration::from_millis(millis) };
        Testimony { heard: vec![heard], ..says(REVISION, 0) }
    }

    #[test]
    fn a_node_under_whose_id_a_second_process_speaks_gets_nothing_whichever_offers() {
        let survey = survey(3, true, vec![heard(7, 1, 300), heard(7, 2, 400)]);
        for (offered, other) in [(1, 2), (2, 1)] {
            let objection = Objection::TwoProcesses(process(offered), process(other));
            assert_eq!(survey.judge_process(7, process(offered), Duration::from_secs(9)), Err(objection));
        }
        assert_eq!(survey.judge_process(8, process(3), Duration::from_secs(9)), Ok(()));
    }

    #[test]
    fn the_process_before_a_restart_is_no_second_one() {
        let survey = survey(3, true, vec![heard(7, 1, 5_000), heard(7, 2, 100)]);
        assert_eq!(survey.judge_process(7, process(2), Duration::from_secs(4)), Ok(()));
    }
}
