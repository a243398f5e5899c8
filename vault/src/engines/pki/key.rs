//! Keys of authorities, which belong to none or to several issuers.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::der::with_colons;
use super::issuer::{self, DEFAULT, Issuers};
use super::record::{KeysConfigRecord, NamedRecord, PkiKeyRecord};
use super::signing::{self, KeyPair, KeyShape};
use crate::engine::Call;
use crate::engines::listing;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Kind, field};
use crate::mount::Mount;
use crate::reply::{Reply, Status};
use crate::store::Store;

/// Directory of the keys in the mount's area, by id.
const FOLDER: &str = "key";
/// Directory of their names.
const NAMES: &str = "key-name";
/// Which one is the default.
const CONFIG: &[&str] = &["config", "keys"];
/// Most keys of a mount.
const MAX_KEYS: usize = 256;

pub(super) const KEY_REF: Field = field("key_ref", Kind::Text, "Id or name of a key, or default.").or(DEFAULT);
pub(super) const KEY_NAME: Field = field("key_name", Kind::Text, "Name of the key.");
pub(super) const KEY_TYPE: Field =
    field("key_type", Kind::Text, "Kind of the new key.").or("rsa").one_of(&["rsa", "ec", "ed25519"]);
pub(super) const KEY_BITS: Field =
    field("key_bits", Kind::Int, "Bits of the new key; 0 is 2048 for rsa and 256 for ec.").or("0");
pub(super) const EXPORTED: Field = field(
    "exported",
    Kind::Text,
    "In the path: internal keeps the new key here, exported answers it once, existing takes the key of key_ref.",
);
pub(super) const PEM_BUNDLE: Field =
    field("pem_bundle", Kind::Text, "Certificates and private keys in PEM, one after the other.").required();
const REF: Field = field("key_ref", Kind::Text, "In the path: id or name of a key, or default.");

pub(super) const WRITE_FIELDS: &[Field] = &[REF, KEY_NAME];
pub(super) const GENERATE_FIELDS: &[Field] = &[EXPORTED, KEY_NAME, KEY_TYPE, KEY_BITS];
pub(super) const CONFIG_FIELDS: &[Field] = &[field("default", Kind::Text, "Id or name of the key that default means.")];

impl PkiKeyRecord {
    pub(super) fn shape(&self) -> KeyShape {
        KeyShape { kind: self.kind(), bits: self.bits }
    }

    /// The pair itself.
    pub(super) fn pair(&self) -> KeyPair {
        KeyPair { secret: Zeroizing::new(self.secret.clone()), public: self.public.clone(), shape: self.shape() }
    }
}

/// Which key is the default.
pub(super) fn config(store: &mut Store<'_>, mount: &Mount) -> Result<KeysConfigRecord, Error> {
    Ok(store.get(&mount.area, CONFIG)?.unwrap_or_default())
}

pub(super) fn by_id(store: &mut Store<'_>, mount: &Mount, id: &str) -> Result<Option<PkiKeyRecord>, Error> {
    if id.is_empty() { Ok(None) } else { store.get(&mount.area, &[FOLDER, id]) }
}

/// The key of a reference: `default`, an id, or a name.
fn find(store: &mut Store<'_>, mount: &Mount, reference: &str) -> Result<Option<PkiKeyRecord>, Error> {
    if reference == DEFAULT || reference.is_empty() {
        let id = config(store, mount)?.default;
        return by_id(store, mount, &id);
    }
    let named: Option<NamedRecord> = store.get(&mount.area, &[NAMES, reference])?;
    by_id(store, mount, named.as_ref().map_or(reference, |named| &named.id))
}

/// As [`find`], for who cannot go on without.
pub(super) fn get(store: &mut Store<'_>, mount: &Mount, reference: &str) -> Result<PkiKeyRecord, Error> {
    let kind = if reference == DEFAULT || reference.is_empty() { ErrorKind::Invalid } else { ErrorKind::NotFound };
    let missing = || Error::new(kind, format!("unable to find PKI key for reference: {reference}"));
    find(store, mount, reference)?.ok_or_else(missing)
}

/// All keys of a mount, sorted by id.
pub(super) fn all(store: &mut Store<'_>, mount: &Mount) -> Result<Vec<PkiKeyRecord>, Error> {
    let mut keys = Vec::new();
    for id in listing::keys(&store.list(&mount.area, &[FOLDER])?) {
        keys.extend(by_id(store, mount, &id)?);
    }
    Ok(keys)
}

/// Refuses a name that is no name, or that another key has.
pub(super) fn check_name(store: &mut Store<'_>, mount: &Mount, name: &str, id: &str) -> Result<(), Error> {
    issuer::check_name("key", name)?;
    let taken: Option<NamedRecord> = if name.is_empty() { None } else { store.get(&mount.area, &[NAMES, name])? };
    match taken.is_some_and(|taken| taken.id != id) {
        true => Err(Error::invalid("key name already in use")),
        false => Ok(()),
    }
}

/// Stores a new key; the first of a mount is its default.
pub(super) fn add(call: &mut Call<'_, '_>, pair: &KeyPair, name: &str) -> Result<PkiKeyRecord, Error> {
    let mount = call.mount.clone();
    if call.store.list(&mount.area, &[FOLDER])?.len() >= MAX_KEYS {
        return Err(Error::invalid(format!("a mount has at most {MAX_KEYS} keys; delete some first")));
    }
    let id = call.context.uuid();
    check_name(call.store, &mount, name, &id)?;
    let mut key = PkiKeyRecord::default();
    (key.id, key.name, key.bits) = (id, name.to_owned(), pair.shape.bits);
    key.set_kind(pair.shape.kind);
    key.secret = pair.secret.to_vec();
    key.public.clone_from(&pair.public);
    save(call.store, &mount, &key, "")?;
    let mut config = config(call.store, &mount)?;
    if config.default.is_empty() {
        config.default.clone_from(&key.id);
        call.store.put(&mount.area, CONFIG, &config)?;
    }
    Ok(key)
}

