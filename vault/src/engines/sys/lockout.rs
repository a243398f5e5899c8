//! `sys/locked-users`: who is locked out after wrong passwords, and letting them in again.

use serde_json::json;

use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::lockout;
use crate::mount::table::MountTable;
use crate::reply::Reply;
use crate::request::Operation;

/// Most users in one answer.
const MAX_SHOWN: usize = 10_000;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "locked-users",
        fields: &[&[field("mount_accessor", Kind::Text, "Only the users of the mount with this accessor")]],
        operations: &[(Operation::Read, list)],
        help: "List the users that are locked out",
        ..Path::DEFAULT
    },
    Path {
        pattern: "locked-users/{mount_accessor}/unlock/{alias_identifier..}",
        operations: &[(Operation::Update, unlock)],
        access: Access::Sudo,
        help: "Let a user in again who is locked out",
        ..Path::DEFAULT
    },
];

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let wanted = call.fields.text("mount_accessor").filter(|accessor| !accessor.is_empty()).map(str::to_owned);
    let table = MountTable::load(call.store)?;
    let (mut mounts, mut total) = (Vec::new(), 0);
    for mount in table.iter().filter(|mount| wanted.as_ref().is_none_or(|wanted| *wanted == mount.record.accessor)) {
        let users = lockout::locked(call.store, call.context, mount, MAX_SHOWN - total)?;
        if users.is_empty() {
            continue;
        }
        total += users.len();
        let accessor = &mount.record.accessor;
        mounts.push(json!({ "mount_accessor": accessor, "counts": users.len(), "alias_identifiers": users }));
    }
    let root = json!({ "namespace_id": "root", "namespace_path": "", "counts": total, "mount_accessors": mounts });
    let reply = Reply::data(json!({ "by_namespace": [root], "total": total }));
    Ok(match total >= MAX_SHOWN {
        true => reply.warn(format!("Only {MAX_SHOWN} users are shown; name a mount_accessor, or unlock some.")),
        false => reply,
    })
}

/// Who is not locked out is let in too, so that nobody learns who there is.
fn unlock(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let accessor = call.fields.text_or_empty("mount_accessor").to_owned();
    let user = call.fields.text_or_empty("alias_identifier").to_owned();
    let table = MountTable::load(call.store)?;
    let mount = table.iter().find(|mount| mount.record.accessor == accessor);
    let mount = mount.ok_or_else(|| Error::invalid(format!("no auth method has the accessor {accessor:?}")))?;
    lockout::forget(call.store, mount, &user)?;
    Ok(Reply::empty())
}
