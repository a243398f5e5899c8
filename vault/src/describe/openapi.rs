//! The path tables as an OpenAPI document, version 3.0 (<https://spec.openapis.org/oas/v3.0.3>).
//!
//! What surprises: a list is a `get` with the query parameter `list`, because OpenAPI has no verb `LIST`; a path that can be
//! read and listed is one `get` that takes it or leaves it.

use serde_json::{Map, Value, json};

use super::shown;
use crate::engine::Path;
use crate::field::{Field, Kind};
use crate::request::Operation;

/// Paths of a mount.
pub(crate) struct Mounted {
    /// What stands in front of its paths, with a slash at the end.
    pub(crate) prefix: String,
    /// What in the prefix is a parameter, if the document shall fit any mount of the kind: a name, and the path of this
    /// mount in its place.
    pub(crate) parameter: Option<(String, String)>,
    /// The paths.
    pub(crate) paths: Vec<&'static Path>,
}

/// The document.
pub(crate) fn document(mounts: &[Mounted], version: &str) -> Value {
    let mut paths = Map::new();
    for mount in mounts {
        for path in &mount.paths {
            let key = format!("/{}{}", mount.prefix, shown(path));
            // The first pattern that matches answers, so a second spelling of one path describes nothing.
            if !paths.contains_key(&key) {
                let item = item(mount, path, &key);
                paths.insert(key, item);
            }
        }
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Conclave",
            "description": "HTTP API that gives you full access to the server. All API routes are prefixed with `/v1/`.",
            "version": version,
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "servers": [{ "url": "/v1" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "apiKey", "in": "header", "name": "X-Vault-Token" } },
            "schemas": { "Errors": errors() },
        },
    })
}

fn errors() -> Value {
    json!({
        "type": "object",
        "properties": { "errors": { "type": "array", "items": { "type": "string" } } },
    })
}

/// All that is asked at one path.
fn item(mount: &Mounted, path: &Path, key: &str) -> Value {
    let mut item = Map::new();
    item.insert("description".into(), path.help.into());
    let mut parameters: Vec<Value> = captured(path).map(|field| parameter(&field, "path", true)).collect();
    if let Some((name, default)) = &mount.parameter {
        let help = "Path of the mount";
        let schema = json!({ "type": "string", "default": default });
        let parameter = json!({ "name": name, "in": "path", "required": true, "description": help, "schema": schema });
        parameters.insert(0, parameter);
    }
    if !parameters.is_empty() {
        item.insert("parameters".into(), parameters.into());
    }
    if path.needs_sudo() {
        item.insert("x-vault-sudo".into(), true.into());
    }
    if !path.needs_token() {
        item.insert("x-vault-unauthenticated".into(), true.into());
    }
    if path.exists.is_some() {
        item.insert("x-vault-createSupported".into(), true.into());
    }
    for (verb, operations) in VERBS {
        let has = |wanted: &Operation| path.operations.iter().any(|(operation, _)| operation == wanted);
        let asked: Vec<Operation> = operations.iter().copied().filter(has).collect();
        if !asked.is_empty() {
            item.insert((*verb).into(), operation(path, key, verb, &asked));
        }
    }
    item.into()
}

/// The verbs of HTTP, and what is asked with each.
const VERBS: &[(&str, &[Operation])] = &[
    ("get", &[Operation::Read, Operation::List, Operation::Scan]),
    ("post", &[Operation::Update]),
    ("patch", &[Operation::Patch]),
    ("delete", &[Operation::Delete]),
];

