use serde_json::{Value, json};

use crate::testing::Harness;

const REFUSED: &str = "invalid role or secret ID";

/// AppRole at `auth/approle/` with a role `ci`, whose role id is `ci-id`.
fn harness(role: Value) -> Harness {
    let mut harness = Harness::new();
    harness.remote_address = Some("127.0.0.1".parse().unwrap());
    assert_eq!(harness.request("POST", "sys/auth/approle", json!({ "type": "approle" })).0, 204);
    write_role(&mut harness, "ci", role);
    assert_eq!(harness.request("POST", "auth/approle/role/ci/role-id", json!({ "role_id": "ci-id" })).0, 204);
    harness
}

fn write_role(harness: &mut Harness, name: &str, role: Value) {
    let (status, body) = harness.request("POST", &format!("auth/approle/role/{name}"), role);
    assert_eq!(status, 204, "{body}");
}

/// A new secret id and its accessor.
fn secret(harness: &mut Harness, role: &str, wishes: Value) -> (String, String) {
    let (status, body) = harness.request("POST", &format!("auth/approle/role/{role}/secret-id"), wishes);
    assert_eq!(status, 200, "{body}");
    let text = |name: &str| body["data"][name].as_str().unwrap().to_owned();
    (text("secret_id"), text("secret_id_accessor"))
}

fn log_in(harness: &mut Harness, role_id: &str, secret_id: &str) -> (u16, Value) {
    harness.request_as("", "POST", "auth/approle/login", json!({ "role_id": role_id, "secret_id": secret_id }))
}

/// What must succeed; its `auth`.
fn logged_in(harness: &mut Harness, role_id: &str, secret_id: &str) -> Value {
    let (status, body) = log_in(harness, role_id, secret_id);
    assert_eq!(status, 200, "{body}");
    body["auth"].clone()
}

fn assert_refused(harness: &mut Harness, role_id: &str, secret_id: &str) {
    let (status, body) = log_in(harness, role_id, secret_id);
    assert_eq!((status, first_error(&body)), (400, REFUSED));
}

fn first_error(body: &Value) -> &str {
    body["errors"][0].as_str().unwrap_or_default()
}

/// Names in a directory of the system's area.
fn count(harness: &Harness, path: &[&str]) -> usize {
    let store = harness.core.store(&harness.table);
    store.sample(&store.system(), path, 1000).unwrap().len()
}

/// Records below a directory of the mount's area.
fn count_of_mount(harness: &Harness, path: &[&str]) -> usize {
    let mut store = harness.core.store(&harness.table);
    let mounts = crate::mount::table::MountTable::load(&mut store).unwrap();
    let area = mounts.at("auth/approle/").unwrap().area.clone();
    store.sample(&area, path, 1000).unwrap().len()
}

