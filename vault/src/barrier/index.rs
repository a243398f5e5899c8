//! Hashes that stand in for token ids, secret ids and wrapping tokens in the store.
//!
//! Whoever reads the store finds no id that could be presented, and without the key cannot test a guess (check 104).

use super::Key32;
use super::mac::MacKey;
use crate::limits::MAX_INDEX_LABEL_BYTES;

/// What every hash begins with.
const CONTEXT: &[u8] = b"conclave index v1";

/// The index key of a mount or of the system's area.
pub(crate) struct IndexKey {
    key: Key32,
    mac: MacKey,
}

impl IndexKey {
    pub(crate) fn new(key: Key32) -> Self {
        let mac = MacKey::new(key.expose());
        Self { key, mac }
    }

    pub(crate) fn key(&self) -> &Key32 {
        &self.key
    }

    /// HMAC-SHA256 over the label's length (one byte), the label and the bytes. The label (`token`, `secret-id`) keeps
    /// kinds of ids apart: the same bytes under two labels have unrelated hashes. It is ours, so it is short.
    pub(crate) fn index(&self, label: &str, bytes: &[u8]) -> [u8; 32] {
        assert!(label.len() <= MAX_INDEX_LABEL_BYTES, "labels are constants of at most {MAX_INDEX_LABEL_BYTES} bytes");
        self.mac.sign(&[CONTEXT, &[label.len() as u8], label.as_bytes(), bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::super::seeded::Seeded;
    use super::*;

    // check 104
    #[test]
    fn an_index_depends_on_key_label_and_bytes() {
        let mut random = Seeded::new(1);
        let (key, other) = (IndexKey::new(Key32::random(&mut random)), IndexKey::new(Key32::random(&mut random)));
        let index = key.index("token", b"hvs.abc");
        assert_eq!(index, key.index("token", b"hvs.abc"));
        assert_ne!(index, other.index("token", b"hvs.abc"));
        assert_ne!(index, key.index("accessor", b"hvs.abc"));
        assert_ne!(index, key.index("token", b"hvs.abd"));
    }

    #[test]
    fn a_label_cannot_run_into_the_bytes() {
        let key = IndexKey::new(Key32::random(&mut Seeded::new(2)));
        assert_ne!(key.index("ab", b"c"), key.index("a", b"bc"));
    }
}
