use serde_json::{Value, json};

use crate::testing::{Harness, ROOT};

const INVALID: &str = "wrapping token is not valid or does not exist";

/// Wraps a secret for a minute; the wrapping token.
fn wrapped(harness: &mut Harness) -> String {
    let (status, body) = harness.request_wrapped("root", "POST", "sys/wrapping/wrap", json!({ "a": "b" }), "60s");
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["data"], &body["auth"], &body["request_id"]), (&Value::Null, &Value::Null, &json!("")));
    body["wrap_info"]["token"].as_str().unwrap().to_owned()
}

fn unwrap(harness: &mut Harness, token: &str) -> (u16, Value) {
    harness.request_as(token, "POST", "sys/wrapping/unwrap", Value::Null)
}

fn rows(harness: &Harness, path: &[&str]) -> usize {
    let store = harness.core.store(&harness.table);
    store.sample(&store.system(), path, 1000).unwrap().len()
}

#[test]
fn the_original_reply_comes_out_once() {
    let mut harness = Harness::new();
    harness.request("POST", "secret/data/a", json!({ "data": { "k": "v" } }));
    let mut plain = harness.request("GET", "secret/data/a", Value::Null).1;
    let (_, body) = harness.request_wrapped("root", "GET", "secret/data/a", Value::Null, "2m");
    assert_eq!(
        (&body["wrap_info"]["creation_path"], &body["wrap_info"]["ttl"]),
        (&json!("secret/data/a"), &json!(120))
    );
    let token = body["wrap_info"]["token"].as_str().unwrap().to_owned();
    let (status, mut inside) = unwrap(&mut harness, &token);
    assert_eq!(status, 200, "{inside}");
    assert!(inside["request_id"].as_str().unwrap().len() == 36);
    for body in [&mut plain, &mut inside] {
        body["request_id"] = Value::Null;
    }
    assert_eq!(inside, plain);
    let (status, body) = unwrap(&mut harness, &token);
    assert_eq!((status, &body["errors"][0]), (400, &json!(INVALID)));
}

#[test]
fn of_many_racing_callers_one_opens_it() {
    // check 93
    let mut harness = Harness::new();
    let token = wrapped(&mut harness);
    let mut racing = Vec::new();
    for _ in 0..64 {
        let request = harness.build(&token, "POST", "sys/wrapping/unwrap", Value::Null);
        let (answer, batch) = harness.propose(&request);
        assert_eq!(answer.status, 200);
        racing.push((request, batch.expect("opening writes")));
    }
    let lost: Vec<_> = racing.iter().filter(|(_, batch)| !harness.commit(batch)).collect();
    assert_eq!(lost.len(), 63);
    for (request, _) in lost {
        assert_eq!(harness.send(request).status, 400);
    }
}

#[test]
fn a_refused_request_elsewhere_burns_it() {
    // check 94
    let mut harness = Harness::new();
    for (verb, path) in [
        ("GET", "secret/data/a"),
        ("GET", "auth/token/lookup-self"),
        ("POST", "auth/token/create"),
        ("POST", "cubbyhole/x"),
    ] {
        let token = wrapped(&mut harness);
        let (status, body) = harness.request_as(&token, verb, path, json!({ "a": 1 }));
        assert_eq!(status, 403, "{path}: {body}");
        assert_eq!(unwrap(&mut harness, &token).0, 400, "{path}");
    }
}

#[test]
fn looking_up_spends_nothing_and_needs_no_other_token() {
    let mut harness = Harness::new();
    let token = wrapped(&mut harness);
    let (status, body) = harness.request_as("", "POST", "sys/wrapping/lookup", json!({ "token": token }));
    assert_eq!(
        (status, &body["data"]["creation_path"], &body["data"]["creation_ttl"]),
        (200, &json!("sys/wrapping/wrap"), &json!(60))
    );
    assert_eq!(harness.request_as(&token, "GET", "sys/wrapping/lookup", Value::Null).0, 200);
    assert_eq!(harness.request_as("", "POST", "sys/wrapping/lookup", json!({})).0, 403);
    assert_eq!(unwrap(&mut harness, &token).0, 200);
    let (status, body) = harness.request("POST", "sys/wrapping/lookup", json!({ "token": token }));
    assert_eq!((status, &body["errors"][0]), (400, &json!(INVALID)));
}

#[test]
fn another_token_may_open_it_only_with_the_right_to() {
    let mut harness = Harness::new();
    let bare = harness.token(json!({ "policies": ["none"], "no_default_policy": true }));
    let usual = harness.token(json!({ "policies": ["default"] }));
    let token = wrapped(&mut harness);
    let body = json!({ "token": token });
    assert_eq!(harness.request_as("", "POST", "sys/wrapping/unwrap", body.clone()).0, 403);
    assert_eq!(harness.request_as("hvs.none", "POST", "sys/wrapping/unwrap", body.clone()).0, 403);
    assert_eq!(harness.request_as(&bare, "POST", "sys/wrapping/unwrap", body.clone()).0, 403);
    let (status, inside) = harness.request_as(&usual, "POST", "sys/wrapping/unwrap", body);
    assert_eq!((status, &inside["data"]), (200, &json!({ "a": "b" })));
}

