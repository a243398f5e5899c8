//! Export: keys as they are, for whoever may have them, or wrapped for another key.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::key::{self, NamedKey};
use super::material;
use super::native::NativeKey;
use super::record::KeyVersionRecord;
use super::rsa;
use crate::engine::Call;
use crate::error::Error;
use crate::reply::Reply;

/// What AES-KWP adds to a key at most, in bytes (RFC 5649).
const WRAP_BYTES: usize = 16;

/// Which half of a key is exported, in which form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exported {
    Encryption,
    Signing,
    Hmac,
    Public,
    Chain,
}

impl Exported {
    fn named(name: &str) -> Result<Self, Error> {
        match name {
            "encryption-key" => Ok(Self::Encryption),
            "signing-key" => Ok(Self::Signing),
            "hmac-key" => Ok(Self::Hmac),
            "public-key" => Ok(Self::Public),
            "certificate-chain" => Ok(Self::Chain),
            other => Err(Error::invalid(format!("invalid export type: {other}"))),
        }
    }

    fn check(self, key: &NamedKey) -> Result<(), Error> {
        let key_type = key.key_type();
        if !matches!(self, Self::Public | Self::Chain) && !key.record.exportable {
            return Err(Error::invalid("private key material is not exportable"));
        }
        match self {
            Self::Encryption if !key_type.can_encrypt() => Err(Error::invalid("encryption not supported for the key")),
            Self::Signing if !key_type.can_sign() => Err(Error::invalid("signing not supported for the key")),
            Self::Public | Self::Chain if !key_type.has_public_key() => {
                Err(Error::invalid(format!("keys of type {} have no public half", key_type.as_str())))
            }
            _ => Ok(()),
        }
    }
}

/// `export/{part}/{name}`, and with a version behind it.
pub(super) fn export(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let part = Exported::named(call.fields.text_or_empty("part"))?;
    let name = key::name_of(call)?;
    let key = key::find(call.store, &call.mount, &name)?.ok_or_else(Error::not_found)?;
    key.check_not_deleted()?;
    part.check(&key)?;
    let (first, last) = versions(&key, call.fields.text_or_empty("version"))?;
    let mut keys = Map::new();
    let mount = call.mount.clone();
    key.each_version(call.store, &mount, first, last, |version| {
        keys.insert(version.number.to_string(), json!(shown(&key, version, part)?));
        Ok(())
    })?;
    let data = json!({ "name": name, "type": key.key_type().as_str(), "keys": keys });
    Ok(Reply::data(data))
}

/// The versions that a text in the path stands for.
fn versions(key: &NamedKey, text: &str) -> Result<(u32, u32), Error> {
    let latest = key.record.latest;
    match text {
        "" => Ok((key.oldest_shown(), latest)),
        "latest" => Ok((latest, latest)),
        number => {
            let missing = || Error::invalid("version does not exist or cannot be found");
            let number = number.parse::<u32>().map_err(|_| missing())?;
            if number < key.oldest_shown() && number != 0 {
                return Err(Error::invalid("version for export is below minimum decryption version"));
            }
            if number == 0 || number > latest { Err(missing()) } else { Ok((number, number)) }
        }
    }
}

fn shown(key: &NamedKey, version: &KeyVersionRecord, part: Exported) -> Result<String, Error> {
    let key_type = key.key_type();
    match part {
        Exported::Hmac if key_type == KeyType::Hmac => Ok(STANDARD.encode(&version.secret)),
        Exported::Hmac => Ok(STANDARD.encode(&version.hmac_key)),
        // Clients know the public keys of ECDSA here without a line end, those of RSA with one.
        Exported::Public if key_type.is_ecdsa() => Ok(key.shown_public(version, &[])?.trim_end().to_owned()),
        Exported::Public => key.shown_public(version, &[]),
        Exported::Chain if version.chain.is_empty() => {
            Err(Error::invalid("a version of the key has no certificate chain; set one by set-certificate"))
        }
        Exported::Chain => Ok(version.chain.iter().map(|der| material::pem("CERTIFICATE", der)).collect()),
        Exported::Encryption | Exported::Signing => private(key_type, version),
    }
}

