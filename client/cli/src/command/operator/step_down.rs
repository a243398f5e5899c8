//! `operator step-down`: the leader hands over.

use clap::Args;
use conclave_client::Request;
use serde_json::json;

use crate::command::Outcome;
use crate::session::Session;

/// Ask the leader to hand over to another node.
#[derive(Args)]
pub(crate) struct StepDown {}

impl StepDown {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        session.send("stepping down", Request::post("sys/step-down", &json!({}))).await?;
        let address = session.client.addresses().first().map(ToString::to_string).unwrap_or_default();
        session.output.done(&format!("Success! Stepped down: {address}"))
    }
}
