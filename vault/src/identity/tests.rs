//! Identity through whole requests: logins, rights, and what holds on every node at once.

use serde_json::{Value, json};

use crate::testing::{Harness, ROOT};

/// A harness with userpass at `auth/people/`, its accessor, and a user.
fn with_people(users: &[&str]) -> (Harness, String) {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/auth/people", json!({ "type": "userpass" })).0, 204);
    for user in users {
        let body = json!({ "password": "pw" });
        assert_eq!(harness.request("POST", &format!("auth/people/users/{user}"), body).0, 204);
    }
    let accessor = accessor(&mut harness, "people");
    (harness, accessor)
}

fn accessor(harness: &mut Harness, path: &str) -> String {
    let (_, body) = harness.request("GET", &format!("sys/auth/{path}"), Value::Null);
    body["data"]["accessor"].as_str().unwrap().to_owned()
}

fn log_in(harness: &mut Harness, user: &str) -> (u16, Value) {
    harness.request_as("", "POST", &format!("auth/people/login/{user}"), json!({ "password": "pw" }))
}

/// The token and the entity of a login.
fn logged_in(harness: &mut Harness, user: &str) -> (String, String) {
    let (status, body) = log_in(harness, user);
    assert_eq!(status, 200, "{body}");
    let text = |name: &str| body["auth"][name].as_str().unwrap().to_owned();
    (text("client_token"), text("entity_id"))
}

fn created(harness: &mut Harness, path: &str, body: Value) -> String {
    let (status, body) = harness.request("POST", &format!("identity/{path}"), body);
    assert_eq!(status, 200, "{body}");
    body["data"]["id"].as_str().unwrap().to_owned()
}

fn write(harness: &mut Harness, path: &str, body: Value) {
    let (status, body) = harness.request("POST", &format!("identity/{path}"), body);
    assert!(status == 204 || status == 200, "{status} {body}");
}

fn policy(harness: &mut Harness, name: &str, text: &str) {
    assert_eq!(harness.request("POST", &format!("sys/policies/acl/{name}"), json!({ "policy": text })).0, 204);
}

/// The status of a read of a secret that is there.
fn read(harness: &mut Harness, token: &str, path: &str) -> u16 {
    harness.request_as(token, "GET", &format!("secret/data/{path}"), Value::Null).0
}

