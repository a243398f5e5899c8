//! `list`: the names below a path.

use std::collections::BTreeSet;

use clap::Args;
use conclave_client::Request;
use serde_json::{Map, Value};

use super::read;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{golang, output, table};

/// List the names below a path.
#[derive(Args)]
pub(crate) struct List {
    /// Show also what the server knows of each name.
    #[arg(long)]
    detailed: bool,
    /// The path, such as auth/userpass/users.
    path: String,
    /// Parameters of the query, as name=value.
    data: Vec<String>,
}

impl List {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let request = read::with_query(Request::list(&self.path), &self.data)?;
        show(session, &self.path, request, self.detailed).await
    }
}

/// Sends a listing and shows its names.
pub(super) async fn show(session: &Session, path: &str, request: Request, is_detailed: bool) -> Outcome {
    let reply = match session.fetch(&format!("listing {path}"), path, request).await {
        Err(Failure::NotFound { path, reasons }) => return nothing(session, path, reasons),
        other => other?,
    };
    if reply.wrap_info().is_some() {
        return session.output.reply(&reply);
    }
    let keys: Vec<_> = reply.keys().into_iter().map(str::to_owned).collect();
    if keys.is_empty() {
        return nothing(session, path.to_owned(), reply.warnings().into_iter().map(str::to_owned).collect());
    }
    let is_table = session.output.is_table();
    if is_table {
        session.output.warnings(&reply);
    }
    match reply.json().pointer("/data/key_info").and_then(Value::as_object).filter(|_| is_detailed) {
        Some(known) if is_table => output::print(&details(&keys, known)),
        _ if is_detailed && !is_table => session.output.reply(&reply),
        _ => session.output.keys(&keys),
    }
}

/// Nothing is below the path: programs get an empty document, because they parse whatever comes.
fn nothing(session: &Session, path: String, reasons: Vec<String>) -> Outcome {
    if session.output.is_document() {
        session.output.nothing()?;
        return Err(Failure::Quiet(2));
    }
    Err(Failure::NotFound { path, reasons })
}

/// The names with what is known of each, one column for each thing that is known of any.
fn details(keys: &[String], known: &Map<String, Value>) -> String {
    let empty = Map::new();
    let of = |key: &String| known.get(key).and_then(Value::as_object).unwrap_or(&empty);
    let titles: BTreeSet<&str> = keys.iter().flat_map(|key| of(key).keys().map(String::as_str)).collect();
    let header: Vec<&str> = std::iter::once("Keys").chain(titles.iter().copied()).collect();
    let cell = |key: &String, title: &str| of(key).get(title).map_or_else(String::new, |v| golang::field(title, v));
    let row = |key: &String| {
        std::iter::once(key.clone()).chain(titles.iter().map(|title| cell(key, title))).collect::<Vec<_>>()
    };
    table::columns(&header, &keys.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn details_have_a_column_for_whatever_is_known() {
        let known = json!({"a": {"ttl": 60}, "b": {"size": 3, "ttl": 0}});
        let expected = "\
Keys    size    ttl
----    ----    ---
a       n/a     1m
b       3       0s
";
        assert_eq!(details(&["a".to_owned(), "b".to_owned()], known.as_object().unwrap()), expected);
    }
}
