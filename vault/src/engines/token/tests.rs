use serde_json::{Value, json};

use crate::testing::Harness;

fn create(harness: &mut Harness, parent: &str, path: &str, body: Value) -> (u16, Value) {
    harness.request_as(parent, "POST", &format!("auth/token/{path}"), body)
}

/// Creates as root what must succeed; its `auth`.
fn created(harness: &mut Harness, path: &str, body: Value) -> Value {
    let (status, body) = create(harness, "root", path, body);
    assert_eq!(status, 200, "{body}");
    body["auth"].clone()
}

fn looked_up(harness: &mut Harness, token: &Value) -> Value {
    let (status, body) = harness.request("POST", "auth/token/lookup", json!({ "token": token }));
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

fn first_error(body: &Value) -> &str {
    body["errors"][0].as_str().unwrap_or_default()
}

fn write_policy(harness: &mut Harness, name: &str, text: &str) {
    assert_eq!(harness.request("POST", &format!("sys/policies/acl/{name}"), json!({ "policy": text })).0, 204);
}

/// A token that may make tokens, without sudo.
fn maker(harness: &mut Harness) -> String {
    write_policy(harness, "maker", r#"path "auth/token/create*" { capabilities = ["update"] }"#);
    harness.token(json!({ "policies": ["maker"] }))
}

#[test]
fn a_child_has_what_its_parent_has() {
    let mut harness = Harness::new();
    let maker = maker(&mut harness);
    let (_, body) = create(&mut harness, &maker, "create", json!({}));
    assert_eq!(body["auth"]["policies"], json!(["default", "maker"]));
    let (_, body) = create(&mut harness, &maker, "create", json!({ "policies": "" }));
    assert_eq!(body["auth"]["policies"], json!(["default", "maker"]));
    assert_eq!(created(&mut harness, "create", json!({}))["policies"], json!(["root"]));
}

#[test]
fn a_child_cannot_have_more_than_its_parent() {
    // check 85
    let mut harness = Harness::new();
    let maker = maker(&mut harness);
    let cases = [
        (json!({ "policies": ["maker", "other"] }), "child policies must be subset of parent"),
        (json!({ "policies": ["root"] }), "child policies must be subset of parent"),
        (json!({ "period": "1h" }), "root or sudo privileges required to create periodic token"),
        (json!({ "no_parent": true }), "root or sudo privileges required to create orphan token"),
        (json!({ "id": "abc" }), "root or sudo privileges required to specify token id"),
    ];
    for (wish, message) in cases {
        let (status, body) = create(&mut harness, &maker, "create", wish.clone());
        assert_eq!((status, first_error(&body)), (400, message), "{wish}");
    }
}

#[test]
fn sudo_gives_any_policy_but_root() {
    // check 85
    let mut harness = Harness::new();
    write_policy(&mut harness, "sudoer", r#"path "auth/token/create" { capabilities = ["update", "sudo"] }"#);
    let sudoer = harness.token(json!({ "policies": ["sudoer"] }));
    let (status, body) = create(&mut harness, &sudoer, "create", json!({ "policies": ["other"], "period": "1h" }));
    assert_eq!((status, &body["auth"]["policies"]), (200, &json!(["default", "other"])));
    let (status, body) = create(&mut harness, &sudoer, "create", json!({ "policies": ["root"] }));
    assert_eq!((status, first_error(&body)), (400, "root tokens may not be created without parent token being root"));
}

#[test]
fn no_spelling_of_root_makes_a_root_token() {
    // check 54
    let mut harness = Harness::new();
    for spelling in ["ROOT", " root", "root ", "Root\t", "ｒｏｏｔ", "./root", "ns/../root", "root/"] {
        let (status, body) = create(&mut harness, "root", "create", json!({ "policies": [spelling] }));
        assert_eq!(status, 400, "{spelling:?}: {body}");
        let (status, _) = harness.request("POST", "auth/token/roles/r", json!({ "allowed_policies": [spelling] }));
        assert_eq!(status, 400, "{spelling:?}");
    }
    assert_eq!(harness.request("POST", "auth/token/roles/r", json!({ "allowed_policies": "root" })).0, 400);
}

#[test]
fn no_pattern_of_a_role_stands_for_root() {
    // check 85
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "auth/token/roles/r", json!({ "allowed_policies_glob": "*,ro*t" })).0, 204);
    for parent in ["root".to_owned(), maker(&mut harness)] {
        let (status, body) = create(&mut harness, &parent, "create/r", json!({ "policies": ["root"] }));
        assert_eq!(status, 400, "{body}");
    }
    let (status, body) = create(&mut harness, "root", "create/r", json!({ "policies": ["robot"] }));
    assert_eq!((status, &body["auth"]["policies"]), (200, &json!(["default", "robot"])));
}

#[test]
fn the_policy_of_wrapping_tokens_cannot_be_given() {
    let mut harness = Harness::new();
    assert_eq!(create(&mut harness, "root", "create", json!({ "policies": ["response-wrapping"] })).0, 400);
}

#[test]
fn an_expiring_root_makes_no_endless_one() {
    // check 91
    let mut harness = Harness::new();
    let auth = created(&mut harness, "create", json!({ "policies": ["root"], "ttl": "1h" }));
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(3600), &json!(true)));
    let expiring = auth["client_token"].as_str().unwrap().to_owned();
    assert_eq!(create(&mut harness, &expiring, "create", json!({})).0, 400);
    assert_eq!(create(&mut harness, &expiring, "create", json!({ "ttl": "10m" })).0, 200);
    for path in ["create", "create-orphan"] {
        // It would be renewed for ever.
        assert_eq!(create(&mut harness, &expiring, path, json!({ "period": "760h" })).0, 400, "{path}");
        let bounded = json!({ "period": "10m", "explicit_max_ttl": "1h" });
        assert_eq!(create(&mut harness, &expiring, path, bounded).0, 200, "{path}");
    }
    assert_eq!(create(&mut harness, "root", "create", json!({ "period": "760h" })).0, 200);
}

