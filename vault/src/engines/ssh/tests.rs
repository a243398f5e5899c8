//! SSH through whole requests.

mod authority;
mod openssh;
mod otp;
mod role;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use ssh_key::Certificate;

use crate::testing::Harness;

/// A key of a client, whose private half is nowhere.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvZjamhox8wSfQUwUsgI08xWziKhZT155Gh0/qYbkTu somebody@somewhere";

/// A mount with an authority of a kind.
fn mounted(key_type: &str) -> Harness {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/mounts/ssh", json!({ "type": "ssh" })).0, 204);
    let (status, body) = harness.request("POST", "ssh/config/ca", json!({ "key_type": key_type }));
    assert_eq!(status, 200, "{body}");
    harness
}

/// A mount with an authority and a role `dev`.
fn with_role(role: Value) -> Harness {
    let mut harness = mounted("ed25519");
    let (status, body) = harness.request("POST", "ssh/roles/dev", role);
    assert!(status == 204, "{body}");
    harness
}

/// Asks the role `dev` to sign [`KEY`].
fn sign(harness: &mut Harness, mut body: Value) -> (u16, Value) {
    body["public_key"] = KEY.into();
    harness.request("POST", "ssh/sign/dev", body)
}

fn certificate(body: &Value) -> Certificate {
    let text = body["data"]["signed_key"].as_str().unwrap_or_else(|| panic!("{body}"));
    Certificate::from_openssh(text).unwrap()
}

fn signed(harness: &mut Harness, body: Value) -> Certificate {
    let (status, body) = sign(harness, body);
    assert_eq!(status, 200, "{body}");
    certificate(&body)
}

fn texts(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn a_certificate_says_what_was_asked_for_and_no_more() {
    let mut harness = with_role(json!({
        "key_type": "ca", "allow_user_certificates": true, "allowed_users": "ann,bob", "default_user": "ann", "ttl": "30m",
        "allowed_extensions": "permit-pty,permit-user-rc", "default_extensions": { "permit-pty": "" },
        "default_critical_options": { "force-command": "/bin/true" }, "not_before_duration": 60,
    }));
    let now = u64::try_from(harness.now.secs()).unwrap();
    let made = signed(&mut harness, json!({}));
    assert_eq!(made.valid_principals(), ["ann"]);
    assert_eq!((made.valid_after(), made.valid_before()), (now - 60, now + 1800));
    assert_eq!(texts(made.extensions()), [("permit-pty", "")]);
    assert_eq!(texts(made.critical_options()), [("force-command", "/bin/true")]);
    assert!(made.cert_type().is_user());
    let asked = json!({
        "valid_principals": "bob, ann,bob", "ttl": 5, "extensions": { "permit-user-rc": "" },
        "critical_options": { "source-address": "10.0.0.0/8,192.0.2.1" },
    });
    let made = signed(&mut harness, asked);
    assert_eq!(made.valid_principals(), ["bob", "ann"]);
    assert_eq!(made.valid_before(), now + 5);
    assert_eq!(texts(made.extensions()), [("permit-user-rc", "")]);
    assert_eq!(texts(made.critical_options()), [("source-address", "10.0.0.0/8,192.0.2.1")]);
}

// check 134
#[test]
fn no_two_certificates_share_a_serial_or_a_nonce() {
    let mut harness = with_role(json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann" }));
    let made: Vec<Certificate> = (0..32).map(|_| signed(&mut harness, json!({}))).collect();
    for (place, one) in made.iter().enumerate() {
        assert!(one.serial() != 0 && one.nonce().len() >= 16);
        assert!(made[place + 1..].iter().all(|other| other.serial() != one.serial() && other.nonce() != one.nonce()));
    }
}

// check 131
#[test]
fn nobody_is_given_a_certificate_for_nobody_or_for_everybody() {
    let role = |users: &str, default: &str, empty: bool| {
        json!({ "key_type": "ca", "allow_user_certificates": true, "allowed_users": users, "default_user": default,
            "allow_empty_principals": empty })
    };
    for users in ["", "ann", "*"] {
        let mut harness = with_role(role(users, "", false));
        for sent in [Value::Null, json!(""), json!(" , ,"), json!("*"), json!("ann bob"), json!("a\tb"), json!("a*")] {
            let (status, body) = sign(&mut harness, json!({ "valid_principals": sent }));
            assert_eq!(status, 400, "{users:?} {sent}: {body}");
        }
    }
    let mut harness = with_role(role("", "", true));
    assert!(signed(&mut harness, json!({})).valid_principals().is_empty());
    assert_eq!(sign(&mut harness, json!({ "valid_principals": "ann" })).0, 400);
    let mut harness = with_role(role("", "root", false));
    assert_eq!(signed(&mut harness, json!({ "valid_principals": "" })).valid_principals(), ["root"]);
}

// check 133
#[test]
fn what_a_role_does_not_allow_is_refused() {
    let mut harness = with_role(json!({
        "key_type": "ca", "allow_user_certificates": true, "allowed_users": "ann", "default_user": "ann", "max_ttl": "1h",
        "allowed_extensions": "permit-pty", "allowed_critical_options": "force-command",
        "allowed_user_key_lengths": { "ed25519": 0, "rsa": [3072, 4096] },
    }));
    for body in [
        json!({ "valid_principals": "root" }),
        json!({ "valid_principals": "ann,root" }),
        json!({ "ttl": 3601 }),
        json!({ "cert_type": "host", "valid_principals": "ann" }),
        json!({ "cert_type": "USER" }),
        json!({ "key_id": "mine" }),
        json!({ "extensions": { "permit-port-forwarding": "" } }),
        json!({ "extensions": { "permit-pty": "\n" } }),
        json!({ "critical_options": { "verify-required": "" } }),
        json!({ "critical_options": { "": "" } }),
    ] {
        assert_eq!(sign(&mut harness, body.clone()).0, 400, "{body}");
    }
    assert_eq!(sign(&mut harness, json!({ "ttl": 3600, "critical_options": { "force-command": "x" } })).0, 200);
    let pair = json!({ "key_type": "ec" });
    assert_eq!(harness.request("POST", "ssh/issue/dev", pair).0, 400, "its kind is not in allowed_user_key_lengths");
    let pair = json!({ "key_type": "rsa", "key_bits": 2048 });
    assert_eq!(harness.request("POST", "ssh/issue/dev", pair).0, 400, "its length is not in allowed_user_key_lengths");
}

#[test]
fn an_address_list_that_servers_refuse_is_not_signed() {
    let role = |list: &str| {
        json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann",
            "default_critical_options": { "source-address": list } })
    };
    let mut harness = with_role(role("10.0.0.0/8"));
    for list in ["10.1.0.0/8", "10.0.0.0/8, 192.0.2.1", "", "host", "10.0.0.0/33"] {
        let options = json!({ "critical_options": { "source-address": list } });
        assert_eq!(sign(&mut harness, options).0, 400, "{list:?}");
        assert_eq!(harness.request("POST", "ssh/roles/other", role(list)).0, 400, "{list:?}");
    }
    assert_eq!(sign(&mut harness, json!({ "critical_options": { "source-address": "fd00::/8,::1" } })).0, 200);
}

