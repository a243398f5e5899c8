//! Where a lease comes from: a mount, and a path below it.

use prost::Message;

use crate::mount::MountRecord;

/// Directory of all leases in the system area.
const FOLDER: &str = "lease";

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
    pub(super) fn directory(&self) -> Vec<String> {
        let segments = self.path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned);
        [FOLDER.to_owned(), hex::encode(&self.mount_id)].into_iter().chain(segments).collect()
    }

    pub(super) fn place(&self, name: &str) -> Vec<String> {
        let mut place = self.directory();
        place.push(name.to_owned());
        place
    }
}

/// Whether what follows a prefix begins a new segment.
fn is_cut_well(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}
