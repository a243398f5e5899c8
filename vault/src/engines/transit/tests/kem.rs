//! ML-KEM.

use super::*;

fn bytes(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}

#[test]
fn the_private_half_opens_what_the_public_half_encrypts() {
    let mut harness = harness();
    for (set, public_bytes, secret_bytes) in [("512", 800, 1632), ("768", 1184, 2400), ("1024", 1568, 3168)] {
        let key = format!("k{set}");
        let made =
            json!({ "type": "ml-kem", "parameter_set": set, "exportable": true, "allow_plaintext_backup": true });
        let shown = done(&mut harness, "POST", &format!("keys/{key}"), made);
        assert_eq!((&shown["supports_encryption"], &shown["supports_signing"]), (&json!(true), &json!(false)));
        assert_eq!(shown["keys"]["1"]["name"], format!("ML-KEM-{set}"));
        assert_eq!(bytes(&shown["keys"]["1"]["public_key"]).len(), public_bytes);
        let aad = STANDARD.encode("with");
        let plain = json!({ "plaintext": HELLO, "associated_data": aad });
        let sealed = done(&mut harness, "POST", &format!("encrypt/{key}"), plain.clone());
        let again = done(&mut harness, "POST", &format!("encrypt/{key}"), plain);
        assert_ne!(sealed["ciphertext"], again["ciphertext"]);
        let open = |aad: &str| json!({ "ciphertext": sealed["ciphertext"], "associated_data": aad });
        assert_eq!(done(&mut harness, "POST", &format!("decrypt/{key}"), open(&aad))["plaintext"], HELLO);
        refused(&mut harness, "POST", &format!("decrypt/{key}"), open(""));
        let exported = done(&mut harness, "GET", &format!("export/encryption-key/{key}"), Value::Null);
        assert_eq!(bytes(&exported["keys"]["1"]).len(), secret_bytes);
        done(&mut harness, "POST", &format!("keys/{key}/rotate"), Value::Null);
        let rewrapped = done(&mut harness, "POST", &format!("rewrap/{key}"), open(&aad));
        assert_eq!(rewrapped["key_version"], 2);
        let made = done(&mut harness, "POST", &format!("datakey/plaintext/{key}"), Value::Null);
        let body = json!({ "ciphertext": made["ciphertext"] });
        assert_eq!(done(&mut harness, "POST", &format!("decrypt/{key}"), body)["plaintext"], made["plaintext"]);
        let backup = done(&mut harness, "GET", &format!("backup/{key}"), Value::Null);
        done(&mut harness, "POST", &format!("restore/other{set}"), backup);
        assert_eq!(done(&mut harness, "POST", &format!("decrypt/other{set}"), open(&aad))["plaintext"], HELLO);
    }
}

#[test]
fn whoever_has_the_public_half_alone_encrypts_and_opens_nothing() {
    let mut harness = harness();
    let shown = done(&mut harness, "POST", "keys/k", json!({ "type": "ml-kem" }));
    assert_eq!(shown["parameter_set"], "768");
    let public = shown["keys"]["1"]["public_key"].clone();
    done(&mut harness, "POST", "keys/sender/import", json!({ "type": "ml-kem", "public_key": public }));
    let sealed = done(&mut harness, "POST", "encrypt/sender", json!({ "plaintext": HELLO }));
    let body = json!({ "ciphertext": sealed["ciphertext"] });
    assert_eq!(done(&mut harness, "POST", "decrypt/k", body.clone())["plaintext"], HELLO);
    assert!(refused(&mut harness, "POST", "decrypt/sender", body).contains("private half"));
    for wrong in ["", "AAAA", HELLO] {
        refused(&mut harness, "POST", "keys/x/import", json!({ "type": "ml-kem", "public_key": wrong }));
    }
}

// check 170
#[test]
fn what_ml_kem_does_not_do_is_refused() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/k", json!({ "type": "ml-kem" }));
    let sealed = done(&mut harness, "POST", "encrypt/k", json!({ "plaintext": HELLO }));
    for (path, body) in [
        ("keys/d", json!({ "type": "ml-kem", "derived": true })),
        ("keys/p", json!({ "type": "ml-kem", "parameter_set": "65" })),
        ("encrypt/new", json!({ "type": "ml-kem", "plaintext": HELLO })),
        ("sign/k", json!({ "input": HELLO })),
        ("verify/k", json!({ "input": HELLO, "signature": "vault:v1:AAAA" })),
        ("keys/k/csr", json!({})),
        ("decrypt/k", json!({ "ciphertext": "vault:v1:" })),
        ("decrypt/k", json!({ "ciphertext": "vault:v1:AAAA" })),
        ("decrypt/k", json!({ "ciphertext": format!("vault:v1:{}", STANDARD.encode([7; 1088])) })),
        ("decrypt/k", json!({ "ciphertext": format!("vault:v1:{}", STANDARD.encode([7; 4000])) })),
    ] {
        refused(&mut harness, "POST", path, body);
    }
    let text = sealed["ciphertext"].as_str().unwrap().strip_prefix("vault:v1:").unwrap();
    let whole = STANDARD.decode(text).unwrap();
    for place in [0, 1087, 1088, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        let body = json!({ "ciphertext": format!("vault:v1:{}", STANDARD.encode(changed)) });
        assert!(refused(&mut harness, "POST", "decrypt/k", body).contains("authentication failed"), "{place}");
    }
}

#[test]
fn a_key_that_is_due_rotates_with_its_next_use() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/k", json!({ "type": "ml-kem", "auto_rotate_period": "1h" }));
    harness.advance(3700);
    while harness.run_tasks() > 0 {}
    assert_eq!(done(&mut harness, "GET", "keys/k", Value::Null)["latest_version"], 1);
    assert_eq!(done(&mut harness, "POST", "encrypt/k", json!({ "plaintext": HELLO }))["key_version"], 2);
}
