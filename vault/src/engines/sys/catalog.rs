//! `sys/plugins/catalog`: which engines can be mounted. All are built in, and others cannot be registered.

use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::mount::Class;
use crate::registry::Registry;
use crate::reply::Reply;
use crate::request::Operation;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "plugins/catalog/?",
        operations: &[(Operation::Read, all), (Operation::List, all)],
        help: "List the engines that can be mounted",
        ..Path::DEFAULT
    },
    Path {
        pattern: "plugins/catalog/{type}/?",
        fields: &[&[field("type", Kind::Text, "\"auth\", \"secret\" or \"database\"")]],
        operations: &[(Operation::List, of_type)],
        access: Access::Sudo,
        help: "List the engines of a type that can be mounted",
        ..Path::DEFAULT
    },
    Path {
        pattern: "plugins/catalog/{type}/{name}",
        fields: &[&[
            field("type", Kind::Text, "\"auth\", \"secret\" or \"database\""),
            field("name", Kind::Text, "Kind of engine, such as kv"),
        ]],
        operations: &[(Operation::Read, one)],
        access: Access::Sudo,
        help: "Read about an engine that can be mounted",
        ..Path::DEFAULT
    },
];

/// Types that clients know. Nothing of the last one is here.
const TYPES: [&str; 3] = ["auth", "database", "secret"];

fn kinds(call: &Call<'_, '_>, kind: &str) -> Vec<&'static str> {
    let registry = Registry::of(call.store);
    match kind {
        "auth" => registry.mountable(Class::Auth),
        "secret" => registry.mountable(Class::Secret),
        _ => Vec::new(),
    }
}

fn version(context: &Context<'_>) -> String {
    format!("v{}+builtin.conclave", context.api_version)
}

fn all(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut data = serde_json::Map::new();
    let mut detailed = Vec::new();
    for kind in TYPES {
        data.insert(kind.to_owned(), json!(kinds(call, kind)));
        detailed.extend(kinds(call, kind).iter().map(|name| {
            json!({ "builtin": true, "deprecation_status": "supported", "name": name, "type": kind,
                "version": version(call.context) })
        }));
    }
    data.insert("detailed".to_owned(), detailed.into());
    Ok(Reply::data(data.into()))
}

/// A type of which there is none has an empty list, which clients do not take for an error.
fn of_type(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let kind = call.fields.text_or_empty("type");
    if !TYPES.contains(&kind) {
        return Err(Error::invalid(format!("{kind:?} is no type of engines; expected auth, secret or database")));
    }
    Ok(Reply::data(json!({ "keys": kinds(call, kind) })))
}

fn one(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (kind, name) = (call.fields.text_or_empty("type"), call.fields.text_or_empty("name"));
    if !kinds(call, kind).contains(&name) {
        return Err(Error::not_found());
    }
    Ok(Reply::data(json!({
        "args": Value::Null,
        "builtin": true,
        "command": "",
        "deprecation_status": "supported",
        "name": name,
        "sha256": "",
        "version": version(call.context),
    })))
}
