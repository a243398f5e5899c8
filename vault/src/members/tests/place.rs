//! Whose place a joiner may take, and what of a join can be changed on its way.

use conclave_batch::Outcome;

use super::*;
use crate::testing::{Harness, context};

const CLUSTER: [u8; 16] = [7; 16];

fn member(id: u64) -> MemberRecord {
    MemberRecord {
        id,
        public_key: vec![u8::try_from(id).unwrap(); 32],
        cluster_addr: format!("10.0.0.{id}:8201"),
        api_addr: format!("https://10.0.0.{id}:8200"),
        is_blind: false,
        is_non_voter: false,
        name: String::new(),
    }
}

/// Commits a change and gives back what it answered.
fn commit<T>(
    harness: &mut Harness,
    change: impl Fn(&mut Store<'_>, &mut Context<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let table = harness.table.snapshot();
    let mut context = context(&mut harness.random, harness.now);
    let mut store = harness.core.store(&table);
    let answer = change(&mut store, &mut context)?;
    if let Some(proposal) = store.finish(&mut context)? {
        assert!(matches!(harness.table.apply(&proposal), Outcome::Applied { .. }));
    }
    Ok(answer)
}

/// Joins with a fresh token; `sent` is what arrives of the node that made the proof.
fn join(harness: &mut Harness, proven: &MemberRecord, sent: &MemberRecord, is_empty: bool) -> Result<(), Error> {
    let token = commit(harness, |store, context| issue_token(store, context, 60, 1))?;
    let proof = prove(&token.secret, &CLUSTER, proven);
    commit(harness, |store, context| {
        let join = Join { token_id: &token.id, proof: &proof, member: sent.clone(), is_empty };
        redeem(store, context.now, &CLUSTER, join)
    })
}

fn listed(harness: &mut Harness) -> Vec<MemberRecord> {
    let mut members = commit(harness, |store, _| load(store)).unwrap().members;
    // The node that the cluster began with.
    members.remove(0);
    members
}

// check 229
#[test]
fn nothing_in_a_join_can_be_changed_on_its_way() {
    let mut harness = Harness::new();
    let edits: [fn(&mut MemberRecord); 5] = [
        |member| member.id = 99,
        |member| member.public_key = vec![99; 32],
        |member| member.cluster_addr = "10.6.6.6:8201".into(),
        |member| member.api_addr = "https://10.6.6.6:8200".into(),
        |member| member.is_blind = true,
    ];
    for edit in edits {
        let mut edited = member(2);
        edit(&mut edited);
        assert!(join(&mut harness, &member(2), &edited, false).is_err(), "{edited:?}");
    }
    assert_eq!(listed(&mut harness), []);
    join(&mut harness, &member(2), &member(2), false).unwrap();
    assert_eq!(listed(&mut harness), [member(2)]);
}

#[test]
fn nobody_joins_in_a_members_place() {
    let mut harness = Harness::new();
    join(&mut harness, &member(2), &member(2), false).unwrap();
    let with = |edit: fn(&mut MemberRecord)| {
        let mut joiner = member(3);
        edit(&mut joiner);
        joiner
    };
    for (joiner, hint) in [
        (with(|member| member.id = 2), "another node, 0000000000000002"),
        (with(|member| member.public_key = vec![2; 32]), "another node, 0000000000000002"),
        (with(|member| member.cluster_addr = "10.0.0.2:8201".into()), "remove-peer 0000000000000002"),
        (member(2), "remove-peer 0000000000000002"),
    ] {
        let refused = join(&mut harness, &joiner, &joiner, false).unwrap_err().messages.join("; ");
        assert!(refused.contains(hint), "{refused}");
    }
    assert_eq!(listed(&mut harness), [member(2)]);
    // The answer to its join was lost, and it has nothing yet: it may ask again.
    join(&mut harness, &member(2), &member(2), true).unwrap();
    assert_eq!(listed(&mut harness), [member(2)]);
}

#[test]
fn a_member_that_moves_keeps_its_key_and_its_place() {
    let mut harness = Harness::new();
    for id in [1, 2] {
        join(&mut harness, &member(id), &member(id), false).unwrap();
    }
    for id in [1, 9] {
        commit(&mut harness, |store, _| relocate(store, id, "10.0.1.1:1", "https://10.0.1.1:2")).unwrap();
    }
    let moved = MemberRecord { cluster_addr: "10.0.1.1:1".into(), api_addr: "https://10.0.1.1:2".into(), ..member(1) };
    assert_eq!(listed(&mut harness), [moved, member(2)]);
}
