//! ML-KEM (FIPS 203): whoever has the public half sends a secret to the one who has the private half, and the secret encrypts one
//! message.
//!
//! A message is the ciphertext of the KEM and, behind it, nonce, ciphertext and tag of AES-256 in GCM, whose key is the shared secret as it is
//! (FIPS 203, section 3.3). So each message has a key of its own, and a client who has the public key alone can write one too. What surprises: no
//! ciphertext of the KEM is refused; a wrong one yields another secret, under which the tag is wrong.

use aws_lc_rs::kem::{AlgorithmId, Ciphertext, DecapsulationKey, EncapsulationKey};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::hash::HashAlgorithm;
use super::symmetric::{Cipher, Use};
use crate::context::{Context, Random};
use crate::errand::Computation;
use crate::error::Error;

/// Length of the hash of the public key inside of a private one, in bytes.
const HASH_BYTES: usize = 32;
/// What is said of a message that does not open.
const REFUSAL: &str = "cipher: message authentication failed";
/// How the shared secret is used.
const AES: Use<'_> = Use { key_type: KeyType::Aes256Gcm, context: None, convergent: false };

type PrivateKey = DecapsulationKey<AlgorithmId>;
type PublicKey = EncapsulationKey<AlgorithmId>;

/// Lengths in bytes (FIPS 203, table 3).
struct Sizes {
    public: usize,
    ciphertext: usize,
}

fn sizes(key_type: KeyType) -> Option<Sizes> {
    match key_type {
        KeyType::MlKem512 => Some(Sizes { public: 800, ciphertext: 768 }),
        KeyType::MlKem768 => Some(Sizes { public: 1184, ciphertext: 1088 }),
        KeyType::MlKem1024 => Some(Sizes { public: 1568, ciphertext: 1568 }),
        _ => None,
    }
}

fn failed() -> Error {
    Error::internal("an ML-KEM key could not be made or used")
}

/// A new pair, private and public half; ends the run, since AWS-LC draws by itself. `purpose` tells several pairs of one request apart.
pub(super) fn ask_pair(
    context: &mut Context<'_>,
    key_type: KeyType,
    purpose: &str,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let input = [key_type.parameter_set().as_bytes(), &[0], purpose.as_bytes()].concat();
    let secret = context.ask_computation(Computation { name: "ml-kem pair", work: make_pair, input })?;
    let public = public_of(key_type, &secret).ok_or_else(failed)?;
    Ok((secret.to_vec(), public))
}

fn make_pair(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let set = input.split(|byte| *byte == 0).next().and_then(|set| std::str::from_utf8(set).ok()).unwrap_or_default();
    let algorithm = KeyType::named("ml-kem", set).and_then(KeyType::ml_kem).ok_or_else(failed)?;
    let made = PrivateKey::generate(algorithm).and_then(|key| key.key_bytes());
    Ok(Zeroizing::new(made.map_err(|_| failed())?.as_ref().to_vec()))
}

/// The public half of a private key, which lies in it with its hash (FIPS 203, section 7.3); `None` if the two do not fit.
pub(super) fn public_of(key_type: KeyType, secret: &[u8]) -> Option<Vec<u8>> {
    let algorithm = key_type.ml_kem()?;
    let private = PrivateKey::new(algorithm, secret).ok()?;
    let length = sizes(key_type)?.public;
    // The public key is as long as the private one of the scheme inside, and 32 bytes more.
    let begin = length.checked_sub(HASH_BYTES)?;
    let (public, rest) = secret.get(begin..)?.split_at_checked(length)?;
    if HashAlgorithm::Sha3x256.digest(public) != rest.get(..HASH_BYTES)? {
        return None;
    }
    let (ciphertext, shared) = PublicKey::new(algorithm, public).ok()?.encapsulate().ok()?;
    let opened = private.decapsulate(ciphertext).ok()?;
    bool::from(opened.as_ref().ct_eq(shared.as_ref())).then(|| public.to_vec())
}

/// Whether this is a public key (FIPS 203, section 7.2).
pub(super) fn is_public(key_type: KeyType, public: &[u8]) -> bool {
    let Some(algorithm) = key_type.ml_kem() else { return false };
    PublicKey::new(algorithm, public).is_ok_and(|key| key.encapsulate().is_ok())
}

/// Encrypts a message to a public key.
pub(super) fn seal(
    key_type: KeyType,
    public: &[u8],
    random: &mut dyn Random,
    plaintext: &[u8],
    associated: &[u8],
) -> Result<Result<Vec<u8>, String>, Error> {
    let algorithm = key_type.ml_kem().ok_or_else(failed)?;
    let key = PublicKey::new(algorithm, public).map_err(|_| failed())?;
    let (ciphertext, shared) = key.encapsulate().map_err(|_| failed())?;
    let sealed = Cipher::new(shared.as_ref(), AES)?.seal(random, plaintext, associated);
    Ok(sealed.map(|sealed| [ciphertext.as_ref(), &sealed].concat()))
}

/// Opens a message.
pub(super) fn open(
    key_type: KeyType,
    secret: &[u8],
    sealed: &[u8],
    associated: &[u8],
) -> Result<Result<Zeroizing<Vec<u8>>, String>, Error> {
    let algorithm = key_type.ml_kem().ok_or_else(failed)?;
    let Some((ciphertext, sealed)) = sizes(key_type).and_then(|sizes| sealed.split_at_checked(sizes.ciphertext)) else {
        return Ok(Err(REFUSAL.to_owned()));
    };
    let key = PrivateKey::new(algorithm, secret).map_err(|_| failed())?;
    let Ok(shared) = key.decapsulate(Ciphertext::from(ciphertext)) else { return Ok(Err(REFUSAL.to_owned())) };
    Ok(Cipher::new(shared.as_ref(), AES)?.open(sealed, associated))
}
