use std::collections::BTreeSet;

use super::*;
use crate::network::hex;

fn id(index: u64) -> LogId {
    LogId::new(LeaderId::new(3, 7), index)
}

fn one_member() -> Membership {
    let record = NodeRecord {
        cluster_addr: "a:1".into(),
        api_addr: "b".into(),
        public_key: [0x11; 32],
        promote: true,
        name: String::new(),
    };
    Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, record)])).expect("a valid membership")
}

fn append(prev: Option<u64>, indexes: &[u64]) -> AppendEntries {
    let entry = |index: &u64| Entry { log_id: id(*index), payload: Payload::Normal(Data(Bytes::from_static(b"x"))) };
    AppendEntries {
        vote: Vote { leader_id: LeaderId::new(3, 7), committed: true },
        prev_log_id: prev.map(id),
        entries: indexes.iter().map(entry).collect(),
        leader_commit: Some(id(1)),
    }
}

#[test]
fn the_documented_vectors_hold() {
    assert_eq!(hex(&log_id(&id(300)).encode_to_vec()), "0803100718ac02");
    let vote = Vote { leader_id: LeaderId::new(3, 7), committed: true };
    assert_eq!(hex(&encode_vote(&vote)), "080310071801");
    let membership = format!("0a030a0101122e08011203613a311a01622220{}2801", "11".repeat(32));
    assert_eq!(hex(&encode_membership(&one_member())), membership);
}

#[test]
fn entries_of_every_kind_come_back_from_disk() {
    let payloads =
        [Payload::Blank, Payload::Normal(Data(Bytes::from_static(b"batch"))), Payload::Membership(one_member())];
    for payload in payloads {
        let entry = Entry { log_id: id(4), payload };
        assert!(from_disk(to_disk(entry.clone())).expect("it was just written") == entry);
    }
}

#[test]
fn an_append_request_comes_back_from_the_wire() {
    let sent = append(Some(4), &[5, 6]);
    let received = read_append_request(append_request(sent.clone())).expect("it was just written");
    assert!(received.entries == sent.entries && received.prev_log_id == sent.prev_log_id && received.vote == sent.vote);
}

#[test]
fn entries_with_a_hole_between_them_are_refused() {
    for (prev, indexes) in [(Some(4), vec![6]), (Some(4), vec![5, 7]), (None, vec![1])] {
        assert!(read_append_request(append_request(append(prev, &indexes))).is_err());
    }
}

#[test]
fn a_key_of_a_wrong_length_is_refused() {
    let mut message = member(1, &NodeRecord::default());
    message.public_key = Bytes::from_static(&[0; 31]);
    assert!(read_member(&message).is_err());
}

#[test]
fn a_voter_that_is_no_member_is_refused() {
    let mut message = membership(&one_member());
    message.members.clear();
    assert!(read_membership(&message).is_err());
}

#[test]
fn every_outcome_comes_back_from_the_wire() {
    let outcomes = [
        Outcome::Applied { index: 9 },
        Outcome::Conflict { index: 9 },
        Outcome::TooOld,
        Outcome::WrongEpoch,
        Outcome::Malformed,
    ];
    for sent in outcomes {
        assert_eq!(read_outcome(&outcome(sent)).expect("it was just written"), sent);
    }
    assert!(read_outcome(&proto::Outcome::default()).is_err());
}

#[test]
fn a_batch_in_a_log_line_is_a_number_of_bytes() {
    let data = Data(Bytes::from_static(b"canary"));
    assert_eq!(format!("{data} {data:?}"), "6 bytes 6 bytes");
}
