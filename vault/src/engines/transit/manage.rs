//! Keys as a whole: make, read, list, rotate, configure, trim and delete them.

use serde_json::json;

use super::algorithm::KeyType;
use super::key::{self, NamedKey};
use super::material;
use super::record::{KeyVersionRecord, NamedKeyRecord, TransitConfigRecord, VERSIONS_PER_CHUNK};
use crate::engine::{Call, Work};
use crate::engines::listing;
use crate::error::Error;
use crate::reply::Reply;
use crate::time::Time;

/// Shortest time between automatic rotations, in seconds.
pub(super) const MIN_ROTATION_SECS: u64 = 3600;
/// Lengths of an HMAC key, in bytes.
const HMAC_KEY_BYTES: std::ops::RangeInclusive<i64> = 32..=512;
/// Smallest size of a cache that clients may set besides 0.
const MIN_CACHE_SIZE: i64 = 10;

/// What a new key is to be.
pub(super) struct NewKey {
    pub(super) key_type: KeyType,
    pub(super) derived: bool,
    pub(super) convergent: bool,
    pub(super) exportable: bool,
    pub(super) allows_backup: bool,
    pub(super) rotation_secs: u64,
    pub(super) key_size: u32,
}

impl Default for NewKey {
    fn default() -> Self {
        Self {
            key_type: KeyType::Aes256Gcm,
            derived: false,
            convergent: false,
            exportable: false,
            allows_backup: false,
            rotation_secs: 0,
            key_size: 0,
        }
    }
}

impl NewKey {
    /// What a request's fields ask for.
    pub(super) fn of(call: &Call<'_, '_>) -> Result<Self, Error> {
        let fields = &call.fields;
        let kind = fields.text("type").filter(|kind| !kind.is_empty()).unwrap_or("aes256-gcm96");
        if !KeyType::is_known(kind) {
            return Err(Error::invalid(format!("unknown key type {kind}")));
        }
        let set = fields.text_or_empty("parameter_set");
        let key_type = KeyType::named(kind, set)
            .ok_or_else(|| Error::invalid(format!("invalid parameter_set {set:?} for key type {kind}")))?;
        let is_set = |name: &str| fields.bool(name).unwrap_or(false);
        let new = Self {
            key_type,
            derived: is_set("derived"),
            convergent: is_set("convergent_encryption"),
            exportable: is_set("exportable"),
            allows_backup: is_set("allow_plaintext_backup"),
            rotation_secs: rotation_secs(call)?.unwrap_or(0),
            key_size: key_size(call, key_type)?,
        };
        new.check()?;
        Ok(new)
    }

    fn check(&self) -> Result<(), Error> {
        let kind = self.key_type.as_str();
        if self.convergent && !self.derived {
            return Err(Error::invalid("convergent encryption requires derivation to be enabled"));
        }
        if self.derived && !self.key_type.can_derive() {
            return Err(Error::invalid(format!("key derivation is not supported for key type {kind}")));
        }
        if self.convergent && !self.key_type.is_symmetric() {
            return Err(Error::invalid(format!("convergent encryption is not supported for key type {kind}")));
        }
        Ok(())
    }

    /// The settings, without a version yet.
    pub(super) fn record(&self, work: &mut Work<'_, '_>) -> NamedKeyRecord {
        NamedKeyRecord {
            id: hex::encode(work.context.bytes::<16>()),
            key_type: self.key_type.into(),
            derived: self.derived,
            convergent: self.convergent,
            exportable: self.exportable,
            allows_backup: self.allows_backup,
            rotation_secs: self.rotation_secs,
            key_size: self.key_size,
            min_decryption: 1,
            ..NamedKeyRecord::default()
        }
    }
}

fn key_size(call: &Call<'_, '_>, key_type: KeyType) -> Result<u32, Error> {
    match (key_type, call.fields.int("key_size").unwrap_or(0)) {
        (KeyType::Hmac, 0) => Ok(32),
        (KeyType::Hmac, size) if HMAC_KEY_BYTES.contains(&size) => Ok(u32::try_from(size).unwrap_or(32)),
        (KeyType::Hmac, size) => Err(Error::invalid(format!(
            "invalid key_size {size}; it must be between {} and {} bytes",
            HMAC_KEY_BYTES.start(),
            HMAC_KEY_BYTES.end()
        ))),
        (_, 0) => Ok(0),
        (other, _) => Err(Error::invalid(format!("key_size is not valid for algorithm {}", other.as_str()))),
    }
}

fn rotation_secs(call: &Call<'_, '_>) -> Result<Option<u64>, Error> {
    match call.fields.duration("auto_rotate_period").map(|period| period.as_secs()) {
        Some(secs) if secs != 0 && secs < MIN_ROTATION_SECS => {
            Err(Error::invalid("auto rotate period must be 0 to disable or at least an hour"))
        }
        period => Ok(period),
    }
}

