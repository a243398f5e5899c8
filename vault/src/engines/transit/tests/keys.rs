//! Keys as a whole: versions, rotation, trimming, deletion, and what is stored.

use super::super::key;
use super::super::record::{KeyVersionRecord, VERSIONS_PER_CHUNK};
use super::*;
use crate::engine::Work;

fn encrypt(harness: &mut Harness, name: &str) -> String {
    let data = done(harness, "POST", &format!("encrypt/{name}"), json!({ "plaintext": HELLO }));
    data["ciphertext"].as_str().unwrap().to_owned()
}

fn rotate(harness: &mut Harness, name: &str, times: u32) {
    (0..times).for_each(|_| _ = done(harness, "POST", &format!("keys/{name}/rotate"), Value::Null));
}

#[test]
fn every_version_decrypts_across_chunks_and_an_operation_reads_two_records() {
    let mut harness = harness();
    let mut old = vec![encrypt(&mut harness, "k")];
    let rotations = VERSIONS_PER_CHUNK + 2;
    for _ in 0..rotations {
        rotate(&mut harness, "k", 1);
        old.push(encrypt(&mut harness, "k"));
    }
    for (place, ciphertext) in old.iter().enumerate() {
        assert!(ciphertext.starts_with(&format!("vault:v{}:", place + 1)));
        let data = done(&mut harness, "POST", "decrypt/k", json!({ "ciphertext": ciphertext }));
        assert_eq!(data["plaintext"], HELLO, "version {}", place + 1);
    }
    let data = done(&mut harness, "GET", "keys/k", Value::Null);
    assert_eq!(data["keys"].as_object().unwrap().len() as u32, rotations + 1);
}

#[test]
fn trimmed_versions_are_gone_at_once_and_from_the_table_afterwards() {
    let mut harness = harness();
    let first = encrypt(&mut harness, "k");
    rotate(&mut harness, "k", 2 * VERSIONS_PER_CHUNK + 3);
    let kept = 2 * VERSIONS_PER_CHUNK + 1;
    let minimums = json!({ "min_decryption_version": kept, "min_encryption_version": kept });
    done(&mut harness, "POST", "keys/k/config", minimums);
    let before = harness.table.len();
    done(&mut harness, "POST", "keys/k/trim", json!({ "min_available_version": kept }));
    assert!(refused(&mut harness, "POST", "decrypt/k", json!({ "ciphertext": first })).contains("too old"));
    harness.run_tasks();
    assert!(harness.table.len() < before, "two chunks of versions are deleted");
    let (_, backup) = {
        done(&mut harness, "POST", "keys/k/config", json!({ "exportable": true, "allow_plaintext_backup": true }));
        harness.request("GET", "transit/backup/k", Value::Null)
    };
    let text = backup["data"]["backup"].as_str().unwrap();
    done(&mut harness, "POST", "restore/copy", json!({ "backup": text }));
    let shown = done(&mut harness, "GET", "export/encryption-key/copy", Value::Null);
    assert_eq!(shown["keys"].as_object().unwrap().len(), 4, "{shown}");
}

#[test]
fn a_deleted_key_leaves_nothing_and_a_new_one_of_its_name_is_another() {
    let mut harness = harness();
    let before = harness.table.len();
    let ciphertext = encrypt(&mut harness, "k");
    rotate(&mut harness, "k", 40);
    assert!(refused(&mut harness, "DELETE", "keys/k", Value::Null).contains("deletion is not allowed"));
    done(&mut harness, "POST", "keys/k/config", json!({ "deletion_allowed": true, "auto_rotate_period": "2h" }));
    done(&mut harness, "DELETE", "keys/k", Value::Null);
    harness.run_tasks();
    assert_eq!(harness.table.len(), before);
    done(&mut harness, "POST", "keys/k", Value::Null);
    let refusal = refused(&mut harness, "POST", "decrypt/k", json!({ "ciphertext": ciphertext }));
    assert_eq!(refusal, "cipher: message authentication failed");
}

