use serde_json::{Value, json};

use crate::context::SystemTtl;
use crate::lease::{Origin, mark};
use crate::limits::MAX_MARKS;
use crate::mount::table::MountTable;
use crate::testing::{Harness, ROOT, context};
use crate::token::issue;
use crate::token::record::TokenRecord;

/// Mounts AppRole with a role that opens to everybody, and returns a function's worth: the role id is `ci`.
fn approle(harness: &mut Harness, path: &str) {
    assert_eq!(harness.request("POST", &format!("sys/auth/{path}"), json!({ "type": "approle" })).0, 204);
    let role =
        json!({ "role_id": "ci", "bind_secret_id": false, "token_bound_cidrs": ["0.0.0.0/0"], "policies": "maker" });
    assert_eq!(harness.request("POST", &format!("auth/{path}/role/ci"), role).0, 204);
    harness.remote_address = Some("192.0.2.1".parse().unwrap());
    let maker =
        r#"path "auth/token/create*" { capabilities = ["update"] } path "cubbyhole/*" { capabilities = ["update"] }"#;
    assert_eq!(harness.request("POST", "sys/policies/acl/maker", json!({ "policy": maker })).0, 204);
}

fn log_in(harness: &mut Harness, path: &str) -> String {
    let (status, body) = harness.request_as("", "POST", &format!("auth/{path}/login"), json!({ "role_id": "ci" }));
    assert_eq!(status, 200, "{body}");
    body["auth"]["client_token"].as_str().unwrap().to_owned()
}

fn works(harness: &mut Harness, token: &str) -> bool {
    harness.request_as(token, "GET", "auth/token/lookup-self", Value::Null).0 == 200
}

fn count(harness: &Harness, path: &[&str]) -> usize {
    let store = harness.core.store(&harness.table);
    store.sample(&store.system(), path, 100_000).unwrap().len()
}

/// Makes many tokens at a path of the token store, many in a batch; returns the last one.
fn issue_many(harness: &mut Harness, path: &str, number: usize) -> String {
    let mut last = String::new();
    for _ in 0..number.div_ceil(500) {
        let now = harness.now;
        let batch = {
            let mut context = context(&mut harness.random, now);
            let mut store = harness.core.store(&harness.table);
            let mount = MountTable::load(&mut store).unwrap().at("auth/token/").unwrap().clone();
            for _ in 0..500.min(number) {
                let record = TokenRecord {
                    policies: vec!["default".into()],
                    path: path.into(),
                    origin: Origin::new(&mount.record, path),
                    issued_nanos: now.nanos(),
                    expires_nanos: now.plus_secs(3600).nanos(),
                    ..TokenRecord::default()
                };
                last = issue::issue(&mut store, &mut context, record, None).unwrap().id.to_string();
            }
            store.finish(&mut context).unwrap().unwrap()
        };
        assert!(harness.commit(&batch));
    }
    last
}

#[test]
fn disabling_an_auth_method_ends_what_it_gave() {
    // checks 16, 109
    let mut harness = Harness::new();
    approle(&mut harness, "approle");
    let token = log_in(&mut harness, "approle");
    let (_, body) = harness.request_as(&token, "POST", "auth/token/create", json!({ "policies": ["maker"] }));
    let child = body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(harness.request_as(&token, "POST", "cubbyhole/a", json!({ "k": "v" })).0, 204);
    let kind = json!({ "token_type": "batch" });
    assert_eq!(harness.request("POST", "sys/auth/approle/tune", kind).0, 204);
    let batch = log_in(&mut harness, "approle");
    assert!(batch.starts_with("hvb.") && works(&mut harness, &batch) && works(&mut harness, &child));
    assert_eq!(harness.request("DELETE", "sys/auth/approle", Value::Null).0, 204);
    for dead in [&token, &child, &batch] {
        assert!(!works(&mut harness, dead), "at once, whatever was removed");
    }
    // A mount that comes back at the path is another one.
    approle(&mut harness, "approle");
    harness.run_tasks();
    for dead in [&token, &child, &batch] {
        assert!(!works(&mut harness, dead));
    }
    let counts = [["token", "id"].as_slice(), &["token", "child"], &["lease"], &["task"], &["expiry"]];
    assert_eq!(counts.map(|path| count(&harness, path)), [1, 0, 0, 0, 0], "only the root token is left");
}

