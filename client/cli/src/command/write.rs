//! `write`: data to any path.

use clap::Args;
use conclave_client::{Reply, Request};
use serde_json::Value;

use crate::assignment;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Write data to any path of the API.
#[derive(Args)]
pub(crate) struct Write {
    /// Write although there is no data.
    #[arg(long, short)]
    force: bool,
    /// The path, such as auth/userpass/users/ada.
    path: String,
    /// Data: name=value, name=@file, @file.json, or - for JSON on standard input.
    data: Vec<String>,
}

impl Write {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        if self.data.is_empty() && !self.force {
            return Err(Failure::Usage("there is no data to write; add name=value, or -force to write nothing".into()));
        }
        let data = Value::Object(assignment::from_process(&self.data)?);
        let doing = format!("writing data to {}", self.path);
        let reply = session.send(&doing, Request::new(conclave_client::Method::Put, &self.path).json(&data)).await?;
        written(session, &reply, &self.path)
    }
}

/// Shows what came back of a write, or that nothing did.
pub(super) fn written(session: &Session, reply: &Reply, path: &str) -> Outcome {
    changed(session, reply, &format!("Success! Data written to: {path}"))
}

/// Shows what came back of a change, or says in `done` that it was made.
pub(super) fn changed(session: &Session, reply: &Reply, done: &str) -> Outcome {
    let has_content = ["auth", "wrap_info"].iter().any(|part| reply.json().get(part).is_some_and(Value::is_object));
    let is_bare = !reply.bytes().is_empty() && reply.json().get("request_id").is_none();
    let has_data = reply.data().is_some_and(|data| !data.is_empty());
    // A program finds what the server warns of in the document.
    let warns = !reply.warnings().is_empty() && !session.output.is_table();
    if has_content || is_bare || has_data || warns {
        return session.output.reply(reply);
    }
    session.output.warnings(reply);
    session.output.done(done)
}
