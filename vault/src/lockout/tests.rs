use serde_json::{Value, json};

use crate::limits::MAX_LOCKOUT_THRESHOLD;
use crate::lockout::rule::{LockoutRule, UserLockout};
use crate::testing::{Answer, Harness};

/// AppRole at `auth/approle/` with a role whose role id is `ci-id`, and a secret id of it.
fn harness() -> (Harness, String) {
    let mut harness = Harness::new();
    harness.remote_address = Some("192.0.2.1".parse().unwrap());
    assert_eq!(harness.request("POST", "sys/auth/approle", json!({ "type": "approle" })).0, 204);
    let role = json!({ "role_id": "ci-id", "secret_id_bound_cidrs": ["192.0.2.0/24"] });
    assert_eq!(harness.request("POST", "auth/approle/role/ci", role).0, 204);
    let (_, body) = harness.request("POST", "auth/approle/role/ci/secret-id", Value::Null);
    let secret = body["data"]["secret_id"].as_str().unwrap().to_owned();
    (harness, secret)
}

fn log_in(harness: &mut Harness, role_id: &str, secret_id: &str) -> Answer {
    let login = json!({ "role_id": role_id, "secret_id": secret_id });
    let request = harness.build("", "POST", "auth/approle/login", login);
    harness.send(&request)
}

fn statuses(harness: &mut Harness, secret_id: &str, times: usize) -> Vec<u16> {
    (0..times).map(|_| log_in(harness, "ci-id", secret_id).status).collect()
}

fn tune(harness: &mut Harness, settings: Value) -> u16 {
    harness.request("POST", "sys/auth/approle/tune", json!({ "user_lockout_config": settings })).0
}

fn locked(harness: &mut Harness, query: &str) -> (Value, Value) {
    let (status, body) = harness.request("GET", &format!("sys/locked-users{query}"), Value::Null);
    assert_eq!(status, 200, "{body}");
    (body["data"]["total"].clone(), body["data"]["by_namespace"][0]["mount_accessors"].clone())
}

/// Counts that are kept for the mount.
fn kept(harness: &Harness) -> usize {
    let mut store = harness.core.store(&harness.table);
    let mounts = crate::mount::table::MountTable::load(&mut store).unwrap();
    let area = mounts.at("auth/approle/").unwrap().area.clone();
    store.sample(&area, &["lockout"], 1000).unwrap().len()
}

#[test]
fn after_five_wrong_secret_ids_the_right_one_is_refused_too() {
    // check 28
    let (mut harness, secret) = harness();
    assert_eq!(statuses(&mut harness, "wrong", 5), [400; 5]);
    let answer = log_in(&mut harness, "ci-id", &secret);
    assert_eq!((answer.status, &answer.body["errors"]), (403, &json!(["permission denied"])));
    harness.advance(14 * 60);
    assert_eq!(statuses(&mut harness, &secret, 1), [403]);
    harness.advance(61);
    assert_eq!(statuses(&mut harness, &secret, 1), [200], "it is over");
}

#[test]
fn the_configuration_says_it_by_kind_and_a_tuned_mount_for_itself() {
    let (mut harness, secret) = harness();
    let rule = |threshold, is_disabled| LockoutRule { threshold, is_disabled, ..LockoutRule::default() };
    let configured = |all, approle| {
        let kinds = [("approle".to_owned(), approle)].into_iter().collect();
        &*Box::leak(Box::new(UserLockout { all, kinds }))
    };
    harness.user_lockout =
        configured(rule(Some(2), None), LockoutRule { lock_secs: Some(30), ..LockoutRule::default() });
    assert_eq!(statuses(&mut harness, "wrong", 3), [400, 400, 403], "two for all");
    harness.advance(31);
    assert_eq!(statuses(&mut harness, &secret, 1), [200], "and half a minute for this kind");
    harness.user_lockout = configured(rule(Some(1), Some(true)), rule(Some(3), Some(false)));
    assert_eq!(statuses(&mut harness, "wrong", 4), [400, 400, 400, 403], "its own kind counts more");
    harness.advance(3600);
    harness.user_lockout = configured(rule(Some(1), None), rule(None, Some(true)));
    assert_eq!(statuses(&mut harness, "wrong", 6), [400; 6], "off");
    assert_eq!(tune(&mut harness, json!({ "lockout_threshold": 2 })), 204);
    assert_eq!(statuses(&mut harness, "wrong", 3), [400, 400, 403], "the tune wins");
}

