//! What transit stores. Field numbers are part of the disk format.
//!
//! A key is one record of settings and, for every [`VERSIONS_PER_CHUNK`] versions, one record that holds them: an operation
//! reads two records however many versions there are, and a rotation rewrites one short chunk. What surprises: versions lie
//! below an id and not below the name, so what a deleted key left behind is never taken for a part of a new one.

use prost::Message;

use super::algorithm::KeyType;

/// Versions in one record. A chunk of RSA keys of 4096 bits has about 100 KiB.
pub(super) const VERSIONS_PER_CHUNK: u32 = 32;

/// Settings of a key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedKeyRecord {
    /// 32 hex digits, drawn when the key is made: names the folder of its versions.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(enumeration = "KeyType", tag = "2")]
    pub(super) key_type: i32,
    #[prost(bool, tag = "3")]
    pub(super) derived: bool,
    #[prost(bool, tag = "4")]
    pub(super) convergent: bool,
    #[prost(bool, tag = "5")]
    pub(super) exportable: bool,
    #[prost(bool, tag = "6")]
    pub(super) allows_backup: bool,
    #[prost(bool, tag = "7")]
    pub(super) deletion_allowed: bool,
    /// Whether it may be used by nobody until it is brought back.
    #[prost(bool, tag = "8")]
    pub(super) soft_deleted: bool,
    /// The newest version; versions count from 1.
    #[prost(uint32, tag = "9")]
    pub(super) latest: u32,
    /// The oldest version that decrypts and verifies; at least 1.
    #[prost(uint32, tag = "10")]
    pub(super) min_decryption: u32,
    /// The oldest version that encrypts and signs; 0 is the newest.
    #[prost(uint32, tag = "11")]
    pub(super) min_encryption: u32,
    /// Versions below it are gone; 0 if all are there.
    #[prost(uint32, tag = "12")]
    pub(super) min_available: u32,
    /// Seconds between rotations; 0 is never.
    #[prost(uint64, tag = "13")]
    pub(super) rotation_secs: u64,
    /// When it rotates next, nanoseconds since the Unix epoch; 0 is never.
    #[prost(sint64, tag = "14")]
    pub(super) next_rotation_nanos: i64,
    /// Length of an HMAC key in bytes; 0 for other types.
    #[prost(uint32, tag = "15")]
    pub(super) key_size: u32,
    #[prost(bool, tag = "16")]
    pub(super) imported: bool,
    /// Whether an imported key may rotate, which ends that it can be imported further.
    #[prost(bool, tag = "17")]
    pub(super) rotates_imported: bool,
    /// When it was last backed up, likewise; 0 is never.
    #[prost(sint64, tag = "18")]
    pub(super) backed_up_nanos: i64,
    /// The newest version of that backup.
    #[prost(uint32, tag = "19")]
    pub(super) backed_up_version: u32,
    /// When it was restored from a backup, likewise; 0 is never.
    #[prost(sint64, tag = "20")]
    pub(super) restored_nanos: i64,
    /// The newest version at that time.
    #[prost(uint32, tag = "21")]
    pub(super) restored_version: u32,
}

/// One version of a key. Has no `Debug`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct KeyVersionRecord {
    #[prost(uint32, tag = "1")]
    pub(super) number: u32,
    /// The symmetric key, or the seed (Ed25519, ML-DSA), or the private key, raw (ML-KEM) or in PKCS #8; empty if only the public half is known.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) secret: Vec<u8>,
    /// The key of its HMAC; an HMAC key has none besides `secret`.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) hmac_key: Vec<u8>,
    /// The public key: raw (Ed25519, ML-DSA, ML-KEM) or SubjectPublicKeyInfo; empty for symmetric keys.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) public: Vec<u8>,
    /// Nanoseconds since the Unix epoch.
    #[prost(sint64, tag = "5")]
    pub(super) created_nanos: i64,
    /// Certificates in DER, the key's own first.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(super) chain: Vec<Vec<u8>>,
}

/// Up to [`VERSIONS_PER_CHUNK`] versions, ascending.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct KeyChunkRecord {
    #[prost(message, repeated, tag = "1")]
    pub(super) versions: Vec<KeyVersionRecord>,
}

/// Settings of a mount.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct TransitConfigRecord {
    /// Whether encrypting with a name that is no key is refused.
    #[prost(bool, tag = "1")]
    pub(super) disable_upsert: bool,
    /// What clients set as the size of a cache; kept for them, as decoded keys have one bounded cache for all mounts.
    #[prost(uint64, tag = "2")]
    pub(super) cache_size: u64,
}

/// The key that imports are wrapped with. Has no `Debug`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct WrappingKeyRecord {
    /// RSA of 4096 bits, PKCS #8.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) secret: Vec<u8>,
    /// SubjectPublicKeyInfo.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) public: Vec<u8>,
}

/// A whole key, as a backup carries it. Has no `Debug`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct KeyBackupRecord {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, required, tag = "2")]
    pub(super) key: NamedKeyRecord,
    #[prost(message, repeated, tag = "3")]
    pub(super) versions: Vec<KeyVersionRecord>,
}
