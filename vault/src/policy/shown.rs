//! What the policies leave of a list: no more names than a page may have, and only those that the caller may see.
//!
//! Applied to the reply of every list, so that no engine has to know of it. What surprises: the page is cut first and
//! filtered then, so a page may be shorter than its limit although more follows.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::policy::acl::{Acl, Decision};
use crate::reply::Reply;

/// The members of a reply that hold names, in the same order each.
const LISTS: [&str; 2] = ["keys", "policies"];
/// The member that tells more of each name.
const DETAILS: &str = "key_info";

/// Leaves of a list's reply what the decision lets the caller see; "not found", as for an empty list, if that is nothing.
/// `listed` is the path that was listed.
pub(crate) fn restrict(reply: &mut Reply, acl: &Acl, decision: &Decision<'_>, listed: &str) -> Result<(), Error> {
    let most = decision.pagination_limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let filter = decision.key_filter();
    if filter.is_none() && most == usize::MAX {
        return Ok(());
    }
    let Some(data) = &mut reply.data else { return Ok(()) };
    let folder = format!("{}/", listed.trim_end_matches('/'));
    let is_shown = |key: &str| filter.is_none_or(|filter| acl.shows(filter, &folder, key));
    for name in LISTS {
        if let Some(Value::Array(keys)) = data.get_mut(name) {
            keys.truncate(most);
            keys.retain(|key| key.as_str().is_some_and(is_shown));
        }
    }
    restrict_details(data);
    let is_empty = |keys: &Value| keys.as_array().is_some_and(Vec::is_empty);
    if data.get(LISTS[0]).is_some_and(is_empty) { Err(Error::not_found()) } else { Ok(()) }
}

/// Drops the details of names that are not listed.
fn restrict_details(data: &mut Map<String, Value>) {
    let Some(Value::Object(mut details)) = data.remove(DETAILS) else { return };
    let listed = data.get(LISTS[0]).and_then(Value::as_array);
    details.retain(|name, _| listed.is_some_and(|keys| keys.iter().any(|key| key.as_str() == Some(name))));
    data.insert(DETAILS.to_owned(), Value::Object(details));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Harness;

    /// The names of a list as a caller with a policy sees them, and the reply's status.
    fn listed(harness: &mut Harness, policy: &str, path: &str) -> (u16, Value) {
        let token = harness.token_with(policy);
        let (status, body) = harness.request_as(&token, "LIST", path, Value::Null);
        (status, body["data"].clone())
    }

    fn six_secrets() -> Harness {
        let mut harness = Harness::new();
        for number in 0..6 {
            let body = json!({ "data": { "a": 1 } });
            assert_eq!(harness.request("POST", &format!("secret/data/pg/n{number}"), body).0, 200);
        }
        harness
    }

    // check 58
    #[test]
    fn a_page_has_no_more_names_than_the_policy_allows() {
        let mut harness = six_secrets();
        let policy = r#"path "secret/metadata/pg" { capabilities = ["list"] pagination_limit = 4 }"#;
        for (query, expected) in [("", 4), ("?limit=max", 4), ("?limit=0", 4), ("?limit=3", 3), ("?limit=4", 4)] {
            let (status, data) = listed(&mut harness, policy, &format!("secret/metadata/pg{query}"));
            assert_eq!((status, data["keys"].as_array().map(Vec::len)), (200, Some(expected)), "{query}");
        }
        for query in ["?limit=5", "?limit=-2", "?limit=many"] {
            assert_eq!(listed(&mut harness, policy, &format!("secret/metadata/pg{query}")).0, 403, "{query}");
        }
    }

    #[test]
    fn a_list_shows_only_names_that_the_filter_lets_through() {
        let mut harness = six_secrets();
        let list = r#"path "secret/metadata/pg" { capabilities = ["list"]
            list_scan_response_keys_filter_path = "secret/data/pg/{{ .key }}" }"#;
        let policy = format!(
            r#"{list} path "secret/data/pg/n2" {{ capabilities = ["read"] }}
                path "secret/data/pg/n4" {{ capabilities = ["read"] }}"#
        );
        assert_eq!(listed(&mut harness, &policy, "secret/metadata/pg").1["keys"], json!(["n2", "n4"]));
        assert_eq!(listed(&mut harness, &policy, "secret/metadata/pg?limit=3").1["keys"], json!(["n2"]));
        assert_eq!(listed(&mut harness, list, "secret/metadata/pg").0, 404);
    }

    #[test]
    fn lists_of_the_system_are_restricted_too() {
        let mut harness = Harness::new();
        for name in ["aa", "bb"] {
            let policy = json!({ "policy": "path \"x\" { capabilities = [\"read\"] }" });
            harness.request("POST", &format!("sys/policies/acl/{name}"), policy);
        }
        for path in ["sys/policies/acl", "sys/policy"] {
            let policy = format!(
                r#"path "{path}" {{ capabilities = ["list"]
                    list_scan_response_keys_filter_path = "sys/policies/acl/{{{{ .key }}}}" }}
                    path "sys/policies/acl/aa" {{ capabilities = ["read"] }}"#
            );
            let (_, data) = listed(&mut harness, &policy, path);
            assert_eq!(data["keys"], json!(["aa"]), "{path}");
            assert!(data["policies"].is_null() || data["policies"] == json!(["aa"]), "{path}");
        }
    }

    #[test]
    fn the_details_of_hidden_names_are_hidden() {
        let mut reply = Reply::data(json!({ "keys": ["a"], "key_info": { "a": { "x": 1 }, "b": { "x": 2 } } }));
        restrict_details(reply.data.as_mut().expect("data was given"));
        assert_eq!(reply.data.unwrap_or_default()["key_info"], json!({ "a": { "x": 1 } }));
    }
}
