//! `operator rotate`: a new key for new data.

use clap::Args;
use conclave_client::Request;
use serde_json::json;

use super::key_status::Key;
use crate::failure::Outcome;
use crate::session::Session;

/// Make a new key for new data; old data stays readable.
#[derive(Args)]
pub(crate) struct Rotate {}

impl Rotate {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        session.send("rotating the key", Request::post("sys/rotate", &json!({}))).await?;
        let reply = session.send("reading key status", Request::get("sys/key-status")).await?;
        let key = Key::of(&reply.json()["data"]);
        session.output.ordered(|| format!("Success! Rotated key\n\n{}", key.text()), &key)
    }
}
