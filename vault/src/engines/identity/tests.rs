//! The paths of identity through whole requests, beyond what recordings of other servers hold.

use serde_json::{Value, json};

use crate::testing::{Harness, ROOT};

fn created(harness: &mut Harness, path: &str, body: Value) -> String {
    let (status, body) = harness.request("POST", &format!("identity/{path}"), body);
    assert_eq!(status, 200, "{body}");
    body["data"]["id"].as_str().unwrap().to_owned()
}

fn mount(harness: &mut Harness, path: &str) -> String {
    assert_eq!(harness.request("POST", &format!("sys/auth/{path}"), json!({ "type": "userpass" })).0, 204);
    let (_, body) = harness.request("GET", &format!("sys/auth/{path}"), Value::Null);
    body["data"]["accessor"].as_str().unwrap().to_owned()
}

fn read(harness: &mut Harness, path: &str) -> Value {
    let (status, body) = harness.request("GET", &format!("identity/{path}"), Value::Null);
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

/// Number of records in the table.
fn records(harness: &Harness) -> usize {
    harness.table.len()
}

#[test]
fn whatever_is_deleted_leaves_nothing() {
    let mut harness = Harness::new();
    let accessor = mount(&mut harness, "people");
    let before = records(&harness);
    let entity = created(&mut harness, "entity", json!({ "name": "ann" }));
    let other = created(&mut harness, "entity", json!({ "name": "bob" }));
    created(&mut harness, "entity-alias", json!({ "name": "a", "mount_accessor": accessor, "canonical_id": other }));
    let inner = created(&mut harness, "group", json!({ "name": "inner", "member_entity_ids": [entity, other] }));
    let outer = created(&mut harness, "group", json!({ "name": "outer", "member_group_ids": [inner] }));
    let external = created(&mut harness, "group", json!({ "name": "ext", "type": "external" }));
    let alias = json!({ "name": "cn=x", "mount_accessor": accessor, "canonical_id": external });
    created(&mut harness, "group-alias", alias);
    let merge = json!({ "from_entity_ids": [other], "to_entity_id": entity });
    assert_eq!(harness.request("POST", "identity/entity/merge", merge).0, 204);
    assert!(records(&harness) > before);
    for path in [
        format!("group/id/{inner}"),
        format!("group/id/{outer}"),
        "group/name/EXT".into(),
        format!("entity/id/{entity}"),
    ] {
        assert_eq!(harness.request("DELETE", &format!("identity/{path}"), Value::Null).0, 204, "{path}");
    }
    assert_eq!(records(&harness), before);
}

#[test]
fn the_members_of_a_large_group_leave_it_in_the_background() {
    let mut harness = Harness::new();
    let before = records(&harness);
    let ids: Vec<String> = (0..300).map(|_| created(&mut harness, "entity", json!({}))).collect();
    let with_entities = records(&harness);
    let group = created(&mut harness, "group", json!({ "name": "many", "member_entity_ids": ids }));
    assert_eq!(read(&mut harness, "group/name/many")["member_entity_ids"].as_array().unwrap().len(), 300);
    assert_eq!(harness.request("DELETE", &format!("identity/group/id/{group}"), Value::Null).0, 204);
    assert_eq!(read(&mut harness, &format!("entity/id/{}", ids[0]))["group_ids"], json!([]));
    assert!(harness.run_tasks() > 0);
    assert_eq!(records(&harness), with_entities);
    assert_eq!(harness.request("POST", "identity/entity/batch-delete", json!({ "entity_ids": ids })).0, 204);
    assert_eq!(records(&harness), before);
}

#[test]
fn names_are_one_in_upper_and_lower_case_and_shown_as_they_were_written() {
    let mut harness = Harness::new();
    for kind in ["entity", "group"] {
        let id = created(&mut harness, kind, json!({ "name": "Ann Lee" }));
        assert_eq!(read(&mut harness, &format!("{kind}/name/ann%20LEE"))["id"], json!(id));
        let (_, listed) = harness.request("LIST", &format!("identity/{kind}/name"), Value::Null);
        assert_eq!(listed["data"]["keys"], json!(["Ann Lee"]));
        assert_eq!(harness.request("POST", &format!("identity/{kind}"), json!({ "name": "ANN LEE" })).0, 204);
        let other = created(&mut harness, kind, json!({ "name": "other" }));
        let (status, body) =
            harness.request("POST", &format!("identity/{kind}/id/{other}"), json!({ "name": "ann lee" }));
        assert_eq!(status, 400, "{body}");
        assert_eq!(harness.request("POST", &format!("identity/{kind}/id/{other}"), json!({ "name": "x/y" })).0, 204);
        assert_eq!(read(&mut harness, &format!("{kind}/name/x/y"))["id"], json!(other));
        assert_eq!(harness.request("GET", &format!("identity/{kind}/name/other"), Value::Null).0, 404);
    }
}

#[test]
fn an_alias_is_given_to_another_entity_only_by_who_may_merge_them() {
    // check 82
    let mut harness = Harness::new();
    let accessor = mount(&mut harness, "people");
    let victim = created(&mut harness, "entity", json!({ "name": "victim" }));
    let mine = created(&mut harness, "entity", json!({ "name": "mine" }));
    let alias = json!({ "name": "v", "mount_accessor": accessor, "canonical_id": victim });
    let alias = created(&mut harness, "entity-alias", alias);
    let policy = r#"path "identity/entity-alias*" { capabilities = ["create", "update"] }"#;
    let token = harness.token_with(policy);
    let by_name = json!({ "name": "v", "mount_accessor": accessor, "canonical_id": mine });
    for (path, body) in [
        ("entity-alias".to_owned(), by_name.clone()),
        (format!("entity-alias/id/{alias}"), json!({ "canonical_id": mine })),
    ] {
        let (status, body) = harness.request_as(&token, "POST", &format!("identity/{path}"), body);
        assert_eq!(status, 403, "{path} {body}");
    }
    assert_eq!(read(&mut harness, &format!("entity-alias/id/{alias}"))["canonical_id"], json!(victim));
    let noted =
        json!({ "name": "v", "mount_accessor": accessor, "canonical_id": victim, "custom_metadata": { "k": "v" } });
    assert_eq!(harness.request_as(&token, "POST", "identity/entity-alias", noted).0, 200, "nobody's logins change");
    let (status, body) = harness.request_as(ROOT, "POST", "identity/entity-alias", by_name);
    assert_eq!((status, &body["data"]["id"]), (200, &json!(alias)), "{body}");
    assert_eq!(read(&mut harness, &format!("entity/id/{victim}"))["aliases"], json!([]));
    assert_eq!(read(&mut harness, &format!("entity/id/{mine}"))["aliases"][0]["name"], "v");
}

#[test]
fn an_alias_brings_new_logins_to_an_entity_only_for_who_may_merge() {
    // check 82
    let mut harness = Harness::new();
    let (people, others) = (mount(&mut harness, "people"), mount(&mut harness, "others"));
    let victim = created(&mut harness, "entity", json!({ "name": "victim", "policies": "admins" }));
    let alias = json!({ "name": "v", "mount_accessor": people, "canonical_id": victim });
    let alias = created(&mut harness, "entity-alias", alias);
    let writes = r#"path "identity/entity-alias*" { capabilities = ["create", "update"] }"#;
    let writer = harness.token_with(writes);
    let merges = r#" path "identity/entity/merge" { capabilities = ["update"] }"#;
    let merger = harness.token_with(&format!("{writes}{merges}"));
    for (path, body) in [
        ("entity-alias".to_owned(), json!({ "name": "m", "mount_accessor": others, "canonical_id": victim })),
        ("entity-alias".to_owned(), json!({ "name": "m", "mount_accessor": others, "entity_id": victim })),
        (format!("entity-alias/id/{alias}"), json!({ "name": "m" })),
        (format!("entity-alias/id/{alias}"), json!({ "mount_accessor": others })),
    ] {
        let path = format!("identity/{path}");
        let (status, answer) = harness.request_as(&writer, "POST", &path, body.clone());
        assert_eq!(status, 403, "{path} {body}: {answer}");
    }
    let own = json!({ "name": "m", "mount_accessor": others });
    assert_eq!(harness.request_as(&writer, "POST", "identity/entity-alias", own).0, 200, "with an entity of its own");
    let renamed = json!({ "name": "w" });
    assert_eq!(harness.request_as(&merger, "POST", &format!("identity/entity-alias/id/{alias}"), renamed).0, 200);
    let more = json!({ "name": "n", "mount_accessor": others, "canonical_id": victim });
    assert_eq!(harness.request_as(&merger, "POST", "identity/entity-alias", more).0, 200);
}

#[test]
fn a_deny_of_a_name_holds_in_every_spelling_that_leads_to_it() {
    let mut harness = Harness::new();
    for kind in ["entity", "group"] {
        created(&mut harness, kind, json!({ "name": "groß-admin" }));
        let policy = format!(
            r#"path "identity/{kind}/name/*" {{ capabilities = ["read", "update", "delete"] }}
            path "identity/{kind}/name/groß-admin" {{ capabilities = ["deny"] }}
            path "identity/{kind}" {{ capabilities = ["create", "update"] denied_parameters = {{ "name" = ["groß-admin"] }} }}"#
        );
        let token = harness.token_with(&policy);
        for name in ["groß-admin", "Groß-Admin", "GROẞ-ADMIN", "gRoẞ-admin"] {
            assert_eq!(harness.request("GET", &format!("identity/{kind}/name/{name}"), Value::Null).0, 200, "{name}");
            for method in ["GET", "POST", "DELETE"] {
                let (status, _) =
                    harness.request_as(&token, method, &format!("identity/{kind}/name/{name}"), json!({}));
                assert_eq!(status, 403, "{method} {name}");
            }
            let (status, _) = harness.request_as(&token, "POST", &format!("identity/{kind}"), json!({ "name": name }));
            assert_eq!(status, 403, "{name} in the body");
        }
    }
}

#[test]
fn an_alias_takes_no_name_that_another_has() {
    // check 83
    let mut harness = Harness::new();
    let (one, two) = (mount(&mut harness, "one"), mount(&mut harness, "two"));
    let give = |harness: &mut Harness, accessor: &str, name: &str| {
        created(harness, "entity-alias", json!({ "name": name, "mount_accessor": accessor }))
    };
    let first = give(&mut harness, &one, "same");
    let second = give(&mut harness, &two, "same");
    let third = give(&mut harness, &one, "Same");
    assert_ne!(first, second);
    for body in [json!({ "name": "same" }), json!({ "name": "same", "mount_accessor": one })] {
        assert_eq!(harness.request("POST", &format!("identity/entity-alias/id/{third}"), body).0, 400);
    }
    let noted = json!({ "custom_metadata": { "k": "v" } });
    assert_eq!(harness.request("POST", &format!("identity/entity-alias/id/{second}"), noted).0, 200);
    assert_eq!(read(&mut harness, &format!("entity-alias/id/{first}"))["custom_metadata"], Value::Null);
}

#[test]
fn of_two_aliases_on_one_mount_a_merge_keeps_the_one_that_is_named() {
    for keeps_own in [true, false] {
        let mut harness = Harness::new();
        let accessor = mount(&mut harness, "people");
        let with_alias = |harness: &mut Harness, name: &str| {
            let id = created(harness, "entity", json!({ "name": name }));
            let alias = json!({ "name": name, "mount_accessor": accessor, "canonical_id": id });
            (id, created(harness, "entity-alias", alias))
        };
        let (to, own) = with_alias(&mut harness, "to");
        let (from, other) = with_alias(&mut harness, "from");
        let kept = if keeps_own { &own } else { &other };
        let merge = json!({ "from_entity_ids": [from], "to_entity_id": to, "conflicting_alias_ids_to_keep": [kept] });
        let (status, body) = harness.request("POST", "identity/entity/merge", merge);
        assert_eq!(status, 204, "{body}");
        let aliases = read(&mut harness, &format!("entity/id/{to}"))["aliases"].clone();
        assert_eq!(aliases.as_array().unwrap().len(), 1);
        assert_eq!(aliases[0]["id"], json!(kept));
    }
}

#[test]
fn a_circle_of_groups_is_refused_however_long_it_is() {
    let mut harness = Harness::new();
    let mut ids = vec![created(&mut harness, "group", json!({}))];
    for _ in 0..5 {
        let below = ids.last().unwrap().clone();
        ids.push(created(&mut harness, "group", json!({ "member_group_ids": [below] })));
    }
    for id in &ids[1..] {
        let body = json!({ "member_group_ids": [id] });
        assert_eq!(harness.request("POST", &format!("identity/group/id/{}", ids[0]), body).0, 400, "{id}");
    }
    let beside = created(&mut harness, "group", json!({ "member_group_ids": [ids[0]] }));
    let top = ids.last().unwrap();
    let body = json!({ "member_group_ids": [ids[4], beside] });
    assert_eq!(harness.request("POST", &format!("identity/group/id/{top}"), body).0, 204, "a diamond is no circle");
}

#[test]
fn two_groups_put_into_each_other_at_one_moment_do_not_make_a_circle() {
    let mut harness = Harness::new();
    let (a, b) = (created(&mut harness, "group", json!({})), created(&mut harness, "group", json!({})));
    let put = |harness: &mut Harness, above: &str, below: &str| {
        harness.build(ROOT, "POST", &format!("identity/group/id/{above}"), json!({ "member_group_ids": [below] }))
    };
    let requests = [put(&mut harness, &a, &b), put(&mut harness, &b, &a)];
    let batches: Vec<_> = requests.iter().map(|request| harness.propose(request).1.unwrap()).collect();
    assert_eq!(batches.iter().filter(|batch| harness.commit(batch)).count(), 1);
    assert_eq!(harness.send(&requests[1]).status, 400);
}

#[test]
fn what_is_noted_has_limits() {
    let mut harness = Harness::new();
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("k{n}"), "v".into())).collect();
    for metadata in
        [json!(many), json!({ "k".repeat(129): "v" }), json!({ "k": "v".repeat(513) }), json!({ "k": "a\u{202e}" })]
    {
        for path in ["entity", "group"] {
            assert_eq!(harness.request("POST", &format!("identity/{path}"), json!({ "metadata": metadata })).0, 400);
        }
    }
    for name in ["n".repeat(513), "a\nb".into(), "\u{202e}abc".into()] {
        for path in ["entity", "group"] {
            assert_eq!(
                harness.request("POST", &format!("identity/{path}"), json!({ "name": name })).0,
                400,
                "{name:?}"
            );
        }
    }
    let (_, body) = harness.request("POST", "identity/group", json!({ "member_entity_ids": ["x".repeat(10_000)] }));
    assert!(body.to_string().len() < 1000, "{body}");
}
