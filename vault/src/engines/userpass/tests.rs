//! Userpass through whole requests.

use serde_json::{Value, json};

use crate::errand::{Errand, Errands};
use crate::testing::{Harness, context};

fn with_user(name: &str, body: Value) -> Harness {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/auth/userpass", json!({ "type": "userpass" })).0, 204);
    assert_eq!(harness.request("POST", &format!("auth/userpass/users/{name}"), body).0, 204);
    harness
}

fn log_in(harness: &mut Harness, name: &str, password: &str) -> (u16, Value) {
    harness.request_as("", "POST", &format!("auth/userpass/login/{name}"), json!({ "password": password }))
}

#[test]
fn a_user_logs_in_by_the_password_alone_and_the_token_is_as_the_user_says() {
    let mut harness = with_user("ann", json!({ "password": "first", "token_policies": "p,q", "token_ttl": "20m" }));
    let (status, body) = log_in(&mut harness, "ANN", "first");
    assert_eq!(status, 200, "{body}");
    let auth = &body["auth"];
    assert_eq!((&auth["policies"], &auth["lease_duration"]), (&json!(["default", "p", "q"]), &json!(1200)));
    assert_eq!(auth["metadata"], json!({ "username": "ann" }));
    let token = auth["client_token"].as_str().unwrap().to_owned();
    let (_, shown) = harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null);
    assert_eq!(
        (&shown["data"]["display_name"], &shown["data"]["path"]),
        (&json!("userpass-ann"), &json!("auth/userpass/login/ann"))
    );
    for (name, password) in [("ann", "First"), ("ann", "first "), ("bob", "first")] {
        let (status, body) = log_in(&mut harness, name, password);
        assert_eq!((status, &body["errors"]), (400, &json!(["invalid username or password"])), "{name}");
    }
}

#[test]
fn a_new_password_ends_the_old_one_and_settings_change_without_one() {
    let mut harness = with_user("ann", json!({ "password": "first" }));
    assert_eq!(harness.request("POST", "auth/userpass/users/ann/password", json!({ "password": "second" })).0, 204);
    assert_eq!(log_in(&mut harness, "ann", "first").0, 400);
    assert_eq!(harness.request("POST", "auth/userpass/users/ann", json!({ "token_num_uses": 2 })).0, 204);
    assert_eq!(log_in(&mut harness, "ann", "second").1["auth"]["num_uses"], 2);
    assert_eq!(harness.request("POST", "auth/userpass/users/ann/policies", json!({ "token_policies": "r" })).0, 204);
    let (_, shown) = harness.request("GET", "auth/userpass/users/ann", Value::Null);
    assert_eq!(shown["data"]["token_policies"], json!(["r"]));
    assert!(!shown.to_string().contains("digest") && !shown.to_string().contains("password"), "{shown}");
}

#[test]
fn a_name_that_is_not_there_costs_the_same_work_as_one_that_is() {
    let mut harness = with_user("ann", json!({ "password": "first" }));
    let mut asked = Vec::new();
    for name in ["ann", "bob"] {
        let request = harness.build("", "POST", &format!("auth/userpass/login/{name}"), json!({ "password": "x" }));
        let mut context = context(&mut harness.random, harness.now);
        context.errands = Errands::new([1; 32]);
        let done = harness.core.handle(&mut context, &harness.table, &request);
        let Some(Errand::Digest(password)) = &done.errand else { panic!("{name} asked for nothing") };
        asked.push((password.memory_kib, password.passes));
        assert!(done.batch.is_none());
    }
    assert_eq!(asked[0], asked[1]);
}

#[test]
fn a_change_of_a_password_survives_a_lost_race() {
    let mut harness = with_user("ann", json!({ "password": "first" }));
    let request = harness.build(
        crate::testing::ROOT,
        "POST",
        "auth/userpass/users/ann/password",
        json!({ "password": "second" }),
    );
    let (_, lost) = harness.propose(&request);
    assert_eq!(harness.request("POST", "auth/userpass/users/ann", json!({ "token_ttl": "1h" })).0, 204);
    assert!(!harness.commit(&lost.unwrap()), "the user was changed meanwhile");
    assert_eq!(harness.send(&request).status, 204);
    let (_, body) = log_in(&mut harness, "ann", "second");
    assert_eq!(body["auth"]["lease_duration"], 3600);
}

#[test]
fn a_token_is_renewed_while_its_user_has_the_same_policies() {
    let mut harness = with_user("ann", json!({ "password": "first", "token_policies": "p", "token_ttl": "20m" }));
    let token = log_in(&mut harness, "ann", "first").1["auth"]["client_token"].as_str().unwrap().to_owned();
    let renew = |harness: &mut Harness| harness.request("POST", "auth/token/renew", json!({ "token": token })).0;
    assert_eq!(renew(&mut harness), 200);
    harness.request("POST", "auth/userpass/users/ann/policies", json!({ "token_policies": "q" }));
    assert_eq!(renew(&mut harness), 400);
    harness.request("DELETE", "auth/userpass/users/ann", Value::Null);
    assert_eq!(renew(&mut harness), 204, "the token is left to its end");
}

