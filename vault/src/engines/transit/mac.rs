//! HMAC with a key, and verifying one.

use serde_json::{Map, json};
use subtle::ConstantTimeEq;

use super::algorithm::KeyType;
use super::batch::{self, Failure, Form, Item, settled};
use super::hash::HashAlgorithm;
use super::key::{self, KeyVersion, NamedKey};
use super::sign::hash_name;
use super::versioned;
use crate::engine::Call;
use crate::error::Error;
use crate::reply::Reply;

const DONE: Form = Form { failed: || json!({}), fails: false };

/// `hmac/{name}`.
pub(super) fn hmac(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let items = batch::items(call, &["input"], None)?;
    let key = key::usable(call, "encryption key not found")?;
    let hash = HashAlgorithm::named(hash_name(call, "algorithm"))?;
    let mut ended = Vec::with_capacity(items.items.len());
    for item in &items.items {
        let text = compute(call, &key, hash, item);
        ended.push(settled(text)?.map(|text| Map::from_iter([("hmac".to_owned(), json!(text))])));
    }
    batch::reply(call, &items, ended, DONE)
}

fn compute(call: &mut Call<'_, '_>, key: &NamedKey, hash: HashAlgorithm, item: &Item) -> Result<String, Failure> {
    let number = key.newest_or(item.version).map_err(|error| error.replace("encryption", "HMAC"))?;
    if item.text("input").is_none() {
        return Err("missing input for HMAC".to_owned().into());
    }
    let version = key.available(call, number)?;
    Ok(versioned::encoded(number, &tag(key, &version, hash, item)?))
}

/// Whether the HMAC of an item is one of its input.
pub(super) fn verify(
    call: &mut Call<'_, '_>,
    key: &NamedKey,
    hash: HashAlgorithm,
    item: &Item,
) -> Result<bool, Failure> {
    let (number, rest) = versioned::taken_apart(key, item.text("hmac").unwrap_or_default(), "HMAC to verify")?;
    let sent = versioned::decoded(rest, "HMAC to verify")?;
    let version = key.available(call, number)?;
    let expected = tag(key, &version, hash, item)?;
    Ok(bool::from(expected.ct_eq(&sent)))
}

fn tag(key: &NamedKey, version: &KeyVersion, hash: HashAlgorithm, item: &Item) -> Result<Vec<u8>, Failure> {
    let input = item.bytes("input").map_err(|error| format!("unable to decode input as base64: {error}"))?;
    let secret = if key.key_type() == KeyType::Hmac { &version.secret } else { &version.hmac_key };
    if secret.is_empty() {
        return Err(Error::internal("a version of a transit key has no key for HMACs").into());
    }
    Ok(hash.hmac(secret, &input).ok_or_else(|| "an HMAC needs a hash algorithm, not none".to_owned())?)
}
