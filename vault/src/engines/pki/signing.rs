//! Keys of authorities and leaves, and how they sign.
//!
//! A key is kept in PKCS #8, whatever its kind. What surprises: a new RSA key is made beside the requests ([`crate::errand`]), but one
//! signature is made at once: it takes few milliseconds at most, and what it signs holds the time, so two runs of a request would
//! ask for two.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};
use zeroize::Zeroizing;

use super::oid::{self, Arcs};
use crate::context::Context;
use crate::engines::algorithm::KeyType;
use crate::engines::hash::HashAlgorithm;
use crate::engines::native::{NativeKey, Padding};
use crate::engines::pairs;
use crate::error::Error;

/// Fewest bits of an RSA key (NIST SP 800-57, part 1).
const MIN_RSA_BITS: u32 = 2048;
/// Most bits of an RSA key.
const MAX_RSA_BITS: u32 = 8192;
/// Smallest public exponent of an RSA key that others made.
const MIN_RSA_EXPONENT: u64 = 65_537;
/// PKCS #8 of an Ed25519 key, but for its seed (RFC 8410, section 7).
const ED25519_PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// SubjectPublicKeyInfo of an Ed25519 key, but for the key (RFC 8410, section 4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The kind of a key. The numbers are part of the disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum PkiKeyKind {
    /// RSA (RFC 8017).
    Rsa = 0,
    /// ECDSA on P-256, P-384 or P-521 (FIPS 186-5).
    Ec = 1,
    /// Ed25519 (RFC 8032).
    Ed25519 = 2,
}

impl PkiKeyKind {
    /// Its name in the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ec => "ec",
            Self::Ed25519 => "ed25519",
        }
    }

    fn named(name: &str) -> Result<Self, Error> {
        let known = [Self::Rsa, Self::Ec, Self::Ed25519];
        let found = known.into_iter().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| Error::invalid(format!("unknown key type {name}")))
    }
}

/// A kind of keys and their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyShape {
    pub(super) kind: PkiKeyKind,
    /// Bits of the modulus or the curve; 0 of Ed25519.
    pub(super) bits: u32,
}

impl KeyShape {
    /// What fields ask for; 0 bits are the usual ones of the kind.
    pub(super) fn asked(kind: &str, bits: i64) -> Result<Self, Error> {
        let kind = PkiKeyKind::named(kind)?;
        let bits = match (kind, bits) {
            (PkiKeyKind::Ed25519, _) => 0,
            (PkiKeyKind::Rsa, 0) => MIN_RSA_BITS,
            (PkiKeyKind::Rsa, bits @ (2048 | 3072 | 4096)) => bits.unsigned_abs() as u32,
            (PkiKeyKind::Rsa, bits) if bits < i64::from(MIN_RSA_BITS) => {
                return Err(Error::invalid(format!("RSA keys < 2048 bits are unsafe and not supported: got {bits}")));
            }
            (PkiKeyKind::Rsa, bits) => {
                return Err(Error::invalid(format!(
                    "unsupported bit length for RSA key: {bits}; use 2048, 3072 or 4096"
                )));
            }
            (PkiKeyKind::Ec, 0) => 256,
            (PkiKeyKind::Ec, bits @ (256 | 384 | 521)) => bits.unsigned_abs() as u32,
            (PkiKeyKind::Ec, bits) => return Err(Error::invalid(format!("unsupported bit length for EC key: {bits}"))),
        };
        Ok(Self { kind, bits })
    }