fn with_secret(harness: &mut Harness) {
    assert_eq!(harness.request("POST", "secret/data/shared", json!({ "data": { "a": 1 } })).0, 200);
    policy(harness, "rd", r#"path "secret/data/shared" { capabilities = ["read"] }"#);
}

#[test]
fn of_two_first_logins_at_one_moment_one_makes_the_entity() {
    let (mut harness, _) = with_people(&["ann"]);
    let login = |harness: &mut Harness| harness.build("", "POST", "auth/people/login/ann", json!({ "password": "pw" }));
    let requests = [login(&mut harness), login(&mut harness)];
    let racing: Vec<_> = requests.iter().map(|request| harness.propose(request).1.unwrap()).collect();
    let won = racing.iter().filter(|batch| harness.commit(batch)).count();
    assert_eq!(won, 1);
    let (_, second) = logged_in(&mut harness, "ann");
    let (_, listed) = harness.request("LIST", "identity/entity/id", Value::Null);
    assert_eq!(listed["data"]["keys"], json!([second]));
    let (_, listed) = harness.request("LIST", "identity/entity-alias/id", Value::Null);
    assert_eq!(listed["data"]["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_refused_login_leaves_no_entity() {
    let (mut harness, _) = with_people(&["ann"]);
    assert_eq!(harness.request_as("", "POST", "auth/people/login/ann", json!({ "password": "no" })).0, 400);
    assert_eq!(harness.request("LIST", "identity/entity/id", Value::Null).0, 404);
}

#[test]
fn spellings_of_a_name_are_one_entity() {
    // check 18
    let (mut harness, _) = with_people(&["alice"]);
    let (_, entity) = logged_in(&mut harness, "alice");
    for spelling in ["Alice", "ALICE"] {
        assert_eq!(logged_in(&mut harness, spelling).1, entity, "{spelling}");
    }
    for other in ["alice%20", "%EF%BD%81lice", "alice%C2%A0"] {
        assert_ne!(log_in(&mut harness, other).0, 200, "{other}");
    }
    let (_, listed) = harness.request("LIST", "identity/entity/id", Value::Null);
    assert_eq!(listed["data"]["keys"], json!([entity]));
}

#[test]
fn policies_of_entity_and_groups_count_from_the_next_request_on_and_until_they_are_gone() {
    // check 84
    let (mut harness, _) = with_people(&["ann"]);
    with_secret(&mut harness);
    let (token, entity) = logged_in(&mut harness, "ann");
    assert_eq!(read(&mut harness, &token, "shared"), 403);
    write(&mut harness, &format!("entity/id/{entity}"), json!({ "policies": ["rd"] }));
    assert_eq!(read(&mut harness, &token, "shared"), 200);
    write(&mut harness, &format!("entity/id/{entity}"), json!({ "policies": [] }));
    assert_eq!(read(&mut harness, &token, "shared"), 403);
    let inner = created(&mut harness, "group", json!({ "name": "inner", "member_entity_ids": [entity] }));
    let outer =
        created(&mut harness, "group", json!({ "name": "outer", "member_group_ids": [inner], "policies": "rd" }));
    assert_eq!(read(&mut harness, &token, "shared"), 200);
    let (_, shown) = harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null);
    assert_eq!(shown["data"]["identity_policies"], json!(["rd"]));
    write(&mut harness, &format!("group/id/{outer}"), json!({ "member_group_ids": [] }));
    assert_eq!(read(&mut harness, &token, "shared"), 403);
    write(&mut harness, &format!("group/id/{inner}"), json!({ "policies": "rd" }));
    assert_eq!(read(&mut harness, &token, "shared"), 200);
    assert_eq!(harness.request("DELETE", &format!("identity/group/id/{inner}"), Value::Null).0, 204);
    assert_eq!(read(&mut harness, &token, "shared"), 403);
}

#[test]
fn a_write_under_way_does_not_outlive_the_group_that_allowed_it() {
    // check 84
    let (mut harness, _) = with_people(&["ann"]);
    policy(&mut harness, "wr", r#"path "secret/data/x" { capabilities = ["create", "update"] }"#);
    let (token, entity) = logged_in(&mut harness, "ann");
    let group = created(&mut harness, "group", json!({ "member_entity_ids": [entity], "policies": "wr" }));
    let request = harness.build(&token, "POST", "secret/data/x", json!({ "data": { "a": 1 } }));
    for undo in ["member_entity_ids", "policies"] {
        let (answer, batch) = harness.propose(&request);
        assert_eq!(answer.status, 200, "{}", answer.body);
        write(&mut harness, &format!("group/id/{group}"), json!({ undo: [] }));
        assert!(!harness.commit(&batch.unwrap()), "{undo}");
        assert_eq!(harness.send(&request).status, 403);
        write(&mut harness, &format!("group/id/{group}"), json!({ "member_entity_ids": [entity], "policies": "wr" }));
    }
}

#[test]
fn a_disabled_entity_may_nothing_and_comes_back_as_it_was() {
    // check 16
    let (mut harness, _) = with_people(&["ann"]);
    let (token, entity) = logged_in(&mut harness, "ann");
    write(&mut harness, &format!("entity/id/{entity}"), json!({ "disabled": true }));
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 403);
    assert_eq!(harness.request_as(&token, "GET", "sys/internal/ui/mounts", Value::Null).0, 403);
    assert_eq!(log_in(&mut harness, "ann").0, 403);
    assert_eq!(harness.request("POST", "auth/token/renew", json!({ "token": token })).0, 403);
    write(&mut harness, &format!("entity/id/{entity}"), json!({ "disabled": false }));
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 200);
    assert_eq!(harness.request("DELETE", &format!("identity/entity/id/{entity}"), Value::Null).0, 204);
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 403);
    assert_ne!(logged_in(&mut harness, "ann").1, entity);
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 403);
}

#[test]
fn a_token_of_an_entity_that_was_merged_is_one_of_the_other() {
    let (mut harness, _) = with_people(&["ann"]);
    with_secret(&mut harness);
    let (token, entity) = logged_in(&mut harness, "ann");
    let middle = created(&mut harness, "entity", json!({ "name": "middle" }));
    let last = created(&mut harness, "entity", json!({ "name": "last", "policies": "rd" }));
    write(&mut harness, "entity/merge", json!({ "from_entity_ids": [entity], "to_entity_id": middle }));
    assert_eq!(read(&mut harness, &token, "shared"), 403);
    write(&mut harness, "entity/merge", json!({ "from_entity_ids": [middle], "to_entity_id": last }));
    assert_eq!(read(&mut harness, &token, "shared"), 200);
    assert_eq!(logged_in(&mut harness, "ann").1, last);
    write(&mut harness, &format!("entity/id/{last}"), json!({ "disabled": true }));
    assert_eq!(read(&mut harness, &token, "shared"), 403);
}

