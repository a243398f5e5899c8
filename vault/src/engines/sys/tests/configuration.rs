//! Rate limits, password policies, headers of the user interface, autopilot, and who may begin a ceremony.

use serde_json::{Value, json};

use crate::action::{Action, CeremonyStep};
use crate::testing::Harness;

fn read(harness: &mut Harness, path: &str) -> Value {
    harness.request("GET", path, Value::Null).1["data"].clone()
}

#[test]
fn a_rate_limit_is_kept_as_it_was_written() {
    let mut harness = Harness::new();
    let written = json!({ "path": "secret", "rate": "2.5", "interval": "30s", "block_interval": "1m" });
    assert_eq!(harness.request("POST", "sys/quotas/rate-limit/kv", written).0, 204);
    let shown = json!({
        "block_interval": 60, "inheritable": false, "interval": 30, "name": "kv", "path": "secret/", "rate": 2.5,
        "role": "", "type": "rate-limit",
    });
    assert_eq!(read(&mut harness, "sys/quotas/rate-limit/kv"), shown);
    assert_eq!(harness.request("POST", "sys/quotas/rate-limit/kv", json!({ "rate": 5 })).0, 204);
    let changed = read(&mut harness, "sys/quotas/rate-limit/kv");
    assert_eq!((&changed["rate"], &changed["interval"]), (&json!(5.0), &json!(30)), "the rest stays");
}

#[test]
fn a_rate_limit_that_cannot_be_obeyed_is_refused() {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/quotas/rate-limit/all", json!({ "rate": 5 })).0, 204);
    for body in [
        json!({ "path": "secret/" }),
        json!({ "rate": 0 }),
        json!({ "rate": -1 }),
        json!({ "rate": "NaN" }),
        json!({ "rate": 5, "path": "none/" }),
        json!({ "rate": 5, "path": "secret/", "role": "r" }),
        json!({ "rate": 5, "path": "auth/token/", "role": "r" }),
        json!({ "rate": 5, "path": "secret/", "inheritable": true }),
        json!({ "rate": 5, "path": "secret/", "interval": 0 }),
        json!({ "rate": 5 }),
    ] {
        assert_eq!(harness.request("POST", "sys/quotas/rate-limit/x", body.clone()).0, 400, "{body}");
    }
    assert_eq!(harness.request("GET", "sys/quotas/rate-limit/x", Value::Null).0, 404);
}

#[test]
fn the_limit_of_a_mount_goes_where_the_mount_goes() {
    let mut harness = Harness::new();
    harness.request("POST", "sys/quotas/rate-limit/one", json!({ "rate": 5, "path": "secret/data/*" }));
    assert_eq!(harness.request("POST", "sys/remount", json!({ "from": "secret", "to": "moved" })).0, 200);
    assert_eq!(read(&mut harness, "sys/quotas/rate-limit/one")["path"], "moved/data/*");
    assert_eq!(harness.request("DELETE", "sys/mounts/moved", Value::Null).0, 204);
    assert_eq!(harness.request("LIST", "sys/quotas/rate-limit", Value::Null).0, 404);
}

#[test]
fn what_must_always_be_answered_is_exempt_at_first() {
    let mut harness = Harness::new();
    let exempt = read(&mut harness, "sys/quotas/config")["rate_limit_exempt_paths"].clone();
    assert!(exempt.as_array().unwrap().contains(&json!("sys/unseal")), "{exempt}");
    harness.request("POST", "sys/quotas/config", json!({ "rate_limit_exempt_paths": [] }));
    assert_eq!(read(&mut harness, "sys/quotas/config")["rate_limit_exempt_paths"], json!([]));
}

#[test]
fn a_password_policy_makes_passwords() {
    let mut harness = Harness::new();
    let policy = "length = 20\nrule \"charset\" { charset = \"ab\" }";
    assert_eq!(harness.request("POST", "sys/policies/password/ab", json!({ "policy": policy })).0, 204);
    assert_eq!(read(&mut harness, "sys/policies/password/ab")["policy"], policy);
    let password = read(&mut harness, "sys/policies/password/ab/generate")["password"].as_str().unwrap().to_owned();
    assert!(password.len() == 20 && password.chars().all(|letter| "ab".contains(letter)), "{password}");
    for body in [json!({}), json!({ "policy": "length = 1" }), json!({ "policy": "rubbish" })] {
        assert_eq!(harness.request("POST", "sys/policies/password/x", body.clone()).0, 400, "{body}");
    }
    assert_eq!(harness.request("GET", "sys/policies/password/x/generate", Value::Null).0, 404);
    assert_eq!(harness.request("DELETE", "sys/policies/password/ab", Value::Null).0, 204);
    assert_eq!(harness.request("LIST", "sys/policies/password", Value::Null).0, 404);
}

#[test]
fn a_header_of_the_user_interface_is_one_whatever_its_case() {
    let mut harness = Harness::new();
    let values = json!({ "values": ["one", "two"] });
    assert_eq!(harness.request("POST", "sys/config/ui/headers/X-Test", values).0, 200);
    assert_eq!(harness.request("POST", "sys/config/ui/headers/x-test", json!({ "values": "three" })).0, 200);
    assert_eq!(read(&mut harness, "sys/config/ui/headers/X-TEST"), json!({ "value": "three" }));
    assert_eq!(harness.request("POST", "sys/config/ui/headers/x-vault-a", json!({ "values": "a" })).0, 400);
    assert_eq!(harness.request("POST", "sys/config/ui/headers/X-A", json!({ "values": "a\r\nb" })).0, 400);
    assert_eq!(harness.request("DELETE", "sys/config/ui/headers/X-Test", Value::Null).0, 204);
    assert_eq!(harness.request("LIST", "sys/config/ui/headers", Value::Null).0, 404);
}