#[test]
fn a_revocation_by_path_does_not_mind_how_many_there_are() {
    // check 108
    let mut harness = Harness::new();
    let marked = issue_many(&mut harness, "auth/token/create/a", 5000);
    let spared = issue_many(&mut harness, "auth/token/create/ab", 1);
    let request = harness.build(ROOT, "POST", "sys/leases/revoke-prefix/auth/token/create/a", Value::Null);
    let answer = harness.send(&request);
    assert_eq!((answer.status, answer.body), (204, Value::Null));
    assert!(!works(&mut harness, &marked) && works(&mut harness, &spared));
    let after = issue_many(&mut harness, "auth/token/create/a", 1);
    assert!(works(&mut harness, &after), "what comes later is not meant");
    assert!(harness.run_tasks() >= 20, "in steps");
    assert!(!works(&mut harness, &marked) && works(&mut harness, &spared) && works(&mut harness, &after));
    assert_eq!((count(&harness, &["token", "id"]), count(&harness, &["task"])), (3, 0));
    let mut store = harness.core.store(&harness.table);
    let left = mark::Revocations::load(&mut store).unwrap();
    let mount = MountTable::load(&mut store).unwrap().at("auth/token/").unwrap().clone();
    assert!(!left.end(&Origin::new(&mount.record, "auth/token/create/a"), 0), "the mark is gone too");
}

#[test]
fn of_a_token_and_a_mark_at_the_same_moment_one_comes_first() {
    let mut harness = Harness::new();
    issue_many(&mut harness, "auth/token/create", 1);
    let request = harness.build(ROOT, "POST", "auth/token/create", json!({ "ttl": "1h" }));
    let (_, made) = harness.propose(&request);
    assert_eq!(harness.request("POST", "sys/leases/revoke-force/auth/token", Value::Null).0, 204);
    assert!(!harness.commit(&made.unwrap()), "it was made before the mark, and comes after it");
}

#[test]
fn a_token_that_lives_for_ever_has_no_lease() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "ttl": "1h" }));
    assert_eq!(harness.request("POST", "sys/leases/revoke-prefix/auth", Value::Null).0, 204);
    assert!(!works(&mut harness, &token) && works(&mut harness, ROOT));
}

#[test]
fn leases_move_with_their_mount() {
    let mut harness = Harness::new();
    approle(&mut harness, "old");
    let token = log_in(&mut harness, "old");
    let keys = |harness: &mut Harness, path: &str| {
        let (status, body) = harness.request("LIST", &format!("sys/leases/lookup/{path}"), Value::Null);
        (status, body["data"]["keys"].as_array().cloned().unwrap_or_default())
    };
    let hash = keys(&mut harness, "auth/old/login").1[0].as_str().unwrap().to_owned();
    let moved = json!({ "from": "auth/old", "to": "auth/new" });
    assert_eq!(harness.request("POST", "sys/remount", moved).0, 200);
    approle(&mut harness, "old");
    assert_eq!(keys(&mut harness, "auth"), (200, vec![json!("new/")]));
    assert_eq!(keys(&mut harness, "auth/new"), (200, vec![json!("login/")]));
    assert_eq!(keys(&mut harness, "auth/old/login").0, 404);
    for path in ["auth/new/login", "auth/old/login"] {
        let lease = json!({ "lease_id": format!("{path}/{hash}") });
        assert_eq!(harness.request("POST", "sys/leases/lookup", lease).0, 200, "{path}");
    }
    // Its role is that of the mount that made it, not of the one that lies there now.
    assert_eq!(harness.request("DELETE", "auth/old/role/ci", Value::Null).0, 204);
    assert_eq!(harness.request_as(&token, "POST", "auth/token/renew-self", Value::Null).0, 200);
    assert_eq!(harness.request("POST", "sys/leases/revoke-prefix/auth/old", Value::Null).0, 204);
    assert!(works(&mut harness, &token));
    let whole = format!("sys/leases/revoke-prefix/auth/new/login/{hash}");
    assert_eq!(harness.request("POST", &whole, Value::Null).0, 204, "one lease by its whole id");
    assert!(!works(&mut harness, &token));
}

