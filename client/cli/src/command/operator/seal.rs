//! `operator seal`: the node forgets its keys.

use clap::Args;
use conclave_client::Request;
use serde_json::json;

use crate::failure::Outcome;
use crate::session::Session;

/// Seal the node: it forgets its keys, and needs shares to serve again.
#[derive(Args)]
pub(crate) struct Seal {}

impl Seal {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        session.send("sealing", Request::post("sys/seal", &json!({})).about_one_node()).await?;
        session.output.done("Success! Vault is sealed.")
    }
}
