//! KV version 2: every secret keeps its versions, and writes can demand that nobody came between.
//!
//! A secret is one metadata record, which lists its versions, and one record for the data of each version, below an HMAC
//! of the path so that versions are no names in a listing. What surprises: a mount that was upgraded from version 1
//! still holds its old documents; a secret without metadata whose old document is there counts as one with that single
//! version, and becomes one with its first write.

mod config;
mod data;
mod metadata;
mod names;
mod record;
mod secret;
mod subkeys;
mod versions;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::engine::{Call, Engine, Life, Path};
use crate::engines::{is_second, kv1, listing};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Class;
use crate::reply::{Reply, Status};
use crate::request::Operation;

const PATH: Field = field("path", Kind::Text, "Where the secret lies.");
const VERSION: Field = field("version", Kind::Int, "Which version; 0, negative or absent is the newest.");
const VERSIONS: Field = field("versions", Kind::CommaList, "Which versions.");

const PATHS: &[Path] = &[
    Path {
        pattern: "config",
        fields: &[config::FIELDS],
        operations: &[(Operation::Read, config::read), (Operation::Update, config::write)],
        takes_any_field: true,
        help: "Defaults for all secrets of the mount.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "data/{path..}",
        fields: &[&[
            PATH,
            VERSION,
            field("data", Kind::Map, "The secret: a map."),
            field("options", Kind::Map, "`cas`: the version that must be the newest; 0 if there must be none."),
        ]],
        operations: &[
            (Operation::Read, data::read),
            (Operation::Update, data::write),
            (Operation::Patch, data::patch),
            (Operation::Delete, data::delete),
        ],
        exists: Some(secret::exists),
        help: "Read and write the versions of a secret.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "delete/{path..}",
        fields: &[&[PATH, VERSIONS]],
        operations: &[(Operation::Update, versions::delete)],
        help: "Delete versions, so that they can be brought back.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "undelete/{path..}",
        fields: &[&[PATH, VERSIONS]],
        operations: &[(Operation::Update, versions::undelete)],
        help: "Bring deleted versions back.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "destroy/{path..}",
        fields: &[&[PATH, VERSIONS]],
        operations: &[(Operation::Update, versions::destroy)],
        help: "Remove the data of versions for good.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "metadata/{path..?}",
        fields: &[metadata::FIELDS, listing::FIELDS],
        operations: &[
            (Operation::Read, metadata::read),
            (Operation::Update, metadata::write),
            (Operation::Patch, metadata::patch),
            (Operation::Delete, metadata::delete),
            (Operation::List, names::list),
            (Operation::Scan, names::scan),
        ],
        exists: Some(secret::exists),
        help: "Read, change, list and remove secrets as a whole.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "detailed-metadata/{path..?}",
        fields: &[&[PATH], listing::FIELDS],
        operations: &[(Operation::List, names::list_detailed), (Operation::Scan, names::scan_detailed)],
        help: "List secrets with what is known of each.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "subkeys/{path..}",
        fields: &[&[PATH, VERSION, field("depth", Kind::Int, "How many levels; 0 is all.")]],
        operations: &[(Operation::Read, subkeys::read)],
        help: "Read the shape of a secret without its values.",
        ..Path::DEFAULT
    },
];

/// KV version 2.
pub(crate) static ENGINE: Engine = Engine {
    kind: "kv",
    aliases: &["kv-v2"],
    takes_options: is_second,
    class: Class::Secret,
    help: "Key and value storage with versions.",
    paths: &[PATHS],
    fallback: Some(misdirected),
    life: Life { tuned: Some(kv1::tuned), ..Life::NONE },
    ..Engine::DEFAULT
};

/// Answers a path that lacks its prefix, as a client makes it that takes the mount for version 1.
fn misdirected(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if matches!(call.rest.trim_end_matches('/'), "" | "data" | "metadata") {
        return Ok(root());
    }
    let verb = match call.request.operation {
        Operation::Create | Operation::Update => "put",
        Operation::Patch => "patch",
        Operation::Delete => "delete",
        Operation::List | Operation::Scan => "list",
        Operation::Read | Operation::Header | Operation::Help => "get",
    };
    let warning = format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. \
         If using the OpenBao CLI, use 'bao kv {verb}' for this operation."
    );
    Ok(Reply { status: Status::NotFound, ..Reply::default() }.warn(warning))
}

/// Answers anything but a list at the root of the mount.
fn root() -> Reply {
    let reply = Reply { status: Status::NotFound, ..Reply::default() };
    reply.warn("Non-listing operations on the root of a K/V v2 mount are not supported.")
}

/// Version numbers out of a list field.
fn version_numbers(call: &Call<'_, '_>, complaint: &str) -> Result<Vec<u64>, Error> {
    let texts = call.fields.list("versions").unwrap_or_default();
    if texts.is_empty() {
        return Err(Error::invalid(complaint));
    }
    let parse = |text: &String| crate::field::int(&Value::from(text.as_str())).and_then(|n| u64::try_from(n).ok());
    let numbers: Option<Vec<u64>> = texts.iter().map(parse).collect();
    numbers.ok_or_else(|| {
        Error::invalid("Field validation failed: error converting input for field \"versions\": expected a list of version numbers")
    })
}
