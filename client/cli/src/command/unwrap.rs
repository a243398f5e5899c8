//! `unwrap`: takes out what a wrapping token holds.

use clap::Args;
use conclave_client::{Request, Secret};
use serde_json::json;

use crate::failure::Outcome;
use crate::session::Session;

/// Take out what a wrapping token holds; the token is used up by it.
#[derive(Args)]
pub(crate) struct Unwrap {
    /// The wrapping token; without it, the session's own token is taken for one.
    token: Option<String>,
}

impl Unwrap {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let mut request = Request::post("sys/wrapping/unwrap", &json!({}));
        if let Some(token) = &self.token {
            request = request.token(Secret::new(token.trim()));
        }
        let reply = session.send("unwrapping", request).await?;
        if reply.bytes().is_empty() {
            return session.output.done("There was no data in the wrapping token");
        }
        session.output.reply(&reply)
    }
}
