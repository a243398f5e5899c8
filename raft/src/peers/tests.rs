use std::collections::BTreeSet;

use openraft::vote::RaftLeaderId;

use super::*;
use crate::types::{LeaderId, Membership};

fn record(key: u8) -> NodeRecord {
    NodeRecord { cluster_addr: format!("127.0.0.1:{key}"), public_key: [key; 32], ..Default::default() }
}

fn members(ids: &[u64]) -> BTreeMap<u64, NodeRecord> {
    ids.iter().map(|id| (*id, record(*id as u8))).collect()
}

fn id(index: u64) -> LogId {
    LogId::new(LeaderId::new(1, 1), index)
}

fn membership(index: u64, ids: &[u64], own: u64) -> StoredMembership {
    let mut nodes = members(ids);
    nodes.entry(own).and_modify(|record| record.public_key = [0xee; 32]);
    let voters: BTreeSet<u64> = ids.iter().copied().collect();
    StoredMembership::new(Some(id(index)), Membership::new(vec![voters], nodes).expect("a valid membership"))
}

fn open(identity: &Identity) -> Peers {
    let tls = Arc::new(Tls::new(identity).expect("TLS for a good key"));
    let (opened, _) = mpsc::channel(1);
    Peers::open(identity, tls, Timing::lan(), opened).expect("the cluster file is fine")
}

// check 227
#[test]
fn a_removed_members_key_is_forgotten_at_once() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    peers.follow(&membership(1, &[1, 2, identity.id()], identity.id()));
    assert_eq!(peers.id_of(&[2; 32]), Some(2));
    peers.follow(&membership(2, &[1, identity.id()], identity.id()));
    assert_eq!(peers.id_of(&[2; 32]), None);
}

#[test]
fn pins_of_a_join_count_until_this_node_is_a_member() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    assert!(peers.enter([9; 16], members(&[7])).expect("nothing to write"));
    // An old membership from before this node joined does not end it.
    peers.follow(&membership(1, &[1], identity.id()));
    assert_eq!(peers.id_of(&[7; 32]), Some(7));
    peers.follow(&membership(2, &[1, identity.id()], identity.id()));
    assert_eq!(peers.id_of(&[7; 32]), None);
}

#[test]
fn cluster_and_pins_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let identity = Identity::load_or_create(dir.path()).expect("an identity");
    let peers = open(&identity);
    assert!(peers.enter([9; 16], members(&[7])).expect("it can be written"));
    let again = open(&identity);
    assert_eq!((again.cluster_id(), again.id_of(&[7; 32])), (Some([9; 16]), Some(7)));
}

#[test]
fn a_node_does_not_change_its_cluster() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    assert!(peers.set_cluster_id([1; 16]).expect("nothing to write"));
    assert!(!peers.set_cluster_id([2; 16]).expect("nothing to write"));
    assert_eq!(peers.cluster_id(), Some([1; 16]));
}

#[test]
fn a_node_enters_another_cluster_only_while_it_is_a_member_of_none() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    // A first start that failed has named a cluster that never came to be.
    assert!(peers.set_cluster_id([1; 16]).expect("nothing to write"));
    assert!(peers.enter([2; 16], members(&[7])).expect("nothing to write"));
    assert!(peers.is_entering());
    peers.follow(&membership(2, &[1, identity.id()], identity.id()));
    assert!(!peers.is_entering());
    assert!(!peers.enter([3; 16], members(&[7])).expect("nothing to write"));
    assert_eq!(peers.cluster_id(), Some([2; 16]));
}

#[test]
fn a_member_that_moved_is_dialled_where_it_says_until_the_membership_says_so() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    peers.follow(&membership(1, &[1, 2, identity.id()], identity.id()));
    let place = || peers.known.read().places.get(&2).cloned();
    assert_eq!(peers.place(2), Some(record(2).cluster_addr));
    peers.note_place(2, "10.0.0.9:8201");
    assert_eq!(place().as_deref(), Some("10.0.0.9:8201"));
    assert_eq!(peers.place(2).as_deref(), Some("10.0.0.9:8201"));
    peers.note_place(3, "10.0.0.9:8201");
    assert_eq!(peers.known.read().places.len(), 1, "a place of no member was kept");
    // It moved back.
    peers.note_place(2, &record(2).cluster_addr);
    assert_eq!(place(), None);
}

