//! The forms in which a result can be printed.
//!
//! What surprises: JSON keeps the order of Vault's envelope and leaves out `auth` and `wrap_info` where they are null,
//! because golden files of other people's tools contain it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{golang, table};

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// Indented JSON.
    Json,
    /// YAML.
    Yaml,
    /// The reply's bytes.
    Raw,
}

impl Format {
    /// Reads the name of a format.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "table" | "pretty" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "yaml" | "yml" => Ok(Self::Yaml),
            "raw" => Ok(Self::Raw),
            _ => Err(format!("`{name}` is no format; choose table, json, yaml or raw")),
        }
    }
}

/// Indented JSON with a line break at its end.
pub(crate) fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("values made of texts and numbers always serialise");
    text + "\n"
}

/// YAML with a line break at its end.
pub(crate) fn yaml(value: &Value) -> String {
    serde_yaml_ng::to_string(&to_yaml(value)).expect("values made of texts and numbers always serialise")
}

/// By hand, because numbers of any length are not numbers to a foreign serialiser.
fn to_yaml(value: &Value) -> serde_yaml_ng::Value {
    use serde_yaml_ng::Value as Yaml;
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(truth) => Yaml::Bool(*truth),
        Value::String(text) => Yaml::String(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Yaml::Number(number.into()),
            (_, Some(number), _) => Yaml::Number(number.into()),
            (_, _, Some(number)) => Yaml::Number(number.into()),
            _ => Yaml::String(number.to_string()),
        },
        Value::Array(items) => Yaml::Sequence(items.iter().map(to_yaml).collect()),
        Value::Object(members) => {
            Yaml::Mapping(members.iter().map(|(name, item)| (Yaml::String(name.clone()), to_yaml(item))).collect())
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    request_id: &'a Value,
    lease_id: &'a Value,
    lease_duration: &'a Value,
    renewable: &'a Value,
    data: &'a Value,
    warnings: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    auth: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    wrap_info: &'a Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    mount_type: &'a Value,
}

/// The members of an envelope; a document with none of them is bare.
const ENVELOPE: &[&str] =
    &["request_id", "lease_id", "lease_duration", "renewable", "data", "warnings", "auth", "wrap_info"];

/// A reply in an envelope: its own, or an empty one around a bare document, because what reads any path has one shape.
pub(crate) fn enveloped(document: &Value) -> Cow<'_, Value> {
    let is_bare = document.as_object().is_some_and(|members| ENVELOPE.iter().all(|name| !members.contains_key(*name)));
    if !is_bare {
        return Cow::Borrowed(document);
    }
    Cow::Owned(json!({
        "request_id": "", "lease_id": "", "lease_duration": 0, "renewable": false, "data": document, "warnings": null,
    }))
}

/// A new token with the members that a server may leave out, so that programs find each of them.
fn whole_auth(auth: &Value) -> Value {
    let mut auth = auth.clone();
    if let Some(members) = auth.as_object_mut() {
        for name in ["identity_policies", "metadata", "mfa_requirement"] {
            members.entry(name).or_insert(Value::Null);
        }
    }
    auth
}

/// A reply as JSON: an envelope in its usual order, anything else as it is.
pub(crate) fn reply_json(document: &Value) -> String {
    if document.get("request_id").is_none() {
        return json(document);
    }
    json(&Envelope {
        request_id: &document["request_id"],
        lease_id: &document["lease_id"],
        lease_duration: &document["lease_duration"],
        renewable: &document["renewable"],
        data: &document["data"],
        warnings: &document["warnings"],
        auth: whole_auth(&document["auth"]),
        wrap_info: &document["wrap_info"],
        mount_type: &document["mount_type"],
    })
}

/// A reply as a table of names and values.
pub(crate) fn reply_table(document: &Value) -> String {
    if document.get("request_id").is_none() {
        return document.as_object().map(table::object).unwrap_or_default();
    }
    let mut rows = lease_rows(document);
    rows.extend(auth_rows(&document["auth"]));
    rows.extend(wrap_rows(&document["wrap_info"]));
    for (name, value) in document["data"].as_object().unwrap_or(&Map::new()) {
        rows.push((name.clone(), golang::field(name, value)));
    }
    if rows.is_empty() { String::new() } else { table::pairs(&rows) }
}

