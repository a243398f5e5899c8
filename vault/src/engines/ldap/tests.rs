//! LDAP through whole requests, with a directory that a test plays.

use std::cell::RefCell;
use std::rc::Rc;

use prost::Message;
use serde_json::{Value, json};

use crate::directory::{DirectoryAnswer, DirectoryQuestion, DirectoryVerdict};
use crate::testing::Harness;

/// What was asked, and what is answered.
#[derive(Clone, Default)]
struct Directory {
    asked: Rc<RefCell<Vec<DirectoryQuestion>>>,
    answer: Rc<RefCell<DirectoryAnswer>>,
}

impl Directory {
    fn say(&self, change: impl FnOnce(&mut DirectoryAnswer)) {
        change(&mut self.answer.borrow_mut());
    }

    fn last(&self) -> DirectoryQuestion {
        self.asked.borrow().last().unwrap().clone()
    }
}

fn ann() -> DirectoryAnswer {
    DirectoryAnswer {
        is_found: true,
        user_dn: "uid=ann,ou=people,dc=x".into(),
        user_values: vec!["ann".into()],
        groups: vec!["cn=Dev,ou=groups,dc=x".into(), "Ops".into()],
        ..DirectoryAnswer::default()
    }
}

fn write(harness: &mut Harness, path: &str, body: Value) {
    let (status, body) = harness.request("POST", path, body);
    assert_eq!(status, 204, "{path}: {body}");
}

