//! What keys are made of: new ones, and those that are derived for a context.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType as OutputLength, Salt};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::kem;
use super::native::NativeKey;
use super::record::{KeyVersionRecord, NamedKeyRecord};
use crate::context::Context;
use crate::errand::Computation;
use crate::error::Error;

/// Length of the key of a version's HMAC, in bytes.
const HMAC_KEY_BYTES: usize = 32;
/// Characters in one line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

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

/// A key pair as it is stored: PKCS #8, and SubjectPublicKeyInfo.
pub(super) fn encoded(pair: &NativeKey) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (secret, public) = (pair.to_pkcs8(), pair.to_public());
    let missing = || Error::internal("a key could not be encoded");
    Ok((secret.ok_or_else(missing)?.to_vec(), public.ok_or_else(missing)?))
}

/// A new RSA pair, as [`encoded`]; ends the run.
pub(super) fn ask_rsa_pair(context: &mut Context<'_>, bits: u32, purpose: &str) -> Result<(Vec<u8>, Vec<u8>), Error> {
    // What is asked is told apart by its text alone; the pair is as random as the node makes it.
    let input = [&bits.to_be_bytes(), purpose.as_bytes()].concat();
    let secret = context.ask_computation(Computation { name: "rsa pair", work: make_rsa_pair, input })?;
    let pair = NativeKey::from_pkcs8(&secret).ok_or_else(|| Error::internal("a new RSA key does not parse"))?;
    let public = pair.to_public().ok_or_else(|| Error::internal("a new RSA key has no public half"))?;
    Ok((secret.to_vec(), public))
}

fn make_rsa_pair(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let size = match input.first_chunk().map(|bits| u32::from_be_bytes(*bits)) {
        Some(2048) => KeySize::Rsa2048,
        Some(3072) => KeySize::Rsa3072,
        Some(4096) => KeySize::Rsa4096,
        _ => return Err(Error::internal("an RSA key of an unknown size was asked for")),
    };
    let made = RsaKeyPair::generate(size).and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair));
    let made = made.map_err(|_| Error::internal("an RSA key could not be made"))?;
    Ok(Zeroizing::new(made.as_ref().to_vec()))
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

/// Bytes as PEM (RFC 7468), with a line end behind it.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for start in (0..encoded.len()).step_by(PEM_LINE) {
        text.push_str(&encoded[start..encoded.len().min(start + PEM_LINE)]);
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
