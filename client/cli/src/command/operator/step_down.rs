//! `operator step-down`: the leader hands over.

use clap::Args;
use conclave_client::Request;
use serde_json::json;

use crate::failure::Outcome;
use crate::session::Session;

/// Ask the leader to hand over to another node.
#[derive(Args)]
pub(crate) struct StepDown {}

impl StepDown {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        // Any node passes the order on, so the one that steps down may be another than the one asked.
        let leader = session.ask("reading the leader", "sys/leader", Request::get("sys/leader")).await;
        let leader = leader.ok().and_then(|reply| reply.json()["leader_address"].as_str().map(str::to_owned));
        session.send("stepping down", Request::post("sys/step-down", &json!({}))).await?;
        let asked = || session.client.addresses().first().map(ToString::to_string).unwrap_or_default();
        let address = leader.filter(|address| !address.is_empty()).unwrap_or_else(asked);
        session.output.done(&format!("Success! Stepped down: {address}"))
    }
}
