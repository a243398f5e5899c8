//! JWT and OIDC through whole requests, with keys of our own and a provider that a test plays.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use prost::Message;
use serde_json::{Value, json};

use crate::testing::Harness;
use crate::web::{WebReply, WebRequest};

const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "https://issuer.example";

/// A key pair on P-256.
struct Signer(EcdsaKeyPair);

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn der(&self) -> Vec<u8> {
        AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'static>>::as_der(self.0.public_key()).unwrap().as_ref().to_vec()
    }

    fn pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(self.der()))
    }

    fn jwk(&self, id: &str) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": id, "use": "sig" })
    }

    fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signed = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed.as_ref()))
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({ "alg": "ES256", "kid": "one" }), claims)
    }
}

fn claims(more: Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "sub": "svc", "aud": "conclave", "iat": NOW, "exp": NOW + 600 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn write(harness: &mut Harness, path: &str, body: Value) {
    let (status, body) = harness.request("POST", path, body);
    assert!(status == 204 || status == 200, "{path}: {status} {body}");
}

fn mounted(config: Value, role: Value) -> Harness {
    let mut harness = Harness::new();
    configure(&mut harness, config, role);
    harness
}

fn configure(harness: &mut Harness, config: Value, role: Value) {
    write(harness, "sys/auth/jwt", json!({ "type": "jwt" }));
    write(harness, "auth/jwt/config", config);
    let mut body = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "conclave" });
    body.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
    write(harness, "auth/jwt/role/r", body);
}

fn log_in(harness: &mut Harness, token: &str) -> (u16, Value) {
    harness.request_as("", "POST", "auth/jwt/login", json!({ "role": "r", "jwt": token }))
}

/// What a provider answers by URL, and how often it was asked.
#[derive(Clone, Default)]
struct Provider {
    answers: Rc<RefCell<BTreeMap<String, Value>>>,
    asked: Rc<RefCell<Vec<WebRequest>>>,
}

impl Provider {
    fn set(&self, url: &str, answer: Value) {
        self.answers.borrow_mut().insert(url.to_owned(), answer);
    }

    fn urls(&self) -> Vec<String> {
        self.asked.borrow_mut().drain(..).map(|request| request.url.clone()).collect()
    }

    fn attach(&self, harness: &mut Harness) {
        let own = self.clone();
        harness.outside = Box::new(move |call| {
            assert_eq!(call.way, "web");
            let request = WebRequest::decode(call.message.as_slice()).unwrap();
            let answer = own.answers.borrow().get(&request.url).cloned();
            own.asked.borrow_mut().push(request);
            let reply = match answer {
                Some(answer) => WebReply { status: 200, body: answer.to_string().into_bytes() },
                None => WebReply { status: 404, body: Vec::new() },
            };
            Ok(reply.encode_to_vec())
        });
    }
}