/// Makes a key with its first version. For RSA this ends the run.
pub(super) fn make(call: &mut Call<'_, '_>, name: String, new: NewKey) -> Result<NamedKey, Error> {
    new.check()?;
    let mut work = call.work();
    let mut key = NamedKey { name, record: new.record(&mut work) };
    let version = material::new_version(work.context, &key.record, "1")?;
    key.add_version(&mut work, version)?;
    Ok(key)
}

/// `keys/{name}`, by a write: makes it if it is not there.
pub(super) fn create(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = key::name_of(call)?;
    let new = NewKey::of(call)?;
    let key = match key::find(call.store, &call.mount, &name)? {
        Some(key) => key,
        None => make(call, name, new)?,
    };
    key.describe(call, &[])
}

/// `keys/{name}`.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = key::name_of(call)?;
    let context = super::batch::decoded(call.fields.text_or_empty("context"));
    let context = context.map_err(|_| Error::invalid("failed to base64-decode context"))?;
    let key = key::find(call.store, &call.mount, &name)?.ok_or_else(Error::not_found)?;
    key.describe(call, &context)
}

/// `keys`.
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[key::FOLDER])?;
    listing::page_of(&names, &call.fields)
}

/// `keys/{name}`, by a deletion: the key is out of reach at once, its versions go in the background.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = key::name_of(call)?;
    let complaint = format!("error deleting policy {name}: could not delete key; not found");
    let key = key::named(call, &complaint)?;
    if !key.record.deletion_allowed {
        return Err(Error::invalid(format!("error deleting policy {name}: deletion is not allowed for this key")));
    }
    remove(&mut call.work(), &key)?;
    Ok(Reply::empty())
}

/// Takes a key out of reach.
pub(super) fn remove(work: &mut Work<'_, '_>, key: &NamedKey) -> Result<(), Error> {
    if key.record.next_rotation_nanos != 0 {
        work.forget_reminder(Time::from_nanos(key.record.next_rotation_nanos), &key.name);
    }
    work.store.delete(&work.mount.area, &[key::FOLDER, &key.name]);
    work.drop_folder(&[key::VERSIONS, &key.record.id])
}

/// `keys/{name}/soft-delete`.
pub(super) fn soft_delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    set_soft_deleted(call, true)
}

/// `keys/{name}/soft-delete-restore`.
pub(super) fn soft_restore(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    set_soft_deleted(call, false)
}

fn set_soft_deleted(call: &mut Call<'_, '_>, soft_deleted: bool) -> Result<Reply, Error> {
    let mut key = key::named(call, "key not found")?;
    key.record.soft_deleted = soft_deleted;
    key.save(&mut call.work())?;
    Ok(Reply::empty())
}

/// Adds a new version. For RSA and ML-KEM this ends the run.
fn rotate_key(work: &mut Work<'_, '_>, key: &mut NamedKey) -> Result<(), Error> {
    if key.record.imported && !key.record.rotates_imported {
        return Err(Error::invalid("the imported key does not allow rotation here; import a new version instead"));
    }
    let purpose = (key.record.latest + 1).to_string();
    let version: KeyVersionRecord = material::new_version(work.context, &key.record, &purpose)?;
    key.record.imported = false;
    key.add_version(work, version)
}

/// `keys/{name}/rotate`.
pub(super) fn rotate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut key = key::usable(call, "key not found")?;
    rotate_key(&mut call.work(), &mut key)?;
    key.describe(call, &[])
}

/// A key as its newest version is used: background work can ask for no pair, so a key of RSA or ML-KEM that is due
/// rotates here.
pub(super) fn rotated_if_due(call: &mut Call<'_, '_>, mut key: NamedKey) -> Result<NamedKey, Error> {
    let is_due = is_due(&key, call.context.now) && key.key_type().is_made_beside();
    if is_due && may_rotate(&key) {
        rotate_key(&mut call.work(), &mut key)?;
    }
    Ok(key)
}

fn is_due(key: &NamedKey, now: Time) -> bool {
    key.record.next_rotation_nanos != 0 && key.record.next_rotation_nanos <= now.nanos()
}

fn may_rotate(key: &NamedKey) -> bool {
    !key.record.soft_deleted && (!key.record.imported || key.record.rotates_imported)
}

/// The time for the rotation of a key is there.
pub(super) fn due(work: &mut Work<'_, '_>, name: &str) -> Result<(), Error> {
    let Some(mut key) = key::find(work.store, &work.mount, name)? else { return Ok(()) };
    if !is_due(&key, work.context.now) || key.key_type().is_made_beside() {
        return Ok(());
    }
    if may_rotate(&key) && key.record.latest < key::MAX_VERSIONS {
        return rotate_key(work, &mut key);
    }
    key.schedule_rotation(work)?;
    key.save(work)
}

