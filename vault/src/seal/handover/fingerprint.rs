//! What an operator compares before a node is given the root key.
//!
//! Half of a SHA-256 over the node's id, its node key and the key pair that this process of it made when it started. So
//! one fingerprint names one process of one node: it changes with each start, and a node under another id or with
//! another key cannot have it. Half is as much as people will compare, and 128 bits, which nobody finds a second key for.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};

/// What the hash begins with.
const CONTEXT: &[u8] = b"conclave boot fingerprint v1";
/// Bytes of a fingerprint.
const BYTES: usize = 16;

/// Names one process of one node. Public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; BYTES]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is eight groups of four hexadecimal digits, such as ef2f:6644:45ed:474c:aac7:ae48:86ec:ae34")]
pub struct NoFingerprint;

impl Fingerprint {
    /// `SHA-256(context · node id (8) · node key (32) · boot key (32))`, its first half.
    pub(super) fn new(node: u64, node_key: &[u8], boot_key: &[u8]) -> Self {
        let hash = digest(&SHA256, &[CONTEXT, &node.to_be_bytes(), node_key, boot_key].concat());
        let mut half = [0; BYTES];
        half.copy_from_slice(&hash.as_ref()[..BYTES]);
        Self(half)
    }

    /// The bytes.
    pub fn to_bytes(self) -> [u8; BYTES] {
        self.0
    }

    /// From its bytes.
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, pair) in self.0.chunks(2).enumerate() {
            let colon = if number == 0 { "" } else { ":" };
            write!(f, "{colon}{}", hex::encode(pair))?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Reads it with or without colons, in either case.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
        let bytes = hex::decode(digits).map_err(|_| NoFingerprint)?;
        bytes.try_into().map(Self).map_err(|_| NoFingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let shown = Fingerprint::new(1, &[2; 32], &[3; 32]);
        let text = shown.to_string();
        assert_eq!((text.len(), text.matches(':').count()), (39, 7));
        for spelling in [text.clone(), text.to_uppercase(), text.replace(':', ""), format!(" {text}\n")] {
            assert_eq!(spelling.parse(), Ok(shown), "{spelling}");
        }
        for wrong in ["", "ef2f", &text[1..], &format!("{text}:00"), "zz2f:6644:45ed:474c:aac7:ae48:86ec:ae34"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong}");
        }
    }

    #[test]
    fn another_id_node_key_or_boot_has_another_fingerprint() {
        let one = Fingerprint::new(1, &[2; 32], &[3; 32]);
        for (node, node_key, boot_key) in [(9, [2; 32], [3; 32]), (1, [9; 32], [3; 32]), (1, [2; 32], [9; 32])] {
            assert_ne!(Fingerprint::new(node, &node_key, &boot_key), one);
        }
    }
}
