//! Whether this node may vote: it must have forgotten neither a vote nor what it acknowledged.
//!
//! A disk that went back in time forgets both, and only others can tell. So a node that starts asks first, and votes once most
//! voters have answered, itself counted; or after a while, since those that are left must be able to elect somebody.

use crate::acknowledged::Acknowledgement;
use crate::raft::Inner;

/// For how many of the longest election timeouts a node that starts waits for answers before it votes without.
const SETTLING_TIMEOUTS: u32 = 3;

impl Inner {
    /// Why this node gives no vote, if it does not.
    pub(crate) fn objection_to_voting(&self) -> Option<&'static str> {
        if self.peers.rolled_back_from().is_some() {
            return Some("this node lost entries that it had acknowledged, and does not vote");
        }
        if self.is_doubled() {
            // The other process may have voted otherwise in the same term.
            return Some("two processes run under this node's id, and it does not vote");
        }
        if self.lacks().is_some() {
            return Some("this node lacks what it had acknowledged, and does not vote until it has caught up");
        }
        if !self.is_settled() {
            return Some("this node has just started and asks the others first whether it lacks anything");
        }
        None
    }

    /// What this node had acknowledged, by another's account, and lacks.
    pub(crate) fn lacks(&self) -> Option<Acknowledgement> {
        let acknowledged = self.factory.acknowledged.newest_of(self.id)?;
        let last = self.log.state().last;
        let (written_in, last) = last.map_or((0, 0), |last| (last.term, last.index));
        // A vote for a candidate replaces nothing; a leader that was followed may have.
        let vote = &self.view().vote;
        let followed = if vote.committed { vote.leader_id.term } else { 0 };
        is_lacking(acknowledged, followed.max(written_in), last).then_some(acknowledged)
    }

    /// Whether most voters have answered since this node started, or it has waited for long enough.
    fn is_settled(&self) -> bool {
        let patience = self.config.timing.election_max * SETTLING_TIMEOUTS;
        let voters = self.view().membership.voter_ids().count();
        !self.had_log || self.started_at.elapsed() >= patience || self.reached_voters() * 2 > voters
    }
}

/// Whether a node that followed a leader of `term`, and none of a later one, and has a log up to `last`, has less than it
/// acknowledged. What it acknowledged in an earlier term may have been replaced since.
fn is_lacking(acknowledged: Acknowledgement, term: u64, last: u64) -> bool {
    term < acknowledged.term || (term == acknowledged.term && last < acknowledged.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_lacks_what_it_acknowledged_unless_a_later_leader_replaced_it() {
        let acknowledged = Acknowledgement { term: 3, index: 40 };
        assert!(is_lacking(acknowledged, 2, 90), "it has forgotten whom it followed");
        assert!(is_lacking(acknowledged, 3, 39));
        assert!(!is_lacking(acknowledged, 3, 40));
        assert!(!is_lacking(acknowledged, 4, 7));
    }
}
