//! OpenID Connect through whole requests, beyond what recordings of other servers hold.

use serde_json::{Value, json};

use crate::testing::Harness;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn write(harness: &mut Harness, path: &str, body: Value) -> Value {
    let (status, body) = harness.request("POST", path, body);
    assert!(status == 204 || status == 200, "{path}: {status} {body}");
    body
}

fn read(harness: &mut Harness, path: &str) -> Value {
    let (status, body) = harness.request("GET", path, Value::Null);
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// A harness with a user who may do everything below `identity/oidc`, and their token and entity.
fn with_user() -> (Harness, String, String) {
    let mut harness = Harness::new();
    write(&mut harness, "sys/auth/userpass", json!({ "type": "userpass" }));
    let policy = r#"path "identity/oidc/*" { capabilities = ["create", "read", "update"] }"#;
    write(&mut harness, "sys/policies/acl/oidc", json!({ "policy": policy }));
    write(&mut harness, "auth/userpass/users/ann", json!({ "password": "pw", "token_policies": "oidc" }));
    let (_, body) = harness.request_as("", "POST", "auth/userpass/login/ann", json!({ "password": "pw" }));
    let text = |name: &str| body["auth"][name].as_str().unwrap().to_owned();
    (harness, text("client_token"), text("entity_id"))
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn identity_token(harness: &mut Harness, token: &str) -> String {
    let (status, body) = harness.request_as(token, "GET", "identity/oidc/token/web", Value::Null);
    assert_eq!(status, 200, "{body}");
    body["data"]["token"].as_str().unwrap().to_owned()
}

fn is_active(harness: &mut Harness, token: &str) -> bool {
    write(harness, "identity/oidc/introspect", json!({ "token": token }))["active"].as_bool().unwrap()
}

fn key_ids(harness: &mut Harness) -> Vec<String> {
    let keys = read(harness, "identity/oidc/.well-known/keys")["keys"].clone();
    keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_key_signs_for_its_period_and_stays_public_for_its_time() {
    let (mut harness, ann, entity) = with_user();
    let key = json!({
        "algorithm": "ES256", "rotation_period": "1h", "verification_ttl": "2h", "allowed_client_ids": "*",
    });
    write(&mut harness, "identity/oidc/key/k", key);
    write(&mut harness, "identity/oidc/role/web", json!({ "key": "k", "ttl": "2h" }));
    assert!(key_ids(&mut harness).is_empty(), "nothing was signed");
    let first = identity_token(&mut harness, &ann);
    assert_eq!(claims(&first)["sub"], json!(entity));
    harness.advance(3599);
    identity_token(&mut harness, &ann);
    assert_eq!(key_ids(&mut harness).len(), 1);
    harness.advance(1);
    assert!(is_active(&mut harness, &first));
    let second = identity_token(&mut harness, &ann);
    assert_eq!(key_ids(&mut harness).len(), 2);
    assert!(is_active(&mut harness, &first) && is_active(&mut harness, &second));
    harness.advance(7200);
    assert_eq!(key_ids(&mut harness).len(), 1);
    assert!(!is_active(&mut harness, &first));
}

#[test]
fn a_token_that_was_changed_is_none() {
    let (mut harness, ann, entity) = with_user();
    for algorithm in ["EdDSA", "ES384"] {
        write(&mut harness, "identity/oidc/key/k", json!({ "algorithm": algorithm, "allowed_client_ids": "*" }));
        write(&mut harness, "identity/oidc/role/web", json!({ "key": "k" }));
        let token = identity_token(&mut harness, &ann);
        assert!(is_active(&mut harness, &token));
        let parts: Vec<&str> = token.split('.').collect();
        let none = "eyJhbGciOiJub25lIn0";
        let changed = [
            format!("{}.{}.", parts[0], parts[1]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}A.{}", parts[0], parts[1], parts[2]),
            format!("{token}A"),
            format!("{token}.{}", parts[2]),
        ];
        for other in changed {
            assert!(!is_active(&mut harness, &other), "{algorithm}: {other}");
        }
    }
    let token = identity_token(&mut harness, &ann);
    write(&mut harness, &format!("identity/entity/id/{entity}"), json!({ "disabled": true }));
    assert!(!is_active(&mut harness, &token));
}

/// A provider with a client, whose id and secret are returned.
fn with_client(harness: &mut Harness, kind: &str) -> (String, String) {
    let client =
        json!({ "client_type": kind, "redirect_uris": "https://app/cb", "assignments": "allow_all", "key": "k" });
    write(harness, "identity/oidc/key/k", json!({ "algorithm": "EdDSA", "allowed_client_ids": "*" }));
    write(harness, "identity/oidc/scope/who", json!({ "template": r#"{"name": {{identity.entity.name}}}"# }));
    write(harness, "identity/oidc/client/app", client);
    let read = read(harness, "identity/oidc/client/app")["data"].clone();
    let id = read["client_id"].as_str().unwrap().to_owned();
    write(harness, "identity/oidc/provider/p", json!({ "allowed_client_ids": [id], "scopes_supported": "who" }));
    (id, read["client_secret"].as_str().unwrap_or_default().to_owned())
}

fn authorize(harness: &mut Harness, user: &str, client: &str, more: Value) -> (u16, Value) {
    let mut body = json!({
        "scope": "openid who", "response_type": "code", "client_id": client, "redirect_uri": "https://app/cb", "nonce": "n",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    harness.request_as(user, "POST", "identity/oidc/provider/p/authorize", body)
}

fn exchange(harness: &mut Harness, code: &str, client: &str, more: Value) -> (u16, Value) {
    let mut body = json!({
        "grant_type": "authorization_code", "code": code, "client_id": client, "redirect_uri": "https://app/cb",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    harness.request_as("", "POST", "identity/oidc/provider/p/token", body)
}

#[test]
fn a_code_counts_once_for_its_client_and_whoever_asked_for_it() {
    let (mut harness, ann, entity) = with_user();
    let (client, secret) = with_client(&mut harness, "confidential");
    let challenge = json!({ "code_challenge": CHALLENGE, "code_challenge_method": "S256" });
    let right = json!({ "client_secret": secret, "code_verifier": VERIFIER });
    let code = |harness: &mut Harness| {
        let (status, body) = authorize(harness, &ann, &client, challenge.clone());
        assert_eq!(status, 200, "{body}");
        body["code"].as_str().unwrap().to_owned()
    };
    for wrong in [
        json!({ "client_secret": "no", "code_verifier": VERIFIER }),
        json!({ "client_secret": secret }),
        json!({ "client_secret": secret, "code_verifier": CHALLENGE }),
        json!({ "client_secret": secret, "code_verifier": VERIFIER, "redirect_uri": "https://evil/cb" }),
    ] {
        let code = code(&mut harness);
        assert_eq!(exchange(&mut harness, &code, &client, wrong.clone()).0, 400, "{wrong}");
    }
    let late = code(&mut harness);
    harness.advance(300);
    assert_eq!(exchange(&mut harness, &late, &client, right.clone()).0, 400);
    let code = code(&mut harness);
    let (status, body) = exchange(&mut harness, &code, &client, right.clone());
    assert_eq!(status, 200, "{body}");
    let told = claims(body["id_token"].as_str().unwrap());
    assert_eq!((&told["sub"], &told["nonce"], &told["aud"]), (&json!(entity), &json!("n"), &json!(client)));
    let (status, again) = exchange(&mut harness, &code, &client, right);
    assert_eq!((status, &again["error"]), (400, &json!("invalid_grant")));
    let access = body["access_token"].as_str().unwrap();
    let (status, info) = harness.request_as(access, "GET", "identity/oidc/provider/p/userinfo", Value::Null);
    assert_eq!((status, &info["sub"], &info["name"]), (200, &json!(entity), &told["name"]));
    for path in ["auth/token/lookup-self", "identity/oidc/token/web", "identity/oidc/key/k"] {
        assert_eq!(harness.request_as(access, "GET", path, Value::Null).0, 403, "{path}");
    }
    assert_eq!(harness.request_as(access, "GET", "identity/oidc/provider/default/userinfo", Value::Null).0, 401);
    assert_eq!(harness.request_as(&ann, "GET", "identity/oidc/provider/p/userinfo", Value::Null).0, 401);
    write(&mut harness, &format!("identity/entity/id/{entity}"), json!({ "disabled": true }));
    assert_eq!(harness.request_as(access, "GET", "identity/oidc/provider/p/userinfo", Value::Null).0, 401);
}

/// A client of [`with_client`], and an access token of its user.
fn with_access(harness: &mut Harness, ann: &str) -> String {
    let (client, secret) = with_client(harness, "confidential");
    let (_, body) = authorize(harness, ann, &client, json!({}));
    let (status, body) = exchange(harness, body["code"].as_str().unwrap(), &client, json!({ "client_secret": secret }));
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

fn userinfo(harness: &mut Harness, access: &str) -> (u16, Value) {
    harness.request_as(access, "GET", "identity/oidc/provider/p/userinfo", Value::Null)
}

#[test]
fn an_access_token_counts_as_long_as_its_client_would_get_another() {
    let (mut harness, ann, entity) = with_user();
    let access = with_access(&mut harness, &ann);
    let id = read(&mut harness, "identity/oidc/client/app")["data"]["client_id"].clone();
    write(&mut harness, "identity/oidc/assignment/none", json!({}));
    write(&mut harness, "identity/oidc/assignment/ann", json!({ "entity_ids": [entity] }));
    let mut counts = |path: &str, body: Value| {
        write(&mut harness, &format!("identity/oidc/{path}"), body);
        userinfo(&mut harness, &access).0
    };
    assert_eq!(counts("client/app", json!({ "assignments": "none" })), 401, "assignment");
    assert_eq!(counts("client/app", json!({ "assignments": "ann" })), 200);
    assert_eq!(counts("assignment/ann", json!({ "entity_ids": [] })), 401, "assignment's entities");
    assert_eq!(counts("assignment/ann", json!({ "entity_ids": [entity] })), 200);
    assert_eq!(counts("provider/p", json!({ "allowed_client_ids": [] })), 401, "provider");
    assert_eq!(counts("provider/p", json!({ "allowed_client_ids": [id], "scopes_supported": [] })), 200);
    assert_eq!(userinfo(&mut harness, &access).1["name"], Value::Null, "a scope that is supported no more");
    assert_eq!(harness.request("DELETE", "identity/oidc/client/app", Value::Null).0, 204);
    assert_eq!(userinfo(&mut harness, &access).0, 401, "client");
    with_client(&mut harness, "confidential");
    assert_eq!(userinfo(&mut harness, &access).0, 401, "another client of the same name");
}

#[test]
fn tokens_of_a_client_live_no_longer_than_its_key_and_the_mount_say() {
    let (mut harness, ann, _) = with_user();
    with_client(&mut harness, "confidential");
    for (path, body) in [
        ("client/app", json!({ "access_token_ttl": "87600h" })),
        ("client/app", json!({ "id_token_ttl": "25h" })),
        ("key/k", json!({ "verification_ttl": "23h" })),
    ] {
        let (status, answer) = harness.request("POST", &format!("identity/oidc/{path}"), body);
        assert_eq!(status, 400, "{path}: {answer}");
    }
    write(&mut harness, "identity/oidc/client/app", json!({ "access_token_ttl": "768h" }));
    let access = with_access(&mut harness, &ann);
    harness.advance(768 * 3600 - 1);
    assert_eq!(userinfo(&mut harness, &access).0, 200);
    harness.advance(2);
    assert_eq!(userinfo(&mut harness, &access).0, 401);
}

#[test]
fn a_provider_shows_the_keys_of_its_clients_and_no_others() {
    let (mut harness, ann, _) = with_user();
    write(&mut harness, "identity/oidc/key/other", json!({ "algorithm": "EdDSA", "allowed_client_ids": "*" }));
    write(&mut harness, "identity/oidc/role/web", json!({ "key": "other", "ttl": "1h" }));
    identity_token(&mut harness, &ann);
    with_access(&mut harness, &ann);
    let keys = |harness: &mut Harness, path: &str| {
        let body = harness.request_as("", "GET", &format!("identity/oidc/{path}.well-known/keys"), Value::Null).1;
        body["keys"].as_array().unwrap().len()
    };
    assert_eq!((keys(&mut harness, ""), keys(&mut harness, "provider/p/")), (2, 1));
    write(&mut harness, "identity/oidc/provider/p", json!({ "allowed_client_ids": [] }));
    assert_eq!(keys(&mut harness, "provider/p/"), 0);
}

#[test]
fn of_two_clients_that_show_one_code_one_gets_tokens() {
    let (mut harness, ann, _) = with_user();
    let (client, secret) = with_client(&mut harness, "confidential");
    let (_, body) = authorize(&mut harness, &ann, &client, json!({}));
    let shown = json!({
        "grant_type": "authorization_code", "code": body["code"], "client_id": client, "redirect_uri": "https://app/cb",
        "client_secret": secret,
    });
    let requests: Vec<_> =
        (0..2).map(|_| harness.build("", "POST", "identity/oidc/provider/p/token", shown.clone())).collect();
    let batches: Vec<_> = requests.iter().map(|request| harness.propose(request).1.unwrap()).collect();
    assert_eq!(batches.iter().filter(|batch| harness.commit(batch)).count(), 1);
    assert_eq!(harness.send(&requests[1]).status, 400);
}

#[test]
fn an_exchange_is_not_kept_under_an_idempotency_key() {
    let (mut harness, ann, _) = with_user();
    let (client, secret) = with_client(&mut harness, "confidential");
    let (_, body) = authorize(&mut harness, &ann, &client, json!({}));
    let shown = json!({
        "grant_type": "authorization_code", "code": body["code"], "client_id": client, "redirect_uri": "https://app/cb",
        "client_secret": secret,
    });
    let mut request = harness.build("", "POST", "identity/oidc/provider/p/token", shown);
    request.idempotency_key = Some("k".into());
    assert_eq!(harness.send(&request).status, 200);
    let mut store = harness.core.store(&harness.table);
    let system = store.system();
    assert_eq!(store.count(&system, &["idempotency"]).unwrap(), 0);
}

#[test]
fn what_authorize_refuses() {
    let (mut harness, ann, _) = with_user();
    let (client, _) = with_client(&mut harness, "public");
    for (more, error) in [
        (json!({}), "invalid_request"),
        (json!({ "code_challenge": "x", "code_challenge_method": "S1" }), "invalid_request"),
        (json!({ "code_challenge": "x", "response_type": "token" }), "unsupported_response_type"),
        (json!({ "code_challenge": "x", "redirect_uri": "https://app/cb/" }), "invalid_redirect_uri"),
        (json!({ "code_challenge": "x", "request": "jwt" }), "request_not_supported"),
        (json!({ "code_challenge": "x", "max_age": -1 }), "invalid_request"),
        (json!({ "code_challenge": "x", "max_age": i64::MIN }), "invalid_request"),
        (json!({ "code_challenge": "x", "nonce": "n".repeat(2049) }), "invalid_request"),
    ] {
        let (status, body) = authorize(&mut harness, &ann, &client, more.clone());
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{more}");
    }
    let (status, body) = authorize(&mut harness, crate::testing::ROOT, &client, json!({ "code_challenge": "x" }));
    assert_eq!((status, &body["error"]), (400, &json!("access_denied")), "root is nobody");
    harness.advance(60);
    let old = json!({ "code_challenge": "x", "max_age": 30 });
    assert_eq!(authorize(&mut harness, &ann, &client, old).1["error"], "max_age_violation");
    write(&mut harness, "identity/oidc/assignment/none", json!({}));
    write(&mut harness, "identity/oidc/client/app", json!({ "assignments": "none" }));
    let (_, body) = authorize(&mut harness, &ann, &client, json!({ "code_challenge": "x" }));
    assert_eq!(body["error"], "access_denied");
}

#[test]
fn a_code_that_nobody_shows_is_removed() {
    let (mut harness, ann, _) = with_user();
    let (client, _) = with_client(&mut harness, "confidential");
    let before = harness.table.len();
    assert_eq!(authorize(&mut harness, &ann, &client, json!({})).0, 200);
    assert!(harness.table.len() > before);
    harness.advance(400);
    assert!(harness.run_tasks() > 0);
    assert_eq!(harness.table.len(), before);
}
