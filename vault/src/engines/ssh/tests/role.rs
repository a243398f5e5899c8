//! Roles: what is kept of them, and what is refused.

use super::*;

#[test]
fn a_write_replaces_a_role() {
    let mut harness = with_role(json!({
        "key_type": "ca", "allow_user_certificates": true, "allowed_users": "ann", "ttl": "1h", "max_ttl": "2h",
        "allowed_user_key_lengths": { "rsa": 2048, "ec": [256, 384] },
    }));
    let (_, body) = harness.request("GET", "ssh/roles/dev", Value::Null);
    assert_eq!((&body["data"]["ttl"], &body["data"]["max_ttl"]), (&json!(3600), &json!(7200)));
    assert_eq!(body["data"]["allowed_user_key_lengths"], json!({ "rsa": 2048, "ec": [256, 384] }));
    let role = json!({ "key_type": "ca", "allow_host_certificates": true });
    assert_eq!(harness.request("POST", "ssh/roles/dev", role).0, 204);
    let (_, body) = harness.request("GET", "ssh/roles/dev", Value::Null);
    assert_eq!((&body["data"]["ttl"], &body["data"]["allowed_users"]), (&json!(0), &json!("")));
    assert_eq!(body["data"]["allow_user_certificates"], false);
}

#[test]
fn what_cannot_work_is_refused() {
    let mut harness = mounted("ed25519");
    let ca = |name: &str, value: Value| json!({ "key_type": "ca", "allow_user_certificates": true, name: value });
    for body in [
        json!({ "key_type": "dynamic" }),
        ca("algorithm_signer", json!("ssh-rsa")),
        ca("algorithm_signer", json!("rsa-sha2-1")),
        ca("allow_commas_in_identity_templates", json!(true)),
        ca("allowed_user_key_lengths", json!({ "dsa": 1024 })),
        ca("allowed_user_key_lengths", json!({ "rsa": "many" })),
        ca("allowed_user_key_lengths", json!({ "rsa": -1 })),
        ca("default_extensions", json!({ "": "x" })),
        ca("default_extensions", json!({ "a": "x".repeat(5000) })),
        ca("ttl", json!("2000000h")),
        ca("allowed_users", json!("x".repeat(20_000))),
        json!({ "key_type": "ca", "allow_user_certificates": true, "allowed_users_template": true, "allowed_users": "{{x}}" }),
        json!({ "key_type": "otp", "default_user": "a", "port": 70_000 }),
        json!({ "key_type": "otp", "default_user": "a", "cidr_list": "10.0.0.0/40" }),
        json!({ "key_type": "otp", "default_user": "a", "exclude_cidr_list": "host" }),
    ] {
        let (status, reply) = harness.request("POST", "ssh/roles/x", body.clone());
        assert_eq!(status, 400, "{body}: {reply}");
    }
    assert_eq!(harness.request("GET", "ssh/roles?list=true", Value::Null).0, 404);
}

#[test]
fn fields_that_say_nothing_are_nothing_to_warn_of() {
    let mut harness = mounted("ed25519");
    let body = json!({
        "key_type": "otp", "default_user": "root", "key": "", "admin_user": "", "key_bits": 1024, "install_script": "",
        "key_option_specs": "", "ttl": "", "allow_user_certificates": "", "allow_subdomains": false,
        "default_extensions": null, "allowed_domains": "", "port": 22,
    });
    assert_eq!(harness.request("POST", "ssh/roles/x", body.clone()).0, 204);
    let mut more = body;
    more["ttl"] = "1h".into();
    let (status, body) = harness.request("POST", "ssh/roles/x", more);
    assert!(status == 200 && body["warnings"].to_string().contains("ttl"), "{body}");
}
