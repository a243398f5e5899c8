//! Login MFA through whole requests.

use serde_json::{Value, json};

use crate::otp::url::{OtpUrl, secret_of};
use crate::testing::Harness;

/// A person with a password, a method that every userpass login needs, and their key for it.
struct Ann {
    harness: Harness,
    method: String,
    entity: String,
    secret: Vec<u8>,
}

fn write(harness: &mut Harness, path: &str, body: Value) -> Value {
    let (status, body) = harness.request("POST", path, body);
    assert!(status == 200 || status == 204, "{path}: {status} {body}");
    body
}

impl Ann {
    fn new() -> Self {
        let mut harness = Harness::new();
        write(&mut harness, "sys/auth/userpass", json!({ "type": "userpass" }));
        write(&mut harness, "auth/userpass/users/ann", json!({ "password": "pw", "token_ttl": "1h" }));
        let entity = {
            let (_, body) = harness.request_as("", "POST", "auth/userpass/login/ann", json!({ "password": "pw" }));
            body["auth"]["entity_id"].as_str().unwrap().to_owned()
        };
        let made =
            write(&mut harness, "identity/mfa/method/totp", json!({ "issuer": "Test", "max_validation_attempts": 3 }));
        let method = made["data"]["method_id"].as_str().unwrap().to_owned();
        let enforcement = json!({ "mfa_method_ids": [method], "auth_method_types": "userpass" });
        write(&mut harness, "identity/mfa/login-enforcement/e", enforcement);
        let body = json!({ "method_id": method, "entity_id": entity });
        let made = write(&mut harness, "identity/mfa/method/totp/admin-generate", body);
        let url = OtpUrl::parse(made["data"]["url"].as_str().unwrap()).unwrap();
        let secret = secret_of(&url.secret).unwrap().to_vec();
        Self { harness, method, entity, secret }
    }

    /// The id of a login that waits.
    fn begin(&mut self) -> String {
        let (status, body) =
            self.harness.request_as("", "POST", "auth/userpass/login/ann", json!({ "password": "pw" }));
        assert_eq!((status, &body["auth"]["client_token"]), (200, &json!("")), "{body}");
        let constraint = json!({ "type": "totp", "id": self.method, "uses_passcode": true });
        let requirement = &body["auth"]["mfa_requirement"];
        assert_eq!(requirement["mfa_constraints"], json!({ "e": { "any": [constraint] } }));
        requirement["mfa_request_id"].as_str().unwrap().to_owned()
    }

    fn code(&self) -> String {
        let method =
            super::MfaMethodRecord { algorithm: "SHA1".into(), digits: 6, period_secs: 30, ..Default::default() };
        let codes = method.codes(&self.secret);
        codes.code(codes.period_at(self.harness.now))
    }

    fn end(&mut self, id: &str, code: &str) -> (u16, Value) {
        let body = json!({ "mfa_request_id": id, "mfa_payload": { (self.method.as_str()): [code] } });
        self.harness.request_as("", "POST", "sys/mfa/validate", body)
    }
}

#[test]
fn a_token_is_there_once_the_code_was_shown() {
    let mut ann = Ann::new();
    let id = ann.begin();
    ann.harness.advance(60);
    let (status, body) = {
        let code = ann.code();
        ann.end(&id, &code)
    };
    assert_eq!(status, 200, "{body}");
    let auth = &body["auth"];
    assert_eq!((&auth["lease_duration"], &auth["entity_id"]), (&json!(3600), &json!(ann.entity)));
    let token = auth["client_token"].as_str().unwrap().to_owned();
    assert_eq!(ann.harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 200);
    ann.harness.advance(30);
    let code = ann.code();
    assert_eq!(ann.end(&id, &code).0, 400, "a login ends once");
}

#[test]
fn a_code_is_used_up_by_one_login() {
    let mut ann = Ann::new();
    let (first, second) = (ann.begin(), ann.begin());
    let code = ann.code();
    assert_eq!(ann.end(&first, &code).0, 200);
    assert_eq!(ann.end(&second, &code).0, 403);
    ann.harness.advance(30);
    assert_eq!(ann.end(&second, &code).0, 403, "also where it would still count");
    let next = ann.code();
    assert_eq!(ann.end(&second, &next).0, 200);
}

#[test]
fn of_two_who_show_a_code_at_once_one_is_too_late() {
    let mut ann = Ann::new();
    let ids = [ann.begin(), ann.begin()];
    let code = ann.code();
    let requests = ids.map(|id| {
        let body = json!({ "mfa_request_id": id, "mfa_payload": { (ann.method.as_str()): code } });
        ann.harness.build("", "POST", "sys/mfa/validate", body)
    });
    let batches: Vec<_> = requests.iter().map(|request| ann.harness.propose(request).1.unwrap()).collect();
    assert!(ann.harness.commit(&batches[0]) && !ann.harness.commit(&batches[1]));
    assert_eq!(ann.harness.send(&requests[1]).status, 403);
}

#[test]
fn wrong_codes_are_counted_over_all_logins() {
    let mut ann = Ann::new();
    for _ in 0..3 {
        let id = ann.begin();
        assert_eq!(ann.end(&id, "000000").0, 403);
    }
    let (id, code) = (ann.begin(), ann.code());
    let (status, body) = ann.end(&id, &code);
    assert!(status == 403 && body.to_string().contains("attempts exceeded"), "{body}");
    ann.harness.advance(900);
    let (id, code) = (ann.begin(), ann.code());
    assert_eq!(ann.end(&id, &code).0, 200);
}

