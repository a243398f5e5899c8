//! `path-help`: what the server itself says about a path.

use clap::Args;
use conclave_client::Request;
use serde_json::Value;

use crate::command::Outcome;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

/// Show the server's own help about a path.
#[derive(Args)]
pub(crate) struct PathHelp {
    /// The path.
    path: String,
}

impl PathHelp {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let request = Request::get(&self.path).query("help", "1");
        let reply = session.send(&format!("reading the help of {}", self.path), request).await?;
        if !session.output.is_table() {
            return session.output.reply(&reply);
        }
        let places = ["/help", "/data/help"];
        let found = places.iter().find_map(|place| reply.json().pointer(place)).and_then(Value::as_str);
        let text = found.ok_or_else(|| Failure::Reply(format!("the server has no help about {}", self.path)))?;
        output::print(&format!("{}\n", text.trim_end()))
    }
}
