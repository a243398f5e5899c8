//! A share of the unseal key, or the unseal key itself where there is one share.
//!
//! 33 bytes, the y values and then x, as HashiCorp Vault lays them out; with a single share, the 32 bytes of the key.
//! People handle it as hexadecimal or base64 text, which is written and read without a branch or a look-up in a table that
//! depends on it.

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use crate::barrier::Key32;
use crate::barrier::locked::Secret;
use crate::limits::MAX_SHARE_TEXT_BYTES;

/// Bytes of the unseal key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a share of several.
pub(crate) const SHARE_BYTES: usize = KEY_BYTES + 1;

/// A share, in locked memory. No `Debug`, no `Clone`, no `==`.
pub struct Share {
    bytes: Secret<SHARE_BYTES>,
    length: usize,
}

impl Share {
    /// A share of 32 or 33 bytes; `None` for another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let is_share = bytes.len() == KEY_BYTES || bytes.len() == SHARE_BYTES;
        is_share.then(|| Self {
            bytes: Secret::filled(|own| own[..bytes.len()].copy_from_slice(bytes)),
            length: bytes.len(),
        })
    }

    /// The only share: the key itself.
    pub fn of_key(key: &Key32) -> Self {
        let bytes = Secret::filled(|own| own[..KEY_BYTES].copy_from_slice(key.expose()));
        Self { bytes, length: KEY_BYTES }
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.bytes.expose()[..self.length]
    }

    /// The share as lower-case hexadecimal digits.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(base16ct::lower::encode_string(self.expose()))
    }

    /// The share in base64 (RFC 4648, section 4), with padding.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(Base64::encode_string(self.expose()))
    }

    /// Reads a share from hexadecimal digits or base64, white space around it ignored. Text that is both, which takes
    /// a base64 text without a letter above `f`, is what has a share's length.
    pub fn parse(text: &str) -> Parsed {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_SHARE_TEXT_BYTES {
            return Parsed::Unreadable;
        }
        let mut buffer = Zeroizing::new([0; MAX_SHARE_TEXT_BYTES]);
        let digits = base16ct::mixed::decode(text, buffer.as_mut_slice());
        let is_hex = digits.is_ok();
        if let Some(share) = digits.ok().and_then(Self::from_slice) {
            return Parsed::Share(share);
        }
        match Base64::decode(text, buffer.as_mut_slice()) {
            Ok(bytes) => Self::from_slice(bytes).map_or(Parsed::WrongLength, Parsed::Share),
            Err(_) if is_hex => Parsed::WrongLength,
            Err(_) => Parsed::Unreadable,
        }
    }
}

/// What a text was.
pub enum Parsed {
    /// Something that can be a share.
    Share(Share),
    /// Hexadecimal or base64, but never a share.
    WrongLength,
    /// Neither hexadecimal nor base64.
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Vec<u8>> {
        match Share::parse(text) {
            Parsed::Share(share) => Some(share.expose().to_vec()),
            Parsed::WrongLength | Parsed::Unreadable => None,
        }
    }

    // check 182
    #[test]
    fn a_share_reads_the_same_in_every_encoding() {
        for length in [KEY_BYTES, SHARE_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 37 + 5) as u8).collect();
            let share = Share::from_slice(&bytes).unwrap();
            for text in [
                share.to_hex().to_string(),
                share.to_hex().to_uppercase(),
                share.to_base64().to_string(),
                format!("  {}\n", *share.to_hex()),
                format!("\t{} ", *share.to_base64()),
            ] {
                assert_eq!(parsed(&text).as_deref(), Some(bytes.as_slice()), "{text:?}");
            }
        }
    }

    #[test]
    fn every_byte_is_written_and_read_as_the_usual_encodings_have_it() {
        use base64::Engine as _;
        for byte in 0..=u8::MAX {
            let bytes: Vec<u8> = (0..SHARE_BYTES).map(|at| byte.wrapping_add((at * at) as u8)).collect();
            let share = Share::from_slice(&bytes).unwrap();
            let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
            assert_eq!(
                (share.to_hex().as_str(), share.to_base64().as_str()),
                (hex::encode(&bytes).as_str(), base64.as_str())
            );
            assert_eq!(parsed(&base64).as_deref(), Some(bytes.as_slice()));
            assert_eq!(parsed(&hex::encode_upper(&bytes)).as_deref(), Some(bytes.as_slice()));
        }
    }

    #[test]
    fn a_base64_text_that_is_also_hexadecimal_is_read_by_its_length() {
        let text = "abcdefabcdefabcdefabcdefabcdefabcdefabcdefab";
        assert_eq!(parsed(text).map(|bytes| bytes.len()), Some(SHARE_BYTES));
        let text = "ab".repeat(KEY_BYTES);
        assert_eq!(parsed(&text).as_deref(), Some(&[0xAB; KEY_BYTES][..]));
    }

    #[test]
    fn text_of_another_length_is_told_from_text_that_is_no_encoding() {
        assert!(matches!(Share::parse("abcd"), Parsed::WrongLength));
        assert!(matches!(Share::parse(&"ab".repeat(34)), Parsed::WrongLength));
        assert!(matches!(Share::parse("abc"), Parsed::Unreadable));
        for text in ["", "   ", "not a share!", "äöü", &"a".repeat(129), &"ab".repeat(100_000)] {
            assert!(matches!(Share::parse(text), Parsed::Unreadable), "{} bytes", text.len());
        }
    }
}
