//! Imports: keys that were made elsewhere, wrapped for this mount, or public halves alone.
//!
//! What surprises: whatever is wrong with a wrapped key, the refusal is the same, so that nobody learns about the padding.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::json;
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::kem;
use super::key::{self, NamedKey};
use super::manage::NewKey;
use super::material;
use super::native::NativeKey;
use super::record::{KeyVersionRecord, WrappingKeyRecord};
use super::rsa;
use crate::engine::Call;
use crate::errand::Computation;
use crate::error::{Error, multi};
use crate::reply::Reply;

/// The key that imports are wrapped with lies here, in the mount's area.
const WRAPPING_KEY: &str = "wrapping";
/// Its length, in bits.
const WRAPPING_BITS: u32 = 4096;
/// Length of what it encrypts, in bytes.
const WRAPPED_BYTES: usize = 512;
/// Longest private key, in bytes: an RSA key of 4096 bits has 2.4 KiB.
const MAX_KEY_BYTES: usize = 16 * 1024;
/// Smallest public exponent of an RSA key, 2^16 + 1.
const MIN_RSA_EXPONENT: u64 = 65_537;
/// The y of each point of Ed25519 whose order divides 8, little-endian, also where it is not reduced.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// What is to be unwrapped. Has no `Debug`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct UnwrapWork {
    #[prost(bytes = "vec", tag = "1")]
    wrapping_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    wrapped: Vec<u8>,
    #[prost(string, tag = "3")]
    hash: String,
}

/// The wrapping key of the mount, made by whoever asks first; that ends the run.
fn wrapping_key(call: &mut Call<'_, '_>) -> Result<WrappingKeyRecord, Error> {
    if let Some(record) = call.store.get::<WrappingKeyRecord>(&call.mount.area, &[WRAPPING_KEY])? {
        return Ok(record);
    }
    let (secret, public) = material::ask_rsa_pair(call.context, WRAPPING_BITS, "wrapping key")?;
    let record = WrappingKeyRecord { secret, public };
    call.store.put(&call.mount.area, &[WRAPPING_KEY], &record)?;
    Ok(record)
}

/// `wrapping_key`.
pub(super) fn read_wrapping_key(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let public = wrapping_key(call)?.public;
    Ok(Reply::data(json!({ "public_key": material::pem("PUBLIC KEY", &public) })))
}

/// `keys/{name}/import`.
pub(super) fn import(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = key::name_of(call)?;
    if key::find(call.store, &call.mount, &name)?.is_some() {
        return Err(Error::invalid(
            "the import path cannot be used with an existing key; use import_version to add a version to an imported key",
        ));
    }
    let new = NewKey::of(call)?;
    if new.rotation_secs != 0 && !call.fields.bool("allow_rotation").unwrap_or(false) {
        return Err(Error::invalid("allow_rotation must be set to true if auto-rotation is enabled"));
    }
    let mut record = new.record(&mut call.work());
    record.imported = true;
    record.rotates_imported = call.fields.bool("allow_rotation").unwrap_or(false);
    let version = imported(call, record.key_type(), record.derived)?;
    if record.key_type() == KeyType::Hmac {
        record.key_size = u32::try_from(version.secret.len()).unwrap_or(0);
    }
    let mut key = NamedKey { name, record };
    key.add_version(&mut call.work(), version)?;
    Ok(Reply::empty())
}

/// `keys/{name}/import_version`.
pub(super) fn import_version(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut key = key::usable(call, "no key found with that name; use the import path to make it")?;
    if !key.record.imported {
        return Err(Error::invalid("the import_version path can only be used with an imported key"));
    }
    let version = imported(call, key.key_type(), key.record.derived)?;
    if key.key_type() == KeyType::Hmac && version.secret.len() != key.record.key_size as usize {
        return Err(Error::invalid("the imported key does not have the length of the versions before it"));
    }
    match call.fields.int("version") {
        None => key.add_version(&mut call.work(), version)?,
        Some(number) => complete(call, &key, number, version)?,
    }
    Ok(Reply::empty())
}

