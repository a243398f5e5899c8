//! RSA: what needs the private key is computed beside the requests, for all items of a request at once.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use prost::Message;
use zeroize::Zeroizing;

use super::hash::HashAlgorithm;
use super::native::{NativeKey, Padding};
use crate::context::Context;
use crate::errand::{Computation, ComputeFn};
use crate::error::Error;

/// Most private operations of one request: some seconds with 4096 bits.
pub(super) const MAX_ITEMS: usize = 1_000;

/// What is to be done with private keys.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct RsaWork {
    /// In PKCS #8.
    #[prost(bytes = "vec", repeated, tag = "1")]
    keys: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "2")]
    tasks: Vec<RsaTask>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct RsaTask {
    /// Place of the key.
    #[prost(uint32, tag = "1")]
    key: u32,
    /// The ciphertext, or the digest.
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
    #[prost(enumeration = "HashAlgorithm", tag = "3")]
    hash: i32,
    /// Length of the salt as [`Padding::Pss`] has it; absent for PKCS #1 v1.5.
    #[prost(sint32, optional, tag = "4")]
    salt: Option<i32>,
}

/// What came of it, in the order of the tasks.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct RsaResults {
    #[prost(message, repeated, tag = "1")]
    results: Vec<RsaResult>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct RsaResult {
    /// Absent if it failed.
    #[prost(bytes = "vec", optional, tag = "1")]
    bytes: Option<Vec<u8>>,
}

impl RsaWork {
    /// Adds a task and returns its place among the results.
    pub(super) fn add(
        &mut self,
        key: &[u8],
        data: Vec<u8>,
        hash: HashAlgorithm,
        padding: Padding,
    ) -> Result<usize, Error> {
        if self.tasks.len() >= MAX_ITEMS {
            return Err(Error::invalid(format!("a batch with an RSA key has at most {MAX_ITEMS} items")));
        }
        let place = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
            self.keys.push(key.to_vec());
            self.keys.len() - 1
        });
        let salt = match padding {
            Padding::Pss(salt) => Some(salt),
            Padding::Pkcs1 => None,
        };
        let key = u32::try_from(place).map_err(|_| Error::internal("too many keys"))?;
        self.tasks.push(RsaTask { key, data, hash: hash.into(), salt });
        Ok(self.tasks.len() - 1)
    }

    /// Signs each digest; `None` for one that could not be. Ends the run.
    pub(super) fn sign(&self, context: &mut Context<'_>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.ask(context, "rsa sign", sign_all)
    }

    /// Decrypts each ciphertext by OAEP with SHA-256 and without a label; `None` for one that is none. Ends the run.
    pub(super) fn decrypt(&self, context: &mut Context<'_>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.ask(context, "rsa decrypt", decrypt_all)
    }

    fn ask(
        &self,
        context: &mut Context<'_>,
        name: &'static str,
        work: ComputeFn,
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        if self.tasks.is_empty() {
            return Ok(Vec::new());
        }
        let answer = context.ask_computation(Computation { name, work, input: self.encode_to_vec() })?;
        let answer = RsaResults::decode(answer.as_slice()).map_err(|_| Error::internal("RSA results do not decode"))?;
        Ok(answer.results.into_iter().map(|result| result.bytes).collect())
    }
}

fn each(input: &[u8], mut work: impl FnMut(&[u8], &RsaTask) -> Option<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let input = RsaWork::decode(input).map_err(|_| Error::internal("RSA work does not decode"))?;
    let results = input.tasks.iter().map(|task| {
        let key = input.keys.get(task.key as usize).map(Vec::as_slice).unwrap_or_default();
        RsaResult { bytes: work(key, task) }
    });
    Ok(Zeroizing::new(RsaResults { results: results.collect() }.encode_to_vec()))
}

fn sign_all(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut last: Option<(Vec<u8>, NativeKey)> = None;
    each(input, |key, task| {
        if last.as_ref().is_none_or(|(known, _)| known != key) {
            last = Some((key.to_vec(), NativeKey::from_pkcs8(key)?));
        }
        let padding = task.salt.map_or(Padding::Pkcs1, Padding::Pss);
        last.as_ref()?.1.sign_rsa(padding, task.hash(), &task.data)
    })
}

fn decrypt_all(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    each(input, |key, task| decrypt(key, &OAEP_SHA256_MGF1SHA256, &task.data).map(|bytes| bytes.to_vec()))
}

/// Decrypts by OAEP without a label (RFC 8017, section 7.1).
pub(super) fn decrypt(key: &[u8], how: &'static OaepAlgorithm, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(key).ok()?).ok()?;
    let mut plaintext = Zeroizing::new(vec![0; key.min_output_size()]);
    let length = key.decrypt(how, ciphertext, &mut plaintext, None).ok()?.len();
    plaintext.truncate(length);
    Some(plaintext)
}

/// Encrypts by OAEP without a label, for a public key as SubjectPublicKeyInfo. `None` if the plaintext is too long.
pub(super) fn encrypt(public: &[u8], how: &'static OaepAlgorithm, plaintext: &[u8]) -> Option<Vec<u8>> {
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(public).ok()?).ok()?;
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let length = key.encrypt(how, plaintext, &mut ciphertext, None).ok()?.len();
    ciphertext.truncate(length);
    Some(ciphertext)
}

/// OAEP with a hash function that clients name as `SHA256`.
pub(super) fn oaep(hash: &str) -> Option<&'static OaepAlgorithm> {
    match hash {
        "SHA1" => Some(&OAEP_SHA1_MGF1SHA1),
        "SHA256" => Some(&OAEP_SHA256_MGF1SHA256),
        "SHA384" => Some(&OAEP_SHA384_MGF1SHA384),
        "SHA512" => Some(&OAEP_SHA512_MGF1SHA512),
        _ => None,
    }
}