#[test]
fn autopilot_keeps_what_was_set_and_refuses_what_it_would_not_do() {
    let mut harness = Harness::new();
    let path = "sys/storage/raft/autopilot/configuration";
    assert_eq!(read(&mut harness, path)["dead_server_last_contact_threshold"], "24h0m0s");
    let settings =
        json!({ "cleanup_dead_servers": true, "min_quorum": 3, "dead_server_last_contact_threshold": "12h" });
    assert_eq!(harness.request("POST", path, settings).0, 204);
    let shown = read(&mut harness, path);
    assert_eq!((&shown["min_quorum"], &shown["dead_server_last_contact_threshold"]), (&json!(3), &json!("12h0m0s")));
    assert_eq!(shown["server_stabilization_time"], "10s");
    for body in [
        json!({ "disable_upgrade_migration": true }),
        json!({ "dead_server_last_contact_threshold": "59s" }),
        json!({ "min_quorum": -1 }),
        json!({ "last_contact_threshold": "x" }),
        json!({ "last_contact_threshold": 0 }),
    ] {
        assert_eq!(harness.request("POST", path, body.clone()).0, 400, "{body}");
    }
    assert_eq!(read(&mut harness, path), shown);
}

// check 180
#[test]
fn a_ceremony_needs_sudo_unless_the_listeners_open_it() {
    let mut harness = Harness::new();
    let paths = ["sys/generate-root/attempt", "sys/rekey/init", "sys/rekey/verify"];
    let weak = harness.token_with(r#"path "sys/*" { capabilities = ["create", "read", "update", "delete"] }"#);
    for path in paths {
        for token in ["", weak.as_str()] {
            for verb in ["GET", "PUT", "DELETE"] {
                assert_eq!(harness.request_as(token, verb, path, json!({})).0, 403, "{verb} {path}");
            }
        }
        assert_eq!(harness.request("GET", path, Value::Null).0, 200, "{path}");
    }
    harness.open_ceremonies.generate_root = true;
    assert_eq!(harness.request_as("", "PUT", paths[0], json!({})).0, 200);
    assert_eq!(harness.request_as("", "PUT", paths[1], json!({})).0, 403, "the other one is not opened");
}

#[test]
fn what_a_ceremony_cannot_do_is_refused_before_it_begins() {
    let mut harness = Harness::new();
    for (path, body) in [
        ("sys/generate-root/attempt", json!({ "pgp_key": "key" })),
        ("sys/generate-root/attempt", json!({ "otp": "pad", "age_recipient": "age1" })),
        ("sys/rekey/init", json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["key"] })),
        ("sys/rekey/init", json!({ "secret_shares": 1, "secret_threshold": 1, "backup": true })),
        ("sys/rekey/init", json!({ "secret_shares": 1, "secret_threshold": 1, "stored_shares": 1 })),
    ] {
        assert_eq!(harness.request("PUT", path, body.clone()).0, 400, "{body}");
    }
}

#[test]
fn a_ceremony_is_told_whom_to_encrypt_to() {
    let mut harness = Harness::new();
    let body = json!({ "secret_shares": 2, "secret_threshold": 2, "age_recipients": "age1a,age1b" });
    let request = harness.build("root", "PUT", "sys/rekey/init", body);
    let action = harness.send(&request).action.unwrap();
    assert!(
        matches!(&action, Action::Ceremony(CeremonyStep::RekeyBegin(wanted)) if wanted.recipients == ["age1a", "age1b"]),
        "{action:?}"
    );
    let request = harness.build("root", "PUT", "sys/generate-root/attempt", json!({ "age_recipient": "age1a" }));
    let action = harness.send(&request).action.unwrap();
    let cover = crate::action::TokenCover::Recipient("age1a".to_owned());
    assert_eq!(action, Action::Ceremony(CeremonyStep::RootBegin(cover)));
}

#[test]
fn no_share_is_shown_by_what_asks_for_it() {
    let mut harness = Harness::new();
    let request = harness.build("root", "PUT", "sys/rekey/update", json!({ "key": "canary", "nonce": "n" }));
    let action = harness.send(&request).action.unwrap();
    assert!(matches!(&action, Action::Ceremony(CeremonyStep::RekeyShare(share)) if share.key.expose() == "canary"));
    assert!(!format!("{action:?}").contains("canary"));
}

#[test]
fn a_hidden_token_is_read_with_its_pad() {
    let mut harness = Harness::new();
    for (body, text) in [
        (json!({}), "provided 'encoded_token' or 'otp' is empty"),
        (json!({ "encoded_token": "AAAA", "otp": "x" }), "not equivalent: 3 != 1"),
    ] {
        let (status, answer) = harness.request_as("", "PUT", "sys/decode-token", body);
        assert!(status == 400 && answer["errors"][0].as_str().unwrap().contains(text), "{answer}");
    }
    let (status, body) =
        harness.request_as("", "PUT", "sys/decode-token", json!({ "encoded_token": "AAAA", "otp": "abc" }));
    assert_eq!((status, &body["data"]["token"]), (200, &json!("abc")));
}
