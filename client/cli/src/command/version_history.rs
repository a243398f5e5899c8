//! `version-history`: which versions the server ran, and since when.

use clap::Args;
use conclave_client::Request;
use serde_json::Value;

use crate::failure::Outcome;
use crate::session::Session;
use crate::table;

/// Show which versions the server ran, and since when.
#[derive(Args)]
pub(crate) struct VersionHistory {}

impl VersionHistory {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let reply = session.send("reading version history", Request::list("sys/version-history")).await?;
        if session.output.is_table() && reply.wrap_info().is_none() {
            return crate::output::print(&text(&reply.keys(), &reply.json()["data"]["key_info"]));
        }
        session.output.reply(&reply)
    }
}

fn text(versions: &[&str], known: &Value) -> String {
    let row = |version: &&str| {
        let told = |name: &str| known[*version][name].as_str().unwrap_or("").to_owned();
        vec![(*version).to_owned(), told("timestamp_installed"), told("build_date")]
    };
    let header = ["Version", "Installation Time", "Build Date"];
    table::columns(&header, &versions.iter().map(row).collect::<Vec<_>>())
}
