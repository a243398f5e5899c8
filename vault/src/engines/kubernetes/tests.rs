//! Kubernetes through whole requests, with an API server that a test plays.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use serde_json::{Value, json};

use crate::testing::Harness;
use crate::web::{WebReply, WebRequest};

const NOW: i64 = 1_700_000_000;

fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(claims))
}

fn usual() -> Value {
    json!({ "iss": "k", "aud": ["vault"], "iat": NOW, "exp": NOW + 600 })
}

/// A review that says yes.
fn yes() -> Value {
    json!({ "status": {
        "authenticated": true, "audiences": ["vault"],
        "user": { "username": "system:serviceaccount:prod:app", "uid": "u-1", "groups": [] }
    }})
}

type Asked = Rc<RefCell<Vec<WebRequest>>>;

/// A mount with a role, whose API server answers with a status and this.
fn mounted(config: Value, role: Value, status: u32, review: Value) -> (Harness, Asked) {
    let mut harness = Harness::new();
    let asked = Asked::default();
    let own = Rc::clone(&asked);
    harness.outside = Box::new(move |call| {
        own.borrow_mut().push(WebRequest::decode(call.message.as_slice()).unwrap());
        Ok(WebReply { status, body: review.to_string().into_bytes() }.encode_to_vec())
    });
    let mut write = |path: &str, usual: Value, more: Value| {
        let mut body = usual;
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, body) = harness.request("POST", path, body);
        assert_eq!(status, 204, "{path}: {body}");
    };
    write("sys/auth/kubernetes", json!({ "type": "kubernetes" }), json!({}));
    write("auth/kubernetes/config", json!({ "kubernetes_host": "https://k8s.example:6443/" }), config);
    let usual = json!({
        "bound_service_account_names": "app,job-*", "bound_service_account_namespaces": "prod", "audience": "vault",
        "token_policies": "p",
    });
    write("auth/kubernetes/role/app", usual, role);
    (harness, asked)
}

fn log_in(harness: &mut Harness, claims: &Value) -> (u16, Value) {
    harness.request_as("", "POST", "auth/kubernetes/login", json!({ "role": "app", "jwt": token(claims) }))
}

#[test]
fn an_account_that_the_cluster_vouches_for_gets_a_token() {
    let (mut harness, asked) = mounted(json!({ "token_reviewer_jwt": "reviewer" }), json!({}), 201, yes());
    let claims = json!({ "aud": "vault", "exp": NOW + 9, "kubernetes.io/serviceaccount/secret.name": "s" });
    let (status, body) = log_in(&mut harness, &claims);
    assert_eq!(status, 200, "{body}");
    let expected = json!({
        "role": "app", "service_account_name": "app", "service_account_namespace": "prod",
        "service_account_secret_name": "s", "service_account_uid": "u-1",
    });
    assert_eq!((&body["auth"]["metadata"], &body["auth"]["policies"]), (&expected, &json!(["default", "p"])));
    let entity = body["auth"]["entity_id"].as_str().unwrap().to_owned();
    let (_, shown) = harness.request("GET", &format!("identity/entity/id/{entity}"), Value::Null);
    assert_eq!(shown["data"]["aliases"][0]["name"], "u-1");
    let asked = asked.borrow();
    let [request] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert_eq!(request.url, "https://k8s.example:6443/apis/authentication.k8s.io/v1/tokenreviews");
    assert_eq!((request.headers["authorization"].as_str(), request.is_from_pod), ("Bearer reviewer", false));
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent["spec"], json!({ "token": token(&claims), "audiences": ["vault"] }));
    let (_, shown) = harness.request("GET", "auth/kubernetes/config", Value::Null);
    assert!(shown["data"]["token_reviewer_jwt_set"] == true && !shown.to_string().contains("\"reviewer\""));
}

