//! `sys/internal/specs/openapi`: every path there is, for generators of clients.
//!
//! What surprises: it shows the mounts that the caller may see, as `sys/internal/ui/mounts` does. Without a token these are
//! the ones that are always there.

use serde_json::Value;

use super::interface::is_for_everybody;
use crate::describe::{Mounted, document};
use crate::engine::{Access, Call, Effect, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::table::{MountTable, RouteEntry};
use crate::mount::{self, Mount};
use crate::reply::Reply;
use crate::request::Operation;

const FIELDS: &[Field] = &[
    field("generic_mount_paths", Kind::Bool, "Whether paths of mounts are parameters").or("false"),
    field("context", Kind::Text, "Accepted, without effect"),
];

/// The paths.
pub(super) const PATHS: &[Path] = &[Path {
    pattern: "internal/specs/openapi",
    fields: &[FIELDS],
    operations: &[(Operation::Read, openapi), (Operation::Update, openapi)],
    access: Access::Optional,
    effect: Effect::Reads,
    help: "Read all paths as an OpenAPI document",
    ..Path::DEFAULT
}];

fn openapi(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let is_generic = call.fields.bool("generic_mount_paths").unwrap_or(false);
    let table = MountTable::load(call.store)?;
    let rights = call.acl.clone();
    let is_shown = |mount: &Mount| {
        let path = mount.record.path.as_str();
        let may_see = rights.as_ref().is_some_and(|acl| acl.has_mount_access(path));
        mount::is_fixed(path) || is_for_everybody(mount) || may_see
    };
    let shown = table.iter().filter(|mount| is_shown(mount));
    let mounts: Vec<Mounted> = shown.map(|mount| mounted(mount, is_generic)).collect();
    let Value::Object(document) = document(&mounts, call.context.api_version) else { return Ok(Reply::empty()) };
    Ok(Reply { data: Some(document), plain: true, ..Reply::default() })
}

fn mounted(mount: &RouteEntry, is_generic: bool) -> Mounted {
    let (path, paths) = (mount.record.path.as_str(), mount.engine.paths().collect());
    // A mount that is always there is always where it is.
    if !is_generic || mount::is_fixed(path) {
        return Mounted { prefix: path.to_owned(), parameter: None, paths };
    }
    let (folder, rest) = path.strip_prefix("auth/").map_or(("", path), |rest| ("auth/", rest));
    let name = format!("{}_mount_path", mount.record.kind.replace('-', "_"));
    let prefix = format!("{folder}{{{name}}}/");
    Mounted { prefix, parameter: Some((name, rest.trim_end_matches('/').to_owned())), paths }
}
