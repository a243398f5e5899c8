//! Export, import, backup and restore.

use super::*;

const KINDS: [&str; 9] = [
    "aes256-gcm96",
    "aes128-gcm96",
    "chacha20-poly1305",
    "xchacha20-poly1305",
    "ed25519",
    "ecdsa-p256",
    "ecdsa-p521",
    "rsa-2048",
    "hmac",
];

/// A request for `app.example` with an alternative name, by Python's `cryptography` 48.0.0.
const TEMPLATE: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIHSMIGFAgEAMCkxETAPBgNVBAoMCENvbmNsYXZlMRQwEgYDVQQDDAthcHAuZXhh
bXBsZTAqMAUGAytlcAMhAHm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk
oCkwJwYJKoZIhvcNAQkOMRowGDAWBgNVHREEDzANggthcHAuZXhhbXBsZTAFBgMr
ZXADQQBrtvg8DQHkHVvHJQV1jj8LNjrftr6TiIuMhoFtvr32EqslPdEcMKK899eD
7/vNj/e9nxqo0GMKZkh0zo3is+QB
-----END CERTIFICATE REQUEST-----
";
/// A certificate by the same, and the key that it is of.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIH+MIGxoAMCAQICAU0wBQYDK2VwMCkxETAPBgNVBAoMCENvbmNsYXZlMRQwEgYD
VQQDDAthcHAuZXhhbXBsZTAeFw0yNDAxMDEwMDAwMDBaFw00NDAxMDEwMDAwMDBa
MCkxETAPBgNVBAoMCENvbmNsYXZlMRQwEgYDVQQDDAthcHAuZXhhbXBsZTAqMAUG
AytlcAMhAHm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZkMAUGAytlcANB
AHiUPfRLIx/l5iFTVoi1jrIc/o+x1WRqlydMqezNVhRdo8O+qnmrTPmfl/UaHkeB
jLVrmgNVw0kAh3HyPpRvyAM=
-----END CERTIFICATE-----
";
const CERTIFIED_KEY: &str = "MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

/// What a key makes of an input, and the request that undoes or checks it.
fn use_of(harness: &mut Harness, name: &str, kind: &str) -> (String, Value) {
    if kind == "hmac" {
        let made = done(harness, "POST", &format!("hmac/{name}"), json!({ "input": HELLO }));
        return ("verify".into(), json!({ "input": HELLO, "hmac": made["hmac"] }));
    }
    if kind.starts_with("e") {
        let made = done(harness, "POST", &format!("sign/{name}"), json!({ "input": HELLO }));
        return ("verify".into(), json!({ "input": HELLO, "signature": made["signature"] }));
    }
    let made = done(harness, "POST", &format!("encrypt/{name}"), json!({ "plaintext": HELLO }));
    ("decrypt".into(), json!({ "ciphertext": made["ciphertext"] }))
}

fn assert_same(harness: &mut Harness, name: &str, (verb, body): (String, Value)) {
    let data = done(harness, "POST", &format!("{verb}/{name}"), body);
    assert!(data["valid"] == true || data["plaintext"] == HELLO, "{name}: {data}");
}

#[test]
fn a_wrapped_export_of_every_type_can_be_imported_elsewhere() {
    let (mut here, mut there) = (harness(), harness());
    let wrapping = done(&mut there, "GET", "wrapping_key", Value::Null)["public_key"].clone();
    done(&mut here, "POST", "keys/wrap/import", json!({ "type": "rsa-4096", "public_key": wrapping }));
    for kind in KINDS {
        done(&mut here, "POST", &format!("keys/{kind}"), json!({ "type": kind, "exportable": true }));
        let made = use_of(&mut here, kind, kind);
        let exported = done(&mut here, "GET", &format!("byok-export/wrap/{kind}/1"), Value::Null);
        let body = json!({ "type": kind, "ciphertext": exported["keys"]["1"] });
        done(&mut there, "POST", &format!("keys/{kind}/import"), body);
        assert_same(&mut there, kind, made);
        assert_eq!(done(&mut there, "GET", &format!("keys/{kind}"), Value::Null)["imported_key"], true);
        assert!(refused(&mut there, "POST", &format!("keys/{kind}/rotate"), Value::Null).contains("imported"));
    }
    done(&mut here, "POST", "keys/closed", Value::Null);
    let refusal = refused(&mut here, "GET", "byok-export/wrap/closed", Value::Null);
    assert!(refusal.contains("not exportable"), "{refusal}");
}

