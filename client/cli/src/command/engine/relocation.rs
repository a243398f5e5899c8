//! `secrets move` and `auth move`: another path for a mount, and all that is in it.
//!
//! What surprises: a server may go on with the move after it has answered, so it is asked until the move is done.

use clap::Args;
use conclave_client::Request;
use serde_json::{Value, json};

use super::{Family, with_slash};
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// How often a move is asked whether it is done.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// Give a mount another path.
#[derive(Args)]
pub(crate) struct Move {
    /// Where it is mounted.
    from: String,
    /// Where it shall be.
    to: String,
}

impl Move {
    pub(in crate::command) async fn run(&self, session: &Session, family: &Family) -> Outcome {
        let (from, to) = (with_slash(&self.from), with_slash(&self.to));
        let place = |path: &str| family.remount_place(path);
        let request = Request::post("sys/remount", &json!({ "from": place(&from), "to": place(&to) }));
        let reply = session.send(&format!("moving {from} to {to}"), request).await?;
        let name = family.name;
        if let Some(id) = reply.json()["data"]["migration_id"].as_str() {
            session.output.done(&format!("Started moving {name} {from} to {to}, with migration ID {id}"))?;
            wait(session, id).await?;
        }
        session.output.done(&format!("Success! Finished moving {name} {from} to {to}"))
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
