//! Public keys that tokens are checked with: out of PEM (RFC 7468) and out of JSON Web Keys.
//!
//! A key knows its kind, so a token's algorithm either fits it or the key did not sign the token.

use aws_lc_rs::signature::{ED25519, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::jose::algorithm::JwsAlgorithm;
use crate::json;
use crate::limits::MAX_KEY_SET_KEYS;

/// A curve of the three that tokens are signed on.
struct Curve {
    /// Its name in a JSON Web Key (RFC 7518, section 6.2.1.1).
    name: &'static str,
    /// Its object identifier (RFC 5480, section 2.1.1.1).
    oid: &'static str,
    algorithm: JwsAlgorithm,
    /// Length of a coordinate, in bytes.
    bytes: usize,
}

const CURVES: [Curve; 3] = [
    Curve { name: "P-256", oid: "1.2.840.10045.3.1.7", algorithm: JwsAlgorithm::Es256, bytes: 32 },
    Curve { name: "P-384", oid: "1.3.132.0.34", algorithm: JwsAlgorithm::Es384, bytes: 48 },
    Curve { name: "P-521", oid: "1.3.132.0.35", algorithm: JwsAlgorithm::Es512, bytes: 66 },
];

/// Object identifier of an Ed25519 key (RFC 8410, section 3).
const ED25519_OID: &str = "1.3.101.112";
/// Length of such a key, in bytes.
const ED25519_BYTES: usize = 32;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VerificationKey {
    /// Modulus and exponent, big-endian, without zeros in front.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// The point, and what its curve is used with.
    Ec { algorithm: JwsAlgorithm, point: Vec<u8> },
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

impl VerificationKey {
    /// The key of a SubjectPublicKeyInfo (RFC 5280, section 4.1).
    fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        if info.algorithm.algorithm.to_id_string() == ED25519_OID {
            let raw = info.subject_public_key.data.to_vec();
            return (raw.len() == ED25519_BYTES).then_some(Self::Ed25519(raw));
        }
        match info.parsed().ok()? {
            Parsed::RSA(rsa) => Some(Self::rsa(rsa.modulus, rsa.exponent)),
            Parsed::EC(_) => {
                let oid = info.algorithm.parameters.as_ref()?.as_oid().ok()?.to_id_string();
                let curve = CURVES.iter().find(|curve| curve.oid == oid)?;
                Some(Self::Ec { algorithm: curve.algorithm, point: info.subject_public_key.data.to_vec() })
            }
            _ => None,
        }
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::Rsa { modulus: unpadded(modulus).to_vec(), exponent: unpadded(exponent).to_vec() }
    }

    /// The keys of a text of PEM blocks: public keys, and certificates, whose dates and issuers do not count. `None` if there is
    /// none, or a block that is neither.
    pub(crate) fn from_pem(text: &str) -> Option<Vec<Self>> {
        let mut keys = Vec::new();
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            let block = block.ok()?;
            let key = match block.label.as_str() {
                "PUBLIC KEY" => Self::from_info(&SubjectPublicKeyInfo::from_der(&block.contents).ok()?.1),
                "CERTIFICATE" => Self::from_info(X509Certificate::from_der(&block.contents).ok()?.1.public_key()),
                _ => None,
            };
            keys.push(key?);
        }
        (!keys.is_empty()).then_some(keys)
    }

    /// The key of a JSON Web Key; `None` for kinds that sign no tokens here.
    fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
        match jwk.get("kty")?.as_str()? {
            "RSA" => Some(Self::rsa(&bytes("n")?, &bytes("e")?)),
            "EC" => {
                let name = jwk.get("crv")?.as_str()?;
                let curve = CURVES.iter().find(|curve| curve.name == name)?;
                let (x, y) = (bytes("x")?, bytes("y")?);
                let is_whole = x.len() == curve.bytes && y.len() == curve.bytes;
                let point = [&[4], x.as_slice(), &y].concat();
                is_whole.then_some(Self::Ec { algorithm: curve.algorithm, point })
            }
            "OKP" if jwk.get("crv")?.as_str()? == "Ed25519" => {
                let raw = bytes("x")?;
                (raw.len() == ED25519_BYTES).then_some(Self::Ed25519(raw))
            }
            _ => None,
        }
    }

    /// Whether a signature is this key's of a message.
    pub(crate) fn verifies(&self, algorithm: JwsAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { modulus, exponent } => algorithm.rsa().is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }),
            Self::Ec { algorithm: own, point } if *own == algorithm => algorithm
                .ec()
                .is_some_and(|curve| UnparsedPublicKey::new(curve, point).verify(message, signature).is_ok()),
            Self::Ed25519(raw) if algorithm == JwsAlgorithm::EdDsa => {
                UnparsedPublicKey::new(&ED25519, raw).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// A number without the zeros in front.
fn unpadded(number: &[u8]) -> &[u8] {
    &number[number.iter().position(|byte| *byte != 0).unwrap_or(number.len())..]
}

/// A key of a set.
struct SetKey {
    id: Option<String>,
    algorithm: Option<String>,
    key: VerificationKey,
}

/// A JSON Web Key Set (RFC 7517, section 5).
pub(crate) struct KeySet(Vec<SetKey>);

impl KeySet {
    /// Out of its JSON. Keys of other kinds and for other uses are left out; `None` if it is no set, or one of too many keys.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let set = json::parse_object(text).ok()??;
        let keys = set.get("keys")?.as_array()?;
        if keys.len() > MAX_KEY_SET_KEYS {
            return None;
        }
        let read = |jwk: &Value| {
            let jwk = jwk.as_object()?;
            let text = |name: &str| jwk.get(name).and_then(Value::as_str).map(str::to_owned);
            let is_for_signatures = text("use").is_none_or(|word| word == "sig");
            let key = VerificationKey::from_jwk(jwk).filter(|_| is_for_signatures)?;
            Some(SetKey { id: text("kid"), algorithm: text("alg"), key })
        };
        Some(Self(keys.iter().filter_map(read).collect()))
    }

    /// The keys that may have made a token: the one of its key id if it names one, else all that have none or could be meant.
    pub(crate) fn candidates<'s>(
        &'s self,
        id: Option<&'s str>,
        algorithm: JwsAlgorithm,
    ) -> impl Iterator<Item = &'s VerificationKey> {
        let is_meant = move |key: &&SetKey| {
            let fits_id = id.is_none_or(|id| key.id.as_deref().is_none_or(|own| own == id));
            fits_id && key.algorithm.as_deref().is_none_or(|own| own == algorithm.as_str())
        };
        self.0.iter().filter(is_meant).map(|key| &key.key)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_signing_keys_of_a_set_count() {
        let raw = URL_SAFE_NO_PAD.encode([7; 32]);
        let key = |extra: Value| {
            let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": raw });
            jwk.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            jwk
        };
        let set = json!({ "keys": [
            key(json!({ "kid": "a", "use": "sig" })),
            key(json!({ "kid": "b", "use": "enc" })),
            key(json!({ "kid": "c", "alg": "ES256" })),
            key(json!({})),
            { "kty": "oct", "k": "c2VjcmV0", "kid": "a" },
            { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" },
            "text",
        ]});
        let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
        let number = |id| set.candidates(id, JwsAlgorithm::EdDsa).count();
        assert_eq!([number(Some("a")), number(Some("b")), number(Some("c")), number(None)], [2, 1, 1, 2]);
        assert!(KeySet::parse(b"[]").is_none() && KeySet::parse(b"{\"keys\":{}}").is_none());
        let many = json!({ "keys": vec![json!({}); MAX_KEY_SET_KEYS + 1] });
        assert!(KeySet::parse(many.to_string().as_bytes()).is_none());
    }

    #[test]
    fn what_is_no_key_in_pem_is_none() {
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAA\n-----END PRIVATE KEY-----\n";
        let damaged = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        for text in ["", "nope", private, damaged] {
            assert!(VerificationKey::from_pem(text).is_none(), "{text}");
        }
    }
}
