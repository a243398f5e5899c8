use std::net::IpAddr;

use serde_json::{Value, json};

use crate::limits::{MAX_TOKEN_BYTES, MAX_TOKEN_DEPTH};
use crate::store::Store;
use crate::testing::{Harness, ROOT};
use crate::token::record;

/// Whether a token may look at itself.
fn works(harness: &mut Harness, token: &str) -> bool {
    let (status, body) = harness.request_as(token, "GET", "auth/token/lookup-self", Value::Null);
    assert!(status == 200 || status == 403, "{status} {body}");
    status == 200
}

/// A token below another; the body is that of `auth/token/create`.
fn child(harness: &mut Harness, parent: &str, body: Value) -> String {
    let (status, body) = harness.request_as(parent, "POST", "auth/token/create", body);
    assert_eq!(status, 200, "{body}");
    body["auth"]["client_token"].as_str().unwrap().to_owned()
}

fn maker(harness: &mut Harness) -> String {
    harness.token_with(r#"path "auth/token/create*" { capabilities = ["update", "sudo"] }"#)
}

fn revoke(harness: &mut Harness, token: &str, how: &str) {
    let (status, body) = harness.request("POST", &format!("auth/token/{how}"), json!({ "token": token }));
    assert_eq!(status, 204, "{body}");
}

/// Names in a directory of the system area.
fn count(harness: &Harness, path: &[&str]) -> usize {
    let store: Store<'_> = harness.core.store(&harness.table);
    store.sample(&store.system(), path, 10_000).unwrap().len()
}

#[test]
fn an_id_counts_only_as_it_is() {
    let mut harness = Harness::new();
    let token = harness.token(json!({}));
    assert!(works(&mut harness, &token));
    let cases = [
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\0"),
        format!("{token}\n"),
        format!("{token}a"),
        token.to_uppercase(),
        token.to_lowercase(),
        token[..token.len() - 1].to_owned(),
        token.replacen("hvs.", "s.", 1),
        "a".repeat(MAX_TOKEN_BYTES + 1),
    ];
    for other in cases {
        assert!(!works(&mut harness, &other), "{other:?}");
    }
}

#[test]
fn an_accessor_is_no_token() {
    // check 97
    let mut harness = Harness::new();
    let (_, body) = harness.request("POST", "auth/token/create", json!({}));
    let accessor = body["auth"]["accessor"].as_str().unwrap().to_owned();
    assert!(!works(&mut harness, &accessor));
    assert!(!works(&mut harness, &format!("hvs.{accessor}")));
}

#[test]
fn the_store_holds_no_token() {
    // check 104
    let mut harness = Harness::new();
    let service = harness.token(json!({}));
    let batch = harness.token(json!({ "type": "batch", "policies": ["default"] }));
    let store = harness.core.store(&harness.table);
    let names = store.sample(&store.system(), &["token", "id"], 100).unwrap();
    assert_eq!(names.len(), 2, "root and the service token");
    for name in names {
        assert!(![ROOT, &service, &batch].contains(&&*name.name));
        assert_eq!(name.name.len(), 64);
    }
}

#[test]
fn of_two_requests_with_one_use_left_one_is_served() {
    // check 96
    let mut harness = Harness::new();
    let token = harness.token(json!({ "num_uses": 1, "policies": ["default"] }));
    let requests: Vec<_> =
        (0..8).map(|_| harness.build(&token, "GET", "auth/token/lookup-self", Value::Null)).collect();
    let mut racing = Vec::new();
    for request in &requests {
        let (answer, batch) = harness.propose(request);
        assert_eq!(answer.status, 200);
        racing.push(batch.expect("a use is a write"));
    }
    let won = racing.iter().filter(|batch| harness.commit(batch)).count();
    assert_eq!(won, 1);
    assert_eq!(harness.send(&requests[0]).status, 403);
}

#[test]
fn a_refused_request_is_a_use_too() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "num_uses": 2, "policies": ["default"] }));
    assert_eq!(harness.request_as(&token, "GET", "secret/data/x", Value::Null).0, 403);
    let (_, body) = harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null);
    assert_eq!(body["data"]["num_uses"], -1);
    assert!(!works(&mut harness, &token));
}

#[test]
fn descendants_are_dead_the_moment_an_ancestor_is() {
    // check 98
    let mut harness = Harness::new();
    let parent = maker(&mut harness);
    let middle = child(&mut harness, &parent, json!({}));
    let grandchild = child(&mut harness, &middle, json!({}));
    let batch = child(&mut harness, &middle, json!({ "type": "batch" }));
    let orphan = child(&mut harness, &middle, json!({ "no_parent": true }));
    revoke(&mut harness, &middle, "revoke");
    for dead in [&middle, &grandchild, &batch] {
        assert!(!works(&mut harness, dead));
    }
    for alive in [&parent, &orphan] {
        assert!(works(&mut harness, alive));
    }
}