#[test]
fn a_backup_brings_back_every_type_with_all_versions() {
    for kind in KINDS {
        let mut harness = harness();
        let settings = json!({ "type": kind, "exportable": true, "allow_plaintext_backup": true });
        done(&mut harness, "POST", "keys/k", settings);
        let first = use_of(&mut harness, "k", kind);
        done(&mut harness, "POST", "keys/k/rotate", Value::Null);
        let second = use_of(&mut harness, "k", kind);
        let backup = done(&mut harness, "GET", "backup/k", Value::Null)["backup"].clone();
        done(&mut harness, "POST", "restore/copy", json!({ "backup": backup }));
        assert_same(&mut harness, "copy", first);
        assert_same(&mut harness, "copy", second);
        let (status, reply) = harness.request("POST", "transit/restore/copy", json!({ "backup": backup }));
        assert!(status == 500 && reply.to_string().contains("already exists"), "{status} {reply}");
        done(&mut harness, "POST", "restore/copy", json!({ "backup": backup, "force": true }));
    }
}

#[test]
fn a_damaged_backup_is_refused_or_is_sound() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/k", json!({ "exportable": true, "allow_plaintext_backup": true }));
    let backup = done(&mut harness, "GET", "backup/k", Value::Null)["backup"].clone();
    let good = STANDARD.decode(backup.as_str().unwrap()).unwrap();
    for place in 0..good.len() {
        for flip in [1, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= flip;
            let body = json!({ "backup": STANDARD.encode(&bad), "force": true });
            let (status, reply) = harness.request("POST", "transit/restore/r", body);
            assert!(status == 204 || status == 400, "{place}: {status} {reply}");
            if status == 204 {
                let (status, reply) = harness.request("POST", "transit/encrypt/r", json!({ "plaintext": HELLO }));
                assert!(status < 500, "{place}: {reply}");
            }
        }
    }
    for end in 0..good.len() {
        let body = json!({ "backup": STANDARD.encode(&good[..end]), "force": true });
        assert!(harness.request("POST", "transit/restore/r", body).0 < 500, "{end}");
    }
}

#[test]
fn a_restored_key_signs_what_it_verifies_whatever_was_changed_in_the_backup() {
    let mut harness = harness();
    let settings = json!({ "type": "ed25519", "exportable": true, "allow_plaintext_backup": true });
    done(&mut harness, "POST", "keys/k", settings);
    let backup = done(&mut harness, "GET", "backup/k", Value::Null)["backup"].clone();
    let good = STANDARD.decode(backup.as_str().unwrap()).unwrap();
    let mut restored = 0;
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        let body = json!({ "backup": STANDARD.encode(&bad), "force": true });
        if harness.request("POST", "transit/restore/r", body).0 != 204 {
            continue;
        }
        let (status, signed) = harness.request("POST", "transit/sign/r", json!({ "input": HELLO, "context": "YQ==" }));
        if status == 200 {
            let signature = signed["data"]["signature"].clone();
            let body = json!({ "input": HELLO, "context": "YQ==", "signature": signature });
            assert_eq!(done(&mut harness, "POST", "verify/r", body)["valid"], true, "{place}");
            restored += 1;
        }
    }
    assert!(restored > 10, "{restored} were restored");
}

#[test]
fn exports_have_the_forms_that_libraries_read() {
    let mut harness = harness();
    for (kind, part, begin) in [
        ("rsa-2048", "signing-key", "-----BEGIN RSA PRIVATE KEY-----\n"),
        ("rsa-2048", "encryption-key", "-----BEGIN RSA PRIVATE KEY-----\n"),
        ("rsa-2048", "public-key", "-----BEGIN PUBLIC KEY-----\n"),
        ("ecdsa-p256", "signing-key", "-----BEGIN EC PRIVATE KEY-----\n"),
        ("ecdsa-p256", "public-key", "-----BEGIN PUBLIC KEY-----\n"),
    ] {
        done(&mut harness, "POST", &format!("keys/{kind}"), json!({ "type": kind, "exportable": true }));
        let data = done(&mut harness, "GET", &format!("export/{part}/{kind}"), Value::Null);
        assert!(data["keys"]["1"].as_str().unwrap().starts_with(begin), "{kind} {part}");
    }
    done(&mut harness, "POST", "keys/ed25519", json!({ "type": "ed25519", "exportable": true }));
    let data = done(&mut harness, "GET", "export/signing-key/ed25519", Value::Null);
    let both = STANDARD.decode(data["keys"]["1"].as_str().unwrap()).unwrap();
    let public = done(&mut harness, "GET", "export/public-key/ed25519", Value::Null);
    assert_eq!((both.len(), &json!(STANDARD.encode(&both[32..]))), (64, &public["keys"]["1"]));
}

