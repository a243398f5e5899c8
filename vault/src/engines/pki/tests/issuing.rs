//! Roles, and what is issued by them.

use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::judge::Judge;
use super::{der, done, mounted, refused, text};
use crate::testing::Harness;

/// A mount with a root on P-256 and a role for names below `example.com`.
pub(super) fn with_role(role: Value) -> (Harness, Value) {
    let mut harness = mounted();
    let body = json!({ "common_name": "Root", "key_type": "ec", "ttl": "87000h" });
    let root = done(&mut harness, "POST", "pki/root/generate/internal", body);
    let mut body =
        json!({ "allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec", "max_ttl": "72h" });
    body.as_object_mut().unwrap().extend(role.as_object().cloned().unwrap_or_default());
    done(&mut harness, "POST", "pki/roles/r", body);
    (harness, root)
}

/// A request by a new key on P-256.
fn request(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "web.example.com");
    change(&mut params);
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

fn names(der: &[u8]) -> Vec<String> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap();
    names.map(|names| names.value.general_names.iter().map(|name| format!("{name:?}")).collect()).unwrap_or_default()
}

#[test]
fn a_leaf_of_each_kind_of_key_stands_up_to_openssl() {
    let judge = Judge::new("leaves");
    for (kind, format) in [("ec", "EC PRIVATE KEY"), ("ed25519", "PRIVATE KEY"), ("rsa", "RSA PRIVATE KEY")] {
        let (mut harness, root) = with_role(json!({ "key_type": kind, "organization": "Acme" }));
        let urls =
            json!({ "crl_distribution_points": "http://a.example/crl", "ocsp_servers": "http://a.example/ocsp" });
        done(&mut harness, "POST", "pki/config/urls", urls);
        let body = json!({ "common_name": "a.example.com", "alt_names": "*.example.com", "ip_sans": "10.0.0.1,::1" });
        let leaf = done(&mut harness, "POST", "pki/issue/r", body);
        assert!(text(&leaf, "private_key").starts_with(&format!("-----BEGIN {format}-----")));
        let (own, above) =
            (judge.file("leaf.pem", text(&leaf, "certificate")), judge.file("root.pem", text(&root, "certificate")));
        judge.file("key.pem", text(&leaf, "private_key"));
        let (went_well, said) = judge.verify(&harness, &own, &above, None);
        assert!(went_well, "{kind}: {said}");
        let (_, of_key) = judge.openssl(&["pkey", "-in", "key.pem", "-pubout"]);
        let (_, of_leaf) = judge.openssl(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
        assert_eq!(of_key, of_leaf, "the key is that of the certificate");
        let (_, shown) = judge.openssl(&["x509", "-in", "leaf.pem", "-noout", "-text"]);
        for expected in
            ["DNS:*.example.com", "DNS:a.example.com", "IP Address:10.0.0.1", "http://a.example/ocsp", "O = Acme"]
        {
            assert!(shown.contains(expected) || shown.contains(&expected.replace(" = ", "=")), "{expected}: {shown}");
        }
    }
}

// check 117
#[test]
fn names_of_a_request_obey_the_rules_that_names_of_fields_obey() {
    let (mut harness, _) = with_role(json!({}));
    let bad: [(&str, Value, SanType); 3] = [
        ("DNS", json!({ "alt_names": "b.evil.test" }), SanType::DnsName("b.evil.test".try_into().unwrap())),
        ("mail", json!({ "alt_names": "me@evil.test" }), SanType::Rfc822Name("me@evil.test".try_into().unwrap())),
        ("URI", json!({ "uri_sans": "spiffe://x/y" }), SanType::URI("spiffe://x/y".try_into().unwrap())),
    ];
    for (what, mut fields, name) in bad {
        fields["common_name"] = "web.example.com".into();
        refused(&mut harness, "pki/issue/r", fields);
        let csr = request(|params| params.subject_alt_names = vec![name.clone()]);
        refused(&mut harness, "pki/sign/r", json!({ "csr": csr }));
        done(
            &mut harness,
            "POST",
            "pki/roles/fields",
            json!({
                "allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec", "use_csr_sans": false,
            }),
        );
        let signed = done(&mut harness, "POST", "pki/sign/fields", json!({ "csr": csr }));
        assert_eq!(names(&der(&text(&signed, "certificate"))), ["DNSName(\"web.example.com\")"], "{what}");
    }
    let (mut harness, _) = with_role(json!({ "allowed_ip_sans_cidr": "10.0.0.0/8" }));
    for (address, is_allowed) in [("10.1.2.3", true), ("11.1.2.3", false)] {
        let csr = request(|params| params.subject_alt_names = vec![SanType::IpAddress(address.parse().unwrap())]);
        let (status, reply) = harness.request("POST", "pki/sign/r", json!({ "csr": csr }));
        assert_eq!(status == 200, is_allowed, "{address}: {reply}");
    }
}

// check 119
#[test]
fn what_a_request_asks_for_beyond_names_is_dropped() {
    let (mut harness, _) = with_role(json!({}));
    let csr = request(|params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Any];
        let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions = vec![unknown];
    });
    for path in ["pki/sign/r", "pki/sign-verbatim", "pki/sign-verbatim/r"] {
        let signed = done(&mut harness, "POST", path, json!({ "csr": csr }));
        let der = der(&text(&signed, "certificate"));
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert!(!certificate.is_ca(), "{path}");
        let usage = certificate.key_usage().unwrap().unwrap();
        assert!(usage.value.digital_signature() && !usage.value.key_cert_sign(), "{path}");
        let purposes = certificate.extended_key_usage().unwrap();
        assert!(purposes.is_none_or(|purposes| !purposes.value.any), "{path}");
        assert!(!certificate.extensions().iter().any(|extension| extension.oid.to_id_string() == "1.2.3.4"), "{path}");
    }
}