/// A mount with a service account, changed by `more`, and a directory that knows Ann.
fn mounted(more: Value) -> (Harness, Directory) {
    let (mut harness, directory) = (Harness::new(), Directory::default());
    *directory.answer.borrow_mut() = ann();
    let own = directory.clone();
    harness.outside = Box::new(move |call| {
        assert_eq!(call.way, "ldap");
        own.asked.borrow_mut().push(DirectoryQuestion::decode(call.message.as_slice()).unwrap());
        Ok(own.answer.borrow().encode_to_vec())
    });
    write(&mut harness, "sys/auth/ldap", json!({ "type": "ldap" }));
    let mut body = json!({
        "url": "ldap://one.example, ldaps://two.example", "binddn": "cn=svc,dc=x", "bindpass": "of-svc",
        "userdn": "ou=people,dc=x", "userattr": "UID", "groupdn": "ou=groups,dc=x", "token_policies": "base",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    write(&mut harness, "auth/ldap/config", body);
    (harness, directory)
}

fn log_in(harness: &mut Harness, name: &str, password: &str) -> (u16, Value) {
    harness.request_as("", "POST", &format!("auth/ldap/login/{name}"), json!({ "password": password }))
}

fn token(body: &Value) -> String {
    body["auth"]["client_token"].as_str().unwrap().to_owned()
}

fn alias(harness: &mut Harness, body: &Value) -> String {
    let entity = body["auth"]["entity_id"].as_str().unwrap();
    let (_, shown) = harness.request("GET", &format!("identity/entity/id/{entity}"), Value::Null);
    shown["data"]["aliases"][0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn who_the_directory_knows_gets_the_policies_of_configuration_groups_and_user() {
    let (mut harness, directory) = mounted(json!({ "token_ttl": "20m" }));
    write(&mut harness, "auth/ldap/groups/DEV", json!({ "policies": "d,e" }));
    write(&mut harness, "auth/ldap/groups/local", json!({ "policies": "l" }));
    write(&mut harness, "auth/ldap/groups/other", json!({ "policies": "never" }));
    write(&mut harness, "auth/ldap/users/Ann", json!({ "policies": "u", "groups": "Local" }));
    let (status, body) = log_in(&mut harness, "ann", "secret");
    assert_eq!(status, 200, "{body}");
    let auth = &body["auth"];
    assert_eq!(auth["policies"], json!(["base", "d", "default", "e", "l", "u"]));
    assert_eq!((&auth["metadata"], &auth["lease_duration"]), (&json!({ "username": "ann" }), &json!(1200)));
    assert_eq!(alias(&mut harness, &body), "ann");
    let question = directory.last();
    assert_eq!(question.servers.urls, ["ldap://one.example", "ldaps://two.example"]);
    assert_eq!((question.user_filter.as_str(), question.user_base.as_str()), ("(uid=ann)", "ou=people,dc=x"));
    assert_eq!((question.service_dn.as_str(), question.bind_name.as_str()), ("cn=svc,dc=x", ""));
    assert_eq!(question.password.as_deref(), Some("secret"));
    let (_, shown) = harness.request("GET", "auth/ldap/config", Value::Null);
    assert!(!shown.to_string().contains("of-svc"), "{shown}");
}

#[test]
fn external_groups_get_their_members_at_each_login_and_renewal() {
    let (mut harness, directory) = mounted(json!({ "token_ttl": "20m" }));
    let (_, mounts) = harness.request("GET", "sys/auth/ldap", Value::Null);
    let accessor = mounts["data"]["accessor"].as_str().or(mounts["accessor"].as_str()).unwrap().to_owned();
    for (group, name) in [("spelled", "Dev"), ("lower", "ops")] {
        let (_, made) =
            harness.request("POST", "identity/group", json!({ "name": group, "type": "external", "policies": group }));
        let alias = json!({ "name": name, "mount_accessor": accessor, "canonical_id": made["data"]["id"] });
        assert_eq!(harness.request("POST", "identity/group-alias", alias).0, 200);
    }
    let (_, body) = log_in(&mut harness, "ann", "secret");
    assert_eq!(body["auth"]["identity_policies"], json!(["lower", "spelled"]), "{body}");
    let token = token(&body);
    let policies = |harness: &mut Harness| {
        harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).1["data"]["identity_policies"].clone()
    };
    directory.say(|answer| answer.groups.truncate(1));
    assert_eq!(harness.request("POST", "auth/token/renew", json!({ "token": token })).0, 200);
    assert_eq!(policies(&mut harness), json!(["spelled"]));
    assert_eq!(directory.last().password, None, "a renewal has no password to ask with");
    directory.say(|answer| answer.groups.clear());
    assert_eq!(log_in(&mut harness, "ann", "secret").0, 200);
    assert_eq!(policies(&mut harness), Value::Null);
}

#[test]
fn a_renewal_ends_with_the_user_and_with_their_policies() {
    let (mut harness, directory) = mounted(json!({ "token_ttl": "20m", "token_max_ttl": "2h" }));
    let token = token(&log_in(&mut harness, "ann", "secret").1);
    let renew = |harness: &mut Harness| harness.request("POST", "auth/token/renew", json!({ "token": token }));
    assert_eq!(renew(&mut harness).0, 200);
    write(&mut harness, "auth/ldap/groups/dev", json!({ "policies": "d" }));
    let (status, body) = renew(&mut harness);
    assert_eq!((status, &body["errors"]), (400, &json!(["policies have changed, not renewing"])));
    assert_eq!(harness.request("DELETE", "auth/ldap/groups/dev", Value::Null).0, 204);
    assert_eq!(renew(&mut harness).0, 200);
    directory.say(|answer| answer.user_dn = "uid=ann,ou=others,dc=x".into());
    assert_eq!(renew(&mut harness).0, 400, "another has the name");
    directory.say(|answer| *answer = DirectoryAnswer::ended(DirectoryVerdict::Unknown, ""));
    assert_eq!(renew(&mut harness).0, 400);
}

#[test]
fn without_a_service_account_users_bind_by_a_name_that_is_made_of_theirs() {
    let none = json!({ "binddn": "", "bindpass": "" });
    let (mut harness, directory) = mounted(none.clone());
    assert_eq!(log_in(&mut harness, "ann,ou=admins", "secret").0, 200);
    assert_eq!(directory.last().bind_name, "uid=ann\\,ou\\=admins,ou=people,dc=x");
    let body = log_in(&mut harness, "ann", "secret").1;
    let asked = directory.asked.borrow().len();
    assert_eq!(harness.request("POST", "auth/token/renew", json!({ "token": token(&body) })).0, 200);
    assert_eq!(directory.asked.borrow().len(), asked, "nobody can ask without a password");
    write(&mut harness, "auth/ldap/config", json!({ "upndomain": "corp.example" }));
    assert_eq!(log_in(&mut harness, "ann", "secret").0, 200);
    let question = directory.last();
    assert_eq!((question.bind_name.as_str(), question.needs_entry), ("ann@corp.example", true));
    assert_eq!(question.user_filter, "(userPrincipalName=ann@corp.example)");
    write(&mut harness, "auth/ldap/config", json!({ "upndomain": "", "discoverdn": true }));
    assert_eq!(log_in(&mut harness, "ann", "secret").0, 200);
    let question = directory.last();
    assert_eq!((question.bind_name.as_str(), question.service_dn.as_str()), ("", ""));
}

#[test]
fn an_empty_password_is_refused_unless_the_operator_says_otherwise() {
    let (mut harness, directory) = mounted(json!({}));
    let (status, body) = log_in(&mut harness, "ann", "");
    let message = "password cannot be of zero length when passwordless binds are being denied";
    assert_eq!((status, &body["errors"]), (400, &json!([message])));
    assert!(directory.asked.borrow().is_empty());
    write(&mut harness, "auth/ldap/config", json!({ "deny_null_bind": false }));
    assert_eq!(log_in(&mut harness, "ann", "").0, 200);
    assert_eq!(directory.last().password.as_deref(), Some(""));
}

// check 19
#[test]
fn all_spellings_of_a_name_are_one_user_to_identity() {
    let (mut harness, _) = mounted(json!({ "username_as_alias": true }));
    let first = log_in(&mut harness, "ann", "secret").1["auth"]["entity_id"].clone();
    for name in ["Ann", " ANN", "ann "] {
        let (status, body) = log_in(&mut harness, name, "secret");
        assert_eq!((status, &body["auth"]["entity_id"]), (200, &first), "{name:?}");
        assert_eq!(alias(&mut harness, &body), "ann");
    }
    let (status, body) = log_in(&mut harness, "ａｎｎ", "secret");
    assert!(status == 400 && body.to_string().contains("spelled as uid"), "{body}");
}

// check 20
#[test]
fn a_wrong_password_and_a_name_that_is_not_there_look_the_same_and_lock_out() {
    let (mut harness, directory) = mounted(json!({}));
    let tries = |harness: &mut Harness, name: &str| -> Vec<(u16, Value)> {
        let answers = (0..7).map(|_| {
            let (status, body) = log_in(harness, name, "guess");
            (status, body["errors"].clone())
        });
        answers.collect()
    };
    directory.say(|answer| answer.verdict = DirectoryVerdict::Refused.into());
    let wrong = tries(&mut harness, "ann");
    assert_eq!((wrong[0].0, wrong[4].0, wrong[5].0), (400, 400, 403));
    assert_eq!(wrong[0].1, json!(["ldap operation failed: failed to bind as user"]));
    directory.say(|answer| *answer = DirectoryAnswer::ended(DirectoryVerdict::Unknown, ""));
    assert_eq!(tries(&mut harness, "bob"), wrong);
    let (_, locked) = harness.request("GET", "sys/locked-users", Value::Null);
    assert_eq!(locked["data"]["total"], 1, "{locked}");
    directory.say(|answer| *answer = ann());
    let asked = directory.asked.borrow().len();
    assert_eq!(log_in(&mut harness, "ANN", "secret").0, 403);
    assert_eq!(directory.asked.borrow().len(), asked, "who is locked out is not asked about");
}

#[test]
fn a_right_password_starts_the_count_again_also_where_nobody_searched_before() {
    for is_found in [true, false] {
        let (mut harness, directory) = mounted(json!({}));
        for _ in 0..3 {
            directory.say(|answer| (answer.verdict, answer.is_found) = (DirectoryVerdict::Refused.into(), is_found));
            (0..4).for_each(|_| assert_eq!(log_in(&mut harness, "ann", "guess").0, 400));
            directory.say(|answer| answer.verdict = DirectoryVerdict::Known.into());
            assert_eq!(log_in(&mut harness, "ann", "secret").0, 200);
        }
    }
}

#[test]
fn what_the_directory_does_not_do_is_told_and_not_counted() {
    let (mut harness, directory) = mounted(json!({}));
    for (verdict, message) in [
        (DirectoryVerdict::Misconfigured, "ldap operation failed: userdn is not there"),
        (DirectoryVerdict::MustChange, "must be changed in the directory first"),
    ] {
        directory.say(|answer| *answer = DirectoryAnswer::ended(verdict, "userdn is not there"));
        for _ in 0..6 {
            let (status, body) = log_in(&mut harness, "ann", "secret");
            assert!(status == 400 && body.to_string().contains(message), "{body}");
        }
    }
    directory.say(|answer| {
        *answer = ann();
        answer.user_values = vec!["a".into(), "b".into()];
    });
    let (status, body) = log_in(&mut harness, "ann", "secret");
    assert!(status == 400 && body.to_string().contains("2 values of uid"), "{body}");
    harness.outside = Box::new(|_| Err("it cannot be reached".into()));
    assert_eq!(log_in(&mut harness, "ann", "secret").0, 503);
}

#[test]
fn settings_that_cannot_work_are_refused_and_the_rest_stays() {
    let (mut harness, _) = mounted(json!({}));
    for (body, message) in [
        (json!({ "tls_max_version": "x" }), "invalid 'tls_max_version'"),
        (json!({ "tls_min_version": "tls13" }), "must be greater than or equal"),
        (json!({ "dereference_aliases": "often" }), "invalid 'dereference_aliases'"),
        (json!({ "userattr": "uid)(a" }), "userattr must be the name of an attribute"),
        (json!({ "userfilter": "(uid=admin)" }), "userfilter must hold {{.Username}}"),
        (json!({ "groupfilter": "(a={{.Cwd}})" }), "parts in double braces"),
        (json!({ "client_tls_cert": "x" }), "both client_tls_cert and client_tls_key must be set"),
        (json!({ "certificate": "x" }), "failed to decode PEM block"),
        (json!({ "max_page_size": -1 }), "max_page_size"),
        (json!({ "url": "ldap://a,".repeat(17) }), "at most 16 servers"),
        (json!({ "token_policies": "root" }), "root"),
    ] {
        let (status, answer) = harness.request("POST", "auth/ldap/config", body.clone());
        assert!(status == 400 && answer.to_string().contains(message), "{body}: {answer}");
    }
    write(&mut harness, "auth/ldap/config", json!({ "userfilter": "(mail={{.Username}})", "request_timeout": "7s" }));
    let (_, shown) = harness.request("GET", "auth/ldap/config", Value::Null);
    let data = &shown["data"];
    assert_eq!((&data["binddn"], &data["request_timeout"]), (&json!("cn=svc,dc=x"), &json!(7)));
    assert_eq!((&data["userattr"], &data["deny_null_bind"]), (&json!("uid"), &json!(true)));
}

#[test]
fn names_differ_by_case_only_if_the_configuration_says_so() {
    let (mut harness, _) = mounted(json!({ "case_sensitive_names": true }));
    write(&mut harness, "auth/ldap/groups/Dev", json!({ "policies": "upper" }));
    write(&mut harness, "auth/ldap/groups/dev", json!({ "policies": "lower" }));
    let (_, body) = log_in(&mut harness, "ann", "secret");
    assert_eq!(body["auth"]["policies"], json!(["base", "default", "upper"]));
    let (_, listed) = harness.request("LIST", "auth/ldap/groups", Value::Null);
    assert_eq!(listed["data"]["keys"], json!(["Dev", "dev"]));
}

#[test]
fn groups_and_users_have_no_root_and_names_with_bounds() {
    let (mut harness, _) = mounted(json!({}));
    for (path, body) in [
        ("groups/dev", json!({ "policies": "ROOT" })),
        ("users/ann", json!({ "policies": " root" })),
        ("users/ann", json!({ "groups": "x".repeat(600) })),
        (&*format!("groups/{}", "x".repeat(600)), json!({})),
    ] {
        assert_eq!(harness.request("POST", &format!("auth/ldap/{path}"), body).0, 400, "{path}");
    }
    write(&mut harness, "auth/ldap/groups/Domain Users", json!({ "policies": "d" }));
    let (_, shown) = harness.request("GET", "auth/ldap/groups/domain users", Value::Null);
    assert_eq!(shown["data"], json!({ "policies": ["d"] }));
}
