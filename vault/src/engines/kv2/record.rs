//! What KV version 2 stores. Field numbers are part of the disk format; there is room for what other secret managers keep.

use std::collections::BTreeMap;

use prost::Message;

/// Versions kept where nobody says how many.
pub(super) const DEFAULT_MAX_VERSIONS: u64 = 10;

/// Defaults of a mount.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ConfigRecord {
    /// Versions kept of each secret; 0 is the default.
    #[prost(uint32, tag = "1")]
    pub(super) max_versions: u32,
    /// Whether every write must say which version it follows.
    #[prost(bool, tag = "2")]
    pub(super) cas_required: bool,
    /// Nanoseconds after which a version deletes itself; 0 is never, negative is never whatever the secret says.
    #[prost(sint64, tag = "3")]
    pub(super) delete_after_nanos: i64,
}

/// What a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum VersionState {
    /// Readable, unless it was deleted.
    Enabled = 0,
    /// Kept, and not readable until it is enabled again.
    Disabled = 1,
    /// Its data is gone.
    Destroyed = 2,
}

/// One version, without its data.
#[derive(Clone, PartialEq, Message)]
pub(super) struct VersionRecord {
    /// From 1.
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    /// When it was written, nanoseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub(super) created_nanos: i64,
    /// When it is or was deleted, likewise; 0 is never.
    #[prost(sint64, tag = "3")]
    pub(super) deletion_nanos: i64,
    /// What it is.
    #[prost(enumeration = "VersionState", tag = "4")]
    pub(super) state: i32,
    /// Labels that move between versions.
    #[prost(string, repeated, tag = "5")]
    pub(super) labels: Vec<String>,
    /// Not readable before, nanoseconds since the Unix epoch; 0 is always.
    #[prost(sint64, tag = "6")]
    pub(super) not_before_nanos: i64,
    /// SHA-256 of the data as it was stored.
    #[prost(bytes = "vec", tag = "7")]
    pub(super) checksum: Vec<u8>,
    /// Accessor of the token that wrote it.
    #[prost(string, tag = "8")]
    pub(super) writer_accessor: String,
    /// Entity that wrote it.
    #[prost(string, tag = "9")]
    pub(super) writer_entity: String,
}

/// A secret, without its data.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SecretRecord {
    /// The newest version; 0 before the first.
    #[prost(uint64, tag = "1")]
    pub(super) current: u64,
    /// The oldest version that is kept, once one was dropped; 0 before.
    #[prost(uint64, tag = "2")]
    pub(super) oldest: u64,
    /// When the secret was made, nanoseconds since the Unix epoch.
    #[prost(sint64, tag = "3")]
    pub(super) created_nanos: i64,
    /// When it was changed last, likewise.
    #[prost(sint64, tag = "4")]
    pub(super) updated_nanos: i64,
    /// Versions kept; 0 is the mount's.
    #[prost(uint32, tag = "5")]
    pub(super) max_versions: u32,
    /// Whether every write must say which version it follows.
    #[prost(bool, tag = "6")]
    pub(super) cas_required: bool,
    /// Nanoseconds after which a version deletes itself; 0 is the mount's.
    #[prost(sint64, tag = "7")]
    pub(super) delete_after_nanos: i64,
    /// What users say about the secret.
    #[prost(btree_map = "string, string", tag = "8")]
    pub(super) custom: BTreeMap<String, String>,
    /// Counts the changes of the metadata itself.
    #[prost(uint64, tag = "9")]
    pub(super) metadata_version: u64,
    /// All versions that are kept, ascending.
    #[prost(message, repeated, tag = "10")]
    pub(super) versions: Vec<VersionRecord>,
    /// For finding secrets.
    #[prost(btree_map = "string, string", tag = "11")]
    pub(super) tags: BTreeMap<String, String>,
    /// Who answers for it.
    #[prost(string, tag = "12")]
    pub(super) owner: String,
    /// For people.
    #[prost(string, tag = "13")]
    pub(super) description: String,
}
