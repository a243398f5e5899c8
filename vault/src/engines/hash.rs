//! Hash functions by the names that clients use, and HMAC with each.

use ::hmac::{KeyInit, Mac, SimpleHmac};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA3_256, SHA3_384, SHA3_512, SHA224, SHA256, SHA384, SHA512};
use aws_lc_rs::hmac;
use sha3::{Digest as _, Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use crate::error::Error;

/// A hash function (FIPS 180-4, FIPS 202).
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum HashAlgorithm {
    /// None: what is signed is taken as it is.
    None = 0,
    /// SHA-1, for what is old.
    Sha1 = 1,
    /// SHA-224.
    Sha224 = 2,
    /// SHA-256.
    Sha256 = 3,
    /// SHA-384.
    Sha384 = 4,
    /// SHA-512.
    Sha512 = 5,
    /// SHA3-224.
    Sha3x224 = 6,
    /// SHA3-256.
    Sha3x256 = 7,
    /// SHA3-384.
    Sha3x384 = 8,
    /// SHA3-512.
    Sha3x512 = 9,
}

const NAMES: [(HashAlgorithm, &str); 10] = [
    (HashAlgorithm::None, "none"),
    (HashAlgorithm::Sha1, "sha1"),
    (HashAlgorithm::Sha224, "sha2-224"),
    (HashAlgorithm::Sha256, "sha2-256"),
    (HashAlgorithm::Sha384, "sha2-384"),
    (HashAlgorithm::Sha512, "sha2-512"),
    (HashAlgorithm::Sha3x224, "sha3-224"),
    (HashAlgorithm::Sha3x256, "sha3-256"),
    (HashAlgorithm::Sha3x384, "sha3-384"),
    (HashAlgorithm::Sha3x512, "sha3-512"),
];

impl HashAlgorithm {
    /// The function of a name.
    pub(super) fn named(name: &str) -> Result<Self, Error> {
        let found = NAMES.iter().find(|(_, known)| *known == name).map(|(hash, _)| *hash);
        found.ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            Error::invalid(format!("invalid hash algorithm {name:?}; use one of {}", known.join(", ")))
        })
    }

    /// The hash of a message; of [`HashAlgorithm::None`] the message itself.
    pub(super) fn digest(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::None => return message.to_vec(),
            Self::Sha3x224 => return Sha3_224::digest(message).to_vec(),
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => &SHA224,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
            Self::Sha3x256 => &SHA3_256,
            Self::Sha3x384 => &SHA3_384,
            Self::Sha3x512 => &SHA3_512,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }

    /// Length of a hash in bytes; 0 of [`HashAlgorithm::None`].
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha3x224 => 28,
            Self::Sha256 | Self::Sha3x256 => 32,
            Self::Sha384 | Self::Sha3x384 => 48,
            Self::Sha512 | Self::Sha3x512 => 64,
        }
    }

    /// The HMAC of a message (RFC 2104); `None` without a hash function.
    pub(super) fn hmac(self, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match self {
            Self::None => return None,
            Self::Sha3x224 => return sha3_hmac::<SimpleHmac<Sha3_224>>(key, message),
            Self::Sha3x256 => return sha3_hmac::<SimpleHmac<Sha3_256>>(key, message),
            Self::Sha3x384 => return sha3_hmac::<SimpleHmac<Sha3_384>>(key, message),
            Self::Sha3x512 => return sha3_hmac::<SimpleHmac<Sha3_512>>(key, message),
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => hmac::HMAC_SHA224,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        Some(hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec())
    }
}

fn sha3_hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().to_vec())
}
