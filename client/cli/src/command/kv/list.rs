//! `kv list`: the names below a path.

use clap::Args;
use conclave_client::Request;

use super::place::Location;
use crate::command::{Outcome, list};
use crate::session::Session;

/// List the names below a path.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    location: Location,
}

impl List {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let path = self.location.find(session).await?.api_path("metadata");
        let reply = session.fetch(&format!("listing {path}"), &path, Request::list(&path)).await?;
        list::listed(session, &reply, &path)
    }
}