/// Adds the private half to a version that was imported without one.
fn complete(call: &mut Call<'_, '_>, key: &NamedKey, number: i64, version: KeyVersionRecord) -> Result<(), Error> {
    let number = u32::try_from(number).map_err(|_| Error::invalid("the version is negative"))?;
    let known = key.version(call.store, &call.mount, number)?;
    let known = known.ok_or_else(|| Error::invalid("the key has no such version"))?;
    if !known.secret.is_empty() || version.secret.is_empty() || known.public != version.public {
        return Err(Error::invalid("a private key can only be added to the version that has its public half alone"));
    }
    let completed = KeyVersionRecord { secret: version.secret.clone(), ..KeyVersionRecord::clone(&known) };
    key.save_version(&mut call.work(), completed)
}

/// The version that a request brings.
fn imported(call: &mut Call<'_, '_>, key_type: KeyType, derived: bool) -> Result<KeyVersionRecord, Error> {
    let (ciphertext, public) = (call.fields.text_or_empty("ciphertext"), call.fields.text_or_empty("public_key"));
    let mut version = match (ciphertext.is_empty(), public.is_empty()) {
        (false, true) => {
            let wrapped = STANDARD.decode(ciphertext);
            let wrapped = wrapped.map_err(|_| Error::invalid("ciphertext is not base64"))?;
            private(key_type, derived, &unwrapped(call, wrapped)?)?
        }
        (true, false) => public_alone(key_type, derived, public)?,
        (true, true) if !key_type.has_public_key() => {
            return Err(Error::invalid(multi("provided type does not support public_key import; send a ciphertext")));
        }
        (true, true) => return Err(Error::invalid("send the wrapped key as ciphertext, or a public_key")),
        (false, false) => return Err(Error::invalid("send one of ciphertext and public_key, not both")),
    };
    if key_type != KeyType::Hmac {
        version.hmac_key = call.context.bytes::<32>().to_vec();
    }
    Ok(version)
}

fn unwrapped(call: &mut Call<'_, '_>, wrapped: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let hash = call.fields.text("hash_function").filter(|hash| !hash.is_empty()).unwrap_or("SHA256").to_uppercase();
    if rsa::oaep(&hash).is_none() {
        return Err(Error::invalid("unsupported hash_function; use SHA1, SHA256, SHA384 or SHA512"));
    }
    if wrapped.len() <= WRAPPED_BYTES {
        return Err(Error::invalid(multi("provided ciphertext is too short")));
    }
    if wrapped.len() > WRAPPED_BYTES + MAX_KEY_BYTES {
        return Err(Error::invalid(format!("the wrapped key is longer than {MAX_KEY_BYTES} bytes")));
    }
    let wrapping_key = wrapping_key(call)?.secret;
    let input = UnwrapWork { wrapping_key, wrapped, hash }.encode_to_vec();
    call.context.ask_computation(Computation { name: "unwrap key", work: unwrap, input })
}

fn unwrap(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let work = UnwrapWork::decode(input).map_err(|_| Error::internal("a key to unwrap does not decode"))?;
    let unwrap = || {
        let (outer, inner) = work.wrapped.split_at_checked(WRAPPED_BYTES)?;
        let ephemeral = rsa::decrypt(&work.wrapping_key, rsa::oaep(&work.hash)?, outer)?;
        let mut plain = Zeroizing::new(vec![0; inner.len()]);
        let kek = AesKek::new(&AES_256, &ephemeral).ok()?;
        let length = kek.unwrap_with_padding(inner, &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    };
    unwrap().ok_or_else(|| {
        Error::invalid(
            "the key could not be unwrapped; wrap an AES-256 key with wrapping_key by RSA-OAEP and the hash function that is \
             sent as hash_function, and behind it the key with that AES key by AES-KWP",
        )
    })
}

/// A version of a private key: raw bytes of symmetric, HMAC and ML-KEM keys, PKCS #8 of others.
fn private(key_type: KeyType, derived: bool, plain: &[u8]) -> Result<KeyVersionRecord, Error> {
    let wrong = || Error::invalid(format!("the imported key is not one of type {}", key_type.as_str()));
    let mut version = KeyVersionRecord::default();
    match key_type {
        KeyType::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(plain).map_err(|_| wrong())?;
            let seed = pair.seed().and_then(|seed| aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&seed));
            version.secret = seed.map_err(|_| wrong())?.as_ref().to_vec();
            if !derived {
                version.public = pair.public_key().as_ref().to_vec();
            }
        }
        _ if key_type.is_rsa() || key_type.is_ecdsa() => {
            let pair =
                NativeKey::from_pkcs8(plain).filter(|pair| pair.key_type() == Some(key_type)).ok_or_else(wrong)?;
            check_exponent(&pair)?;
            (version.secret, version.public) = material::encoded(&pair)?;
        }
        KeyType::Hmac if !(32..=512).contains(&plain.len()) => {
            return Err(Error::invalid("an HMAC key has between 32 and 512 bytes"));
        }
        _ if key_type.ml_dsa().is_some() => {
            return Err(Error::invalid("keys of type ml-dsa cannot be imported"));
        }
        _ if key_type.ml_kem().is_some() => {
            version.public = kem::public_of(key_type, plain).ok_or_else(wrong)?;
            version.secret = plain.to_vec();
        }
        _ if key_type != KeyType::Hmac && plain.len() != key_type.key_bytes() => return Err(wrong()),
        _ => version.secret = plain.to_vec(),
    }
    Ok(version)
}

