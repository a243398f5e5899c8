//! Signing keys of tokens: made, used, and shown as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
//!
//! Making one draws randomness of the library's own and takes long for RSA, so it is a computation that the node does beside
//! the requests ([`crate::errand`]). A signature takes a millisecond at most; that of ECDSA draws randomness too, which no
//! record sees.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use crate::context::Context;
use crate::errand::Computation;
use crate::error::Error;
use crate::jose::algorithm::JwsAlgorithm;

/// What tokens can be signed with here, as discovery lists it.
pub(super) const ALGORITHMS: [JwsAlgorithm; 7] = [
    JwsAlgorithm::Rs256,
    JwsAlgorithm::Rs384,
    JwsAlgorithm::Rs512,
    JwsAlgorithm::Es256,
    JwsAlgorithm::Es384,
    JwsAlgorithm::Es512,
    JwsAlgorithm::EdDsa,
];

/// A key pair as it is stored. Wiped when it is dropped.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct JwkPairRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// Its name in the header of a token.
    #[prost(string, tag = "2")]
    pub(super) algorithm: String,
    /// PKCS #8, DER.
    #[prost(bytes = "vec", tag = "3")]
    private: Vec<u8>,
    /// RSA: `RSAPublicKey`, DER (RFC 8017, appendix A.1.1). EC: the point, uncompressed. Ed25519: 32 bytes.
    #[prost(bytes = "vec", tag = "4")]
    public: Vec<u8>,
}

impl Drop for JwkPairRecord {
    fn drop(&mut self) {
        self.private.zeroize();
    }
}

/// What tokens can be signed with here, by its name.
pub(super) fn algorithm_named(name: &str) -> Option<JwsAlgorithm> {
    JwsAlgorithm::parse(name).filter(|algorithm| ALGORITHMS.contains(algorithm))
}

fn rsa(algorithm: JwsAlgorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        JwsAlgorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        JwsAlgorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        JwsAlgorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        _ => return None,
    })
}

fn ec(algorithm: JwsAlgorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    Some(match algorithm {
        JwsAlgorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        JwsAlgorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        JwsAlgorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        _ => return None,
    })
}

impl JwkPairRecord {
    /// A new pair; ends the run as [`Context::ask_computation`] does.
    pub(super) fn generate(context: &mut Context<'_>, algorithm: JwsAlgorithm, purpose: &str) -> Result<Self, Error> {
        // Two pairs of one request are two computations, because their bytes differ.
        let id = context.lasting_bytes(purpose)?;
        let input = [algorithm.as_str().as_bytes(), b"\0", &id].concat();
        let made = context.ask_computation(Computation { name: "identity key", work: generate, input })?;
        let mut pair = Self::decode(made.as_slice()).map_err(|error| Error::internal(error.to_string()))?;
        pair.id = uuid_of(&id);
        Ok(pair)
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let algorithm = algorithm_named(&self.algorithm).ok_or_else(|| failed("no such algorithm"))?;
        let random = SystemRandom::new();
        if let Some(curve) = ec(algorithm) {
            let key = EcdsaKeyPair::from_pkcs8(curve, &self.private).map_err(failed)?;
            return Ok(key.sign(&random, message).map_err(failed)?.as_ref().to_vec());
        }
        let Some(encoding) = rsa(algorithm) else {
            return Ok(Ed25519KeyPair::from_pkcs8(&self.private).map_err(failed)?.sign(message).as_ref().to_vec());
        };
        let key = RsaKeyPair::from_pkcs8(&self.private).map_err(failed)?;
        let mut signed = vec![0; key.public_modulus_len()];
        key.sign(encoding, &random, message, &mut signed).map_err(failed)?;
        Ok(signed)
    }

    /// Whether a signature is this pair's of a message.
    pub(super) fn verifies(&self, message: &[u8], signed: &[u8]) -> bool {
        let Some(algorithm) = algorithm_named(&self.algorithm) else { return false };
        UnparsedPublicKey::new(algorithm.verification(), &self.public).verify(message, signed).is_ok()
    }

    /// The same without its private half.
    pub(super) fn public_half(&self) -> Self {
        Self {
            id: self.id.clone(),
            algorithm: self.algorithm.clone(),
            private: Vec::new(),
            public: self.public.clone(),
        }
    }