/// What is asked with one verb.
fn operation(path: &Path, key: &str, verb: &str, asked: &[Operation]) -> Value {
    let mut operation = json!({
        "summary": path.help,
        "operationId": operation_id(verb, key),
        "tags": [key.trim_start_matches('/').split('/').next().unwrap_or_default()],
        "responses": responses(if verb == "get" { path.read_type } else { Path::DEFAULT.read_type }),
    });
    let sent = path.fields().filter(|field| !is_captured(path, field.name));
    if matches!(verb, "post" | "patch") {
        let media_type = if verb == "patch" { "application/merge-patch+json" } else { "application/json" };
        if let Some(schema) = body(path, sent) {
            operation["requestBody"] = json!({ "content": { media_type: { "schema": schema } } });
        }
        return operation;
    }
    let mut parameters: Vec<Value> = sent.map(|field| parameter(field, "query", false)).collect();
    let is_plain = asked.contains(&Operation::Read) || verb == "delete";
    for (name, wanted) in [("list", Operation::List), ("scan", Operation::Scan)] {
        if asked.contains(&wanted) {
            let is_required = !is_plain && asked.len() == 1;
            let schema = json!({ "type": "string", "enum": ["true"] });
            parameters.push(json!({ "name": name, "in": "query", "required": is_required, "schema": schema }));
        }
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

/// What may come back; `media_type` is that of a success.
fn responses(media_type: &str) -> Value {
    let schema = match media_type == Path::DEFAULT.read_type {
        true => json!({ "type": "object" }),
        false => json!({ "type": "string", "format": "binary" }),
    };
    let failed = json!({ "$ref": "#/components/schemas/Errors" });
    json!({
        "200": { "description": "OK", "content": { media_type: { "schema": schema } } },
        "204": { "description": "OK; there is nothing to say" },
        "default": { "description": "What went wrong", "content": { "application/json": { "schema": failed } } },
    })
}

/// A name that no other operation has: the verb and the words of the path.
fn operation_id(verb: &str, key: &str) -> String {
    let words = key.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(verb.to_owned(), |id, word| format!("{id}-{word}"))
}

/// The schema of a body; `None` where a path takes none.
fn body(path: &Path, fields: impl Iterator<Item = &'static Field>) -> Option<Value> {
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() && !path.takes_any_field {
        return None;
    }
    let required: Vec<_> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let properties: Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), described(field))).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    Some(schema)
}

/// The schema of a field, with what it is for.
fn described(field: &Field) -> Value {
    let mut schema = schema(field);
    schema["description"] = field.help.into();
    if field.is_deprecated() {
        schema["deprecated"] = true.into();
    }
    schema
}

fn parameter(field: &Field, place: &str, is_required: bool) -> Value {
    let mut parameter = json!({
        "name": field.name,
        "in": place,
        "required": is_required || field.is_required,
        "description": field.help,
        "schema": schema(field),
    });
    if field.is_deprecated() {
        parameter["deprecated"] = true.into();
    }
    parameter
}

fn schema(field: &Field) -> Value {
    let mut schema = match field.kind {
        Kind::Text | Kind::Name | Kind::LowerText | Kind::PolicyName | Kind::MountPath => json!({ "type": "string" }),
        Kind::Int => json!({ "type": "integer" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Duration => json!({ "type": "string", "format": "seconds" }),
        Kind::List | Kind::CommaList | Kind::Names | Kind::CommaNames => {
            json!({ "type": "array", "items": { "type": "string" } })
        }
        Kind::Map => json!({ "type": "object" }),
        Kind::KeyValues => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Any => json!({}),
    };
    if let Some(default) = field.default {
        schema["default"] = default_of(field.kind, default);
    }
    if !field.choices.is_empty() {
        schema["enum"] = json!(field.choices);
    }
    schema
}

/// A default, which tables state as text, in the type of its field.
fn default_of(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Int | Kind::Bool => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

/// The names that a pattern captures.
fn captured(path: &Path) -> impl Iterator<Item = Field> {
    let names = path.pattern.split('{').skip(1).filter_map(|part| part.split('}').next());
    names.map(|name| name.trim_end_matches('?').trim_end_matches("..")).map(|name| {
        let declared = path.fields().find(|field| field.name == name).copied();
        declared.unwrap_or(crate::field::field(name, Kind::Text, "A part of the path"))
    })
}

fn is_captured(path: &Path, name: &str) -> bool {
    captured(path).any(|field| field.name == name)
}