// check 137, 138
#[test]
fn only_a_signature_by_a_known_key_in_its_own_way_opens() {
    let (own, other) = (Signer::new(), Signer::new());
    let mut harness = mounted(json!({ "jwt_validation_pubkeys": own.pem() }), json!({}));
    assert_eq!(log_in(&mut harness, &own.sign(&claims(json!({})))).0, 200);
    let body = claims(json!({}));
    let with = |header: Value| own.sign_as(&header, &body);
    let keyed = |secret: &[u8]| {
        let message = format!("{}.{}", encoded(&json!({ "alg": "HS256" })), encoded(&body));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let message = format!("{}.{}", encoded(&json!({ "alg": "ES256" })), encoded(&body));
    let der = {
        let pkcs8 = own.0.to_pkcs8v1().unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
        pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    };
    for (what, token) in [
        ("another key", other.sign(&body)),
        ("another key that it brings along", other.sign_as(&json!({ "alg": "ES256", "jwk": other.jwk("x") }), &body)),
        ("none", format!("{}.{}.", encoded(&json!({ "alg": "none" })), encoded(&body))),
        ("no signature", format!("{message}.")),
        ("zeros", format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("ASN.1", format!("{message}.{}", URL_SAFE_NO_PAD.encode(der))),
        ("HMAC with PEM", keyed(own.pem().as_bytes())),
        ("HMAC with DER", keyed(&own.der())),
        ("another algorithm", with(json!({ "alg": "ES384" }))),
        ("an RSA algorithm", with(json!({ "alg": "RS256" }))),
        ("no algorithm", with(json!({}))),
        ("a critical header", with(json!({ "alg": "ES256", "crit": ["x"], "x": 1 }))),
        ("not encoded", with(json!({ "alg": "ES256", "b64": false }))),
        ("compressed", with(json!({ "alg": "ES256", "zip": "DEF" }))),
        ("two parts", message.clone()),
        ("five parts", format!("{message}.a.b.c")),
        ("padded", format!("{}=", own.sign(&body))),
        ("too long", own.sign(&claims(json!({ "pad": "x".repeat(40_000) })))),
    ] {
        let (status, body) = log_in(&mut harness, &token);
        assert_eq!(status, 400, "{what}: {body}");
    }
}

// check 136, 138
#[test]
fn whom_a_token_is_for_decides_and_a_claim_occurs_once() {
    let own = Signer::new();
    let config = json!({ "jwt_validation_pubkeys": own.pem() });
    let mut bound = mounted(config.clone(), json!({ "bound_audiences": ["conclave", "other"] }));
    let mut open = mounted(config, json!({ "bound_audiences": [], "bound_subject": "svc" }));
    for (audience, of_bound, of_open) in [
        (json!("conclave"), 200, 400),
        (json!(["x", "other"]), 200, 400),
        (json!("x"), 400, 400),
        (json!([]), 400, 200),
        (Value::Null, 400, 200),
        (json!(7), 400, 400),
        (json!(["conclave", 7]), 400, 400),
        (json!({ "conclave": true }), 400, 400),
    ] {
        let token = own.sign(&claims(json!({ "aud": audience })));
        assert_eq!(log_in(&mut bound, &token).0, of_bound, "{audience}");
        assert_eq!(log_in(&mut open, &token).0, of_open, "{audience}");
    }
    let twice = format!(r#"{{"sub":"svc","sub":"root","aud":"conclave","exp":{}}}"#, NOW + 9);
    let message = format!("{}.{}", encoded(&json!({ "alg": "ES256" })), URL_SAFE_NO_PAD.encode(twice));
    let signed = own.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    assert_eq!(log_in(&mut bound, &format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed.as_ref()))).0, 400);
}

// check 140
#[test]
fn claims_become_who_one_is_where_one_belongs_and_what_is_noted() {
    let own = Signer::new();
    let role = json!({
        "user_claim": "/who/name", "user_claim_json_pointer": true, "groups_claim": "/who/in",
        "claim_mappings": { "n": "number", "ok": "fine", "absent": "absent" }, "token_policies": "p"
    });
    let mut harness = mounted(json!({ "jwt_validation_pubkeys": own.pem() }), role);
    let (_, mounts) = harness.request("GET", "sys/auth", Value::Null);
    let accessor = mounts["data"]["jwt/"]["accessor"].clone();
    let (_, group) = harness.request("POST", "identity/group", json!({ "type": "external", "policies": "team" }));
    let id = group["data"]["id"].clone();
    let alias = json!({ "name": "ops", "mount_accessor": accessor, "canonical_id": id });
    write(&mut harness, "identity/group-alias", alias);
    let who =
        |groups: Value| own.sign(&claims(json!({ "who": { "name": "Ann/x", "in": groups }, "n": 3, "ok": true })));
    let (status, body) = log_in(&mut harness, &who(json!(["ops", "none"])));
    assert_eq!(status, 200, "{body}");
    let auth = &body["auth"];
    assert_eq!(auth["metadata"], json!({ "role": "r", "number": "3", "fine": "true" }));
    assert_eq!(auth["identity_policies"], json!(["team"]));
    let (_, entity) =
        harness.request("GET", &format!("identity/entity/id/{}", auth["entity_id"].as_str().unwrap()), Value::Null);
    assert_eq!(entity["data"]["aliases"][0]["name"], "Ann/x");
    // Out of the group again, by the next login.
    let (_, body) = log_in(&mut harness, &who(json!("none")));
    assert_eq!(body["auth"]["identity_policies"], Value::Null);
    for groups in [Value::Null, json!([1]), json!({ "a": 1 })] {
        assert_eq!(log_in(&mut harness, &who(groups.clone())).0, 400, "{groups}");
    }
    for name in [json!(""), json!(7), Value::Null] {
        let token = own.sign(&claims(json!({ "who": { "name": name, "in": [] } })));
        assert_eq!(log_in(&mut harness, &token).0, 400);
    }
}

// check 141
#[test]
fn keys_are_asked_for_again_once_if_none_fits() {
    let (own, next) = (Signer::new(), Signer::new());
    let provider = Provider::default();
    let url = "https://keys.example/set";
    provider.set(url, json!({ "keys": [own.jwk("one")] }));
    let mut harness = Harness::new();
    provider.attach(&mut harness);
    configure(&mut harness, json!({ "jwks_url": url }), json!({}));
    assert_eq!(provider.urls(), [url], "they are looked at before the configuration is kept");
    assert_eq!(log_in(&mut harness, &own.sign(&claims(json!({})))).0, 200);
    assert_eq!(provider.urls(), [url]);
    let rotated = next.sign_as(&json!({ "alg": "ES256", "kid": "two" }), &claims(json!({})));
    assert_eq!(log_in(&mut harness, &rotated).0, 400);
    let ages: Vec<_> = provider.asked.borrow_mut().drain(..).map(|request| request.max_age_secs).collect();
    assert_eq!(ages, [300, 10], "an older set will do first, then only a new one");
    // The same key under another name is not meant.
    let renamed = own.sign_as(&json!({ "alg": "ES256", "kid": "two" }), &claims(json!({})));
    assert_eq!(log_in(&mut harness, &renamed).0, 400);
    provider.set(url, json!({ "keys": [own.jwk("one"), next.jwk("two")] }));
    assert_eq!(log_in(&mut harness, &rotated).0, 200);
    for broken in [json!([]), json!({ "keys": 1 })] {
        provider.set(url, broken);
        assert_eq!(log_in(&mut harness, &rotated).0, 503);
    }
    let (status, body) = harness.request("POST", "auth/jwt/config", json!({ "jwks_url": "https://keys.example/none" }));
    assert_eq!(status, 400, "{body}");
    let unchecked = json!({ "jwks_url": "https://keys.example/none", "skip_jwks_validation": true });
    write(&mut harness, "auth/jwt/config", unchecked);
    assert_eq!(harness.request("GET", "auth/jwt/config", Value::Null).1["data"]["status"], "unchecked");
}

#[test]
fn a_place_that_is_down_keeps_nobody_out_whose_keys_are_at_another() {
    let (own, other) = (Signer::new(), Signer::new());
    let provider = Provider::default();
    let (up, down) = ("https://up.example/set", "https://down.example/set");
    provider.set(up, json!({ "keys": [own.jwk("one")] }));
    let mut harness = Harness::new();
    provider.attach(&mut harness);
    let pairs = json!([{ "jwks_url": down }, { "jwks_url": up }]);
    configure(&mut harness, json!({ "jwks_pairs": pairs, "skip_jwks_validation": true }), json!({}));
    assert_eq!(log_in(&mut harness, &own.sign(&claims(json!({})))).0, 200);
    // Whose keys are there nobody knows.
    assert_eq!(log_in(&mut harness, &other.sign(&claims(json!({})))).0, 503);
}

fn discovered(provider: &Provider, issuer: &str, own: &Signer) {
    provider.set(
        &format!("{ISSUER}/.well-known/openid-configuration"),
        json!({
            "issuer": issuer,
            "jwks_uri": "https://keys.example/set",
            "authorization_endpoint": "https://issuer.example/authorize",
            "token_endpoint": "https://issuer.example/token",
        }),
    );
    provider.set("https://keys.example/set", json!({ "keys": [own.jwk("one")] }));
}

// check 141
#[test]
fn a_provider_is_the_issuer_that_it_says_it_is() {
    let own = Signer::new();
    let provider = Provider::default();
    let mut harness = Harness::new();
    provider.attach(&mut harness);
    discovered(&provider, "https://elsewhere.example", &own);
    write(&mut harness, "sys/auth/jwt", json!({ "type": "oidc" }));
    let config = json!({ "oidc_discovery_url": ISSUER });
    assert_eq!(harness.request("POST", "auth/jwt/config", config.clone()).0, 400);
    discovered(&provider, ISSUER, &own);
    write(&mut harness, "auth/jwt/config", config);
    let is_new = provider.asked.borrow().iter().all(|request| request.max_age_secs == 0);
    assert!(is_new, "what was wrong a moment ago may be right now");
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "conclave" });
    write(&mut harness, "auth/jwt/role/r", role);
    assert_eq!(log_in(&mut harness, &own.sign(&claims(json!({})))).0, 200);
    assert_eq!(log_in(&mut harness, &own.sign(&claims(json!({ "iss": "https://elsewhere.example" })))).0, 400);
    assert_eq!(log_in(&mut harness, &own.sign(&claims(json!({ "iss": null })))).0, 400);
}