    /// What a public key is, as SubjectPublicKeyInfo. Keys that are too weak are refused.
    pub(super) fn of_public(spki: &[u8]) -> Result<Self, Error> {
        let unknown = || Error::invalid("the public key is none of RSA, P-256, P-384, P-521 or Ed25519");
        let (rest, info) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| unknown())?;
        if !rest.is_empty() {
            return Err(unknown());
        }
        if info.algorithm.algorithm.to_id_string() == "1.3.101.112" {
            return Ok(Self { kind: PkiKeyKind::Ed25519, bits: 0 });
        }
        match info.parsed() {
            Ok(PublicKey::RSA(key)) => Self::of_rsa(key.modulus, key.try_exponent().unwrap_or(0), spki),
            Ok(PublicKey::EC(_)) => {
                let curve = match NativeKey::from_public(spki).and_then(|key| key.key_type()) {
                    Some(KeyType::EcdsaP256) => 256,
                    Some(KeyType::EcdsaP384) => 384,
                    Some(KeyType::EcdsaP521) => 521,
                    _ => return Err(unknown()),
                };
                Ok(Self { kind: PkiKeyKind::Ec, bits: curve })
            }
            _ => Err(unknown()),
        }
    }

    fn of_rsa(modulus: &[u8], exponent: u64, spki: &[u8]) -> Result<Self, Error> {
        let modulus = &modulus[modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len())..];
        let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
        let bits = u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX).saturating_sub(unused);
        if bits < MIN_RSA_BITS {
            return Err(Error::invalid("RSA keys < 2048 bits are unsafe and not supported"));
        }
        if bits > MAX_RSA_BITS {
            return Err(Error::invalid("RSA keys have at most 8192 bits"));
        }
        if exponent < MIN_RSA_EXPONENT || exponent.is_multiple_of(2) || NativeKey::from_public(spki).is_none() {
            return Err(Error::invalid("the RSA key is unsafe: its exponent must be odd and at least 65537"));
        }
        Ok(Self { kind: PkiKeyKind::Rsa, bits })
    }
}

/// A pair as it is stored. Has no `Debug`: it is a secret.
pub(super) struct KeyPair {
    /// PKCS #8.
    pub(super) secret: Zeroizing<Vec<u8>>,
    /// SubjectPublicKeyInfo.
    pub(super) public: Vec<u8>,
    pub(super) shape: KeyShape,
}

impl KeyPair {
    /// A new pair. For RSA the run ends here: it is made beside the requests; `purpose` tells several pairs of a request apart.
    pub(super) fn generate(context: &mut Context<'_>, shape: KeyShape, purpose: &str) -> Result<Self, Error> {
        let failed = || Error::internal("a key could not be made");
        let (secret, public) = match shape.kind {
            PkiKeyKind::Rsa => pairs::ask_rsa_pair(context, shape.bits, purpose)?,
            PkiKeyKind::Ed25519 => {
                let seed = Zeroizing::new(context.bytes::<32>());
                return Self::from_seed(&seed).ok_or_else(failed);
            }
            PkiKeyKind::Ec => {
                let curve = match shape.bits {
                    384 => KeyType::EcdsaP384,
                    521 => KeyType::EcdsaP521,
                    _ => KeyType::EcdsaP256,
                };
                let key = NativeKey::derive(curve, &Zeroizing::new(context.bytes::<64>())).ok_or_else(failed)?;
                pairs::encoded(&key)?
            }
        };
        Ok(Self { secret: Zeroizing::new(secret), public, shape })
    }

    fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Self::from_pkcs8(Zeroizing::new([ED25519_PKCS8.as_slice(), seed].concat()))
    }

    /// A pair that others made, in PKCS #8; `None` if it is none of the kinds or too weak.
    pub(super) fn from_pkcs8(secret: Zeroizing<Vec<u8>>) -> Option<Self> {
        let public = match NativeKey::from_pkcs8(&secret) {
            Some(key) if key.key_type() == Some(KeyType::Ed25519) => {
                [ED25519_SPKI.as_slice(), &key.to_raw_public()?].concat()
            }
            Some(key) => key.to_public()?,
            None => return None,
        };
        let shape = KeyShape::of_public(&public).ok()?;
        Some(Self { secret, public, shape })
    }

    /// The private key in PEM: in the form of its algorithm, or in PKCS #8.
    pub(super) fn private_pem(&self, is_pkcs8: bool) -> Result<Zeroizing<String>, Error> {
        let (label, der) = self.private_der(is_pkcs8)?;
        let text = Zeroizing::new(pairs::pem(label, &der));
        Ok(Zeroizing::new(text.trim_end().to_owned()))
    }

    /// The private key in DER, and what its PEM is called.
    pub(super) fn private_der(&self, is_pkcs8: bool) -> Result<(&'static str, Zeroizing<Vec<u8>>), Error> {
        if is_pkcs8 || self.shape.kind == PkiKeyKind::Ed25519 {
            return Ok(("PRIVATE KEY", self.secret.clone()));
        }
        let label = if self.shape.kind == PkiKeyKind::Rsa { "RSA PRIVATE KEY" } else { "EC PRIVATE KEY" };
        let der = NativeKey::from_pkcs8(&self.secret).and_then(|key| key.to_traditional());
        Ok((label, der.ok_or_else(|| Error::internal("a stored key does not parse"))?))
    }
}

