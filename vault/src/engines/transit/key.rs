//! A key by its name: finding it, its versions, storing it, and what is shown of it.

use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::{Map, Value, json};

use super::algorithm::KeyType;
use super::material;
use super::record::{KeyChunkRecord, KeyVersionRecord, NamedKeyRecord, TransitConfigRecord, VERSIONS_PER_CHUNK};
use crate::engine::{Call, Work};
use crate::error::{Error, ErrorKind, multi};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;
use crate::time::Time;

/// Directory of the keys in the mount's area.
pub(super) const FOLDER: &str = "key";
/// Directory of their versions, below the ids of the keys.
pub(super) const VERSIONS: &str = "version";
/// The mount's settings.
const CONFIG: &str = "config";
/// Most versions of one key.
pub(super) const MAX_VERSIONS: u32 = 100_000;

/// A key.
#[derive(Clone)]
pub(super) struct NamedKey {
    /// Its name.
    pub(super) name: String,
    /// Its settings.
    pub(super) record: NamedKeyRecord,
}

/// One version of a key, as it lies in its chunk.
pub(super) struct KeyVersion {
    chunk: Arc<KeyChunkRecord>,
    place: usize,
}

impl Deref for KeyVersion {
    type Target = KeyVersionRecord;

    fn deref(&self) -> &KeyVersionRecord {
        &self.chunk.versions[self.place]
    }
}

/// The name in the request's path.
///
/// # Errors
/// [`ErrorKind::NotFound`] as for a path that does not exist, if it is no name: letters, digits and `_`, between them also
/// `-` and `.`.
pub(super) fn name_of(call: &Call<'_, '_>) -> Result<String, Error> {
    let name = call.fields.text_or_empty("name");
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(Error::new(ErrorKind::NotFound, multi("unsupported path"))),
    }
}

/// Whether a text is a name of a key.
pub(super) fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(is_word) && name.ends_with(is_word) && name.chars().all(|c| is_word(c) || c == '-' || c == '.')
}

/// A key of a mount.
pub(super) fn find(store: &mut Store<'_>, mount: &Mount, name: &str) -> Result<Option<NamedKey>, Error> {
    let decode = |bytes: &[u8]| {
        NamedKeyRecord::decode(bytes).map_err(|_| Error::internal("the record of a transit key does not decode"))
    };
    let record = store.get_cached(&mount.area, &[FOLDER, name], decode)?;
    Ok(record.map(|record| NamedKey { name: name.to_owned(), record: NamedKeyRecord::clone(&record) }))
}

/// Whether the key that a request's path names is there: tells create from update.
pub(super) fn exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    let name = call.fields.text_or_empty("name").to_owned();
    call.store.contains(&call.mount.area, &[FOLDER, &name])
}

/// The key that the request's path names, for its settings.
pub(super) fn named(call: &mut Call<'_, '_>, complaint: &str) -> Result<NamedKey, Error> {
    let name = name_of(call)?;
    find(call.store, &call.mount, &name)?.ok_or_else(|| Error::invalid(complaint))
}

/// The key that the request's path names, for use.
///
/// # Errors
/// [`ErrorKind::Invalid`] if there is none, or it is deleted until somebody brings it back.
pub(super) fn usable(call: &mut Call<'_, '_>, complaint: &str) -> Result<NamedKey, Error> {
    let key = named(call, complaint)?;
    key.check_not_deleted()?;
    Ok(key)
}

/// The settings of a mount.
pub(super) fn config(store: &mut Store<'_>, mount: &Mount) -> Result<Arc<TransitConfigRecord>, Error> {
    let decode = |bytes: &[u8]| {
        TransitConfigRecord::decode(bytes).map_err(|_| Error::internal("the settings of transit do not decode"))
    };
    store.get_cached_or_default(&mount.area, &[CONFIG], decode)
}

/// Writes the settings of a mount.
pub(super) fn save_config(work: &mut Work<'_, '_>, config: TransitConfigRecord) -> Result<(), Error> {
    work.store.put(&work.mount.area, &[CONFIG], &config)
}

fn chunk_name(number: u32) -> String {
    format!("{:08x}", number / VERSIONS_PER_CHUNK)
}

impl NamedKey {
    /// Its type.
    pub(super) fn key_type(&self) -> KeyType {
        self.record.key_type()
    }

    /// Refuses a key that is deleted until somebody brings it back.
    pub(super) fn check_not_deleted(&self) -> Result<(), Error> {
        match self.record.soft_deleted {
            false => Ok(()),
            true => Err(Error::invalid(format!(
                "the key is soft-deleted; bring it back by keys/{}/soft-delete-restore",
                self.name
            ))),
        }
    }

