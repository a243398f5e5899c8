//! Public keys of clients: what is read of them, and whether a role takes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, PublicKey};

use crate::error::Error;

/// Longest text of a public key, in bytes.
const MAX_PUBLIC_KEY_BYTES: usize = 16 << 10;
/// Shortest RSA modulus, in bits.
const MIN_RSA_BITS: u32 = 2048;
/// Longest RSA modulus, in bits: what OpenSSH takes.
const MAX_RSA_BITS: u32 = 16_384;
/// Most kinds of keys that a role lists, and most lengths of each.
const MAX_LENGTHS: usize = 32;

/// Reads a key as a line of `authorized_keys`, or the middle part of one alone.
pub(super) fn parse_public(text: &str) -> Result<KeyData, Error> {
    let refused =
        || Error::invalid("failed to parse public_key as SSH key: it must be one line such as in id_ed25519.pub");
    if text.len() > MAX_PUBLIC_KEY_BYTES {
        return Err(Error::invalid(format!("public_key has at most {MAX_PUBLIC_KEY_BYTES} bytes")));
    }
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let blob = STANDARD.decode(second.unwrap_or(first)).map_err(|_| refused())?;
    let data = KeyData::from(PublicKey::from_bytes(&blob).map_err(|_| refused())?);
    match &data {
        KeyData::Dsa(_) => Err(Error::invalid("keys of DSA are not signed; use ed25519, ECDSA or RSA")),
        KeyData::Other(_) => Err(Error::invalid("keys of this kind are not signed; use ed25519, ECDSA or RSA")),
        KeyData::Rsa(_) => match bits_of(&data) {
            MIN_RSA_BITS..=MAX_RSA_BITS => Ok(data),
            _ => Err(Error::invalid(format!("keys of RSA have from {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"))),
        },
        _ => Ok(data),
    }
}

/// Size of a key in bits, as lengths of roles mean it.
fn bits_of(data: &KeyData) -> u32 {
    match data {
        KeyData::Rsa(key) => key.n.as_positive_bytes().map_or(0, |bytes| {
            let zeros = bytes.first().map_or(0, |first| first.leading_zeros());
            u32::try_from(bytes.len()).map_or(u32::MAX, |length| (length * 8).saturating_sub(zeros))
        }),
        _ => match data.algorithm() {
            Algorithm::Ecdsa { curve } => match curve {
                ssh_key::EcdsaCurve::NistP256 => 256,
                ssh_key::EcdsaCurve::NistP384 => 384,
                ssh_key::EcdsaCurve::NistP521 => 521,
            },
            _ => 256,
        },
    }
}

/// Whether a word for a kind of keys means this one. `ec` and `rsa` mean all of their sizes.
fn is_kind(word: &str, data: &KeyData) -> bool {
    let algorithm = data.algorithm();
    let short = match &algorithm {
        Algorithm::Rsa { .. } => &["rsa"][..],
        Algorithm::Ecdsa { .. } => &["ec", "ecdsa"],
        Algorithm::Ed25519 => &["ed25519"],
        _ => &[],
    };
    algorithm.as_str() == word || short.contains(&word)
}

const KINDS: [&str; 11] = [
    "rsa",
    "ssh-rsa",
    "ec",
    "ecdsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ed25519",
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The lengths of keys that a role takes.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyLengthsRecord {
    /// As in [`KINDS`].
    #[prost(string, tag = "1")]
    kind: String,
    /// In bits; none, or 0 among them, is every length.
    #[prost(uint32, repeated, tag = "2")]
    bits: Vec<u32>,
}

/// Reads `allowed_user_key_lengths`: kinds of keys, each with a length or a list of them.
pub(super) fn lengths(sent: &Map<String, Value>) -> Result<Vec<KeyLengthsRecord>, Error> {
    let refused = || {
        Error::invalid(format!(
            "allowed_user_key_lengths must be a map of kinds of keys ({}) to lengths in bits, at most {MAX_LENGTHS} of each",
            KINDS.join(", ")
        ))
    };
    let number = |value: &Value| crate::field::int(value).and_then(|bits| u32::try_from(bits).ok());
    let mut records = Vec::with_capacity(sent.len());
    for (kind, value) in sent {
        let bits: Option<Vec<u32>> = match value {
            Value::Array(items) => items.iter().map(number).collect(),
            value => number(value).map(|bits| vec![bits]),
        };
        let bits =
            bits.filter(|bits| bits.len() <= MAX_LENGTHS && KINDS.contains(&kind.as_str())).ok_or_else(refused)?;
        records.push(KeyLengthsRecord { kind: kind.clone(), bits });
    }
    if records.len() > MAX_LENGTHS { Err(refused()) } else { Ok(records) }
}

/// As a read shows them.
pub(super) fn shown(lengths: &[KeyLengthsRecord]) -> Value {
    let pair = |record: &KeyLengthsRecord| match record.bits.as_slice() {
        [bits] => (record.kind.clone(), json!(bits)),
        bits => (record.kind.clone(), json!(bits)),
    };
    Value::Object(lengths.iter().map(pair).collect())
}

/// Refuses a key that is none of those that a role takes; without lengths it takes all.
pub(super) fn check(data: &KeyData, lengths: &[KeyLengthsRecord]) -> Result<(), Error> {
    let bits = bits_of(data);
    let takes = |record: &KeyLengthsRecord| {
        is_kind(&record.kind, data)
            && (record.bits.is_empty() || record.bits.iter().any(|one| *one == bits || *one == 0))
    };
    match lengths.is_empty() || lengths.iter().any(takes) {
        true => Ok(()),
        false => Err(Error::invalid(
            "public_key failed to meet the key requirements: its kind or length is not in allowed_user_key_lengths of the role",
        )),
    }
}
