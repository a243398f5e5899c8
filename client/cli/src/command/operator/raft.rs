//! `operator raft`: the nodes that replicate.

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::{Map, Value, json};

use crate::command::Outcome;
use crate::session::Session;
use crate::{assignment, table};

/// What can be done with replicating nodes.
#[derive(Subcommand)]
pub(crate) enum Raft {
    /// Show the nodes that replicate.
    ListPeers,
    Join(Join),
    RemovePeer(RemovePeer),
    /// Make a token that lets one node join; it works once.
    JoinToken,
}

/// Let the node join a cluster.
#[derive(Args)]
pub(crate) struct Join {
    /// A one-time token that a member of the cluster made (`operator raft join-token`), or - for standard input.
    #[arg(long)]
    token: Option<String>,
    /// A file with the authorities that the leader's certificate may come from, or its text.
    #[arg(long)]
    leader_ca_cert: Option<String>,
    /// Keep trying until it succeeds.
    #[arg(long)]
    retry: bool,
    /// Replicate without a vote.
    #[arg(long)]
    non_voter: bool,
    /// The address of the leader's API; a join token already says it.
    leader_address: Option<String>,
}

/// Remove a node from the cluster for good.
#[derive(Args)]
pub(crate) struct RemovePeer {
    /// The node's id, as `operator raft list-peers` shows it.
    id: String,
}

impl Raft {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::ListPeers => {
                let request = Request::get("sys/storage/raft/configuration");
                let reply = session.send("reading the raft cluster configuration", request).await?;
                session.output.either(|| text(&reply.json()["data"]["config"]["servers"]), reply.json())
            }
            Self::Join(command) => command.run(session).await,
            Self::RemovePeer(command) => {
                let request = Request::post("sys/storage/raft/remove-peer", &json!({ "server_id": command.id }));
                session.send("removing the peer from raft cluster", request).await?;
                session.output.done("Peer removed successfully!")
            }
            Self::JoinToken => {
                let request = Request::post("sys/storage/raft/join-token", &json!({}));
                session.output.reply(&session.send("making a join token", request).await?)
            }
        }
    }
}

impl Join {
    async fn run(&self, session: &Session) -> Outcome {
        let mut body = Map::new();
        let mut input = std::io::stdin().lock();
        for (name, value) in [("token", &self.token), ("leader_ca_cert", &self.leader_ca_cert)] {
            if let Some(value) = value {
                let text = assignment::text(value, &mut input)?;
                body.insert(name.to_owned(), Value::from(text.trim()));
            }
        }
        drop(input);
        if let Some(address) = &self.leader_address {
            body.insert("leader_api_addr".to_owned(), json!(address));
        }
        body.insert("retry".to_owned(), json!(self.retry));
        body.insert("non_voter".to_owned(), json!(self.non_voter));
        let request = Request::post("sys/storage/raft/join", &Value::Object(body)).about_one_node();
        let reply = session.send_anonymously("joining the node to the raft cluster", request).await?;
        let text = || table::pairs(&[("Joined".to_owned(), reply.json()["joined"].to_string())]);
        session.output.either(text, reply.json())
    }
}

fn text(servers: &Value) -> String {
    let cells = |server: &Value| {
        let text = |name: &str| server[name].as_str().unwrap_or("").to_owned();
        let state = if server["leader"].as_bool().unwrap_or(false) { "leader" } else { "follower" };
        let voter = server["voter"].as_bool().unwrap_or(false);
        vec![text("node_id"), text("address"), state.to_owned(), voter.to_string()]
    };
    let rows: Vec<_> = servers.as_array().into_iter().flatten().map(cells).collect();
    table::columns(&["Node", "Address", "State", "Voter"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_shown_in_columns() {
        let servers = json!([{"node_id": "a", "address": "127.0.0.1:8201", "leader": true, "voter": true}]);
        let expected = "\
Node    Address           State     Voter
----    -------           -----     -----
a       127.0.0.1:8201    leader    true
";
        assert_eq!(text(&servers), expected);
    }
}
