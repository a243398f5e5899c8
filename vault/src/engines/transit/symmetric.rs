//! Encryption with a symmetric key: a nonce, the ciphertext and a tag, one behind the other.
//!
//! What surprises: convergent encryption takes as nonce the beginning of an HMAC of the plaintext, so that one plaintext under
//! one context has one ciphertext, and two plaintexts never share a nonce but by chance.

use aws_lc_rs::aead::{self, AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::algorithm::KeyType;
use super::hash::HashAlgorithm;
use super::material;
use crate::context::Random;
use crate::error::Error;

/// Length of a tag, in bytes.
const TAG_BYTES: usize = 16;
/// Length of the key of the HMAC that makes convergent nonces, in bytes.
const NONCE_KEY_BYTES: usize = 32;

/// A key that is ready for use.
pub(super) struct Cipher {
    inner: Inner,
    /// Of convergent encryption: makes the nonces.
    nonce_key: Option<Zeroizing<Vec<u8>>>,
    refusal: &'static str,
}

enum Inner {
    Short(Box<LessSafeKey>),
    Long(Box<XChaCha20Poly1305>),
}

/// How a version of a key is used.
#[derive(Clone, Copy)]
pub(super) struct Use<'u> {
    /// Type of the key.
    pub(super) key_type: KeyType,
    /// The context, if the key is derived.
    pub(super) context: Option<&'u [u8]>,
    /// Whether one plaintext has one ciphertext.
    pub(super) convergent: bool,
}

impl Cipher {
    /// Prepares the key of a version.
    pub(super) fn new(secret: &[u8], how: Use<'_>) -> Result<Self, Error> {
        let length = how.key_type.key_bytes();
        let extra = if how.convergent { NONCE_KEY_BYTES } else { 0 };
        let mut key = match how.context {
            Some(context) => material::derive(secret, context, length + extra)?,
            None => Zeroizing::new(secret.to_vec()),
        };
        let nonce_key = (how.convergent && key.len() == length + extra).then(|| Zeroizing::new(key.split_off(length)));
        let malformed = || Error::internal("a symmetric key has a wrong length");
        let short = |algorithm: &'static aead::Algorithm| {
            let key = UnboundKey::new(algorithm, &key).map_err(|_| malformed())?;
            Ok::<_, Error>(Inner::Short(Box::new(LessSafeKey::new(key))))
        };
        let (inner, refusal) = match how.key_type {
            KeyType::Aes256Gcm => (short(&AES_256_GCM)?, "cipher: message authentication failed"),
            KeyType::Aes128Gcm => (short(&AES_128_GCM)?, "cipher: message authentication failed"),
            KeyType::Chacha20Poly1305 => {
                (short(&CHACHA20_POLY1305)?, "chacha20poly1305: message authentication failed")
            }
            KeyType::Xchacha20Poly1305 => {
                let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| malformed())?;
                (Inner::Long(Box::new(cipher)), "chacha20poly1305: message authentication failed")
            }
            _ => return Err(Error::internal("the key is not symmetric")),
        };
        Ok(Self { inner, nonce_key, refusal })
    }

    fn nonce_bytes(&self) -> usize {
        match self.inner {
            Inner::Short(_) => 12,
            Inner::Long(_) => 24,
        }
    }

    /// Encrypts: nonce, ciphertext and tag.
    pub(super) fn seal(&self, random: &mut dyn Random, plaintext: &[u8], associated: &[u8]) -> Result<Vec<u8>, String> {
        let mut nonce = vec![0; self.nonce_bytes()];
        match &self.nonce_key {
            // Under one nonce a second associated text would give away the key of the tags.
            Some(_) if !associated.is_empty() => {
                return Err("associated_data is not possible with convergent encryption".into());
            }
            Some(key) => {
                let tag = HashAlgorithm::Sha256.hmac(key, plaintext).unwrap_or_default();
                nonce.copy_from_slice(&tag[..self.nonce_bytes()]);
            }
            None => random.fill(&mut nonce),
        }
        let mut sealed = Vec::with_capacity(nonce.len() + plaintext.len() + TAG_BYTES);
        sealed.extend_from_slice(plaintext);
        let failed = || "the plaintext could not be encrypted".to_owned();
        match &self.inner {
            Inner::Short(key) => {
                let unique = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| failed())?;
                key.seal_in_place_append_tag(unique, Aad::from(associated), &mut sealed).map_err(|_| failed())?;
            }
            Inner::Long(key) => {
                let unique = XNonce::try_from(nonce.as_slice()).map_err(|_| failed())?;
                key.encrypt_in_place(&unique, associated, &mut sealed).map_err(|_| failed())?;
            }
        }
        sealed.splice(..0, nonce);
        Ok(sealed)
    }

    /// Decrypts what [`Cipher::seal`] made. Whatever is wrong with it, the refusal is the same.
    pub(super) fn open(&self, sealed: &[u8], associated: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let refused = || self.refusal.to_owned();
        if sealed.len() < self.nonce_bytes() + TAG_BYTES {
            return Err("invalid ciphertext: it is too short".into());
        }
        let (nonce, rest) = sealed.split_at(self.nonce_bytes());
        let mut opened = Zeroizing::new(rest.to_vec());
        match &self.inner {
            Inner::Short(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
                let length = key.open_in_place(nonce, Aad::from(associated), &mut opened).map_err(|_| refused())?.len();
                opened.truncate(length);
            }
            Inner::Long(key) => {
                let nonce = XNonce::try_from(nonce).map_err(|_| refused())?;
                key.decrypt_in_place(&nonce, associated, &mut *opened).map_err(|_| refused())?;
            }
        }
        Ok(opened)
    }
}