/// A parameter of a URL's query, unescaped as far as these tests need it.
fn parameter(url: &str, name: &str) -> String {
    let pairs = url.split_once('?').unwrap().1.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next().unwrap()
}

/// A mount for browsers, with its provider.
fn with_browser(own: &Signer) -> (Harness, Provider) {
    let (provider, mut harness) = (Provider::default(), Harness::new());
    provider.attach(&mut harness);
    discovered(&provider, ISSUER, own);
    let config = json!({
        "oidc_discovery_url": ISSUER, "oidc_client_id": "us", "oidc_client_secret": "s:/%", "default_role": "r",
        "jwt_supported_algs": "ES256",
    });
    let role = json!({
        "role_type": "oidc", "bound_audiences": [], "allowed_redirect_uris": "http://localhost:8250/oidc/callback",
        "oidc_scopes": "email groups",
    });
    configure(&mut harness, config, role);
    (harness, provider)
}

fn auth_url(harness: &mut Harness) -> String {
    let body = json!({ "redirect_uri": "http://localhost:8250/oidc/callback", "client_nonce": "mine" });
    let (status, body) = harness.request_as("", "POST", "auth/jwt/oidc/auth_url", body);
    assert_eq!(status, 200, "{body}");
    body["data"]["auth_url"].as_str().unwrap().to_owned()
}

