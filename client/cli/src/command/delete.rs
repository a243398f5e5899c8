//! `delete`: what is at a path.

use clap::Args;
use conclave_client::Request;

use super::{read, write};
use crate::failure::Outcome;
use crate::session::Session;

/// Delete what is at a path of the API.
#[derive(Args)]
pub(crate) struct Delete {
    /// The path.
    path: String,
    /// Parameters of the query, as name=value.
    data: Vec<String>,
}

impl Delete {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let request = read::with_query(Request::delete(&self.path), &self.data)?;
        let reply = session.send(&format!("deleting {}", self.path), request).await?;
        write::changed(session, &reply, &format!("Success! Data deleted (if it existed) at: {}", self.path))
    }
}
