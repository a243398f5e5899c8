//! `status`: how sealed the node is, who leads, and what is wrong with its place in the cluster.
//!
//! It needs no token. What surprises: the exit code is 2 for a sealed node, which scripts wait for.

use clap::Args;
use conclave_client::Request;
use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{golang, table};

/// Show how sealed the node is and who leads. Exits with 2 if it is sealed.
#[derive(Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let request = Request::get("sys/seal-status").about_one_node();
        let sealing =
            session.send_anonymously("checking seal status", request).await.map_err(|failure| match failure {
                // A script that waits for an unsealed node must not mistake silence for a seal.
                failure @ Failure::Call { .. } => Failure::Usage(failure.to_string()),
                other => other,
            })?;
        let mut document = sealing.json().clone();
        // A node that has no keys does not say who leads, but what it stores in says whether anybody can.
        document["ha_enabled"] = Value::Bool(document["storage_type"] == "raft");
        let is_sealed = document["sealed"].as_bool().unwrap_or(true);
        if !is_sealed {
            let request = Request::get("sys/leader").about_one_node();
            // Its rows are an addition; without them the status is still an answer.
            if let Ok(leader) = session.send_anonymously("reading the leader", request).await {
                add(&mut document, leader.json());
            }
        }
        if is_sealed && document["initialized"].as_bool().unwrap_or(false) {
            let request = Request::get("sys/unseal/node").about_one_node();
            // Plain Vault has none.
            if let Ok(own) = session.send_anonymously("reading the fingerprint", request).await {
                document["boot_fingerprint"] = own.json()["fingerprint"].clone();
            }
        }
        if document["initialized"].as_bool().unwrap_or(false) {
            let request = Request::get("sys/health").about_one_node().any_status();
            // Plain Vault says no more than was said already.
            if let Ok(health) = session.send_anonymously("reading the health", request).await {
                add_place(&mut document, health.json());
            }
        }
        session.output.either(|| table::pairs(&rows(&document)), &document)?;
        if is_sealed { Err(Failure::Quiet(2)) } else { Ok(()) }
    }
}

