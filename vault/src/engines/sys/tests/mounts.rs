//! Mounts: enable, read, tune, move, disable.

use serde_json::{Value, json};

use super::errors;
use crate::testing::Harness;

fn enable(harness: &mut Harness, path: &str, body: Value) -> (u16, Value) {
    harness.request("POST", &format!("sys/mounts/{path}"), body)
}

#[test]
fn the_first_mounts_look_as_clients_know_them() {
    let mut harness = Harness::new();
    let (_, body) = harness.request("GET", "sys/mounts", Value::Null);
    assert_eq!(body["data"]["secret/"], body["secret/"]);
    let mut secret = body["data"]["secret/"].clone();
    let accessor = secret["accessor"].take();
    assert!(accessor.as_str().unwrap().starts_with("kv_"));
    assert_eq!(secret["uuid"].take().as_str().unwrap().len(), 36);
    let expected = json!({
        "accessor": null, "uuid": null, "type": "kv", "description": "key/value secret storage", "local": false,
        "seal_wrap": false, "external_entropy_access": false, "options": { "version": "2" }, "plugin_version": "",
        "config": { "default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": false },
        "running_plugin_version": "v1.17.6+builtin.conclave", "running_sha256": "", "deprecation_status": "supported",
    });
    assert_eq!(secret, expected);
    assert_eq!(body["data"]["sys/"]["options"], Value::Null);
    let (_, body) = harness.request("GET", "sys/auth", Value::Null);
    assert!(body["data"]["token/"]["accessor"].as_str().unwrap().starts_with("auth_token_"));
    assert_eq!(body["token/"]["config"]["token_type"], "default-service");
}

#[test]
fn a_mount_reads_as_it_was_enabled() {
    let mut harness = Harness::new();
    let config = json!({
        "default_lease_ttl": "1h", "max_lease_ttl": 7200, "force_no_cache": true, "audit_non_hmac_request_keys": ["a"],
        "listing_visibility": "unauth",
    });
    let sent = json!({ "type": "kv", "description": "one", "options": { "version": "1" }, "config": config });
    assert_eq!(enable(&mut harness, "kv", sent).0, 204);
    for path in ["sys/mounts/kv", "sys/mounts/kv/"] {
        let (status, body) = harness.request("GET", path, Value::Null);
        assert_eq!(status, 200);
        let shown = json!({
            "audit_non_hmac_request_keys": ["a"], "default_lease_ttl": 3600, "force_no_cache": true,
            "listing_visibility": "unauth", "max_lease_ttl": 7200,
        });
        assert_eq!((&body["data"]["config"], &body["config"]), (&shown, &shown));
    }
    let (_, body) = harness.request("GET", "sys/mounts/kv/tune", Value::Null);
    let tuning = json!({
        "audit_non_hmac_request_keys": ["a"], "default_lease_ttl": 3600, "description": "one", "force_no_cache": true,
        "listing_visibility": "unauth", "max_lease_ttl": 7200, "options": { "version": "1" },
    });
    assert_eq!(body["data"], tuning);
}

