//! `list`: the names below a path.

use clap::Args;
use conclave_client::{Reply, Request};

use super::read;
use crate::command::Outcome;
use crate::failure::Failure;
use crate::session::Session;

/// List the names below a path.
#[derive(Args)]
pub(crate) struct List {
    /// Show also what the server knows of each name.
    #[arg(long)]
    detailed: bool,
    /// The path, such as auth/userpass/users.
    path: String,
    /// Parameters of the query, as name=value.
    data: Vec<String>,
}

impl List {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let request = read::with_query(Request::list(&self.path), &self.data)?;
        let reply = session.fetch(&format!("listing {}", self.path), &self.path, request).await?;
        if self.detailed && !session.output.is_table() {
            return session.output.reply(&reply);
        }
        listed(session, &reply, &self.path)
    }
}

/// Shows the names of a listing.
pub(super) fn listed(session: &Session, reply: &Reply, path: &str) -> Outcome {
    if reply.wrap_info().is_some() {
        return session.output.reply(reply);
    }
    let keys: Vec<_> = reply.keys().into_iter().map(str::to_owned).collect();
    if keys.is_empty() {
        return Err(Failure::NotFound { path: path.to_owned(), reasons: Vec::new() });
    }
    session.output.keys(&keys)
}