// check 120
#[test]
fn a_request_that_is_not_signed_by_its_key_is_refused() {
    let (mut harness, _) = with_role(json!({}));
    let good = request(|_| {});
    done(&mut harness, "POST", "pki/sign/r", json!({ "csr": good }));
    let mut forged = der(&good);
    let place = forged.windows(15).position(|part| part == b"web.example.com").unwrap();
    forged[place] = b'v';
    let forged = crate::engines::pairs::pem("CERTIFICATE REQUEST", &forged);
    assert!(refused(&mut harness, "pki/sign/r", json!({ "csr": forged })).contains("signature"));
}

#[test]
fn times_stay_within_the_role_and_the_issuer() {
    let (mut harness, _) = with_role(json!({ "ttl": "1h" }));
    let now = harness.now.secs();
    let end = |data: &Value| data["expiration"].as_i64().unwrap() - now;
    let name = "a.example.com";
    assert_eq!(end(&done(&mut harness, "POST", "pki/issue/r", json!({ "common_name": name }))), 3600);
    let long = done(&mut harness, "POST", "pki/issue/r", json!({ "common_name": name, "ttl": "100h" }));
    assert_eq!(end(&long), 72 * 3600);
    for body in [
        json!({ "common_name": name, "not_after": "9999-12-31T23:59:59Z" }),
        json!({ "common_name": name, "not_after": "2001-01-01T00:00:00Z" }),
        json!({ "common_name": name, "ttl": "1h", "not_after": "2023-11-15T00:00:00Z" }),
    ] {
        refused(&mut harness, "pki/issue/r", body);
    }
    done(&mut harness, "POST", "pki/roles/long", json!({ "allow_any_name": true, "key_type": "ec", "ttl": "87500h" }));
    assert!(refused(&mut harness, "pki/issue/long", json!({ "common_name": name })).contains("beyond"));
    for (behaviour, expected) in [("truncate", 87_000), ("permit", 87_500)] {
        done(&mut harness, "PATCH", "pki/issuer/default", json!({ "leaf_not_after_behavior": behaviour }));
        let issued = done(&mut harness, "POST", "pki/issue/long", json!({ "common_name": name }));
        assert_eq!(end(&issued), expected * 3600, "{behaviour}");
    }
}