#[test]
fn what_cannot_be_mounted_is_refused_with_a_reason() {
    let mut harness = Harness::new();
    enable(&mut harness, "kv", json!({ "type": "kv" }));
    enable(&mut harness, "deep/er/mount", json!({ "type": "kv" }));
    let config = |config: Value| json!({ "type": "kv", "config": config });
    let cases = [
        ("kv", json!({ "type": "kv" }), "path is already in use at kv/"),
        ("kv/below", json!({ "type": "kv" }), "path is already in use at kv/"),
        ("deep", json!({ "type": "kv" }), "path is already in use at deep/er/mount/"),
        ("x", json!({ "type": "quantum" }), "plugin not found in the catalog: quantum"),
        ("x", json!({ "type": "kv", "options": { "version": "3" } }), "the version \"3\" does not fit"),
        ("x", json!({}), "backend type must be specified as a string"),
        ("sys", json!({ "type": "kv" }), "cannot mount \"sys/\""),
        ("sys/x", json!({ "type": "kv" }), "cannot mount \"sys/x/\""),
        ("auth", json!({ "type": "kv" }), "cannot mount \"auth/\""),
        ("auth/x", json!({ "type": "kv" }), "cannot mount \"auth/x/\""),
        ("identity", json!({ "type": "kv" }), "cannot mount \"identity/\""),
        ("sys2", json!({ "type": "system" }), "mount type of \"system\" is not mountable"),
        ("cub2", json!({ "type": "cubbyhole" }), "mount type of \"cubbyhole\" is not mountable"),
        (
            "x",
            config(json!({ "default_lease_ttl": "2h", "max_lease_ttl": "1h" })),
            "the default lease TTL of 7200 seconds",
        ),
        ("x", config(json!({ "default_lease_ttl": "x" })), "unable to parse default TTL of x"),
        ("x", config(json!({ "listing_visibility": "loud" })), "invalid listing_visibility loud"),
        ("x", json!({ "type": "kv", "description": "d".repeat(20_000) }), "the mount's description"),
    ];
    for (path, body, text) in cases {
        let (status, answer) = enable(&mut harness, path, body);
        assert_eq!(status, 400, "{path} {text}");
        assert!(errors(&answer)[0].starts_with(text), "{answer}");
    }
    assert_eq!(harness.request("GET", "sys/mounts/x", Value::Null).0, 400);
}

#[test]
fn kinds_of_kv_choose_its_version() {
    let mut harness = Harness::new();
    for (path, sent, version) in [
        ("one", json!({ "type": "kv" }), json!({})),
        ("two", json!({ "type": "kv-v2" }), json!({ "version": "2" })),
        ("three", json!({ "type": "kv", "options": { "version": 2 } }), json!({ "version": "2" })),
        ("four", json!({ "type": "kv-v1" }), json!({ "version": "1" })),
    ] {
        assert_eq!(enable(&mut harness, path, sent).0, 204);
        let (_, body) = harness.request("GET", &format!("sys/mounts/{path}"), Value::Null);
        assert_eq!((&body["data"]["type"], &body["data"]["options"]), (&json!("kv"), &version));
    }
    assert_eq!(harness.request("POST", "two/data/a", json!({ "data": { "k": 1 } })).0, 200);
    assert_eq!(harness.request("POST", "one/a", json!({ "k": 1 })).0, 204);
}

#[test]
fn tuning_changes_what_was_sent_and_keeps_the_rest() {
    let mut harness = Harness::new();
    let config = json!({ "audit_non_hmac_request_keys": ["a"] });
    enable(&mut harness, "kv", json!({ "type": "kv", "description": "one", "config": config }));
    let sent = json!({
        "description": "two", "default_lease_ttl": "30m", "max_lease_ttl": "90m", "audit_non_hmac_response_keys": "x,y",
        "passthrough_request_headers": ["X-A"], "listing_visibility": "hidden",
    });
    assert_eq!(harness.request("POST", "sys/mounts/kv/tune", sent).0, 204);
    let shown = |default_secs: u64, max_secs: u64| {
        json!({
            "audit_non_hmac_request_keys": ["a"], "audit_non_hmac_response_keys": ["x", "y"], "description": "two",
            "default_lease_ttl": default_secs, "max_lease_ttl": max_secs, "force_no_cache": false,
            "listing_visibility": "hidden", "passthrough_request_headers": ["X-A"],
        })
    };
    assert_eq!(harness.request("GET", "sys/mounts/kv/tune", Value::Null).1["data"], shown(1800, 5400));
    assert_eq!(harness.request("POST", "sys/mounts/kv/tune", json!({ "default_lease_ttl": "5h" })).0, 400);
    assert_eq!(harness.request("GET", "sys/mounts/kv/tune", Value::Null).1["data"], shown(1800, 5400));
    let back = json!({ "default_lease_ttl": "system", "max_lease_ttl": 0 });
    assert_eq!(harness.request("POST", "sys/mounts/kv/tune", back).0, 204);
    assert_eq!(harness.request("GET", "sys/mounts/kv/tune", Value::Null).1["data"], shown(2_764_800, 2_764_800));
    assert_eq!(harness.request("POST", "sys/mounts/kv/tune", json!({ "token_type": "batch" })).0, 400);
}