#[test]
fn without_a_reviewer_the_pod_asks_or_the_token_itself() {
    for (config, from_pod) in [(json!({}), true), (json!({ "disable_local_ca_jwt": true }), false)] {
        let (mut harness, asked) = mounted(config, json!({ "alias_name_source": "serviceaccount_name" }), 201, yes());
        let (status, body) = log_in(&mut harness, &usual());
        assert_eq!(status, 200, "{body}");
        let entity = body["auth"]["entity_id"].as_str().unwrap().to_owned();
        let (_, shown) = harness.request("GET", &format!("identity/entity/id/{entity}"), Value::Null);
        assert_eq!(shown["data"]["aliases"][0]["name"], "prod/app");
        let asked = asked.borrow();
        assert_eq!((asked[0].is_from_pod, asked[0].trusts_pod), (from_pod, from_pod));
        assert_eq!(asked[0].headers["authorization"], format!("Bearer {}", token(&usual())));
    }
}

// check 146
#[test]
fn what_the_cluster_does_not_vouch_for_is_refused() {
    let with = |name: &str, value: Value| {
        let mut review = yes();
        review["status"][name] = value;
        review
    };
    let user = |name: &str| with("user", json!({ "username": name, "uid": "u" }));
    for (what, status, review) in [
        ("not authenticated", 201, with("authenticated", json!(false))),
        ("nearly", 201, with("authenticated", json!("true"))),
        ("an error", 201, with("error", json!("expired"))),
        ("another audience", 201, with("audiences", json!(["api"]))),
        ("no audience", 201, with("audiences", Value::Null)),
        ("no account", 201, user("kubernetes-admin")),
        ("too many parts", 201, user("system:serviceaccount:prod:app:x")),
        ("another account", 201, user("system:serviceaccount:prod:application")),
        ("another namespace", 201, user("system:serviceaccount:production:app")),
        ("no uid", 201, with("user", json!({ "username": "system:serviceaccount:prod:app" }))),
        ("nobody", 201, json!({})),
        ("who asks may not", 403, yes()),
        ("who asks is nobody", 401, yes()),
    ] {
        let (mut harness, _) = mounted(json!({}), json!({}), status, review);
        let (status, body) = log_in(&mut harness, &usual());
        assert_eq!(status, 403, "{what}: {body}");
    }
    let (mut harness, _) = mounted(json!({}), json!({}), 500, yes());
    assert_eq!(log_in(&mut harness, &usual()).0, 503);
    let star = user("system:serviceaccount:prod:job-7");
    let (mut harness, _) = mounted(json!({}), json!({}), 201, star);
    assert_eq!(log_in(&mut harness, &usual()).0, 200);
}

#[test]
fn what_can_be_seen_here_is_not_sent_there() {
    let config = json!({ "issuer": "k", "disable_iss_validation": false });
    let (mut harness, asked) = mounted(config, json!({}), 201, yes());
    for claims in [
        json!({ "iss": "other", "aud": "vault", "exp": NOW + 9 }),
        json!({ "iss": "k", "aud": "api", "exp": NOW + 9 }),
        json!({ "iss": "k", "exp": NOW + 9 }),
        json!({ "iss": "k", "aud": "vault", "exp": NOW - 61 }),
        json!({ "iss": "k", "aud": "vault", "nbf": NOW + 61 }),
    ] {
        assert_eq!(log_in(&mut harness, &claims).0, 403, "{claims}");
    }
    assert!(asked.borrow().is_empty());
    assert_eq!(log_in(&mut harness, &json!({ "iss": "k", "aud": "vault" })).0, 200, "one that lies in a secret");
}

// check 147
#[test]
fn what_is_no_setting_is_refused() {
    let (mut harness, _) = mounted(json!({}), json!({}), 201, yes());
    for config in [
        json!({ "kubernetes_host": "/etc/kubernetes" }),
        json!({ "kubernetes_host": "https://k8s.example", "kubernetes_ca_cert": "/etc/ca.crt" }),
        json!({ "kubernetes_host": "https://k8s.example", "use_annotations_as_alias_metadata": true }),
    ] {
        assert_eq!(harness.request("POST", "auth/kubernetes/config", config.clone()).0, 400, "{config}");
    }
    let role = json!({ "bound_service_account_namespace_selector": "{}" });
    assert_eq!(harness.request("POST", "auth/kubernetes/role/app", role).0, 400);
}
