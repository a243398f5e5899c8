//! HMAC-SHA256 (RFC 2104) over parts.
//!
//! The parts are joined without separators, so whoever calls must give every part but the last a fixed or stated
//! length.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

/// Bytes of a MAC. It is never truncated.
pub(crate) const MAC_BYTES: usize = 32;

/// A key, expanded once.
pub(crate) struct MacKey {
    key: hmac::Key,
}

impl MacKey {
    /// Expands a key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The MAC of the parts.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether the MAC belongs to the parts, in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.sign(parts).as_slice().ct_eq(mac).into()
    }
}
