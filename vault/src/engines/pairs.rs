//! Pairs of keys: how long ones are made, and in which forms they are written.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::engines::native::NativeKey;
use crate::errand::Computation;
use crate::error::Error;

/// Characters in one line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

/// A key pair as it is stored: PKCS #8, and SubjectPublicKeyInfo.
pub(super) fn encoded(pair: &NativeKey) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (secret, public) = (pair.to_pkcs8(), pair.to_public());
    let missing = || Error::internal("a key could not be encoded");
    Ok((secret.ok_or_else(missing)?.to_vec(), public.ok_or_else(missing)?))
}

/// A new RSA pair, as [`encoded`]; ends the run.
pub(super) fn ask_rsa_pair(context: &mut Context<'_>, bits: u32, purpose: &str) -> Result<(Vec<u8>, Vec<u8>), Error> {
    // What is asked is told apart by its text alone; the pair is as random as the node makes it.
    let input = [&bits.to_be_bytes(), purpose.as_bytes()].concat();
    let secret = context.ask_computation(Computation { name: "rsa pair", work: make_rsa_pair, input })?;
    let pair = NativeKey::from_pkcs8(&secret).ok_or_else(|| Error::internal("a new RSA key does not parse"))?;
    let public = pair.to_public().ok_or_else(|| Error::internal("a new RSA key has no public half"))?;
    Ok((secret.to_vec(), public))
}

fn make_rsa_pair(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let size = match input.first_chunk().map(|bits| u32::from_be_bytes(*bits)) {
        Some(2048) => KeySize::Rsa2048,
        Some(3072) => KeySize::Rsa3072,
        Some(4096) => KeySize::Rsa4096,
        _ => return Err(Error::internal("an RSA key of an unknown size was asked for")),
    };
    let made = RsaKeyPair::generate(size).and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair));
    let made = made.map_err(|_| Error::internal("an RSA key could not be made"))?;
    Ok(Zeroizing::new(made.as_ref().to_vec()))
}

/// Bytes as PEM (RFC 7468), with a line end behind it.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for start in (0..encoded.len()).step_by(PEM_LINE) {
        text.push_str(&encoded[start..encoded.len().min(start + PEM_LINE)]);
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
