//! Golden texts of the output formats.

use super::*;
use serde_json::json;

fn login() -> Value {
    json!({
        "request_id": "r-1", "lease_id": "", "lease_duration": 0, "renewable": false, "data": null, "warnings": null,
        "wrap_info": null,
        "auth": {
            "client_token": "hvs.x", "accessor": "acc", "lease_duration": 3600, "renewable": true,
            "token_policies": ["default", "dev"], "identity_policies": null, "policies": ["default", "dev"],
            "metadata": {"username": "ada"}
        }
    })
}

#[test]
fn a_new_token_is_shown_as_a_table() {
    let expected = "\
Key                    Value
---                    -----
token                  hvs.x
token_accessor         acc
token_duration         1h
token_renewable        true
token_policies         [\"default\" \"dev\"]
identity_policies      []
policies               [\"default\" \"dev\"]
token_meta_username    ada
";
    assert_eq!(reply_table(&login()), expected);
}

#[test]
fn an_envelope_keeps_its_order_in_json_and_drops_null_parts() {
    let document = json!({
        "request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": false,
        "data": {"b": 1, "a": 12345678901234567890_u64},
        "warnings": null, "auth": null, "wrap_info": null
    });
    let expected = r#"{
  "request_id": "r",
  "lease_id": "",
  "lease_duration": 0,
  "renewable": false,
  "data": {
    "a": 12345678901234567890,
    "b": 1
  },
  "warnings": null
}
"#;
    assert_eq!(reply_json(&document), expected);
}

#[test]
fn a_hint_without_a_lease_is_a_refresh_interval() {
    let document = json!({"request_id": "r", "lease_id": "", "lease_duration": 2_764_800, "data": {"word": "x"}});
    let expected = "\
Key                 Value
---                 -----
refresh_interval    768h
word                x
";
    assert_eq!(reply_table(&document), expected);
}

#[test]
fn yaml_shows_numbers_as_numbers() {
    assert_eq!(
        yaml(&json!({"version": 3, "ratio": 0.5, "big": 18446744073709551615_u64})),
        "big: 18446744073709551615\nratio: 0.5\nversion: 3\n"
    );
}

#[test]
fn the_field_token_is_the_new_token() {
    assert_eq!(field(&login(), "token"), Some(json!("hvs.x")));
}

#[test]
fn a_field_that_is_not_there_is_nothing() {
    assert_eq!(field(&login(), "colour"), None);
}
