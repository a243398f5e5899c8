use serde_json::{Value, json};

use crate::engine::Path;
use crate::request::Operation;
use crate::testing::{Harness, ROOT};

/// A server with a mount of every kind that can be mounted, and what is mounted.
fn everything() -> (Harness, Vec<(String, Vec<&'static Path>)>) {
    let mut harness = Harness::new();
    for (path, kind) in
        [("sys/mounts/one", "kv-v1"), ("sys/auth/approle", "approle"), ("sys/auth/userpass", "userpass")]
    {
        assert_eq!(harness.request("POST", path, json!({ "type": kind })).0, 204, "{path}");
    }
    let mounts = {
        let mut store = harness.core.store(&harness.table);
        let table = crate::mount::table::MountTable::load(&mut store).expect("there is a mount table");
        table.iter().map(|mount| (mount.record.path.clone(), mount.engine.paths().collect())).collect()
    };
    (harness, mounts)
}

/// A request's path that a pattern matches.
fn example(pattern: &str) -> String {
    let mut path = pattern.strip_suffix("/?").unwrap_or(pattern).to_owned();
    while let (Some(begin), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(begin..=end, "x");
    }
    path
}

#[test]
fn every_path_answers_a_question_for_help_whatever_the_rights() {
    let (mut harness, mounts) = everything();
    let nobody = harness.token_with(r#"path "x" { capabilities = ["deny"] }"#);
    for (mount, paths) in &mounts {
        for path in paths {
            let target = format!("{mount}{}", example(path.pattern));
            let mut request = harness.build(&nobody, "GET", &target, Value::Null);
            request.operation = Operation::Help;
            let answer = harness.send(&request);
            assert_eq!((answer.status, answer.wrote), (200, false), "{target}");
            let help = answer.body["help"].as_str().unwrap_or_default();
            assert!(help.contains(path.help), "{target}: {help}");
            assert_eq!(answer.body["openapi"]["paths"].as_object().map(serde_json::Map::len), Some(1), "{target}");
        }
    }
}

#[test]
fn every_row_of_the_reference_is_in_the_openapi_document() {
    let (mut harness, mounts) = everything();
    let (status, document) = harness.request("GET", "sys/internal/specs/openapi", Value::Null);
    assert_eq!((status, &document["openapi"]), (200, &json!("3.0.3")));
    let paths = document["paths"].as_object().expect("a map of paths");
    for (mount, tables) in &mounts {
        for path in tables {
            let key = format!("/{mount}{}", super::shown(path));
            for (operation, _) in path.operations {
                let verb = match operation {
                    Operation::Update => "post",
                    Operation::Patch => "patch",
                    Operation::Delete => "delete",
                    _ => "get",
                };
                assert!(paths[&key][verb].is_object(), "{key} lacks {verb}");
            }
        }
    }
    // As people read it: `{mount}` is where the document has the mount of that kind.
    for (page, mount) in
        [("sys", ""), ("token", ""), ("kv-v1", "one"), ("kv-v2", "secret"), ("approle", ""), ("userpass", "")]
    {
        let file = format!("{}/../docs/reference/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).expect("there is a page");
        let table = text.split("<!-- paths -->").nth(1).and_then(|rest| rest.split("### Fields").next());
        let rows = table.expect("the page has a table").lines().filter_map(|line| line.strip_prefix("| `"));
        for row in rows.filter_map(|row| row.split('`').next()) {
            let key = format!("/{}", row.replace("{mount}", mount));
            assert!(paths.contains_key(&key), "{key} of {page}.md is not in the document");
        }
    }
}

#[test]
fn names_of_operations_are_unique_and_every_parameter_is_declared() {
    let (mut harness, _) = everything();
    let (_, document) = harness.request("GET", "sys/internal/specs/openapi?generic_mount_paths=true", Value::Null);
    let mut ids = std::collections::BTreeSet::new();
    for (key, item) in document["paths"].as_object().expect("a map of paths") {
        let declared: Vec<_> =
            item["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        let named = key.split('{').skip(1).filter_map(|part| part.split('}').next());
        assert_eq!(named.collect::<Vec<_>>(), declared, "{key}");
        for verb in ["get", "post", "patch", "delete"] {
            if let Some(id) = item[verb]["operationId"].as_str() {
                assert!(ids.insert(id.to_owned()), "{id} is not unique");
            }
        }
    }
    assert!(document["paths"]["/{kv_mount_path}/data/{path}"].is_object());
    assert!(document["paths"]["/auth/{approle_mount_path}/login"].is_object());
}

#[test]
fn a_stranger_learns_only_of_mounts_that_are_always_there_or_shown_to_everybody() {
    let (mut harness, _) = everything();
    let (status, document) = harness.request_as("", "GET", "sys/internal/specs/openapi", Value::Null);
    let has = |document: &Value, key: &str| document["paths"][key].is_object();
    assert_eq!(status, 200);
    assert!(has(&document, "/sys/health") && has(&document, "/auth/token/create"));
    assert!(!has(&document, "/secret/data/{path}") && !has(&document, "/auth/approle/login"));
    let tuning = json!({ "listing_visibility": "unauth" });
    assert_eq!(harness.request("POST", "sys/auth/approle/tune", tuning).0, 204);
    let (_, document) = harness.request_as("", "GET", "sys/internal/specs/openapi", Value::Null);
    assert!(has(&document, "/auth/approle/login"));
    assert_eq!(harness.request_as("wrong", "GET", "sys/internal/specs/openapi", Value::Null).0, 403);
}

#[test]
fn the_document_is_kept_for_those_who_see_the_same_mounts_alone() {
    let mut harness = Harness::new();
    let paths = |harness: &mut Harness, token: &str| {
        let (status, document) = harness.request_as(token, "GET", "sys/internal/specs/openapi", Value::Null);
        assert_eq!(status, 200);
        document["paths"].as_object().unwrap().keys().any(|path| path.starts_with("/later/"))
    };
    for token in ["", ROOT, ""] {
        assert!(!paths(&mut harness, token));
    }
    assert_eq!(
        harness.request("POST", "sys/mounts/later", json!({ "type": "kv", "options": { "version": "1" } })).0,
        204
    );
    let of_version = |harness: &mut Harness, path: &str| {
        let (_, document) = harness.request("GET", "sys/internal/specs/openapi", Value::Null);
        document["paths"][path].is_object()
    };
    assert!(paths(&mut harness, ROOT) && !paths(&mut harness, ""));
    assert!(!of_version(&mut harness, "/later/data/{path}"));
    assert_eq!(harness.request("POST", "sys/mounts/later/tune", json!({ "options": { "version": "2" } })).0, 200);
    assert!(of_version(&mut harness, "/later/data/{path}"));
}