#[test]
fn a_role_shows_what_was_written_and_a_patch_changes_no_more_than_it_says() {
    let (mut harness, _) = with_role(json!({ "organization": "Acme", "require_cn": false }));
    let before = done(&mut harness, "GET", "pki/roles/r", Value::Null);
    let mut expected = before.clone();
    let patched = done(&mut harness, "PATCH", "pki/roles/r", json!({ "max_ttl": "48h", "ou": ["a", "b"] }));
    (expected["max_ttl"], expected["ou"]) = (json!(48 * 3600), json!(["a", "b"]));
    assert_eq!(patched, expected);
    for bad in [
        json!({ "key_usage": "Cooking" }),
        json!({ "ext_key_usage": "Flying" }),
        json!({ "ext_key_usage_oids": "x" }),
        json!({ "policy_identifiers": "x" }),
        json!({ "allowed_ip_sans_cidr": "x" }),
        json!({ "cn_validations": "x" }),
        json!({ "allowed_domains_template": true, "allowed_domains": "{{identity.x}}" }),
        json!({ "signature_bits": 100 }),
        json!({ "ttl": "2h", "max_ttl": "1h" }),
    ] {
        refused(&mut harness, "pki/roles/bad", bad);
    }
    assert_eq!(harness.request("GET", "pki/roles/bad", Value::Null).0, 404);
}

#[test]
fn a_certificate_without_a_subject_has_critical_names_or_is_refused() {
    let (mut harness, root) = with_role(json!({ "require_cn": false }));
    refused(&mut harness, "pki/issue/r", json!({}));
    let leaf = done(&mut harness, "POST", "pki/issue/r", json!({ "alt_names": "a.example.com" }));
    let judge = Judge::new("nobody");
    let own = judge.file("leaf.pem", text(&leaf, "certificate"));
    let above = judge.file("root.pem", text(&root, "certificate"));
    let (went_well, said) = judge.verify(&harness, &own, &above, None);
    assert!(went_well, "{said}");
}

#[test]
fn what_is_not_to_be_stored_is_not() {
    let (mut harness, _) = with_role(json!({ "no_store": true }));
    let leaf = done(&mut harness, "POST", "pki/issue/r", json!({ "common_name": "a.example.com" }));
    let serial = text(&leaf, "serial_number");
    assert_eq!(harness.request("GET", &format!("pki/cert/{serial}"), Value::Null).0, 404);
    refused(&mut harness, "pki/revoke", json!({ "serial_number": serial }));
    done(&mut harness, "POST", "pki/revoke", json!({ "certificate": leaf["certificate"] }));
    let shown = done(&mut harness, "GET", &format!("pki/cert/{serial}"), Value::Null);
    assert_ne!(shown["revocation_time"], 0);
}

// check 118
#[test]
fn a_template_is_filled_in_by_what_is_harmless_and_else_allows_nothing() {
    let (mut harness, _) = with_role(json!({
        "allowed_domains": "{{identity.entity.metadata.team}}.example.com", "allowed_domains_template": true,
        "allow_bare_domains": true, "allow_subdomains": false, "allow_glob_domains": true,
    }));
    let policy = r#"path "pki/issue/r" { capabilities = ["update"] }"#;
    done(&mut harness, "POST", "sys/policies/acl/issue", json!({ "policy": policy }));
    done(&mut harness, "POST", "sys/auth/userpass", json!({ "type": "userpass" }));
    let user = json!({ "password": "correct horse", "token_policies": "issue" });
    done(&mut harness, "POST", "auth/userpass/users/ann", user);
    let login = json!({ "password": "correct horse" });
    let (status, reply) = harness.request_as("", "POST", "auth/userpass/login/ann", login);
    assert_eq!(status, 200, "{reply}");
    let (token, entity) = (text(&reply["auth"], "client_token"), text(&reply["auth"], "entity_id"));
    for (team, name, is_allowed) in [
        ("", "ops.example.com", false),
        ("ops", "ops.example.com", true),
        ("ops", "dev.example.com", false),
        ("*", "ops.example.com", false),
    ] {
        let metadata = json!({ "metadata": { "team": team } });
        done(&mut harness, "POST", &format!("identity/entity/id/{entity}"), metadata);
        let (status, reply) = harness.request_as(&token, "POST", "pki/issue/r", json!({ "common_name": name }));
        assert_eq!(status == 200, is_allowed, "{team:?} {name}: {reply}");
    }
}