#[test]
fn tuning_of_nothing_is_refused() {
    let mut harness = Harness::new();
    let (status, body) = harness.request("GET", "sys/mounts/none/tune", Value::Null);
    assert_eq!((status, errors(&body)), (400, vec!["cannot fetch sysview for path \"none/\""]));
    let (status, body) = harness.request("POST", "sys/mounts/none/tune", json!({ "description": "x" }));
    assert_eq!((status, errors(&body)), (400, vec!["tune of path \"none/\" failed: no mount entry found"]));
    assert_eq!(harness.request("POST", "sys/mounts/sys/tune", json!({ "description": "x" })).0, 400);
    assert_eq!(harness.request("POST", "sys/auth/token/tune", json!({ "max_lease_ttl": "2h" })).0, 204);
    assert_eq!(harness.request("GET", "sys/auth/token/tune", Value::Null).1["data"]["default_lease_ttl"], 7200);
}

#[test]
fn kv_goes_to_its_second_version_and_not_back() {
    let mut harness = Harness::new();
    enable(&mut harness, "kv", json!({ "type": "kv", "options": { "version": "1" } }));
    let version = |version: &str| json!({ "options": { "version": version } });
    assert_eq!(harness.request("POST", "sys/mounts/kv/tune", version("1")).0, 204);
    let (status, body) = harness.request("POST", "sys/mounts/kv/tune", version("2"));
    assert_eq!((status, body["warnings"].as_array().map(Vec::len)), (200, Some(1)));
    let (status, body) = harness.request("POST", "sys/mounts/kv/tune", version("1"));
    assert_eq!((status, errors(&body)), (400, vec!["cannot downgrade mount from version 2"]));
    assert_eq!(harness.request("POST", "kv/data/a", json!({ "data": { "k": 1 } })).0, 200);
}

#[test]
fn a_moved_mount_takes_its_data_along() {
    let mut harness = Harness::new();
    enable(&mut harness, "kv", json!({ "type": "kv" }));
    harness.request("POST", "kv/a", json!({ "v": 1 }));
    let (status, body) = harness.request("POST", "sys/remount", json!({ "from": "kv", "to": "moved/kv/" }));
    assert_eq!((status, body["warnings"].as_array().map(Vec::len)), (200, Some(1)));
    let id = body["migration_id"].as_str().unwrap().to_owned();
    let (_, body) = harness.request("GET", &format!("sys/remount/status/{id}"), Value::Null);
    let info = json!({ "source_mount": "kv/", "target_mount": "moved/kv/", "status": "success" });
    assert_eq!(body["data"], json!({ "migration_id": id, "migration_info": info }));
    assert_eq!(harness.request("GET", "moved/kv/a", Value::Null).1["data"]["v"], 1);
    let (status, body) = harness.request("GET", "kv/a", Value::Null);
    assert_eq!((status, errors(&body)), (404, vec!["no handler for route \"kv/a\". route entry not found."]));
    assert_eq!(harness.request("GET", "sys/remount/status/none", Value::Null).0, 404);
}

#[test]
fn moves_that_cannot_be_are_refused() {
    let mut harness = Harness::new();
    enable(&mut harness, "kv", json!({ "type": "kv" }));
    for (sent, text) in [
        (json!({ "from": "kv", "to": "secret" }), "path already in use at \"secret/\""),
        (json!({ "from": "kv", "to": "secret/x" }), "path already in use at \"secret/\""),
        (json!({ "from": "none", "to": "other" }), "no matching mount at \"none/\""),
        (json!({ "to": "other" }), "both 'from' and 'to' path must be specified as a string"),
        (json!({ "from": "sys", "to": "other" }), "cannot remount \"sys/\""),
        (json!({ "from": "cubbyhole", "to": "other" }), "cannot remount \"cubbyhole/\""),
        (json!({ "from": "kv", "to": "sys/kv" }), "cannot remount to \"sys/kv/\""),
        (
            json!({ "from": "kv", "to": "auth/kv" }),
            "an auth method moves only below auth/, a secret engine only outside of it",
        ),
        (json!({ "from": "kv", "to": "a/../b" }), "relative paths not supported"),
    ] {
        let (status, body) = harness.request("POST", "sys/remount", sent);
        assert_eq!((status, errors(&body)), (400, vec![text]));
    }
}

