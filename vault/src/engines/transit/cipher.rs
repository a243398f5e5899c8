//! Encrypt, decrypt, rewrap, and data keys.

use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::batch::{self, Ended, Failure, Form, Item, Items, settled};
use super::hash::HashAlgorithm;
use super::kem;
use super::key::{self, NamedKey};
use super::manage;
use super::native::Padding;
use super::rsa::{self, RsaWork};
use super::symmetric::{Cipher, Use};
use super::versioned;
use crate::engine::Call;
use crate::error::Error;
use crate::reply::Reply;

/// What is said where a key is none.
const NO_KEY: &str = "encryption key not found";
/// What is said of a derived key without a context.
pub(super) const NO_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, \
     which means additional, per-request information must be included in order to perform operations with the key";

const ENCRYPTED: Form = Form { failed: || json!({}), fails: true };
const REWRAPPED: Form = Form { failed: || json!({}), fails: false };
const DECRYPTED: Form = Form { failed: || json!({ "plaintext": "" }), fails: true };

/// Plaintexts, each opened or refused.
type Opened = Vec<Result<Zeroizing<Vec<u8>>, String>>;

/// A key with the cipher that was prepared last: items of one batch mostly share it.
struct Ciphers<'k> {
    key: &'k NamedKey,
    last: Option<(u32, Vec<u8>, Cipher)>,
}

impl<'k> Ciphers<'k> {
    fn of(key: &'k NamedKey) -> Result<Self, Error> {
        match key.key_type().can_encrypt() {
            true => Ok(Self { key, last: None }),
            false => {
                let kind = key.key_type().as_str();
                Err(Error::invalid(format!("message encryption not supported for key type {kind}")))
            }
        }
    }

    /// The cipher of a version, under a context if the key is derived.
    fn get(&mut self, call: &mut Call<'_, '_>, number: u32, context: Vec<u8>) -> Result<&Cipher, Failure> {
        let record = &self.key.record;
        if record.derived && context.is_empty() {
            return Err(NO_CONTEXT.to_owned().into());
        }
        let context = if record.derived { context } else { Vec::new() };
        if self.last.as_ref().is_none_or(|(version, known, _)| (*version, known) != (number, &context)) {
            let version = self.key.available(call, number)?;
            let how = Use {
                key_type: self.key.key_type(),
                context: record.derived.then_some(&context),
                convergent: record.convergent,
            };
            let cipher = Cipher::new(&version.secret, how)?;
            self.last = Some((number, context, cipher));
        }
        let cipher = self.last.as_ref().map(|(.., cipher)| cipher);
        cipher.ok_or_else(|| Error::internal("a cipher was lost").into())
    }

    fn encrypt(
        &mut self,
        call: &mut Call<'_, '_>,
        item: &Item,
        plaintext: &[u8],
    ) -> Result<Map<String, Value>, Failure> {
        if item.text("nonce").is_some_and(|nonce| !nonce.is_empty()) {
            return Err("provided nonce not allowed for this key".to_owned().into());
        }
        let (context, associated) = (item.bytes("context")?, item.bytes("associated_data")?);
        let number = self.key.newest_or(item.version)?;
        let sealed = if self.key.key_type().is_rsa() {
            if !associated.is_empty() {
                return Err("associated_data is not possible with an RSA key".to_owned().into());
            }
            let version = self.key.available(call, number)?;
            rsa::encrypt(&version.public, &OAEP_SHA256_MGF1SHA256, plaintext)
                .ok_or_else(|| "the plaintext is too long for the RSA key".to_owned())?
        } else if self.key.key_type().ml_kem().is_some() {
            let version = self.key.available(call, number)?;
            kem::seal(self.key.key_type(), &version.public, call.context.random, plaintext, &associated)??
        } else {
            self.get(call, number, context)?;
            let Some((.., cipher)) = &self.last else { return Err(Error::internal("a cipher was lost").into()) };
            cipher.seal(call.context.random, plaintext, &associated)?
        };
        let data = json!({ "ciphertext": versioned::encoded(number, &sealed), "key_version": number });
        Ok(data.as_object().cloned().unwrap_or_default())
    }

    /// Opens one ciphertext; one of RSA is put to the work instead, which tells its place.
    fn open(
        &mut self,
        call: &mut Call<'_, '_>,
        item: &Item,
        work: &mut RsaWork,
    ) -> Result<Result<Zeroizing<Vec<u8>>, usize>, Failure> {
        let text = item.text("ciphertext").unwrap_or_default();
        let (number, rest) = versioned::taken_apart(self.key, text, "ciphertext")?;
        let (context, associated) = (item.bytes("context")?, item.bytes("associated_data")?);
        let sealed = versioned::decoded(rest, "ciphertext")?;
        let key_type = self.key.key_type();
        if key_type.is_symmetric() {
            return Ok(Ok(self.get(call, number, context)?.open(&sealed, &associated)?));
        }
        let version = self.key.available(call, number)?;
        if version.secret.is_empty() {
            return Err("the key has no private half here; it was imported without one".to_owned().into());
        }
        if key_type.ml_kem().is_some() {
            return Ok(Ok(kem::open(key_type, &version.secret, &sealed, &associated)??));
        }
        Ok(Err(work.add(&version.secret, sealed, HashAlgorithm::None, Padding::Pkcs1)?))
    }
}