fn call_back(harness: &mut Harness, state: &str, nonce: &str) -> (u16, Value) {
    let target = format!("auth/jwt/oidc/callback?state={state}&code=the-code&client_nonce={nonce}");
    harness.request_as("", "GET", &target, Value::Null)
}

// check 142
#[test]
fn a_login_in_a_browser_ends_once_where_it_began() {
    let own = Signer::new();
    let (mut harness, provider) = with_browser(&own);
    let rows = harness.table.len();
    let url = auth_url(&mut harness);
    assert_eq!(harness.table.len(), rows, "a stranger who asks for pages leaves nothing behind");
    assert!(url.starts_with("https://issuer.example/authorize?response_type=code&client_id=us&"), "{url}");
    let (state, nonce) = (parameter(&url, "state"), parameter(&url, "nonce"));
    let answer = |more: Value| {
        let mut body = json!({ "aud": "us", "nonce": nonce, "groups": [] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "access_token": "x", "token_type": "Bearer", "id_token": own.sign(&claims(body)) })
    };
    for wrong in [
        json!({ "nonce": "x" }),
        json!({ "nonce": null }),
        json!({ "aud": "them" }),
        json!({ "aud": ["us", "them"] }),
        json!({ "azp": "them" }),
        json!({ "iss": "https://elsewhere.example" }),
        json!({ "exp": NOW - 600 }),
    ] {
        provider.set("https://issuer.example/token", answer(wrong.clone()));
        assert_eq!(call_back(&mut harness, &state, "mine").0, 400, "{wrong}");
    }
    provider.set("https://issuer.example/token", answer(json!({ "aud": ["us", "them"], "azp": "us" })));
    assert_eq!(call_back(&mut harness, &state, "theirs").0, 400);
    assert_eq!(call_back(&mut harness, &format!("A{}", &state[1..]), "mine").0, 400);
    provider.urls();
    let (status, body) = call_back(&mut harness, &state, "mine");
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["auth"]["metadata"]["role"], "r");
    let asked: Vec<_> = provider.asked.borrow().iter().filter(|request| request.method == "POST").cloned().collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].headers["authorization"], format!("Basic {}", STANDARD.encode("us:s%3A%2F%25")));
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    let verifier = body.rsplit_once("code_verifier=").unwrap().1;
    assert_eq!(URL_SAFE_NO_PAD.encode(super::browser::hashed(verifier)), parameter(&url, "code_challenge"));
    assert_eq!(call_back(&mut harness, &state, "mine").0, 400, "a state is used once");
    let late = auth_url(&mut harness);
    harness.advance(601);
    assert_eq!(call_back(&mut harness, &parameter(&late, "state"), "mine").0, 400);
    harness.advance(120);
    harness.run_tasks();
    assert_eq!(call_back(&mut harness, &state, "mine").0, 400, "what is forgotten is over");
}

