//! Sign and verify.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::batch::{self, Ended, Failure, Form, Item, settled};
use super::cipher::NO_CONTEXT;
use super::hash::HashAlgorithm;
use super::key::{self, KeyVersion, NamedKey};
use super::mac;
use super::manage;
use super::material;
use super::native::{NativeKey, Padding};
use super::rsa::RsaWork;
use super::signature;
use super::versioned;
use crate::engine::Call;
use crate::error::Error;
use crate::reply::Reply;

const SIGNED: Form = Form { failed: || json!({ "key_version": 0 }), fails: false };
const VERIFIED: Form = Form { failed: || json!({ "valid": false }), fails: false };
/// Lengths of a hash that ECDSA takes as it is, in bytes.
const DIGEST_BYTES: std::ops::RangeInclusive<usize> = 20..=64;

/// A seed, and the public key if the seed was derived.
type SeedAndPublic = (Zeroizing<Vec<u8>>, Option<Vec<u8>>);

/// How a request wants to sign.
struct Manner {
    key: NamedKey,
    hash: HashAlgorithm,
    prehashed: bool,
    padding: Padding,
    is_for_web: bool,
}

/// A signature that is there, or its place among those that are made beside the requests.
enum Signature {
    Made(Vec<u8>),
    Asked(usize),
}

impl Manner {
    fn of(call: &Call<'_, '_>, key: NamedKey) -> Result<Self, Error> {
        let fields = &call.fields;
        if !key.key_type().can_sign() {
            let kind = key.key_type().as_str();
            return Err(Error::invalid(format!("key type {kind} does not support signing")));
        }
        let hash = HashAlgorithm::named(hash_name(call, "hash_algorithm"))?;
        let prehashed = fields.bool("prehashed").unwrap_or(false);
        let algorithm = fields.text_or_empty("signature_algorithm");
        let padding = match algorithm {
            "" | "pss" => Padding::Pss(salt_length(fields.text_or_empty("salt_length"))?),
            "pkcs1v15" => Padding::Pkcs1,
            other => return Err(Error::invalid(format!("invalid signature algorithm {other:?}; use pss or pkcs1v15"))),
        };
        if hash == HashAlgorithm::None && (!prehashed || padding != Padding::Pkcs1) {
            return Err(Error::invalid(
                "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15",
            ));
        }
        let is_for_web = match fields.text_or_empty("marshaling_algorithm") {
            "" | "asn1" => false,
            "jws" => true,
            other => return Err(Error::invalid(format!("invalid marshaling type {other:?}; use asn1 or jws"))),
        };
        Ok(Self { key, hash, prehashed, padding, is_for_web })
    }

    /// What the algorithm signs: the hash of the input, or the input.
    fn digest(&self, item: &Item) -> Result<Vec<u8>, Failure> {
        let input = item.bytes("input").map_err(|error| format!("unable to decode input as base64: {error}"))?;
        let key_type = self.key.key_type();
        if !(key_type.is_rsa() || key_type.is_ecdsa()) {
            return Ok(input);
        }
        if !self.prehashed {
            return Ok(self.hash.digest(&input));
        }
        let fits = match self.hash {
            HashAlgorithm::None => true,
            _ if key_type.is_ecdsa() => DIGEST_BYTES.contains(&input.len()),
            hash => input.len() == hash.bytes(),
        };
        match fits {
            true => Ok(input),
            false => Err("the prehashed input does not have the length of its hash".to_owned().into()),
        }
    }

    /// The seed of an Ed25519 key, derived if the key is, and the public key if it is.
    fn ed25519(&self, version: &KeyVersion, item: &Item) -> Result<SeedAndPublic, Failure> {
        if !self.key.record.derived {
            return Ok((Zeroizing::new(version.secret.clone()), None));
        }
        let context = item.bytes("context")?;
        if context.is_empty() {
            return Err(NO_CONTEXT.to_owned().into());
        }
        let (seed, public) = material::derived_ed25519(version, &context)?;
        Ok((seed, Some(public)))
    }

