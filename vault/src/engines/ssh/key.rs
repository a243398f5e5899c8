//! Keys of authorities, and those that are issued: made, read as clients bring them, and used. AWS-LC makes and uses them, the formats
//! are those of `ssh-key`. Here a private key is PKCS #8.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
};
use ssh_encoding::Encode;
use ssh_encoding::pem::{self, LineEnding};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData, RsaKeypair};
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Mpint, PrivateKey, Signature};
use x509_parser::asn1_rs::{Any, FromDer, Integer, OctetString, Sequence};
use x509_parser::num_bigint::BigUint;
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::errand::Computation;
use crate::error::Error;

/// Longest private key that is read, in bytes.
const MAX_PRIVATE_KEY_BYTES: usize = 32 << 10;

/// Each curve, and how it signs (RFC 5656, section 6.2.1).
static CURVES: [(EcdsaCurve, &EcdsaSigningAlgorithm); 3] = [
    (EcdsaCurve::NistP256, &ECDSA_P256_SHA256_FIXED_SIGNING),
    (EcdsaCurve::NistP384, &ECDSA_P384_SHA384_FIXED_SIGNING),
    (EcdsaCurve::NistP521, &ECDSA_P521_SHA512_FIXED_SIGNING),
];

/// What kind of pair to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairKind {
    Ed25519,
    Ecdsa(EcdsaCurve),
    /// With so many bits.
    Rsa(u32),
}

impl PairKind {
    /// The kind that a client asks for; 0 bits are the usual ones.
    pub(super) fn named(key_type: &str, bits: i64) -> Result<Self, Error> {
        let curve = match key_type {
            "ed25519" | "ssh-ed25519" => return Self::of_bits(bits, &[(256, Self::Ed25519)]),
            "rsa" | "ssh-rsa" => {
                let sizes = [4096, 3072, 2048].map(|bits| (i64::from(bits), Self::Rsa(bits)));
                return Self::of_bits(bits, &sizes);
            }
            "ec" | "ecdsa" => {
                use EcdsaCurve::{NistP256, NistP384, NistP521};
                let curves = [(256, NistP256), (384, NistP384), (521, NistP521)];
                return Self::of_bits(bits, &curves.map(|(bits, curve)| (bits, Self::Ecdsa(curve))));
            }
            "ecdsa-sha2-nistp256" => (256, EcdsaCurve::NistP256),
            "ecdsa-sha2-nistp384" => (384, EcdsaCurve::NistP384),
            "ecdsa-sha2-nistp521" => (521, EcdsaCurve::NistP521),
            _ => return Err(Error::invalid("unknown ssh key pair algorithm; use ed25519, ec or rsa")),
        };
        Self::of_bits(bits, &[(curve.0, Self::Ecdsa(curve.1))])
    }

    fn of_bits(bits: i64, known: &[(i64, Self)]) -> Result<Self, Error> {
        let found = known.iter().find(|(size, _)| *size == bits || bits == 0).map(|(_, kind)| *kind);
        found.ok_or_else(|| {
            let sizes: Vec<String> = known.iter().map(|(size, _)| size.to_string()).collect();
            Error::invalid(format!("key_bits of this key_type must be 0 or one of {}", sizes.join(", ")))
        })
    }

    /// Its number in what [`make`] is computed from.
    fn code(self) -> u32 {
        match self {
            Self::Ed25519 => 0,
            Self::Ecdsa(EcdsaCurve::NistP256) => 256,
            Self::Ecdsa(EcdsaCurve::NistP384) => 384,
            Self::Ecdsa(EcdsaCurve::NistP521) => 521,
            Self::Rsa(bits) => bits,
        }
    }

    /// A new pair; ends the run as [`Context::ask_computation`] does, since RSA takes long and AWS-LC draws by itself.
    pub(super) fn make(self, context: &mut Context<'_>) -> Result<SigningKey, Error> {
        let input = self.code().to_be_bytes().to_vec();
        let made = context.ask_computation(Computation { name: "ssh pair", work: make, input })?;
        SigningKey::from_pkcs8(&made).ok_or_else(failed)
    }
}

fn failed() -> Error {
    Error::internal("an SSH key could not be made or used")
}

