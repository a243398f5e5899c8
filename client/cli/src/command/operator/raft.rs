//! `operator raft`: the nodes that replicate.

use std::io::Read;

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::{Map, Value, json};

use super::autopilot::Autopilot;
use super::known::Known;
use super::snapshot::Snapshot;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{assignment, golang, table};

/// What can be done with replicating nodes.
#[derive(Subcommand)]
pub(crate) enum Raft {
    /// Show the nodes that replicate; without a quorum those that the node knew last.
    ListPeers,
    Join(Join),
    RemovePeer(RemovePeer),
    JoinToken(JoinToken),
    /// Show and change when members count as healthy, vote, and are removed.
    #[command(subcommand)]
    Autopilot(Autopilot),
    /// Save and look at copies of everything, encrypted as it is stored.
    #[command(subcommand)]
    Snapshot(Snapshot),
}

/// Make a token that lets nodes join.
#[derive(Args)]
pub(crate) struct JoinToken {
    /// How long it works, such as 5m, 24h or 30d: 30 minutes if not said, at most 32 days.
    #[arg(long)]
    ttl: Option<String>,
    /// How many nodes it lets in: one if not said, at most 64.
    #[arg(long)]
    uses: Option<u64>,
}

/// Let the node join a cluster.
#[derive(Args)]
pub(crate) struct Join {
    /// A token that a member of the cluster made (`operator raft join-token`), or - for standard input.
    #[arg(long)]
    token: Option<String>,
    /// The authorities that the leader's certificate may come from: @FILE, or their text.
    #[arg(long)]
    leader_ca_cert: Option<String>,
    /// A certificate to show to the leader: @FILE, or its text.
    #[arg(long)]
    leader_client_cert: Option<String>,
    /// Its key: @FILE, or its text.
    #[arg(long)]
    leader_client_key: Option<String>,
    /// The name that the leader's certificate must have.
    #[arg(long)]
    leader_tls_servername: Option<String>,
    /// Keep trying until it succeeds.
    #[arg(long)]
    retry: bool,
    /// Replicate without a vote.
    #[arg(long)]
    non_voter: bool,
    /// Without a token: the address of the leader's API, such as https://10.0.0.1:8200. Shares of its cluster that are
    /// entered on the joining node (`operator unseal`) end the join.
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
                let reply = match session.send("reading the raft cluster configuration", request).await {
                    Ok(reply) => reply,
                    Err(failure) => return last_known(&Known::instead_of(failure, session).await?, session),
                };
                session.output.either(|| text(&reply.json()["data"]["config"]["servers"]), reply.json())
            }
            Self::Join(command) => command.run(session).await,
            Self::RemovePeer(command) => {
                let request = Request::post("sys/storage/raft/remove-peer", &json!({ "server_id": command.id }));
                session.send("removing the peer from raft cluster", request).await?;
                session.output.done("Peer removed successfully!")
            }
            Self::Snapshot(command) => command.run(session).await,
            Self::Autopilot(command) => command.run(session).await,
            Self::JoinToken(command) => {
                let request = Request::post("sys/storage/raft/join-token", &command.body());
                session.output.reply(&session.send("making a join token", request).await?)
            }
        }
    }
}

impl JoinToken {
    fn body(&self) -> Value {
        let mut body = Map::new();
        if let Some(ttl) = &self.ttl {
            body.insert("ttl".to_owned(), json!(ttl));
        }
        if let Some(uses) = self.uses {
            body.insert("uses".to_owned(), json!(uses));
        }
        Value::Object(body)
    }
}

impl Join {
    fn body(&self, input: &mut impl Read) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        for (name, value) in [
            ("token", &self.token),
            ("leader_api_addr", &self.leader_address),
            ("leader_ca_cert", &self.leader_ca_cert),
            ("leader_client_cert", &self.leader_client_cert),
            ("leader_client_key", &self.leader_client_key),
            ("leader_tls_servername", &self.leader_tls_servername),
        ] {
            if let Some(value) = value {
                let text = assignment::text(value, input)?;
                body.insert(name.to_owned(), Value::from(text.trim()));
            }
        }
        body.insert("retry".to_owned(), json!(self.retry));
        body.insert("non_voter".to_owned(), json!(self.non_voter));
        Ok(body)
    }

    async fn run(&self, session: &Session) -> Outcome {
        let body = self.body(&mut std::io::stdin().lock())?;
        let request = Request::post("sys/storage/raft/join", &Value::Object(body)).about_one_node();
        let reply = session.send_anonymously("joining the node to the raft cluster", request).await?;
        session.output.warnings(&reply);
        let text = || table::pairs(&[("Joined".to_owned(), reply.json()["joined"].to_string())]);
        session.output.either(text, reply.json())
    }
}