    fn sign(&self, call: &mut Call<'_, '_>, item: &Item, work: &mut RsaWork) -> Result<Signed, Failure> {
        let number = self.key.newest_or(item.version).map_err(|error| error.replace("encryption", "signing"))?;
        let version = self.key.available(call, number)?;
        let digest = self.digest(item)?;
        let failed = || Failure::Item("the input could not be signed".to_owned());
        let key_type = self.key.key_type();
        if version.secret.is_empty() {
            return Err("the key has no private half here; it was imported without one".to_owned().into());
        }
        let mut public = None;
        let made = match key_type {
            KeyType::Ed25519 => {
                let (seed, derived) = self.ed25519(&version, item)?;
                public = derived;
                material::ed25519(&seed)?.sign(&digest).as_ref().to_vec()
            }
            _ if key_type.is_rsa() => {
                let place = work.add(&version.secret, digest, self.hash, self.padding)?;
                return Ok(Signed { number, signature: Signature::Asked(place), public });
            }
            _ if key_type.is_ecdsa() => {
                let pair = NativeKey::from_pkcs8(&version.secret).ok_or_else(failed)?;
                let made = pair.sign_ecdsa(&digest).ok_or_else(failed)?;
                match self.is_for_web {
                    true => signature::to_pair(&made, key_type.scalar_bytes()).ok_or_else(failed)?,
                    false => made,
                }
            }
            _ => {
                let pair = material::ml_dsa_pair(key_type, &version.secret)?;
                let mut made = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(&digest, &mut made).map_err(|_| failed())?;
                made.truncate(length);
                made
            }
        };
        Ok(Signed { number, signature: Signature::Made(made), public })
    }

    /// Whether the signature of an item is one of its input.
    fn verify(&self, call: &mut Call<'_, '_>, item: &Item) -> Result<bool, Failure> {
        let text = item.text("signature").unwrap_or_default();
        let (number, rest) = versioned::taken_apart(&self.key, text, "signature")?;
        let sent = match self.is_for_web {
            true => versioned::decoded_for_web(rest, "signature")?,
            false => versioned::decoded(rest, "signature")?,
        };
        let digest = self.digest(item)?;
        let version = self.key.available(call, number)?;
        let key_type = self.key.key_type();
        match key_type {
            KeyType::Ed25519 => {
                let (_, derived) = self.ed25519(&version, item)?;
                let public = derived.as_ref().unwrap_or(&version.public);
                Ok(UnparsedPublicKey::new(&ED25519, public).verify(&digest, &sent).is_ok())
            }
            _ if key_type.is_rsa() => Ok(public_half(&version)?.verify_rsa(self.padding, self.hash, &digest, &sent)),
            _ if key_type.is_ecdsa() => {
                let bytes = key_type.scalar_bytes();
                let der = match self.is_for_web {
                    true => signature::to_der(&sent, bytes),
                    false => signature::to_pair(&sent, bytes).map(|_| sent),
                };
                let der = der.ok_or_else(|| "supplied signature is invalid".to_owned())?;
                Ok(public_half(&version)?.verify_ecdsa(&digest, &der))
            }
            _ => {
                let how = key_type.ml_dsa_public();
                let how = how.ok_or_else(|| Error::internal("a key that signs has no way to verify"))?;
                Ok(UnparsedPublicKey::new(how, &version.public).verify(&digest, &sent).is_ok())
            }
        }
    }
}

/// An item that is signed, or will be.
struct Signed {
    number: u32,
    signature: Signature,
    /// The public key of a derived key.
    public: Option<Vec<u8>>,
}

fn public_half(version: &KeyVersion) -> Result<NativeKey, Error> {
    NativeKey::from_public(&version.public).ok_or_else(|| Error::internal("a stored public key does not parse"))
}

/// The name of the hash function: in the path, or in a field, or in the old name of that field.
pub(super) fn hash_name<'c>(call: &'c Call<'_, '_>, name: &str) -> &'c str {
    let named = ["urlalgorithm", name, "algorithm"].into_iter().find_map(|name| call.fields.text(name));
    named.filter(|named| !named.is_empty()).unwrap_or("sha2-256")
}

