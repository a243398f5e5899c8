//! The mount table: which engine answers below which path, and where its records lie.
//!
//! One record per namespace holds all mounts. It is read by every request and so guarded by every write: unmounting is
//! one edit of this record, and no write of an engine can slip in behind it.

pub(crate) mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;
use serde_json::{Map, Value, json};
use zeroize::Zeroize;

use crate::barrier::mount_keys::MountKeys;
use crate::barrier::name::NameCipher;
use crate::context::Context;
use crate::engine::{Class, Engine};
use crate::error::Error;
use crate::store::{Area, MountId, ROOT_NAMESPACE, Store, decode};

/// Where the table lies in the system area.
const TABLE: &[&str] = &["core", "mounts"];

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

/// The table as it is stored.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct MountTableRecord {
    /// All mounts of the namespace.
    #[prost(message, repeated, tag = "1")]
    pub mounts: Vec<MountRecord>,
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
    /// Which engine answers.
    pub engine: &'static Engine,
    /// Where its records lie.
    pub area: Area,
    /// Its name and index keys.
    pub keys: MountKeys,
}

impl Mount {
    /// A mount out of its record.
    pub fn new(mut record: MountRecord) -> Result<Self, Error> {
        let id: MountId =
            record.id.as_slice().try_into().map_err(|_| Error::internal("a mount's id is not 16 bytes"))?;
        let keys = MountKeys::from_bytes(&record.keys).map_err(|error| Error::internal(error.to_string()))?;
        record.keys.zeroize();
        let options: Map<String, Value> = serde_json::from_str(&record.options_json).unwrap_or_default();
        let engine = crate::engines::find(&record.kind, &options, record.path.starts_with("auth/"))
            .ok_or_else(|| Error::internal(format!("no engine of kind {}", record.kind)))?;
        let names: Arc<NameCipher> = keys.names();
        Ok(Self { area: Area::new(ROOT_NAMESPACE, id, names), engine, keys, record })
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

/// All mounts of a namespace, sorted by path.
pub(crate) struct MountTable {
    mounts: Vec<Arc<Mount>>,
    /// Places in `mounts`, by id.
    places: HashMap<Vec<u8>, usize>,
}

impl MountTable {
    /// Reads the table.
    pub(crate) fn load(store: &mut Store<'_>) -> Result<Arc<Self>, Error> {
        let system = store.system();
        let table = store.get_cached(&system, TABLE, |bytes| Self::new(decode::<MountTableRecord>(bytes)?))?;
        table.ok_or_else(|| Error::internal("there is no mount table"))
    }

    fn new(record: MountTableRecord) -> Result<Self, Error> {
        let mut mounts =
            record.mounts.into_iter().map(|mount| Mount::new(mount).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        mounts.sort_by(|a, b| a.record.path.cmp(&b.record.path));
        let places = mounts.iter().enumerate().map(|(place, mount)| (mount.record.id.clone(), place)).collect();
        Ok(Self { mounts, places })
    }

    /// Writes the table.
    pub(crate) fn save(store: &mut Store<'_>, mounts: Vec<MountRecord>) -> Result<(), Error> {
        let system = store.system();
        store.put(&system, TABLE, &MountTableRecord { mounts })
    }

    /// All mounts, sorted by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.mounts.iter()
    }

    /// The stored form, for an edit.
    pub(crate) fn records(&self) -> Vec<MountRecord> {
        let stored = |mount: &Arc<Mount>| {
            let mut record = mount.record.clone();
            record.keys = mount.keys.to_bytes().to_vec();
            record
        };
        self.mounts.iter().map(stored).collect()
    }

    /// The mount at exactly this path (with its slash).
    pub(crate) fn at(&self, path: &str) -> Option<&Arc<Mount>> {
        self.mounts.binary_search_by(|mount| mount.record.path.as_str().cmp(path)).ok().map(|index| &self.mounts[index])
    }

    /// The mount with an id, wherever it is mounted.
    pub(crate) fn by_id(&self, id: &[u8]) -> Option<&Arc<Mount>> {
        self.places.get(id).map(|place| &self.mounts[*place])
    }

    /// The mount that answers a path: the longest prefix. A list of the mount's root may lack the slash.
    pub(crate) fn route(&self, path: &str) -> Option<&Arc<Mount>> {
        let is_below = |mount: &&Arc<Mount>| {
            path.starts_with(&mount.record.path) || mount.record.path.strip_suffix('/').is_some_and(|root| root == path)
        };
        self.mounts.iter().filter(is_below).max_by_key(|mount| mount.record.path.len())
    }

    /// A mount that lies above or below a path, so that nothing can be mounted there.
    pub(crate) fn conflict(&self, path: &str) -> Option<&Arc<Mount>> {
        self.mounts.iter().find(|mount| mount.record.path.starts_with(path) || path.starts_with(&mount.record.path))
    }
}

/// A new mount's record with fresh ids and keys.
pub(crate) fn new_record(context: &mut Context<'_>, path: &str, kind: &str, description: &str) -> MountRecord {
    let suffix = hex::encode(context.bytes::<4>());
    let class = if class_of(path) == Class::Auth { "auth_" } else { "" };
    let mut record = MountRecord::default();
    record.id = context.bytes::<16>().to_vec();
    path.clone_into(&mut record.path);
    kind.clone_into(&mut record.kind);
    description.clone_into(&mut record.description);
    record.accessor = format!("{class}{kind}_{suffix}");
    record.uuid = context.uuid();
    record.keys = MountKeys::generate(context.random).to_bytes().to_vec();
    record
}

/// The mounts that every namespace has from the start.
pub(crate) fn initial(context: &mut Context<'_>) -> Vec<MountRecord> {
    let mut system = new_record(context, "sys/", "system", "system endpoints used for control, policy and debugging");
    system.seal_wrap = true;
    system.config_json = json!({ "passthrough_request_headers": ["Accept"] }).to_string();
    let mut identity = new_record(context, "identity/", "identity", "identity store");
    identity.config_json = json!({ "passthrough_request_headers": ["Authorization"] }).to_string();
    let mut cubbyhole = new_record(context, "cubbyhole/", "cubbyhole", "per-token private secret storage");
    cubbyhole.local = true;
    let token = new_record(context, "auth/token/", "token", "token based credentials");
    vec![system, identity, cubbyhole, token]
}

/// Whether a mount of this class may be made or removed by users.
pub(crate) fn is_fixed(path: &str) -> bool {
    matches!(path, "sys/" | "identity/" | "cubbyhole/" | "auth/token/")
}

/// The class that a path belongs to.
pub(crate) fn class_of(path: &str) -> Class {
    if path.starts_with("auth/") { Class::Auth } else { Class::Secret }
}
