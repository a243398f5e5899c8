//! A secret in the store: loading, judging and saving its metadata, and the data of its versions.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::record::{ConfigRecord, DEFAULT_MAX_VERSIONS, SecretRecord, VersionRecord, VersionState};
use crate::engine::Call;
use crate::engines::documents::Documents;
use crate::engines::kv1;
use crate::error::Error;
use crate::time::Time;

/// Root of the metadata records, which listings show.
pub(super) const METADATA: &str = "meta";
/// Root of the versions' data.
const VERSIONS: &str = "versions";
/// Where the mount's defaults lie.
pub(super) const CONFIG: &[&str] = &["config"];

/// A secret and whether it only exists as a document of version 1.
pub(super) struct KvSecret {
    pub(super) record: SecretRecord,
    is_old_document: bool,
}

/// The path of the secret that the request names.
pub(super) fn path_of<'c>(call: &Call<'c, '_>) -> &'c str {
    call.rest.split_once('/').map_or("", |(_, path)| path)
}

/// Whether there is a secret, so that policies can tell create from update.
pub(super) fn exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    let path = path_of(call);
    if is_folder(path) {
        return Ok(false);
    }
    if call.store.contains(&call.mount.area, &segments(METADATA, path))? {
        return Ok(true);
    }
    Documents::new(call.mount.area.clone(), kv1::ROOT).contains(call.store, path)
}

fn is_folder(path: &str) -> bool {
    path.is_empty() || path.ends_with('/')
}

/// The store's path of something below a root.
pub(super) fn segments<'p>(root: &'p str, path: &'p str) -> Vec<&'p str> {
    std::iter::once(root).chain(path.split('/').filter(|segment| !segment.is_empty())).collect()
}

/// The mount's defaults.
pub(super) fn config(call: &mut Call<'_, '_>) -> Result<ConfigRecord, Error> {
    Ok(call.store.get(&call.mount.area, CONFIG)?.unwrap_or_default())
}

/// The secret that the request names.
pub(super) fn load(call: &mut Call<'_, '_>) -> Result<Option<KvSecret>, Error> {
    load_at(call, path_of(call))
}

/// The secret at a path.
pub(super) fn load_at(call: &mut Call<'_, '_>, path: &str) -> Result<Option<KvSecret>, Error> {
    if is_folder(path) {
        return Ok(None);
    }
    if let Some(record) = call.store.get(&call.mount.area, &segments(METADATA, path))? {
        return Ok(Some(KvSecret { record, is_old_document: false }));
    }
    let is_old = Documents::new(call.mount.area.clone(), kv1::ROOT).contains(call.store, path)?;
    Ok(is_old.then(|| KvSecret { record: upgraded(call.context.now), is_old_document: true }))
}

/// The metadata of a document of version 1, whose times nobody kept.
fn upgraded(now: Time) -> SecretRecord {
    let version = VersionRecord { number: 1, created_nanos: now.nanos(), ..VersionRecord::default() };
    let nanos = now.nanos();
    SecretRecord {
        current: 1,
        created_nanos: nanos,
        updated_nanos: nanos,
        versions: vec![version],
        ..SecretRecord::default()
    }
}

impl KvSecret {
    /// A secret that is about to get its first version or metadata.
    pub(super) fn new(now: Time) -> Self {
        let record = SecretRecord { created_nanos: now.nanos(), updated_nanos: now.nanos(), ..SecretRecord::default() };
        Self { record, is_old_document: false }
    }

    /// A version, the newest for 0.
    pub(super) fn version(&self, number: u64) -> Option<&VersionRecord> {
        let number = if number == 0 { self.record.current } else { number };
        self.record.versions.iter().find(|version| version.number == number)
    }