fn private(key_type: KeyType, version: &KeyVersionRecord) -> Result<String, Error> {
    if version.secret.is_empty() {
        return Err(Error::invalid("a version of the key has no private half here; it was imported without one"));
    }
    if key_type == KeyType::Ed25519 {
        // The seed and the public key, side by side: what many libraries call the private key.
        let pair = material::ed25519(&version.secret)?;
        let both = Zeroizing::new([version.secret.as_slice(), pair.public_key().as_ref()].concat());
        return Ok(STANDARD.encode(both.as_slice()));
    }
    if !key_type.is_rsa() && !key_type.is_ecdsa() {
        return Ok(STANDARD.encode(&version.secret));
    }
    let label = if key_type.is_rsa() { "RSA PRIVATE KEY" } else { "EC PRIVATE KEY" };
    let der = NativeKey::from_pkcs8(&version.secret).and_then(|pair| pair.to_traditional());
    let der = der.ok_or_else(|| Error::internal("a stored private key does not parse"))?;
    Ok(material::pem(label, &der))
}

/// `byok-export/{destination}/{source}`, and with a version behind it: keys wrapped so that `import` of another vault takes
/// them, by the public half of an RSA key which that vault showed as its wrapping key.
pub(super) fn export_wrapped(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (destination, source) = (call.fields.text_or_empty("destination"), call.fields.text_or_empty("source"));
    let (destination, source) = (destination.to_owned(), source.to_owned());
    let mut found = |name: &str, what: &str| {
        let key = if key::is_name(name) { key::find(call.store, &call.mount, name)? } else { None };
        let key = key.ok_or_else(|| Error::invalid(format!("no such {what} key to export")))?;
        key.check_not_deleted().map(|()| key)
    };
    let (destination, source) = (found(&destination, "destination")?, found(&source, "source")?);
    if !destination.key_type().is_rsa() {
        return Err(Error::invalid(
            "the destination key must be one of RSA, such as the wrapping key of another vault",
        ));
    }
    if !source.record.exportable {
        return Err(Error::invalid("private key material is not exportable"));
    }
    let how = call.fields.text("hash").filter(|hash| !hash.is_empty()).unwrap_or("SHA256");
    let how = rsa::oaep(how).ok_or_else(|| Error::invalid("unknown hash; use SHA1, SHA256, SHA384 or SHA512"))?;
    let (first, last) = versions(&source, call.fields.text_or_empty("version"))?;
    let wrapping = destination.available(call, destination.record.latest)?;
    let mount = call.mount.clone();
    let random = &mut *call.context.random;
    let mut keys = Map::<String, Value>::new();
    source.each_version(call.store, &mount, first, last, |version| {
        let plain = importable(source.key_type(), version)?;
        let mut ephemeral = Zeroizing::new([0; 32]);
        random.fill(ephemeral.as_mut_slice());
        let wrapped = wrap(&wrapping.public, how, &ephemeral, &plain);
        let wrapped = wrapped.ok_or_else(|| Error::internal("a key could not be wrapped"))?;
        keys.insert(version.number.to_string(), json!(STANDARD.encode(wrapped)));
        Ok(())
    })?;
    Ok(Reply::data(json!({ "name": source.name, "type": source.key_type().as_str(), "keys": keys })))
}

/// A private key in the form that imports take.
fn importable(key_type: KeyType, version: &KeyVersionRecord) -> Result<Zeroizing<Vec<u8>>, Error> {
    if version.secret.is_empty() {
        return Err(Error::invalid("a version of the key has no private half here; it was imported without one"));
    }
    if key_type == KeyType::Ed25519 {
        let document = material::ed25519(&version.secret)?.to_pkcs8v1();
        let document = document.map_err(|_| Error::internal("an Ed25519 key could not be encoded"))?;
        return Ok(Zeroizing::new(document.as_ref().to_vec()));
    }
    Ok(Zeroizing::new(version.secret.clone()))
}

/// RSA-OAEP of an ephemeral key, and behind it the key under AES-KWP (RFC 5649).
pub(super) fn wrap(
    public: &[u8],
    how: &'static aws_lc_rs::rsa::OaepAlgorithm,
    ephemeral: &[u8; 32],
    plain: &[u8],
) -> Option<Vec<u8>> {
    let mut wrapped = rsa::encrypt(public, how, ephemeral)?;
    let mut inner = vec![0; plain.len() + WRAP_BYTES];
    let inner = AesKek::new(&AES_256, ephemeral).ok()?.wrap_with_padding(plain, &mut inner).ok()?.to_vec();
    wrapped.extend_from_slice(&inner);
    Some(wrapped)
}