    /// A version of it; `None` if it is not there.
    pub(super) fn version(
        &self,
        store: &mut Store<'_>,
        mount: &Mount,
        number: u32,
    ) -> Result<Option<KeyVersion>, Error> {
        if number == 0 || number > self.record.latest || number < self.record.min_available {
            return Ok(None);
        }
        let path = [VERSIONS, &self.record.id, &chunk_name(number)];
        let Some(chunk) = store.get_cached(&mount.area, &path, decode_chunk)? else { return Ok(None) };
        let place = chunk.versions.iter().position(|version| version.number == number);
        Ok(place.map(|place| KeyVersion { chunk, place }))
    }

    /// A version that a request may be answered with.
    pub(super) fn available(&self, call: &mut Call<'_, '_>, number: u32) -> Result<KeyVersion, Error> {
        let found = self.version(call.store, &call.mount, number)?;
        found.ok_or_else(|| Error::internal(format!("version {number} of a transit key is missing")))
    }

    /// The version that encrypts or signs.
    ///
    /// # Errors
    /// What is wrong with the one that was asked for.
    pub(super) fn newest_or(&self, wanted: i64) -> Result<u32, String> {
        match u32::try_from(wanted) {
            Ok(0) => Ok(self.record.latest),
            Ok(wanted) if wanted > self.record.latest => {
                Err("requested version for encryption is higher than the latest key version".into())
            }
            Ok(wanted) if wanted >= self.record.min_encryption.max(self.oldest_shown()) => Ok(wanted),
            Ok(_) => Err("requested version for encryption is less than the minimum encryption key version".into()),
            Err(_) => Err("requested version for encryption is negative".into()),
        }
    }

    /// The oldest version that anything is done with.
    pub(super) fn oldest_shown(&self) -> u32 {
        self.record.min_decryption.max(self.record.min_available).max(1)
    }

    /// Writes the settings.
    pub(super) fn save(&self, work: &mut Work<'_, '_>) -> Result<(), Error> {
        work.store.put(&work.mount.area, &[FOLDER, &self.name], &self.record)
    }

    /// Writes a version into its chunk, in place of one with its number.
    pub(super) fn save_version(&self, work: &mut Work<'_, '_>, version: KeyVersionRecord) -> Result<(), Error> {
        let path = [VERSIONS, &self.record.id, &chunk_name(version.number)];
        let mut chunk: KeyChunkRecord = work.store.get(&work.mount.area, &path)?.unwrap_or_default();
        match chunk.versions.binary_search_by_key(&version.number, |version| version.number) {
            Ok(place) => chunk.versions[place] = version,
            Err(place) => chunk.versions.insert(place, version),
        }
        work.store.put(&work.mount.area, &path, &chunk)
    }

    /// The next version, written with the settings.
    pub(super) fn add_version(&mut self, work: &mut Work<'_, '_>, mut version: KeyVersionRecord) -> Result<(), Error> {
        if self.record.latest >= MAX_VERSIONS {
            return Err(Error::invalid(format!("the key has {MAX_VERSIONS} versions, the most that one key can have")));
        }
        self.record.latest += 1;
        version.number = self.record.latest;
        version.created_nanos = work.context.now.nanos();
        self.save_version(work, version)?;
        self.schedule_rotation(work)?;
        self.save(work)
    }

    /// Sets when the key rotates next, counted from now.
    pub(super) fn schedule_rotation(&mut self, work: &mut Work<'_, '_>) -> Result<(), Error> {
        if self.record.next_rotation_nanos != 0 {
            work.forget_reminder(Time::from_nanos(self.record.next_rotation_nanos), &self.name);
        }
        self.record.next_rotation_nanos = 0;
        if self.record.rotation_secs != 0 {
            let next = work.context.now.plus_secs(self.record.rotation_secs);
            self.record.next_rotation_nanos = next.nanos();
            work.remind(next, &self.name)?;
        }
        Ok(())
    }

    /// Takes versions that may not be had any more out of the one chunk that also holds others.
    pub(super) fn cut_chunk(&self, work: &mut Work<'_, '_>) -> Result<(), Error> {
        let path = [VERSIONS, &self.record.id, &chunk_name(self.record.min_available)];
        let Some(mut chunk) = work.store.get::<KeyChunkRecord>(&work.mount.area, &path)? else { return Ok(()) };
        chunk.versions.retain(|version| version.number >= self.record.min_available);
        work.store.put(&work.mount.area, &path, &chunk)
    }

