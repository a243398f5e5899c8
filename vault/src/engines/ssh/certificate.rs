//! Certificates as bytes (OpenSSH's PROTOCOL.certkeys).
//!
//! What is signed is written here, field by field; what comes out is read again by `ssh-key` before anybody gets it. The builder of that
//! crate is not used: see `docs/decisions/0080-ssh-key.md`.

use std::collections::BTreeMap;

use ssh_encoding::{Encode, Error as EncodingError};
use ssh_key::public::KeyData;
use ssh_key::{Certificate, HashAlg, PublicKey};

use crate::engines::ssh::key::SigningKey;
use crate::error::Error;

/// What a certificate says.
pub(super) struct Statement {
    pub(super) nonce: [u8; 32],
    pub(super) key: KeyData,
    pub(super) serial: u64,
    pub(super) is_host: bool,
    pub(super) key_id: String,
    pub(super) principals: Vec<String>,
    /// Seconds since the Unix epoch.
    pub(super) valid_after: u64,
    /// Seconds since the Unix epoch; from then on it is over.
    pub(super) valid_before: u64,
    pub(super) critical_options: BTreeMap<String, String>,
    pub(super) extensions: BTreeMap<String, String>,
}

fn failed() -> Error {
    Error::internal("a certificate could not be written")
}

impl Statement {
    /// The certificate as a line of text, with a line end.
    pub(super) fn sign(&self, signer: &SigningKey, rsa_hash: HashAlg) -> Result<String, Error> {
        let mut bytes = self.to_be_signed(&signer.public()?).map_err(|_| failed())?;
        signer.sign(rsa_hash, &bytes)?.encode_prefixed(&mut bytes).map_err(|_| failed())?;
        let certificate = Certificate::from_bytes(&bytes).map_err(|_| failed())?;
        certificate.to_openssh().map(|line| format!("{line}\n")).map_err(|_| failed())
    }

    fn to_be_signed(&self, signer: &KeyData) -> Result<Vec<u8>, EncodingError> {
        let algorithm = self.key.algorithm();
        let mut bytes = Vec::new();
        algorithm.to_certificate_type().encode(&mut bytes)?;
        self.nonce.encode(&mut bytes)?;
        // The fields of a key are its blob behind the name of its algorithm.
        let key = blob(&self.key)?;
        bytes.extend_from_slice(key.get(algorithm.encoded_len()?..).ok_or(EncodingError::Length)?);
        self.serial.encode(&mut bytes)?;
        (if self.is_host { 2_u32 } else { 1 }).encode(&mut bytes)?;
        self.key_id.encode(&mut bytes)?;
        self.principals.encode(&mut bytes)?;
        self.valid_after.encode(&mut bytes)?;
        self.valid_before.encode(&mut bytes)?;
        options(&self.critical_options)?.encode(&mut bytes)?;
        options(&self.extensions)?.encode(&mut bytes)?;
        // Reserved.
        Vec::<u8>::new().encode(&mut bytes)?;
        blob(signer)?.encode(&mut bytes)?;
        Ok(bytes)
    }
}

/// A public key as SSH writes it (RFC 4253, section 6.6).
pub(super) fn blob(key: &KeyData) -> Result<Vec<u8>, EncodingError> {
    PublicKey::from(key.clone()).to_bytes().map_err(|_| EncodingError::Length)
}

/// Options or extensions, sorted by name. A value is a text inside of a text; one that is empty is not there.
fn options(map: &BTreeMap<String, String>) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    for (name, value) in map {
        name.encode(&mut bytes)?;
        if value.is_empty() {
            Vec::<u8>::new().encode(&mut bytes)?;
        } else {
            value.encode_prefixed(&mut bytes)?;
        }
    }
    Ok(bytes)
}