#[test]
fn a_key_rotates_when_it_is_due_and_one_of_rsa_at_its_next_use() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/fast", json!({ "auto_rotate_period": "2h" }));
    done(&mut harness, "POST", "keys/slow", json!({ "type": "rsa-2048", "auto_rotate_period": "2h" }));
    harness.advance(7199);
    harness.run_tasks();
    assert_eq!(done(&mut harness, "GET", "keys/fast", Value::Null)["latest_version"], 1);
    // The calendar has a bucket for each minute.
    harness.advance(120);
    harness.run_tasks();
    assert_eq!(done(&mut harness, "GET", "keys/fast", Value::Null)["latest_version"], 2);
    assert!(encrypt(&mut harness, "slow").starts_with("vault:v2:"), "it was due");
    assert!(encrypt(&mut harness, "slow").starts_with("vault:v2:"), "it is due no more");
    harness.advance(7400);
    harness.run_tasks();
    assert_eq!(done(&mut harness, "GET", "keys/fast", Value::Null)["latest_version"], 3);
    done(&mut harness, "POST", "keys/fast/config", json!({ "auto_rotate_period": 0 }));
    harness.advance(100_000);
    harness.run_tasks();
    assert_eq!(done(&mut harness, "GET", "keys/fast", Value::Null)["latest_version"], 3);
}

#[test]
fn a_soft_deleted_key_is_shown_and_used_by_nobody_until_it_is_brought_back() {
    let mut harness = harness();
    let ciphertext = encrypt(&mut harness, "k");
    done(&mut harness, "DELETE", "keys/k/soft-delete", Value::Null);
    assert_eq!(done(&mut harness, "LIST", "keys", Value::Null)["keys"], json!(["k"]));
    assert_eq!(done(&mut harness, "GET", "keys/k", Value::Null)["soft_deleted"], true);
    // Made again it stays deleted.
    assert_eq!(done(&mut harness, "POST", "keys/k", Value::Null)["soft_deleted"], true);
    let item = json!({ "plaintext": HELLO, "ciphertext": ciphertext, "input": HELLO, "signature": "vault:v1:AAAA" });
    for path in
        ["encrypt/k", "decrypt/k", "rewrap/k", "datakey/plaintext/k", "sign/k", "verify/k", "hmac/k", "keys/k/rotate"]
    {
        assert!(refused(&mut harness, "POST", path, item.clone()).contains("soft-deleted"), "{path}");
        let batch = json!({ "batch_input": [item.clone()] });
        assert!(refused(&mut harness, "POST", path, batch).contains("soft-deleted"), "{path}");
    }
    done(&mut harness, "POST", "keys/k/soft-delete-restore", Value::Null);
    assert_eq!(done(&mut harness, "POST", "decrypt/k", json!({ "ciphertext": ciphertext }))["plaintext"], HELLO);
}

#[test]
fn a_policy_tells_making_a_key_from_using_it() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/old", Value::Null);
    let token = harness.token_with("path \"transit/encrypt/*\" { capabilities = [\"update\"] }");
    let body = json!({ "plaintext": HELLO });
    assert_eq!(harness.request_as(&token, "POST", "transit/encrypt/old", body.clone()).0, 200);
    assert_eq!(harness.request_as(&token, "POST", "transit/encrypt/new", body.clone()).0, 403);
    let token = harness.token_with("path \"transit/encrypt/*\" { capabilities = [\"create\"] }");
    assert_eq!(harness.request_as(&token, "POST", "transit/encrypt/new", body.clone()).0, 200);
    assert_eq!(harness.request_as(&token, "POST", "transit/encrypt/new", body).0, 403);
}