fn row(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}

fn seconds(value: &Value) -> String {
    golang::duration(value.as_u64().unwrap_or(0))
}

fn lease_rows(document: &Value) -> Vec<(String, String)> {
    let (id, duration) = (document["lease_id"].as_str().unwrap_or(""), &document["lease_duration"]);
    if duration.as_u64().unwrap_or(0) == 0 {
        return Vec::new();
    }
    if id.is_empty() {
        // Not a lease: a hint how often to look again, as version 1 of KV gives.
        return vec![row("refresh_interval", seconds(duration))];
    }
    vec![
        row("lease_id", id.to_owned()),
        row("lease_duration", seconds(duration)),
        row("lease_renewable", golang::value(&document["renewable"])),
    ]
}

/// The rows of a new token.
fn auth_rows(auth: &Value) -> Vec<(String, String)> {
    let Some(members) = auth.as_object() else { return Vec::new() };
    let quoted = |name: &str| {
        let names = auth[name].as_array().into_iter().flatten().map(ToString::to_string);
        format!("[{}]", names.collect::<Vec<_>>().join(" "))
    };
    let lasts = auth["lease_duration"].as_u64().unwrap_or(0);
    let mut rows = vec![
        row("token", golang::value(&auth["client_token"])),
        row("token_accessor", golang::value(&auth["accessor"])),
        row("token_duration", if lasts == 0 { "∞".to_owned() } else { golang::duration(lasts) }),
        row("token_renewable", golang::value(&auth["renewable"])),
        row("token_policies", quoted("token_policies")),
        row("identity_policies", quoted("identity_policies")),
        row("policies", quoted("policies")),
    ];
    for (name, value) in members.get("metadata").and_then(Value::as_object).into_iter().flatten() {
        rows.push((format!("token_meta_{name}"), golang::value(value)));
    }
    rows
}

/// The rows of a wrapping token.
fn wrap_rows(wrap: &Value) -> Vec<(String, String)> {
    if !wrap.is_object() {
        return Vec::new();
    }
    let mut rows = vec![
        row("wrapping_token:", golang::value(&wrap["token"])),
        row("wrapping_accessor:", golang::value(&wrap["accessor"])),
        row("wrapping_token_ttl:", seconds(&wrap["ttl"])),
        row("wrapping_token_creation_time:", golang::time(&wrap["creation_time"])),
        row("wrapping_token_creation_path:", golang::value(&wrap["creation_path"])),
    ];
    if let Some(accessor) = wrap["wrapped_accessor"].as_str().filter(|accessor| !accessor.is_empty()) {
        rows.push(row("wrapped_accessor:", accessor.to_owned()));
    }
    rows
}

/// One field of a reply: of the token or lease it brought, of its data, or of the document itself.
pub(crate) fn field(document: &Value, name: &str) -> Option<Value> {
    let (auth, wrap, data) = (&document["auth"], &document["wrap_info"], &document["data"]);
    let special = match name {
        "wrapping_token" => wrap.get("token"),
        "wrapping_accessor" => wrap.get("accessor"),
        "wrapping_token_ttl" => wrap.get("ttl"),
        "wrapping_token_creation_time" => wrap.get("creation_time"),
        "wrapping_token_creation_path" => wrap.get("creation_path"),
        "wrapped_accessor" => wrap.get("wrapped_accessor"),
        "token" => auth.get("client_token"),
        "token_accessor" => auth.get("accessor"),
        "token_duration" => auth.get("lease_duration"),
        "token_renewable" => auth.get("renewable"),
        "token_policies" => auth.get("token_policies"),
        "identity_policies" => auth.get("identity_policies"),
        "policies" => auth.get("policies"),
        _ => None,
    };
    let named = || data.get(name).or_else(|| document.get(name));
    special.or_else(named).cloned()
}

#[cfg(test)]
mod tests;
