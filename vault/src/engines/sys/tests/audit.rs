//! Audit devices as the core keeps them.

use serde_json::{Value, json};

use crate::testing::Harness;

const FILE: &str = "sys/audit/file";

fn enable(harness: &mut Harness, path: &str) -> u16 {
    let options = json!({ "file_path": "/var/log/conclave/audit.log", "log_raw": true });
    harness.request("POST", path, json!({ "type": "file", "description": "all", "options": options })).0
}

#[test]
fn a_device_is_listed_until_it_is_disabled() {
    let mut harness = Harness::new();
    assert_eq!(enable(&mut harness, FILE), 204);
    assert_eq!(enable(&mut harness, FILE), 400, "its path is in use");
    let (status, body) = harness.request("GET", "sys/audit", Value::Null);
    let expected = json!({ "file/": {
        "path": "file/", "type": "file", "description": "all", "local": false,
        "options": { "file_path": "/var/log/conclave/audit.log", "log_raw": "1" },
    }});
    assert_eq!((status, &body["data"], &body["file/"]["type"]), (200, &expected, &json!("file")));
    assert_eq!(harness.request("DELETE", FILE, Value::Null).0, 204);
    assert_eq!(harness.request("DELETE", FILE, Value::Null).0, 204, "what is not there is gone");
    assert_eq!(harness.request("GET", "sys/audit", Value::Null).1["data"], json!({}));
}

#[test]
fn a_hash_is_of_a_device_and_ends_with_it() {
    // check 220
    let mut harness = Harness::new();
    let ask = |harness: &mut Harness, path: &str, input: &str| {
        harness.request("POST", &format!("sys/audit-hash/{path}"), json!({ "input": input }))
    };
    let (status, body) = ask(&mut harness, "file", "a");
    assert_eq!((status, &body["errors"][0]), (400, &json!("unknown audit backend \"file/\"")));
    assert_eq!(ask(&mut harness, "file", "").1["errors"][0], "the \"input\" parameter is empty");
    enable(&mut harness, FILE);
    enable(&mut harness, "sys/audit/other");
    let hash =
        |harness: &mut Harness, path: &str| ask(harness, path, "a").1["data"]["hash"].as_str().unwrap().to_owned();
    let (first, other) = (hash(&mut harness, "file"), hash(&mut harness, "other"));
    assert!(first.strip_prefix("hmac-sha256:").is_some_and(|digits| digits.len() == 64), "{first}");
    assert_ne!(first, other);
    assert_eq!(first, hash(&mut harness, "file"));
    harness.request("DELETE", FILE, Value::Null);
    enable(&mut harness, FILE);
    assert_ne!(first, hash(&mut harness, "file"), "a new device, so new hashes");
}

#[test]
fn headers_are_recorded_as_they_are_asked_for() {
    let mut harness = Harness::new();
    let place = "sys/config/auditing/request-headers";
    let one = format!("{place}/X-Correlation-Id");
    assert_eq!(harness.request("POST", &one, json!({ "hmac": true })).0, 204);
    assert_eq!(harness.request("GET", &one, Value::Null).1["data"], json!({ "X-Correlation-Id": { "hmac": true } }));
    assert_eq!(harness.request("POST", &one, json!({})).0, 204);
    let listed = harness.request("GET", place, Value::Null).1["data"].clone();
    assert_eq!(listed, json!({ "headers": { "x-correlation-id": { "hmac": false } } }));
    // check 216
    for secret in ["X-Vault-Token", "Authorization"] {
        assert_eq!(harness.request("POST", &format!("{place}/{secret}"), json!({ "hmac": false })).0, 400);
        assert_eq!(harness.request("POST", &format!("{place}/{secret}"), json!({ "hmac": true })).0, 204);
    }
    assert_eq!(harness.request("POST", &format!("{place}/{}", "a".repeat(129)), json!({})).0, 400);
    assert_eq!(harness.request("DELETE", &one, Value::Null).0, 204);
    assert_eq!(harness.request("GET", &one, Value::Null).0, 400);
}