    /// What is shown of it.
    pub(super) fn describe(&self, call: &mut Call<'_, '_>, context: &[u8]) -> Result<Reply, Error> {
        let (record, key_type) = (&self.record, self.key_type());
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| _ = data.insert(name.to_owned(), value);
        put("name", json!(self.name));
        put("type", json!(key_type.as_str()));
        put("derived", json!(record.derived));
        put("exportable", json!(record.exportable));
        put("allow_plaintext_backup", json!(record.allows_backup));
        put("deletion_allowed", json!(record.deletion_allowed));
        put("soft_deleted", json!(record.soft_deleted));
        put("imported_key", json!(record.imported));
        put("auto_rotate_period", json!(record.rotation_secs));
        put("latest_version", json!(record.latest));
        put("min_available_version", json!(record.min_available));
        put("min_decryption_version", json!(record.min_decryption));
        put("min_encryption_version", json!(record.min_encryption));
        put("supports_encryption", json!(key_type.can_encrypt()));
        put("supports_decryption", json!(key_type.can_encrypt()));
        put("supports_signing", json!(key_type.can_sign()));
        put("supports_derivation", json!(key_type.can_derive()));
        if record.imported {
            put("imported_key_allow_rotation", json!(record.rotates_imported));
        }
        if !key_type.parameter_set().is_empty() {
            put("parameter_set", json!(key_type.parameter_set()));
        }
        if record.derived {
            put("kdf", json!("hkdf_sha256"));
            put("convergent_encryption", json!(record.convergent));
            if record.convergent {
                // -1: each version says which of the three it is, and all that are made here are the third.
                put("convergent_encryption_version", json!(-1));
            }
        }
        let event = |nanos, version: u32| json!({ "time": Time::from_nanos(nanos).to_string(), "version": version });
        if record.backed_up_nanos != 0 {
            put("backup_info", event(record.backed_up_nanos, record.backed_up_version));
        }
        if record.restored_nanos != 0 {
            put("restore_info", event(record.restored_nanos, record.restored_version));
        }
        match key_type {
            KeyType::Hmac => put("key_size", json!(record.key_size)),
            _ => put("keys", self.describe_versions(call, context)?),
        }
        Ok(Reply { data: Some(data), ..Reply::default() })
    }

    fn describe_versions(&self, call: &mut Call<'_, '_>, context: &[u8]) -> Result<Value, Error> {
        let mut shown = Map::new();
        let (mount, now_shown) = (Arc::clone(&call.mount), self.oldest_shown());
        self.each_version(call.store, &mount, now_shown, self.record.latest, |version| {
            let created = Time::from_nanos(version.created_nanos);
            let chain = version.chain.iter().map(|der| material::pem("CERTIFICATE", der)).collect::<String>();
            let value = match self.key_type().has_public_key() {
                false => json!(created.secs()),
                true => json!({
                    "name": self.key_type().version_name(),
                    "creation_time": created.to_string(),
                    "public_key": self.shown_public(version, context)?,
                    "certificate_chain": chain,
                }),
            };
            shown.insert(version.number.to_string(), value);
            Ok(())
        })?;
        Ok(Value::Object(shown))
    }

    /// Does something with each version from one number to another, both included.
    pub(super) fn each_version(
        &self,
        store: &mut Store<'_>,
        mount: &Mount,
        first: u32,
        last: u32,
        mut work: impl FnMut(&KeyVersionRecord) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for chunk in first / VERSIONS_PER_CHUNK..=last / VERSIONS_PER_CHUNK {
            let path = [VERSIONS, &self.record.id, &chunk_name(chunk * VERSIONS_PER_CHUNK)];
            let Some(chunk) = store.get_cached(&mount.area, &path, decode_chunk)? else { continue };
            chunk.versions.iter().filter(|one| (first..=last).contains(&one.number)).try_for_each(&mut work)?;
        }
        Ok(())
    }

    /// The public key of a version as clients know it. That of a derived key is one of each context, and none without one.
    pub(super) fn shown_public(&self, version: &KeyVersionRecord, context: &[u8]) -> Result<String, Error> {
        if self.record.derived {
            return match context.is_empty() {
                true => Ok(String::new()),
                false => Ok(STANDARD.encode(material::derived_ed25519(version, context)?.1)),
            };
        }
        match self.key_type() {
            key_type if key_type.is_rsa() || key_type.is_ecdsa() => Ok(material::pem("PUBLIC KEY", &version.public)),
            _ => Ok(STANDARD.encode(&version.public)),
        }
    }
}

fn decode_chunk(bytes: &[u8]) -> Result<KeyChunkRecord, Error> {
    KeyChunkRecord::decode(bytes).map_err(|_| Error::internal("a chunk of versions of a transit key does not decode"))
}
