//! `operator unseal`: gives one share.
//!
//! What surprises: with `-cluster` the same ceremony unseals every sealed node that this one reaches.

use clap::Args;
use conclave_client::{Method, Request, Secret};
use serde_json::{Value, json};

use crate::command::Outcome;
use crate::session::Session;
use crate::{golang, prompt, table};

/// Give one share. Asks for it without showing it, so that it stays out of the shell's history.
#[derive(Args)]
pub(crate) struct Unseal {
    /// Forget the shares given so far.
    #[arg(long)]
    reset: bool,
    /// Unseal every node of the cluster that is reached, in one ceremony.
    #[arg(long)]
    cluster: bool,
    /// Accepted for scripts; there is no other seal to migrate from.
    #[arg(long, hide = true)]
    migrate: bool,
    /// The share, or - for standard input; without it, it is asked for.
    share: Option<String>,
}

impl Unseal {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let body = if self.reset { json!({ "reset": true }) } else { self.body(&self.share(session)?) };
        let request = Request::new(Method::Put, "sys/unseal").json(&body).about_one_node();
        let reply = session.send_anonymously("unsealing", request).await?;
        session.output.either(|| text(reply.json()), reply.json())
    }

    fn share(&self, session: &Session) -> Result<Secret, crate::failure::Failure> {
        match self.share.as_deref() {
            None | Some("-") => prompt::secret("Unseal Key", session.may_ask),
            Some(share) => Ok(Secret::new(share.trim())),
        }
    }

    fn body(&self, share: &Secret) -> Value {
        let mut body = json!({ "key": share.expose() });
        if self.cluster {
            body["cluster"] = json!(true);
        }
        body
    }
}

fn text(status: &Value) -> String {
    let row = |title: &str, name: &str| (title.to_owned(), golang::value(&status[name]));
    let mut rows = vec![
        row("Seal Type", "type"),
        row("Initialized", "initialized"),
        row("Sealed", "sealed"),
        row("Total Shares", "n"),
        row("Threshold", "t"),
    ];
    if status["sealed"].as_bool().unwrap_or(true) {
        let progress = format!("{}/{}", golang::value(&status["progress"]), golang::value(&status["t"]));
        rows.push(("Unseal Progress".to_owned(), progress));
        rows.push(row("Unseal Nonce", "nonce"));
    }
    let optional = [("Version", "version"), ("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id")];
    rows.extend(optional.iter().filter(|(_, name)| status[name].is_string()).map(|(title, name)| row(title, name)));
    let mut text = table::pairs(&rows);
    if let Some(nodes) = status["nodes"].as_array().filter(|nodes| !nodes.is_empty()) {
        text.push('\n');
        text.push_str(&nodes_table(nodes));
    }
    text
}

fn nodes_table(nodes: &[Value]) -> String {
    let cells = |node: &Value| {
        let text = |name: &str| node[name].as_str().unwrap_or("").to_owned();
        vec![text("id"), text("address"), golang::value(&node["sealed"]), text("error")]
    };
    table::columns(&["Node", "Address", "Sealed", "Error"], &nodes.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceremony_for_the_cluster_shows_each_node() {
        let status = json!({
            "type": "shamir", "initialized": true, "sealed": false, "n": 5, "t": 3,
            "nodes": [{"id": "b", "address": "https://b:1", "sealed": true, "error": "timed out"}]
        });
        let expected = "\
Key             Value
---             -----
Seal Type       shamir
Initialized     true
Sealed          false
Total Shares    5
Threshold       3

Node    Address        Sealed    Error
----    -------        ------    -----
b       https://b:1    true      timed out
";
        assert_eq!(text(&status), expected);
    }
}
