//! `operator members`: the nodes as the cluster sees them.

use clap::Args;
use conclave_client::Request;
use serde_json::{Value, json};

use super::known::Known;
use crate::failure::Outcome;
use crate::session::Session;
use crate::{golang, table};

/// Show the cluster's nodes; without a quorum those that the node knew last.
#[derive(Args)]
pub(crate) struct Members {}

impl Members {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let reply = match session.send("reading the members", Request::get("sys/ha-status")).await {
            Ok(reply) => reply,
            Err(failure) => return last_known(&Known::instead_of(failure, session).await?, session),
        };
        let data = &reply.json()["data"];
        // Servers differ in whether the name's first letter is upper case.
        let nodes = data["nodes"].as_array().or_else(|| data["Nodes"].as_array()).cloned().unwrap_or_default();
        let document = serde_json::json!({ "Nodes": nodes });
        session.output.either(|| text(&nodes), &document)
    }
}

fn last_known(known: &Known, session: &Session) -> Outcome {
    let nodes = known.rows(|member| {
        json!({
            "hostname": "",
            "api_address": member.address,
            "cluster_address": member.cluster_address,
            "active_node": null,
            "version": "",
            "upgrade_version": "",
            "last_echo": null,
        })
    });
    known.print(session, || text(&nodes), json!({ "Nodes": nodes }))
}

fn text(nodes: &[Value]) -> String {
    let cells = |node: &Value| {
        let text = |name: &str| node[name].as_str().unwrap_or("").to_owned();
        let shown = |name: &str| if node[name].is_null() { String::new() } else { golang::value(&node[name]) };
        let state = match (node["alive"].as_bool(), node["sealed"].as_bool()) {
            (Some(false), _) => "no answer",
            (_, Some(true)) => "sealed",
            (_, Some(false)) => "unsealed",
            (_, None) => "",
        };
        vec![
            text("hostname"),
            text("api_address"),
            text("cluster_address"),
            shown("active_node"),
            text("version"),
            text("upgrade_version"),
            text("last_echo"),
            text("node_id"),
            state.to_owned(),
            shown("lag"),
        ]
    };
    // The first seven are what scripts for Vault look for.
    let header = [
        "Host Name",
        "API Address",
        "Cluster Address",
        "Active Node",
        "Version",
        "Upgrade Version",
        "Last Echo",
        "Node",
        "State",
        "Lag",
    ];
    table::columns(&header, &nodes.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_shows_its_name_and_whether_it_needs_a_ceremony() {
        let node = |name: &str, alive: bool, sealed: Option<bool>| json!({ "node_id": name, "alive": alive, "sealed": sealed });
        let nodes = [node("a", true, Some(false)), node("b", true, Some(true)), node("c", false, None)];
        let text = text(&nodes);
        let ends = |line: usize| text.lines().nth(line).unwrap().split_whitespace().rev().take(4).collect::<Vec<_>>();
        assert_eq!(ends(2)[1..3], ["unsealed", "a"]);
        assert_eq!(ends(3)[1..3], ["sealed", "b"]);
        assert_eq!(ends(4)[1..4], ["answer", "no", "c"]);
    }

    #[test]
    fn a_server_without_these_fields_is_shown_too() {
        let text = text(&[json!({ "hostname": "h", "api_address": "https://a:1", "active_node": true })]);
        assert!(text.lines().nth(2).unwrap().starts_with("h            https://a:1"), "{text}");
    }
}