#[test]
fn root_stays_root_whatever_its_entity_has_and_nobody_becomes_it() {
    // checks 54, 81
    let mut harness = Harness::new();
    let role = json!({ "allowed_entity_aliases": "svc", "orphan": true });
    assert_eq!(harness.request("POST", "auth/token/roles/r", role).0, 204);
    let (status, body) = harness.request("POST", "auth/token/create/r", json!({ "entity_alias": "svc" }));
    assert_eq!(status, 200, "{body}");
    let (token, entity) = (body["auth"]["client_token"].clone(), body["auth"]["entity_id"].clone());
    let (token, entity) = (token.as_str().unwrap(), entity.as_str().unwrap());
    write(&mut harness, &format!("entity/id/{entity}"), json!({ "policies": "some" }));
    assert_eq!(harness.request_as(token, "GET", "sys/auth", Value::Null).0, 200);
    for name in ["root", "ROOT", " root", "./root", "ｒｏｏｔ", "root/", "response-wrapping"] {
        for path in [format!("entity/id/{entity}"), "group".to_owned()] {
            let (status, body) = harness.request("POST", &format!("identity/{path}"), json!({ "policies": [name] }));
            assert_eq!(status, 400, "{path} {name:?} {body}");
        }
    }
}

#[test]
fn a_templated_policy_is_about_who_asks_and_as_they_are_now() {
    // checks 52, 53
    let (mut harness, accessor) = with_people(&["ann", "bob"]);
    let text = format!(
        "path \"secret/data/{{{{identity.entity.aliases.{accessor}.name}}}}\" {{ capabilities = [\"create\", \"update\"] }}\n\
         path \"secret/data/{{{{identity.entity.metadata.team}}}}/x\" {{ capabilities = [\"create\", \"update\"] }}"
    );
    policy(&mut harness, "own", &text);
    let (ann, entity) = logged_in(&mut harness, "ann");
    let (bob, _) = logged_in(&mut harness, "bob");
    for user in ["ann", "bob"] {
        harness.request("POST", &format!("auth/people/users/{user}"), json!({ "token_policies": "own" }));
    }
    assert_ne!(ann, bob);
    let (ann, bob) = (logged_in(&mut harness, "ann").0, logged_in(&mut harness, "bob").0);
    let put = |harness: &mut Harness, token: &str, path: &str| {
        harness.request_as(token, "POST", &format!("secret/data/{path}"), json!({ "data": { "a": 1 } })).0
    };
    for _ in 0..2 {
        assert_eq!((put(&mut harness, &ann, "ann"), put(&mut harness, &ann, "bob")), (200, 403));
        assert_eq!((put(&mut harness, &bob, "ann"), put(&mut harness, &bob, "bob")), (403, 200));
    }
    assert_eq!(put(&mut harness, &ann, "red/x"), 403);
    for (value, status) in [("red", 200), ("red/..", 403), ("*", 403), ("+", 403), ("", 403), ("blue", 403)] {
        write(&mut harness, &format!("entity/id/{entity}"), json!({ "metadata": { "team": value } }));
        assert_eq!(put(&mut harness, &ann, "red/x"), status, "{value:?}");
    }
}

#[test]
fn the_policies_of_a_token_are_not_those_of_its_entity() {
    // A child has what its maker's token has; identity comes to both by the entity.
    let (mut harness, _) = with_people(&["ann"]);
    policy(&mut harness, "make", r#"path "auth/token/create" { capabilities = ["update"] }"#);
    let (token, entity) = logged_in(&mut harness, "ann");
    write(&mut harness, &format!("entity/id/{entity}"), json!({ "policies": "make" }));
    let (status, body) = harness.request_as(&token, "POST", "auth/token/create", json!({}));
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["auth"]["token_policies"], json!(["default"]));
    assert_eq!(body["auth"]["identity_policies"], json!(["make"]));
    assert_eq!(body["auth"]["policies"], json!(["default", "make"]));
    assert_eq!(body["auth"]["entity_id"], json!(entity));
    let (status, body) = harness.request_as(&token, "POST", "auth/token/create", json!({ "policies": ["make"] }));
    assert_eq!(status, 400, "{body}");
}