#[test]
fn a_public_half_verifies_and_its_private_half_can_follow() {
    let (mut here, mut there) = (harness(), harness());
    done(&mut here, "POST", "keys/s", json!({ "type": "ecdsa-p256", "exportable": true }));
    let made = use_of(&mut here, "s", "ecdsa-p256");
    let public = done(&mut here, "GET", "export/public-key/s", Value::Null)["keys"]["1"].clone();
    done(&mut there, "POST", "keys/s/import", json!({ "type": "ecdsa-p256", "public_key": public }));
    assert_same(&mut there, "s", made);
    assert!(refused(&mut there, "POST", "sign/s", json!({ "input": HELLO })).contains("no private half"));
    let wrapping = done(&mut there, "GET", "wrapping_key", Value::Null)["public_key"].clone();
    done(&mut here, "POST", "keys/wrap/import", json!({ "type": "rsa-4096", "public_key": wrapping }));
    let exported = done(&mut here, "GET", "byok-export/wrap/s", Value::Null)["keys"]["1"].clone();
    done(&mut there, "POST", "keys/s/import_version", json!({ "ciphertext": exported, "version": 1 }));
    let made = use_of(&mut there, "s", "ecdsa-p256");
    assert_same(&mut here, "s", made);
    assert!(
        refused(&mut there, "POST", "keys/s/import_version", json!({ "ciphertext": exported, "version": 1 })).len()
            > 10
    );
}

#[test]
fn whatever_is_wrong_with_a_wrapped_key_the_refusal_is_the_same() {
    let mut harness = harness();
    let good = STANDARD.decode(wrapped(&mut harness, &[5; 32])).unwrap();
    let mut refusals = std::collections::BTreeSet::new();
    for place in [0, 100, 511, 512, 520, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        let body = json!({ "type": "aes256-gcm96", "ciphertext": STANDARD.encode(bad) });
        refusals.insert(refused(&mut harness, "POST", "keys/i/import", body));
    }
    let body = json!({ "type": "aes256-gcm96", "hash_function": "SHA1", "ciphertext": STANDARD.encode(&good) });
    refusals.insert(refused(&mut harness, "POST", "keys/i/import", body));
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    done(
        &mut harness,
        "POST",
        "keys/i/import",
        json!({ "type": "aes256-gcm96", "ciphertext": STANDARD.encode(&good) }),
    );
}

#[test]
fn a_request_and_a_chain_belong_to_the_key() {
    use x509_parser::prelude::{FromDer, X509CertificationRequest};
    let mut harness = harness();
    for kind in ["rsa-2048", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519"] {
        done(&mut harness, "POST", &format!("keys/{kind}"), json!({ "type": kind }));
        let first = done(&mut harness, "POST", &format!("keys/{kind}/csr"), Value::Null)["csr"].clone();
        // The request of one key as the template of another changes the public key alone.
        let second = done(&mut harness, "POST", &format!("keys/{kind}/csr"), json!({ "csr": TEMPLATE }))["csr"].clone();
        for (pem, subject) in [(first, ""), (second, "O=Conclave, CN=app.example")] {
            let body: String = pem.as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
            let der = STANDARD.decode(body).unwrap();
            let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
            assert_eq!(request.certification_request_info.subject.to_string(), subject, "{kind}");
            let has_names = request.requested_extensions().is_some_and(|extensions| extensions.count() == 1);
            assert_eq!(has_names, !subject.is_empty(), "{kind}");
            assert_signed(&mut harness, kind, &request);
        }
    }
    let refusal =
        refused(&mut harness, "POST", "keys/ed25519/set-certificate", json!({ "certificate_chain": CERTIFICATE }));
    assert!(refusal.contains("not one of the public key"), "{refusal}");
    import(&mut harness, "c", "ed25519", &STANDARD.decode(CERTIFIED_KEY).unwrap(), json!({}));
    done(&mut harness, "POST", "keys/c/set-certificate", json!({ "certificate_chain": CERTIFICATE }));
    let shown = done(&mut harness, "GET", "keys/c", Value::Null);
    assert_eq!(shown["keys"]["1"]["certificate_chain"], CERTIFICATE);
    let chain = done(&mut harness, "GET", "export/certificate-chain/c", Value::Null);
    assert_eq!(chain["keys"]["1"], CERTIFICATE);
}

/// The signature of a request is one that the key verifies.
fn assert_signed(harness: &mut Harness, kind: &str, request: &x509_parser::prelude::X509CertificationRequest<'_>) {
    let hash = match kind {
        "ecdsa-p384" => "sha2-384",
        "ecdsa-p521" => "sha2-512",
        _ => "sha2-256",
    };
    let body = json!({
        "input": STANDARD.encode(request.certification_request_info.raw), "signature_algorithm": "pkcs1v15",
        "signature": format!("vault:v1:{}", STANDARD.encode(&request.signature_value.data)),
    });
    assert_eq!(done(harness, "POST", &format!("verify/{kind}/{hash}"), body)["valid"], true, "{kind}");
}
