//! Leases: what was given out for a time, and can be looked up, listed and taken back by the path that gave it.
//!
//! A lease lies at `lease / mount id / segments of the path / name`, so whatever lies below a path is found without
//! looking at anything else, and a mount that moves takes its leases along. The entry says only that the lease is there;
//! the rest is in the record that it names. A token's lease is named by the hash of its id; what an engine lent out has a
//! record of its own ([`record`]), with what the engine needs to take it back.
//!
//! What an engine lends out usually has to be made outside. So its lease is begun first ([`grant`]), which is the intent, and
//! given once it is made. One that is begun and never given ends as one that expired: it is taken back ([`ending`]).
//!
//! What surprises: revoking many is not deleting many. A mark in one small record ends everything older than it below a
//! path ([`revocation`]), a mount that is gone from the mount table ends everything that it gave, and both are asked at
//! each use of a token. The entries are removed later, some at a time ([`walk`]).

pub(crate) mod ending;
mod entry;
pub(crate) mod grant;
pub(crate) mod liveness;
pub(crate) mod mark;
mod origin;
pub(crate) mod record;
pub(crate) mod renewal;
pub(crate) mod revocation;
pub(crate) mod walk;

#[cfg(test)]
mod tests;

use self::entry::borrowed;
pub(crate) use self::entry::{add, is_any, remove};
pub(crate) use self::origin::Origin;
use crate::error::Error;
use crate::mount::MountRecord;
use crate::mount::table::MountTable;
use crate::store::Store;

/// All that lies below a full path, which ends with a slash or is empty: a part of one mount, or several whole mounts.
pub(crate) fn below(mounts: &MountTable, prefix: &str) -> Vec<Origin> {
    let of_mount = |mount: &MountRecord| {
        if prefix.starts_with(&mount.path) {
            Some(Origin::new(mount, prefix))
        } else {
            mount.path.starts_with(prefix).then(|| Origin::whole(mount.id.clone()))
        }
    };
    mounts.iter().filter_map(|mount| of_mount(&mount.record)).collect()
}

/// The names directly below a full path, sorted; those with a slash have more below them.
pub(crate) fn list(store: &mut Store<'_>, mounts: &MountTable, prefix: &str) -> Result<Vec<String>, Error> {
    let mut keys = std::collections::BTreeSet::new();
    for mount in mounts.iter().map(|mount| &mount.record) {
        if prefix.starts_with(&mount.path) {
            let system = store.system();
            let names = store.list(&system, &borrowed(&Origin::new(mount, prefix).directory()))?;
            for name in names.iter() {
                keys.extend(name.has_children.then(|| format!("{}/", name.name)));
                keys.extend(name.has_value.then(|| name.name.to_string()));
            }
        } else if let Some(rest) = mount.path.strip_prefix(prefix)
            && is_any(store, &Origin::whole(mount.id.clone()))?
        {
            keys.insert(rest.split_inclusive('/').next().unwrap_or(rest).to_owned());
        }
    }
    Ok(keys.into_iter().collect())
}