/// `keys/{name}/config`.
pub(super) fn configure(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = key::name_of(call)?;
    let mut key = key::named(call, &format!("no existing key named {name} could be found"))?;
    let record = &mut key.record;
    let fields = &call.fields;
    let latest = record.latest;
    let version = |field: &str, what: &str| match fields.int(field) {
        None => Ok(None),
        Some(number) => match u32::try_from(number) {
            Err(_) if number < 0 => Err(Error::invalid(format!("min {what} version cannot be negative"))),
            Ok(number) if number <= latest => Ok(Some(number)),
            _ => Err(Error::invalid(format!(
                "cannot set min {what} version of {number}, latest key version is {latest}"
            ))),
        },
    };
    if let Some(number) = version("min_decryption_version", "decryption")? {
        record.min_decryption = number.max(1);
    }
    if let Some(number) = version("min_encryption_version", "encryption")? {
        record.min_encryption = number;
    }
    if record.min_encryption != 0 && record.min_encryption < record.min_decryption {
        return Err(Error::invalid(format!(
            "cannot set min encryption/decryption values; min encryption version of {} must be greater than or equal to \
             min decryption version of {}",
            record.min_encryption, record.min_decryption
        )));
    }
    if record.min_decryption < record.min_available {
        return Err(Error::invalid("min decryption version should not be less then min available version"));
    }
    record.deletion_allowed = fields.bool("deletion_allowed").unwrap_or(record.deletion_allowed);
    // What once left may be anywhere, so these two are never taken back.
    record.exportable |= fields.bool("exportable").unwrap_or(false);
    record.allows_backup |= fields.bool("allow_plaintext_backup").unwrap_or(false);
    if let Some(secs) = rotation_secs(call)?.filter(|secs| *secs != key.record.rotation_secs) {
        key.record.rotation_secs = secs;
        key.schedule_rotation(&mut call.work())?;
    }
    key.save(&mut call.work())?;
    key.describe(call, &[])
}

/// `keys/{name}/trim`: older versions are out of reach at once, and go in the background.
pub(super) fn trim(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut key = key::usable(call, "key not found")?;
    let wanted = call.fields.int("min_available_version");
    let wanted = wanted.ok_or_else(|| Error::invalid("missing min_available_version"))?;
    let wanted = u32::try_from(wanted).map_err(|_| Error::invalid("minimum available version cannot be negative"))?;
    let record = &mut key.record;
    let refusal = if wanted < record.min_available {
        Some("minimum available version cannot be decremented")
    } else if record.min_encryption == 0 {
        Some("minimum available version cannot be set when minimum encryption version is not set")
    } else if wanted > record.latest {
        Some("minimum available version cannot be greater than the latest version")
    } else if wanted > record.min_encryption {
        Some("minimum available version cannot be greater than minimum encryption version")
    } else if wanted > record.min_decryption {
        Some("minimum available version cannot be greater than minimum decryption version")
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return Err(Error::invalid(refusal));
    }
    record.min_available = wanted;
    let (id, whole_chunks) = (record.id.clone(), wanted / VERSIONS_PER_CHUNK);
    let mut work = call.work();
    key.cut_chunk(&mut work)?;
    if whole_chunks > 0 {
        work.add_chore(&format!("{id}.{whole_chunks:08x}"))?;
    }
    key.save(&mut work)?;
    key.describe(call, &[])
}

/// Deletes chunks that a trim put out of reach: the name is the id of the key and the first chunk that stays.
pub(super) fn delete_trimmed(work: &mut Work<'_, '_>, name: &str, limit: usize) -> Result<usize, Error> {
    let Some((id, first_kept)) = name.split_once('.') else { return Ok(0) };
    let chunks = work.store.list(&work.mount.area, &[key::VERSIONS, id])?;
    let trimmed: Vec<_> = chunks.iter().filter(|chunk| &*chunk.name < first_kept).take(limit).collect();
    for chunk in &trimmed {
        work.store.delete(&work.mount.area, &[key::VERSIONS, id, &chunk.name]);
    }
    Ok(trimmed.len())
}

/// `cache-config`.
pub(super) fn read_cache(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let config = key::config(call.store, &call.mount)?;
    Ok(Reply::data(json!({ "size": config.cache_size })))
}

/// `cache-config`, by a write.
pub(super) fn write_cache(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let size = call.fields.int("size").unwrap_or(0);
    let size = u64::try_from(size).ok().filter(|_| size == 0 || size >= MIN_CACHE_SIZE);
    let size =
        size.ok_or_else(|| Error::invalid(format!("size must be 0 or a value greater or equal to {MIN_CACHE_SIZE}")))?;
    let config = TransitConfigRecord { cache_size: size, ..*key::config(call.store, &call.mount)? };
    key::save_config(&mut call.work(), config)?;
    read_cache(call)
}

/// `config/keys`.
pub(super) fn read_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let config = key::config(call.store, &call.mount)?;
    Ok(Reply::data(json!({ "disable_upsert": config.disable_upsert })))
}

/// `config/keys`, by a write.
pub(super) fn write_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let known = *key::config(call.store, &call.mount)?;
    let disable_upsert = call.fields.bool_or("disable_upsert", known.disable_upsert, false);
    key::save_config(&mut call.work(), TransitConfigRecord { disable_upsert, ..known })?;
    read_config(call)
}