/// A signature algorithm of X.509.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureAlgorithm {
    Rsa(HashAlgorithm),
    RsaPss(HashAlgorithm),
    Ecdsa(HashAlgorithm),
    Ed25519,
}

/// Each algorithm and the name that clients know it by.
const NAMES: [(SignatureAlgorithm, &str); 10] = [
    (SignatureAlgorithm::Rsa(HashAlgorithm::Sha256), "SHA256WithRSA"),
    (SignatureAlgorithm::Rsa(HashAlgorithm::Sha384), "SHA384WithRSA"),
    (SignatureAlgorithm::Rsa(HashAlgorithm::Sha512), "SHA512WithRSA"),
    (SignatureAlgorithm::RsaPss(HashAlgorithm::Sha256), "SHA256WithRSAPSS"),
    (SignatureAlgorithm::RsaPss(HashAlgorithm::Sha384), "SHA384WithRSAPSS"),
    (SignatureAlgorithm::RsaPss(HashAlgorithm::Sha512), "SHA512WithRSAPSS"),
    (SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256), "ECDSAWithSHA256"),
    (SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha384), "ECDSAWithSHA384"),
    (SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha512), "ECDSAWithSHA512"),
    (SignatureAlgorithm::Ed25519, "Ed25519"),
];

impl SignatureAlgorithm {
    /// What keys of a shape sign with; 0 bits are what fits the key.
    pub(super) fn of(shape: KeyShape, signature_bits: u32, use_pss: bool) -> Self {
        let hash = match (signature_bits, shape.bits) {
            (384, _) => HashAlgorithm::Sha384,
            (512, _) => HashAlgorithm::Sha512,
            (256, _) => HashAlgorithm::Sha256,
            (_, 384) => HashAlgorithm::Sha384,
            (_, 521) => HashAlgorithm::Sha512,
            _ => HashAlgorithm::Sha256,
        };
        match shape.kind {
            PkiKeyKind::Rsa if use_pss => Self::RsaPss(hash),
            PkiKeyKind::Rsa => Self::Rsa(hash),
            PkiKeyKind::Ec => Self::Ecdsa(hash),
            PkiKeyKind::Ed25519 => Self::Ed25519,
        }
    }

    /// The algorithm of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(algorithm, _)| *algorithm)
    }

    /// Its name.
    pub(super) fn as_str(self) -> &'static str {
        NAMES.iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }

    /// Whether keys of a kind can sign with it.
    pub(super) fn fits(self, kind: PkiKeyKind) -> bool {
        match self {
            Self::Rsa(_) | Self::RsaPss(_) => kind == PkiKeyKind::Rsa,
            Self::Ecdsa(_) => kind == PkiKeyKind::Ec,
            Self::Ed25519 => kind == PkiKeyKind::Ed25519,
        }
    }

    /// Writes its AlgorithmIdentifier (RFC 4055, RFC 5758, RFC 8410).
    pub(super) fn write(self, writer: DERWriter<'_>) {
        let plain = |writer: DERWriter<'_>, arcs: Arcs, has_null: bool| {
            writer.write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(arcs));
                if has_null {
                    writer.next().write_null();
                }
            });
        };
        match self {
            Self::Rsa(HashAlgorithm::Sha384) => plain(writer, oid::RSA_SHA384, true),
            Self::Rsa(HashAlgorithm::Sha512) => plain(writer, oid::RSA_SHA512, true),
            Self::Rsa(_) => plain(writer, oid::RSA_SHA256, true),
            Self::Ecdsa(HashAlgorithm::Sha384) => plain(writer, oid::ECDSA_SHA384, false),
            Self::Ecdsa(HashAlgorithm::Sha512) => plain(writer, oid::ECDSA_SHA512, false),
            Self::Ecdsa(_) => plain(writer, oid::ECDSA_SHA256, false),
            Self::Ed25519 => plain(writer, oid::ED25519, false),
            Self::RsaPss(hash) => write_pss(writer, hash),
        }
    }
}