#[test]
fn nothing_is_left_of_a_dead_tree() {
    let mut harness = Harness::new();
    let (tokens, accessors) = (count(&harness, &["token", "id"]), count(&harness, &["token", "accessor"]));
    let parent = maker(&mut harness);
    let expiries = count(&harness, &["expiry"]);
    for _ in 0..3 {
        let middle = child(&mut harness, &parent, json!({ "policies": ["default"] }));
        let (status, body) = harness.request_as(&middle, "POST", "cubbyhole/a/b", json!({ "k": 1 }));
        assert_eq!(status, 204, "{body}");
    }
    assert!(expiries > 0);
    revoke(&mut harness, &parent, "revoke");
    assert!(harness.run_tasks() > 0);
    assert_eq!(count(&harness, &["token", "id"]), tokens);
    assert_eq!(count(&harness, &["token", "accessor"]), accessors);
    for empty in [&["token", "child"][..], &["expiry"], &["task"]] {
        assert_eq!(count(&harness, empty), 0, "{empty:?}");
    }
    let store = harness.core.store(&harness.table);
    let mut reading = harness.core.store(&harness.table);
    let mounts = crate::mount::table::MountTable::load(&mut reading).unwrap();
    assert!(store.sample(&mounts.at("cubbyhole/").unwrap().area, &[], 10).unwrap().is_empty());
}

#[test]
fn a_child_cannot_be_born_below_a_token_that_just_died() {
    let mut harness = Harness::new();
    let parent = maker(&mut harness);
    let request = harness.build(&parent, "POST", "auth/token/create", json!({}));
    let (answer, batch) = harness.propose(&request);
    assert_eq!(answer.status, 200);
    revoke(&mut harness, &parent, "revoke");
    assert!(!harness.commit(&batch.unwrap()));
    assert_eq!(harness.send(&request).status, 403);
}

#[test]
fn a_write_under_way_does_not_outlive_its_token() {
    let mut harness = Harness::new();
    let token = harness.token_with(r#"path "secret/*" { capabilities = ["create", "update"] }"#);
    let request = harness.build(&token, "POST", "secret/data/x", json!({ "data": { "a": 1 } }));
    let (_, batch) = harness.propose(&request);
    revoke(&mut harness, &token, "revoke");
    assert!(!harness.commit(&batch.unwrap()));
}

#[test]
fn children_outlive_a_token_that_is_revoked_alone() {
    let mut harness = Harness::new();
    let parent = maker(&mut harness);
    let middle = child(&mut harness, &parent, json!({}));
    let grandchild = child(&mut harness, &middle, json!({}));
    let batch = child(&mut harness, &middle, json!({ "type": "batch" }));
    revoke(&mut harness, &middle, "revoke-orphan");
    for _ in 0..2 {
        assert!(!works(&mut harness, &middle));
        assert!(!works(&mut harness, &batch));
        let (status, body) = harness.request_as(&grandchild, "GET", "auth/token/lookup-self", Value::Null);
        assert_eq!((status, &body["data"]["orphan"]), (200, &json!(true)), "{body}");
        // The second round sees what the background work made of it.
        harness.run_tasks();
    }
    revoke(&mut harness, &parent, "revoke");
    assert!(works(&mut harness, &grandchild));
    revoke(&mut harness, &grandchild, "revoke");
    harness.run_tasks();
    assert_eq!(count(&harness, &["token", "id"]), 1, "only root is left");
}

#[test]
fn a_token_ends_to_the_moment_and_is_removed_later() {
    let mut harness = Harness::new();
    let parent = harness.token(json!({ "ttl": "90s" }));
    let below = child(&mut harness, &parent, json!({ "ttl": "1h" }));
    harness.advance(89);
    assert!(works(&mut harness, &parent) && works(&mut harness, &below));
    harness.advance(1);
    assert!(!works(&mut harness, &parent) && !works(&mut harness, &below));
    harness.advance(60);
    assert!(harness.run_tasks() > 0);
    assert_eq!(count(&harness, &["token", "id"]), 1, "only root is left");
    assert_eq!(count(&harness, &["expiry"]), 0);
}

#[test]
fn a_renewed_token_is_not_ended_at_its_old_time() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "ttl": "90s", "policies": ["default"] }));
    harness.advance(80);
    let (status, body) = harness.request_as(&token, "POST", "auth/token/renew-self", json!({ "increment": "1h" }));
    assert_eq!((status, &body["auth"]["lease_duration"]), (200, &json!(3600)));
    harness.advance(200);
    assert_eq!(harness.run_tasks(), 0, "nothing is due: the entry has moved");
    assert!(works(&mut harness, &token));
    harness.advance(3600);
    assert!(harness.run_tasks() > 0);
    assert_eq!(count(&harness, &["token", "id"]), 1);
}