#[test]
fn some_tokens_have_no_children() {
    let mut harness = Harness::new();
    maker(&mut harness);
    for (wish, message) in [
        (json!({ "policies": ["maker"], "num_uses": 5 }), "restricted use token cannot generate child tokens"),
        (json!({ "policies": ["maker"], "type": "batch" }), "batch tokens cannot create more tokens"),
    ] {
        let token = harness.token(wish);
        let (status, body) = create(&mut harness, &token, "create", json!({}));
        assert_eq!((status, first_error(&body)), (400, message));
    }
}

#[test]
fn what_a_batch_token_cannot_have_is_refused() {
    let mut harness = Harness::new();
    let fields =
        [("num_uses", json!(2)), ("period", json!("10m")), ("explicit_max_ttl", json!("10m")), ("id", json!("own"))];
    for (field, value) in fields {
        let (status, body) =
            create(&mut harness, "root", "create", json!({ "policies": ["p"], "type": "batch", field: value }));
        assert_eq!((status, first_error(&body)), (400, format!("batch tokens cannot have \"{field}\" set").as_str()));
    }
}

#[test]
fn times_are_cut_with_a_warning() {
    let mut harness = Harness::new();
    let cases = [
        (json!({ "explicit_max_ttl": "2h" }), 7200, Some("TTL of \"768h\" exceeded the effective max_ttl of \"2h\"")),
        (
            json!({ "ttl": "3h", "explicit_max_ttl": "1h" }),
            3600,
            Some("TTL of \"3h\" exceeded the effective max_ttl of \"1h\""),
        ),
        (json!({ "ttl": "1000h" }), 2_764_800, Some("TTL of \"1000h\" exceeded the effective max_ttl of \"768h\"")),
        (json!({ "period": "10m", "explicit_max_ttl": "1h" }), 600, None),
        (json!({ "lease": "45m" }), 2700, None),
        (json!({}), 2_764_800, None),
    ];
    for (mut wish, secs, warning) in cases {
        wish["policies"] = json!(["default"]);
        let (_, body) = create(&mut harness, "root", "create", wish.clone());
        assert_eq!(body["auth"]["lease_duration"], secs, "{wish}");
        assert_eq!(body["warnings"][0].as_str().map(|text| text.split(';').next().unwrap()), warning, "{wish}");
    }
}

