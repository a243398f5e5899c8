//! Backups: a whole key as one text, and back.
//!
//! What surprises: a backup holds the keys in clear. It is only made of a key that is exportable and allows it, and neither
//! is ever taken back. What is restored was written by a stranger, so all of it is checked.

use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::json;

use super::algorithm::KeyType;
use super::kem;
use super::key::{self, MAX_VERSIONS, NamedKey};
use super::manage;
use super::material;
use super::native::NativeKey;
use super::record::{KeyBackupRecord, KeyChunkRecord, KeyVersionRecord, NamedKeyRecord, VERSIONS_PER_CHUNK};
use crate::engine::{Call, Work};
use crate::error::{Error, ErrorKind, multi};
use crate::reply::Reply;

/// What a backup begins with: its kind and the version of its form.
const MAGIC: &[u8] = b"conclave transit key 1\n";

/// `backup/{name}`.
pub(super) fn backup(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = key::name_of(call)?;
    let mut key = key::find(call.store, &call.mount, &name)?.ok_or_else(Error::not_found)?;
    key.check_not_deleted()?;
    if !key.record.exportable {
        return Err(known_as_500("exporting is disallowed on the policy"));
    }
    if !key.record.allows_backup {
        return Err(known_as_500("plaintext backup is disallowed on the policy"));
    }
    key.record.backed_up_nanos = call.context.now.nanos();
    key.record.backed_up_version = key.record.latest;
    let mut record = KeyBackupRecord { name, key: key.record.clone(), versions: Vec::new() };
    let mount = call.mount.clone();
    let first = key.record.min_available.max(1);
    key.each_version(call.store, &mount, first, key.record.latest, |version| {
        record.versions.push(version.clone());
        Ok(())
    })?;
    key.save(&mut call.work())?;
    let text = STANDARD.encode([MAGIC, &record.encode_to_vec()].concat());
    Ok(Reply::data(json!({ "backup": text })))
}

/// `restore`, and with a name behind it.
pub(super) fn restore(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let backup = checked(call.fields.text_or_empty("backup"))?;
    let name = match call.fields.text("name") {
        Some(_) => key::name_of(call)?,
        None => backup.name.clone(),
    };
    let forced = call.fields.bool("force").unwrap_or(false);
    let old = key::find(call.store, &call.mount, &name)?;
    if old.is_some() && !forced {
        return Err(known_as_500(&format!("key {name:?} already exists")));
    }
    let mut work = call.work();
    if let Some(old) = old {
        manage::remove(&mut work, &old)?;
    }
    let mut key = NamedKey { name, record: backup.key };
    key.record.id = hex::encode(work.context.bytes::<16>());
    key.record.next_rotation_nanos = 0;
    key.record.restored_nanos = work.context.now.nanos();
    key.record.restored_version = key.record.latest;
    save_versions(&mut work, &key, backup.versions)?;
    key.schedule_rotation(&mut work)?;
    key.save(&mut work)?;
    Ok(Reply::empty())
}

/// A refusal that clients tell from others by its status, which is 500 although nothing failed.
fn known_as_500(message: &str) -> Error {
    Error::new(ErrorKind::Internal, multi(message))
}

fn save_versions(work: &mut Work<'_, '_>, key: &NamedKey, versions: Vec<KeyVersionRecord>) -> Result<(), Error> {
    let mut versions = versions.into_iter().peekable();
    while let Some(first) = versions.peek().map(|version| version.number / VERSIONS_PER_CHUNK) {
        let mut chunk = KeyChunkRecord::default();
        while let Some(version) = versions.next_if(|version| version.number / VERSIONS_PER_CHUNK == first) {
            chunk.versions.push(version);
        }
        work.store.put(&work.mount.area, &[key::VERSIONS, &key.record.id, &format!("{first:08x}")], &chunk)?;
    }
    Ok(())
}

