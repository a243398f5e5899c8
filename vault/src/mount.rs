//! A mount: its settings, where its records lie, and its keys.
//!
//! Which engine answers at it is not said here but in [`table`]: an engine works on mounts, and a mount knows no engine.

pub(crate) mod creation;
pub(crate) mod table;
pub(crate) mod upkeep;

use prost::Message;
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::barrier::mount_keys::MountKeys;
use crate::error::Error;
use crate::store::{Area, MountId, NamespaceId};

/// What kind of mount an engine makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Below a path of its own.
    Secret,
    /// Below `auth/`.
    Auth,
}

/// A mount as it is stored. Has no `Debug`, because of its keys.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct MountRecord {
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Path with a slash at the end; auth methods begin with `auth/`.
    #[prost(string, tag = "2")]
    pub path: String,
    /// The engine's kind as it was asked for, such as `kv`.
    #[prost(string, tag = "3")]
    pub kind: String,
    /// For people.
    #[prost(string, tag = "4")]
    pub description: String,
    /// `kind_` (of an auth method `auth_kind_`) and eight hexadecimal digits.
    #[prost(string, tag = "5")]
    pub accessor: String,
    /// A UUID.
    #[prost(string, tag = "6")]
    pub uuid: String,
    /// Whether clients asked for a local mount; shown, without effect.
    #[prost(bool, tag = "7")]
    pub local: bool,
    /// Whether clients asked for seal wrapping; shown, without effect, for everything is encrypted.
    #[prost(bool, tag = "8")]
    pub seal_wrap: bool,
    /// Whether clients asked for external entropy; shown, without effect.
    #[prost(bool, tag = "9")]
    pub external_entropy_access: bool,
    /// Options, as JSON; empty is none.
    #[prost(string, tag = "10")]
    pub options_json: String,
    /// Configuration beyond what the core knows, as JSON.
    #[prost(string, tag = "11")]
    pub config_json: String,
    /// Default time to live in seconds; 0 is the system's.
    #[prost(uint64, tag = "12")]
    pub default_ttl_secs: u64,
    /// Longest time to live in seconds; 0 is the system's.
    #[prost(uint64, tag = "13")]
    pub max_ttl_secs: u64,
    /// Name and index keys of the mount; secret, and wiped when the record is dropped. Empty in [`Mount::record`].
    #[prost(bytes = "vec", tag = "14")]
    pub keys: Vec<u8>,
}

impl Drop for MountRecord {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

impl MountRecord {
    /// The options.
    pub fn options(&self) -> Map<String, Value> {
        serde_json::from_str(&self.options_json).unwrap_or_default()
    }
}

/// A mount, ready for use.
pub struct Mount {
    /// As stored, but for the keys, which are in locked memory.
    pub record: MountRecord,
    /// Where its records lie.
    pub area: Area,
    /// Its name and index keys.
    pub keys: MountKeys,
}

impl Mount {
    /// A mount of a namespace out of its record.
    pub(crate) fn new(mut record: MountRecord, namespace: NamespaceId) -> Result<Self, Error> {
        let id: MountId =
            record.id.as_slice().try_into().map_err(|_| Error::internal("a mount's id is not 16 bytes"))?;
        let keys = MountKeys::from_bytes(&record.keys).map_err(|error| Error::internal(error.to_string()))?;
        record.keys.zeroize();
        Ok(Self { area: Area::new(namespace, id, keys.names()), keys, record })
    }

    /// The mount's options.
    pub fn options(&self) -> Map<String, Value> {
        self.record.options()
    }

    /// The mount's further configuration.
    pub fn config(&self) -> Map<String, Value> {
        serde_json::from_str(&self.record.config_json).unwrap_or_default()
    }
}

/// Whether a mount lies at this path that users may neither make, move nor remove.
pub(crate) fn is_fixed(path: &str) -> bool {
    matches!(path, "sys/" | "identity/" | "cubbyhole/" | "auth/token/")
}

/// The class that a path belongs to.
pub(crate) fn class_of(path: &str) -> Class {
    if path.starts_with("auth/") { Class::Auth } else { Class::Secret }
}
