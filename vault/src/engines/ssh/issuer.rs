//! Authorities: whose signature makes a certificate. A mount may have several, of which one is the default.
//!
//! What is public of all lies in one record, each private key in one of its own, so that what only names an authority reads no key.

use prost::Message;
use serde_json::{Map, Value, json};
use ssh_key::PublicKey;
use zeroize::{Zeroize, Zeroizing};

use crate::engine::Call;
use crate::engines::listing;
use crate::engines::ssh::key::{PairKind, SigningKey};
use crate::engines::ssh::public::parse_public;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Mount;
use crate::reply::{Raw, Reply};
use crate::store::Store;

/// Most authorities of a mount. All are read to find one.
const MAX_ISSUERS: usize = 64;
/// Longest name of an authority, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// What stands for the default authority where one is named.
pub(super) const DEFAULT: &str = "default";

/// Where what is public of all authorities lies in the mount's area.
const ALL: [&str; 1] = ["issuers"];
/// Directory of the private keys.
const KEYS: &str = "issuer";

const GENERATE: Field = field(
    "generate_signing_key",
    Kind::Bool,
    "Whether to make a key; it is made unless private_key and public_key are sent.",
);
const KEY_TYPE: Field =
    field("key_type", Kind::Text, "Kind of a key that is made: ed25519, ec or rsa, or as SSH names them.")
        .or("ssh-rsa");
const KEY_BITS: Field =
    field("key_bits", Kind::Int, "Size of a key that is made; 0 is 4096 for rsa, 256 for ec.").or("0");
const PRIVATE_KEY: Field = field("private_key", Kind::Text, "A private key to bring in, with its public_key.");
const PUBLIC_KEY: Field = field("public_key", Kind::Text, "Its public half.");
pub(super) const REFERENCE: Field = field("issuer_ref", Kind::Text, "Id or name of an authority, or \"default\".");
pub(super) const NAME: Field = field("issuer_name", Kind::Text, "Name of the authority; empty is none.");
const SET_DEFAULT: Field = field("set_default", Kind::Bool, "Whether it becomes the default.").or("false");
pub(super) const CHOSEN: Field = field(DEFAULT, Kind::Text, "Id or name of the default authority.").required();

pub(super) const KEY_FIELDS: &[Field] = &[GENERATE, KEY_TYPE, KEY_BITS, PRIVATE_KEY, PUBLIC_KEY];
pub(super) const IMPORT_FIELDS: &[Field] = &[NAME, SET_DEFAULT];

/// What is public of all authorities.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SshIssuersRecord {
    /// Id of the default; empty if there is none.
    #[prost(string, tag = "1")]
    default: String,
    #[prost(message, repeated, tag = "2")]
    issuers: Vec<SshIssuerRecord>,
}

/// What is public of an authority.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SshIssuerRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// Empty if it has none.
    #[prost(string, tag = "2")]
    name: String,
    /// As a line of `authorized_keys`.
    #[prost(string, tag = "3")]
    public: String,
}

/// A private key. Has no `Debug`: it is a secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct SshIssuerKeyRecord {
    #[prost(bytes = "vec", tag = "1")]
    pkcs8: Vec<u8>,
}

impl Drop for SshIssuerKeyRecord {
    fn drop(&mut self) {
        self.pkcs8.zeroize();
    }
}

impl SshIssuersRecord {
    fn load(store: &mut Store<'_>, mount: &Mount) -> Result<Self, Error> {
        Ok(store.get(&mount.area, &ALL)?.unwrap_or_default())
    }

    fn save(&self, store: &mut Store<'_>, mount: &Mount) -> Result<(), Error> {
        store.put(&mount.area, &ALL, self)
    }

    /// The authority that a name, an id or [`DEFAULT`] means.
    fn find(&self, reference: &str) -> Result<&SshIssuerRecord, Error> {
        let wanted = if reference == DEFAULT { self.default.as_str() } else { reference };
        if wanted.is_empty() {
            return Err(Error::invalid("no default issuer currently configured"));
        }
        let is_meant = |issuer: &&SshIssuerRecord| issuer.id == wanted || issuer.name == wanted;
        self.issuers
            .iter()
            .find(is_meant)
            .ok_or_else(|| Error::invalid("unable to find the SSH issuer of this reference"))
    }

