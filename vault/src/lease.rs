//! Leases: what was given out for a time, and can be looked up, listed and taken back by the path that gave it.
//!
//! A lease lies at `lease / mount id / segments of the path / name`, so whatever lies below a path is found without
//! looking at anything else, and a mount that moves takes its leases along. The entry says only that the lease is there;
//! the rest is in the record that it names. Tokens are the only leases so far, named by the hash of their id.
//!
//! What surprises: revoking many is not deleting many. A mark in one small record ends everything older than it below a
//! path ([`revocation`]), a mount that is gone from the mount table ends everything that it gave, and both are asked at
//! each use of a token. The entries are removed later, some at a time ([`walk`]).

pub(crate) mod revocation;
pub(crate) mod walk;

#[cfg(test)]
mod tests;

use prost::Message;

use crate::error::Error;
use crate::mount::{MountRecord, MountTable};
use crate::store::Store;

/// Directory of all leases in the system area.
const FOLDER: &str = "lease";

/// A lease's entry; says nothing but that it is there.
#[derive(Clone, Copy, PartialEq, Message)]
struct LeaseRecord {}

/// A mount, and a path below it, without slashes at its ends: where a lease comes from, or all that lies there.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Origin {
    /// Id of the mount, 16 bytes; empty if no mount is meant, as for the first root token, which no request made.
    #[prost(bytes = "vec", tag = "1")]
    pub mount_id: Vec<u8>,
    /// The path below the mount.
    #[prost(string, tag = "2")]
    pub path: String,
}

impl Origin {
    /// What a mount gives at a full path. A path that lies elsewhere counts as the mount's own.
    pub fn new(mount: &MountRecord, full_path: &str) -> Self {
        let path = full_path.strip_prefix(mount.path.as_str()).unwrap_or(full_path);
        Self { mount_id: mount.id.clone(), path: path.trim_matches('/').to_owned() }
    }

    /// Everything that a mount gave.
    pub fn whole(mount_id: Vec<u8>) -> Self {
        Self { mount_id, path: String::new() }
    }

    /// Whether another one lies at this place or below it.
    pub fn covers(&self, other: &Self) -> bool {
        let is_below = |path: &str| path.strip_prefix(self.path.as_str()).is_some_and(is_cut_well);
        self.mount_id == other.mount_id && (self.path.is_empty() || is_below(&other.path))
    }

    /// Names of its directory, outermost first.
    fn directory(&self) -> Vec<String> {
        let segments = self.path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned);
        [FOLDER.to_owned(), hex::encode(&self.mount_id)].into_iter().chain(segments).collect()
    }

    fn place(&self, name: &str) -> Vec<String> {
        let mut place = self.directory();
        place.push(name.to_owned());
        place
    }
}

/// Whether what follows a prefix begins a new segment.
fn is_cut_well(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// As the store takes it.
fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Lets a lease be found by its path.
pub(crate) fn add(store: &mut Store<'_>, origin: &Origin, name: &str) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, &borrowed(&origin.place(name)), &LeaseRecord {})
}

/// Takes back [`add`]; absent is as good.
pub(crate) fn remove(store: &mut Store<'_>, origin: &Origin, name: &str) {
    let system = store.system();
    store.delete(&system, &borrowed(&origin.place(name)));
}

/// Whether anything may lie at a place or below it.
pub(crate) fn is_any(store: &mut Store<'_>, origin: &Origin) -> Result<bool, Error> {
    let system = store.system();
    Ok(store.count(&system, &borrowed(&origin.directory()))? > 0)
}

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
                keys.extend(name.has_value.then(|| name.name.clone()));
            }
        } else if let Some(rest) = mount.path.strip_prefix(prefix)
            && is_any(store, &Origin::whole(mount.id.clone()))?
        {
            keys.insert(rest.split_inclusive('/').next().unwrap_or(rest).to_owned());
        }
    }
    Ok(keys.into_iter().collect())
}
