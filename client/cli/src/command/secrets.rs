//! `secrets`: the secret engines.

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::{Value, json};

use super::engine::{Disable, Enable, Family, List, Tune, with_slash};
use crate::command::Outcome;
use crate::failure::Failure;
use crate::session::Session;

pub(super) const ENGINES: Family = Family { root: "sys/mounts", name: "secrets engine" };

/// How often a move is asked whether it is done.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// What can be done with secret engines.
#[derive(Subcommand)]
pub(crate) enum Secrets {
    /// Show the secret engines.
    List(List),
    /// Mount a secret engine.
    Enable(Enable),
    /// Unmount a secret engine and delete all that is in it.
    Disable(Disable),
    /// Change settings of a secret engine.
    Tune(Tune),
    Move(Move),
}

/// Give a secret engine another path.
#[derive(Args)]
pub(crate) struct Move {
    /// Where it is mounted.
    from: String,
    /// Where it shall be.
    to: String,
}

impl Secrets {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::List(command) => command.run(session, &ENGINES).await,
            Self::Enable(command) => command.run(session, &ENGINES).await,
            Self::Disable(command) => command.run(session, &ENGINES).await,
            Self::Tune(command) => command.run(session, &ENGINES).await,
            Self::Move(command) => command.run(session).await,
        }
    }
}

impl Move {
    async fn run(&self, session: &Session) -> Outcome {
        let (from, to) = (with_slash(&self.from), with_slash(&self.to));
        let request = Request::post("sys/remount", &json!({ "from": from, "to": to }));
        let reply = session.send(&format!("moving {from} to {to}"), request).await?;
        if let Some(id) = reply.json()["data"]["migration_id"].as_str() {
            session.output.done(&format!("Started moving secrets engine {from} to {to}, with migration ID {id}"))?;
            wait(session, id).await?;
        }
        session.output.done(&format!("Success! Finished moving secrets engine {from} to {to}"))
    }
}

async fn wait(session: &Session, id: &str) -> Outcome {
    loop {
        let reply = session.send("reading the move's status", Request::get(format!("sys/remount/status/{id}"))).await?;
        match reply.json()["data"]["migration_info"]["status"].as_str() {
            Some("success") => return Ok(()),
            Some("in-progress") => tokio::time::sleep(PAUSE).await,
            Some("failure") => return Err(Failure::Reply("the move failed; the server's log says why".to_owned())),
            other => {
                let status = other.map_or(Value::Null, Value::from);
                return Err(Failure::Reply(format!("the server gives the move a status that is not known: {status}")));
            }
        }
    }
}
