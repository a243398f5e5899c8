//! The mount table: which engine answers below which path.
//!
//! One record per namespace holds all mounts. It is read by every request and so guarded by every write: unmounting is
//! one edit of this record, and no write of an engine can slip in behind it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use prost::Message;

use crate::engine::Engine;
use crate::error::Error;
use crate::mount::{Mount, MountRecord, class_of};
use crate::registry::Registry;
use crate::store::{NamespaceId, Store, decode};

/// Where the table lies in the system area.
const TABLE: &[&str] = &["core", "mounts"];

/// The table as it is stored.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct MountTableRecord {
    /// All mounts of the namespace.
    #[prost(message, repeated, tag = "1")]
    pub mounts: Vec<MountRecord>,
}

/// A mount and the engine that answers at it.
pub(crate) struct RouteEntry {
    /// The mount.
    pub(crate) mount: Arc<Mount>,
    /// What answers.
    pub(crate) engine: &'static Engine,
}

impl RouteEntry {
    /// A mount of a namespace out of its record, with its engine.
    pub(crate) fn new(record: MountRecord, namespace: NamespaceId, registry: &Registry) -> Result<Self, Error> {
        let mount = Mount::new(record, namespace)?;
        let record = &mount.record;
        let engine = registry
            .find(class_of(&record.path), &record.kind, &record.options())
            .ok_or_else(|| Error::internal(format!("no engine of kind {}", record.kind)))?;
        Ok(Self { mount: Arc::new(mount), engine })
    }
}

impl Deref for RouteEntry {
    type Target = Mount;

    fn deref(&self) -> &Mount {
        &self.mount
    }
}

/// All mounts of a namespace, sorted by path.
pub(crate) struct MountTable {
    mounts: Vec<Arc<RouteEntry>>,
    /// Places in `mounts`, by id.
    places: HashMap<Vec<u8>, usize>,
}

impl MountTable {
    /// Reads the table.
    pub(crate) fn load(store: &mut Store<'_>) -> Result<Arc<Self>, Error> {
        let system = store.system();
        let (namespace, registry) = (store.namespace(), Registry::of(store));
        let make = |bytes: &[u8]| Self::new(decode::<MountTableRecord>(bytes)?, namespace, registry);
        let table = store.get_cached(&system, TABLE, make)?;
        table.ok_or_else(|| Error::internal("there is no mount table"))
    }

    fn new(record: MountTableRecord, namespace: NamespaceId, registry: &Registry) -> Result<Self, Error> {
        let entry = |mount| RouteEntry::new(mount, namespace, registry).map(Arc::new);
        let mut mounts = record.mounts.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
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
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<RouteEntry>> {
        self.mounts.iter()
    }

    /// The stored form, for an edit.
    pub(crate) fn records(&self) -> Vec<MountRecord> {
        let stored = |mount: &Arc<RouteEntry>| {
            let mut record = mount.record.clone();
            record.keys = mount.keys.to_bytes().to_vec();
            record
        };
        self.mounts.iter().map(stored).collect()
    }

    /// The mount at exactly this path (with its slash).
    pub(crate) fn at(&self, path: &str) -> Option<&Arc<RouteEntry>> {
        self.mounts.binary_search_by(|mount| mount.record.path.as_str().cmp(path)).ok().map(|index| &self.mounts[index])
    }

    /// The mount with an id, wherever it is mounted.
    pub(crate) fn by_id(&self, id: &[u8]) -> Option<&Arc<RouteEntry>> {
        self.places.get(id).map(|place| &self.mounts[*place])
    }

    /// The mount that answers a path: the longest prefix. A list of the mount's root may lack the slash.
    pub(crate) fn route(&self, path: &str) -> Option<&Arc<RouteEntry>> {
        let is_below = |mount: &&Arc<RouteEntry>| {
            path.starts_with(&mount.record.path) || mount.record.path.strip_suffix('/').is_some_and(|root| root == path)
        };
        self.mounts.iter().filter(is_below).max_by_key(|mount| mount.record.path.len())
    }

    /// A mount that lies above or below a path, so that nothing can be mounted there.
    pub(crate) fn conflict(&self, path: &str) -> Option<&Arc<RouteEntry>> {
        self.mounts.iter().find(|mount| mount.record.path.starts_with(path) || path.starts_with(&mount.record.path))
    }
}
