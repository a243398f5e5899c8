use serde_json::{Value, json};

use crate::testing::Harness;

fn put(harness: &mut Harness, body: Value) -> (u16, Value) {
    harness.request("POST", "secret/data/app/db", body)
}

#[test]
fn a_write_demands_the_version_that_it_follows() {
    let mut harness = Harness::new();
    assert_eq!(put(&mut harness, json!({"data": {"a": 1}, "options": {"cas": 1}})).0, 400);
    assert_eq!(put(&mut harness, json!({"data": {"a": 1}, "options": {"cas": 0}})).0, 200);
    let (status, body) = put(&mut harness, json!({"data": {"a": 2}, "options": {"cas": 0}}));
    assert_eq!(
        (status, &body["errors"][0]),
        (400, &json!("check-and-set parameter did not match the current version"))
    );
    assert_eq!(put(&mut harness, json!({"data": {"a": 2}, "options": {"cas": "1"}})).0, 200);
}

#[test]
fn a_destroyed_version_stays_destroyed() {
    let mut harness = Harness::new();
    put(&mut harness, json!({"data": {"a": 1}}));
    harness.request("POST", "secret/destroy/app/db", json!({"versions": [1]}));
    harness.request("POST", "secret/undelete/app/db", json!({"versions": [1]}));
    let (status, body) = harness.request("GET", "secret/data/app/db", Value::Null);
    assert_eq!(
        (status, &body["data"]["data"], &body["data"]["metadata"]["destroyed"]),
        (404, &Value::Null, &json!(true))
    );
}

#[test]
fn versions_over_the_limit_go() {
    let mut harness = Harness::new();
    harness.request("POST", "secret/config", json!({"max_versions": 2}));
    (1..=3).for_each(|n| assert_eq!(put(&mut harness, json!({"data": {"n": n}})).0, 200));
    assert_eq!(harness.request("GET", "secret/data/app/db?version=1", Value::Null).0, 404);
    let (_, body) = harness.request("GET", "secret/metadata/app/db", Value::Null);
    assert_eq!((&body["data"]["oldest_version"], &body["data"]["current_version"]), (&json!(2), &json!(3)));
}

#[test]
fn a_version_ends_when_its_time_has_come() {
    let mut harness = Harness::new();
    harness.request("POST", "secret/config", json!({"delete_version_after": "10s"}));
    put(&mut harness, json!({"data": {"a": 1}}));
    harness.advance(9);
    assert_eq!(harness.request("GET", "secret/data/app/db", Value::Null).0, 200);
    harness.advance(2);
    assert_eq!(harness.request("GET", "secret/data/app/db", Value::Null).0, 404);
}

#[test]
fn a_patch_merges_and_null_removes() {
    let mut harness = Harness::new();
    put(&mut harness, json!({"data": {"a": {"b": 1}, "c": 2}}));
    harness.request("PATCH", "secret/data/app/db", json!({"data": {"a": {"d": 3}, "c": null}}));
    let (_, body) = harness.request("GET", "secret/data/app/db", Value::Null);
    assert_eq!(body["data"]["data"], json!({"a": {"b": 1, "d": 3}}));
}

#[test]
fn removing_the_metadata_removes_every_version() {
    let mut harness = Harness::new();
    put(&mut harness, json!({"data": {"a": 1}}));
    assert_eq!(harness.request("DELETE", "secret/metadata/app/db", Value::Null).0, 204);
    assert_eq!(harness.request("LIST", "secret/metadata/app", Value::Null).0, 404);
    let (_, body) = put(&mut harness, json!({"data": {"a": 2}}));
    assert_eq!(body["data"]["version"], json!(1));
}

#[test]
fn an_upgraded_mount_shows_its_old_documents_as_version_1() {
    let mut harness = Harness::new();
    harness.request("POST", "sys/mounts/old", json!({"type": "kv", "options": {"version": "1"}}));
    harness.request("POST", "old/dir/a", json!({"k": "v"}));
    harness.request("POST", "sys/mounts/old/tune", json!({"options": {"version": "2"}}));
    let (status, body) = harness.request("GET", "old/data/dir/a", Value::Null);
    assert_eq!(
        (status, &body["data"]["data"], &body["data"]["metadata"]["version"]),
        (200, &json!({"k": "v"}), &json!(1))
    );
    harness.request("POST", "old/data/dir/a", json!({"data": {"k": "w"}}));
    let (_, body) = harness.request("GET", "old/data/dir/a?version=1", Value::Null);
    assert_eq!(body["data"]["data"], json!({"k": "v"}));
    let (_, body) = harness.request("LIST", "old/metadata/dir", Value::Null);
    assert_eq!(body["data"]["keys"], json!(["a"]));
}

