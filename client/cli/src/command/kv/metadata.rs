//! `kv metadata`: what is known of a secret besides its data.

use clap::{Args, Subcommand};
use conclave_client::{Method, Request};
use serde_json::{Map, Value, json};

use super::place::Location;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{assignment, output, table};

/// What can be done with metadata.
#[derive(Subcommand)]
pub(crate) enum Metadata {
    Get(MetadataGet),
    Put(MetadataPut),
    Patch(MetadataPatch),
    Delete(MetadataDelete),
}

/// Show a secret's metadata and versions.
#[derive(Args)]
pub(crate) struct MetadataGet {
    #[command(flatten)]
    location: Location,
}

/// Settings of a secret.
#[derive(Args)]
pub(crate) struct MetadataSettings {
    /// Whether every write must name the newest version.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    cas_required: Option<bool>,
    /// How many versions are kept.
    #[arg(long)]
    max_versions: Option<u64>,
    /// After how long a version is deleted, such as 24h.
    #[arg(long, value_name = "DURATION")]
    delete_version_after: Option<String>,
    /// A note, as name=value; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    custom_metadata: Vec<String>,
}

/// Write a secret's settings; all notes are replaced.
#[derive(Args)]
pub(crate) struct MetadataPut {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    settings: MetadataSettings,
}

/// Change some of a secret's settings and notes.
#[derive(Args)]
pub(crate) struct MetadataPatch {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    settings: MetadataSettings,
    /// A note to remove; may be repeated.
    #[arg(long, value_name = "NAME")]
    remove_custom_metadata: Vec<String>,
}

/// Delete a secret with all its versions, for good.
#[derive(Args)]
pub(crate) struct MetadataDelete {
    #[command(flatten)]
    location: Location,
}

impl MetadataSettings {
    fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("cas_required", self.cas_required.map(Value::Bool));
        set("max_versions", self.max_versions.map(Value::from));
        set("delete_version_after", self.delete_version_after.as_ref().map(|after| json!(after)));
        let notes = assignment::pairs(&self.custom_metadata)?;
        set("custom_metadata", (!notes.is_empty()).then_some(Value::Object(notes)));
        Ok(body)
    }
}

impl Metadata {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Get(command) => command.run(session).await,
            Self::Put(command) => {
                let body = command.settings.body()?;
                change(session, &command.location, Method::Put, body).await
            }
            Self::Patch(command) => change(session, &command.location, Method::Patch, command.body()?).await,
            Self::Delete(command) => {
                let path = command.location.find_versioned(session, "metadata delete").await?.api_path("metadata");
                session.send(&format!("deleting {path}"), Request::delete(&path)).await?;
                session.output.done(&format!("Success! Data deleted (if it existed) at: {path}"))
            }
        }
    }
}

async fn change(session: &Session, location: &Location, method: Method, body: Map<String, Value>) -> Outcome {
    let path = location.find_versioned(session, "metadata").await?.api_path("metadata");
    let request = Request::new(method, &path).json(&Value::Object(body));
    let reply = session.send(&format!("writing {path}"), request).await?;
    session.output.warnings(&reply);
    session.output.done(&format!("Success! Data written to: {path}"))
}

impl MetadataPatch {
    fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = self.settings.body()?;
        if !self.remove_custom_metadata.is_empty() {
            let notes = body.entry("custom_metadata").or_insert_with(|| json!({}));
            for name in &self.remove_custom_metadata {
                notes[name] = Value::Null;
            }
        }
        Ok(body)
    }
}

impl MetadataGet {
    async fn run(&self, session: &Session) -> Outcome {
        let path = self.location.find_versioned(session, "metadata get").await?.api_path("metadata");
        let reply = session.fetch(&format!("reading {path}"), &path, Request::get(&path)).await?;
        if !session.output.is_table() || session.output.field.is_some() || reply.data().is_none() {
            return session.output.reply(&reply);
        }
        output::print(&text(&path, &reply.json()["data"]))
    }
}

fn text(path: &str, data: &Value) -> String {
    let mut metadata = data.as_object().cloned().unwrap_or_default();
    let versions = metadata.remove("versions");
    let mut sections = vec![format!("{}{path}\n", table::title("Metadata Path", path.len()))];
    sections.push(table::section("Metadata", &metadata));
    let mut numbered: Vec<_> = versions.as_ref().and_then(Value::as_object).into_iter().flatten().collect();
    numbered.sort_by_key(|(number, _)| number.parse::<u64>().unwrap_or(u64::MAX));
    for (number, version) in numbered {
        sections.extend(version.as_object().map(|members| table::section(&format!("Version {number}"), members)));
    }
    sections.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_shown_by_number() {
        let data = json!({"current_version": 10, "versions": {"10": {"destroyed": false}, "9": {"destroyed": true}}});
        let text = text("secret/metadata/x", &data);
        let (ninth, tenth) = (text.find("Version 9").unwrap(), text.find("Version 10").unwrap());
        assert!(ninth < tenth, "{text}");
    }
}