fn save(store: &mut Store<'_>, mount: &Mount, key: &PkiKeyRecord, old_name: &str) -> Result<(), Error> {
    if old_name != key.name && !old_name.is_empty() {
        store.delete(&mount.area, &[NAMES, old_name]);
    }
    if !key.name.is_empty() {
        store.put(&mount.area, &[NAMES, &key.name], &NamedRecord { id: key.id.clone() })?;
    }
    store.put(&mount.area, &[FOLDER, &key.id], key)
}

/// Removes every key of a mount.
pub(super) fn remove_all(store: &mut Store<'_>, mount: &Mount) -> Result<(), Error> {
    for key in all(store, mount)? {
        remove(store, mount, &key);
    }
    store.delete(&mount.area, CONFIG);
    Ok(())
}

fn remove(store: &mut Store<'_>, mount: &Mount, key: &PkiKeyRecord) {
    store.delete(&mount.area, &[FOLDER, &key.id]);
    if !key.name.is_empty() {
        store.delete(&mount.area, &[NAMES, &key.name]);
    }
}

/// A key as the API shows it.
pub(super) fn shown(key: &PkiKeyRecord) -> Map<String, Value> {
    let data = json!({
        "key_id": key.id,
        "key_name": key.name,
        "key_type": key.kind().as_str(),
        "subject_key_id": with_colons(&signing::key_id(&key.public)),
    });
    data.as_object().cloned().unwrap_or_default()
}

/// LIST keys.
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let default = config(call.store, &mount)?.default;
    let keys = all(call.store, &mount)?;
    let mut reply = listing::page(keys.iter().map(|key| key.id.clone()).collect(), &call.fields)?;
    let info =
        keys.iter().map(|key| (key.id.clone(), json!({ "is_default": key.id == default, "key_name": key.name })));
    let info: Map<String, Value> = info.collect();
    reply.data.get_or_insert_default().insert("key_info".into(), Value::Object(info));
    Ok(reply)
}

/// Reads `key/{key_ref}`.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let key = named(call)?;
    Ok(Reply { data: Some(shown(&key)), ..Reply::default() })
}

fn named(call: &mut Call<'_, '_>) -> Result<PkiKeyRecord, Error> {
    let mount = call.mount.clone();
    get(call.store, &mount, call.fields.text_or_empty(REF.name))
}

/// Names a key.
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, mut key) = (call.mount.clone(), named(call)?);
    let name = call.fields.text_or_empty(KEY_NAME.name).to_owned();
    check_name(call.store, &mount, &name, &key.id)?;
    let old = std::mem::replace(&mut key.name, name);
    save(call.store, &mount, &key, &old)?;
    Ok(Reply { data: Some(shown(&key)), ..Reply::default() })
}

/// Deletes a key that no issuer needs.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let Some(key) = find(call.store, &mount, call.fields.text_or_empty(REF.name))? else {
        return Ok(Reply { status: Status::Wanted(200), ..Reply::empty() });
    };
    let issuers = Issuers::load(call.store, &mount)?;
    if let Some(user) = issuers.all.iter().find(|issuer| issuer.key_id == key.id) {
        return Err(Error::invalid(format!("the key is in use by issuer {}; delete that first", user.id)));
    }
    remove(call.store, &mount, &key);
    let mut reply = Reply { status: Status::Wanted(200), ..Reply::empty() };
    if config(call.store, &mount)?.default == key.id {
        call.store.put(&mount.area, CONFIG, &KeysConfigRecord::default())?;
        reply = reply.warn("The deleted key was the default; choose another one by config/keys.");
    }
    Ok(reply)
}

/// Makes a key that no issuer has yet.
pub(super) fn generate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let is_exported = match call.fields.text_or_empty(EXPORTED.name) {
        "internal" => false,
        "exported" => true,
        _ => return Err(Error::invalid("the end of the path must be internal or exported")),
    };
    let shape = asked_shape(call)?;
    let name = call.fields.text_or_empty(KEY_NAME.name).to_owned();
    let mount = call.mount.clone();
    check_name(call.store, &mount, &name, "")?;
    let pair = KeyPair::generate(call.context, shape, "key")?;
    let key = add(call, &pair, &name)?;
    let mut data = shown(&key);
    if is_exported {
        data.insert("private_key".into(), pair.private_pem(false)?.as_str().into());
    }
    Ok(Reply { data: Some(data), ..Reply::default() })
}

/// The shape of a key that the request asks for.
pub(super) fn asked_shape(call: &Call<'_, '_>) -> Result<KeyShape, Error> {
    let kind = call.fields.text(KEY_TYPE.name).filter(|kind| !kind.is_empty()).unwrap_or("rsa");
    KeyShape::asked(kind, call.fields.int(KEY_BITS.name).unwrap_or(0))
}

/// Reads `config/keys`.
pub(super) fn read_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    Ok(Reply::data(json!({ "default": config(call.store, &mount)?.default })))
}

/// Says which key is the default.
pub(super) fn write_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, reference) = (call.mount.clone(), call.fields.text_or_empty("default").to_owned());
    if reference.is_empty() || reference == DEFAULT {
        return Err(Error::invalid("default must be the id or the name of a key"));
    }
    let key = find(call.store, &mount, &reference)?;
    let key = key.ok_or_else(|| Error::invalid("default names no key of this mount"))?;
    call.store.put(&mount.area, CONFIG, &KeysConfigRecord { default: key.id.clone() })?;
    Ok(Reply::data(json!({ "default": key.id })))
}
