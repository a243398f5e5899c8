use std::collections::{BTreeMap, BTreeSet};

use openraft::vote::RaftLeaderId;

use super::*;
use crate::types::{LeaderId, LogId, Membership, NodeRecord};

fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 1), index)
}

fn head(vote_term: u64, last: LogId, membership: LogId) -> proto::SnapshotHead {
    let members = Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, NodeRecord::default())]));
    let vote = Vote { leader_id: LeaderId::new(vote_term, 1), committed: true };
    proto::SnapshotHead {
        vote: Some(wire::vote(&vote)),
        last: Some(wire::log_id(&last)),
        membership_id: Some(wire::log_id(&membership)),
        membership: Some(wire::membership(&members.expect("a valid membership"))),
    }
}

#[test]
fn a_head_that_fits_is_taken() {
    let (_, meta) = read_head(&head(2, id(2, 9), id(1, 3))).expect("nothing is wrong with it");
    assert_eq!(meta.last_log_id, Some(id(2, 9)));
}

// check 234
#[test]
fn a_head_beyond_its_senders_vote_is_refused() {
    assert!(read_head(&head(1, id(2, 9), id(1, 3))).is_err());
}

// check 234
#[test]
fn a_head_with_a_membership_newer_than_itself_is_refused() {
    assert!(read_head(&head(2, id(2, 9), id(2, 10))).is_err());
}

// check 234
#[test]
fn a_head_under_a_vote_that_no_quorum_granted_is_refused() {
    let mut head = head(2, id(2, 9), id(1, 3));
    head.vote.as_mut().expect("it has one").committed = false;
    assert!(read_head(&head).is_err());
}

// check 234
#[test]
fn a_head_without_members_is_refused() {
    let mut head = head(2, id(2, 9), id(1, 3));
    head.membership = Some(proto::Membership::default());
    assert!(read_head(&head).is_err());
}
