//! Asymmetric keys of AWS-LC, for what its safe interface lacks: signatures of a digest by any hash function, PSS with any
//! length of salt, PKCS #1 v1.5 without a hash, and private keys made from given bytes. Why this is here and not a crate:
//! `docs/decisions/0009-native-signatures.md`.
//!
//! All `unsafe` of engines is in this file. Each function hands AWS-LC pointers to whole slices with their lengths, and takes
//! no pointer out but those that it owns. Keys are parsed with all checks; a key that was parsed is never changed.

use std::ffi::{c_int, c_uint};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use aws_lc_sys as lc;
use zeroize::Zeroizing;

use crate::engines::algorithm::KeyType;
use crate::engines::hash::HashAlgorithm;

/// Longest signature in bytes: that of RSA with 8192 bits, which no key here exceeds.
const MAX_SIGNATURE_BYTES: usize = 1024;

/// How RSA pads what it signs (RFC 8017).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// PKCS #1 v1.5.
    Pkcs1,
    /// PSS with a salt of so many bytes; -1 is as long as the hash, -2 the longest (to verify: whatever it is).
    Pss(i32),
}

/// A private or public key.
pub(super) struct NativeKey(NonNull<lc::EVP_PKEY>);

// SAFETY: an `EVP_PKEY` that nobody changes may be used by several threads (openssl/evp.h), and this type changes none.
unsafe impl Send for NativeKey {}
// SAFETY: as above.
unsafe impl Sync for NativeKey {}

