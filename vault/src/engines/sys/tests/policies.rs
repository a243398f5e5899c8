//! Storing policies by both forms.

use serde_json::{Value, json};

use super::errors;
use crate::testing::Harness;

const READER: &str = "path \"secret/data/*\" {\n  capabilities = [\"read\", \"list\"]\n}\n";

#[test]
fn a_policy_reads_as_it_was_written_by_both_forms() {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/policies/acl/reader", json!({ "policy": READER })).0, 204);
    let (_, body) = harness.request("GET", "sys/policies/acl/reader", Value::Null);
    assert_eq!((&body["data"]["name"], &body["data"]["policy"]), (&json!("reader"), &json!(READER)));
    let (_, body) = harness.request("GET", "sys/policy/reader", Value::Null);
    assert_eq!((&body["data"]["rules"], &body["rules"]), (&json!(READER), &json!(READER)));
    assert_eq!(body["data"].get("policy"), None);
}

#[test]
fn lists_hold_plain_names_then_folders_then_root() {
    let mut harness = Harness::new();
    for name in ["team/app", "zebra", "a/b"] {
        assert_eq!(harness.request("PUT", &format!("sys/policies/acl/{name}"), json!({ "policy": READER })).0, 204);
    }
    let names = json!(["default", "zebra", "a/b", "team/app", "root"]);
    assert_eq!(harness.request("LIST", "sys/policies/acl", Value::Null).1["data"], json!({ "keys": names }));
    for verb in ["GET", "LIST"] {
        let (_, body) = harness.request(verb, "sys/policy", Value::Null);
        assert_eq!((&body["data"]["keys"], &body["policies"]), (&names, &names));
    }
}

#[test]
fn names_are_lowered_with_a_warning() {
    let mut harness = Harness::new();
    let (status, body) = harness.request("POST", "sys/policy/Writer", json!({ "policy": READER }));
    assert_eq!((status, &body["warnings"]), (200, &json!(["policy name was converted to writer"])));
    assert_eq!(harness.request("GET", "sys/policies/acl/WRITER", Value::Null).1["data"]["name"], "writer");
    assert_eq!(harness.request("DELETE", "sys/policy/WRITER", Value::Null).0, 204);
    assert_eq!(harness.request("GET", "sys/policies/acl/writer", Value::Null).0, 404);
}

#[test]
fn base64_is_stored_decoded_and_json_as_it_came() {
    let mut harness = Harness::new();
    let encoded = "cGF0aCAiYiIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9";
    let json_text = r#"{"path":{"c/*":{"capabilities":["read"]}}}"#;
    for (sent, stored) in
        [(encoded, r#"path "b" { capabilities = ["read"] }"#), (json_text, json_text), ("# nothing", "# nothing")]
    {
        assert_eq!(harness.request("POST", "sys/policies/acl/p", json!({ "policy": sent })).0, 204);
        assert_eq!(harness.request("GET", "sys/policies/acl/p", Value::Null).1["data"]["policy"], stored);
    }
}

#[test]
fn what_is_no_policy_is_refused() {
    let mut harness = Harness::new();
    for sent in [json!({}), json!({ "policy": "" })] {
        let (status, body) = harness.request("POST", "sys/policies/acl/none", sent);
        assert_eq!((status, errors(&body)), (400, vec!["'policy' parameter not supplied or empty"]));
    }
    for text in ["path \"a\" {", "paths \"a\" {}", "path \"a\" { capabilities = [\"fly\"] }", "path \"a/+*\" {}"] {
        let (status, body) = harness.request("POST", "sys/policies/acl/none", json!({ "policy": text }));
        assert_eq!(status, 400);
        assert!(errors(&body)[0].starts_with("failed to parse policy: "), "{body}");
    }
    assert_eq!(harness.request("GET", "sys/policies/acl/none", Value::Null).0, 404);
}

#[test]
fn built_in_policies_cannot_be_changed() {
    // check 54
    let mut harness = Harness::new();
    let policy = json!({ "policy": READER });
    for (verb, name, text) in [
        ("POST", "root", "cannot update \"root\" policy"),
        ("DELETE", "root", "cannot delete \"root\" policy"),
        ("POST", "response-wrapping", "cannot update \"response-wrapping\" policy"),
        ("DELETE", "response-wrapping", "cannot delete \"response-wrapping\" policy"),
        ("DELETE", "default", "cannot delete default policy"),
    ] {
        for form in ["sys/policies/acl", "sys/policy"] {
            let (status, body) = harness.request(verb, &format!("{form}/{name}"), policy.clone());
            assert_eq!((status, errors(&body)), (400, vec![text]));
        }
    }
    assert_eq!(harness.request("POST", "sys/policies/acl/ROOT", policy.clone()).0, 400);
    assert_eq!(harness.request("POST", "sys/policies/acl/default", policy).0, 204);
    let (status, body) = harness.request("GET", "sys/policies/acl/root", Value::Null);
    assert_eq!((status, &body["data"]["policy"]), (200, &json!("")));
    assert_eq!(harness.request("GET", "sys/policies/acl/response-wrapping", Value::Null).0, 404);
}

#[test]
fn what_is_not_there_is_not_found_and_deleted_silently() {
    let mut harness = Harness::new();
    for path in ["sys/policies/acl/absent", "sys/policy/absent", "sys/policies/acl/a*"] {
        let (status, body) = harness.request("GET", path, Value::Null);
        assert_eq!((status, body["errors"].as_array().map(Vec::len)), (404, Some(0)), "{path}");
        assert_eq!(harness.request("DELETE", path, Value::Null).0, 204);
    }
}

#[test]
fn the_resultant_acl_shows_merged_rules() {
    let mut harness = Harness::new();
    assert_eq!(harness.request("GET", "sys/internal/ui/resultant-acl", Value::Null).1["data"], json!({ "root": true }));
    let token = harness.token_with(READER);
    let (_, body) = harness.request_as(&token, "GET", "sys/internal/ui/resultant-acl", Value::Null);
    assert_eq!(body["data"]["root"], false);
    assert_eq!(body["data"]["glob_paths"]["secret/data/"], json!({ "capabilities": ["list", "read"] }));
    assert_eq!(body["data"]["exact_paths"]["sys/capabilities-self"], json!({ "capabilities": ["update"] }));
}

#[test]
fn an_expired_rule_ends_also_where_the_merger_is_kept() {
    let mut harness = Harness::new();
    let until = harness.now.plus_secs(60);
    let policy = format!(r#"path "sys/mounts" {{ capabilities = ["read"] expiration = "{until}" }}"#);
    let token = harness.token_with(&policy);
    assert_eq!(harness.request_as(&token, "GET", "sys/mounts", Value::Null).0, 200);
    assert_eq!(harness.request_as(&token, "GET", "sys/mounts", Value::Null).0, 200);
    harness.advance(61);
    assert_eq!(harness.request_as(&token, "GET", "sys/mounts", Value::Null).0, 403);
}
