//! Transit through whole requests.

mod kem;
mod keys;
mod moves;
mod refusals;
mod vectors;
mod wycheproof;

use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::export;
use crate::testing::Harness;

/// `hello world`.
const HELLO: &str = "aGVsbG8gd29ybGQ=";

/// A vault with a mount of transit.
fn harness() -> Harness {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/mounts/transit", json!({ "type": "transit" })).0, 204);
    harness
}

/// The data of a reply, which must be 200 or 204.
fn done(harness: &mut Harness, verb: &str, path: &str, body: Value) -> Value {
    let (status, reply) = harness.request(verb, &format!("transit/{path}"), body);
    assert!(status == 200 || status == 204, "{verb} {path}: {status} {reply}");
    reply["data"].clone()
}

/// The first error of a reply, which must be 400.
fn refused(harness: &mut Harness, verb: &str, path: &str, body: Value) -> String {
    let (status, reply) = harness.request(verb, &format!("transit/{path}"), body);
    assert_eq!(status, 400, "{verb} {path}: {reply}");
    reply["errors"][0].as_str().unwrap_or_default().to_owned()
}

/// A key under the wrapping key of the mount, as `import` takes it.
fn wrapped(harness: &mut Harness, plain: &[u8]) -> String {
    let shown = done(harness, "GET", "wrapping_key", Value::Null);
    let pem = shown["public_key"].as_str().unwrap().to_owned();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let public = STANDARD.decode(body).unwrap();
    STANDARD.encode(export::wrap(&public, &OAEP_SHA256_MGF1SHA256, &[9; 32], plain).unwrap())
}

/// Imports a key with settings.
fn import(harness: &mut Harness, name: &str, kind: &str, plain: &[u8], mut settings: Value) {
    settings["type"] = json!(kind);
    settings["ciphertext"] = json!(wrapped(harness, plain));
    done(harness, "POST", &format!("keys/{name}/import"), settings);
}