#[test]
fn bad_wishes_are_refused() {
    let mut harness = Harness::new();
    for wish in [
        json!({ "type": "lasting" }),
        json!({ "ttl": "-5m" }),
        json!({ "ttl": "often" }),
        json!({ "num_uses": -1 }),
        json!({ "entity_alias": "x" }),
        json!({ "meta": { "a": { "b": 1 } } }),
        json!({ "policies": { "a": "b" } }),
    ] {
        assert_eq!(create(&mut harness, "root", "create", wish.clone()).0, 400, "{wish}");
    }
}

#[test]
fn a_chosen_id_is_a_plain_new_text() {
    // check 12
    let mut harness = Harness::new();
    let (status, body) = create(&mut harness, "root", "create", json!({ "id": "my-own-id", "policies": ["default"] }));
    assert_eq!((status, &body["auth"]["client_token"]), (200, &json!("my-own-id")));
    assert_eq!(harness.request_as("my-own-id", "GET", "auth/token/lookup-self", Value::Null).0, 200);
    let too_long = "a".repeat(257);
    for id in ["my-own-id", "s.own", "hvs.own", "hvb.own", ".", "..", "a/../b", "a\0b", "a b", "ä", &too_long] {
        assert_eq!(create(&mut harness, "root", "create", json!({ "id": id })).0, 400, "{id:?}");
    }
}

#[test]
fn a_lookup_shows_the_token() {
    let mut harness = Harness::new();
    let wish = json!({
        "policies": ["default"], "ttl": "1h", "meta": { "k": "v" }, "display_name": "Batch Job #7",
        "explicit_max_ttl": "4h",
    });
    let auth = created(&mut harness, "create", wish);
    harness.advance(10);
    let data = looked_up(&mut harness, &auth["client_token"]);
    let expected = json!({
        "id": auth["client_token"], "accessor": auth["accessor"], "policies": ["default"], "path": "auth/token/create",
        "meta": { "k": "v" }, "display_name": "token-Batch-Job--7", "num_uses": 0, "orphan": false,
        "creation_time": 1_700_000_000, "creation_ttl": 3600, "issue_time": "2023-11-14T22:13:20Z",
        "expire_time": "2023-11-14T23:13:20Z", "ttl": 3590, "explicit_max_ttl": 14_400, "renewable": true,
        "entity_id": "", "type": "service",
    });
    assert_eq!(data, expected);
    let (_, body) = harness.request("POST", "auth/token/lookup-accessor", json!({ "accessor": auth["accessor"] }));
    assert_eq!((&body["data"]["id"], &body["data"]["accessor"]), (&json!(""), &auth["accessor"]));
    let (_, body) = harness.request("GET", "auth/token/lookup", Value::Null);
    assert_eq!(
        (&body["data"]["id"], &body["data"]["expire_time"], &body["data"]["ttl"]),
        (&json!("root"), &Value::Null, &json!(0))
    );
}

#[test]
fn what_is_not_there_is_said_in_the_words_clients_know() {
    let mut harness = Harness::new();
    let cases = [
        ("lookup", json!({ "token": "nope" }), 403, "bad token"),
        ("lookup-accessor", json!({ "accessor": "nope" }), 400, "1 error occurred:\n\t* invalid accessor\n\n"),
        ("lookup-accessor", json!({}), 400, "1 error occurred:\n\t* missing accessor\n\n"),
        ("renew", json!({}), 400, "missing token ID"),
        ("renew", json!({ "token": "nope" }), 400, "token not found"),
        ("revoke", json!({}), 400, "missing token ID"),
        ("revoke", json!({ "token": "nope" }), 204, ""),
        ("create/none", json!({}), 400, "unknown role none"),
    ];
    for (path, body, status, message) in cases {
        let (got, answer) = harness.request("POST", &format!("auth/token/{path}"), body);
        assert_eq!((got, first_error(&answer)), (status, message), "{path}");
    }
    let (status, body) = harness.request("POST", "auth/token/revoke-accessor", json!({ "accessor": "nope" }));
    assert_eq!((status, &body["warnings"]), (200, &json!(["No token found with this accessor"])));
}