#[test]
fn a_later_mark_swallows_those_below_it() {
    let mut harness = Harness::new();
    for path in ["auth/token/create/a", "auth/token/create/b/c", "auth/token/create"] {
        issue_many(&mut harness, path, 2);
        assert_eq!(harness.request("POST", &format!("sys/leases/revoke-prefix/{path}"), Value::Null).0, 204);
    }
    assert_eq!(count(&harness, &["task"]), 1);
    harness.run_tasks();
    assert_eq!((count(&harness, &["token", "id"]), count(&harness, &["lease"]), count(&harness, &["task"])), (1, 0, 0));
}

#[test]
fn marks_are_bounded_and_a_wider_one_makes_room() {
    let mut harness = Harness::new();
    for number in 0..=MAX_MARKS {
        let path = format!("auth/token/create/r{number}");
        issue_many(&mut harness, &path, 1);
        let (status, _) = harness.request("POST", &format!("sys/leases/revoke-prefix/{path}"), Value::Null);
        assert_eq!(status, if number < MAX_MARKS { 204 } else { 429 });
    }
    assert_eq!(harness.request("POST", "sys/leases/revoke-prefix/auth/token", Value::Null).0, 204);
    harness.run_tasks();
    assert_eq!((count(&harness, &["token", "id"]), count(&harness, &["task"])), (1, 0));
}

#[test]
fn a_walk_goes_on_where_the_last_one_ended() {
    let mut harness = Harness::new();
    let paths = ["create", "create/a", "create/a/b", "create/b", "create/b/a"];
    for path in paths {
        issue_many(&mut harness, &format!("auth/token/{path}"), 3);
    }
    let store = harness.core.store(&harness.table);
    let origin = {
        let mut store = harness.core.store(&harness.table);
        Origin::whole(MountTable::load(&mut store).unwrap().at("auth/token/").unwrap().record.id.clone())
    };
    for limit in [1, 2, 4, 7, 100] {
        let (mut after, mut seen) = (Vec::new(), Vec::new());
        loop {
            let found = crate::lease::walk::leases(&store, &origin, &after, limit).unwrap();
            seen.extend(found.iter().map(|lease| lease.name().to_owned()));
            match found.last().filter(|_| found.len() == limit) {
                Some(last) => after = last.cursor(&origin),
                None => break,
            }
        }
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (15, 15), "limit {limit}");
    }
}

#[test]
fn the_longest_time_of_a_tuned_mount_bounds_a_renewal_after_a_move() {
    let mut harness = Harness::new();
    approle(&mut harness, "old");
    let token = log_in(&mut harness, "old");
    assert_eq!(harness.request("POST", "sys/remount", json!({ "from": "auth/old", "to": "auth/new" })).0, 200);
    assert_eq!(
        harness.request("POST", "sys/auth/new/tune", json!({ "default_lease_ttl": "1h", "max_lease_ttl": "1h" })).0,
        204
    );
    let (status, body) = harness.request_as(&token, "POST", "auth/token/renew-self", Value::Null);
    assert_eq!((status, &body["auth"]["lease_duration"]), (200, &json!(3600)));
    assert!(SystemTtl::default().max_secs > 3600);
}