#[test]
fn hosts_are_those_below_the_domains_of_a_role() {
    let role = |bare: bool, below: bool| {
        json!({ "key_type": "ca", "allow_host_certificates": true, "allowed_domains": "a.example,b.example",
            "allow_bare_domains": bare, "allow_subdomains": below })
    };
    let cases = [
        ("a.example", [false, true, false, true]),
        ("x.a.example", [false, false, true, true]),
        ("x.y.b.example", [false, false, true, true]),
        ("xa.example", [false; 4]),
        (".a.example", [false; 4]),
        ("a.example.org", [false; 4]),
    ];
    for (place, (bare, below)) in [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate() {
        let mut harness = with_role(role(bare, below));
        for (host, expected) in cases {
            let (status, body) = sign(&mut harness, json!({ "cert_type": "host", "valid_principals": host }));
            assert_eq!(status == 200, expected[place], "{host} {bare} {below}: {body}");
            assert!(status != 200 || certificate(&body).cert_type().is_host());
        }
        assert_eq!(sign(&mut harness, json!({ "valid_principals": "a.example" })).0, 400, "it signs no users");
    }
}

// check 132
#[test]
fn templates_are_filled_with_what_is_one_name() {
    let mut harness = with_role(json!({
        "key_type": "ca", "allow_user_certificates": true, "default_user_template": true, "allowed_users_template": true,
        "allowed_users": "x,{{identity.entity.metadata.login}}", "default_user": "{{identity.entity.name}}",
        "default_extensions_template": true, "default_extensions": { "login@git.example": "{{identity.entity.name}}" },
    }));
    let (_, entity) =
        harness.request("POST", "identity/entity", json!({ "name": "ann", "metadata": { "login": "a1" } }));
    let id = entity["data"]["id"].as_str().unwrap().to_owned();
    harness.request(
        "POST",
        "sys/policies/acl/p",
        json!({ "policy": "path \"ssh/sign/*\" { capabilities = [\"update\"] }" }),
    );
    harness.request("POST", "sys/auth/userpass", json!({ "type": "userpass" }));
    let (_, mounts) = harness.request("GET", "sys/auth", Value::Null);
    let accessor = mounts["data"]["userpass/"]["accessor"].clone();
    harness.request("POST", "auth/userpass/users/ann", json!({ "password": "pw-of-ann", "token_policies": "p" }));
    let alias = json!({ "name": "ann", "canonical_id": id, "mount_accessor": accessor });
    assert_eq!(harness.request("POST", "identity/entity-alias", alias).0, 200);
    let (_, login) = harness.request_as("", "POST", "auth/userpass/login/ann", json!({ "password": "pw-of-ann" }));
    let token = login["auth"]["client_token"].as_str().unwrap_or_else(|| panic!("{login}")).to_owned();
    let ask = |harness: &mut Harness, users: &str| {
        let body = json!({ "public_key": KEY, "valid_principals": users });
        harness.request_as(&token, "POST", "ssh/sign/dev", body)
    };
    let (status, body) = ask(&mut harness, "");
    assert_eq!(status, 200, "{body}");
    let made = certificate(&body);
    assert_eq!(made.valid_principals(), ["ann"]);
    assert_eq!(texts(made.extensions()), [("login@git.example", "ann")]);
    assert!(made.key_id().starts_with("vault-userpass-ann-"), "{}", made.key_id());
    assert_eq!(ask(&mut harness, "a1").0, 200);
    for login in ["a1,root", "a1 root", "*"] {
        let changed = json!({ "metadata": { "login": login } });
        let (status, body) = harness.request("POST", &format!("identity/entity/id/{id}"), changed);
        assert!(status == 200 || status == 204, "{body}");
        for users in ["root", "a1", login] {
            assert_eq!(ask(&mut harness, users).0, 400, "{login:?} {users:?}");
        }
        assert_eq!(ask(&mut harness, "x").0, 200);
    }
}

#[test]
fn key_ids_are_what_a_role_says() {
    let role = |more: Value| {
        let mut role = json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann" });
        role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        role
    };
    let format = "{{role_name}}/{{ token_display_name }}/{{public_key_hash}}";
    let mut harness = with_role(role(json!({ "key_id_format": format, "allow_user_key_ids": true })));
    let made = signed(&mut harness, json!({}));
    let hash = made.key_id().rsplit('/').next().unwrap();
    assert!(made.key_id().starts_with("dev/") && hash.len() == 64, "{}", made.key_id());
    assert_eq!(signed(&mut harness, json!({ "key_id": "{{role_name}}" })).key_id(), "{{role_name}}");
    assert_eq!(sign(&mut harness, json!({ "key_id": "x".repeat(2000) })).0, 400);
    assert_eq!(sign(&mut harness, json!({ "key_id": "a\nb" })).0, 400);
    for format in ["{{serial}}", "{{role_name", "a\nb"] {
        assert_eq!(
            harness.request("POST", "ssh/roles/x", role(json!({ "key_id_format": format }))).0,
            400,
            "{format:?}"
        );
    }
}

#[test]
fn keys_that_are_none_or_too_weak_are_not_signed() {
    let mut harness = with_role(json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann" }));
    let weak = concat!(
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDFyRywUexUOz+8K29dnjXkWyY7oew1C35ap9MWF6g3NRmqDY0XFZp4TdBMyqg9",
        "JnAirxNTahaZ/T1TG125lsCpIR2qsCR261CR88XOTW8jgqWfaHZfmDrvAXDjA/4wthWG5jW+OkE+tPq6NbYU+d9cj9JGWeIFJXem",
        "AjL6dbadsQ=="
    );
    for key in ["", "nope", "ssh-ed25519", "ssh-ed25519 AAAA", weak, &"A".repeat(20_000)] {
        let (status, body) = harness.request("POST", "ssh/sign/dev", json!({ "public_key": key }));
        assert_eq!(status, 400, "{key}: {body}");
    }
    let bare = KEY.split(' ').nth(1).unwrap();
    assert_eq!(harness.request("POST", "ssh/sign/dev", json!({ "public_key": bare })).0, 200);
}
