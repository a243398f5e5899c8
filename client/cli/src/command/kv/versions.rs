//! `kv undelete` and `kv destroy`: single versions, brought back or gone for good.

use clap::Args;
use conclave_client::{Method, Request};
use serde_json::json;

use super::place::Location;
use crate::failure::Outcome;
use crate::session::Session;

/// Bring deleted versions back.
#[derive(Args)]
pub(crate) struct Undelete {
    #[command(flatten)]
    location: Location,
    /// The versions, such as 1,2.
    #[arg(long, value_delimiter = ',', required = true)]
    versions: Vec<u64>,
}

/// Remove the data of versions for good.
#[derive(Args)]
pub(crate) struct Destroy {
    #[command(flatten)]
    location: Location,
    /// The versions, such as 1,2.
    #[arg(long, value_delimiter = ',', required = true)]
    versions: Vec<u64>,
}

impl Undelete {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        change(session, &self.location, "undelete", &self.versions).await
    }
}

impl Destroy {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        change(session, &self.location, "destroy", &self.versions).await
    }
}

async fn change(session: &Session, location: &Location, verb: &str, versions: &[u64]) -> Outcome {
    let path = location.find_versioned(session, verb).await?.api_path(verb);
    let request = Request::new(Method::Put, &path).json(&json!({ "versions": versions }));
    session.send(&format!("writing data to {path}"), request).await?;
    session.output.done(&format!("Success! Data written to: {path}"))
}