#[test]
fn opening_for_another_counts_a_use_of_the_caller() {
    let mut harness = Harness::new();
    let caller = harness.token(json!({ "policies": ["default"], "num_uses": 1 }));
    let (first, second) = (wrapped(&mut harness), wrapped(&mut harness));
    assert_eq!(harness.request_as(&caller, "POST", "sys/wrapping/unwrap", json!({ "token": first })).0, 200);
    assert_eq!(harness.request_as(&caller, "POST", "sys/wrapping/unwrap", json!({ "token": second })).0, 403);
    assert_eq!(unwrap(&mut harness, &second).0, 200);
}

#[test]
fn only_wrapping_tokens_can_be_opened() {
    let mut harness = Harness::new();
    for token in ["root", "s.none", "hvb.AAAA"] {
        let (status, body) = harness.request("POST", "sys/wrapping/unwrap", json!({ "token": token }));
        assert_eq!((status, &body["errors"][0]), (400, &json!(INVALID)), "{token}");
        assert_eq!(unwrap(&mut harness, token).0, 400);
    }
}

#[test]
fn wrapping_anew_keeps_path_and_time_and_ends_the_old_token() {
    // check 94
    let mut harness = Harness::new();
    let old = wrapped(&mut harness);
    harness.advance(30);
    let (status, body) = harness.request_as(&old, "POST", "sys/wrapping/rewrap", Value::Null);
    assert_eq!((status, &body["wrap_info"]["ttl"]), (200, &json!(60)), "{body}");
    assert_eq!(body["wrap_info"]["creation_path"], "sys/wrapping/wrap");
    let new = body["wrap_info"]["token"].as_str().unwrap().to_owned();
    assert_eq!(unwrap(&mut harness, &old).0, 400);
    harness.advance(50);
    assert_eq!(unwrap(&mut harness, &new).1["data"], json!({ "a": "b" }));
}

#[test]
fn nothing_is_left_after_its_time() {
    // check 95
    let mut harness = Harness::new();
    let tokens: Vec<_> = (0..20).map(|_| wrapped(&mut harness)).collect();
    assert_eq!(rows(&harness, &["wrapping"]), 20);
    harness.advance(60);
    assert_eq!(unwrap(&mut harness, &tokens[0]).0, 400);
    harness.advance(60);
    harness.run_tasks();
    for empty in [&["wrapping"][..], &["expiry"], &["task"]] {
        assert_eq!(rows(&harness, empty), 0, "{empty:?}");
    }
    assert_eq!(rows(&harness, &["token", "id"]), 1);
}