/// RSASSA-PSS with its parameters (RFC 4055, section 3.1): the hash, MGF1 with the same, and a salt as long as it.
fn write_pss(writer: DERWriter<'_>, hash: HashAlgorithm) {
    let arcs = match hash {
        HashAlgorithm::Sha384 => oid::SHA384,
        HashAlgorithm::Sha512 => oid::SHA512,
        _ => oid::SHA256,
    };
    let write_hash = |writer: DERWriter<'_>| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(arcs));
            writer.next().write_null();
        });
    };
    writer.write_sequence(|writer| {
        writer.next().write_oid(&ObjectIdentifier::from_slice(oid::RSA_PSS));
        writer.next().write_sequence(|writer| {
            writer.next().write_tagged(Tag::context(0), write_hash);
            writer.next().write_tagged(Tag::context(1), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(oid::MGF1));
                    write_hash(writer.next());
                });
            });
            writer.next().write_tagged(Tag::context(2), |writer| writer.write_u64(hash.bytes() as u64));
        });
    });
}

/// Signs what it is given with a key in PKCS #8.
pub(super) fn sign(secret: &[u8], algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = || Error::internal("a stored key does not sign");
    if algorithm == SignatureAlgorithm::Ed25519 {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(secret).map_err(|_| failed())?;
        return Ok(pair.sign(message).as_ref().to_vec());
    }
    let key = NativeKey::from_pkcs8(secret).ok_or_else(failed)?;
    let signature = match algorithm {
        SignatureAlgorithm::Rsa(hash) => key.sign_rsa(Padding::Pkcs1, hash, &hash.digest(message)),
        SignatureAlgorithm::RsaPss(hash) => key.sign_rsa(Padding::Pss(-1), hash, &hash.digest(message)),
        SignatureAlgorithm::Ecdsa(hash) => key.sign_ecdsa(&hash.digest(message)),
        SignatureAlgorithm::Ed25519 => None,
    };
    signature.ok_or_else(failed)
}

/// Whether a signature of X.509 is one by a key, as SubjectPublicKeyInfo. Algorithms with SHA-1 and older are not.
pub(super) fn verify(spki: &[u8], algorithm: &AlgorithmIdentifier<'_>, message: &[u8], signature: &[u8]) -> bool {
    let name = algorithm.algorithm.to_id_string();
    if name == "1.3.101.112" {
        let Ok((_, info)) = SubjectPublicKeyInfo::from_der(spki) else { return false };
        return UnparsedPublicKey::new(&ED25519, &info.subject_public_key.data).verify(message, signature).is_ok();
    }
    let Some(key) = NativeKey::from_public(spki) else { return false };
    let hash = match name.as_str() {
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => HashAlgorithm::Sha256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => HashAlgorithm::Sha384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => HashAlgorithm::Sha512,
        "1.2.840.113549.1.1.10" => {
            // The parameters say which; a signature by another does not verify.
            return [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
                .into_iter()
                .any(|hash| key.verify_rsa(Padding::Pss(-2), hash, &hash.digest(message), signature));
        }
        _ => return false,
    };
    match name.starts_with("1.2.840.10045.") {
        true => key.verify_ecdsa(&hash.digest(message), signature),
        false => key.verify_rsa(Padding::Pkcs1, hash, &hash.digest(message), signature),
    }
}

/// The bits of a public key, without what they are of.
pub(super) fn key_bits(spki: &[u8]) -> Vec<u8> {
    SubjectPublicKeyInfo::from_der(spki).map(|(_, info)| info.subject_public_key.data.to_vec()).unwrap_or_default()
}

/// The identifier of a public key: SHA-1 of its bits (RFC 5280, section 4.2.1.2, method 1).
pub(super) fn key_id(spki: &[u8]) -> Vec<u8> {
    HashAlgorithm::Sha1.digest(&key_bits(spki))
}
