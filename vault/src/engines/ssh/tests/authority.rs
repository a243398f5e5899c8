//! Authorities: made, brought in, several of them.

use super::*;
use crate::engines::ssh::key::PairKind;
use crate::testing::ROOT;

fn public(body: &Value) -> String {
    body["data"]["public_key"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

#[test]
fn a_mount_signs_with_its_default_authority_unless_a_role_names_another() {
    let mut harness = with_role(json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann" }));
    let (_, first) = harness.request("GET", "ssh/config/ca", Value::Null);
    let (status, second) = harness.request("POST", "ssh/issuers/import/spare", json!({ "key_type": "ec" }));
    assert_eq!(status, 200, "{second}");
    let (_, listed) = harness.request("GET", "ssh/issuers?list=true", Value::Null);
    assert_eq!(listed["data"]["keys"].as_array().map(Vec::len), Some(2), "{listed}");
    let id = second["data"]["issuer_id"].as_str().unwrap().to_owned();
    assert_eq!(listed["data"]["key_info"][&id]["issuer_name"], "spare");
    let signer = |harness: &mut Harness| {
        let made = signed(harness, json!({}));
        ssh_key::PublicKey::from(made.signature_key().clone()).to_openssh().unwrap() + "\n"
    };
    assert_eq!(signer(&mut harness), public(&first));
    let role =
        json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann", "issuer_ref": "spare" });
    assert_eq!(harness.request("POST", "ssh/roles/dev", role.clone()).0, 204);
    assert_eq!(signer(&mut harness), public(&second));
    assert_eq!(harness.request("POST", "ssh/issuer/spare", json!({ "issuer_name": "other" })).0, 200);
    assert_eq!(sign(&mut harness, json!({})).0, 400, "the role names an authority that is not there");
    assert_eq!(harness.request("POST", "ssh/config/issuers", json!({ "default": "other" })).0, 200);
    let mut role = role;
    role["issuer_ref"] = "default".into();
    harness.request("POST", "ssh/roles/dev", role);
    assert_eq!(signer(&mut harness), public(&second));
    let (status, body) = harness.request("DELETE", "ssh/issuer/default", Value::Null);
    assert!(status == 200 && body["warnings"][0].as_str().is_some(), "{body}");
    assert_eq!(sign(&mut harness, json!({})).0, 400);
    let (_, listed) = harness.request("GET", "ssh/issuers?list=true", Value::Null);
    assert_eq!(listed["data"]["keys"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_public_key_is_for_everybody_and_the_private_one_for_nobody() {
    let mut harness = mounted("ed25519");
    let (_, body) = harness.request("GET", "ssh/config/ca", Value::Null);
    for path in ["ssh/public_key", "ssh/issuer/default/public_key"] {
        let request = harness.build("", "GET", path, Value::Null);
        let (answer, _) = harness.propose(&request);
        assert_eq!((answer.status, answer.body), (200, Value::from(public(&body))), "{path}");
    }
    for path in ["ssh/config/ca", "ssh/issuer/default", "ssh/issuers?list=true"] {
        let (status, body) = harness.request_as("", "GET", path, Value::Null);
        assert_eq!(status, 403, "{path}: {body}");
    }
    let (_, body) = harness.request_as(ROOT, "GET", "ssh/issuer/default", Value::Null);
    let names: Vec<&String> = body["data"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["issuer_id", "issuer_name", "public_key"]);
}

#[test]
fn names_of_authorities_are_words_and_their_own() {
    let mut harness = mounted("ed25519");
    let fast = |name: &str| (format!("ssh/issuers/import/{name}"), json!({ "key_type": "ed25519" }));
    let (path, body) = fast("a");
    assert_eq!(harness.request("POST", &path, body).0, 200);
    for name in ["a", "default", "x y", &"x".repeat(200)] {
        let (status, body) =
            harness.request("POST", "ssh/issuers/import", json!({ "issuer_name": name, "key_type": "ed25519" }));
        assert_eq!(status, 400, "{name}: {body}");
    }
    assert_eq!(harness.request("POST", "ssh/issuer/default", json!({ "issuer_name": "a" })).0, 400);
    assert_eq!(harness.request("POST", "ssh/issuer/a", json!({ "issuer_name": "a" })).0, 200);
    for reference in ["b", "ssh", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(harness.request("GET", &format!("ssh/issuer/{reference}"), Value::Null).0, 400, "{reference}");
    }
}

#[test]
fn a_key_that_is_brought_in_must_be_whole_and_match() {
    let mut harness = mounted("ed25519");
    let role = json!({ "key_type": "ca", "allow_user_certificates": true, "default_user": "ann" });
    assert_eq!(harness.request("POST", "ssh/roles/dev", role).0, 204);
    for (key_type, bits) in [("ed25519", 0), ("ec", 256), ("ec", 384), ("ec", 521), ("rsa", 2048)] {
        let body = json!({ "key_type": key_type, "key_bits": bits });
        let (status, pair) = harness.request("POST", "ssh/issue/dev", body);
        assert_eq!(status, 200, "{pair}");
        let private = pair["data"]["private_key"].as_str().unwrap();
        let key = certificate(&pair).public_key().clone();
        let public_text = ssh_key::PublicKey::from(key).to_openssh().unwrap();
        let import = |public: &str| json!({ "private_key": private, "public_key": public });
        assert_eq!(harness.request("POST", "ssh/config/ca", import(KEY)).0, 400, "{key_type} {bits}");
        let (status, body) = harness.request("POST", "ssh/config/ca", import(&public_text));
        assert_eq!(status, 200, "{key_type} {bits}: {body}");
        assert_eq!(public(&body), format!("{public_text}\n"));
        let made = signed(&mut harness, json!({}));
        assert_eq!(ssh_key::PublicKey::from(made.signature_key().clone()).to_openssh().unwrap(), public_text);
    }
    for body in [
        json!({ "private_key": "x", "public_key": KEY }),
        json!({ "private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "public_key": KEY }),
        json!({ "private_key": "x".repeat(100_000), "public_key": KEY }),
        json!({ "private_key": "x" }),
        json!({ "generate_signing_key": false }),
        json!({ "key_type": "dsa" }),
        json!({ "key_type": "rsa", "key_bits": 1024 }),
        json!({ "key_type": "ecdsa-sha2-nistp256", "key_bits": 384 }),
    ] {
        let (status, reply) = harness.request("POST", "ssh/config/ca", body.clone());
        assert!(status == 400 && !reply.to_string().contains("xxxx"), "{body}: {reply}");
    }
}

#[test]
fn kinds_of_keys_have_the_names_that_clients_know() {
    for (name, bits) in [
        ("ed25519", 0),
        ("ssh-ed25519", 256),
        ("rsa", 0),
        ("ssh-rsa", 3072),
        ("ec", 0),
        ("ecdsa", 521),
        ("ecdsa-sha2-nistp384", 0),
    ] {
        assert!(PairKind::named(name, bits).is_ok(), "{name} {bits}");
    }
    for (name, bits) in [("ed25519", 255), ("rsa", 1024), ("ec", 224), ("", 0), ("dsa", 0), ("rsa", -1)] {
        assert!(PairKind::named(name, bits).is_err(), "{name} {bits}");
    }
}