/// A version with the public half alone, sent as PEM; of ML-DSA and ML-KEM raw, in base64.
fn public_alone(key_type: KeyType, derived: bool, text: &str) -> Result<KeyVersionRecord, Error> {
    let kind = key_type.as_str();
    if let Some(algorithm) = key_type.ml_dsa() {
        let public = STANDARD.decode(text.trim()).ok().filter(|public| public.len() == algorithm.public_key_len());
        let public = public.ok_or_else(|| Error::invalid("public_key is not the base64 of a raw ML-DSA public key"))?;
        return Ok(KeyVersionRecord { public, ..KeyVersionRecord::default() });
    }
    if key_type.ml_kem().is_some() {
        let public = STANDARD.decode(text.trim()).ok().filter(|public| kem::is_public(key_type, public));
        let public = public.ok_or_else(|| Error::invalid("public_key is not the base64 of a raw ML-KEM public key"))?;
        return Ok(KeyVersionRecord { public, ..KeyVersionRecord::default() });
    }
    if !(key_type.is_rsa() || key_type.is_ecdsa() || key_type == KeyType::Ed25519) || derived {
        return Err(Error::invalid(multi(&format!("a key of type {kind} cannot be imported by its public half"))));
    }
    let wrong = || Error::invalid(format!("public_key is not the PEM of a public key of type {kind}"));
    let der = from_pem(text).ok_or_else(wrong)?;
    let public = NativeKey::from_public(&der).filter(|public| public.key_type() == Some(key_type)).ok_or_else(wrong)?;
    check_exponent(&public)?;
    let public = match key_type {
        KeyType::Ed25519 => public.to_raw_public().filter(|public| !is_of_small_order(public)).ok_or_else(wrong)?,
        _ => public.to_public().ok_or_else(wrong)?,
    };
    Ok(KeyVersionRecord { public, ..KeyVersionRecord::default() })
}

/// Refuses an RSA key with a small public exponent, to which padding that is not checked to its end is fatal (check 120;
/// FIPS 186-5, section 5.1).
fn check_exponent(key: &NativeKey) -> Result<(), Error> {
    match key.rsa_exponent().is_none_or(|exponent| exponent >= MIN_RSA_EXPONENT) {
        true => Ok(()),
        false => Err(Error::invalid(format!("the public exponent of an RSA key must be at least {MIN_RSA_EXPONENT}"))),
    }
}

/// Whether a public key of Ed25519 is a point whose order divides 8, under which one signature fits nearly every text
/// (check 120; RFC 8032, section 5.1.7; the list is in "Taming the many EdDSAs", table 1).
fn is_of_small_order(public: &[u8]) -> bool {
    let mut y = public.to_vec();
    // The highest bit is the sign of x.
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    SMALL_ORDER.contains(&hex::encode(y).as_str())
}

/// What lies between the lines of a PEM (RFC 7468).
fn from_pem(text: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}