#[test]
fn what_is_no_user_is_refused_in_words() {
    let mut harness = with_user("ann", json!({ "password": "first" }));
    for (path, body, status, message) in [
        ("users/bob", json!({ "token_policies": "p" }), 400, "must provide either password or password_hash"),
        ("users/bob", json!({ "password": "x", "token_ttl": "5h", "token_max_ttl": "1h" }), 400, "token_max_ttl"),
        ("users/a@b", json!({ "password": "x" }), 404, "unsupported path"),
        ("users/-b", json!({ "password": "x" }), 404, "unsupported path"),
        ("users/bob/password", json!({ "password": "x" }), 400, "username does not exist"),
        ("users/bob", json!({ "password": "x".repeat(1025) }), 400, "longer than 1024 bytes"),
        ("users/bob", json!({ "password_hash": "$2a$10$x" }), 400, "cannot be taken over"),
        ("login/ann", json!({}), 400, "missing password"),
        ("login/ann", json!({ "password": "" }), 400, "missing password"),
    ] {
        let (answer, text) = harness.request("POST", &format!("auth/userpass/{path}"), body);
        assert_eq!(answer, status, "{path}: {text}");
        assert!(text.to_string().contains(message), "{path}: {text}");
    }
    for name in ["a.b-c", "x"] {
        assert_eq!(harness.request("POST", &format!("auth/userpass/users/{name}"), json!({ "password": "x" })).0, 204);
    }
    let (_, names) = harness.request("LIST", "auth/userpass/users/", Value::Null);
    assert_eq!(names["data"]["keys"], json!(["a.b-c", "ann", "x"]));
}

#[test]
fn a_user_who_is_bound_to_addresses_logs_in_from_there_only() {
    let mut harness = with_user("ann", json!({ "password": "first", "token_bound_cidrs": "10.9.8.0/24" }));
    harness.remote_address = Some("127.0.0.1".parse().unwrap());
    for password in ["first", "wrong"] {
        let (status, body) = log_in(&mut harness, "ann", password);
        let refused = (400, &json!(["invalid username or password"]));
        assert_eq!((status, &body["errors"]), refused, "from elsewhere both passwords look the same");
    }
    harness.remote_address = Some("10.9.8.7".parse().unwrap());
    assert_eq!(log_in(&mut harness, "ann", "first").0, 200);
}

#[test]
fn a_name_that_is_not_there_is_answered_as_one_that_is_however_often_it_is_tried() {
    // check 20
    let mut harness = with_user("ann", json!({ "password": "first" }));
    harness.request("POST", "auth/userpass/users/far", json!({ "password": "x", "token_bound_cidrs": "10.0.0.0/8" }));
    harness.remote_address = Some("192.0.2.1".parse().unwrap());
    let tries = |harness: &mut Harness, name: &str| -> Vec<_> {
        let answers = (0..8).map(|_| {
            let (status, body) = log_in(harness, name, "guess");
            (status, body["errors"].clone())
        });
        answers.collect()
    };
    let expected = tries(&mut harness, "ann");
    assert_eq!((expected[4].0, expected[5].0), (400, 403));
    for name in ["bob", "far"] {
        assert_eq!(tries(&mut harness, name), expected, "{name}");
    }
    let (_, locked) = harness.request("GET", "sys/locked-users", Value::Null);
    assert_eq!(locked["data"]["total"], 1, "{locked}");
    harness.advance(15 * 60);
    for name in ["ann", "bob", "far"] {
        assert_eq!(log_in(&mut harness, name, "guess").0, 400, "{name}");
    }
}

#[test]
fn names_that_are_not_there_leave_a_bounded_number_of_counts_which_end() {
    let mut harness = with_user("ann", json!({ "password": "first" }));
    let before = harness.table.len();
    for number in 0..5 {
        log_in(&mut harness, &format!("nobody{number}"), "guess");
    }
    assert!(harness.table.len() > before);
    harness.advance(16 * 60);
    harness.run_tasks();
    assert_eq!(harness.table.len(), before);
}

#[test]
fn wrong_passwords_lock_a_user_out_until_an_operator_or_the_time_says_otherwise() {
    let mut harness = with_user("ann", json!({ "password": "first", "token_bound_cidrs": "192.0.2.0/24" }));
    harness.remote_address = Some("192.0.2.1".parse().unwrap());
    let tune = json!({ "user_lockout_config": { "lockout_threshold": "3", "lockout_duration": "10m" } });
    assert_eq!(harness.request("POST", "sys/auth/userpass/tune", tune).0, 204);
    for name in ["ann", "ANN"] {
        assert_eq!(log_in(&mut harness, name, "guess").0, 400, "{name}");
    }
    assert_eq!(log_in(&mut harness, "ann", "first").0, 200, "a right password starts the count again");
    let wrong = |harness: &mut Harness| (0..3).for_each(|_| assert_eq!(log_in(harness, "ann", "guess").0, 400));
    wrong(&mut harness);
    assert_eq!(log_in(&mut harness, "ann", "first").0, 403);
    let (_, locked) = harness.request("GET", "sys/locked-users", Value::Null);
    assert_eq!(locked["data"]["total"], 1, "{locked}");
    harness.advance(600);
    assert_eq!(log_in(&mut harness, "ann", "first").0, 200);
    wrong(&mut harness);
    let accessor = locked["data"]["by_namespace"][0]["mount_accessors"][0]["mount_accessor"].as_str().unwrap();
    let unlock = format!("sys/locked-users/{accessor}/unlock/ann");
    assert_eq!(harness.request("POST", &unlock, Value::Null).0, 204);
    assert_eq!(log_in(&mut harness, "ann", "first").0, 200);
    harness.remote_address = Some("198.51.100.1".parse().unwrap());
    wrong(&mut harness);
    harness.remote_address = Some("192.0.2.1".parse().unwrap());
    assert_eq!(log_in(&mut harness, "ann", "first").0, 200, "nobody is locked out from elsewhere");
}
