//! PKI through whole requests.

mod chains;
mod issuing;
mod judge;
mod revoking;
mod roots;

use serde_json::{Value, json};

use crate::testing::Harness;

/// A mount whose certificates may last for ten years.
fn mounted() -> Harness {
    let mut harness = Harness::new();
    let body = json!({ "type": "pki", "config": { "max_lease_ttl": "87600h" } });
    assert_eq!(harness.request("POST", "sys/mounts/pki", body).0, 204);
    harness
}

/// The data of a request that goes well.
fn done(harness: &mut Harness, verb: &str, path: &str, body: Value) -> Value {
    let (status, reply) = harness.request(verb, path, body);
    assert!(status < 300, "{verb} {path}: {status} {reply}");
    reply["data"].clone()
}

/// The text of a part of a reply.
fn text(data: &Value, name: &str) -> String {
    data[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {data}")).to_owned()
}

/// The first message of a request that is refused.
fn refused(harness: &mut Harness, path: &str, body: Value) -> String {
    let (status, reply) = harness.request("POST", path, body);
    assert!((400..500).contains(&status), "{path}: {status} {reply}");
    reply["errors"][0].as_str().unwrap_or_default().to_owned()
}

/// The certificate of a PEM.
fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("a reply holds PEM").1.contents
}