#[test]
fn a_disabled_mount_is_gone_at_once_and_its_rows_later() {
    let mut harness = Harness::new();
    let rows = harness.table.len();
    enable(&mut harness, "kv", json!({ "type": "kv" }));
    for name in 0..50 {
        harness.request("POST", &format!("kv/folder/{name}"), json!({ "v": name }));
    }
    assert_eq!(harness.table.len(), rows + 50);
    assert_eq!(harness.request("DELETE", "sys/mounts/kv", Value::Null).0, 204);
    assert_eq!(harness.request("GET", "kv/folder/1", Value::Null).0, 404);
    enable(&mut harness, "kv", json!({ "type": "kv" }));
    assert_eq!(harness.request("GET", "kv/folder/1", Value::Null).0, 404);
    harness.run_tasks();
    assert_eq!(harness.table.len(), rows);
}

#[test]
fn what_is_not_mounted_is_disabled_silently_and_what_is_fixed_not_at_all() {
    let mut harness = Harness::new();
    assert_eq!(harness.request("DELETE", "sys/mounts/none", Value::Null).0, 204);
    assert_eq!(harness.request("DELETE", "sys/auth/none", Value::Null).0, 204);
    for path in ["sys", "identity", "cubbyhole"] {
        let (status, body) = harness.request("DELETE", &format!("sys/mounts/{path}"), Value::Null);
        assert_eq!((status, errors(&body)), (400, vec![format!("cannot unmount \"{path}/\"").as_str()]));
    }
    assert_eq!(harness.request("DELETE", "sys/auth/token", Value::Null).0, 400);
    assert_eq!(harness.request("DELETE", "sys/mounts/auth/token", Value::Null).0, 400);
}

#[test]
fn auth_mounts_are_refused_like_others() {
    let mut harness = Harness::new();
    for (path, body, text) in [
        ("x", json!({ "type": "osmosis" }), "plugin not found in the catalog: osmosis"),
        ("x", json!({}), "backend type must be specified as a string"),
        ("x", json!({ "type": "kv" }), "plugin not found in the catalog: kv"),
        ("x", json!({ "type": "token" }), "mount type of \"token\" is not mountable"),
    ] {
        let (status, answer) = harness.request("POST", &format!("sys/auth/{path}"), body);
        assert_eq!((status, errors(&answer)), (400, vec![text]));
    }
    let (status, body) = harness.request("GET", "sys/auth/none", Value::Null);
    assert_eq!((status, errors(&body)), (400, vec!["No auth engine at none/"]));
    let (status, body) = harness.request("GET", "sys/mounts/none", Value::Null);
    assert_eq!((status, errors(&body)), (400, vec!["No secret engine mount at none/"]));
}

#[test]
fn without_a_token_only_visible_mounts_are_listed() {
    // check 26
    let mut harness = Harness::new();
    let visible = json!({ "type": "kv", "description": "d", "config": { "listing_visibility": "unauth" } });
    enable(&mut harness, "open", visible);
    let (_, body) = harness.request_as("", "GET", "sys/internal/ui/mounts", Value::Null);
    let shown = json!({ "open/": { "description": "d", "options": {}, "type": "kv" } });
    assert_eq!(body["data"], json!({ "auth": {}, "secret": shown }));
    assert_eq!(harness.request_as("hvs.wrong", "GET", "sys/internal/ui/mounts", Value::Null).0, 403);
    for path in ["open", "secret", "none"] {
        let (status, body) = harness.request_as("", "GET", &format!("sys/internal/ui/mounts/{path}"), Value::Null);
        assert_eq!((status, errors(&body)), (403, vec!["permission denied"]));
    }
}