#[test]
fn a_renewal_counts_from_now_and_ends_at_the_maximum() {
    // check 100
    let mut harness = Harness::new();
    let auth =
        created(&mut harness, "create", json!({ "policies": ["default"], "ttl": "1h", "explicit_max_ttl": "3h" }));
    let token = auth["client_token"].as_str().unwrap().to_owned();
    harness.advance(1800);
    let renew = |harness: &mut Harness, body: Value| harness.request_as(&token, "POST", "auth/token/renew-self", body);
    assert_eq!(renew(&mut harness, json!({})).1["auth"]["lease_duration"], 3600);
    assert_eq!(renew(&mut harness, json!({ "increment": 90 })).1["auth"]["lease_duration"], 90);
    let (_, body) = renew(&mut harness, json!({ "increment": "10h" }));
    assert_eq!(body["auth"]["lease_duration"], 9000);
    let warning = "TTL of \"10h\" exceeded the effective max_ttl of \"2h30m\"; TTL value is capped accordingly";
    assert_eq!(body["warnings"], json!([warning]));
    harness.advance(8999);
    assert_eq!(renew(&mut harness, json!({})).1["auth"]["lease_duration"], 1);
    harness.advance(1);
    assert_eq!(renew(&mut harness, json!({})).0, 403);
}

#[test]
fn some_tokens_cannot_be_renewed() {
    let mut harness = Harness::new();
    let fixed = created(&mut harness, "create", json!({ "policies": ["default"], "ttl": "1h", "renewable": false }));
    let batch = created(&mut harness, "create", json!({ "policies": ["default"], "type": "batch" }));
    for (token, message) in [
        (&fixed["client_token"], "lease is not renewable"),
        (&json!("root"), "lease is not renewable"),
        (&batch["client_token"], "batch tokens cannot be renewed"),
    ] {
        let (status, body) = harness.request("POST", "auth/token/renew", json!({ "token": token }));
        assert_eq!((status, first_error(&body)), (400, message));
    }
}

#[test]
fn a_periodic_token_gets_its_period_again() {
    let mut harness = Harness::new();
    let auth = created(&mut harness, "create", json!({ "policies": ["default"], "period": "15m" }));
    for _ in 0..5 {
        harness.advance(800);
        let wish = json!({ "token": auth["client_token"], "increment": "5h" });
        let (_, body) = harness.request("POST", "auth/token/renew", wish);
        assert_eq!(body["auth"]["lease_duration"], 900, "{body}");
    }
    let data = looked_up(&mut harness, &auth["client_token"]);
    assert_eq!((&data["period"], &data["last_renewal_time"]), (&json!(900), &json!(1_700_004_000)));
}

#[test]
fn a_role_bounds_renewals_as_it_is_now() {
    let mut harness = Harness::new();
    harness.request(
        "POST",
        "auth/token/roles/r",
        json!({ "allowed_policies": "default", "token_explicit_max_ttl": "2h" }),
    );
    let auth = created(&mut harness, "create/r", json!({ "ttl": "1h" }));
    let wish = json!({ "token": auth["client_token"], "increment": "10h" });
    assert_eq!(harness.request("POST", "auth/token/renew", wish.clone()).1["auth"]["lease_duration"], 7200);
    harness.request("POST", "auth/token/roles/r", json!({ "token_explicit_max_ttl": "30m" }));
    assert_eq!(harness.request("POST", "auth/token/renew", wish.clone()).1["auth"]["lease_duration"], 1800);
    assert_eq!(harness.request("DELETE", "auth/token/roles/r", Value::Null).0, 204);
    assert_eq!(harness.request("POST", "auth/token/renew", wish).0, 400);
}

#[test]
fn a_role_gives_what_it_allows() {
    let mut harness = Harness::new();
    let role = json!({
        "allowed_policies": ["dev", "qa"], "allowed_policies_glob": "team-*", "disallowed_policies": "qa",
        "orphan": true, "path_suffix": "v1-ci", "token_num_uses": 30,
    });
    assert_eq!(harness.request("POST", "auth/token/roles/ci", role).0, 204);
    let maker = maker(&mut harness);
    let (status, body) = create(&mut harness, &maker, "create/ci", json!({ "policies": ["dev", "team-red"] }));
    assert_eq!((status, &body["auth"]["policies"]), (200, &json!(["default", "dev", "team-red"])), "{body}");
    assert_eq!((&body["auth"]["orphan"], &body["auth"]["num_uses"]), (&json!(true), &json!(30)));
    let data = looked_up(&mut harness, &body["auth"]["client_token"]);
    assert_eq!((&data["path"], &data["role"]), (&json!("auth/token/create/ci/v1-ci"), &json!("ci")));
    for policy in ["ops", "qa", "maker"] {
        assert_eq!(create(&mut harness, &maker, "create/ci", json!({ "policies": [policy] })).0, 400, "{policy}");
    }
}