impl Drop for NativeKey {
    fn drop(&mut self) {
        // SAFETY: the pointer is owned by this value and is freed once.
        unsafe { lc::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

/// What an AWS-LC parser reads.
fn reader(bytes: &[u8]) -> lc::CBS {
    lc::CBS { data: bytes.as_ptr(), len: bytes.len() }
}

fn message_digest(hash: HashAlgorithm) -> (c_int, *const lc::EVP_MD) {
    let nid = match hash {
        HashAlgorithm::None => 0,
        HashAlgorithm::Sha1 => lc::NID_sha1,
        HashAlgorithm::Sha224 => lc::NID_sha224,
        HashAlgorithm::Sha256 => lc::NID_sha256,
        HashAlgorithm::Sha384 => lc::NID_sha384,
        HashAlgorithm::Sha512 => lc::NID_sha512,
        HashAlgorithm::Sha3x224 => lc::NID_sha3_224,
        HashAlgorithm::Sha3x256 => lc::NID_sha3_256,
        HashAlgorithm::Sha3x384 => lc::NID_sha3_384,
        HashAlgorithm::Sha3x512 => lc::NID_sha3_512,
    };
    // SAFETY: takes a number and returns a static or null.
    (nid, unsafe { lc::EVP_get_digestbynid(nid) })
}

/// Collects what `write` marshals.
fn marshal(write: impl FnOnce(*mut lc::CBB) -> c_int) -> Option<Zeroizing<Vec<u8>>> {
    let mut builder = MaybeUninit::<lc::CBB>::zeroed();
    let (mut data, mut length) = (ptr::null_mut(), 0);
    // SAFETY: `CBB_init` makes the builder whole before anything else uses it; `CBB_finish` hands over `length` bytes at
    // `data`, which are copied and freed (and so wiped) once. `CBB_cleanup` frees it where it was not finished.
    unsafe {
        if lc::CBB_init(builder.as_mut_ptr(), 256) != 1 {
            return None;
        }
        if write(builder.as_mut_ptr()) != 1 || lc::CBB_finish(builder.as_mut_ptr(), &raw mut data, &raw mut length) != 1
        {
            lc::CBB_cleanup(builder.as_mut_ptr());
            lc::ERR_clear_error();
            return None;
        }
        let bytes = Zeroizing::new(std::slice::from_raw_parts(data, length).to_vec());
        lc::OPENSSL_free(data.cast());
        Some(bytes)
    }
}

/// What was done; AWS-LC leaves its reasons in a queue of the thread, which is emptied.
fn succeeded(result: c_int) -> bool {
    if result != 1 {
        // SAFETY: has no arguments.
        unsafe { lc::ERR_clear_error() };
    }
    result == 1
}

impl NativeKey {
    fn parse(bytes: &[u8], parse: unsafe extern "C" fn(*mut lc::CBS) -> *mut lc::EVP_PKEY) -> Option<Self> {
        let mut input = reader(bytes);
        // SAFETY: `input` points into `bytes`, which outlive the call; the result is owned, or null.
        let key = NonNull::new(unsafe { parse(&raw mut input) }).map(Self);
        if key.is_none() {
            succeeded(0);
        }
        // What follows a key belongs to nothing.
        key.filter(|_| input.len == 0)
    }

    /// A private key in PKCS #8 (RFC 5958).
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Self::parse(der, lc::EVP_parse_private_key)
    }

    /// A public key as SubjectPublicKeyInfo (RFC 5280, section 4.1).
    pub(super) fn from_public(der: &[u8]) -> Option<Self> {
        Self::parse(der, lc::EVP_parse_public_key)
    }

    /// The ECDSA key that AWS-LC derives from 64 random bytes: the same for the same bytes.
    pub(super) fn derive(key_type: KeyType, secret: &[u8; 64]) -> Option<Self> {
        // SAFETY: the groups are static; the derived key is owned until `EVP_PKEY_set1_EC_KEY` has taken its own share.
        unsafe {
            let group = match key_type {
                KeyType::EcdsaP256 => lc::EC_group_p256(),
                KeyType::EcdsaP384 => lc::EC_group_p384(),
                KeyType::EcdsaP521 => lc::EC_group_p521(),
                _ => return None,
            };
            let inner = NonNull::new(lc::EC_KEY_derive_from_secret(group, secret.as_ptr(), secret.len()))?;
            let key = NonNull::new(lc::EVP_PKEY_new()).map(Self);
            let done = key.as_ref().is_some_and(|key| lc::EVP_PKEY_set1_EC_KEY(key.0.as_ptr(), inner.as_ptr()) == 1);
            lc::EC_KEY_free(inner.as_ptr());
            key.filter(|_| done)
        }
    }

    /// Its type, if it is one that transit has.
    pub(super) fn key_type(&self) -> Option<KeyType> {
        // SAFETY: the key is valid; the inner pointers are borrowed from it and null where it is of another kind.
        unsafe {
            match lc::EVP_PKEY_id(self.0.as_ptr()) {
                lc::EVP_PKEY_RSA => match lc::EVP_PKEY_bits(self.0.as_ptr()) {
                    2048 => Some(KeyType::Rsa2048),
                    3072 => Some(KeyType::Rsa3072),
                    4096 => Some(KeyType::Rsa4096),
                    _ => None,
                },
                lc::EVP_PKEY_EC => {
                    let inner = lc::EVP_PKEY_get0_EC_KEY(self.0.as_ptr());
                    match lc::EC_GROUP_get_curve_name(lc::EC_KEY_get0_group(inner)) {
                        lc::NID_X9_62_prime256v1 => Some(KeyType::EcdsaP256),
                        lc::NID_secp384r1 => Some(KeyType::EcdsaP384),
                        lc::NID_secp521r1 => Some(KeyType::EcdsaP521),
                        _ => None,
                    }
                }
                lc::EVP_PKEY_ED25519 => Some(KeyType::Ed25519),
                _ => None,
            }
        }
    }

    fn rsa(&self) -> Option<NonNull<lc::RSA>> {
        // SAFETY: borrowed from the key; null if it is none of RSA.
        NonNull::new(unsafe { lc::EVP_PKEY_get0_RSA(self.0.as_ptr()) })
    }

    /// The public exponent of an RSA key; of a larger one than 64 bits hold, the largest.
    pub(super) fn rsa_exponent(&self) -> Option<u64> {
        let (rsa, mut exponent) = (self.rsa()?, 0);
        // SAFETY: the exponent is borrowed from the key, which is valid; the number is written where it points.
        let fits = unsafe { lc::BN_get_u64(lc::RSA_get0_e(rsa.as_ptr()), &raw mut exponent) };
        Some(if succeeded(fits) { exponent } else { u64::MAX })
    }

    fn ec(&self) -> Option<NonNull<lc::EC_KEY>> {
        // SAFETY: as for `rsa`.
        NonNull::new(unsafe { lc::EVP_PKEY_get0_EC_KEY(self.0.as_ptr()) })
    }

    /// The private key in PKCS #8.
    pub(super) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        // SAFETY: `marshal` gives a builder that is whole; the key is valid.
        marshal(|builder| unsafe { lc::EVP_marshal_private_key(builder, self.0.as_ptr()) })
    }

    /// The public key as SubjectPublicKeyInfo.
    pub(super) fn to_public(&self) -> Option<Vec<u8>> {
        // SAFETY: as for `to_pkcs8`.
        marshal(|builder| unsafe { lc::EVP_marshal_public_key(builder, self.0.as_ptr()) }).map(|bytes| bytes.to_vec())
    }

    /// The public key in raw form, as Ed25519 has one.
    pub(super) fn to_raw_public(&self) -> Option<Vec<u8>> {
        let (mut raw, mut length) = (vec![0; 32], 32);
        // SAFETY: the length of the buffer goes in, the length of the key comes out.
        let result = unsafe { lc::EVP_PKEY_get_raw_public_key(self.0.as_ptr(), raw.as_mut_ptr(), &raw mut length) };
        raw.truncate(length);
        succeeded(result).then_some(raw)
    }

    /// The private key in the form of its own algorithm: RSAPrivateKey (RFC 8017) or ECPrivateKey (RFC 5915).
    pub(super) fn to_traditional(&self) -> Option<Zeroizing<Vec<u8>>> {
        if let Some(rsa) = self.rsa() {
            // SAFETY: as for `to_pkcs8`.
            return marshal(|builder| unsafe { lc::RSA_marshal_private_key(builder, rsa.as_ptr()) });
        }
        let ec = self.ec()?;
        // SAFETY: as for `to_pkcs8`.
        marshal(|builder| unsafe { lc::EC_KEY_marshal_private_key(builder, ec.as_ptr(), 0) })
    }

    /// Signs a digest by ECDSA; the result is an ASN.1 ECDSA-Sig-Value (RFC 3279).
    pub(super) fn sign_ecdsa(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let ec = self.ec()?;
        let mut signature = vec![0; MAX_SIGNATURE_BYTES];
        let mut length: c_uint = 0;
        // SAFETY: the longest signature (`ECDSA_size`) of the curves that a key can have fits the buffer.
        let result = unsafe {
            if lc::ECDSA_size(ec.as_ptr()) > signature.len() {
                return None;
            }
            lc::ECDSA_sign(0, digest.as_ptr(), digest.len(), signature.as_mut_ptr(), &raw mut length, ec.as_ptr())
        };
        signature.truncate(usize::try_from(length).ok()?);
        succeeded(result).then_some(signature)
    }

    /// Whether an ASN.1 signature is one of a digest.
    pub(super) fn verify_ecdsa(&self, digest: &[u8], signature: &[u8]) -> bool {
        let Some(ec) = self.ec() else { return false };
        // SAFETY: slices with their lengths, and a valid key.
        succeeded(unsafe {
            lc::ECDSA_verify(0, digest.as_ptr(), digest.len(), signature.as_ptr(), signature.len(), ec.as_ptr())
        })
    }

    /// Signs a digest by RSA. Without a hash function the digest is padded as it is, by PKCS #1 v1.5 only.
    pub(super) fn sign_rsa(&self, padding: Padding, hash: HashAlgorithm, digest: &[u8]) -> Option<Vec<u8>> {
        let rsa = self.rsa()?.as_ptr();
        let (nid, md) = message_digest(hash);
        let mut signature = vec![0; MAX_SIGNATURE_BYTES];
        let (out, room, data, size) = (signature.as_mut_ptr(), signature.len(), digest.as_ptr(), digest.len());
        let (mut length, mut short): (usize, c_uint) = (0, 0);
        // SAFETY: a signature is as long as the modulus, which is checked against the buffer; slices with their lengths.
        let result = unsafe {
            if lc::RSA_size(rsa) as usize > room {
                return None;
            }
            match padding {
                Padding::Pss(_) if md.is_null() => 0,
                Padding::Pss(salt) => lc::RSA_sign_pss_mgf1(rsa, &raw mut length, out, room, data, size, md, md, salt),
                Padding::Pkcs1 if md.is_null() => {
                    lc::RSA_sign_raw(rsa, &raw mut length, out, room, data, size, lc::RSA_PKCS1_PADDING)
                }
                Padding::Pkcs1 => {
                    let result = lc::RSA_sign(nid, data, size, out, &raw mut short, rsa);
                    length = short as usize;
                    result
                }
            }
        };
        signature.truncate(length);
        succeeded(result).then_some(signature)
    }

    /// Whether a signature is one of a digest by RSA.
    pub(super) fn verify_rsa(&self, padding: Padding, hash: HashAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
        let Some(rsa) = self.rsa().map(NonNull::as_ptr) else { return false };
        let (nid, md) = message_digest(hash);
        let (data, size, sent, sent_size) = (digest.as_ptr(), digest.len(), signature.as_ptr(), signature.len());
        // SAFETY: slices with their lengths, and a valid key.
        let result = unsafe {
            match padding {
                Padding::Pss(_) if md.is_null() => 0,
                Padding::Pss(salt) => lc::RSA_verify_pss_mgf1(rsa, data, size, md, md, salt, sent, sent_size),
                Padding::Pkcs1 if md.is_null() => {
                    let (mut message, mut length) = (vec![0; MAX_SIGNATURE_BYTES], 0);
                    let (out, room, kind) = (message.as_mut_ptr(), message.len(), lc::RSA_PKCS1_PADDING);
                    let result = lc::RSA_verify_raw(rsa, &raw mut length, out, room, sent, sent_size, kind);
                    c_int::from(result == 1 && message[..length] == *digest)
                }
                Padding::Pkcs1 => lc::RSA_verify(nid, data, size, sent, sent_size, rsa),
            }
        };
        succeeded(result)
    }
}
