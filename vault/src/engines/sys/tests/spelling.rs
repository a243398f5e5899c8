//! Names have one spelling: what a policy is asked about is what the handler works with.

use serde_json::{Value, json};

use crate::testing::{Harness, ROOT};

const ALL: &str = r#"capabilities = ["create", "read", "update", "delete", "list"]"#;

#[test]
fn a_denied_policy_cannot_be_reached_by_another_spelling_of_its_name() {
    let mut harness = Harness::new();
    let policy = json!({ "policy": r#"path "a" { capabilities = ["read"] }"# });
    harness.request("POST", "sys/policies/acl/admin", policy.clone());
    for form in ["sys/policies/acl", "sys/policy"] {
        let token = harness
            .token_with(&format!(r#"path "{form}/*" {{ {ALL} }} path "{form}/admin" {{ capabilities = ["deny"] }}"#));
        for name in ["admin", "ADMIN", "%20admin", "admin%C2%A0", "%E3%80%80admin", "admin%20", "admin/"] {
            for verb in ["GET", "PUT", "DELETE"] {
                let body = if verb == "PUT" { policy.clone() } else { Value::Null };
                let (status, body) = harness.request_as(&token, verb, &format!("{form}/{name}"), body);
                // A name that cannot be is nobody's, so there is nothing to delete.
                assert!((400..=404).contains(&status) || (verb, status) == ("DELETE", 204), "{verb} {name}: {body}");
            }
        }
        let (_, body) = harness.request("GET", "sys/policies/acl/admin", Value::Null);
        assert!(body["data"]["policy"].as_str().is_some_and(|text| text.contains(r#""a""#)));
    }
}

#[test]
fn a_narrower_rule_holds_for_upper_case_where_the_engine_lowers() {
    let mut harness = Harness::new();
    let policy = json!({ "policy": r#"path "a" { capabilities = ["read"] }"# });
    let token = harness.token_with(&format!(
        r#"path "sys/policies/acl/*" {{ {ALL} }} path "sys/policies/acl/prod" {{ capabilities = ["read"] }}"#
    ));
    for name in ["prod", "Prod", "PROD"] {
        let (status, _) = harness.request_as(&token, "PUT", &format!("sys/policies/acl/{name}"), policy.clone());
        assert_eq!(status, 403, "{name}");
    }
    // A name that the rule does not speak of is written, and its writer is told what became of it.
    let (status, body) = harness.request_as(&token, "PUT", "sys/policies/acl/Dev", policy);
    assert_eq!((status, &body["warnings"]), (200, &json!(["policy name was converted to dev"])));

    harness.request("POST", "sys/auth/approle", json!({ "type": "approle" }));
    harness.request("POST", "auth/approle/role/prod", json!({}));
    let token = harness.token_with(
        r#"path "auth/approle/role/+/secret-id" { capabilities = ["update"] }
           path "auth/approle/role/prod/secret-id" { capabilities = ["update"] min_wrapping_ttl = "60s" }"#,
    );
    for name in ["prod", "PROD", "Prod"] {
        let (status, _) =
            harness.request_as(&token, "POST", &format!("auth/approle/role/{name}/secret-id"), Value::Null);
        assert_eq!(status, 403, "{name}");
    }
}

#[test]
fn a_trailing_slash_is_no_second_spelling_of_a_mount() {
    let mut harness = Harness::new();
    harness.request("POST", "sys/mounts/vip", json!({ "type": "kv" }));
    harness.request("POST", "sys/auth/vip", json!({ "type": "approle" }));
    let token = harness.token_with(&format!(
        r#"path "sys/mounts/*" {{ {ALL} }} path "sys/mounts/vip" {{ capabilities = ["deny"] }}
           path "sys/mounts/vip/tune" {{ capabilities = ["deny"] }}
           path "sys/auth/*" {{ capabilities = ["create", "read", "update", "delete", "sudo"] }}
           path "sys/auth/vip" {{ capabilities = ["deny"] }}"#
    ));
    for (verb, path) in [
        ("DELETE", "sys/mounts/vip"),
        ("DELETE", "sys/mounts/vip/"),
        ("GET", "sys/mounts/vip/"),
        ("GET", "sys/mounts/vip/tune/"),
        ("DELETE", "sys/auth/vip/"),
        ("GET", "sys/auth/vip/"),
    ] {
        assert_eq!(harness.request_as(&token, verb, path, Value::Null).0, 403, "{verb} {path}");
    }
    assert_eq!(harness.request("GET", "sys/mounts/vip/", Value::Null).0, 200);
    assert_eq!(harness.request("GET", "sys/policies/acl/default/", Value::Null).0, 200);
}

#[test]
fn a_denied_value_is_denied_however_it_is_spelled() {
    let mut harness = Harness::new();
    harness.request("POST", "sys/auth/approle", json!({ "type": "approle" }));
    let token = harness.token_with(
        r#"path "auth/approle/role/*" {
               capabilities = ["create", "update"]
               denied_parameters = { bind_secret_id = [false] token_policies = ["admin"] }
           }
           path "auth/approle/role/timed" { capabilities = ["create", "update"] required_parameters = ["token_ttl"] }"#,
    );
    let spellings =
        [json!(false), json!("false"), json!("0"), json!(0), json!("f"), json!("F"), json!(""), json!(null)];
    let mut refused: Vec<Value> = spellings.into_iter().map(|value| json!({ "bind_secret_id": value })).collect();
    for name in
        [json!("admin"), json!(" admin"), json!("Admin"), json!(["Admin"]), json!("x,ADMIN "), json!(["x", " admin"])]
    {
        refused.push(json!({ "token_policies": name }));
        refused.push(json!({ "policies": name }));
    }
    for body in refused {
        let sent = body.clone();
        assert_eq!(harness.request_as(&token, "POST", "auth/approle/role/r", body).0, 403, "{sent}");
    }
    let allowed = json!({ "bind_secret_id": "1", "token_policies": "administrator" });
    assert_eq!(harness.request_as(&token, "POST", "auth/approle/role/r", allowed).0, 204);
    // What the engine takes for "not sent" satisfies no rule that wants it sent.
    let timed = "auth/approle/role/timed";
    assert_eq!(harness.request_as(&token, "POST", timed, json!({ "token_ttl": null })).0, 403);
    assert_eq!(harness.request_as(&token, "POST", timed, json!({ "token_ttl": "1h" })).0, 204);
    assert_eq!(harness.request_as(ROOT, "GET", timed, Value::Null).1["data"]["token_ttl"], 3600);
}

#[test]
fn capabilities_are_those_of_the_name_that_a_request_would_change() {
    // check 64
    let mut harness = Harness::new();
    let token = harness.token_with(
        r#"path "sys/policies/acl/*" { capabilities = ["create", "update", "read"] }
           path "sys/policies/acl/prod" { capabilities = ["read"] }"#,
    );
    for (path, capabilities) in
        [("sys/policies/acl/Prod", json!(["read"])), ("sys/policies/acl/Test", json!(["create", "read", "update"]))]
    {
        let (status, body) = harness.request_as(&token, "POST", "sys/capabilities-self", json!({ "paths": [path] }));
        assert_eq!((status, &body["data"][path]), (200, &capabilities), "{path}: {body}");
    }
    let policy = json!({ "policy": "" });
    assert_eq!(harness.request_as(&token, "POST", "sys/policies/acl/Prod", policy).0, 403);
}