#[test]
fn a_role_is_kept_field_by_field() {
    let mut harness = Harness::new();
    let first =
        json!({ "allowed_policies": ["QA", "dev"], "renewable": false, "token_explicit_max_ttl": "2h", "nothing": 1 });
    assert_eq!(harness.request("POST", "auth/token/roles/ci", first).0, 204);
    assert_eq!(harness.request("POST", "auth/token/roles/ci", json!({ "orphan": true })).0, 204);
    let expected = json!({
        "name": "ci", "allowed_policies": ["dev", "qa"], "disallowed_policies": [], "allowed_policies_glob": [],
        "disallowed_policies_glob": [], "orphan": true, "renewable": false, "path_suffix": "",
        "allowed_entity_aliases": null, "token_period": 0, "token_explicit_max_ttl": 7200,
        "token_no_default_policy": false, "token_type": "default-service", "period": 0, "explicit_max_ttl": 0,
    });
    assert_eq!(harness.request("GET", "auth/token/roles/ci", Value::Null).1["data"], expected);
    assert_eq!(harness.request("LIST", "auth/token/roles", Value::Null).1["data"]["keys"], json!(["ci"]));
    assert_eq!(harness.request("DELETE", "auth/token/roles/ci", Value::Null).0, 204);
    assert_eq!(harness.request("GET", "auth/token/roles/ci", Value::Null).0, 404);
    assert_eq!(harness.request("LIST", "auth/token/roles", Value::Null).0, 404);
}

#[test]
fn a_role_cannot_promise_what_its_tokens_cannot_be() {
    let mut harness = Harness::new();
    for role in [
        json!({ "path_suffix": "a b" }),
        json!({ "path_suffix": "v1" }),
        json!({ "token_type": "odd" }),
        json!({ "token_period": "-1h" }),
        json!({ "token_bound_cidrs": "10.0.0.0/40" }),
        json!({ "token_type": "batch" }),
        json!({ "token_type": "batch", "orphan": true }),
        json!({ "token_type": "batch", "orphan": true, "renewable": false, "token_explicit_max_ttl": "1h" }),
    ] {
        assert_eq!(harness.request("POST", "auth/token/roles/bad", role.clone()).0, 400, "{role}");
    }
    assert_eq!(harness.request("GET", "auth/token/roles/bad", Value::Null).0, 404);
    let role = json!({ "token_type": "batch", "orphan": true, "renewable": false });
    assert_eq!(harness.request("POST", "auth/token/roles/batches", role).0, 204);
    let auth = created(&mut harness, "create/batches", json!({ "type": "service", "policies": ["default"] }));
    assert_eq!(
        (&auth["token_type"], &auth["accessor"], &auth["renewable"]),
        (&json!("batch"), &json!(""), &json!(false))
    );
}

#[test]
fn an_old_name_counts_unless_the_new_one_is_sent() {
    let mut harness = Harness::new();
    let (status, body) = harness.request("POST", "auth/token/roles/r", json!({ "period": "1h", "token_period": "2h" }));
    assert_eq!((status, body["warnings"].as_array().map(Vec::len)), (200, Some(1)));
    let data = harness.request("GET", "auth/token/roles/r", Value::Null).1["data"].clone();
    assert_eq!((&data["period"], &data["token_period"]), (&json!(0), &json!(7200)));
    assert_eq!(harness.request("POST", "auth/token/roles/r", json!({ "period": "1h" })).0, 204);
    let data = harness.request("GET", "auth/token/roles/r", Value::Null).1["data"].clone();
    assert_eq!((&data["period"], &data["token_period"]), (&json!(3600), &json!(3600)));
}

