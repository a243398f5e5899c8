//! The key pair of a mount, or of the system's area: one key for names, one for the ids that are stored as a hash.
//!
//! A pair belongs to a mount id and does not rotate with the terms, for a new name key would move every record. To
//! replace it, the mount is copied to a new id.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::BarrierError;
use super::header::check_version;
use super::index::IndexKey;
use super::locked::{Secret, reclaim};
use super::name::{NAME_KEY_BYTES, NameCipher};
use crate::context::Random;

/// Format version.
const VERSION: u8 = 1;
/// Bytes of an index key.
const INDEX_KEY_BYTES: usize = 32;
/// Bytes of the encoded pair: version, name key, index key.
pub(crate) const MOUNT_KEYS_BYTES: usize = 1 + NAME_KEY_BYTES + INDEX_KEY_BYTES;
/// How errors call it.
const WHAT: &str = "mount's key pair";

/// A name key and an index key. Clones share them.
#[derive(Clone)]
pub struct MountKeys {
    names: Arc<NameCipher>,
    index: Arc<IndexKey>,
}

impl MountKeys {
    /// A new pair.
    pub fn generate(random: &mut dyn Random) -> Self {
        Self::new(Secret::random(random), Secret::random(random))
    }

    fn new(name_key: Secret<NAME_KEY_BYTES>, index_key: Secret<INDEX_KEY_BYTES>) -> Self {
        Self { names: Arc::new(NameCipher::new(name_key)), index: Arc::new(IndexKey::new(index_key)) }
    }

    /// The pair for its record, which is then encrypted like any other: `version · name key · index key`.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOUNT_KEYS_BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(self.names.key().expose());
        bytes.extend_from_slice(self.index.key().expose());
        bytes
    }

    /// Reads what [`MountKeys::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BarrierError> {
        let malformed = BarrierError::Malformed { what: WHAT };
        let (&version, keys) = bytes.split_first().ok_or(malformed)?;
        check_version(u32::from(version), u32::from(VERSION), WHAT)?;
        let (name_key, index_key) = keys.split_at_checked(NAME_KEY_BYTES).ok_or(malformed)?;
        let name_key = Secret::from_slice(name_key).ok_or(malformed)?;
        Ok(Self::new(name_key, Secret::from_slice(index_key).ok_or(malformed)?))
    }

    /// Drops both keys once nobody else holds them; returns whether they are gone.
    pub(super) fn wipe(self) -> bool {
        reclaim(self.names).is_some() & reclaim(self.index).is_some()
    }

    /// The cipher of names.
    pub fn names(&self) -> Arc<NameCipher> {
        Arc::clone(&self.names)
    }

    /// The hash under which an id is stored; see [`IndexKey::index`].
    pub fn index(&self, label: &str, bytes: &[u8]) -> [u8; 32] {
        self.index.index(label, bytes)
    }

    /// Whether two pairs are the same, in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.names.key().is_same(other.names.key()) & self.index.key().is_same(other.index.key())
    }
}

#[cfg(test)]
mod tests {
    use super::super::seeded::Seeded;
    use super::*;

    #[test]
    fn a_pair_survives_its_record() {
        let keys = MountKeys::generate(&mut Seeded::new(1));
        let bytes = keys.to_bytes();
        assert_eq!(bytes.len(), MOUNT_KEYS_BYTES);
        let read = MountKeys::from_bytes(&bytes).unwrap();
        assert!(read.is_same(&keys));
        assert_eq!(read.names().encrypt("a", b""), keys.names().encrypt("a", b""));
        assert_eq!(read.index("token", b"x"), keys.index("token", b"x"));
    }

    #[test]
    fn a_pair_of_another_length_or_version_is_refused() {
        let bytes = MountKeys::generate(&mut Seeded::new(2)).to_bytes();
        let longer = [bytes.as_slice(), &[0]].concat();
        let mut newer = bytes.to_vec();
        newer[0] = 9;
        for wrong in [&[][..], &bytes[..bytes.len() - 1], &longer, &newer] {
            assert!(MountKeys::from_bytes(wrong).is_err());
        }
    }
}
