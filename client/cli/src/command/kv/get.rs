//! `kv get`: a secret.

use clap::Args;
use conclave_client::{Reply, Request};
use serde_json::Value;

use super::place::{Location, Place};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::table;

/// Show a secret.
#[derive(Args)]
pub(crate) struct KvGet {
    #[command(flatten)]
    location: Location,
    /// An older version.
    #[arg(long)]
    version: Option<u64>,
}

impl KvGet {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let version = self.version.filter(|version| *version > 0);
        let place = match version {
            Some(_) => self.location.find_versioned(session, "get -version").await?,
            None => self.location.find(session).await?,
        };
        let path = place.api_path("data");
        let mut request = Request::get(&path);
        if let Some(version) = version {
            request = request.query("version", version.to_string());
        }
        let reply = session.fetch(&format!("reading {path}"), &path, request).await;
        show(session, &place, &path, &reply.map_err(|failure| place.explain(failure))?)
    }
}

fn show(session: &Session, place: &Place, path: &str, reply: &Reply) -> Outcome {
    let is_wrapped = reply.json()["wrap_info"].is_object();
    if let Some(name) = session.output.field.as_deref().filter(|_| place.is_versioned && !is_wrapped) {
        return field(session, reply, path, name);
    }
    if is_wrapped || !session.output.is_table() || session.output.field.is_some() {
        return session.output.reply(reply);
    }
    let data = &reply.json()["data"];
    crate::output::print(&if place.is_versioned { versioned(path, data) } else { plain(data) })?;
    session.output.warnings(reply);
    Ok(())
}

/// A field of the data; `data` is all of it, unless the data has a field of that name.
fn field(session: &Session, reply: &Reply, path: &str, name: &str) -> Outcome {
    let data = &reply.json()["data"]["data"];
    if !data.is_object() {
        return Err(Failure::NotFound { path: path.to_owned(), reasons: Vec::new() });
    }
    match (data.get(name), name) {
        (Some(value), _) => session.output.bare(value),
        (None, "data") => session.output.bare(data),
        (None, _) => Err(Failure::Usage(format!("Field {name:?} not present in secret"))),
    }
}

fn versioned(path: &str, data: &Value) -> String {
    let mut sections = vec![format!("{}{path}\n", table::title("Secret Path", path.len()))];
    for (title, name) in [("Metadata", "metadata"), ("Data", "data")] {
        sections.extend(data[name].as_object().map(|members| table::section(title, members)));
    }
    sections.join("\n")
}

fn plain(data: &Value) -> String {
    data.as_object().map(|members| table::section("Data", members)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_shown_below_its_path_and_metadata() {
        let data = json!({
            "metadata": {"created_time": "2026-01-02T03:04:05Z", "custom_metadata": null, "deletion_time": "",
                "destroyed": false, "version": 1},
            "data": {"greeting": "world"}
        });
        let expected = "\
== Secret Path ==
secret/data/hello

======= Metadata =======
Key                Value
---                -----
created_time       2026-01-02T03:04:05Z
custom_metadata    <nil>
deletion_time      n/a
destroyed          false
version            1

====== Data ======
Key         Value
---         -----
greeting    world
";
        assert_eq!(versioned("secret/data/hello", &data), expected);
    }

    #[test]
    fn a_deleted_version_shows_its_metadata_alone() {
        let text = versioned("secret/data/x", &json!({"metadata": {"version": 2}, "data": null}));
        assert!(text.contains("version    2") && !text.contains("Data ="), "{text}");
    }
}
