//! `operator key-status`: the key that new data is encrypted with.

use clap::Args;
use conclave_client::Request;
use serde_json::Value;

use crate::command::Outcome;
use crate::session::Session;
use crate::{golang, table};

/// Show the key that new data is encrypted with.
#[derive(Args)]
pub(crate) struct KeyStatus {}

impl KeyStatus {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let reply = session.send("reading key status", Request::get("sys/key-status")).await?;
        session.output.either(|| text(&reply.json()["data"]), reply.json())
    }
}

/// The rows of a key.
pub(super) fn text(key: &Value) -> String {
    let titles = [("Key Term", "term"), ("Install Time", "install_time"), ("Encryption Count", "encryptions")];
    table::pairs(&titles.map(|(title, name)| (title.to_owned(), golang::value(&key[name]))))
}
