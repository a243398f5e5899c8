//! AES-256-GCM with random 96-bit nonces (NIST SP 800-38D, section 8.2.2).
//!
//! The one place where a nonce is drawn. It does not count uses: who seals takes them from [`super::uses`] first.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::context::Random;

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes that sealing adds: nonce in front, tag behind.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// An expanded key. The expansion lies in the library's memory, which is wiped but not locked: a stated residual.
pub(crate) struct Aead {
    key: LessSafeKey,
}

impl Aead {
    /// Expands a key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes any 32 bytes as a key");
        Self { key: LessSafeKey::new(key) }
    }

    /// Appends `nonce · ciphertext · tag`. The plaintext is never copied into `out`.
    pub(crate) fn seal_onto(&self, out: &mut Vec<u8>, aad: &[u8], plaintext: &[u8], random: &mut dyn Random) {
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.resize(start + plaintext.len() + TAG_BYTES, 0);
        let (ciphertext, tag) = out[start..].split_at_mut(plaintext.len());
        self.key
            .seal_out_of_place_scatter(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
            .expect("messages are bounded far below the 64 GiB that GCM takes");
    }

    /// Opens `nonce · ciphertext · tag`; `None` if it is too short or not authentic.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES)?;
        let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
        self.key.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, &mut plaintext).ok()?;
        Some(plaintext)
    }
}
