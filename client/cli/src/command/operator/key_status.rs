//! `operator key-status`: the key that new data is encrypted with.

use clap::Args;
use conclave_client::Request;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Outcome;
use crate::session::Session;
use crate::{golang, table};

/// The key, without the reply's envelope, as Vault prints it.
#[derive(Serialize)]
pub(super) struct Key<'a> {
    term: &'a Value,
    install_time: &'a Value,
    encryptions: &'a Value,
}

/// Show the key that new data is encrypted with.
#[derive(Args)]
pub(crate) struct KeyStatus {}

impl KeyStatus {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let reply = session.send("reading key status", Request::get("sys/key-status")).await?;
        let key = Key::of(&reply.json()["data"]);
        session.output.ordered(|| key.text(), &key)
    }
}

impl<'a> Key<'a> {
    pub(super) fn of(data: &'a Value) -> Self {
        Self { term: &data["term"], install_time: &data["install_time"], encryptions: &data["encryptions"] }
    }

    /// The rows of a key.
    pub(super) fn text(&self) -> String {
        table::plain(&[
            ("Key Term", golang::value(self.term)),
            ("Install Time", golang::rfc_822(self.install_time)),
            ("Encryption Count", golang::value(self.encryptions)),
        ])
    }
}