    /// As clients read it.
    pub(super) fn to_jwk(&self) -> Result<Value, Error> {
        let mut jwk = match algorithm_named(&self.algorithm) {
            Some(JwsAlgorithm::EdDsa) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(&self.public) }),
            Some(algorithm) if ec(algorithm).is_some() => {
                let half = self.public.len().saturating_sub(1) / 2;
                let (x, y) = self.public.get(1..).unwrap_or_default().split_at(half);
                let curve = match algorithm {
                    JwsAlgorithm::Es256 => "P-256",
                    JwsAlgorithm::Es384 => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            _ => {
                let (n, e) = rsa_numbers(&self.public).ok_or_else(|| Error::internal("a signing key is damaged"))?;
                json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) })
            }
        };
        jwk["use"] = "sig".into();
        jwk["kid"] = self.id.clone().into();
        jwk["alg"] = self.algorithm.clone().into();
        Ok(jwk)
    }
}

/// Base 64 as tokens have it (RFC 7515, section 2).
pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A UUID out of random bytes, version 4 (RFC 9562, section 5.4).
fn uuid_of(bytes: &[u8; 32]) -> String {
    let mut bytes = *bytes;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

fn failed(what: impl std::fmt::Display) -> Error {
    Error::internal(format!("a signing key: {what}"))
}

/// Makes a pair: the input is the algorithm's name and bytes that tell this pair from others.
fn generate(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let name = input.split(|byte| *byte == 0).next().unwrap_or_default();
    let algorithm = std::str::from_utf8(name).ok().and_then(algorithm_named);
    let algorithm = algorithm.ok_or_else(|| failed("no such algorithm"))?;
    let (private, public) = if let Some(curve) = ec(algorithm) {
        let pair = EcdsaKeyPair::generate(curve).map_err(failed)?;
        (pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(), pair.public_key().as_ref().to_vec())
    } else if rsa(algorithm).is_some() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let private: Pkcs8V1Der<'static> = pair.as_der().map_err(failed)?;
        (private.as_ref().to_vec(), pair.public_key().as_ref().to_vec())
    } else {
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        (pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(), pair.public_key().as_ref().to_vec())
    };
    let pair = JwkPairRecord { id: String::new(), algorithm: algorithm.as_str().to_owned(), private, public };
    Ok(Zeroizing::new(pair.encode_to_vec()))
}

/// Modulus and exponent of an `RSAPublicKey`, which the library wrote: a sequence of two positive integers (DER, X.690).
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = element(der, 0x30)?;
    let (modulus, sequence) = element(sequence, 0x02)?;
    let (exponent, end) = element(sequence, 0x02)?;
    (rest.is_empty() && end.is_empty()).then_some((unpadded(modulus), unpadded(exponent)))
}

/// Content of an element with a tag, and what comes behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(*short), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    (*head == tag && length <= rest.len()).then(|| rest.split_at(length))
}

/// A positive integer without the zero byte in front that keeps it positive.
fn unpadded(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(algorithm: JwsAlgorithm) -> JwkPairRecord {
        let input = [algorithm.as_str().as_bytes(), b"\0", &[7; 32]].concat();
        JwkPairRecord::decode(generate(&input).unwrap().as_slice()).unwrap()
    }

    #[test]
    fn what_a_pair_signs_it_alone_verifies() {
        for algorithm in ALGORITHMS {
            let (own, other) = (pair(algorithm), pair(algorithm));
            let signed = own.sign(b"message").unwrap();
            assert!(own.public_half().verifies(b"message", &signed), "{algorithm:?}");
            assert!(!own.verifies(b"massage", &signed) && !other.verifies(b"message", &signed), "{algorithm:?}");
        }
    }

    #[test]
    fn a_pair_is_shown_without_its_private_half() {
        for (algorithm, members) in [
            (JwsAlgorithm::Rs256, &["alg", "e", "kid", "kty", "n", "use"][..]),
            (JwsAlgorithm::Es512, &["alg", "crv", "kid", "kty", "use", "x", "y"]),
            (JwsAlgorithm::EdDsa, &["alg", "crv", "kid", "kty", "use", "x"]),
        ] {
            let jwk = pair(algorithm).to_jwk().unwrap();
            let mut shown: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            shown.sort_unstable();
            assert_eq!(shown, members, "{algorithm:?}");
        }
        assert_eq!(pair(JwsAlgorithm::Rs256).to_jwk().unwrap()["e"], "AQAB");
    }

    #[test]
    fn what_is_no_public_key_has_no_numbers() {
        let own = pair(JwsAlgorithm::Rs256).public.clone();
        assert!(rsa_numbers(&own).is_some());
        for damaged in [&own[..own.len() - 1], &own[1..], &[own.as_slice(), &[0]].concat(), &[], &[0x30, 0x84]] {
            assert!(rsa_numbers(damaged).is_none());
        }
    }
}