fn last_known(known: &Known, session: &Session) -> Outcome {
    let servers = known.rows(|member| {
        let address = member.cluster_address.trim_start_matches("https://");
        json!({ "address": address, "leader": null, "state": "answers", "last_contact": null })
    });
    let document = json!({ "data": { "config": { "servers": servers } } });
    known.print(session, || text(&document["data"]["config"]["servers"]), document.clone())
}

/// Whether a state needs no word beside the column that says whether the node is sealed.
fn is_ordinary(state: &str) -> bool {
    matches!(state, "" | "serving" | "sealed")
}

fn text(servers: &Value) -> String {
    let cells = |server: &Value| {
        let text = |name: &str| server[name].as_str().unwrap_or("").to_owned();
        let state = match (server["leader"].as_bool(), server["alive"].as_bool()) {
            (Some(true), _) => "leader",
            (_, Some(false)) => "no answer",
            // What is wrong with it, which matters more than that it follows.
            _ => server["state"].as_str().filter(|state| !is_ordinary(state)).unwrap_or("follower"),
        };
        let voter = server["voter"].as_bool().unwrap_or(false);
        let shown = |name: &str| if server[name].is_null() { String::new() } else { golang::value(&server[name]) };
        let [sealed, lag] = ["sealed", "lag"].map(shown);
        vec![text("node_id"), text("address"), state.to_owned(), voter.to_string(), sealed, text("last_contact"), lag]
    };
    let rows: Vec<_> = servers.as_array().into_iter().flatten().map(cells).collect();
    // The first four are what scripts for Vault look for.
    table::columns(&["Node", "Address", "State", "Voter", "Sealed", "Last Contact", "Lag"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_is_asked_for_as_long_and_for_as_many_nodes_as_was_said() {
        let asked = |ttl: Option<&str>, uses| JoinToken { ttl: ttl.map(str::to_owned), uses }.body();
        assert_eq!(asked(None, None), json!({}));
        assert_eq!(asked(Some("24h"), Some(3)), json!({"ttl": "24h", "uses": 3}));
    }

    #[test]
    fn a_join_says_all_that_was_asked_for() {
        let join = Join {
            token: None,
            leader_ca_cert: Some("ca".into()),
            leader_client_cert: Some("certificate".into()),
            leader_client_key: Some("-".into()),
            leader_tls_servername: Some("vault".into()),
            retry: true,
            non_voter: true,
            leader_address: Some("https://a:1".into()),
        };
        let expected = json!({
            "leader_api_addr": "https://a:1", "leader_ca_cert": "ca", "leader_client_cert": "certificate",
            "leader_client_key": "key", "leader_tls_servername": "vault", "retry": true, "non_voter": true,
        });
        assert_eq!(Value::Object(join.body(&mut "key\n".as_bytes()).unwrap()), expected);
    }

    #[test]
    fn peers_are_shown_in_columns() {
        let servers = json!([
            {"node_id": "a", "address": "10.0.0.1:1", "leader": true, "voter": true, "alive": true, "sealed": false, "lag": 0},
            {"node_id": "b", "address": "10.0.0.2:1", "leader": false, "voter": true, "alive": true, "sealed": true,
             "last_contact": "312 ms", "lag": 7},
            {"node_id": "c", "address": "10.0.0.3:1", "leader": false, "voter": false, "alive": false, "sealed": null,
             "last_contact": "90112 ms", "lag": null},
            {"node_id": "d", "address": "10.0.0.4:1", "leader": false, "voter": true, "alive": true, "sealed": false,
             "state": "rolled back", "last_contact": "20 ms", "lag": 20},
            {"node_id": "e", "address": "10.0.0.5:1", "leader": false, "voter": true, "alive": true, "sealed": false,
             "state": "serving", "last_contact": "20 ms", "lag": 0},
        ]);
        let expected = "\
Node    Address       State          Voter    Sealed    Last Contact    Lag
----    -------       -----          -----    ------    ------------    ---
a       10.0.0.1:1    leader         true     false     n/a             0
b       10.0.0.2:1    follower       true     true      312 ms          7
c       10.0.0.3:1    no answer      false    n/a       90112 ms        n/a
d       10.0.0.4:1    rolled back    true     false     20 ms           20
e       10.0.0.5:1    follower       true     false     20 ms           0
";
        assert_eq!(text(&servers), expected);
    }
}
