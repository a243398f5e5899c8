//! What keys are made of: new ones, and those that are derived for a context.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType as OutputLength, Salt};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::kem;
use super::native::NativeKey;
use super::record::{KeyVersionRecord, NamedKeyRecord};
use crate::context::Context;
pub(super) use crate::engines::pairs::{ask_rsa_pair, encoded, pem};
use crate::error::Error;

/// Length of the key of a version's HMAC, in bytes.
const HMAC_KEY_BYTES: usize = 32;

/// A new version for a key, without a number. For RSA and ML-KEM this ends the run: the pair is made beside the requests. `purpose` tells
/// several pairs of one request apart.
pub(super) fn new_version(
    context: &mut Context<'_>,
    key: &NamedKeyRecord,
    purpose: &str,
) -> Result<KeyVersionRecord, Error> {
    let key_type = key.key_type();
    let mut version = KeyVersionRecord::default();
    if let Some(bits) = key_type.rsa_bits() {
        (version.secret, version.public) = ask_rsa_pair(context, bits, purpose)?;
    } else if key_type.ml_kem().is_some() {
        (version.secret, version.public) = kem::ask_pair(context, key_type, purpose)?;
    } else {
        let length = match key_type {
            KeyType::Hmac => key.key_size as usize,
            _ => key_type.key_bytes(),
        };
        let mut secret = Zeroizing::new(vec![0; length]);
        context.random.fill(&mut secret);
        if key_type.is_ecdsa() {
            let pair = NativeKey::derive(key_type, &Zeroizing::new(context.bytes::<64>()));
            let pair = pair.ok_or_else(|| Error::internal("an ECDSA key could not be made"))?;
            (version.secret, version.public) = encoded(&pair)?;
        } else if key_type.ml_dsa().is_some() {
            let seed = Zeroizing::new(context.bytes::<32>());
            version.secret = seed.to_vec();
            version.public = ml_dsa_pair(key_type, seed.as_slice())?.public_key().as_ref().to_vec();
        } else {
            if key_type == KeyType::Ed25519 && !key.derived {
                version.public = ed25519(&secret)?.public_key().as_ref().to_vec();
            }
            version.secret = secret.to_vec();
        }
    }
    if key_type != KeyType::Hmac {
        version.hmac_key = context.bytes::<HMAC_KEY_BYTES>().to_vec();
    }
    Ok(version)
}

/// An Ed25519 pair of a seed.
pub(super) fn ed25519(seed: &[u8]) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Error::internal("the seed of an Ed25519 key is not one"))
}

/// An ML-DSA pair of a seed (FIPS 204, section 6.1).
pub(super) fn ml_dsa_pair(key_type: KeyType, seed: &[u8]) -> Result<PqdsaKeyPair, Error> {
    let algorithm = key_type.ml_dsa().ok_or_else(|| Error::internal("the key is not one of ML-DSA"))?;
    PqdsaKeyPair::from_seed(algorithm, seed).map_err(|_| Error::internal("the seed of an ML-DSA key is not one"))
}

/// The seed and the public key of a derived Ed25519 key.
pub(super) fn derived_ed25519(
    version: &KeyVersionRecord,
    context: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), Error> {
    let seed = derive(&version.secret, context, 32)?;
    let public = ed25519(&seed)?.public_key().as_ref().to_vec();
    Ok((seed, public))
}

struct Length(usize);

impl OutputLength for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A key of a context: HKDF with SHA-256, no salt, and the context as info (RFC 5869).
pub(super) fn derive(secret: &[u8], context: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut derived = Zeroizing::new(vec![0; length]);
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret);
    let filled = extracted.expand(&[context], Length(length)).and_then(|output| output.fill(&mut derived));
    filled.map_err(|_| Error::internal("a key could not be derived"))?;
    Ok(derived)
}