#[test]
fn accessors_are_listed_for_sudo_alone() {
    // check 97
    let mut harness = Harness::new();
    let auth = created(&mut harness, "create", json!({ "policies": ["default"] }));
    let lister = harness.token_with(r#"path "auth/token/accessors" { capabilities = ["list"] }"#);
    assert_eq!(harness.request_as(&lister, "LIST", "auth/token/accessors", Value::Null).0, 403);
    let sudoer = harness.token_with(r#"path "auth/token/accessors/" { capabilities = ["list", "sudo"] }"#);
    let (status, body) = harness.request_as(&sudoer, "LIST", "auth/token/accessors", Value::Null);
    assert_eq!(status, 200, "{body}");
    let keys = body["data"]["keys"].as_array().unwrap();
    assert!(keys.contains(&auth["accessor"]) && keys.len() == 4);
}

#[test]
fn revoking_alone_needs_sudo() {
    let mut harness = Harness::new();
    let other = harness.token(json!({}));
    let weak = harness.token_with(r#"path "auth/token/revoke-orphan" { capabilities = ["update"] }"#);
    assert_eq!(harness.request_as(&weak, "POST", "auth/token/revoke-orphan", json!({ "token": other })).0, 400);
    assert_eq!(harness.request_as(&other, "GET", "auth/token/lookup-self", Value::Null).0, 200);
}

#[test]
fn a_batch_token_cannot_be_revoked() {
    let mut harness = Harness::new();
    let batch = harness.token(json!({ "type": "batch", "policies": ["default"] }));
    assert_eq!(harness.request("POST", "auth/token/revoke", json!({ "token": batch })).0, 400);
    assert_eq!(harness.request_as(&batch, "POST", "auth/token/revoke-self", Value::Null).0, 400);
}

#[test]
fn tidying_is_accepted() {
    let mut harness = Harness::new();
    let (status, body) = harness.request("POST", "auth/token/tidy", Value::Null);
    assert_eq!((status, body["warnings"].as_array().map(Vec::len)), (202, Some(1)));
}

#[test]
fn a_pattern_matches_as_a_whole() {
    for (glob, text, matches) in [
        ("team-*", "team-red", true),
        ("team-*", "my-team-red", false),
        ("*", "", true),
        ("a*b*c", "a1b2c", true),
        ("a*b*c", "a1c2b", false),
        ("a*a", "a", false),
        ("*a*", "bab", true),
        ("plain", "plain", true),
        ("plain", "plainer", false),
    ] {
        assert_eq!(super::role::glob_matches(glob, text), matches, "{glob} {text}");
    }
}

#[test]
fn no_batch_token_is_root_or_periodic_whoever_says_so() {
    let mut harness = Harness::new();
    let root_refused = "batch tokens cannot be root tokens";
    let roles = [
        ("made", json!({ "token_type": "batch", "orphan": true, "renewable": false })),
        ("usual", json!({ "token_type": "default-batch" })),
        ("periodic", json!({ "token_period": "30m" })),
    ];
    for (name, role) in roles {
        assert_eq!(harness.request("POST", &format!("auth/token/roles/{name}"), role).0, 204);
    }
    let cases = [
        ("create", json!({ "type": "batch" }), root_refused),
        ("create", json!({ "type": "batch", "policies": ["root"], "ttl": "1h" }), root_refused),
        ("create-orphan", json!({ "type": "batch" }), root_refused),
        ("create/made", json!({}), root_refused),
        ("create/usual", json!({}), root_refused),
        ("create/periodic", json!({ "type": "batch", "policies": ["p"] }), "batch tokens cannot have \"period\" set"),
    ];
    for (path, wish, message) in cases {
        let (status, body) = create(&mut harness, "root", path, wish);
        assert_eq!((status, first_error(&body)), (400, message), "{path}");
    }
}

#[test]
fn without_the_default_policy_means_wherever_it_came_from() {
    let mut harness = Harness::new();
    let maker = maker(&mut harness);
    let role = json!({ "allowed_policies": ["default", "maker"] });
    assert_eq!(harness.request("POST", "auth/token/roles/listed", role).0, 204);
    let role = json!({ "token_no_default_policy": true });
    assert_eq!(harness.request("POST", "auth/token/roles/bare", role).0, 204);
    let without = json!({ "no_default_policy": true });
    for (path, wish) in [("create", without.clone()), ("create/listed", without), ("create/bare", json!({}))] {
        let (_, body) = create(&mut harness, &maker, path, wish);
        assert_eq!(body["auth"]["policies"], json!(["maker"]), "{path}");
    }
    let (_, body) = create(&mut harness, &maker, "create/bare", json!({ "policies": ["default"] }));
    assert_eq!(body["auth"]["policies"], json!(["default"]));
}

#[test]
fn with_a_role_the_role_decides_about_the_parent() {
    let mut harness = Harness::new();
    let maker = maker(&mut harness);
    for (name, orphan) in [("free", true), ("bound", false)] {
        let role = json!({ "orphan": orphan, "allowed_policies": ["maker"] });
        assert_eq!(harness.request("POST", &format!("auth/token/roles/{name}"), role).0, 204);
        let (status, body) = create(&mut harness, &maker, &format!("create/{name}"), json!({ "no_parent": true }));
        assert_eq!((status, &body["auth"]["orphan"]), (200, &json!(orphan)), "{name}: {body}");
    }
}

#[test]
fn an_id_does_not_return_before_what_its_token_left_is_gone() {
    let mut harness = Harness::new();
    let parent = json!({ "id": "mine", "policies": ["maker", "default"] });
    maker(&mut harness);
    let auth = created(&mut harness, "create", parent.clone());
    let (_, child) = create(&mut harness, "mine", "create", json!({}));
    assert_eq!(harness.request_as("mine", "POST", "cubbyhole/a", json!({ "k": "v" })).0, 204);
    assert_eq!(harness.request("POST", "auth/token/revoke", json!({ "token": auth["client_token"] })).0, 204);
    let (status, body) = create(&mut harness, "root", "create", parent.clone());
    assert_eq!(status, 400, "{body}");
    let child = child["auth"]["client_token"].as_str().unwrap();
    assert_eq!(harness.request_as(child, "GET", "auth/token/lookup-self", Value::Null).0, 403);
    harness.run_tasks();
    created(&mut harness, "create", parent);
    assert_eq!(harness.request_as("mine", "GET", "cubbyhole/a", Value::Null).0, 404);
    assert_eq!(harness.request_as(child, "GET", "auth/token/lookup-self", Value::Null).0, 403);
}

#[test]
fn a_renewal_without_a_wish_keeps_what_the_last_one_wished() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "ttl": "1h", "policies": ["default"] }));
    for (wish, expected) in [(json!({}), 3600), (json!({ "increment": "30m" }), 1800), (json!({}), 1800)] {
        let (_, body) = harness.request_as(&token, "POST", "auth/token/renew-self", wish);
        assert_eq!(body["auth"]["lease_duration"], expected);
    }
    assert_eq!(looked_up(&mut harness, &json!(token))["creation_ttl"], 3600);
}