#[test]
fn a_login_waits_for_five_minutes() {
    let mut ann = Ann::new();
    let rows = ann.harness.table.len();
    let id = ann.begin();
    assert!(ann.harness.table.len() > rows);
    ann.harness.advance(300);
    let code = ann.code();
    assert_eq!(ann.end(&id, &code).0, 400);
    ann.harness.advance(60);
    ann.harness.run_tasks();
    assert_eq!(ann.harness.table.len(), rows, "and nothing is left of it");
}

#[test]
fn who_has_no_key_or_sends_no_code_gets_no_token() {
    let mut ann = Ann::new();
    let id = ann.begin();
    let body = json!({ "mfa_request_id": id, "mfa_payload": { "other": ["123456"] } });
    assert_eq!(ann.harness.request_as("", "POST", "sys/mfa/validate", body).0, 403);
    let key = json!({ "method_id": ann.method, "entity_id": ann.entity });
    write(&mut ann.harness, "identity/mfa/method/totp/admin-destroy", key);
    let code = ann.code();
    let (status, body) = ann.end(&id, &code);
    assert!(status == 403 && body.to_string().contains("not present in entity"), "{body}");
    for body in [json!({}), json!({ "mfa_request_id": id })] {
        assert_eq!(ann.harness.request_as("", "POST", "sys/mfa/validate", body).0, 400);
    }
}

#[test]
fn an_enforcement_is_over_an_entity_or_its_groups_too() {
    let mut ann = Ann::new();
    let method = ann.method.clone();
    let group = write(&mut ann.harness, "identity/group", json!({ "name": "g", "member_entity_ids": [ann.entity] }));
    for over in [json!({ "identity_entity_ids": [ann.entity] }), json!({ "identity_group_ids": [group["data"]["id"]] })]
    {
        ann.harness.request("DELETE", "identity/mfa/login-enforcement/e", Value::Null);
        let (_, body) = ann.harness.request_as("", "POST", "auth/userpass/login/ann", json!({ "password": "pw" }));
        assert_ne!(body["auth"]["client_token"], "");
        let mut body = over;
        body["mfa_method_ids"] = json!([method]);
        write(&mut ann.harness, "identity/mfa/login-enforcement/e", body);
        ann.begin();
    }
}

#[test]
fn one_code_satisfies_all_enforcements_that_need_its_method() {
    let mut ann = Ann::new();
    let accessor = ann.harness.request("GET", "sys/auth", Value::Null).1["data"]["userpass/"]["accessor"].clone();
    let second = json!({ "mfa_method_ids": [ann.method], "auth_method_accessors": [accessor] });
    write(&mut ann.harness, "identity/mfa/login-enforcement/f", second);
    let (_, body) = ann.harness.request_as("", "POST", "auth/userpass/login/ann", json!({ "password": "pw" }));
    let requirement = &body["auth"]["mfa_requirement"];
    assert_eq!(requirement["mfa_constraints"].as_object().unwrap().len(), 2);
    let (id, code) = (requirement["mfa_request_id"].as_str().unwrap().to_owned(), ann.code());
    let (status, body) = ann.end(&id, &code);
    assert_eq!(status, 200, "{body}");
    // It is used up all the same.
    let (_, body) = ann.harness.request_as("", "POST", "auth/userpass/login/ann", json!({ "password": "pw" }));
    let id = body["auth"]["mfa_requirement"]["mfa_request_id"].as_str().unwrap().to_owned();
    assert_eq!(ann.end(&id, &code).0, 403);
}

#[test]
fn an_enforcement_over_what_is_not_there_is_refused() {
    let mut ann = Ann::new();
    for (name, value) in [
        ("auth_method_accessors", "auth_userpass_00000000"),
        ("auth_method_types", "userpas"),
        ("identity_entity_ids", "none"),
        ("identity_group_ids", "none"),
    ] {
        let body = json!({ "mfa_method_ids": [ann.method], (name): [value] });
        assert_eq!(ann.harness.request("POST", "identity/mfa/login-enforcement/g", body).0, 400, "{name}");
    }
    // A kind of which there is no mount yet is one all the same.
    for kind in ["approle", "oidc"] {
        let body = json!({ "mfa_method_ids": [ann.method], "auth_method_types": [kind] });
        assert_eq!(ann.harness.request("POST", "identity/mfa/login-enforcement/g", body).0, 204, "{kind}");
    }
}

#[test]
fn a_method_is_changed_under_its_own_path_alone() {
    let mut ann = Ann::new();
    let body = json!({ "method_id": ann.method, "issuer": "Evil", "skew": 1, "max_validation_attempts": 64 });
    assert_eq!(ann.harness.request("POST", "identity/mfa/method/totp", body.clone()).0, 400);
    let own = format!("identity/mfa/method/totp/{}", ann.method);
    assert_eq!(ann.harness.request("GET", &own, Value::Null).1["data"]["issuer"], "Test");
    let mut named = body;
    named["method_id"] = json!("another");
    assert_eq!(ann.harness.request("POST", &own, named).0, 200, "the path counts, and that is said");
    assert_eq!(ann.harness.request("GET", &own, Value::Null).1["data"]["issuer"], "Evil");
}
