//! `kv patch`: changes some fields of a secret.
//!
//! What surprises: where the server or the policy knows no PATCH, the secret is read and written back, guarded by its
//! version, so that a change by another in between is noticed.

use clap::Args;
use conclave_client::{Method, Request};
use serde_json::{Map, Value, json};

use super::place::Location;
use super::put;
use crate::assignment;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Change some fields of a secret and keep the others.
#[derive(Args)]
pub(crate) struct KvPatch {
    #[command(flatten)]
    location: Location,
    /// Change only if the newest version is this one.
    #[arg(long)]
    cas: Option<u64>,
    /// patch: by PATCH only. rw: read and write back. Without it, the first that works.
    #[arg(long, value_parser = ["patch", "rw"])]
    method: Option<String>,
    /// A field to remove; may be repeated.
    #[arg(long, value_name = "FIELD")]
    remove_data: Vec<String>,
    /// Data: name=value, name=@file, @file.json, or - for JSON on standard input.
    data: Vec<String>,
}

impl KvPatch {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let mut data = assignment::from_process(&self.data)?;
        data.extend(self.remove_data.iter().map(|name| (name.clone(), Value::Null)));
        if data.is_empty() {
            return Err(Failure::Usage("there is nothing to change; add name=value or -remove-data=name".to_owned()));
        }
        let path = self.location.find_versioned(session, "patch").await?.api_path("data");
        if self.method.as_deref() == Some("rw") {
            return self.read_and_write(session, &path, data).await;
        }
        let request = Request::new(Method::Patch, &path).json(&put::versioned(data.clone(), self.cas));
        match session.fetch(&format!("patching {path}"), &path, request).await {
            Ok(reply) => put::show_version(session, &path, &reply),
            Err(Failure::Call { source, .. })
                if self.method.is_none() && matches!(source.status(), Some(403 | 405)) =>
            {
                self.read_and_write(session, &path, data).await
            }
            Err(failure) => Err(failure),
        }
    }

    async fn read_and_write(&self, session: &Session, path: &str, changes: Map<String, Value>) -> Outcome {
        let reply = session.ask(&format!("reading {path}"), path, Request::get(path)).await?;
        let found = &reply.json()["data"];
        let (Some(data), Some(version)) = (found["data"].as_object(), found["metadata"]["version"].as_u64()) else {
            return Err(Failure::NotFound { path: path.to_owned(), reasons: Vec::new() });
        };
        let merged = merged(data.clone(), changes);
        let body = json!({ "data": merged, "options": { "cas": self.cas.unwrap_or(version) } });
        let request = Request::new(Method::Put, path).json(&body);
        let reply = session.send(&format!("writing data to {path}"), request).await?;
        put::show_version(session, path, &reply)
    }
}

/// Merges as RFC 7396 says: null removes, objects are merged, all else replaces.
fn merged(mut data: Map<String, Value>, changes: Map<String, Value>) -> Map<String, Value> {
    for (name, change) in changes {
        match (data.remove(&name), change) {
            (_, Value::Null) => {}
            (Some(Value::Object(old)), Value::Object(new)) => drop(data.insert(name, Value::Object(merged(old, new)))),
            (_, Value::Object(new)) => drop(data.insert(name, Value::Object(merged(Map::new(), new)))),
            (_, change) => drop(data.insert(name, change)),
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_keeps_replaces_and_removes() {
        let data = json!({"keep": "1", "change": "1", "drop": "1", "deep": {"a": "1", "b": "1"}});
        let changes = json!({"change": "2", "drop": null, "deep": {"b": null, "c": "2"}});
        let (Value::Object(data), Value::Object(changes)) = (data, changes) else { unreachable!() };
        let expected = json!({"keep": "1", "change": "2", "deep": {"a": "1", "c": "2"}});
        assert_eq!(Value::Object(merged(data, changes)), expected);
    }
}
