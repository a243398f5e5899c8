//! Random bytes and hashes, for scripts that have nothing better at hand: `sys/tools`, and paths of transit.

use aws_lc_rs::digest::{Algorithm, SHA3_256, SHA3_384, SHA3_512, SHA224, SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha3::{Digest as _, Sha3_224};
use zeroize::Zeroizing;

use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;

/// Most random bytes at once.
const MAX_RANDOM_BYTES: i64 = 128 * 1024;
/// Random bytes where no number is asked for.
const DEFAULT_RANDOM_BYTES: i64 = 32;

/// What [`random`] takes.
pub(crate) const RANDOM_FIELDS: &[Field] = &[
    field("bytes", Kind::Int, "How many bytes; 32 if not said").or("32"),
    field("format", Kind::Text, "\"base64\" (if not said) or \"hex\"").or("base64").one_of(&["base64", "hex"]),
];
/// What [`hash`] takes.
pub(crate) const HASH_FIELDS: &[Field] = &[
    field("input", Kind::Text, "What to hash, base64-encoded").required(),
    field("algorithm", Kind::Text, "sha2-256 (if not said), sha2-224, sha2-384, sha2-512, or sha3 of the same sizes"),
    field("format", Kind::Text, "\"hex\" (if not said) or \"base64\"").or("hex").one_of(&["hex", "base64"]),
];

/// Answers with random bytes.
pub(crate) fn random(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (source, in_path) = match call.fields.text("source_or_bytes") {
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => (None, Some(text)),
        Some(text) => (Some(text), None),
        None => (call.fields.text("source"), call.fields.text("url_bytes")),
    };
    // There is one source, the operating system's; the others are accepted because clients ask for them.
    if let Some(source) = source.filter(|source| !matches!(*source, "platform" | "seal" | "all")) {
        return Err(Error::invalid(format!(
            "unsupported entropy source {source:?}; must be \"platform\" or \"seal\", or \"all\""
        )));
    }
    let count = match in_path {
        Some(text) => {
            text.parse().map_err(|_| Error::invalid("error parsing url-set byte count: a whole number is expected"))?
        }
        None => call.fields.int("bytes").unwrap_or(DEFAULT_RANDOM_BYTES),
    };
    if count < 1 {
        return Err(Error::invalid("'bytes' cannot be less than 1"));
    }
    if count > MAX_RANDOM_BYTES {
        return Err(Error::invalid(format!("'bytes' should be less than {MAX_RANDOM_BYTES}")));
    }
    let format = call.fields.text("format").unwrap_or("base64");
    if !matches!(format, "hex" | "base64") {
        return Err(Error::invalid(format!("unsupported encoding format {format:?}; must be \"hex\" or \"base64\"")));
    }
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(count).unwrap_or(0)]);
    call.context.random.fill(&mut bytes);
    Ok(Reply::data(json!({ "random_bytes": encoded(&bytes, format) })))
}

/// Answers with a hash.
pub(crate) fn hash(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let fields = &call.fields;
    let input = STANDARD.decode(fields.text("input").unwrap_or_default());
    let input =
        Zeroizing::new(input.map_err(|_| {
            Error::invalid("unable to decode input as base64: it must be standard base64 with padding")
        })?);
    let name = fields.text("url_algorithm").or(fields.text("algorithm")).unwrap_or("sha2-256");
    let sum = sum(name, &input).ok_or_else(|| Error::invalid(format!("unsupported algorithm {name}")))?;
    let format = fields.text("format").unwrap_or("hex");
    if !matches!(format, "hex" | "base64") {
        return Err(Error::invalid(format!("unsupported encoding format {format}; must be \"hex\" or \"base64\"")));
    }
    Ok(Reply::data(json!({ "sum": encoded(&sum, format) })))
}

fn sum(name: &str, input: &[u8]) -> Option<Vec<u8>> {
    let algorithm: &Algorithm = match name {
        "sha2-224" => &SHA224,
        "sha2-256" => &SHA256,
        "sha2-384" => &SHA384,
        "sha2-512" => &SHA512,
        "sha3-224" => return Some(Sha3_224::digest(input).to_vec()),
        "sha3-256" => &SHA3_256,
        "sha3-384" => &SHA3_384,
        "sha3-512" => &SHA3_512,
        _ => return None,
    };
    Some(digest(algorithm, input).as_ref().to_vec())
}

fn encoded(bytes: &[u8], format: &str) -> String {
    if format == "hex" { hex::encode(bytes) } else { STANDARD.encode(bytes) }
}