#[test]
fn silence_and_failure_are_not_wrapped() {
    let mut harness = Harness::new();
    let policy = json!({ "policy": r#"path "a" { capabilities = ["read"] }"# });
    assert_eq!(harness.request_wrapped("root", "POST", "sys/policies/acl/x", policy, "1m").0, 204);
    assert_eq!(harness.request_wrapped("root", "GET", "secret/data/none", Value::Null, "1m").0, 404);
    assert_eq!(harness.request("POST", "sys/wrapping/wrap", json!({ "a": 1 })).0, 400);
    assert_eq!(harness.request_wrapped("root", "POST", "sys/wrapping/wrap", json!({ "a": 1 }), "0").0, 400);
    assert_eq!(harness.request_wrapped("root", "POST", "sys/wrapping/wrap", json!({ "a": 1 }), "later").0, 400);
}

#[test]
fn the_accessor_of_a_token_inside_is_shown() {
    let mut harness = Harness::new();
    let (_, body) =
        harness.request_wrapped("root", "POST", "auth/token/create", json!({ "policies": ["default"] }), "5m");
    let accessor = body["wrap_info"]["wrapped_accessor"].clone();
    let token = body["wrap_info"]["token"].as_str().unwrap().to_owned();
    let (_, body) = unwrap(&mut harness, &token);
    assert_eq!(body["auth"]["accessor"], accessor);
    let inside = body["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(harness.request_as(&inside, "GET", "auth/token/lookup-self", Value::Null).0, 200);
}

#[test]
fn a_reply_that_the_node_fills_in_is_wrapped_as_any_other() {
    let mut harness = Harness::new();
    let (status, body) = harness.request_wrapped("root", "POST", "sys/storage/raft/join-token", json!({}), "1m");
    assert_eq!((status, &body["data"]), (200, &Value::Null), "{body}");
    let token = body["wrap_info"]["token"].as_str().unwrap().to_owned();
    let (status, body) = harness.request_as(&token, "POST", "sys/wrapping/unwrap", Value::Null);
    assert_eq!((status, &body["data"]["asked"]), (200, &json!("JoinToken { ttl_secs: 1800, uses: 1 }")));
}

#[test]
fn a_caller_that_asks_again_gets_the_same_reply() {
    let mut harness = Harness::new();
    let token = wrapped(&mut harness);
    let mut request = harness.build(&token, "POST", "sys/wrapping/unwrap", Value::Null);
    request.idempotency_key = Some("k".into());
    for _ in 0..2 {
        let answer = harness.send(&request);
        assert_eq!((answer.status, &answer.body["data"]), (200, &json!({ "a": "b" })));
    }
    request.idempotency_key = Some("other".into());
    assert_eq!(harness.send(&request).status, 400);
}

#[test]
fn there_is_no_key_that_verifies_wrapping_tokens() {
    let mut harness = Harness::new();
    assert_eq!(harness.request_as("", "GET", "sys/wrapping/pubkey", Value::Null).0, 404);
}

#[test]
fn a_stranger_has_nothing_wrapped() {
    let mut harness = Harness::new();
    let records = harness.table.len();
    for token in ["", "x", "hvs.nobody"] {
        for path in ["sys/replication/status", "sys/internal/ui/mounts"] {
            let (status, body) = harness.request_wrapped(token, "GET", path, Value::Null, "768h");
            assert_eq!(status, 403, "{path}: {body}");
        }
    }
    assert_eq!(harness.table.len(), records);
    let (status, body) = harness.request_wrapped(ROOT, "GET", "sys/replication/status", Value::Null, "60s");
    assert!(status == 200 && body["wrap_info"]["token"].is_string(), "{body}");
}

#[test]
fn a_wrapped_reply_stays_if_its_opening_is_refused() {
    let mut harness = Harness::new();
    // The longest reply that can be wrapped cannot be wrapped again under a longer path.
    let wrap = |harness: &mut Harness, length: usize| {
        harness.request_wrapped(ROOT, "POST", "sys/wrapping/wrap", json!({ "k": "x".repeat(length) }), "1h")
    };
    let (mut fits, mut too_long) = (conclave_batch::MAX_VALUE_BYTES - 2000, conclave_batch::MAX_VALUE_BYTES);
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        if wrap(&mut harness, middle).0 == 200 { fits = middle } else { too_long = middle }
    }
    let token = wrap(&mut harness, fits).1["wrap_info"]["token"].as_str().unwrap().to_owned();
    let (status, body) = harness.request_wrapped(&token, "POST", "sys/wrapping/unwrap", Value::Null, "1h");
    assert_eq!(status, 413, "{body}");
    assert_eq!(harness.request_as(&token, "POST", "sys/wrapping/unwrap", Value::Null).0, 200, "it was not spent");
}

#[test]
fn a_reply_is_not_given_again_to_who_may_not_ask_any_more() {
    let mut harness = Harness::new();
    let policy = r#"path "secret/data/a" { capabilities = ["create"] }"#;
    let token = harness.token_with(policy);
    let name =
        harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).1["data"]["policies"][1].clone();
    let mut request = harness.build(&token, "POST", "secret/data/a", json!({ "data": { "k": "v" } }));
    request.idempotency_key = Some("k".into());
    assert_eq!(harness.send(&request).status, 200);
    assert_eq!(harness.send(&request).status, 200, "what it created is there by now");
    let path = format!("sys/policies/acl/{}", name.as_str().unwrap());
    let withdrawn = json!({ "policy": r#"path "secret/data/a" { capabilities = ["deny"] }"# });
    assert_eq!(harness.request("POST", &path, withdrawn).0, 204);
    assert_eq!(harness.send(&request).status, 403);
}

#[test]
fn who_wants_a_reply_wrapped_is_asked_for_the_right_to_it_on_every_path() {
    let mut harness = Harness::new();
    let denied = json!({ "policy": "path \"*\" { capabilities = [\"deny\"] }" });
    assert_eq!(harness.request("POST", "sys/policies/acl/nothing", denied).0, 204);
    let made = json!({ "policies": ["nothing"], "no_default_policy": true, "num_uses": 1 });
    let (_, made) = harness.request("POST", "auth/token/create", made);
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    for path in ["sys/internal/specs/openapi", "sys/internal/ui/mounts", "sys/internal/ui/mounts/secret"] {
        let mut request = harness.build(&token, "GET", path, Value::Null);
        assert!(harness.send(&request).status < 500);
        request.wrap_ttl = Some("768h".into());
        let before = harness.table.len();
        let answer = harness.send(&request);
        assert_eq!(answer.status, 403, "{path}");
        assert!(harness.table.len() <= before, "{path}");
    }
    for path in ["sys/wrapping/lookup", "sys/health"] {
        let mut request = harness.build(&token, "POST", path, json!({ "token": token }));
        request.wrap_ttl = Some("768h".into());
        assert!(!harness.send(&request).wrote, "{path}");
    }
}