#[test]
fn an_endless_wish_is_cut_not_refused() {
    let mut harness = Harness::new();
    let (status, body) = create(&mut harness, "root", "create", json!({ "policies": ["p"], "ttl": "999999h" }));
    assert_eq!((status, &body["auth"]["lease_duration"]), (200, &json!(768 * 3600)));
}

#[test]
fn metadata_that_cannot_be_shown_is_refused() {
    let mut harness = Harness::new();
    for meta in [json!({ "k": "a\tb" }), json!({ "a\u{200b}": "v" }), json!({ "k": "\u{2028}" })] {
        assert_eq!(create(&mut harness, "root", "create", json!({ "meta": meta })).0, 400);
    }
}

#[test]
fn null_resets_what_a_role_says() {
    let mut harness = Harness::new();
    let role = json!({ "allowed_policies": ["a"], "orphan": true, "renewable": false, "token_period": "1h",
        "token_bound_cidrs": ["10.0.0.0/8"], "token_num_uses": 3, "path_suffix": "abc" });
    assert_eq!(harness.request("POST", "auth/token/roles/r", role).0, 204);
    let nulls = json!({ "allowed_policies": null, "orphan": null, "renewable": null, "token_period": null,
        "token_bound_cidrs": null, "token_num_uses": null, "path_suffix": null });
    assert_eq!(harness.request("POST", "auth/token/roles/r", nulls).0, 204);
    let (_, body) = harness.request("GET", "auth/token/roles/r", Value::Null);
    let shown = |name: &str| body["data"][name].clone();
    assert_eq!(
        (shown("allowed_policies"), shown("orphan"), shown("renewable")),
        (json!([]), json!(false), json!(true))
    );
    assert_eq!((shown("token_period"), shown("path_suffix")), (json!(0), json!("")));
    assert_eq!((shown("token_bound_cidrs"), shown("token_num_uses")), (Value::Null, Value::Null));
}