/// The length of a salt as clients of Vault send it: 0 is the longest, and to verify any; -1 is as long as the hash.
fn salt_length(text: &str) -> Result<i32, Error> {
    match text {
        "" | "auto" | "0" => Ok(-2),
        "hash" => Ok(-1),
        number => number.parse().ok().filter(|number| *number >= -1).ok_or_else(|| {
            Error::invalid("invalid salt length; use auto, hash, or a number of bytes that is not negative")
        }),
    }
}

/// `sign/{name}`.
pub(super) fn sign(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let items = batch::items(call, &["input", "context"], None)?;
    let key = key::usable(call, "signing key not found")?;
    let key = manage::rotated_if_due(call, key)?;
    let manner = Manner::of(call, key)?;
    let mut work = RsaWork::default();
    let signed = items.items.iter().map(|item| settled(manner.sign(call, item, &mut work)));
    let signed = signed.collect::<Result<Vec<_>, Error>>()?;
    let mut done = work.sign(call.context)?;
    let public_name = if items.is_batch { "publickey" } else { "public_key" };
    let finish = |signed: Result<Signed, String>| {
        let Signed { number, signature, public } = signed?;
        let bytes = match signature {
            Signature::Made(bytes) => bytes,
            Signature::Asked(place) => done.get_mut(place).and_then(Option::take).ok_or_else(|| {
                "the input could not be signed: its hash and salt do not fit the key, or RSA has no such hash"
                    .to_owned()
            })?,
        };
        let text = match manner.is_for_web {
            true => versioned::encoded_for_web(number, &bytes),
            false => versioned::encoded(number, &bytes),
        };
        let mut data =
            Map::from_iter([("signature".to_owned(), json!(text)), ("key_version".to_owned(), json!(number))]);
        if let Some(public) = public {
            data.insert(public_name.to_owned(), json!(STANDARD.encode(public)));
        }
        Ok(data)
    };
    let ended: Vec<Ended> = signed.into_iter().map(finish).collect();
    batch::reply(call, &items, ended, SIGNED)
}

/// `verify/{name}`: a signature, or an HMAC.
pub(super) fn verify(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let items = batch::items(call, &["input", "context", "signature", "hmac"], None)?;
    let has = |item: &Item, name: &str| item.text(name).is_some_and(|text| !text.is_empty());
    let first = items.items.first().ok_or_else(|| Error::internal("a request without an item"))?;
    let (name, other) = match (has(first, "signature"), has(first, "hmac")) {
        (true, false) => ("signature", "hmac"),
        (false, true) => ("hmac", "signature"),
        (true, true) => return Err(Error::invalid("provide one of 'signature' and 'hmac', not both")),
        (false, false) => {
            return Err(Error::invalid("neither a 'signature' nor an 'hmac' were given to verify"));
        }
    };
    if !items.items.iter().all(|item| has(item, name)) {
        return Err(Error::invalid(format!("some elements of batch_input are missing '{name}'")));
    }
    if items.items.iter().any(|item| has(item, other)) {
        return Err(Error::invalid("all elements of batch_input must have a 'signature', or all an 'hmac'"));
    }
    let key = key::usable(call, "signature verification key not found")?;
    let shown = |valid: bool| Map::<String, Value>::from_iter([("valid".to_owned(), json!(valid))]);
    let mut ended = Vec::with_capacity(items.items.len());
    if name == "hmac" {
        let hash = HashAlgorithm::named(hash_name(call, "hash_algorithm"))?;
        for item in &items.items {
            ended.push(settled(mac::verify(call, &key, hash, item))?.map(shown));
        }
    } else {
        let manner = Manner::of(call, key)?;
        for item in &items.items {
            ended.push(settled(manner.verify(call, item))?.map(shown));
        }
    }
    batch::reply(call, &items, ended, VERIFIED)
}
