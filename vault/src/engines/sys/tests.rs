//! The system engine through whole requests. The expected answers follow the recorded behaviour of the API.

use serde_json::{Value, json};

use super::ENGINE;
use crate::action::Action;
use crate::testing::{Harness, ROOT};

mod audit;
mod configuration;
mod mounts;
mod policies;
mod spelling;

/// The texts of a refusal.
fn errors(body: &Value) -> Vec<&str> {
    body["errors"].as_array().map(|errors| errors.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

#[test]
fn capabilities_are_told_for_one_or_many_paths() {
    let mut harness = Harness::new();
    let policy = r#"path "secret/data/a" { capabilities = ["read", "list", "sudo"] }
        path "secret/data/b" { capabilities = ["deny"] }"#;
    let token = harness.token_with(policy);
    let (status, body) =
        harness.request_as(&token, "POST", "sys/capabilities-self", json!({ "path": "/secret/data/a" }));
    assert_eq!(status, 200);
    assert_eq!(body["capabilities"], json!(["list", "read", "sudo"]));
    assert_eq!(body["data"]["/secret/data/a"], json!(["list", "read", "sudo"]));
    let asked = json!({ "token": token, "paths": "secret/data/a,secret/data/b,none" });
    let (status, body) = harness.request("POST", "sys/capabilities", asked);
    assert_eq!(status, 200);
    let expected = json!({ "none": ["deny"], "secret/data/a": ["list", "read", "sudo"], "secret/data/b": ["deny"] });
    assert_eq!(body["data"], expected);
    let (_, body) = harness.request("POST", "sys/capabilities-self", json!({ "paths": ["a", "sys/seal"] }));
    assert_eq!(body["data"], json!({ "a": ["root"], "sys/seal": ["root"] }));
}

#[test]
fn capabilities_follow_a_policy_at_once() {
    let mut harness = Harness::new();
    let policy = |words: &str| json!({ "policy": format!(r#"path "a" {{ capabilities = [{words}] }}"#) });
    harness.request("POST", "sys/policies/acl/p", policy(r#""read""#));
    let token = harness.token(json!({ "policies": ["p"] }));
    let ask = |harness: &mut Harness| {
        harness.request_as(&token, "POST", "sys/capabilities-self", json!({ "path": "a" })).1["capabilities"].clone()
    };
    assert_eq!(ask(&mut harness), json!(["read"]));
    harness.request("POST", "sys/policies/acl/p", policy(r#""list""#));
    assert_eq!(ask(&mut harness), json!(["list"]));
    harness.request("DELETE", "sys/policies/acl/p", Value::Null);
    assert_eq!(ask(&mut harness), json!(["deny"]));
}

#[test]
fn capabilities_of_nobody_are_refused() {
    let mut harness = Harness::new();
    let cases = [
        ("sys/capabilities-self", json!({}), "paths must be supplied"),
        ("sys/capabilities-self", json!({ "paths": [] }), "paths must be supplied"),
        ("sys/capabilities", json!({ "token": "nope", "path": "a" }), "1 error occurred:\n\t* invalid token\n\n"),
        ("sys/capabilities", json!({ "path": "a" }), "1 error occurred:\n\t* no token found\n\n"),
        (
            "sys/capabilities-accessor",
            json!({ "accessor": "nope", "path": "a" }),
            "1 error occurred:\n\t* invalid accessor\n\n",
        ),
        ("sys/capabilities-accessor", json!({ "path": "a" }), "missing accessor"),
    ];
    for (path, body, text) in cases {
        let (status, answer) = harness.request("POST", path, body);
        assert_eq!((status, errors(&answer)), (400, vec![text]), "{path}");
    }
}

#[test]
fn a_term_rotates_and_old_values_stay_readable() {
    let mut harness = Harness::new();
    harness.request("POST", "secret/data/a", json!({ "data": { "k": "v" } }));
    let (_, before) = harness.request("GET", "sys/key-status", Value::Null);
    assert_eq!((&before["data"]["term"], &before["term"]), (&json!(1), &json!(1)));
    assert_eq!(harness.request("POST", "sys/rotate", Value::Null).0, 204);
    let (_, after) = harness.request("GET", "sys/key-status", Value::Null);
    assert_eq!(after["data"]["term"], 2);
    let (status, body) = harness.request("GET", "secret/data/a", Value::Null);
    assert_eq!((status, &body["data"]["data"]["k"]), (200, &json!("v")));
    assert_eq!(harness.request("POST", "secret/data/b", json!({ "data": { "k": "v" } })).0, 200);
}

#[test]
fn of_two_rotations_at_once_one_is_run_again() {
    let mut harness = Harness::new();
    let request = harness.build(ROOT, "POST", "sys/rotate", Value::Null);
    let (_, first) = harness.propose(&request);
    let (_, second) = harness.propose(&request);
    assert!(harness.commit(&first.unwrap()));
    // A batch of the former term still counts, but its guard does not hold.
    assert!(!harness.commit(&second.unwrap()));
    assert_eq!(harness.core.barrier().active_term(), 2);
}

#[test]
fn rotation_settings_have_bounds() {
    let mut harness = Harness::new();
    let (_, body) = harness.request("GET", "sys/rotate/config", Value::Null);
    assert_eq!(body["data"], json!({ "enabled": true, "interval": 0, "max_operations": 3_865_470_566_u64 }));
    let sent = json!({ "max_operations": 2_000_000, "interval": "48h", "enabled": true });
    assert_eq!(harness.request("POST", "sys/rotate/config", sent).0, 204);
    let (_, body) = harness.request("GET", "sys/rotate/config", Value::Null);
    assert_eq!(body["data"], json!({ "enabled": true, "interval": "48h0m0s", "max_operations": 2_000_000 }));
    for sent in [json!({ "max_operations": 5 }), json!({ "max_operations": 1_u64 << 32 }), json!({ "interval": "1s" })]
    {
        assert_eq!(harness.request("POST", "sys/rotate/config", sent).0, 400);
    }
}

#[test]
fn random_bytes_come_as_they_were_asked_for() {
    let mut harness = Harness::new();
    let mut length_of = |path: &str, body: Value| {
        let (status, body) = harness.request("POST", path, body);
        body["data"]["random_bytes"].as_str().map_or(usize::from(status), str::len)
    };
    assert_eq!(length_of("sys/tools/random", Value::Null), 44);
    assert_eq!(length_of("sys/tools/random/16", json!({ "format": "hex" })), 32);
    assert_eq!(length_of("sys/tools/random", json!({ "bytes": "24", "format": "hex" })), 48);
    assert_eq!(length_of("sys/tools/random/platform/20", json!({ "format": "hex" })), 40);
    assert_eq!(length_of("sys/tools/random/9", json!({ "bytes": 12, "format": "hex" })), 18);
    for (path, body) in [
        ("sys/tools/random/moon/20", Value::Null),
        ("sys/tools/random/0", Value::Null),
        ("sys/tools/random", json!({ "bytes": -3 })),
        ("sys/tools/random", json!({ "bytes": 200_000 })),
        ("sys/tools/random/99999999999999999999", Value::Null),
        ("sys/tools/random/8", json!({ "format": "octal" })),
    ] {
        assert_eq!(length_of(path, body), 400, "{path}");
    }
}

#[test]
fn hashes_are_those_of_the_standards() {
    let mut harness = Harness::new();
    let mut sum = |path: &str, body: Value| {
        let (status, body) = harness.request("POST", path, body);
        body["data"]["sum"].as_str().map_or(status.to_string(), str::to_owned)
    };
    let abc = |more: Value| {
        let mut body = json!({ "input": "YWJj" });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        body
    };
    assert_eq!(sum("sys/tools/hash", json!({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(
        sum("sys/tools/hash/sha3-224", abc(json!({}))),
        "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"
    );
    let in_base64 = abc(json!({ "format": "base64" }));
    assert_eq!(sum("sys/tools/hash/sha3-256", in_base64), "Ophdp0/iJbIEXBcta9OQvYVfCG4+nVJbRr/iRRFDFTI=");
    assert_eq!(
        sum("sys/tools/hash", abc(json!({ "algorithm": "sha2-224" }))),
        "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"
    );
    for (path, body) in [
        ("sys/tools/hash/SHA2-256", abc(json!({}))),
        ("sys/tools/hash", json!({ "input": "***" })),
        ("sys/tools/hash", abc(json!({ "format": "x" }))),
    ] {
        assert_eq!(sum(path, body), "400");
    }
}

#[test]
fn what_only_the_node_can_do_is_handed_to_it() {
    let mut harness = Harness::new();
    let weak = harness.token(json!({ "policies": ["default"] }));
    let cases = [
        ("POST", "sys/seal", json!({}), Action::Seal),
        ("POST", "sys/step-down", json!({}), Action::StepDown),
        ("GET", "sys/ha-status", Value::Null, Action::HaStatus),
        ("GET", "sys/storage/raft/configuration", Value::Null, Action::RaftConfiguration),
        (
            "POST",
            "sys/storage/raft/remove-peer",
            json!({ "server_id": "x" }),
            Action::RemovePeer { server_id: "x".into() },
        ),
        ("POST", "sys/storage/raft/join-token", json!({ "ttl": "5m" }), Action::JoinToken { ttl_secs: 300, uses: 1 }),
        ("GET", "sys/metrics?format=prometheus", Value::Null, Action::Metrics { format: "prometheus".into() }),
        ("GET", "sys/host-info", Value::Null, Action::HostInfo),
        ("GET", "sys/in-flight-req", Value::Null, Action::InFlightRequests),
        ("GET", "sys/config/state/sanitized", Value::Null, Action::SanitizedConfig),
        ("LIST", "sys/version-history", Value::Null, Action::VersionHistory),
    ];
    for (verb, path, body, action) in cases {
        let request = harness.build(ROOT, verb, path, body.clone());
        let answer = harness.send(&request);
        assert_eq!((answer.action, answer.wrote), (Some(action), false), "{path}");
        let request = harness.build(&weak, verb, path, body);
        let refused = harness.send(&request);
        assert_eq!((refused.status, refused.action), (403, None), "{path}");
    }
    for (verb, path, body) in [
        ("POST", "sys/storage/raft/remove-peer", json!({})),
        ("POST", "sys/storage/raft/join-token", json!({ "ttl": "769h" })),
        ("POST", "sys/storage/raft/join-token", json!({ "uses": 0 })),
        ("POST", "sys/storage/raft/join-token", json!({ "uses": -1 })),
        ("POST", "sys/storage/raft/join-token", json!({ "uses": 65 })),
        ("GET", "sys/metrics?format=xml", Value::Null),
    ] {
        assert_eq!(harness.request(verb, path, body).0, 400, "{path}");
    }
}

#[test]
fn sudo_paths_want_sudo() {
    // check 62
    let mut harness = Harness::new();
    let policy = r#"path "sys/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    let token = harness.token_with(policy);
    for (verb, path) in [
        ("POST", "sys/seal"),
        ("POST", "sys/step-down"),
        ("POST", "sys/rotate"),
        ("GET", "sys/rotate/config"),
        ("POST", "sys/remount"),
        ("POST", "sys/auth/up"),
        ("LIST", "sys/leases/lookup/auth"),
        ("POST", "sys/leases/revoke-prefix/auth"),
        ("POST", "sys/leases/revoke-force/auth"),
    ] {
        let request = harness.build(&token, verb, path, Value::Null);
        let answer = harness.send(&request);
        assert_eq!((answer.status, answer.wrote, answer.action), (403, false, None), "{verb} {path}");
    }
    assert_eq!(harness.request_as(&token, "GET", "sys/mounts", Value::Null).0, 200);
}

#[test]
fn only_listed_paths_answer_without_a_token() {
    // check 2
    let public: Vec<_> = ENGINE.paths().filter(|path| !path.needs_token()).map(|path| path.pattern).collect();
    let expected = [
        "internal/ui/mounts",
        "internal/ui/mounts/{path..}",
        "internal/ui/namespaces",
        "internal/specs/openapi",
        "wrapping/unwrap",
        "wrapping/lookup",
        "wrapping/rewrap",
        "wrapping/pubkey",
        "decode-token",
        "mfa/validate",
        "health",
        "seal-status",
        "leader",
        "init",
        "unseal",
        "storage/raft/join",
        "storage/raft/bootstrap/challenge",
        "storage/raft/bootstrap/answer",
        "replication/status",
    ];
    assert_eq!(public, expected);
    let mut harness = Harness::new();
    for (verb, path) in
        [("GET", "sys/internal/ui/mounts/secret"), ("GET", "sys/internal/ui/namespaces"), ("GET", "sys/mounts")]
    {
        let (status, body) = harness.request_as("", verb, path, Value::Null);
        assert_eq!((status, errors(&body)), (403, vec!["permission denied"]), "{path}");
    }
}

#[test]
fn a_token_has_a_lease_that_can_be_found_and_revoked() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "ttl": "1h", "policies": ["default"] }));
    let (_, body) = harness.request("LIST", "sys/leases/lookup/auth/token/create", Value::Null);
    let lease = format!("auth/token/create/{}", body["data"]["keys"][0].as_str().unwrap());
    let (status, body) = harness.request("POST", "sys/leases/lookup", json!({ "lease_id": lease }));
    assert_eq!((status, &body["data"]["ttl"], &body["data"]["last_renewal"]), (200, &json!(3600), &Value::Null));
    let (_, body) = harness.request("LIST", "sys/leases/lookup", Value::Null);
    assert_eq!(body["data"]["keys"], json!(["auth/"]));
    let (status, body) = harness.request("POST", "sys/leases/renew", json!({ "lease_id": lease }));
    assert_eq!((status, errors(&body)), (400, vec!["tokens cannot be renewed through this endpoint"]));
    assert_eq!(harness.request("PUT", "sys/leases/revoke", json!({ "lease_id": lease, "sync": true })).0, 204);
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 403);
    assert_eq!(harness.request("LIST", "sys/leases/lookup/auth/token", Value::Null).0, 404);
}

#[test]
fn leases_below_a_path_are_revoked_together() {
    let mut harness = Harness::new();
    let tokens = [0, 1, 2].map(|_| harness.token(json!({ "ttl": "1h", "policies": ["default"] })));
    assert_eq!(harness.request("POST", "sys/leases/revoke-prefix/auth/token/cre", Value::Null).0, 204);
    assert_eq!(harness.request_as(&tokens[0], "GET", "auth/token/lookup-self", Value::Null).0, 200);
    assert_eq!(harness.request("POST", "sys/leases/revoke-prefix/auth/token/create", Value::Null).0, 204);
    for token in &tokens {
        assert_eq!(harness.request_as(token, "GET", "auth/token/lookup-self", Value::Null).0, 403);
    }
    assert_eq!(harness.request("GET", "sys/mounts", Value::Null).0, 200);
}

#[test]
fn unknown_leases_are_told_apart_from_missing_ids() {
    let mut harness = Harness::new();
    let cases = [
        ("sys/leases/lookup", json!({ "lease_id": "auth/token/create/none" }), 400, "invalid lease"),
        ("sys/leases/lookup", json!({}), 400, "lease_id must be specified"),
        ("sys/leases/renew", json!({ "lease_id": "none" }), 400, "lease not found"),
        ("sys/leases/renew", json!({}), 400, "lease_id must be specified"),
        ("sys/leases/revoke", json!({}), 400, "lease_id must be specified"),
    ];
    for (path, body, expected, text) in cases {
        let (status, answer) = harness.request("POST", path, body);
        assert_eq!((status, errors(&answer)), (expected, vec![text]), "{path}");
    }
    assert_eq!(harness.request("POST", "sys/leases/revoke", json!({ "lease_id": "none" })).0, 204);
    assert_eq!(harness.request("POST", "sys/leases/tidy", Value::Null).0, 202);
    assert_eq!(harness.request("GET", "sys/leases/count", Value::Null).0, 404);
    assert_eq!(harness.request("GET", "sys/leases?type=irrevocable", Value::Null).1["data"]["lease_count"], 0);
}

#[test]
fn what_is_not_set_up_is_empty_and_no_error() {
    let mut harness = Harness::new();
    let (status, body) = harness.request("GET", "sys/audit", Value::Null);
    assert_eq!((status, &body["data"]), (200, &json!({})));
    let (status, body) = harness.request("LIST", "sys/policies/password", Value::Null);
    assert_eq!((status, errors(&body).len()), (404, 0));
    let weak = harness.token(json!({ "policies": ["default"] }));
    assert_eq!(harness.request_as(&weak, "GET", "sys/audit", Value::Null).0, 403);
}

#[test]
fn paths_that_are_about_the_server_itself_need_sudo() {
    // check 62
    let protected: Vec<_> = ENGINE.paths().filter(|path| path.needs_sudo()).map(|path| path.pattern).collect();
    let expected = [
        "auth/{path..}/tune",
        "auth/{path..}",
        "remount",
        "generate-root/attempt",
        "generate-root/update",
        "rekey/init",
        "rekey/update",
        "rekey/verify",
        "rekey/backup",
        "rotate",
        "rotate/keyring",
        "rotate/config",
        "rotate/keyring/config",
        "leases/lookup/{prefix..?}",
        "leases/revoke-prefix/{prefix..}",
        "leases/revoke-force/{prefix..}",
        "leases",
        "locked-users/{mount_accessor}/unlock/{alias_identifier..}",
        "audit",
        "audit/{path..}",
        "audit-chain/{path..}",
        "config/auditing/request-headers",
        "config/auditing/request-headers/{header}",
        "seal",
        "step-down",
        "storage/raft/remove-peer",
        "storage/raft/join-token",
        "plugins/catalog/{type}/?",
        "plugins/catalog/{type}/{name}",
        "config/cors",
        "config/ui/headers/?",
        "config/ui/headers/{header}",
        "config/group-policy-application",
    ];
    assert_eq!(protected, expected);
    let mut harness = Harness::new();
    let token = harness.token_with(r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] }"#);
    for (verb, path) in [("GET", "sys/audit"), ("LIST", "sys/leases/lookup/auth/"), ("LIST", "auth/token/accessors/")] {
        assert_eq!(harness.request_as(&token, verb, path, Value::Null).0, 403, "{path}");
    }
}

#[test]
fn whatever_can_be_asked_about_says_that_there_is_none() {
    let mut harness = Harness::new();
    let cases = [
        ("GET", "sys/audit", 200, json!({})),
        ("GET", "sys/config/auditing/request-headers", 200, json!({ "headers": {} })),
        ("GET", "sys/config/auditing/request-headers/X-None", 400, Value::Null),
        ("GET", "sys/internal/counters/requests", 200, json!({ "counters": [] })),
        ("GET", "sys/internal/counters/tokens", 200, json!({ "counters": { "service_tokens": { "total": 1 } } })),
        ("GET", "sys/internal/counters/entities", 200, json!({ "counters": { "entities": { "total": 0 } } })),
        ("GET", "sys/internal/counters/activity", 204, Value::Null),
        ("LIST", "sys/plugins/catalog/database", 200, json!({ "keys": [] })),
        ("LIST", "sys/plugins/catalog/odd", 400, Value::Null),
        ("GET", "sys/plugins/catalog/odd/kv", 200, Value::Null),
        ("GET", "sys/plugins/catalog/secret/none", 404, Value::Null),
    ];
    for (verb, path, status, data) in cases {
        let (got, body) = harness.request(verb, path, Value::Null);
        assert_eq!((got, &body["data"]), (status, &data), "{path}");
    }
    let (_, body) = harness.request("LIST", "sys/plugins/catalog/secret", Value::Null);
    assert!(body["data"]["keys"].as_array().unwrap().contains(&json!("kv")), "{body}");
}

#[test]
fn the_catalog_names_what_can_be_mounted() {
    let mut harness = Harness::new();
    let (_, body) = harness.request("GET", "sys/plugins/catalog", Value::Null);
    for class in ["auth", "secret"] {
        let kinds = body["data"][class].as_array().unwrap().clone();
        assert!(!kinds.is_empty());
        for kind in kinds {
            let kind = kind.as_str().unwrap();
            let (status, body) = harness.request("GET", &format!("sys/plugins/catalog/{class}/{kind}"), Value::Null);
            assert_eq!((status, &body["data"]["builtin"]), (200, &json!(true)));
            let mounts = if class == "auth" { "auth" } else { "mounts" };
            assert_eq!(harness.request("POST", &format!("sys/{mounts}/x-{kind}"), json!({ "type": kind })).0, 204);
        }
    }
}
