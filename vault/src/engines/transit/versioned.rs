//! The text in which ciphertexts, signatures and HMACs leave: `vault:v3:` and base64. Clients look for the prefix.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::key::NamedKey;

/// Begins every text.
const PREFIX: &str = "vault:v";

/// Bytes of a version of a key, as text.
pub(super) fn encoded(version: u32, bytes: &[u8]) -> String {
    format!("{PREFIX}{version}:{}", STANDARD.encode(bytes))
}

/// The same in the alphabet of JSON web signatures (RFC 7515).
pub(super) fn encoded_for_web(version: u32, bytes: &[u8]) -> String {
    format!("{PREFIX}{version}:{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The version of a text, if the key may still be used with it, and what stands behind it. `what` is the word for people.
pub(super) fn taken_apart<'t>(key: &NamedKey, text: &'t str, what: &str) -> Result<(u32, &'t str), String> {
    let rest = text.strip_prefix(PREFIX).ok_or_else(|| format!("invalid {what}: no prefix"))?;
    let (number, rest) = rest.split_once(':').ok_or_else(|| format!("invalid {what}: wrong number of fields"))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u32>().ok().filter(|_| is_number);
    let number = number.ok_or_else(|| format!("invalid {what}: version number could not be decoded"))?;
    // The first version of a very old key was 0.
    let number = number.max(1);
    if number > key.record.latest {
        return Err(format!("invalid {what}: version is too new"));
    }
    if number < key.oldest_shown() {
        return Err("ciphertext or signature version is disallowed by policy (too old)".into());
    }
    Ok((number, rest))
}

/// What stands behind the prefix, decoded.
pub(super) fn decoded(text: &str, what: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|_| format!("invalid {what}: could not decode base64"))
}

/// The same in the alphabet of JSON web signatures.
pub(super) fn decoded_for_web(text: &str, what: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("invalid {what}: could not decode base64"))
}
