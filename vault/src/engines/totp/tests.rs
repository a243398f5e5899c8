//! TOTP through whole requests.

use serde_json::{Value, json};

use crate::testing::Harness;

const KEY: &str = "JBSWY3DPEHPK3PXP";

fn with_key(body: Value) -> Harness {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/mounts/totp", json!({ "type": "totp" })).0, 204);
    let (status, reply) = harness.request("POST", "totp/keys/k", body);
    assert!(status == 200 || status == 204, "{reply}");
    harness
}

fn code(harness: &mut Harness) -> String {
    let (status, body) = harness.request("GET", "totp/code/k", Value::Null);
    assert_eq!(status, 200, "{body}");
    body["data"]["code"].as_str().unwrap().to_owned()
}

fn check(harness: &mut Harness, code: &str) -> (u16, Value) {
    let (status, body) = harness.request("POST", "totp/code/k", json!({ "code": code }));
    (status, body["data"]["valid"].clone())
}

#[test]
fn a_code_counts_once_in_its_time() {
    let mut harness = with_key(json!({ "key": KEY, "issuer": "i", "account_name": "a" }));
    let first = code(&mut harness);
    assert_eq!(check(&mut harness, &first), (200, json!(true)));
    assert_eq!(check(&mut harness, &first).0, 400);
    harness.advance(30);
    assert_eq!(check(&mut harness, &first).0, 400, "it is used, though it would count for one period more");
    let second = code(&mut harness);
    assert_eq!(check(&mut harness, &second), (200, json!(true)));
    let third = code(&mut harness);
    assert_eq!((third == second, check(&mut harness, &third).0), (true, 400));
    harness.advance(90);
    assert_eq!(check(&mut harness, &second), (200, json!(false)), "it is over");
}

#[test]
fn of_two_who_use_a_code_at_once_one_is_too_late() {
    let mut harness = with_key(json!({ "key": KEY, "issuer": "i", "account_name": "a" }));
    let body = json!({ "code": code(&mut harness) });
    let requests = [(); 2].map(|()| harness.build(crate::testing::ROOT, "POST", "totp/code/k", body.clone()));
    let batches: Vec<_> = requests.iter().map(|request| harness.propose(request).1.unwrap()).collect();
    assert!(harness.commit(&batches[0]) && !harness.commit(&batches[1]));
    assert_eq!(harness.send(&requests[1]).status, 400);
}

#[test]
fn a_key_that_is_made_is_shown_once_and_one_that_is_brought_in_never() {
    let made =
        json!({ "generate": true, "issuer": "Acme", "account_name": "a@b.c", "key_size": 32, "algorithm": "SHA512" });
    let mut harness = with_key(json!({ "key": KEY, "issuer": "i", "account_name": "a" }));
    let (_, body) = harness.request("POST", "totp/keys/k", made.clone());
    let url = body["data"]["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("otpauth://totp/Acme:a%40b.c?algorithm=SHA512&digits=6&issuer=Acme&period=30&secret="));
    assert!(body["data"]["barcode"].as_str().unwrap().starts_with("iVBORw0KGgo"));
    let code_here = code(&mut harness);
    assert_eq!(harness.request("POST", "totp/keys/copy", json!({ "url": url })).0, 204);
    let (_, shown) = harness.request("POST", "totp/code/copy", json!({ "code": code_here }));
    assert_eq!(shown["data"]["valid"], true, "who reads the URL has the key");
    let mut quiet = made;
    quiet["exported"] = false.into();
    assert_eq!(harness.request("POST", "totp/keys/k", quiet).0, 204);
    for (path, secret) in [("totp/keys/k", url.rsplit('=').next().unwrap()), ("totp/keys/copy", KEY)] {
        let (_, body) = harness.request("GET", path, Value::Null);
        assert!(body["data"]["algorithm"] == "SHA512" && !body.to_string().contains(secret), "{body}");
    }
}

#[test]
fn what_makes_no_codes_is_refused() {
    let mut harness = with_key(json!({ "key": KEY, "issuer": "i", "account_name": "a" }));
    for body in [
        json!({ "key": "0189" }),
        json!({ "key": "=" }),
        json!({ "key": KEY, "digits": 7 }),
        json!({ "key": KEY, "digits": -6 }),
        json!({ "key": KEY, "period": "2d" }),
        json!({ "key": KEY, "skew": -1 }),
        json!({ "key": KEY, "algorithm": "sha1" }),
        json!({ "key": "A".repeat(1_000) }),
        json!({ "key": KEY, "issuer": "x".repeat(2_000) }),
        json!({ "url": format!("otpauth://totp/a?secret={KEY}&digits=9") }),
        json!({ "generate": true, "issuer": "a", "account_name": "b", "qr_size": 100_000 }),
        json!({ "generate": true, "issuer": "a", "account_name": "b", "key_size": 4_096 }),
    ] {
        assert_eq!(harness.request("POST", "totp/keys/bad", body.clone()).0, 400, "{body}");
    }
    assert_eq!(harness.request("GET", "totp/keys/bad", Value::Null).0, 404);
}
