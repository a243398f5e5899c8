//! `path-help`: what the server itself says about a path.
//!
//! What surprises: to programs it is another text, the description of the path as OpenAPI.

use clap::Args;
use conclave_client::Request;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
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
        let part = |name: &str| {
            let places = [format!("/{name}"), format!("/data/{name}")];
            places.iter().find_map(|place| reply.json().pointer(place))
        };
        let Some(text) = part("help").and_then(Value::as_str) else {
            return Err(Failure::Reply(format!("the server has no help about {}", self.path)));
        };
        match part("openapi").filter(|_| session.output.is_document()) {
            Some(description) => session.output.document(description),
            None => output::print(&format!("{}\n", text.trim_end())),
        }
    }
}