#[test]
fn an_operation_writes_nothing() {
    let mut harness = harness();
    for kind in ["aes256-gcm96", "ecdsa-p256", "rsa-2048"] {
        done(&mut harness, "POST", &format!("keys/{kind}"), json!({ "type": kind }));
    }
    for (path, body) in [
        ("encrypt/aes256-gcm96", json!({ "plaintext": HELLO })),
        ("encrypt/rsa-2048", json!({ "plaintext": HELLO })),
        ("sign/ecdsa-p256", json!({ "input": HELLO })),
        ("sign/rsa-2048", json!({ "input": HELLO })),
        ("hmac/aes256-gcm96", json!({ "input": HELLO })),
    ] {
        let request = harness.build(crate::testing::ROOT, "POST", &format!("transit/{path}"), body);
        let answer = harness.send(&request);
        assert_eq!((answer.status, answer.wrote), (200, false), "{path}");
    }
}

#[test]
fn a_key_of_ten_thousand_versions_stays_usable() {
    let mut harness = harness();
    let first = encrypt(&mut harness, "k");
    add_versions(&mut harness, "k", 10_000);
    let newest = encrypt(&mut harness, "k");
    assert!(newest.starts_with("vault:v10001:"), "{newest}");
    for ciphertext in [first, newest] {
        assert_eq!(done(&mut harness, "POST", "decrypt/k", json!({ "ciphertext": ciphertext }))["plaintext"], HELLO);
    }
    assert_eq!(done(&mut harness, "GET", "keys/k", Value::Null)["keys"].as_object().unwrap().len(), 10_001);
    rotate(&mut harness, "k", 1);
    let minimums = json!({ "min_decryption_version": 10_000, "min_encryption_version": 10_000 });
    done(&mut harness, "POST", "keys/k/config", minimums);
    done(&mut harness, "POST", "keys/k/trim", json!({ "min_available_version": 10_000 }));
    harness.run_tasks();
    assert_eq!(done(&mut harness, "GET", "keys/k", Value::Null)["keys"].as_object().unwrap().len(), 3);
}

/// Adds versions to a symmetric key, many with one batch.
fn add_versions(harness: &mut Harness, name: &str, count: u32) {
    let (status, _) = harness.request("GET", &format!("transit/keys/{name}"), Value::Null);
    assert_eq!(status, 200);
    for _ in 0..count / 500 {
        let mut context = crate::testing::context(&mut harness.random, harness.now);
        let mut store = harness.core.store(&harness.table);
        let mounts = crate::mount::table::MountTable::load(&mut store).unwrap();
        let mount = mounts.iter().find(|mount| mount.record.path == "transit/").unwrap().mount.clone();
        let mut key = key::find(&mut store, &mount, name).unwrap().unwrap();
        for _ in 0..500 {
            let version =
                KeyVersionRecord { secret: vec![7; 32], hmac_key: vec![8; 32], ..KeyVersionRecord::default() };
            key.add_version(&mut Work { context: &mut context, store: &mut store, mount: mount.clone() }, version)
                .unwrap();
        }
        let batch = store.finish(&mut context).unwrap().unwrap();
        assert!(harness.commit(&batch));
    }
}

#[test]
fn a_key_shows_in_no_reply_but_its_export_and_not_in_the_table() {
    let mut harness = harness();
    done(&mut harness, "POST", "keys/k", json!({ "exportable": true }));
    let data = done(&mut harness, "GET", "export/encryption-key/k", Value::Null);
    let secret = data["keys"]["1"].as_str().unwrap().to_owned();
    for (verb, path, body) in [
        ("GET", "keys/k", Value::Null),
        ("POST", "keys/k/rotate", Value::Null),
        ("POST", "keys/k/config", json!({})),
        ("POST", "encrypt/k", json!({ "plaintext": HELLO })),
        ("POST", "decrypt/k", json!({ "ciphertext": "vault:v1:AAAA" })),
        ("GET", "export/encryption-key/k/9", Value::Null),
    ] {
        let (_, reply) = harness.request(verb, &format!("transit/{path}"), body);
        assert!(!reply.to_string().contains(&secret), "{path}");
    }
    // Nor does the table hold it in clear.
    let raw = STANDARD.decode(secret).unwrap();
    assert!(harness.table.rows().iter().all(|(_, value)| !value.windows(raw.len()).any(|part| part == raw)));
}
