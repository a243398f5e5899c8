//! `kv delete`: the newest version, or some; both can be undone where versions are kept.

use clap::Args;
use conclave_client::{Method, Request};
use serde_json::json;

use super::place::Location;
use crate::failure::Outcome;
use crate::session::Session;

/// Delete a secret. With versions, `kv undelete` brings it back.
#[derive(Args)]
pub(crate) struct KvDelete {
    #[command(flatten)]
    location: Location,
    /// The versions to delete, such as 1,2; without it, the newest.
    #[arg(long, value_delimiter = ',')]
    versions: Vec<u64>,
}

impl KvDelete {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let place = if self.versions.is_empty() {
            self.location.find(session).await?
        } else {
            self.location.find_versioned(session, "delete -versions").await?
        };
        let path = place.api_path("data");
        let request = if self.versions.is_empty() {
            Request::delete(&path)
        } else {
            Request::new(Method::Put, place.api_path("delete")).json(&json!({ "versions": self.versions }))
        };
        let reply = session.send(&format!("deleting {path}"), request).await?;
        session.output.warnings(&reply);
        session.output.done(&format!("Success! Data deleted (if it existed) at: {path}"))
    }
}