#[test]
fn a_read_with_an_entity_looks_at_the_table_no_more_than_one_without() {
    let (mut harness, _) = with_people(&["ann"]);
    with_secret(&mut harness);
    let (token, entity) = logged_in(&mut harness, "ann");
    let group = created(&mut harness, "group", json!({ "member_entity_ids": [entity], "policies": "rd" }));
    created(&mut harness, "group", json!({ "member_group_ids": [group] }));
    let plain = harness.token(json!({ "policies": ["rd"], "no_parent": true }));
    let looks = |harness: &mut Harness, token: &str| {
        let request = harness.build(token, "GET", "secret/data/shared", Value::Null);
        assert_eq!(harness.send(&request).status, 200);
        let before = harness.table.looks();
        assert_eq!(harness.send(&request).status, 200);
        harness.table.looks() - before
    };
    let (with, without) = (looks(&mut harness, &token), looks(&mut harness, &plain));
    assert!(without > 0, "the secret itself is read");
    assert_eq!(with, without);
}

#[test]
fn who_is_in_a_group_of_a_method_is_said_by_it_at_each_login() {
    // check 84
    use crate::identity::login::{KnownAs, enter};
    let (mut harness, accessor) = with_people(&[]);
    let made = |harness: &mut Harness, name: &str| {
        let id = created(harness, "group", json!({ "name": name, "type": "external" }));
        let alias = json!({ "name": name, "mount_accessor": accessor, "canonical_id": id });
        created(harness, "group-alias", alias);
        id
    };
    let (one, two) = (made(&mut harness, "one"), made(&mut harness, "two"));
    let by_hand = created(&mut harness, "group", json!({ "name": "by hand" }));
    let meet = |harness: &mut Harness, groups: &[&str]| {
        let mut context = crate::testing::context(&mut harness.random, harness.now);
        let mut store = harness.core.store(&harness.table);
        let mounts = crate::mount::table::MountTable::load(&mut store).unwrap();
        let mount = mounts.at("auth/people/").unwrap().mount.clone();
        let groups = groups.iter().map(|name| (*name).to_owned()).collect();
        let known = KnownAs { name: "ann".into(), groups, ..KnownAs::default() };
        let id = enter(&mut store, &mut context, &mount, &known).unwrap();
        let batch = store.finish(&mut context).unwrap();
        drop(mounts);
        if let Some(batch) = batch {
            assert!(harness.commit(&batch));
        }
        id
    };
    let groups_of = |harness: &mut Harness, id: &str| {
        let (_, body) = harness.request("GET", &format!("identity/entity/id/{id}"), Value::Null);
        let mut ids: Vec<String> = serde_json::from_value(body["data"]["direct_group_ids"].clone()).unwrap();
        ids.sort();
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    let entity = meet(&mut harness, &["one", "nobody's"]);
    assert_eq!(groups_of(&mut harness, &entity), sorted(&[&one]));
    write(&mut harness, &format!("group/id/{by_hand}"), json!({ "member_entity_ids": [entity] }));
    meet(&mut harness, &["two"]);
    assert_eq!(groups_of(&mut harness, &entity), sorted(&[&two, &by_hand]));
    let (_, shown) = harness.request("GET", &format!("identity/group/id/{two}"), Value::Null);
    assert_eq!(shown["data"]["member_entity_ids"], json!([entity]));
    let alias = shown["data"]["alias"]["id"].as_str().unwrap().to_owned();
    assert_eq!(harness.request("DELETE", &format!("identity/group-alias/id/{alias}"), Value::Null).0, 204);
    assert_eq!(groups_of(&mut harness, &entity), sorted(&[&by_hand]), "nobody says that it is in there");
    meet(&mut harness, &[]);
    assert_eq!(groups_of(&mut harness, &entity), sorted(&[&by_hand]));
}

#[test]
fn a_role_that_comes_later_is_another_one_although_its_name_is_the_same() {
    let (mut harness, _) = with_people(&["ann"]);
    let (token, entity) = logged_in(&mut harness, "ann");
    let renewed = |harness: &mut Harness| harness.request("POST", "auth/token/renew", json!({ "token": token })).0;
    assert_eq!(renewed(&mut harness), 200);
    assert_eq!(harness.request("DELETE", "auth/people/users/ann", Value::Null).0, 204);
    assert_eq!(harness.request("POST", "auth/people/users/ann", json!({ "password": "pw" })).0, 204);
    assert_eq!(renewed(&mut harness), 204, "left to its end");
    assert_eq!(logged_in(&mut harness, "ann").1, entity, "the mount knows the name");
    assert_eq!(harness.request_as(ROOT, "GET", "auth/token/lookup-self", Value::Null).0, 200);
}