fn open_all(call: &mut Call<'_, '_>, key: &NamedKey, items: &[Item]) -> Result<Opened, Error> {
    let (mut ciphers, mut work) = (Ciphers::of(key)?, RsaWork::default());
    let opened = items.iter().map(|item| settled(ciphers.open(call, item, &mut work)));
    let opened = opened.collect::<Result<Vec<_>, Error>>()?;
    let mut done = work.decrypt(call.context)?;
    let mut take = |place: usize| done.get_mut(place).and_then(Option::take).map(Zeroizing::new);
    let failed = || "failed to RSA decrypt the ciphertext".to_owned();
    let finish = |opened: Result<Result<_, usize>, String>| match opened {
        Ok(Ok(plaintext)) => Ok(plaintext),
        Ok(Err(place)) => take(place).ok_or_else(failed),
        Err(reason) => Err(reason),
    };
    Ok(opened.into_iter().map(finish).collect())
}

fn require(items: &Items, name: &str, complaint: &str) -> Result<(), Error> {
    match items.is_batch || items.items.iter().all(|item| item.text(name).is_some()) {
        true => Ok(()),
        false => Err(Error::invalid(complaint)),
    }
}

/// `encrypt/{name}`.
pub(super) fn encrypt(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let complaint = "missing plaintext to encrypt";
    let names = ["plaintext", "context", "nonce", "associated_data"];
    let items = batch::items(call, &names, Some(("plaintext", complaint)))?;
    require(&items, "plaintext", complaint)?;
    let name = key::name_of(call)?;
    let key = match key::find(call.store, &call.mount, &name)? {
        Some(key) => manage::rotated_if_due(call, key)?,
        None => make(call, name, &items)?,
    };
    key.check_not_deleted()?;
    let mut ciphers = Ciphers::of(&key)?;
    let mut ended = Vec::with_capacity(items.items.len());
    for item in &items.items {
        let plaintext = item.bytes("plaintext").map(Zeroizing::new).map_err(Failure::from);
        ended.push(settled(plaintext.and_then(|plaintext| ciphers.encrypt(call, item, &plaintext)))?);
    }
    batch::reply(call, &items, ended, ENCRYPTED)
}

/// Makes the key that a request encrypts with, and that nobody made before: the policy calls that create.
fn make(call: &mut Call<'_, '_>, name: String, items: &Items) -> Result<NamedKey, Error> {
    if key::config(call.store, &call.mount)?.disable_upsert {
        return Err(Error::invalid(NO_KEY));
    }
    let kind = call.fields.text("type").filter(|kind| !kind.is_empty()).unwrap_or("aes256-gcm96");
    let key_type = KeyType::named(kind, "").ok_or_else(|| Error::invalid(format!("unknown key type {kind}")))?;
    if !key_type.is_symmetric() {
        return Err(Error::invalid(format!("key type {kind} not supported for this operation; create the key first")));
    }
    let has_context = |item: &Item| item.text("context").is_some_and(|context| !context.is_empty());
    let derived = items.items.iter().any(has_context);
    let convergent = call.fields.bool("convergent_encryption").unwrap_or(false);
    let new = manage::NewKey { key_type, derived, convergent, ..manage::NewKey::default() };
    manage::make(call, name, new)
}

/// `decrypt/{name}`.
pub(super) fn decrypt(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let complaint = "missing ciphertext to decrypt";
    let names = ["ciphertext", "context", "nonce", "associated_data"];
    let items = batch::items(call, &names, Some(("ciphertext", complaint)))?;
    require(&items, "ciphertext", complaint)?;
    let key = key::usable(call, NO_KEY)?;
    let opened = open_all(call, &key, &items.items)?;
    let show = |plaintext: Zeroizing<Vec<u8>>| {
        Map::from_iter([("plaintext".to_owned(), json!(STANDARD.encode(plaintext.as_slice())))])
    };
    let ended = opened.into_iter().map(|opened| opened.map(show)).collect();
    batch::reply(call, &items, ended, DECRYPTED)
}

/// `rewrap/{name}`.
pub(super) fn rewrap(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let complaint = "missing ciphertext to decrypt";
    let names = ["ciphertext", "context", "nonce", "associated_data"];
    let items = batch::items(call, &names, Some(("ciphertext", complaint)))?;
    require(&items, "ciphertext", complaint)?;
    let key = key::usable(call, NO_KEY)?;
    let key = manage::rotated_if_due(call, key)?;
    let opened = open_all(call, &key, &items.items)?;
    let mut ciphers = Ciphers::of(&key)?;
    let mut ended: Vec<Ended> = Vec::with_capacity(opened.len());
    for (item, opened) in items.items.iter().zip(opened) {
        let rewrapped = opened.map_err(Failure::from).and_then(|plaintext| ciphers.encrypt(call, item, &plaintext));
        ended.push(settled(rewrapped)?);
    }
    batch::reply(call, &items, ended, REWRAPPED)
}

/// `datakey/{kind}/{name}`.
pub(super) fn data_key(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let shows = match call.fields.text_or_empty("kind") {
        "plaintext" => true,
        "wrapped" => false,
        _ => return Err(Error::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
    };
    let length = match call.fields.int("bits").unwrap_or(256) {
        128 => 16,
        256 => 32,
        512 => 64,
        _ => return Err(Error::invalid("invalid bit length")),
    };
    let items = batch::items(call, &["context", "nonce", "associated_data"], None)?;
    let key = key::usable(call, NO_KEY)?;
    let key = manage::rotated_if_due(call, key)?;
    let mut plaintext = Zeroizing::new(vec![0; length]);
    call.context.random.fill(&mut plaintext);
    let Some(item) = items.items.first().filter(|_| !items.is_batch) else {
        return Err(Error::invalid("data keys are made one at a time"));
    };
    let mut data = settled(Ciphers::of(&key)?.encrypt(call, item, &plaintext))?.map_err(Error::invalid)?;
    if shows {
        data.insert("plaintext".into(), json!(STANDARD.encode(plaintext.as_slice())));
    }
    Ok(Reply { data: Some(data), ..Reply::default() })
}