/// Adds what is known of the leader, without what does not apply: no leader, no second node, no index.
fn add(document: &mut Value, more: &Value) {
    let has_leader = more["ha_enabled"].as_bool().unwrap_or(false);
    let applies = |name: &str, value: &Value| match name {
        "ha_enabled" => true,
        "is_self" | "active_time" | "leader_address" | "leader_cluster_address" if !has_leader => false,
        _ => {
            !matches!(value, Value::Null | Value::Bool(false))
                && value.as_str() != Some("")
                && value.as_u64() != Some(0)
        }
    };
    if let (Some(document), Some(more)) = (document.as_object_mut(), more.as_object()) {
        let told = more.iter().filter(|(name, value)| applies(name, value));
        document.extend(told.map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// Adds what a node says of its place in the cluster if something is wrong with it.
fn add_place(document: &mut Value, health: &Value) {
    for name in ["state", "reason", "last_leader", "last_leader_contact_secs"] {
        if let Some(value) = health.get(name) {
            document[name] = value.clone();
        }
    }
}

/// Whether a document has a field with something in it.
fn is_set(document: &Value, name: &str) -> bool {
    !matches!(document[name].as_str(), Some("")) && !document[name].is_null()
}

fn rows(document: &Value) -> Vec<(String, String)> {
    let empty = Map::new();
    let fields = document.as_object().unwrap_or(&empty);
    let mut rows = Vec::new();
    let mut row = |title: &str, value: String| rows.push((title.to_owned(), value));
    let shown = |name: &str| golang::value(fields.get(name).unwrap_or(&Value::Null));
    row("Seal Type", shown("type"));
    row("Initialized", shown("initialized"));
    row("Sealed", shown("sealed"));
    row("Total Shares", shown("n"));
    row("Threshold", shown("t"));
    let is_sealed = document["sealed"].as_bool().unwrap_or(true);
    let is_waiting = is_sealed && document["initialized"].as_bool().unwrap_or(false);
    // A ceremony on an unsealed node is for the others, and has progress too.
    if is_waiting || document["progress"].as_u64() > Some(0) {
        row("Unseal Progress", format!("{}/{}", shown("progress"), shown("t")));
        row("Unseal Nonce", shown("nonce"));
    }
    let optional = [
        ("Boot Fingerprint", "boot_fingerprint"),
        ("Version", "version"),
        ("Build Date", "build_date"),
        ("Storage Type", "storage_type"),
        ("Cluster Name", "cluster_name"),
        ("Cluster ID", "cluster_id"),
        ("HA Enabled", "ha_enabled"),
        ("HA Cluster", "leader_cluster_address"),
    ];
    for (title, name) in optional.into_iter().filter(|(_, name)| is_set(document, name)) {
        row(title, shown(name));
    }
    if !is_sealed && document["ha_enabled"].as_bool().unwrap_or(false) {
        let leads = document["is_self"].as_bool().unwrap_or(false);
        row("HA Mode", if leads { "active" } else { "standby" }.to_owned());
        if leads && is_set(document, "active_time") {
            row("Active Since", shown("active_time"));
        } else if !leads && is_set(document, "leader_address") {
            row("Active Node Address", shown("leader_address"));
        }
    }
    for (title, name) in
        [("Raft Committed Index", "raft_committed_index"), ("Raft Applied Index", "raft_applied_index")]
    {
        if is_set(document, name) {
            row(title, shown(name));
        }
    }
    for (title, name) in [("State", "state"), ("Reason", "reason"), ("Last Leader", "last_leader")] {
        if is_set(document, name) {
            row(title, shown(name));
        }
    }
    match fields.get("last_leader_contact_secs") {
        None => {}
        Some(Value::Null) => row("Last Leader Contact", "none since its start".to_owned()),
        Some(_) => row("Last Leader Contact", format!("{} s ago", shown("last_leader_contact_secs"))),
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sealed_node_shows_how_far_its_ceremony_is() {
        let document = json!({
            "type": "shamir", "initialized": true, "sealed": true, "n": 5, "t": 3, "progress": 1, "nonce": "abc",
            "version": "1.17.6", "ha_enabled": true
        });
        let expected = "\
Key                Value
---                -----
Seal Type          shamir
Initialized        true
Sealed             true
Total Shares       5
Threshold          3
Unseal Progress    1/3
Unseal Nonce       abc
Version            1.17.6
HA Enabled         true
";
        assert_eq!(table::pairs(&rows(&document)), expected);
    }

    #[test]
    fn a_server_that_stands_alone_has_no_fields_of_a_leader() {
        let mut document = json!({"sealed": false});
        add(
            &mut document,
            &json!({
                "ha_enabled": false, "is_self": false, "active_time": "0001-01-01T00:00:00Z", "leader_address": "",
                "performance_standby": false, "performance_standby_last_remote_wal": 0, "raft_applied_index": 7
            }),
        );
        assert_eq!(document, json!({"sealed": false, "ha_enabled": false, "raft_applied_index": 7}));
    }

    #[test]
    fn a_node_without_a_leader_says_why_and_since_when() {
        let mut document = json!({ "initialized": true, "sealed": false });
        add_place(
            &mut document,
            &json!({
                "state": "cut off", "reason": "no quorum", "last_leader": "vault-2", "last_leader_contact_secs": 12,
                "standby": true
            }),
        );
        let shown = rows(&document);
        let ends = ["cut off", "no quorum", "vault-2", "12 s ago"];
        assert_eq!(shown[shown.len() - 4..].iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ends);
        add_place(&mut document, &json!({ "last_leader": null, "last_leader_contact_secs": null }));
        let last = rows(&document).pop().unwrap();
        assert_eq!(last, ("Last Leader Contact".to_owned(), "none since its start".to_owned()));
        // What is well, and what plain Vault says, adds nothing.
        let mut document = json!({ "initialized": true, "sealed": false });
        add_place(&mut document, &json!({ "initialized": true, "sealed": false, "standby": false }));
        assert!(!rows(&document).iter().any(|(title, _)| title.starts_with("Last") || title == "State"));
    }

    #[test]
    fn an_unsealed_follower_names_the_leader() {
        let document = json!({
            "type": "shamir", "initialized": true, "sealed": false, "n": 5, "t": 3, "version": "1.17.6",
            "ha_enabled": true, "is_self": false, "leader_address": "https://a:1", "raft_applied_index": 7
        });
        let rows = rows(&document);
        assert!(rows.contains(&("HA Mode".to_owned(), "standby".to_owned())));
        assert!(rows.contains(&("Active Node Address".to_owned(), "https://a:1".to_owned())));
        assert!(!rows.iter().any(|(title, _)| title == "Unseal Progress"));
    }
}
