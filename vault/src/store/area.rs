//! Where the records of one mount, or of the system, lie.

use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::key::push_segment;

use crate::barrier::name::NameCipher;

/// Identifies a namespace: 16 random bytes; all zero is the root namespace.
pub(crate) type NamespaceId = [u8; 16];
/// Identifies a mount: 16 random bytes; all zero is the system area.
pub(crate) type MountId = [u8; 16];

/// The root namespace.
pub(crate) const ROOT_NAMESPACE: NamespaceId = [0; 16];
/// The system area's place of a mount id.
pub(crate) const SYSTEM: MountId = [0; 16];
/// Where a mount's (or the system's) records lie, and the cipher of their names.
#[derive(Clone)]
pub struct Area {
    pub(super) namespace: NamespaceId,
    prefix: Bytes,
    pub(super) names: Arc<NameCipher>,
}

impl Area {
    /// The area of a mount.
    pub fn new(namespace: NamespaceId, mount: MountId, names: Arc<NameCipher>) -> Self {
        let mut prefix = Vec::with_capacity(36);
        push_segment(&mut prefix, &namespace);
        push_segment(&mut prefix, &mount);
        Self { namespace, prefix: prefix.into(), names }
    }

    /// The path with the area in front, which names it among all paths of all areas.
    pub(super) fn plain(&self, path: &[&str]) -> Vec<u8> {
        let mut plain =
            Vec::with_capacity(self.prefix.len() + path.iter().map(|segment| 2 + segment.len()).sum::<usize>());
        plain.extend_from_slice(&self.prefix);
        path.iter().for_each(|segment| push_segment(&mut plain, segment.as_bytes()));
        plain
    }

    /// The encrypted key of a path; each segment is bound to its parent.
    pub fn key(&self, path: &[&str]) -> Bytes {
        let mut key = self.prefix.to_vec();
        for segment in path {
            let encrypted = self.names.encrypt(segment, &key);
            push_segment(&mut key, &encrypted);
        }
        key.into()
    }
}