#[test]
fn a_page_is_for_a_role_and_a_redirect_that_are_meant_for_it() {
    let (mut harness, _) = with_browser(&Signer::new());
    for (role, redirect, is_given) in [
        ("r", "http://localhost:9999/oidc/callback", true),
        ("none", "http://localhost:8250/oidc/callback", false),
        ("r", "https://evil.example/", false),
    ] {
        let body = json!({ "role": role, "redirect_uri": redirect });
        let (status, body) = harness.request_as("", "POST", "auth/jwt/oidc/auth_url", body);
        assert_eq!((status, body["data"]["auth_url"] != ""), (200, is_given), "{role} {redirect}");
    }
    assert_eq!(harness.request_as("", "POST", "auth/jwt/oidc/auth_url", json!({ "role": "r" })).0, 400);
    assert_eq!(log_in(&mut harness, "a.b.c").1["errors"], json!(["role with oidc role_type is not allowed"]));
}

#[test]
fn what_is_not_there_is_refused_and_not_kept() {
    let own = Signer::new();
    let mut harness = mounted(json!({ "jwt_validation_pubkeys": own.pem() }), json!({}));
    for field in [
        json!({ "callback_mode": "direct" }),
        json!({ "verbose_oidc_logging": true }),
        json!({ "token_policies_template_claims": true }),
        json!({ "oauth2_metadata": "access_token" }),
        json!({ "poll_interval": 5 }),
        json!({ "bound_claims": { "a": { "b": 1 } } }),
        json!({ "bound_claims": { "a": [] } }),
        json!({ "bound_claims_type": "glob", "bound_claims": { "a": 1 } }),
        json!({ "bound_claims_type": "regex" }),
        json!({ "claim_mappings": { "a": "role" } }),
        json!({ "claim_mappings": { "a": "x", "b": "x" } }),
        json!({ "clock_skew_leeway": "soon" }),
    ] {
        let (status, body) = harness.request("POST", "auth/jwt/role/r", field.clone());
        assert_eq!(status, 400, "{field}: {body}");
    }
    for config in [
        json!({ "oidc_discovery_url": ISSUER, "oidc_client_id": "us" }),
        json!({ "jwks_url": "file:///etc/passwd", "skip_jwks_validation": true }),
        json!({ "jwks_url": ISSUER, "jwks_ca_pem": "/etc/ssl/ca.pem", "skip_jwks_validation": true }),
        json!({ "jwks_pairs": [{ "url": ISSUER }], "skip_jwks_validation": true }),
        json!({ "provider_config": { "provider": "azure" }, "oidc_discovery_url": ISSUER }),
        json!({ "oidc_discovery_url": ISSUER, "oidc_response_mode": "form_post" }),
    ] {
        let (status, body) = harness.request("POST", "auth/jwt/config", config.clone());
        assert_eq!(status, 400, "{config}: {body}");
    }
    let (_, role) = harness.request("GET", "auth/jwt/role/r", Value::Null);
    assert_eq!((&role["data"]["bound_claims"], &role["data"]["clock_skew_leeway"]), (&Value::Null, &json!(0)));
}

#[test]
fn a_token_is_renewed_by_the_role_that_made_it_alone() {
    let own = Signer::new();
    let mut harness = mounted(json!({ "jwt_validation_pubkeys": own.pem() }), json!({ "token_ttl": "1h" }));
    let (_, body) = log_in(&mut harness, &own.sign(&claims(json!({}))));
    let token = body["auth"]["client_token"].as_str().unwrap().to_owned();
    let renew = |harness: &mut Harness| harness.request_as(&token, "POST", "auth/token/renew-self", json!({})).0;
    assert_eq!(renew(&mut harness), 200);
    harness.request("DELETE", "auth/jwt/role/r", Value::Null);
    assert_eq!(renew(&mut harness), 400);
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "conclave" });
    write(&mut harness, "auth/jwt/role/r", role);
    assert_eq!(renew(&mut harness), 400);
}
