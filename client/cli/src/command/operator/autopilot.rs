//! `operator raft autopilot`: when members count as healthy, vote, and are removed.

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{golang, table};

/// Where the settings lie.
const CONFIGURATION: &str = "sys/storage/raft/autopilot/configuration";

/// What can be done with autopilot.
#[derive(Subcommand)]
pub(crate) enum Autopilot {
    /// Show the settings.
    GetConfig,
    SetConfig(SetConfig),
    /// Show how healthy the members are.
    State,
}

/// Change settings. What is not said stays.
#[derive(Args)]
pub(crate) struct SetConfig {
    /// Whether members that are dead are removed.
    #[arg(long)]
    cleanup_dead_servers: Option<bool>,
    /// How long a member may give no answer and be healthy, such as 10s.
    #[arg(long)]
    last_contact_threshold: Option<String>,
    /// How long a member gives no answer before it is dead, such as 24h; 1m at least.
    #[arg(long)]
    dead_server_last_contact_threshold: Option<String>,
    /// Entries that a member may lack and be healthy.
    #[arg(long)]
    max_trailing_logs: Option<u64>,
    /// Voters below which none is removed for being dead.
    #[arg(long)]
    min_quorum: Option<u64>,
    /// How long a node that joined must have kept up before it votes, such as 10s.
    #[arg(long)]
    server_stabilization_time: Option<String>,
}

impl Autopilot {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::GetConfig => {
                let reply = session.send("reading the autopilot configuration", Request::get(CONFIGURATION)).await?;
                session.output.reply(&reply)
            }
            Self::SetConfig(command) => {
                let body = command.body();
                if body.is_empty() {
                    return Err(Failure::Usage("Nothing to change: name a setting, such as -min-quorum=3.".to_owned()));
                }
                let request = Request::post(CONFIGURATION, &Value::Object(body));
                session.send("changing the autopilot configuration", request).await?;
                session.output.done("Success! Changed the autopilot configuration")
            }
            Self::State => {
                let request = Request::get("sys/storage/raft/autopilot/state");
                let reply = session.send("reading the autopilot state", request).await?;
                session.output.either(|| text(&reply.json()["data"]), reply.json())
            }
        }
    }
}

impl SetConfig {
    fn body(&self) -> Map<String, Value> {
        let settings = [
            ("cleanup_dead_servers", self.cleanup_dead_servers.map(Value::from)),
            ("last_contact_threshold", self.last_contact_threshold.clone().map(Value::from)),
            ("dead_server_last_contact_threshold", self.dead_server_last_contact_threshold.clone().map(Value::from)),
            ("max_trailing_logs", self.max_trailing_logs.map(Value::from)),
            ("min_quorum", self.min_quorum.map(Value::from)),
            ("server_stabilization_time", self.server_stabilization_time.clone().map(Value::from)),
        ];
        settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

fn text(state: &Value) -> String {
    let row = |title: &'static str, name: &str| (title, golang::value(&state[name]));
    let summary = [row("Healthy", "healthy"), row("Failure Tolerance", "failure_tolerance"), row("Leader", "leader")];
    let cells = |server: &Value| {
        ["name", "address", "status", "healthy", "last_contact", "last_index", "stable_since"]
            .map(|name| golang::value(&server[name]))
            .to_vec()
    };
    let rows: Vec<_> = state["servers"].as_object().into_iter().flat_map(Map::values).map(cells).collect();
    let header = ["Node", "Address", "Status", "Healthy", "Last Contact", "Last Index", "Stable Since"];
    format!("{}\n{}", table::plain(&summary), table::columns(&header, &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_said_is_changed() {
        let command = SetConfig {
            cleanup_dead_servers: Some(true),
            last_contact_threshold: None,
            dead_server_last_contact_threshold: Some("12h".into()),
            max_trailing_logs: None,
            min_quorum: Some(3),
            server_stabilization_time: None,
        };
        let expected =
            json!({ "cleanup_dead_servers": true, "dead_server_last_contact_threshold": "12h", "min_quorum": 3 });
        assert_eq!(Value::Object(command.body()), expected);
    }

    #[test]
    fn members_stand_below_the_whole() {
        let state = json!({
            "healthy": true, "failure_tolerance": 1, "leader": "a", "servers": { "a": {
                "name": "a", "address": "10.0.0.1:1", "status": "leader", "healthy": true, "last_contact": "0ms",
                "last_index": 7, "stable_since": "2026-11-21T11:53:48Z"
            }}
        });
        let expected = "\
Healthy              true
Failure Tolerance    1
Leader               a

Node    Address       Status    Healthy    Last Contact    Last Index    Stable Since
----    -------       ------    -------    ------------    ----------    ------------
a       10.0.0.1:1    leader    true       0ms             7             2026-11-21T11:53:48Z
";
        assert_eq!(text(&state), expected);
    }
}
