//! `sys/internal/specs/openapi`: every path there is, for generators of clients.
//!
//! What surprises: it shows the mounts that the caller may see, as `sys/internal/ui/mounts` does. Without a token these are
//! the ones that are always there. Strangers may ask, and to make it takes milliseconds, so the text is kept for all who
//! see the same mounts.

use std::sync::Arc;

use bytes::Bytes;

use super::interface::is_for_everybody;
use crate::describe::{Mounted, document};
use crate::engine::{Access, Call, Effect, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::table::{MountTable, RouteEntry};
use crate::mount::{self, Mount};
use crate::reply::{Raw, Reply};
use crate::request::Operation;

const FIELDS: &[Field] = &[
    field("generic_mount_paths", Kind::Bool, "Whether paths of mounts are parameters").or("false"),
    field("context", Kind::Text, "Accepted, without effect"),
];

/// Begins the cache key of a document; no encoded storage key begins with a segment of this length.
const KEPT: &[u8] = &[0xff, 0xfe];

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
    let shown: Vec<&Arc<RouteEntry>> = table.iter().filter(|mount| is_shown(mount)).collect();
    let text = text(call, &shown, is_generic);
    let raw = Raw { status_code: 200, content_type: "application/json".into(), body: text.to_vec() };
    Ok(Reply { raw: Some(raw), ..Reply::default() })
}

/// The document of some mounts, made once.
fn text(call: &Call<'_, '_>, shown: &[&Arc<RouteEntry>], is_generic: bool) -> Arc<Vec<u8>> {
    let version = call.context.api_version;
    let mut key = [KEPT, &[u8::from(is_generic)], version.as_bytes()].concat();
    for mount in shown {
        // No path and no kind holds a NUL. Two mounts of one kind may be of two engines, as both versions of kv are.
        for part in [mount.record.path.as_str(), mount.record.kind.as_str(), mount.record.options_json.as_str()] {
            key.push(0);
            key.extend_from_slice(part.as_bytes());
        }
    }
    let key = Bytes::from(key);
    if let Some(text) = call.store.cache().derived::<Vec<u8>>(&key) {
        return text;
    }
    let mounts: Vec<Mounted> = shown.iter().map(|mount| mounted(mount, is_generic)).collect();
    let mut text = document(&mounts, version).to_string().into_bytes();
    text.push(b'\n');
    let text = Arc::new(text);
    call.store.cache().put_derived(&key, Arc::clone(&text), text.len());
    text
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
