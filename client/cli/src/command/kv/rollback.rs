//! `kv rollback`: an older version's data becomes the newest version.

use clap::Args;
use conclave_client::{Method, Request};
use serde_json::{Value, json};

use super::place::Location;
use super::put;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Make an older version's data the newest version.
#[derive(Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    location: Location,
    /// The version to go back to.
    #[arg(long)]
    version: u64,
}

impl Rollback {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let place = self.location.find_versioned(session, "rollback").await?;
        let path = place.api_path("data");
        let doing = format!("reading {path}");
        let newest = session.ask(&doing, &path, Request::get(&path)).await?;
        let Some(current) = newest.json()["data"]["metadata"]["version"].as_u64() else {
            return Err(Failure::NotFound { path, reasons: Vec::new() });
        };
        let request = Request::get(&path).query("version", self.version.to_string());
        let older = session.ask(&doing, &path, request).await?;
        let data = match &older.json()["data"]["data"] {
            Value::Object(data) => data.clone(),
            _ => {
                let version = self.version;
                return Err(Failure::Reply(format!("version {version} of {path} was deleted; `kv undelete` it first")));
            }
        };
        // Guarded by the newest version, so that a write in between is not lost.
        let request = Request::new(Method::Put, &path).json(&json!({ "data": data, "options": { "cas": current } }));
        let reply = session.send(&format!("writing data to {path}"), request).await?;
        put::show_version(session, &path, &reply)
    }
}