/// A backup that could have been made by [`backup`].
fn checked(text: &str) -> Result<KeyBackupRecord, Error> {
    let refused = |reason: &str| Error::invalid(multi(&format!("invalid backup: {reason}")));
    let bytes = STANDARD.decode(text).map_err(|_| refused("it is not base64"))?;
    let bytes =
        bytes.strip_prefix(MAGIC).ok_or_else(|| refused("it was not made by the transit engine of Conclave"))?;
    let backup = KeyBackupRecord::decode(bytes).map_err(|_| refused("it is damaged"))?;
    let key = &backup.key;
    let key_type = KeyType::try_from(key.key_type).map_err(|_| refused("it has an unknown type of key"))?;
    let first = key.min_available.max(1);
    let numbers = first..=key.latest;
    let is_whole = key.latest <= MAX_VERSIONS && numbers.eq(backup.versions.iter().map(|version| version.number));
    let minimums = [key.min_decryption, key.min_encryption, key.min_available];
    let is_ordered = minimums.iter().all(|number| *number <= key.latest)
        && key.min_available <= key.min_decryption
        && (key.min_encryption == 0 || key.min_encryption >= key.min_decryption);
    let allows = |wanted: bool, can: bool| !wanted || can;
    let fits = allows(key.derived, key_type.can_derive())
        && allows(key.convergent, key.derived && key_type.is_symmetric())
        && (key.rotation_secs == 0 || key.rotation_secs >= manage::MIN_ROTATION_SECS)
        && (key_type != KeyType::Hmac || (32..=512).contains(&key.key_size));
    if !is_whole || key.latest == 0 || key.min_decryption == 0 || !is_ordered || !fits || !key::is_name(&backup.name) {
        return Err(refused("its parts contradict each other"));
    }
    if !backup.versions.iter().all(|version| is_sound(key, key_type, version)) {
        return Err(refused("a version in it is not of the type of the key"));
    }
    Ok(backup)
}

/// Whether a version can be one of a key.
fn is_sound(key: &NamedKeyRecord, key_type: KeyType, version: &KeyVersionRecord) -> bool {
    if key_type == KeyType::Hmac {
        return version.secret.len() == key.key_size as usize;
    }
    version.hmac_key.len() == 32
        && if version.secret.is_empty() {
            is_public(key, key_type, &version.public)
        } else {
            public_of(key, key_type, &version.secret).is_some_and(|public| public == version.public)
        }
}

/// The public half that belongs to a secret; empty where a key has none.
fn public_of(key: &NamedKeyRecord, key_type: KeyType, secret: &[u8]) -> Option<Vec<u8>> {
    if key_type.is_rsa() || key_type.is_ecdsa() {
        return NativeKey::from_pkcs8(secret).filter(|pair| pair.key_type() == Some(key_type))?.to_public();
    }
    if key_type.ml_dsa().is_some() {
        return Some(material::ml_dsa_pair(key_type, secret).ok()?.public_key().as_ref().to_vec());
    }
    if key_type.ml_kem().is_some() {
        return kem::public_of(key_type, secret);
    }
    if secret.len() != key_type.key_bytes() {
        return None;
    }
    match key_type == KeyType::Ed25519 && !key.derived {
        true => Some(material::ed25519(secret).ok()?.public_key().as_ref().to_vec()),
        false => Some(Vec::new()),
    }
}

/// Whether a public half can stand alone.
fn is_public(key: &NamedKeyRecord, key_type: KeyType, public: &[u8]) -> bool {
    match key_type {
        KeyType::Ed25519 => !key.derived && public.len() == 32,
        _ if key_type.is_rsa() || key_type.is_ecdsa() => {
            NativeKey::from_public(public).and_then(|public| public.key_type()) == Some(key_type)
        }
        _ if key_type.ml_kem().is_some() => kem::is_public(key_type, public),
        _ => key_type.ml_dsa().is_some_and(|algorithm| public.len() == algorithm.public_key_len()),
    }
}