#[test]
fn a_role_id_and_a_secret_id_give_a_token() {
    let mut harness = harness(json!({ "token_policies": "Dev, ops", "token_ttl": "15m" }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({ "metadata": "{\"team\": \"red\", \"role_name\": \"x\"}" }));
    let auth = logged_in(&mut harness, "ci-id", &secret_id);
    assert_eq!(auth["policies"], json!(["default", "dev", "ops"]));
    assert_eq!(auth["metadata"], json!({ "team": "red", "role_name": "ci" }));
    assert_eq!(
        (&auth["lease_duration"], &auth["orphan"], &auth["token_type"]),
        (&json!(900), &json!(true), &json!("service"))
    );
    let token = auth["client_token"].as_str().unwrap();
    assert_eq!(harness.request_as(token, "GET", "auth/token/lookup-self", Value::Null).0, 200);
}

#[test]
fn a_secret_id_ends_at_its_time_whether_or_not_it_was_tidied() {
    // check 7
    let mut harness = harness(json!({}));
    let (secret_id, accessor) = secret(&mut harness, "ci", json!({ "ttl": "10s" }));
    harness.advance(9);
    logged_in(&mut harness, "ci-id", &secret_id);
    harness.advance(1);
    assert_refused(&mut harness, "ci-id", &secret_id);
    let by_accessor = json!({ "secret_id_accessor": accessor });
    let lookup = "auth/approle/role/ci/secret-id-accessor/lookup";
    assert_eq!(harness.request("POST", lookup, by_accessor).0, 404);
    let lookup = "auth/approle/role/ci/secret-id/lookup";
    assert_eq!(harness.request("POST", lookup, json!({ "secret_id": secret_id })).0, 204);
}

#[test]
fn expired_secret_ids_leave_nothing_behind() {
    let mut harness = harness(json!({}));
    secret(&mut harness, "ci", json!({ "ttl": "10s" }));
    harness.advance(200);
    harness.run_tasks();
    assert_eq!(count_of_mount(&harness, &["secret"]), 0);
    assert_eq!(harness.request("LIST", "auth/approle/role/ci/secret-id", Value::Null).0, 404);
}

#[test]
fn an_accessor_is_unknown_to_other_roles() {
    // check 8
    let mut harness = harness(json!({}));
    write_role(&mut harness, "other", json!({}));
    let (secret_id, accessor) = secret(&mut harness, "ci", json!({}));
    for verb in ["lookup", "destroy"] {
        let path = format!("auth/approle/role/other/secret-id-accessor/{verb}");
        assert_eq!(harness.request("POST", &path, json!({ "secret_id_accessor": accessor })).0, 404);
        let path = format!("auth/approle/role/other/secret-id/{verb}");
        assert_eq!(harness.request("POST", &path, json!({ "secret_id": secret_id })).0, 204);
    }
    logged_in(&mut harness, "ci-id", &secret_id);
}

#[test]
fn a_secret_id_of_one_role_does_not_open_another() {
    let mut harness = harness(json!({}));
    write_role(&mut harness, "other", json!({ "role_id": "other-id" }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    assert_refused(&mut harness, "other-id", &secret_id);
}

#[test]
fn of_two_logins_with_one_use_left_one_is_served() {
    // check 9
    let mut harness = harness(json!({ "secret_id_num_uses": 1 }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    let body = json!({ "role_id": "ci-id", "secret_id": secret_id });
    let requests = [0, 1].map(|_| harness.build("", "POST", "auth/approle/login", body.clone()));
    let proposals = requests.each_ref().map(|request| harness.propose(request).1.unwrap());
    assert!(harness.commit(&proposals[0]));
    assert!(!harness.commit(&proposals[1]), "both logins used the one use");
    assert_eq!(harness.send(&requests[1]).status, 400);
    assert_eq!(count_of_mount(&harness, &["secret"]), 0);
}

#[test]
fn uses_are_counted_down_to_none() {
    let mut harness = harness(json!({ "secret_id_num_uses": 2 }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    logged_in(&mut harness, "ci-id", &secret_id);
    let (_, body) = harness.request("POST", "auth/approle/role/ci/secret-id/lookup", json!({ "secret_id": secret_id }));
    assert_eq!(body["data"]["secret_id_num_uses"], 1);
    logged_in(&mut harness, "ci-id", &secret_id);
    assert_refused(&mut harness, "ci-id", &secret_id);
}

#[test]
fn every_refusal_is_the_same() {
    // check 10
    let mut harness = harness(json!({}));
    let (good, accessor) = secret(&mut harness, "ci", json!({}));
    let (far, _) = secret(&mut harness, "ci", json!({ "cidr_list": "10.0.0.0/8" }));
    let (short, _) = secret(&mut harness, "ci", json!({ "ttl": "1s" }));
    let (spent, _) = secret(&mut harness, "ci", json!({ "num_uses": 1 }));
    logged_in(&mut harness, "ci-id", &spent);
    harness.advance(2);
    for (role_id, secret_id) in [
        ("nobody", &good),
        ("ci-id", &"wrong".to_owned()),
        ("ci-id", &accessor),
        ("ci-id", &far),
        ("ci-id", &short),
        ("ci-id", &spent),
    ] {
        assert_refused(&mut harness, role_id, secret_id);
    }
    for role_id in ["nobody", "ci-id"] {
        let (status, body) = log_in(&mut harness, role_id, "");
        assert_eq!((status, first_error(&body)), (400, "missing secret_id"));
    }
    logged_in(&mut harness, "ci-id", &good);
}

#[test]
fn upper_and_lower_case_name_one_role() {
    // check 11
    let mut harness = harness(json!({}));
    write_role(&mut harness, "Admin", json!({ "token_ttl": 60 }));
    write_role(&mut harness, "ADMIN", json!({ "token_max_ttl": 120 }));
    let (_, body) = harness.request("GET", "auth/approle/role/admin", Value::Null);
    assert_eq!((&body["data"]["token_ttl"], &body["data"]["token_max_ttl"]), (&json!(60), &json!(120)));
    let (_, body) = harness.request("LIST", "auth/approle/role", Value::Null);
    assert_eq!(body["data"]["keys"], json!(["admin", "ci"]));
    let policy = r#"path "auth/approle/role/*" { capabilities = ["read"] }
                    path "auth/approle/role/admin" { capabilities = ["deny"] }"#;
    let token = harness.token_with(policy);
    for name in ["admin", "Admin", "ADMIN"] {
        assert_eq!(harness.request_as(&token, "GET", &format!("auth/approle/role/{name}"), Value::Null).0, 403);
    }
}

#[test]
fn no_role_gives_root() {
    // check 54
    let mut harness = harness(json!({}));
    for policy in ["root", "ROOT", " Root\t", "response-wrapping", "./root"] {
        for path in ["auth/approle/role/ci", "auth/approle/role/ci/policies"] {
            let (status, body) = harness.request("POST", path, json!({ "token_policies": [policy] }));
            assert_eq!(status, 400, "{policy:?}: {body}");
        }
    }
}

#[test]
fn a_refused_login_leaves_nothing() {
    // check 4
    let mut harness = harness(json!({ "token_num_uses": 5, "secret_id_num_uses": 1 }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    assert_eq!(harness.request("POST", "sys/auth/approle/tune", json!({ "token_type": "batch" })).0, 204);
    let tokens = count(&harness, &["token", "id"]);
    assert_eq!(log_in(&mut harness, "ci-id", &secret_id).0, 400);
    assert_eq!(harness.request("POST", "sys/auth/approle/tune", json!({ "token_type": "service" })).0, 204);
    assert_eq!(count(&harness, &["token", "id"]), tokens);
    assert_eq!(logged_in(&mut harness, "ci-id", &secret_id)["num_uses"], 5, "the use was not counted");
}

#[test]
fn a_login_that_is_asked_again_is_the_same_login() {
    let mut harness = harness(json!({ "secret_id_num_uses": 1 }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    let send = |harness: &mut Harness, token: &str, secret_id: &str, key: &str| {
        let body = json!({ "role_id": "ci-id", "secret_id": secret_id });
        let mut request = harness.build(token, "POST", "auth/approle/login", body);
        request.idempotency_key = Some(key.into());
        let answer = harness.send(&request);
        (answer.status, answer.body["auth"]["client_token"].clone())
    };
    let first = send(&mut harness, "", &secret_id, "k");
    assert_eq!(first.0, 200);
    assert_eq!(send(&mut harness, "", &secret_id, "k"), first);
    assert_eq!(send(&mut harness, "whatever", &secret_id, "k"), first, "a login needs no token");
    assert_eq!(send(&mut harness, "", &secret_id, "other").0, 400);
    assert_eq!(send(&mut harness, "", "wrong", "k").0, 400, "only the same request gets the reply");
    assert_eq!(send(&mut harness, "", &secret_id, "").0, 400);
}

#[test]
fn a_custom_secret_id_is_taken_until_it_expires() {
    let mut harness = harness(json!({}));
    let path = "auth/approle/role/ci/custom-secret-id";
    let body = json!({ "secret_id": "mine", "ttl": "10s" });
    assert_eq!(harness.request("POST", path, body.clone()).0, 200);
    assert_eq!(harness.request("POST", path, body.clone()).0, 400);
    harness.advance(10);
    assert_eq!(harness.request("POST", path, body).0, 200);
    logged_in(&mut harness, "ci-id", "mine");
    let (_, body) = harness.request("LIST", "auth/approle/role/ci/secret-id", Value::Null);
    assert_eq!(body["data"]["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(harness.request("POST", path, json!({})).0, 400);
    assert_eq!(harness.request("POST", path, json!({ "secret_id": "x".repeat(4097) })).0, 400);
}

#[test]
fn a_login_that_is_asked_again_gives_no_dead_token_and_none_elsewhere() {
    let mut harness = harness(json!({}));
    let (secret_id, _) = secret(&mut harness, "ci", json!({ "num_uses": 1 }));
    let login = json!({ "role_id": "ci-id", "secret_id": secret_id });
    let mut request = harness.build("", "POST", "auth/approle/login", login);
    request.idempotency_key = Some("k".into());
    let token = |body: &Value| body["auth"]["client_token"].as_str().map(str::to_owned);
    let first = token(&harness.send(&request).body).unwrap();
    assert_eq!(token(&harness.send(&request).body).as_deref(), Some(first.as_str()));
    request.remote_address = Some("192.0.2.9".parse().unwrap());
    assert_eq!(harness.send(&request).status, 400, "from elsewhere it is another login");
    request.remote_address = harness.remote_address;
    assert_eq!(harness.request("POST", "auth/token/revoke", json!({ "token": first })).0, 204);
    assert_eq!(harness.send(&request).status, 400, "the secret id is spent");
}

#[test]
fn a_destroyed_secret_id_opens_nothing() {
    let mut harness = harness(json!({}));
    let (by_id, _) = secret(&mut harness, "ci", json!({ "ttl": "1h" }));
    let (by_accessor, accessor) = secret(&mut harness, "ci", json!({ "ttl": "1h" }));
    let path = "auth/approle/role/ci/secret-id/destroy";
    assert_eq!(harness.request("POST", path, json!({ "secret_id": by_id })).0, 204);
    let path = "auth/approle/role/ci/secret-id-accessor/destroy";
    assert_eq!(harness.request("POST", path, json!({ "secret_id_accessor": accessor })).0, 204);
    assert_eq!(harness.request("POST", path, json!({ "secret_id_accessor": accessor })).0, 404);
    assert_eq!(count(&harness, &["expiry"]), 0);
    assert_refused(&mut harness, "ci-id", &by_id);
    assert_refused(&mut harness, "ci-id", &by_accessor);
    assert_eq!(count_of_mount(&harness, &["secret"]), 0);
}

#[test]
fn a_new_role_does_not_know_the_secret_ids_of_the_one_before() {
    let mut harness = harness(json!({}));
    let secrets: Vec<String> = (0..300).map(|_| secret(&mut harness, "ci", json!({})).0).collect();
    assert_eq!(harness.request("DELETE", "auth/approle/role/ci", Value::Null).0, 204);
    assert_refused(&mut harness, "ci-id", &secrets[0]);
    write_role(&mut harness, "ci", json!({ "role_id": "ci-id" }));
    assert_refused(&mut harness, "ci-id", &secrets[0]);
    let (kept, _) = secret(&mut harness, "ci", json!({}));
    assert_eq!(count_of_mount(&harness, &["secret"]), 2);
    harness.run_tasks();
    assert_eq!((count_of_mount(&harness, &["secret"]), count(&harness, &["task"])), (1, 0));
    logged_in(&mut harness, "ci-id", &kept);
}

#[test]
fn renewals_follow_the_role_as_it_is() {
    // check 16
    let mut harness = harness(json!({ "token_ttl": 600 }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    let token = logged_in(&mut harness, "ci-id", &secret_id)["client_token"].as_str().unwrap().to_owned();
    let renew = |harness: &mut Harness| harness.request_as(&token, "POST", "auth/token/renew-self", json!({}));
    assert_eq!(renew(&mut harness).1["auth"]["lease_duration"], 600);
    write_role(&mut harness, "ci", json!({ "token_ttl": 60, "token_max_ttl": 300 }));
    assert_eq!(renew(&mut harness).1["auth"]["lease_duration"], 300);
    assert_eq!(harness.request("DELETE", "auth/approle/role/ci", Value::Null).0, 204);
    assert_eq!(renew(&mut harness).0, 400);
    write_role(&mut harness, "ci", json!({ "role_id": "ci-id" }));
    assert_eq!(renew(&mut harness).0, 400, "another role of that name");
    assert_eq!(harness.request("DELETE", "sys/auth/approle", Value::Null).0, 204);
    assert_ne!(renew(&mut harness).0, 200);
}

#[test]
fn a_secret_id_can_be_stricter_than_its_role_but_not_laxer() {
    let role = json!({
        "secret_id_num_uses": 5, "secret_id_ttl": 600,
        "secret_id_bound_cidrs": "127.0.0.0/8", "token_bound_cidrs": "127.0.0.0/8",
    });
    let mut harness = harness(role);
    let path = "auth/approle/role/ci/secret-id";
    for laxer in [
        json!({ "num_uses": 6 }),
        json!({ "num_uses": 0 }),
        json!({ "num_uses": -1 }),
        json!({ "ttl": 601 }),
        json!({ "ttl": 0 }),
        json!({ "cidr_list": "127.0.0.0/7" }),
        json!({ "token_bound_cidrs": ["127.0.0.1", "10.0.0.1"] }),
        json!({ "cidr_list": "nope" }),
        json!({ "metadata": "text" }),
        json!({ "metadata": { "a": "b" } }),
    ] {
        let (status, body) = harness.request("POST", path, laxer.clone());
        assert_eq!(status, 400, "{laxer}: {body}");
    }
    let stricter = json!({ "num_uses": 1, "ttl": "500ms", "cidr_list": "127.0.0.1", "token_bound_cidrs": "127.0.0.1" });
    let (_, body) = harness.request("POST", path, stricter);
    assert_eq!((&body["data"]["secret_id_num_uses"], &body["data"]["secret_id_ttl"]), (&json!(1), &json!(1)));
    let auth = logged_in(&mut harness, "ci-id", body["data"]["secret_id"].as_str().unwrap());
    let (_, body) = harness.request("POST", "auth/token/lookup", json!({ "token": auth["client_token"] }));
    assert_eq!(body["data"]["bound_cidrs"], json!(["127.0.0.1"]));
}

#[test]
fn logins_come_only_from_where_they_may() {
    for field in ["secret_id_bound_cidrs", "bound_cidr_list", "token_bound_cidrs"] {
        let mut harness = harness(json!({ "bind_secret_id": false, field: "10.0.0.0/8" }));
        let refused = log_in(&mut harness, "ci-id", "");
        assert_eq!((refused.0, first_error(&refused.1)), (400, "missing secret_id"), "{field}");
        harness.remote_address = None;
        assert_refused(&mut harness, "ci-id", "x");
        harness.remote_address = Some("10.2.3.4".parse().unwrap());
        logged_in(&mut harness, "ci-id", "");
    }
}

#[test]
fn a_token_can_be_bound_to_the_address_that_logged_in() {
    let mut harness = harness(json!({ "token_strictly_bind_ip": true }));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    let token = logged_in(&mut harness, "ci-id", &secret_id)["client_token"].as_str().unwrap().to_owned();
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 200);
    harness.remote_address = Some("127.0.0.2".parse().unwrap());
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 403);
}

#[test]
fn role_and_mount_decide_the_kind_of_token_together() {
    let mut harness = harness(json!({}));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    let cases = [
        ("default-service", "default", "service"),
        ("default-service", "batch", "batch"),
        ("default-batch", "default", "batch"),
        ("default-batch", "service", "service"),
        ("service", "batch", "service"),
        ("batch", "service", "batch"),
    ];
    for (mount, role, expected) in cases {
        assert_eq!(harness.request("POST", "sys/auth/approle/tune", json!({ "token_type": mount })).0, 204);
        write_role(&mut harness, "ci", json!({ "token_type": role }));
        assert_eq!(logged_in(&mut harness, "ci-id", &secret_id)["token_type"], expected, "{mount}, {role}");
    }
}

#[test]
fn a_role_id_belongs_to_one_role() {
    let mut harness = harness(json!({}));
    write_role(&mut harness, "other", json!({ "role_id": "other-id" }));
    let path = "auth/approle/role/other/role-id";
    for (role_id, message) in [("ci-id", "role_id already in use"), ("", "missing role_id")] {
        let (status, body) = harness.request("POST", path, json!({ "role_id": role_id }));
        assert_eq!((status, first_error(&body)), (400, message));
    }
    let (_, body) = harness.request("GET", path, Value::Null);
    assert_eq!(body["data"]["role_id"], "other-id");
    assert_eq!(harness.request("DELETE", "auth/approle/role/ci", Value::Null).0, 204);
    assert_eq!(harness.request("POST", path, json!({ "role_id": "ci-id" })).0, 204, "it is free again");
}

#[test]
fn a_role_without_any_bound_is_refused() {
    let mut harness = harness(json!({}));
    let unbound = json!({ "bind_secret_id": false });
    assert_eq!(harness.request("POST", "auth/approle/role/ci", unbound.clone()).0, 400);
    write_role(&mut harness, "ci", json!({ "bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.1" }));
    assert_eq!(harness.request("DELETE", "auth/approle/role/ci/secret-id-bound-cidrs", Value::Null).0, 400);
    assert_eq!(harness.request("POST", "auth/approle/role/ci/secret-id", json!({})).0, 400);
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let mut harness = harness(json!({}));
    for role in [
        json!({ "token_ttl": 61, "token_max_ttl": 60 }),
        json!({ "token_type": "batch", "token_num_uses": 1 }),
        json!({ "token_type": "batch", "token_period": 1 }),
        json!({ "token_type": "other" }),
        json!({ "token_num_uses": -1 }),
        json!({ "secret_id_num_uses": -1 }),
        json!({ "token_bound_cidrs": "x" }),
        json!({ "secret_id_bound_cidrs": "x" }),
        json!({ "local_secret_ids": true }),
        json!({ "role_id": "x".repeat(4097) }),
    ] {
        let (status, body) = harness.request("POST", "auth/approle/role/ci", role.clone());
        assert_eq!(status, 400, "{role}: {body}");
    }
}

#[test]
fn each_setting_can_be_set_read_and_reset_by_itself() {
    let mut harness = harness(json!({}));
    let cases = [
        ("policies", "token_policies", json!("b,a"), json!(["a", "b"]), json!([])),
        ("secret-id-num-uses", "secret_id_num_uses", json!("5"), json!(5), json!(0)),
        ("secret-id-ttl", "secret_id_ttl", json!("1h"), json!(3600), json!(0)),
        ("secret-id-bound-cidrs", "secret_id_bound_cidrs", json!("::1"), json!(["::1"]), Value::Null),
        ("bound-cidr-list", "bound_cidr_list", json!("::1"), json!(["::1"]), Value::Null),
        ("token-ttl", "token_ttl", json!("1m"), json!(60), json!(0)),
        ("token-max-ttl", "token_max_ttl", json!(600), json!(600), json!(0)),
        ("token-num-uses", "token_num_uses", json!(9), json!(9), json!(0)),
        ("token-bound-cidrs", "token_bound_cidrs", json!("::1"), json!(["::1"]), Value::Null),
        ("period", "token_period", json!("5m"), json!(300), json!(0)),
        ("bind-secret-id", "bind_secret_id", json!(true), json!(true), json!(true)),
    ];
    for (segment, field, sent, set, reset) in cases {
        let path = format!("auth/approle/role/ci/{segment}");
        assert_eq!(harness.request("POST", &path, json!({})).0, 400, "{segment}");
        assert_eq!(harness.request("POST", &path, json!({ field: sent })).0, 204, "{segment}");
        assert_eq!(harness.request("GET", &path, Value::Null).1["data"], json!({ field: set }));
        assert_eq!(harness.request("DELETE", &path, Value::Null).0, 204, "{segment}");
        assert_eq!(harness.request("GET", &path, Value::Null).1["data"], json!({ field: reset }));
    }
    assert_eq!(harness.request("POST", "auth/approle/role/ci/local-secret-ids", json!({})).0, 405);
    assert_eq!(harness.request("GET", "auth/approle/role/none/period", Value::Null).0, 404);
    assert_eq!(harness.request("POST", "auth/approle/role/none/period", json!({ "period": 1 })).0, 404);
}

#[test]
fn a_secret_id_can_be_handed_over_wrapped() {
    let mut harness = harness(json!({}));
    let (status, body) = harness.request_wrapped("root", "POST", "auth/approle/role/ci/secret-id", json!({}), "2m");
    assert_eq!(status, 200, "{body}");
    assert!(body["wrap_info"]["wrapped_accessor"].is_string());
    let token = body["wrap_info"]["token"].as_str().unwrap().to_owned();
    let (_, body) = harness.request_as(&token, "POST", "sys/wrapping/unwrap", Value::Null);
    logged_in(&mut harness, "ci-id", body["data"]["secret_id"].as_str().unwrap());
}

#[test]
fn names_without_end_are_looked_for_in_vain_and_do_no_harm() {
    let mut harness = harness(json!({}));
    let long = "x".repeat(100_000);
    assert_refused(&mut harness, &long, &long);
    let path = "auth/approle/role/ci/secret-id-accessor/lookup";
    assert_eq!(harness.request("POST", path, json!({ "secret_id_accessor": long })).0, 404);
}

#[test]
fn white_space_around_the_ids_of_a_login_does_not_count() {
    let mut harness = harness(json!({}));
    let (secret_id, _) = secret(&mut harness, "ci", json!({}));
    for (role_id, secret_id) in [
        ("ci-id\n".to_owned(), secret_id.clone()),
        ("ci-id".to_owned(), format!("{secret_id}\n")),
        ("ci-id\r\n".to_owned(), format!(" {secret_id}\r\n")),
    ] {
        logged_in(&mut harness, &role_id, &secret_id);
    }
    for (role_id, secret_id, message) in [(" \n", "x", "missing role_id"), ("ci-id", " \n", "missing secret_id")] {
        let (status, body) = log_in(&mut harness, role_id, secret_id);
        assert_eq!((status, first_error(&body)), (400, message));
    }
    // So an id that a login would never find is refused when it is given.
    let custom = json!({ "secret_id": "own " });
    assert_eq!(harness.request("POST", "auth/approle/role/ci/custom-secret-id", custom).0, 400);
    assert_eq!(harness.request("POST", "auth/approle/role/ci/role-id", json!({ "role_id": " own" })).0, 400);
}

#[test]
fn null_resets_what_a_role_says() {
    let role = json!({ "token_policies": ["a"], "secret_id_num_uses": 4, "token_ttl": "1h", "secret_id_bound_cidrs": "127.0.0.0/8" });
    let mut harness = harness(role);
    let nulls = json!({ "token_policies": null, "secret_id_num_uses": null, "token_ttl": null,
        "secret_id_bound_cidrs": null, "bind_secret_id": null });
    assert_eq!(harness.request("POST", "auth/approle/role/ci", nulls).0, 204);
    let (_, body) = harness.request("GET", "auth/approle/role/ci", Value::Null);
    let shown = |name: &str| body["data"][name].clone();
    assert_eq!((shown("token_policies"), shown("secret_id_num_uses")), (json!([]), json!(0)));
    assert_eq!((shown("token_ttl"), shown("secret_id_bound_cidrs")), (json!(0), Value::Null));
    assert_eq!(shown("bind_secret_id"), true);
}

#[test]
fn metadata_that_cannot_be_shown_is_refused() {
    let mut harness = harness(json!({}));
    let wish = json!({ "metadata": "{\"k\":\"a\\u0007\"}" });
    assert_eq!(harness.request("POST", "auth/approle/role/ci/secret-id", wish).0, 400);
}

#[test]
fn a_field_that_a_role_does_not_have_is_named() {
    let mut harness = harness(json!({}));
    let (status, body) = harness.request("POST", "auth/approle/role/ci", json!({ "token_polices": "app" }));
    let warning = "Endpoint ignored these unrecognized parameters: [token_polices]";
    assert_eq!((status, &body["warnings"]), (200, &json!([warning])));
}
