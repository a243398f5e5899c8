//! `kv put`: a new version of a secret, or its whole content.

use clap::Args;
use conclave_client::{Method, Reply, Request};
use serde_json::{Map, Value, json};

use super::place::Location;
use crate::command::write;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{assignment, output, table};

/// Write a secret, in place of what was there.
#[derive(Args)]
pub(crate) struct KvPut {
    #[command(flatten)]
    location: Location,
    /// Write only if the newest version is this one; 0 only if there is none.
    #[arg(long)]
    cas: Option<u64>,
    /// Data: name=value, name=@file, @file.json, or - for JSON on standard input.
    #[arg(required = true)]
    data: Vec<String>,
}

impl KvPut {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let data = assignment::from_process(&self.data)?;
        let place = match self.cas {
            Some(_) => self.location.find_versioned(session, "put -cas").await?,
            None => self.location.find(session).await?,
        };
        let path = place.api_path("data");
        let doing = format!("writing data to {path}");
        if !place.is_versioned {
            let request = Request::new(Method::Put, &path).json(&Value::Object(data));
            return write::written(session, &session.send(&doing, request).await?, &path);
        }
        let request = Request::new(Method::Put, &path).json(&versioned(data, self.cas));
        let reply = session.send(&doing, request).await?;
        show_version(session, &path, &reply)
    }
}

/// The body that makes a version.
pub(super) fn versioned(data: Map<String, Value>, cas: Option<u64>) -> Value {
    let options = cas.map_or_else(|| json!({}), |cas| json!({ "cas": cas }));
    json!({ "data": data, "options": options })
}

/// Shows what is known of the new version.
pub(super) fn show_version(session: &Session, path: &str, reply: &Reply) -> Outcome {
    match reply.data() {
        Some(metadata) if session.output.is_table() && session.output.field.is_none() => {
            let title = table::title("Secret Path", path.len());
            output::print(&format!("{title}{path}\n\n{}", table::section("Metadata", metadata)))?;
            session.output.warnings(reply);
            Ok(())
        }
        Some(_) => session.output.reply(reply),
        None if reply.json()["wrap_info"].is_object() => session.output.reply(reply),
        None => Err(Failure::Reply("the secret was written, but the server did not say which version".to_owned())),
    }
}