fn make(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let code = input.first_chunk().map(|code| u32::from_be_bytes(*code)).ok_or_else(failed)?;
    let size = match code {
        0 => return SigningKey::Ed25519(Ed25519KeyPair::generate().map_err(|_| failed())?).to_pkcs8(),
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => {
            let is_meant = |(curve, _): &&(EcdsaCurve, _)| PairKind::Ecdsa(*curve).code() == code;
            let (curve, algorithm) = CURVES.iter().find(is_meant).ok_or_else(failed)?;
            let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| failed())?;
            return SigningKey::Ecdsa(*curve, pair).to_pkcs8();
        }
    };
    SigningKey::Rsa(RsaKeyPair::generate(size).map_err(|_| failed())?).to_pkcs8()
}

/// A private key. Has no `Debug`.
pub(super) enum SigningKey {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaCurve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Some(Self::Ed25519(pair));
        }
        let ecdsa = CURVES.iter().find_map(|(curve, algorithm)| {
            EcdsaKeyPair::from_pkcs8(algorithm, der).ok().map(|pair| Self::Ecdsa(*curve, pair))
        });
        ecdsa.or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Self::Rsa))
    }

    /// Reads a private key as clients bring it: OpenSSH's own format, or PKCS #8, PKCS #1 or SEC 1 in PEM.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let refused = || {
            Error::invalid(
                "failed to parse private_key: it must be one key of ed25519, ECDSA or RSA (2048 bits or more), in OpenSSH's \
                 format or PEM, without a passphrase",
            )
        };
        if text.len() > MAX_PRIVATE_KEY_BYTES {
            return Err(Error::invalid(format!("private_key has at most {MAX_PRIVATE_KEY_BYTES} bytes")));
        }
        let text = text.trim();
        let parsed = match text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
            true => PrivateKey::from_openssh(text).ok().and_then(|key| Self::from_openssh(key.key_data())),
            false => Self::from_pem(text),
        };
        parsed.ok_or_else(refused)
    }

    fn from_openssh(data: &KeypairData) -> Option<Self> {
        match data {
            KeypairData::Ed25519(pair) => {
                let seed = Zeroizing::new(pair.private.to_bytes());
                Ed25519KeyPair::from_seed_and_public_key(seed.as_slice(), &pair.public.0).ok().map(Self::Ed25519)
            }
            KeypairData::Ecdsa(pair) => {
                let (curve, algorithm) = CURVES.iter().find(|(curve, _)| *curve == pair.curve())?;
                let (private, public) = (pair.private_key_bytes(), pair.public_key_bytes());
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public).ok()?;
                Some(Self::Ecdsa(*curve, pair))
            }
            KeypairData::Rsa(pair) => from_rsa_numbers(pair).map(Self::Rsa),
            _ => None,
        }
    }

    fn from_pem(text: &str) -> Option<Self> {
        let block = Pem::iter_from_buffer(text.as_bytes()).next()?.ok()?;
        let (label, der) = (block.label, Zeroizing::new(block.contents));
        match label.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(&der),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok().map(Self::Rsa),
            "EC PRIVATE KEY" => CURVES.iter().find_map(|(curve, algorithm)| {
                EcdsaKeyPair::from_private_key_der(algorithm, &der).ok().map(|pair| Self::Ecdsa(*curve, pair))
            }),
            _ => None,
        }
    }

    /// As it is stored.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let bytes = match self {
            Self::Ed25519(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Self::Ecdsa(_, pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Self::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|der| der.as_ref().to_vec()),
        };
        bytes.map(Zeroizing::new).map_err(|_| failed())
    }

    /// As `issue` hands it out: OpenSSH's format for Ed25519, PEM of their own for the others.
    pub(super) fn to_text(&self) -> Result<Zeroizing<String>, Error> {
        match self {
            Self::Ed25519(pair) => {
                let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| failed())?;
                let private = Ed25519PrivateKey::try_from(seed.as_ref()).map_err(|_| failed())?;
                let public = Ed25519PublicKey::try_from(pair.public_key().as_ref()).map_err(|_| failed())?;
                let key = PrivateKey::from(Ed25519Keypair { public, private });
                key.to_openssh(LineEnding::LF).map_err(|_| failed())
            }
            Self::Ecdsa(_, pair) => {
                let der = pair.private_key().as_der().map_err(|_| failed())?;
                to_pem("EC PRIVATE KEY", der.as_ref())
            }
            Self::Rsa(_) => to_pem("RSA PRIVATE KEY", inner_key(&self.to_pkcs8()?).ok_or_else(failed)?.as_slice()),
        }
    }

    /// Its public half.
    pub(super) fn public(&self) -> Result<KeyData, Error> {
        let data = match self {
            Self::Ed25519(pair) => Ed25519PublicKey::try_from(pair.public_key().as_ref()).ok().map(KeyData::Ed25519),
            Self::Ecdsa(_, pair) => {
                EcdsaPublicKey::from_sec1_bytes(pair.public_key().as_ref()).ok().map(KeyData::Ecdsa)
            }
            Self::Rsa(pair) => rsa_public(pair.public_key().as_ref()),
        };
        data.ok_or_else(failed)
    }

    /// Signs. What is signed with RSA is hashed with SHA-2 always (RFC 8332); the others have a hash of their own.
    pub(super) fn sign(&self, rsa_hash: HashAlg, message: &[u8]) -> Result<Signature, Error> {
        let random = SystemRandom::new();
        let (algorithm, bytes) = match self {
            Self::Ed25519(pair) => (Algorithm::Ed25519, pair.sign(message).as_ref().to_vec()),
            Self::Ecdsa(curve, pair) => {
                let signature = pair.sign(&random, message).map_err(|_| failed())?;
                (Algorithm::Ecdsa { curve: *curve }, ecdsa_blob(signature.as_ref()).ok_or_else(failed)?)
            }
            Self::Rsa(pair) => {
                let padding = if rsa_hash == HashAlg::Sha512 { &RSA_PKCS1_SHA512 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map_err(|_| failed())?;
                (Algorithm::Rsa { hash: Some(rsa_hash) }, signature)
            }
        };
        Signature::new(algorithm, bytes).map_err(|_| failed())
    }
}

