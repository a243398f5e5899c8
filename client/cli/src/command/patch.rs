//! `patch`: merges data into any path that allows it (RFC 7396).

use clap::Args;
use conclave_client::{Method, Request};
use serde_json::Value;

use super::write;
use crate::assignment;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Merge data into what is at a path.
#[derive(Args)]
pub(crate) struct Patch {
    /// Patch although there is no data.
    #[arg(long, short)]
    force: bool,
    /// The path.
    path: String,
    /// Data: name=value, name=@file, @file.json, or - for JSON on standard input.
    data: Vec<String>,
}

impl Patch {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        if self.data.is_empty() && !self.force {
            return Err(Failure::Usage("there is no data to merge; add name=value, or -force to merge nothing".into()));
        }
        let data = Value::Object(assignment::from_process(&self.data)?);
        let request = Request::new(Method::Patch, &self.path).json(&data);
        let reply = session.send(&format!("patching data at {}", self.path), request).await?;
        write::written(session, &reply, &self.path)
    }
}
