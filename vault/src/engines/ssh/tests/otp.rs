//! One-time passwords.

use super::*;
use crate::testing::ROOT;

fn with_login() -> Harness {
    let mut harness = mounted("ed25519");
    let role = json!({
        "key_type": "otp", "default_user": "ubuntu", "allowed_users": "ann, bob", "cidr_list": "10.0.0.0/8,fd00::/8",
        "exclude_cidr_list": "10.9.0.0/16",
    });
    assert_eq!(harness.request("POST", "ssh/roles/login", role).0, 204);
    harness
}

fn otp(harness: &mut Harness) -> (String, String) {
    let (status, body) = harness.request("POST", "ssh/creds/login", json!({ "ip": "10.1.2.3" }));
    assert_eq!(status, 200, "{body}");
    (body["data"]["key"].as_str().unwrap().to_owned(), body["lease_id"].as_str().unwrap().to_owned())
}

fn verify(harness: &mut Harness, otp: &str) -> (u16, Value) {
    harness.request_as("", "POST", "ssh/verify", json!({ "otp": otp }))
}

// check 135
#[test]
fn a_password_is_good_once_and_says_for_whom() {
    let mut harness = with_login();
    let (key, _) = otp(&mut harness);
    let (status, body) = verify(&mut harness, &key);
    assert_eq!((status, &body["data"]["ip"], &body["data"]["username"]), (200, &json!("10.1.2.3"), &json!("ubuntu")));
    assert_eq!(verify(&mut harness, &key).0, 400);
    for wrong in ["", "nope", &key.to_uppercase(), &"x".repeat(5000)] {
        assert_eq!(verify(&mut harness, wrong).0, 400, "{wrong}");
    }
}

#[test]
fn of_two_hosts_that_ask_at_once_one_is_told_that_there_is_none() {
    let mut harness = with_login();
    let body = json!({ "otp": otp(&mut harness).0 });
    let requests = [(); 2].map(|()| harness.build("", "POST", "ssh/verify", body.clone()));
    let batches: Vec<_> = requests.iter().map(|request| harness.propose(request).1.unwrap()).collect();
    assert!(harness.commit(&batches[0]) && !harness.commit(&batches[1]));
    assert_eq!(harness.send(&requests[1]).status, 400);
}

#[test]
fn a_password_ends_with_its_lease_and_with_its_role() {
    let mut harness = with_login();
    let (key, lease) = otp(&mut harness);
    assert_eq!(harness.request("POST", "sys/leases/revoke", json!({ "lease_id": lease, "sync": true })).0, 204);
    assert_eq!(verify(&mut harness, &key).0, 400, "it ends at once, not when the leader comes by");
    harness.run_endings();
    assert_eq!(verify(&mut harness, &key).0, 400);
    let (key, _) = otp(&mut harness);
    harness.request("DELETE", "ssh/roles/login", Value::Null);
    assert_eq!(verify(&mut harness, &key).0, 400);
    let mut harness = with_login();
    let (key, _) = otp(&mut harness);
    harness.advance(33 * 24 * 3600);
    assert_eq!(verify(&mut harness, &key).0, 400, "it is over, whether or not its lease was ended by now");
}

#[test]
fn a_password_is_stored_nowhere() {
    let mut harness = with_login();
    let (key, _) = otp(&mut harness);
    let (_, body) = harness.request("GET", "ssh/roles/login", Value::Null);
    assert!(!body.to_string().contains(&key));
    // What is stored is ciphertext anyhow; that the record has no field for it is what the type says.
    assert_eq!(verify(&mut harness, &key).0, 200);
}

// check 135
#[test]
fn hosts_and_users_are_those_of_the_role() {
    let mut harness = with_login();
    let cases = [
        (json!({ "ip": "10.1.2.3" }), 200),
        (json!({ "ip": "::ffff:10.1.2.3" }), 200),
        (json!({ "ip": "fd00::1", "username": "ann" }), 200),
        (json!({ "ip": "10.9.2.3" }), 400),
        (json!({ "ip": "::ffff:10.9.2.3" }), 400),
        (json!({ "ip": "192.168.1.1" }), 400),
        (json!({ "ip": "10.1.2.3/8" }), 400),
        (json!({ "ip": "host" }), 400),
        (json!({ "ip": "10.1.2.3", "username": "root" }), 400),
        (json!({ "ip": "10.1.2.3", "username": "ann, bob" }), 400),
    ];
    for (body, expected) in cases {
        let (status, reply) = harness.request("POST", "ssh/creds/login", body.clone());
        assert_eq!(status, expected, "{body}: {reply}");
    }
    let (_, body) = harness.request("POST", "ssh/lookup", json!({ "ip": "10.1.2.3" }));
    assert_eq!(body["data"]["roles"], json!(["login"]));
    let (_, body) = harness.request("POST", "ssh/lookup", json!({ "ip": "10.9.2.3" }));
    assert_eq!(body["data"]["roles"], Value::Null);
    assert_eq!(harness.request_as("", "POST", "ssh/creds/login", json!({ "ip": "10.1.2.3" })).0, 403);
}

#[test]
fn roles_for_every_address_are_named_and_go_with_the_role() {
    let mut harness = with_login();
    let far = json!({ "ip": "192.168.1.1" });
    assert_eq!(harness.request("POST", "ssh/config/zeroaddress", json!({ "roles": "login,none" })).0, 400);
    assert_eq!(harness.request("POST", "ssh/config/zeroaddress", json!({ "roles": "" })).0, 400);
    assert_eq!(harness.request("POST", "ssh/config/zeroaddress", json!({ "roles": "login" })).0, 204);
    assert_eq!(harness.request("POST", "ssh/creds/login", far.clone()).0, 200);
    let (_, body) = harness.request("POST", "ssh/lookup", far.clone());
    assert_eq!(body["data"]["roles"], json!(["login"]));
    harness.request("DELETE", "ssh/roles/login", Value::Null);
    assert_eq!(harness.request("GET", "ssh/config/zeroaddress", Value::Null).0, 404);
    let role = json!({ "key_type": "otp", "default_user": "ubuntu", "cidr_list": "10.0.0.0/8" });
    harness.request("POST", "ssh/roles/login", role);
    assert_eq!(harness.request("POST", "ssh/creds/login", far).0, 400);
}

#[test]
fn a_role_that_signs_makes_no_passwords() {
    let mut harness = with_login();
    let role =
        json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann", "cidr_list": "10.0.0.0/8" });
    let (status, body) = harness.request_as(ROOT, "POST", "ssh/roles/login", role);
    assert!(status == 200 && body["warnings"][0].as_str().unwrap().contains("cidr_list"), "{body}");
    assert_eq!(harness.request("POST", "ssh/creds/login", json!({ "ip": "10.1.2.3" })).0, 400);
    assert_eq!(harness.request("POST", "ssh/config/zeroaddress", json!({ "roles": "login" })).0, 400);
}
