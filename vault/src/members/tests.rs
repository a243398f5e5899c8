mod place;

use conclave_batch::Outcome;

use super::*;
use crate::context::Random;
use crate::limits::{MAX_JOIN_TOKEN_SECS, MAX_JOIN_TOKEN_USES, MAX_NODE_NAME_BYTES};
use crate::testing::{Harness, context};

const CLUSTER: [u8; 16] = [7; 16];
/// The nodes of the tests have higher ids than the one that the cluster began with.
const FIRST: u64 = 10;

/// Runs a change of the members until it is committed.
fn change<T>(
    harness: &mut Harness,
    run: impl FnOnce(&mut Store<'_>, &mut Context<'_>) -> Result<T, Error>,
) -> Result<T, String> {
    let table = harness.table.snapshot();
    let mut context = context(&mut harness.random, harness.now);
    let mut store = harness.core.store(&table);
    let answer = run(&mut store, &mut context).map_err(|error| error.messages.join("; "))?;
    let batch = store.finish(&mut context).expect("the change fits a batch");
    if let Some(batch) = batch {
        assert!(matches!(harness.table.apply(&batch), Outcome::Applied { .. }));
    }
    Ok(answer)
}

fn issue(harness: &mut Harness, ttl_secs: u64, uses: u64) -> JoinToken {
    change(harness, |store, context| issue_token(store, context, ttl_secs, uses)).expect("within the limits")
}

/// A node by its number.
fn node(number: u64, name: &str) -> MemberRecord {
    let id = FIRST + number;
    MemberRecord {
        id,
        public_key: vec![id as u8; 32],
        cluster_addr: format!("10.0.0.{id}:8201"),
        name: name.to_owned(),
        ..MemberRecord::default()
    }
}

fn join(harness: &mut Harness, token: &JoinToken, member: &MemberRecord) -> Result<(), String> {
    let proof = prove(&token.secret, &CLUSTER, member);
    change(harness, |store, context| {
        let join = Join { token_id: &token.id, proof: &proof, member: member.clone(), is_empty: true };
        redeem(store, context.now, &CLUSTER, join)
    })
}

fn names(harness: &mut Harness) -> Vec<String> {
    let record = change(harness, |store, _| load(store)).unwrap();
    // Without the node that the cluster began with.
    record.members.into_iter().filter(|member| member.id > FIRST).map(|member| member.name).collect()
}

#[test]
fn a_join_token_lets_in_as_many_nodes_as_it_says_and_no_more() {
    let mut harness = Harness::new();
    let token = issue(&mut harness, 60, 3);
    for id in 1..=3 {
        assert_eq!(join(&mut harness, &token, &node(id, &format!("node{id}"))), Ok(()));
    }
    assert!(join(&mut harness, &token, &node(4, "node4")).unwrap_err().contains("as often as it may be"));
    assert_eq!(names(&mut harness), ["node1", "node2", "node3"]);
}

#[test]
fn a_node_that_asks_again_spends_no_use() {
    let mut harness = Harness::new();
    let token = issue(&mut harness, 60, 2);
    for _ in 0..3 {
        assert_eq!(join(&mut harness, &token, &node(1, "a")), Ok(()));
    }
    assert_eq!(join(&mut harness, &token, &node(2, "b")), Ok(()));
    assert_eq!(names(&mut harness), ["a", "b"]);
}

#[test]
fn a_join_token_ends_with_its_time_however_many_uses_are_left() {
    let mut harness = Harness::new();
    let token = issue(&mut harness, 24 * 3600, 64);
    harness.advance(24 * 3600 - 1);
    assert_eq!(join(&mut harness, &token, &node(1, "a")), Ok(()));
    harness.advance(1);
    assert!(join(&mut harness, &token, &node(2, "b")).unwrap_err().contains("has expired"));
}

#[test]
fn a_token_without_an_end_or_for_too_many_is_refused() {
    assert_eq!(check_token(MAX_JOIN_TOKEN_SECS, MAX_JOIN_TOKEN_USES).map_err(|_| ()), Ok(()));
    for (ttl_secs, uses) in [(0, 1), (MAX_JOIN_TOKEN_SECS + 1, 1), (60, 0), (60, MAX_JOIN_TOKEN_USES + 1)] {
        assert!(check_token(ttl_secs, uses).is_err(), "{ttl_secs} {uses}");
    }
}

#[test]
fn a_wrong_proof_lets_nobody_in_and_spends_nothing() {
    let mut harness = Harness::new();
    let token = issue(&mut harness, 60, 1);
    let mut forged = JoinToken { id: token.id, secret: token.secret };
    harness.random.fill(&mut forged.secret);
    assert!(join(&mut harness, &forged, &node(1, "a")).is_err());
    assert_eq!(join(&mut harness, &token, &node(1, "a")), Ok(()));
}

#[test]
fn two_nodes_never_have_one_name_and_the_refusal_says_what_to_do() {
    let mut harness = Harness::new();
    let token = issue(&mut harness, 60, 4);
    join(&mut harness, &token, &node(1, "vault-1")).unwrap();
    let refused = join(&mut harness, &token, &node(2, "vault-1")).unwrap_err();
    assert!(refused.contains("remove-peer vault-1") && refused.contains("10.0.0.11:8201"), "{refused}");
    // Nodes without a name go by their ids, which differ.
    for id in [3, 4] {
        assert_eq!(join(&mut harness, &token, &node(id, "")), Ok(()));
    }
    change(&mut harness, |store, _| remove(store, FIRST + 1, |_| Ok(()))).unwrap();
    assert_eq!(join(&mut harness, &token, &node(2, "vault-1")), Ok(()));
}

#[test]
fn a_name_can_be_seen_and_is_nobody_elses_id() {
    let long = "n".repeat(MAX_NODE_NAME_BYTES);
    for fine in ["", "vault-1", "Knoten Zwei", "0000000000000002", &long] {
        assert!(check_name(2, fine).is_ok(), "{fine}");
    }
    for wrong in [" a", "a\n", "\u{1b}[31m", "a\u{200b}", "0000000000000003", &format!("{long}n")] {
        assert!(check_name(2, wrong).is_err(), "{wrong:?}");
    }
}