    fn check_name(&self, name: &str, id: &str) -> Result<(), Error> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name == DEFAULT || name.len() > MAX_NAME_BYTES || !name.chars().all(is_word) {
            return Err(Error::invalid(format!(
                "issuer_name must be letters, digits, dots, dashes and underscores, at most {MAX_NAME_BYTES}, and not \"default\""
            )));
        }
        let is_taken = |issuer: &SshIssuerRecord| issuer.id != id && (issuer.name == name || issuer.id == name);
        match !name.is_empty() && self.issuers.iter().any(is_taken) {
            true => Err(Error::invalid("issuer_name is used already")),
            false => Ok(()),
        }
    }
}

impl SshIssuerRecord {
    fn show(&self) -> Value {
        json!({ "issuer_id": self.id, "issuer_name": self.name, "public_key": self.public })
    }
}

/// An authority and its key, to sign with.
pub(super) fn signer(
    store: &mut Store<'_>,
    mount: &Mount,
    reference: &str,
) -> Result<(SshIssuerRecord, SigningKey), Error> {
    let issuer = SshIssuersRecord::load(store, mount)?.find(reference)?.clone();
    let record: Option<SshIssuerKeyRecord> = store.get(&mount.area, &[KEYS, &issuer.id])?;
    let key = record.and_then(|record| SigningKey::from_pkcs8(&record.pkcs8));
    Ok((issuer, key.ok_or_else(|| Error::internal("the key of an SSH authority is missing or damaged"))?))
}

/// The key that a request brings or wants made; the latter ends the run.
fn wanted_key(call: &mut Call<'_, '_>) -> Result<SigningKey, Error> {
    let private = Zeroizing::new(call.fields.text_or_empty(PRIVATE_KEY.name).to_owned());
    let public = call.fields.text_or_empty(PUBLIC_KEY.name).to_owned();
    let generate = call.fields.bool(GENERATE.name);
    match (private.is_empty(), public.is_empty()) {
        (true, true) if generate == Some(false) => {
            Err(Error::invalid("missing public_key and private_key; send both, or let generate_signing_key be true"))
        }
        (true, true) => {
            let bits = call.fields.int(KEY_BITS.name).unwrap_or(0);
            let key_type = call.fields.text(KEY_TYPE.name).filter(|text| !text.is_empty()).unwrap_or("ssh-rsa");
            PairKind::named(key_type, bits)?.make(call.context)
        }
        (false, false) if generate == Some(true) => {
            Err(Error::invalid("public_key and private_key must not be set when generate_signing_key is true"))
        }
        (false, false) => {
            let key = SigningKey::parse(&private)?;
            match parse_public(&public)? == key.public()? {
                true => Ok(key),
                false => Err(Error::invalid("public_key is not the public half of private_key")),
            }
        }
        _ => Err(Error::invalid(
            "only one of public_key and private_key set; both must be set to use, or both must be blank to auto-generate",
        )),
    }
}

/// Adds the authority of a request.
fn add(call: &mut Call<'_, '_>, name: &str, is_default: bool) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut all = SshIssuersRecord::load(call.store, &mount)?;
    all.check_name(name, "")?;
    if all.issuers.len() >= MAX_ISSUERS {
        return Err(Error::invalid(format!("a mount has at most {MAX_ISSUERS} issuers; delete one")));
    }
    let key = wanted_key(call)?;
    let line = PublicKey::from(key.public()?).to_openssh();
    let line = line.map_err(|_| Error::internal("a public key could not be written"))?;
    let issuer = SshIssuerRecord { id: call.context.uuid(), name: name.to_owned(), public: format!("{line}\n") };
    let record = SshIssuerKeyRecord { pkcs8: key.to_pkcs8()?.to_vec() };
    call.store.put(&mount.area, &[KEYS, &issuer.id], &record)?;
    if is_default || all.default.is_empty() {
        all.default.clone_from(&issuer.id);
    }
    let reply = Reply::data(issuer.show());
    all.issuers.push(issuer);
    all.save(call.store, &mount)?;
    Ok(reply)
}

