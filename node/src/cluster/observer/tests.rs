use conclave_raft::{Leader, Member, PeerStatus, Role};

use super::*;

/// What node 1 sees of a cluster: the members with whether they vote, those that answer, and who leads.
fn status(members: &[(u64, bool)], answering: &[u64], leader: Option<u64>, term: u64) -> Status {
    let member = |(id, voter): &(u64, bool)| Member {
        name: String::new(),
        id: *id,
        cluster_addr: format!("10.0.0.{id}:8201"),
        api_addr: String::new(),
        public_key: [0; 32],
        voter: *voter,
    };
    let peer = |(id, _): &(u64, bool)| PeerStatus {
        id: *id,
        matched: None,
        last_contact: None,
        least_round_trip: None,
        round_trip: answering.contains(id).then_some(Duration::from_millis(1)),
        can_lead: None,
        clock_ahead_millis: None,
        contradiction: None,
        unanswered_for: Duration::ZERO,
        reached_voters: 0,
        acknowledged: 0,
    };
    Status {
        id: 1,
        cluster_id: None,
        role: Role::Follower,
        term,
        leader: leader.map(|id| Leader { id, api_addr: String::new(), cluster_addr: String::new() }),
        may_lead: true,
        committed: 0,
        applied: 0,
        last_log: 0,
        snapshot: 0,
        purged: 0,
        members: members.iter().map(member).collect(),
        peers: members.iter().filter(|(id, _)| *id != 1).map(peer).collect(),
        halted: None,
        warnings: Vec::new(),
        far_peers: Vec::new(),
    }
}

const THREE: &[(u64, bool)] = &[(1, true), (2, true), (3, true)];

#[test]
fn an_hour_with_a_dead_peer_costs_one_line_a_minute_and_one_when_it_is_back() {
    let start = Instant::now();
    let mut observer = Observer::default();
    observer.look(&status(THREE, &[2, 3], Some(1), 1), start);
    let mut changes = Vec::new();
    for half_second in 1..=7200 {
        let now = start + Duration::from_millis(500) * half_second;
        changes.extend(observer.look(&status(THREE, &[3], Some(1), 1), now));
    }
    assert_eq!(changes.len(), 60, "{changes:?}");
    assert_eq!(changes[0], Change::Gone { id: 2, secs: 3 });
    let back = observer.look(&status(THREE, &[2, 3], Some(1), 1), start + Duration::from_secs(3601));
    assert_eq!(back, [Change::Back { id: 2, secs: 3600 }]);
}

#[test]
fn a_peer_that_misses_one_probe_costs_nothing() {
    let start = Instant::now();
    let mut observer = Observer::default();
    observer.look(&status(THREE, &[2, 3], Some(1), 1), start);
    for (second, answering) in [(1, &[3][..]), (3, &[3]), (4, &[2, 3]), (5, &[3]), (7, &[3])] {
        let changes = observer.look(&status(THREE, answering, Some(1), 1), start + Duration::from_secs(second));
        assert_eq!(changes, []);
    }
}

#[test]
fn each_change_of_the_leader_is_said_once() {
    let now = Instant::now();
    let mut observer = Observer::default();
    let mut look = |leader, term| observer.look(&status(THREE, &[2, 3], leader, term), now);
    assert_eq!(look(Some(1), 1), [Change::Leads { id: 1, term: 1 }]);
    assert_eq!(look(Some(1), 1), []);
    assert_eq!(look(None, 1), [Change::LeadsNoLonger, Change::Leaderless]);
    assert_eq!(look(None, 2), []);
    assert_eq!(look(Some(2), 2), [Change::Leads { id: 2, term: 2 }]);
    assert_eq!(look(Some(2), 3), [Change::Leads { id: 2, term: 3 }], "elected again");
    assert_eq!(look(None, 3), [Change::Leaderless]);
    look(Some(1), 4);
    assert_eq!(look(Some(3), 5), [Change::LeadsNoLonger, Change::Leads { id: 3, term: 5 }], "handed over at once");
}

#[test]
fn members_that_come_vote_and_go_are_said() {
    let now = Instant::now();
    let mut observer = Observer::default();
    let mut look = |members: &[(u64, bool)]| observer.look(&status(members, &[2, 3], None, 1), now);
    assert_eq!(look(&[]), [], "a fresh node");
    assert_eq!(look(&[(1, false), (2, true)]), [Change::Joined { is_voter: false }]);
    assert_eq!(look(&[(1, true), (2, true)]), [Change::Promoted { id: 1 }]);
    assert_eq!(look(&[(1, true), (2, true), (3, false)]), [Change::Added { id: 3, is_voter: false }]);
    assert_eq!(look(&[(1, true), (3, false)]), [Change::Removed { id: 2 }]);
    assert_eq!(look(&[(3, false)]), [Change::Removed { id: 1 }]);
}

#[test]
fn who_begins_a_cluster_says_also_who_joined_at_the_same_look() {
    let now = Instant::now();
    let mut observer = Observer::default();
    let mut look = |members: &[(u64, bool)]| observer.look(&status(members, &[], None, 1), now);
    look(&[]);
    let expected = [Change::Joined { is_voter: true }, Change::Added { id: 2, is_voter: false }];
    assert_eq!(look(&[(1, true), (2, false)]), expected);
}

#[test]
fn a_node_that_starts_as_a_member_says_nothing_of_members() {
    assert_eq!(Observer::default().look(&status(THREE, &[2, 3], None, 1), Instant::now()), []);
}

#[test]
fn a_warning_whose_number_changes_is_one_line_a_minute() {
    let start = Instant::now();
    let mut observer = Observer::default();
    let said = (0..120).map(|second| {
        let mut status = status(THREE, &[2, 3], None, 1);
        status.warnings = vec![format!("the disk went back {second} s")];
        observer.look(&status, start + Duration::from_secs(second)).len()
    });
    assert_eq!(said.sum::<usize>(), 2);
}

#[test]
fn a_far_peer_is_said_once_an_hour_also_if_it_comes_and_goes() {
    let start = Instant::now();
    let mut observer = Observer::default();
    let said = (0..7_200).map(|second| {
        let mut status = status(THREE, &[2, 3], None, 1);
        status.far_peers = (second % 7 < 3).then(|| (2, "far".to_owned())).into_iter().collect();
        status.far_peers.extend((second == 5_000).then(|| (3, "far".to_owned())));
        observer.look(&status, start + Duration::from_secs(second)).len()
    });
    assert_eq!(said.sum::<usize>(), 3);
}