#[test]
fn a_newer_membership_that_a_member_vouches_for_lets_its_leader_speak() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    peers.follow(&membership(5, &[1, identity.id()], identity.id()));
    peers.vouch(id(9), members(&[1, 8]));
    assert_eq!(peers.id_of(&[8; 32]), Some(8));
    // The membership itself arrives, and a later one without that node.
    peers.follow(&membership(10, &[1, identity.id()], identity.id()));
    assert_eq!(peers.id_of(&[8; 32]), None);
}

#[test]
fn a_joining_node_believes_a_leader_that_came_after_its_join_token() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    assert!(peers.enter([9; 16], members(&[7])).expect("nothing to write"));
    peers.vouch(id(9), members(&[7, 8]));
    assert_eq!((peers.id_of(&[7; 32]), peers.id_of(&[8; 32])), (Some(7), Some(8)));
}

#[test]
fn an_older_membership_that_a_member_vouches_for_changes_nothing() {
    let identity = Identity::ephemeral().expect("an identity");
    let peers = open(&identity);
    peers.follow(&membership(5, &[1, identity.id()], identity.id()));
    peers.vouch(id(4), members(&[8]));
    assert_eq!(peers.id_of(&[8; 32]), None);
}

#[test]
fn a_damaged_cluster_file_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let identity = Identity::load_or_create(dir.path()).expect("an identity");
    std::fs::write(dir.path().join(CLUSTER_FILE), b"\xff\xff").expect("the directory can be written");
    let tls = Arc::new(Tls::new(&identity).expect("TLS for a good key"));
    let (opened, _) = mpsc::channel(1);
    assert!(Peers::open(&identity, tls, Timing::lan(), opened).is_err());
}

#[test]
fn a_cluster_file_of_which_any_byte_was_changed_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let identity = Identity::load_or_create(dir.path()).expect("an identity");
    assert!(open(&identity).enter([9; 16], members(&[7])).expect("the file can be written"));
    let path = dir.path().join(CLUSTER_FILE);
    let good = std::fs::read(&path).expect("the file");
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[place] ^= 1 << bit;
            std::fs::write(&path, bad).expect("the file can be written");
            assert!(read(&path).is_err(), "bit {bit} of byte {place}");
        }
        std::fs::write(&path, &good[..place]).expect("the file can be written");
        assert!(read(&path).is_err(), "cut to {place} bytes");
    }
    std::fs::write(&path, good).expect("the file can be written");
    assert_eq!(open(&identity).cluster_id(), Some([9; 16]));
}

#[test]
fn a_cluster_file_of_before_there_were_checksums_is_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let identity = Identity::load_or_create(dir.path()).expect("an identity");
    let content = proto::ClusterFile { version: 1, cluster_id: Bytes::from_static(&[9; 16]), ..Default::default() };
    std::fs::write(dir.path().join(CLUSTER_FILE), content.encode_to_vec()).expect("the file can be written");
    assert_eq!(open(&identity).cluster_id(), Some([9; 16]));
}

#[test]
fn a_node_that_found_itself_in_a_membership_was_a_member_for_good() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let identity = Identity::load_or_create(dir.path()).expect("an identity");
    let peers = open(&identity);
    assert!(peers.enter([9; 16], members(&[7])).expect("it can be written"));
    peers.follow(&membership(1, &[7], identity.id()));
    assert!(!open(&identity).was_member(), "an old membership without it");
    peers.follow(&membership(2, &[7, identity.id()], identity.id()));
    assert!(open(&identity).was_member());
    peers.follow(&membership(3, &[7], identity.id()));
    assert!(open(&identity).was_member());
}