#[test]
fn a_bound_token_works_only_from_its_addresses() {
    // check 105
    let mut harness = Harness::new();
    let role = json!({ "token_bound_cidrs": "10.0.0.0/8", "allowed_policies": "default" });
    assert_eq!(harness.request("POST", "auth/token/roles/bound", role).0, 204);
    let (_, body) = harness.request("POST", "auth/token/create/bound", json!({}));
    let token = body["auth"]["client_token"].as_str().unwrap().to_owned();
    let cases = [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.1.2.3", false), ("2001:db8::1", false)];
    for (address, may) in cases {
        harness.remote_address = Some(address.parse::<IpAddr>().unwrap());
        assert_eq!(works(&mut harness, &token), may, "{address}");
    }
    harness.remote_address = None;
    assert!(!works(&mut harness, &token));
}

#[test]
fn a_bound_token_cannot_make_itself_a_free_one() {
    let mut harness = Harness::new();
    harness.remote_address = Some("10.1.2.3".parse().unwrap());
    harness.request(
        "POST",
        "sys/policies/acl/make",
        json!({ "policy": r#"path "auth/token/create" { capabilities = ["update"] }"# }),
    );
    let role = json!({ "token_strictly_bind_ip": true, "allowed_policies": "make" });
    assert_eq!(harness.request("POST", "auth/token/roles/bound", role).0, 204);
    let (_, body) = harness.request("POST", "auth/token/create/bound", json!({}));
    let token = body["auth"]["client_token"].as_str().unwrap().to_owned();
    let below = child(&mut harness, &token, json!({}));
    assert!(works(&mut harness, &below));
    harness.remote_address = Some("10.1.2.4".parse().unwrap());
    assert!(!works(&mut harness, &below));
}

#[test]
fn a_changed_batch_token_is_none() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "type": "batch", "policies": ["default"] }));
    assert!(works(&mut harness, &token));
    for at in (4..token.len()).step_by(7) {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = token.clone();
        changed.replace_range(at..=at, other);
        assert!(!works(&mut harness, &changed), "{at}");
    }
    for changed in [format!("{token}="), format!("{token}A"), token.replacen("hvb.", "hvs.", 1), "hvb.".to_owned()] {
        assert!(!works(&mut harness, &changed));
    }
}

#[test]
fn a_batch_token_ends_at_its_time_and_with_its_parent() {
    // check 99
    let mut harness = Harness::new();
    let parent = maker(&mut harness);
    let short = child(&mut harness, &parent, json!({ "type": "batch", "ttl": "60s" }));
    let long = child(&mut harness, &parent, json!({ "type": "batch", "ttl": "1h" }));
    harness.advance(60);
    assert!(!works(&mut harness, &short) && works(&mut harness, &long));
    revoke(&mut harness, &parent, "revoke");
    assert!(!works(&mut harness, &long));
}

#[test]
fn a_tree_has_a_limited_depth() {
    let mut harness = Harness::new();
    let mut token = ROOT.to_owned();
    for _ in 0..MAX_TOKEN_DEPTH {
        token = child(&mut harness, &token, json!({}));
    }
    assert!(works(&mut harness, &token));
    let (status, body) = harness.request_as(&token, "POST", "auth/token/create", json!({}));
    assert_eq!(status, 400, "{body}");
}

#[test]
fn a_tombstone_is_no_token() {
    let mut harness = Harness::new();
    let parent = maker(&mut harness);
    let (_, body) = harness.request_as(&parent, "GET", "auth/token/lookup-self", Value::Null);
    let accessor = body["data"]["accessor"].as_str().unwrap().to_owned();
    revoke(&mut harness, &parent, "revoke-orphan");
    let store = harness.core.store(&harness.table);
    let names = store.sample(&store.system(), record::ACCESSORS, 10).unwrap();
    assert!(names.iter().all(|name| *name.name != *accessor));
    drop(store);
    assert_eq!(harness.request("POST", "auth/token/revoke-orphan", json!({ "token": parent })).0, 400);
}

#[test]
fn address_bounds_hold_for_a_root_token_that_ends() {
    let mut harness = Harness::new();
    let role = json!({ "token_bound_cidrs": ["10.0.0.0/8"] });
    assert_eq!(harness.request("POST", "auth/token/roles/near", role).0, 204);
    let made = |harness: &mut Harness, body: Value| {
        let (_, body) = harness.request("POST", "auth/token/create/near", body);
        body["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let (ending, endless) = (made(&mut harness, json!({ "ttl": "1h" })), made(&mut harness, json!({})));
    harness.remote_address = Some("127.0.0.1".parse().unwrap());
    assert_eq!(harness.request_as(&ending, "GET", "auth/token/lookup-self", Value::Null).0, 403);
    assert_eq!(harness.request_as(&endless, "GET", "auth/token/lookup-self", Value::Null).0, 200);
    harness.remote_address = Some("10.1.2.3".parse().unwrap());
    assert_eq!(harness.request_as(&ending, "GET", "auth/token/lookup-self", Value::Null).0, 200);
}
