//! `operator members`: the nodes as the cluster sees them.

use clap::Args;
use conclave_client::Request;
use serde_json::Value;

use crate::command::Outcome;
use crate::session::Session;
use crate::{golang, table};

/// Show the cluster's nodes.
#[derive(Args)]
pub(crate) struct Members {}

impl Members {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let reply = session.send("reading the members", Request::get("sys/ha-status")).await?;
        let data = &reply.json()["data"];
        // Servers differ in whether the name's first letter is upper case.
        let nodes = data["nodes"].as_array().or_else(|| data["Nodes"].as_array()).cloned().unwrap_or_default();
        let document = serde_json::json!({ "nodes": nodes });
        session.output.either(|| text(&nodes), &document)
    }
}

fn text(nodes: &[Value]) -> String {
    let cells = |node: &Value| {
        let text = |name: &str| node[name].as_str().unwrap_or("").to_owned();
        let leads = golang::value(&node["active_node"]);
        let (api, cluster, version) = (text("api_address"), text("cluster_address"), text("version"));
        vec![text("hostname"), api, cluster, leads, version, text("last_echo")]
    };
    let header = ["Host Name", "API Address", "Cluster Address", "Active Node", "Version", "Last Echo"];
    table::columns(&header, &nodes.iter().map(cells).collect::<Vec<_>>())
}