/// Both halves of a signature as SSH has them (RFC 5656, section 3.1.2).
fn ecdsa_blob(halves: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = halves.split_at(halves.len() / 2);
    let mut blob = Vec::with_capacity(halves.len() + 10);
    for half in [r, s] {
        Mpint::from_positive_bytes(half).ok()?.encode(&mut blob).ok()?;
    }
    Some(blob)
}

/// OpenSSH keeps no exponents for the two primes; they follow from the rest (RFC 8017, section 3.2).
fn from_rsa_numbers(pair: &RsaKeypair) -> Option<RsaKeyPair> {
    let number = |number: &Mpint| number.as_positive_bytes().map(BigUint::from_bytes_be);
    let (d, p, q) = (number(&pair.private.d)?, number(&pair.private.p)?, number(&pair.private.q)?);
    let one = BigUint::from(1_u8);
    if p <= one || q <= one {
        return None;
    }
    let (d_p, d_q) =
        (Zeroizing::new((&d % (&p - &one)).to_bytes_be()), Zeroizing::new((&d % (&q - &one)).to_bytes_be()));
    let public_key =
        PublicKeyComponents { n: pair.public.n.as_positive_bytes()?, e: pair.public.e.as_positive_bytes()? };
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key,
        d: pair.private.d.as_positive_bytes()?,
        p: pair.private.p.as_positive_bytes()?,
        q: pair.private.q.as_positive_bytes()?,
        dP: d_p.as_slice(),
        dQ: d_q.as_slice(),
        qInv: pair.private.iqmp.as_positive_bytes()?,
    })
    .ok()
}

/// A public key of PKCS #1 (RFC 8017, appendix A.1.1).
fn rsa_public(der: &[u8]) -> Option<KeyData> {
    let (_, outer) = Sequence::from_der(der).ok()?;
    let (rest, n) = Integer::from_der(&outer.content).ok()?;
    let (_, e) = Integer::from_der(rest).ok()?;
    let number = |number: &[u8]| Mpint::from_positive_bytes(number).ok();
    Some(KeyData::Rsa(RsaPublicKey { e: number(e.as_ref())?, n: number(n.as_ref())? }))
}

/// The key inside of PKCS #8 (RFC 5958, section 2).
fn inner_key(pkcs8: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, outer) = Sequence::from_der(pkcs8).ok()?;
    let (rest, _version) = Any::from_der(&outer.content).ok()?;
    let (rest, _algorithm) = Any::from_der(rest).ok()?;
    let (_, key) = OctetString::from_der(rest).ok()?;
    Some(Zeroizing::new(key.as_ref().to_vec()))
}

fn to_pem(label: &str, der: &[u8]) -> Result<Zeroizing<String>, Error> {
    pem::encode_string(label, LineEnding::LF, der).map(Zeroizing::new).map_err(|_| failed())
}