pub(super) fn set_authority(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    add(call, "", true)
}

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    let is_default = call.fields.bool(SET_DEFAULT.name).unwrap_or(false);
    add(call, &name, is_default)
}

/// The authority that the path names, or the default.
fn named(call: &mut Call<'_, '_>) -> Result<SshIssuerRecord, Error> {
    let (mount, reference) = (call.mount.clone(), call.fields.text(REFERENCE.name).unwrap_or(DEFAULT).to_owned());
    Ok(SshIssuersRecord::load(call.store, &mount)?.find(&reference)?.clone())
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(named(call)?.show()))
}

/// The public key alone, for `TrustedUserCAKeys` and `known_hosts`.
pub(super) fn read_public(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let body = named(call)?.public.into_bytes();
    let raw = Raw { status_code: 200, content_type: "text/plain".into(), body };
    Ok(Reply { raw: Some(raw), ..Reply::default() })
}

pub(super) fn rename(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, id) = (call.mount.clone(), named(call)?.id);
    let name = call.fields.text(NAME.name).map(str::to_owned);
    let mut all = SshIssuersRecord::load(call.store, &mount)?;
    let name = name.ok_or_else(|| Error::invalid("missing issuer_name"))?;
    all.check_name(&name, &id)?;
    let issuer = all.issuers.iter_mut().find(|issuer| issuer.id == id).ok_or_else(Error::not_found)?;
    issuer.name = name;
    let reply = Reply::data(issuer.show());
    all.save(call.store, &mount)?;
    Ok(reply)
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, id) = (call.mount.clone(), named(call)?.id);
    let mut all = SshIssuersRecord::load(call.store, &mount)?;
    all.issuers.retain(|issuer| issuer.id != id);
    call.store.delete(&mount.area, &[KEYS, &id]);
    let was_default = all.default == id;
    if was_default {
        all.default.clear();
    }
    all.save(call.store, &mount)?;
    match was_default {
        false => Ok(Reply::empty()),
        true => Ok(Reply::empty().warn(
            "This was the default issuer. Nothing is signed without naming an issuer until config/issuers names another.",
        )),
    }
}

pub(super) fn delete_all(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let all = SshIssuersRecord::load(call.store, &mount)?;
    for issuer in &all.issuers {
        call.store.delete(&mount.area, &[KEYS, &issuer.id]);
    }
    call.store.delete(&mount.area, &ALL);
    let count = all.issuers.len();
    Ok(Reply::empty().warn(format!("Deleted {count} issuers, including default issuer if configured.")))
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let all = SshIssuersRecord::load(call.store, &call.mount.clone())?;
    let mut ids: Vec<String> = all.issuers.iter().map(|issuer| issuer.id.clone()).collect();
    ids.sort_unstable();
    let page = listing::page(ids, &call.fields)?;
    listing::with_details(page, |id| Ok(all.find(id).ok().map(|issuer| json!({ "issuer_name": issuer.name }))))
}

pub(super) fn read_default(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let all = SshIssuersRecord::load(call.store, &call.mount.clone())?;
    let data = Map::from_iter([(DEFAULT.to_owned(), Value::from(all.default))]);
    Ok(Reply { data: Some(data), ..Reply::default() })
}

pub(super) fn set_default(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, reference) = (call.mount.clone(), call.fields.text_or_empty(CHOSEN.name).to_owned());
    if reference.is_empty() {
        return Err(Error::invalid("missing default: the id or name of an issuer"));
    }
    let mut all = SshIssuersRecord::load(call.store, &mount)?;
    all.default = all.find(&reference)?.id.clone();
    all.save(call.store, &mount)?;
    read_default(call)
}
