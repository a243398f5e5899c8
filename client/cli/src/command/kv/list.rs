//! `kv list`: the names below a path.

use clap::Args;
use conclave_client::Request;

use super::place::Location;
use crate::command::list;
use crate::failure::Outcome;
use crate::session::Session;

/// List the names below a path.
#[derive(Args)]
pub(crate) struct KvList {
    /// Where the engine is mounted; the path is then inside of it.
    #[arg(long)]
    mount: Option<String>,
    /// The path, such as secret/app; with -mount it may be left out.
    #[arg(required_unless_present = "mount")]
    path: Option<String>,
}

impl KvList {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let location = Location { mount: self.mount.clone(), path: self.path.clone().unwrap_or_default() };
        let path = location.find(session).await?.api_path("metadata");
        list::show(session, &path, Request::list(&path), false).await
    }
}