// check 47
#[test]
fn a_glob_on_data_opens_nothing_else() {
    let mut harness = Harness::new();
    put(&mut harness, json!({"data": {"a": 1}}));
    let token = harness.token_with(r#"path "secret/data/*" { capabilities = ["read"] }"#);
    assert_eq!(harness.request_as(&token, "GET", "secret/data/app/db", Value::Null).0, 200);
    for path in ["secret/metadata/app/db", "secret/subkeys/app/db"] {
        assert_eq!(harness.request_as(&token, "GET", path, Value::Null).0, 403, "{path}");
    }
    let (status, _) = harness.request_as(&token, "POST", "secret/destroy/app/db", json!({"versions": [1]}));
    assert_eq!(status, 403);
}

#[test]
fn null_resets_a_setting_and_leaves_the_others() {
    let settings = json!({"custom_metadata": {"team": "red", "tier": "2"}, "max_versions": 7, "cas_required": true,
        "delete_version_after": "45m"});
    let reset = [
        ("custom_metadata", Value::Null),
        ("max_versions", json!(0)),
        ("cas_required", json!(false)),
        ("delete_version_after", json!("0s")),
    ];
    for verb in ["PATCH", "POST"] {
        let mut harness = Harness::new();
        assert_eq!(harness.request("POST", "secret/metadata/a", settings.clone()).0, 204);
        let (_, body) = harness.request("GET", "secret/metadata/a", Value::Null);
        let mut expected = body["data"].clone();
        for (name, value) in &reset {
            assert_eq!(harness.request(verb, "secret/metadata/a", json!({ *name: null })).0, 204);
            let (_, body) = harness.request("GET", "secret/metadata/a", Value::Null);
            let is_kept = (verb, *name) == ("PATCH", "delete_version_after");
            expected[*name] = if is_kept { json!("45m0s") } else { value.clone() };
            for (name, _) in &reset {
                assert_eq!(body["data"][name], expected[name], "{verb} {name}");
            }
        }
    }
}

#[test]
fn null_resets_the_defaults_of_the_mount() {
    let mut harness = Harness::new();
    let sent = json!({"max_versions": 7, "cas_required": true, "delete_version_after": "45m"});
    assert_eq!(harness.request("POST", "secret/config", sent).0, 204);
    let nulls = json!({"max_versions": null, "cas_required": null, "delete_version_after": null});
    assert_eq!(harness.request("POST", "secret/config", nulls).0, 204);
    let (_, body) = harness.request("GET", "secret/config", Value::Null);
    assert_eq!(body["data"]["max_versions"], 0);
    assert_eq!((&body["data"]["cas_required"], &body["data"]["delete_version_after"]), (&json!(false), &json!("0s")));
}

#[test]
fn custom_metadata_that_cannot_be_shown_is_refused() {
    let mut harness = Harness::new();
    for custom in [json!({"k": "a\tb"}), json!({"k": "a\u{200b}"}), json!({"a\u{a0}": "v"}), json!({"k": "\u{2028}"})] {
        for verb in ["POST", "PATCH"] {
            harness.request("POST", "secret/metadata/a", json!({}));
            assert_eq!(harness.request(verb, "secret/metadata/a", json!({"custom_metadata": custom})).0, 400);
        }
    }
    let (_, body) = harness.request("GET", "secret/metadata/a", Value::Null);
    assert_eq!(body["data"]["custom_metadata"], Value::Null);
    assert_eq!(harness.request("POST", "secret/metadata/a", json!({"custom_metadata": {"k": "Größe ok"}})).0, 204);
}

#[test]
fn a_scan_finds_secrets_at_any_depth_and_a_detailed_list_tells_of_each() {
    let mut harness = Harness::new();
    for path in ["a", "f/b", "f/g/c", "f/g/d"] {
        assert_eq!(harness.request("POST", &format!("secret/data/{path}"), json!({ "data": { "k": 1 } })).0, 200);
    }
    let (_, all) = harness.request("SCAN", "secret/metadata/", Value::Null);
    assert_eq!(all["data"]["keys"], json!(["a", "f/b", "f/g/c", "f/g/d"]));
    let (_, some) = harness.request("SCAN", "secret/metadata/f/?after=b&limit=1", Value::Null);
    assert_eq!(some["data"]["keys"], json!(["g/c"]));
    assert_eq!(harness.request("SCAN", "secret/metadata/none/", Value::Null).0, 404);
    let (_, detailed) = harness.request("LIST", "secret/detailed-metadata/f/", Value::Null);
    assert_eq!(detailed["data"]["keys"], json!(["b", "g/"]));
    assert_eq!(detailed["data"]["key_info"]["b"]["current_version"], 1);
    assert_eq!(detailed["data"]["key_info"].as_object().map(serde_json::Map::len), Some(1), "folders have no metadata");
    let (_, detailed) = harness.request("SCAN", "secret/detailed-metadata/f/", Value::Null);
    assert_eq!(detailed["data"]["key_info"]["g/d"]["current_version"], 1);
}

#[test]
fn a_scan_needs_its_own_capability() {
    let mut harness = Harness::new();
    harness.request("POST", "secret/data/f/a", json!({ "data": {} }));
    let lister = harness.token_with(r#"path "secret/metadata/*" { capabilities = ["list"] }"#);
    let scanner = harness.token_with(r#"path "secret/metadata/*" { capabilities = ["scan"] }"#);
    assert_eq!(harness.request_as(&lister, "SCAN", "secret/metadata/f/", Value::Null).0, 403);
    assert_eq!(harness.request_as(&scanner, "SCAN", "secret/metadata/f/", Value::Null).0, 200);
}

#[test]
fn a_deletion_warns_of_no_name_that_nobody_knows() {
    let mut harness = Harness::new();
    let (_, written) = harness.request("POST", "secret/data/a", json!({ "data": {}, "colour": "red" }));
    assert_eq!(written["warnings"], json!(["Endpoint ignored these unrecognized parameters: [colour]"]));
    assert_eq!(harness.request("DELETE", "secret/data/a", json!({ "versions": "1" })).0, 204);
}
