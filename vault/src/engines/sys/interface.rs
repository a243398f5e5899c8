//! `sys/internal/ui`: what user interfaces, and the command line before its first KV request, ask about mounts.
//!
//! These paths need no rule of a policy: each answers with what the caller may see. They cost no use of a token, because
//! the command line asks here before each request to KV, and a token for one read must be enough for one read. What
//! surprises: a mount that is not there and one that may not be seen are the same refusal.

use serde_json::{Map, Value, json};

use super::description;
use super::mounts::with_slash;
use crate::engine::{Access, Call, Path};
use crate::error::{Error, ErrorKind};
use crate::field::{Kind, field};
use crate::mount::Class;
use crate::mount::table::MountTable;
use crate::mount::{Mount, class_of};
use crate::reply::Reply;
use crate::request::Operation;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "internal/ui/mounts",
        operations: &[(Operation::Read, mounts)],
        access: Access::Optional,
        help: "List the mounts that the caller can see",
        ..Path::DEFAULT
    },
    Path {
        pattern: "internal/ui/mounts/{path..}",
        fields: &[&[field("path", Kind::MountPath, "A path at or below the mount")]],
        operations: &[(Operation::Read, mount)],
        access: Access::Optional,
        help: "Read the mount that answers a path",
        ..Path::DEFAULT
    },
    Path {
        pattern: "internal/ui/namespaces",
        operations: &[(Operation::Read, namespaces)],
        access: Access::Optional,
        help: "List the namespaces below this one that the caller can see",
        ..Path::DEFAULT
    },
    Path {
        pattern: "internal/ui/resultant-acl",
        operations: &[(Operation::Read, resultant_acl)],
        help: "Read the caller's merged policies",
        ..Path::DEFAULT
    },
];

pub(super) fn is_for_everybody(mount: &Mount) -> bool {
    mount.config().get("listing_visibility").and_then(Value::as_str) == Some("unauth")
}

fn mounts(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let rights = call.acl.clone();
    let table = MountTable::load(call.store)?;
    let (mut secret, mut auth) = (Map::new(), Map::new());
    for mount in table.iter() {
        let path = mount.record.path.as_str();
        let shown = match &rights {
            Some(acl) if is_for_everybody(mount) || acl.has_mount_access(path) => {
                description::whole(mount, call.context).into()
            }
            None if is_for_everybody(mount) => description::public(mount),
            _ => continue,
        };
        let list = if class_of(path) == Class::Auth { &mut auth } else { &mut secret };
        list.insert(description::short_path(path).to_owned(), shown);
    }
    Ok(Reply::data(json!({ "auth": auth, "secret": secret })))
}

fn mount(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let rights = call.acl.clone().ok_or_else(Error::bad_token)?;
    let path = with_slash(call.fields.text("path").unwrap_or_default());
    let table = MountTable::load(call.store)?;
    let Some(mount) = table.route(&path).filter(|mount| rights.has_mount_access(&mount.record.path)) else {
        let text = "preflight capability check returned 403, please ensure client's policies grant access to path";
        return Err(Error::new(ErrorKind::Denied, format!("{text} {path:?}")));
    };
    let mut data = description::whole(mount, call.context);
    data.insert("path".into(), description::short_path(&mount.record.path).into());
    Ok(Reply::data(data.into()))
}

/// There are no namespaces below the root yet.
fn namespaces(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.caller()?;
    Ok(Reply::data(json!({})))
}

fn resultant_acl(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let acl = call.acl.clone().ok_or_else(Error::bad_token)?;
    let export = acl.export();
    if export.root {
        return Ok(Reply::data(json!({ "root": true })));
    }
    let capabilities = |paths: &std::collections::BTreeMap<&str, Vec<&'static str>>| {
        let entry = |(path, words): (&&str, &Vec<&'static str>)| ((*path).to_owned(), json!({ "capabilities": words }));
        paths.iter().map(entry).collect::<Map<_, _>>()
    };
    let (exact, glob) = (capabilities(&export.exact_paths), capabilities(&export.glob_paths));
    Ok(Reply::data(json!({ "exact_paths": exact, "glob_paths": glob, "root": false })))
}
