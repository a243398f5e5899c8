//! What is refused, and how. Checks are those of the list of attacks on transit and other interfaces to cryptography.

use super::*;
use crate::engines::transit::batch::MAX_ITEMS;

const KINDS: [&str; 11] = [
    "aes128-gcm96",
    "aes256-gcm96",
    "chacha20-poly1305",
    "xchacha20-poly1305",
    "ed25519",
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "rsa-2048",
    "hmac",
    "ml-dsa",
];

// check 168
#[test]
fn a_nonce_of_the_client_is_refused_and_one_plaintext_has_many_ciphertexts() {
    let mut harness = harness();
    let body = json!({ "plaintext": HELLO, "nonce": "AAAAAAAAAAAAAAAA" });
    assert!(refused(&mut harness, "POST", "encrypt/k", body).contains("nonce"));
    let one = done(&mut harness, "POST", "encrypt/k", json!({ "plaintext": HELLO }));
    let other = done(&mut harness, "POST", "encrypt/k", json!({ "plaintext": HELLO }));
    assert_ne!(one["ciphertext"], other["ciphertext"]);
}

// checks 169 and 170
#[test]
fn every_type_answers_every_operation_with_whatever_parameters_without_failing() {
    let mut harness = harness();
    for kind in KINDS {
        for derived in [false, true] {
            for convergent in [false, true] {
                let body = json!({ "type": kind, "derived": derived, "convergent_encryption": convergent });
                let name = format!("{kind}-{derived}-{convergent}");
                let (status, reply) = harness.request("POST", &format!("transit/keys/{name}"), body);
                let derives = !kind.starts_with("ecdsa") && !matches!(kind, "rsa-2048" | "hmac" | "ml-dsa");
                let is_fine = (derives || !derived) && (!convergent || (derived && kind != "ed25519"));
                assert_eq!(status, if is_fine { 200 } else { 400 }, "{name}: {reply}");
                if is_fine {
                    ask_everything(&mut harness, &name);
                }
            }
        }
    }
}

fn ask_everything(harness: &mut Harness, name: &str) {
    let odd = [
        json!(""),
        json!("AAAA"),
        json!("***"),
        json!(0),
        json!(-1),
        json!({}),
        json!(["x"]),
        json!("vault:v1:"),
        Value::Null,
    ];
    let fields = [
        "plaintext",
        "ciphertext",
        "input",
        "signature",
        "hmac",
        "context",
        "nonce",
        "associated_data",
        "key_version",
        "batch_input",
        "prehashed",
        "salt_length",
        "hash_algorithm",
        "signature_algorithm",
        "marshaling_algorithm",
        "bits",
        "type",
        "min_available_version",
    ];
    for path in ["encrypt", "decrypt", "rewrap", "datakey/plaintext", "sign", "verify", "hmac"] {
        for field in fields {
            for (place, value) in odd.iter().enumerate() {
                let mut body = json!({
                    "plaintext": HELLO, "ciphertext": "vault:v1:AAAA", "input": HELLO, "signature": "vault:v1:AAAA", "context": "YQ==",
                });
                body[field] = value.clone();
                let (status, reply) = harness.request("POST", &format!("transit/{path}/{name}"), body.clone());
                assert!(status < 500, "{path}/{name} {body}: {status} {reply}");
                if place % 3 != 0 {
                    continue;
                }
                let batch = json!({ "batch_input": [body] });
                let (status, reply) = harness.request("POST", &format!("transit/{path}/{name}"), batch);
                assert!(status < 500, "{path}/{name} as a batch: {status} {reply}");
            }
        }
    }
}

// check 171
#[test]
fn ciphertext_of_another_key_version_or_context_is_refused_in_one_way() {
    let mut harness = harness();
    for name in ["a", "b"] {
        done(&mut harness, "POST", &format!("keys/{name}"), json!({ "derived": true }));
        done(&mut harness, "POST", &format!("keys/{name}/rotate"), Value::Null);
    }
    let body = json!({ "plaintext": HELLO, "context": "YQ==" });
    let made = done(&mut harness, "POST", "encrypt/a", body)["ciphertext"].as_str().unwrap().to_owned();
    let other_version = made.replace("vault:v2:", "vault:v1:");
    for (name, context, ciphertext) in [("b", "YQ==", &made), ("a", "Yg==", &made), ("a", "YQ==", &other_version)] {
        let body = json!({ "ciphertext": ciphertext, "context": context });
        let refusal = refused(&mut harness, "POST", &format!("decrypt/{name}"), body);
        assert_eq!(refusal, "cipher: message authentication failed");
    }
}

// check 172
#[test]
fn a_truncated_ciphertext_is_refused() {
    let mut harness = harness();
    let made = done(&mut harness, "POST", "encrypt/k", json!({ "plaintext": HELLO }));
    let made = STANDARD.decode(made["ciphertext"].as_str().unwrap().rsplit(':').next().unwrap()).unwrap();
    for end in 0..made.len() {
        let body = json!({ "ciphertext": format!("vault:v1:{}", STANDARD.encode(&made[..end])) });
        refused(&mut harness, "POST", "decrypt/k", body);
    }
}