    /// A version's data; `None` if it was deleted or destroyed, or its time has not come.
    pub(super) fn data(
        &self,
        call: &mut Call<'_, '_>,
        version: &VersionRecord,
    ) -> Result<Option<Map<String, Value>>, Error> {
        if !version.is_readable(call.context.now) {
            return Ok(None);
        }
        let path = path_of(call);
        if self.is_old_document {
            return Documents::new(call.mount.area.clone(), kv1::ROOT).get(call.store, path);
        }
        let (hash, number) = data_names(call, path, version.number);
        let bytes = call.store.get_bytes(&call.mount.area, &[VERSIONS, &hash, &number])?;
        let bytes = bytes.ok_or_else(|| Error::internal("a version's data is missing"))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::internal("a version's data is no JSON object"))
    }

    /// Adds a version and drops those over the limit.
    pub(super) fn add_version(&mut self, call: &mut Call<'_, '_>, data: &Map<String, Value>) -> Result<(), Error> {
        let config = config(call)?;
        let now = call.context.now;
        let bytes = Zeroizing::new(serde_json::to_vec(data).map_err(|error| Error::internal(error.to_string()))?);
        self.record.current += 1;
        self.record.updated_nanos = now.nanos();
        let token = call.caller()?;
        self.record.versions.push(VersionRecord {
            number: self.record.current,
            created_nanos: now.nanos(),
            deletion_nanos: deletion_nanos(&config, &self.record, now),
            checksum: digest(&SHA256, &bytes).as_ref().to_vec(),
            writer_accessor: token.accessor().to_owned(),
            writer_entity: token.record.entity_id.clone(),
            ..VersionRecord::default()
        });
        self.migrate(call)?;
        put_data(call, self.record.current, bytes)?;
        let limit = [u64::from(self.record.max_versions), u64::from(config.max_versions), DEFAULT_MAX_VERSIONS];
        let limit = limit.into_iter().find(|limit| *limit > 0).unwrap_or(DEFAULT_MAX_VERSIONS);
        while self.record.versions.len() as u64 > limit {
            let dropped = self.record.versions.remove(0);
            remove_data(call, dropped.number);
            self.record.oldest = self.record.versions.first().map_or(0, |version| version.number);
        }
        self.save(call)
    }

    /// Moves the data of a document of version 1 to where its versions lie.
    fn migrate(&mut self, call: &mut Call<'_, '_>) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_old_document) {
            return Ok(());
        }
        let (path, documents) = (path_of(call), Documents::new(call.mount.area.clone(), kv1::ROOT));
        if let Some(document) = documents.get(call.store, path)? {
            let bytes = serde_json::to_vec(&document).map_err(|error| Error::internal(error.to_string()))?;
            put_data(call, 1, Zeroizing::new(bytes))?;
            documents.delete(call.store, path)?;
        }
        Ok(())
    }

    /// Writes the metadata.
    pub(super) fn save(&mut self, call: &mut Call<'_, '_>) -> Result<(), Error> {
        self.migrate(call)?;
        call.store.put(&call.mount.area, &segments(METADATA, path_of(call)), &self.record)
    }

    /// Removes the secret with all its versions.
    pub(super) fn remove(&self, call: &mut Call<'_, '_>) -> Result<(), Error> {
        let path = path_of(call);
        if self.is_old_document {
            return Documents::new(call.mount.area.clone(), kv1::ROOT).delete(call.store, path);
        }
        for version in &self.record.versions {
            remove_data(call, version.number);
        }
        call.store.delete(&call.mount.area, &segments(METADATA, path));
        Ok(())
    }

    /// What users said about the secret, or `null`.
    pub(super) fn custom_metadata(&self) -> Value {
        if self.record.custom.is_empty() { Value::Null } else { json!(self.record.custom) }
    }

    /// A version as replies describe it.
    pub(super) fn describe(&self, version: &VersionRecord) -> Value {
        let mut described = version.describe();
        described["version"] = version.number.into();
        described["custom_metadata"] = self.custom_metadata();
        described
    }
}

impl VersionRecord {
    /// Whether its data may be read.
    pub(super) fn is_readable(&self, now: Time) -> bool {
        let is_deleted = self.deletion_nanos != 0 && self.deletion_nanos <= now.nanos();
        self.state() == VersionState::Enabled && !is_deleted && self.not_before_nanos <= now.nanos()
    }

    /// Whether its data is gone for good.
    pub(super) fn is_destroyed(&self) -> bool {
        self.state() == VersionState::Destroyed
    }

    /// Times and state, as metadata lists them.
    pub(super) fn describe(&self) -> Value {
        let deletion = match self.deletion_nanos {
            0 => String::new(),
            nanos => Time::from_nanos(nanos).to_string(),
        };
        json!({
            "created_time": Time::from_nanos(self.created_nanos).to_string(),
            "deletion_time": deletion,
            "destroyed": self.is_destroyed(),
        })
    }
}

/// When a version written now deletes itself: the shorter of mount and secret, and never if the mount says so.
fn deletion_nanos(config: &ConfigRecord, record: &SecretRecord, now: Time) -> i64 {
    let after = match (config.delete_after_nanos, record.delete_after_nanos) {
        (mount, _) if mount < 0 => 0,
        (0, secret) => secret,
        (mount, 0) => mount,
        (mount, secret) => mount.min(secret),
    };
    if after == 0 { 0 } else { now.nanos().saturating_add(after) }
}

/// The names below which a version's data lies.
fn data_names(call: &Call<'_, '_>, path: &str, number: u64) -> (String, String) {
    (hex::encode(call.mount.keys.index("kv path", path.as_bytes())), number.to_string())
}

fn put_data(call: &mut Call<'_, '_>, number: u64, bytes: Zeroizing<Vec<u8>>) -> Result<(), Error> {
    let (hash, number) = data_names(call, path_of(call), number);
    call.store.put_bytes(&call.mount.area, &[VERSIONS, &hash, &number], bytes)
}

/// Removes the data of a version.
pub(super) fn remove_data(call: &mut Call<'_, '_>, number: u64) {
    let (hash, number) = data_names(call, path_of(call), number);
    call.store.delete(&call.mount.area, &[VERSIONS, &hash, &number]);
}
