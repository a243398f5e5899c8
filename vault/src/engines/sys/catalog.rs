//! `sys/plugins/catalog`: which engines can be mounted. All are built in, and others cannot be registered.

use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::{Access, Call, Effect, Path};
use crate::error::{Error, multi};
use crate::field::{Kind, field};
use crate::mount::Class;
use crate::mount::table::MountTable;
use crate::registry::Registry;
use crate::reply::{Reply, Status};
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
            field("sha256", Kind::Text, "Refused: engines are built in"),
            field("command", Kind::Text, "Refused: engines are built in"),
        ]],
        operations: &[(Operation::Read, one), (Operation::Update, register), (Operation::Delete, register)],
        access: Access::Sudo,
        help: "Read about an engine that can be mounted; none can be registered or removed",
        ..Path::DEFAULT
    },
    Path {
        pattern: "plugins/reload/backend",
        fields: &[&[
            field("plugin", Kind::Text, "Kind of engine, such as kv"),
            field("mounts", Kind::CommaList, "Paths of mounts"),
            field("scope", Kind::Text, "Accepted, without effect: nothing is loaded on any node"),
        ]],
        operations: &[(Operation::Update, reload)],
        effect: Effect::Reads,
        help: "Reload engines. They are built in and keep nothing, so there is nothing to do",
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
    if !TYPES.contains(&kind) {
        // As old clients ask, without a type.
        let warning =
            format!("Deprecated API endpoint, cannot read plugin information from catalog for \"{kind}/{name}\"");
        return Ok(Reply { status: Status::Wanted(200), ..Reply::empty() }.warn(warning));
    }
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

fn register(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if call.request.operation != Operation::Delete && call.fields.text_or_empty("sha256").is_empty() {
        return Err(Error::invalid("missing SHA-256 value"));
    }
    Err(Error::invalid("engines are built in: none can be registered or removed"))
}

fn reload(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (plugin, mounts) = (call.fields.text_or_empty("plugin"), call.fields.list("mounts").unwrap_or_default());
    if plugin.is_empty() == mounts.is_empty() {
        let none = plugin.is_empty();
        let reason =
            if none { "plugin or mounts must be provided" } else { "plugin and mounts cannot be set at the same time" };
        return Err(Error::invalid(reason));
    }
    if !plugin.is_empty() && TYPES.iter().all(|kind| !kinds(call, kind).contains(&plugin)) {
        return Err(Error::invalid(format!("no engine is called {plugin:?}; see sys/plugins/catalog")));
    }
    let table = MountTable::load(call.store)?;
    let as_mount = |path: &String| format!("{}/", path.trim_matches('/'));
    match mounts.iter().map(as_mount).find(|path| table.at(path).is_none()) {
        Some(missing) => Err(Error::invalid(multi(&format!("cannot fetch mount entry on {missing:?}")))),
        None => Ok(Reply::empty()),
    }
}