// check 174
#[test]
fn whatever_is_no_signature_is_not_valid() {
    let mut harness = harness();
    for kind in ["ecdsa-p256", "ed25519", "rsa-2048", "ml-dsa"] {
        done(&mut harness, "POST", &format!("keys/{kind}"), json!({ "type": kind }));
        let signed = done(&mut harness, "POST", &format!("sign/{kind}"), json!({ "input": HELLO }));
        let good = STANDARD.decode(signed["signature"].as_str().unwrap().rsplit(':').next().unwrap()).unwrap();
        let longer = [good.as_slice(), &[0]].concat();
        let zeros = vec![0; good.len()];
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [&[][..], &good[1..], &good[..good.len() - 1], &longer, &zeros, &flipped, &vec![1; 20_000]] {
            for form in ["asn1", "jws"] {
                let text = if form == "asn1" {
                    STANDARD.encode(bad)
                } else {
                    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bad)
                };
                let body =
                    json!({ "input": HELLO, "marshaling_algorithm": form, "signature": format!("vault:v1:{text}") });
                let (status, reply) = harness.request("POST", &format!("transit/verify/{kind}"), body);
                assert!(status == 400 || reply["data"]["valid"] == false, "{kind} {form}: {status} {reply}");
            }
        }
    }
}

// check 175
#[test]
fn a_long_batch_keeps_its_order_and_one_bad_item_spoils_no_other() {
    let mut harness = harness();
    let mut items: Vec<Value> =
        (0..100_000).map(|n| json!({ "plaintext": HELLO, "reference": n.to_string() })).collect();
    items[77_777]["plaintext"] = json!("***");
    let body = json!({ "batch_input": items, "partial_failure_response_code": 207 });
    let (status, reply) = harness.request("POST", "transit/encrypt/k", body);
    let results = reply["data"]["batch_results"].as_array().unwrap();
    assert_eq!((status, results.len()), (207, 100_000));
    for (place, result) in results.iter().enumerate() {
        assert_eq!(result["reference"], place.to_string());
        assert_eq!(result.get("error").is_some(), place == 77_777);
    }
    let over = vec![json!({ "plaintext": "" }); MAX_ITEMS + 1];
    assert!(refused(&mut harness, "POST", "encrypt/k", json!({ "batch_input": over })).contains("at most"));
    for code in [0, 101, 204, 302, 600, 70_000] {
        let items = json!([{ "plaintext": "***" }, { "plaintext": "" }]);
        let body = json!({ "batch_input": items, "partial_failure_response_code": code });
        assert!(refused(&mut harness, "POST", "encrypt/k", body).contains("out of its range"), "{code}");
    }
}

#[test]
fn convergent_encryption_takes_no_associated_data() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/c", json!({ "derived": true, "convergent_encryption": true }));
    let body = json!({ "plaintext": HELLO, "context": "YQ==", "associated_data": "YQ==" });
    assert!(refused(&mut harness, "POST", "encrypt/c", body).contains("associated_data"));
}

#[test]
fn a_batch_with_an_rsa_key_is_bounded() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/r", json!({ "type": "rsa-2048" }));
    let items = vec![json!({ "input": HELLO }); super::super::rsa::MAX_ITEMS + 1];
    assert!(refused(&mut harness, "POST", "sign/r", json!({ "batch_input": items })).contains("at most"));
}

/// A public key of 2048 bits with the exponent 3, as SubjectPublicKeyInfo in base64.
const RSA_E3: &str = "MIIBIDANBgkqhkiG9w0BAQEFAAOCAQ0AMIIBCAKCAQEAqRP5bEPDNJcZ7L1Lzgfn0F3SNRGLFX+hYsgsMX0456SI\
    HFGbzB5D9rc9dfPLIlt7e3UaGN3YCVPKGFFNrWDS9aOrMgpgAf2X7JCVBQWSioHYdY8rWq9CfBOTwkI8dHJ31Mb+\
    RNll1XuWpqipldemVB53zz+1KwcgfSYxAdh5dxDz5Anf90IH8G+2j2HMWZocP9Kb6efwW9jlSU7h9Tbz+kVOMj/q\
    jMjAC8A2XyfJQYqS+UBnMHi1XIY5tHUmblzgGaOoDNX1LCZGnjev89hMvWTlRwowYA/9ybTPL+IL88zBNQ0OpADV\
    exKJ07Yw29MYX2LFDVl4vGL5DmyeSxlWiwIBAw==";

#[test]
fn weak_public_keys_are_not_imported() {
    // check 120
    let mut harness = harness();
    let import = |harness: &mut Harness, kind: &str, der: &str| {
        let public_key = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----");
        refused(harness, "POST", "keys/weak/import", json!({ "type": kind, "public_key": public_key }))
    };
    assert!(import(&mut harness, "rsa-2048", RSA_E3).contains("exponent"));
    for (point, order) in [
        ("0100000000000000000000000000000000000000000000000000000000000000", 1),
        ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", 2),
        ("0000000000000000000000000000000000000000000000000000000000000080", 4),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", 8),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", 8),
        ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 1),
    ] {
        let der = hex::decode(format!("302a300506032b6570032100{point}")).unwrap();
        let message = import(&mut harness, "ed25519", &STANDARD.encode(der));
        assert!(message.contains("public_key"), "order {order}: {message}");
    }
}