#[test]
fn a_mount_says_how_many_and_for_how_long() {
    let (mut harness, secret) = harness();
    let settings = json!({ "lockout_threshold": 2, "lockout_duration": "1m", "lockout_counter_reset_duration": "30s" });
    assert_eq!(tune(&mut harness, settings), 204);
    assert_eq!(statuses(&mut harness, "wrong", 1), [400]);
    harness.advance(30);
    assert_eq!(statuses(&mut harness, "wrong", 1), [400], "the count began again");
    assert_eq!(statuses(&mut harness, &secret, 1), [200]);
    assert_eq!(statuses(&mut harness, "wrong", 3), [400, 400, 403], "a right one ended the count");
    harness.advance(60);
    assert_eq!(statuses(&mut harness, "wrong", 3), [400, 400, 403], "after a lockout too");
    assert_eq!(tune(&mut harness, json!({ "lockout_disable": true })), 204);
    assert_eq!(statuses(&mut harness, "wrong", 4), [400; 4]);
    assert_eq!(statuses(&mut harness, &secret, 1), [200]);
}

#[test]
fn a_threshold_has_a_limit() {
    let (mut harness, _) = harness();
    for (threshold, status) in
        [(json!(MAX_LOCKOUT_THRESHOLD), 204), (json!(MAX_LOCKOUT_THRESHOLD + 1), 400), (json!(-1), 400)]
    {
        assert_eq!(tune(&mut harness, json!({ "lockout_threshold": threshold })), status);
    }
}

#[test]
fn strangers_write_no_more_than_the_threshold() {
    let (mut harness, _) = harness();
    let wrote = |harness: &mut Harness, role_id: &str, secret_id: &str| log_in(harness, role_id, secret_id).wrote;
    assert!(!wrote(&mut harness, "nobody", "wrong"), "who does not exist is not counted");
    assert!(!wrote(&mut harness, "ci-id", ""), "without a secret id nothing is guessed");
    harness.remote_address = Some("198.51.100.7".parse().unwrap());
    assert!(!wrote(&mut harness, "ci-id", "wrong"), "from here no secret id opens");
    harness.remote_address = Some("192.0.2.1".parse().unwrap());
    assert!((0..5).all(|_| wrote(&mut harness, "ci-id", "wrong")));
    assert!((0..20).all(|_| !wrote(&mut harness, "ci-id", "wrong")), "one that is locked out is not counted further");
    assert_eq!(kept(&harness), 1);
    harness.advance(16 * 60);
    harness.run_tasks();
    assert_eq!(kept(&harness), 0);
}

#[test]
fn attempts_on_several_nodes_are_counted_as_on_one() {
    // checks 28, 29
    let (mut harness, secret) = harness();
    assert_eq!(tune(&mut harness, json!({ "lockout_threshold": 2 })), 204);
    let login = json!({ "role_id": "ci-id", "secret_id": "wrong" });
    let request = harness.build("", "POST", "auth/approle/login", login);
    let (_, first) = harness.propose(&request);
    let (_, second) = harness.propose(&request);
    assert!(harness.commit(&first.unwrap()));
    assert!(!harness.commit(&second.unwrap()), "it runs again and sees the first");
    assert_eq!(statuses(&mut harness, "wrong", 1), [400]);
    assert_eq!(statuses(&mut harness, &secret, 1), [403]);
}

#[test]
fn operators_see_who_is_locked_out_and_let_them_in_again() {
    let (mut harness, secret) = harness();
    assert_eq!(locked(&mut harness, ""), (json!(0), json!([])));
    statuses(&mut harness, "wrong", 5);
    let (_, mount) = harness.request("GET", "sys/auth/approle", Value::Null);
    let accessor = mount["data"]["accessor"].as_str().unwrap().to_owned();
    let entry = json!([{ "mount_accessor": accessor, "counts": 1, "alias_identifiers": ["ci-id"] }]);
    assert_eq!(locked(&mut harness, ""), (json!(1), entry.clone()));
    assert_eq!(locked(&mut harness, &format!("?mount_accessor={accessor}")), (json!(1), entry));
    assert_eq!(locked(&mut harness, "?mount_accessor=other"), (json!(0), json!([])));
    assert_eq!(harness.request("POST", "sys/locked-users/other/unlock/ci-id", Value::Null).0, 400);
    for user in ["nobody", "ci-id"] {
        let path = format!("sys/locked-users/{accessor}/unlock/{user}");
        assert_eq!(harness.request("POST", &path, Value::Null).0, 204);
    }
    assert_eq!(locked(&mut harness, "").0, json!(0));
    assert_eq!(statuses(&mut harness, &secret, 1), [200]);
}

#[test]
fn counts_go_with_their_mount() {
    let (mut harness, _) = harness();
    statuses(&mut harness, "wrong", 5);
    assert_eq!(harness.request("DELETE", "sys/auth/approle", Value::Null).0, 204);
    harness.run_tasks();
    harness.advance(3600);
    harness.run_tasks();
    let store = harness.core.store(&harness.table);
    assert!(store.sample(&store.system(), &["expiry"], 10).unwrap().is_empty());
}