#[test]
fn a_token_sees_the_mounts_that_it_can_reach() {
    let mut harness = Harness::new();
    let weak = harness.token(json!({ "policies": ["default"] }));
    let (_, body) = harness.request_as(&weak, "GET", "sys/internal/ui/mounts", Value::Null);
    let keys: Vec<_> = body["data"]["secret"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["cubbyhole/", "identity/", "sys/"]);
    assert!(body["data"]["auth"]["token/"]["uuid"].is_string());
    let narrow = harness.token_with(r#"path "secret/data/only/this" { capabilities = ["read"] }"#);
    let (status, body) = harness.request_as(&narrow, "GET", "sys/internal/ui/mounts/secret/only", Value::Null);
    assert_eq!((status, &body["data"]["path"], &body["data"]["type"]), (200, &json!("secret/"), &json!("kv")));
    assert_eq!(harness.request("GET", "sys/internal/ui/mounts/auth/token/", Value::Null).1["data"]["path"], "token/");
}

#[test]
fn a_hidden_mount_and_none_are_one_answer() {
    // check 26
    let mut harness = Harness::new();
    let weak = harness.token(json!({ "policies": ["default"] }));
    for (token, path) in [(weak.as_str(), "secret"), (weak.as_str(), "none"), (crate::testing::ROOT, "none")] {
        let (status, body) = harness.request_as(token, "GET", &format!("sys/internal/ui/mounts/{path}"), Value::Null);
        let text = format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
        );
        assert_eq!((status, errors(&body)), (403, vec![text.as_str()]));
    }
}

#[test]
fn two_mounts_at_one_path_cannot_race() {
    let mut harness = Harness::new();
    let request = harness.build(crate::testing::ROOT, "POST", "sys/mounts/kv", json!({ "type": "kv" }));
    let (_, first) = harness.propose(&request);
    let (_, second) = harness.propose(&request);
    assert!(harness.commit(&first.unwrap()));
    assert!(!harness.commit(&second.unwrap()));
    let answer = harness.send(&request);
    assert_eq!((answer.status, errors(&answer.body)), (400, vec!["path is already in use at kv/"]));
}

#[test]
fn a_write_cannot_slip_in_behind_an_unmount() {
    let mut harness = Harness::new();
    let write = harness.build(crate::testing::ROOT, "POST", "secret/data/a", json!({ "data": { "k": 1 } }));
    let (_, batch) = harness.propose(&write);
    assert_eq!(harness.request("DELETE", "sys/mounts/secret", Value::Null).0, 204);
    assert!(!harness.commit(&batch.unwrap()));
    assert_eq!(harness.send(&write).status, 404);
}

#[test]
fn a_tuning_of_something_else_leaves_the_lease_times() {
    let mut harness = Harness::new();
    let config = json!({ "default_lease_ttl": "1h", "max_lease_ttl": "2h", "listing_visibility": "unauth" });
    enable(&mut harness, "tt", json!({ "type": "kv", "config": config }));
    let mut tuned = |body: Value| {
        let (status, _) = harness.request("POST", "sys/mounts/tt/tune", body);
        let (_, body) = harness.request("GET", "sys/mounts/tt/tune", Value::Null);
        (status, body["data"]["default_lease_ttl"].clone(), body["data"]["max_lease_ttl"].clone())
    };
    let other = json!({ "description": "x", "default_lease_ttl": "", "max_lease_ttl": "" });
    assert_eq!(tuned(other), (204, json!(3600), json!(7200)));
    assert_eq!(tuned(json!({ "default_lease_ttl": "", "max_lease_ttl": "30m" })), (400, json!(3600), json!(7200)));
    assert_eq!(tuned(json!({ "default_lease_ttl": "system", "max_lease_ttl": 0 })).0, 204);
    assert_eq!(tuned(json!({ "listing_visibility": null })).0, 204);
    let (_, body) = harness.request("GET", "sys/mounts/tt/tune", Value::Null);
    assert_eq!(body["data"].get("listing_visibility"), None);
}

#[test]
fn asking_about_mounts_costs_no_use() {
    let mut harness = Harness::new();
    harness.request("POST", "secret/data/one", json!({ "data": { "a": 1 } }));
    harness.request(
        "POST",
        "sys/policies/acl/one",
        json!({ "policy": r#"path "secret/*" { capabilities = ["read"] }"# }),
    );
    let token = harness.token(json!({ "policies": ["one"], "num_uses": 1 }));
    assert_eq!(harness.request_as(&token, "GET", "sys/internal/ui/mounts/secret/one", Value::Null).0, 200);
    assert_eq!(harness.request_as(&token, "GET", "secret/data/one", Value::Null).0, 200);
    assert_eq!(harness.request_as(&token, "GET", "secret/data/one", Value::Null).0, 403);
}
