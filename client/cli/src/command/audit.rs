//! `audit`: the audit devices.

mod verify;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::{Value, json};

use super::engine::with_slash;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{assignment, golang, output, table};

/// What is said if there is none.
const NONE: &str = "No audit devices are enabled.\n";

/// What can be done with audit devices.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Show the audit devices.
    List(AuditList),
    /// Have requests and replies recorded by a device.
    Enable(EnableDevice),
    /// Have a device record no more.
    Disable(DisableDevice),
    Verify(verify::Verify),
}

impl Audit {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::List(command) => command.run(session).await,
            Self::Enable(command) => command.run(session).await,
            Self::Disable(command) => command.run(session).await,
            Self::Verify(command) => command.run(session).await,
        }
    }
}

/// Show the audit devices.
#[derive(Args)]
pub(crate) struct AuditList {
    /// Show also options.
    #[arg(long)]
    detailed: bool,
}

impl AuditList {
    async fn run(&self, session: &Session) -> Outcome {
        let reply = session.send("listing the audit devices", Request::get("sys/audit")).await?;
        let devices: BTreeMap<String, Value> =
            reply.data().into_iter().flatten().map(|(path, device)| (path.clone(), device.clone())).collect();
        let document: Value = devices.iter().map(|(path, device)| (path.clone(), device.clone())).collect();
        if devices.is_empty() && session.output.is_table() {
            output::print(NONE)?;
            return Err(Failure::Quiet(2));
        }
        session.output.either(|| columns(&devices, self.detailed), &document)
    }
}

fn columns(devices: &BTreeMap<String, Value>, is_detailed: bool) -> String {
    let row = |(path, device): (&String, &Value)| {
        let field = |name: &str| device[name].as_str().unwrap_or("").to_owned();
        let mut row = vec![path.clone(), field("type"), field("description")];
        if is_detailed {
            let replication = if device["local"].as_bool() == Some(true) { "local" } else { "replicated" };
            row.extend([replication.to_owned(), options(&device["options"])]);
        }
        row
    };
    let rows: Vec<_> = devices.iter().map(row).collect();
    let header = ["Path", "Type", "Description", "Replication", "Options"];
    table::columns(if is_detailed { &header } else { &header[..3] }, &rows)
}

/// Options as `name=value`, as Vault shows them here.
fn options(options: &Value) -> String {
    let pair = |(name, value): (&String, &Value)| format!("{name}={}", golang::value(value));
    options.as_object().into_iter().flatten().map(pair).collect::<Vec<_>>().join(" ")
}

/// Have requests and replies recorded by a device.
#[derive(Args)]
pub(crate) struct EnableDevice {
    /// Its name, if not that of its type.
    #[arg(long)]
    path: Option<String>,
    /// A note for people.
    #[arg(long, default_value = "")]
    description: String,
    /// Keep it on this cluster only.
    #[arg(long)]
    local: bool,
    /// The type: file, socket, syslog or http.
    kind: String,
    /// Options of the device, such as file_path=/var/log/conclave/audit.log.
    #[arg(value_name = "NAME=VALUE")]
    options: Vec<String>,
}

impl EnableDevice {
    async fn run(&self, session: &Session) -> Outcome {
        let path = with_slash(self.path.as_deref().unwrap_or(&self.kind));
        let body = json!({
            "type": self.kind,
            "description": self.description,
            "local": self.local,
            "options": assignment::pairs(&self.options)?,
        });
        let request = Request::post(format!("sys/audit/{}", path.trim_matches('/')), &body);
        let reply = session.send(&format!("enabling an audit device at {path}"), request).await?;
        session.output.warnings(&reply);
        session.output.done(&format!("Success! Enabled the {} audit device at: {path}", self.kind))
    }
}

/// Have a device record no more.
#[derive(Args)]
pub(crate) struct DisableDevice {
    /// Its name.
    path: String,
}

impl DisableDevice {
    async fn run(&self, session: &Session) -> Outcome {
        let path = with_slash(&self.path);
        let request = Request::delete(format!("sys/audit/{}", path.trim_matches('/')));
        session.send(&format!("disabling the audit device at {path}"), request).await?;
        session.output.done(&format!("Success! Disabled audit device (if it was enabled) at: {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_shown_in_the_columns_of_vault() {
        let device =
            json!({"type": "file", "description": "", "local": false, "options": {"file_path": "/a", "mode": "0640"}});
        let devices = BTreeMap::from([("file/".to_owned(), device)]);
        let brief = "\
Path     Type    Description
----     ----    -----------
file/    file    n/a
";
        assert_eq!(columns(&devices, false), brief);
        let detailed = "\
Path     Type    Description    Replication    Options
----     ----    -----------    -----------    -------
file/    file    n/a            replicated     file_path=/a mode=0640
";
        assert_eq!(columns(&devices, true), detailed);
    }
}
