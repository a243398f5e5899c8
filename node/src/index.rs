//! `X-Vault-Index`: where in the log a write is, for a client that wants to read it back from any node.
//!
//! The text is base64url of a version byte, the index (big-endian `u64`) and 16 bytes of an HMAC under the system index
//! key, so that a client can hand it on and cannot make one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conclave_vault::Core;
use subtle::ConstantTimeEq;

/// Format of the text.
const VERSION: u8 = 1;
/// Bytes of the HMAC that are kept.
const MAC_BYTES: usize = 16;

/// A position in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Log index.
    pub index: u64,
}

impl Position {
    /// The header's value.
    pub(crate) fn to_text(self, core: &Core) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.mac(core));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a header's value; `None` if this cluster did not make it.
    pub(crate) fn parse(core: &Core, text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok()?;
        let (head, mac) = bytes.split_at_checked(9)?;
        let (version, index) = head.split_first()?;
        let position = Self { index: u64::from_be_bytes(index.try_into().ok()?) };
        (*version == VERSION && bool::from(mac.ct_eq(position.mac(core).as_slice()))).then_some(position)
    }

    fn mac(self, core: &Core) -> [u8; MAC_BYTES] {
        let full = core.barrier().system_index("log position", &self.index.to_be_bytes());
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&full[..MAC_BYTES]);
        mac
    }
}
