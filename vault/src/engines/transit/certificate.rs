//! Certificates for keys: a signing request by a key, and the chain that came back.
//!
//! A request is made of one that the client sends as a template (RFC 2986): its subject and attributes stay, the public key
//! is that of the version, and the signature is new.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};

use super::algorithm::KeyType;
use super::hash::HashAlgorithm;
use super::key::{self, KeyVersion, NamedKey};
use super::material;
use super::native::{NativeKey, Padding};
use super::record::KeyVersionRecord;
use super::rsa::RsaWork;
use crate::engine::Call;
use crate::error::Error;
use crate::reply::Reply;

/// Most certificates of a chain.
const MAX_CHAIN: usize = 10;
/// Longest request or chain, in bytes of PEM.
const MAX_PEM_BYTES: usize = 128 * 1024;
/// DER's tags.
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const ATTRIBUTES: u8 = 0xa0;
/// Version 1 of a request.
const VERSION: &[u8] = &[0x02, 1, 0];
/// A subject without a name.
const NO_NAME: &[u8] = &[SEQUENCE, 0];

/// Algorithm identifiers in DER (RFC 8410; RFC 5758, section 3.2; RFC 4055, section 5).
const WITH_ED25519: &[u8] = &[SEQUENCE, 5, 0x06, 3, 0x2b, 0x65, 0x70];
const WITH_ECDSA_SHA256: &[u8] = &[SEQUENCE, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const WITH_ECDSA_SHA384: &[u8] = &[SEQUENCE, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const WITH_ECDSA_SHA512: &[u8] = &[SEQUENCE, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];
const WITH_RSA_SHA256: &[u8] = &[SEQUENCE, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];

/// `keys/{name}/csr`.
pub(super) fn csr(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let key = usable(call)?;
    let version = version(call, &key)?;
    if version.secret.is_empty() {
        return Err(Error::invalid("the key has no private half here; it was imported without one"));
    }
    let template = call.fields.text_or_empty("csr");
    let (subject, attributes) = match template.is_empty() {
        true => (NO_NAME.to_vec(), vec![ATTRIBUTES, 0]),
        false => of_template(template)?,
    };
    let public = public_info(key.key_type(), &version)?;
    let body = sequence(&[VERSION, &subject, &public, &attributes]);
    let (algorithm, signature) = signed(call, key.key_type(), &version, &body)?;
    let signature = element(BIT_STRING, &[&[0], signature.as_slice()]);
    let der = sequence(&[&body, algorithm, &signature]);
    let data = json!({
        "name": key.name, "type": key.key_type().as_str(), "csr": material::pem("CERTIFICATE REQUEST", &der),
    });
    Ok(Reply::data(data))
}

fn signed(
    call: &mut Call<'_, '_>,
    key_type: KeyType,
    version: &KeyVersion,
    body: &[u8],
) -> Result<(&'static [u8], Vec<u8>), Error> {
    let failed = || Error::internal("a certificate request could not be signed");
    if key_type.is_rsa() {
        let mut work = RsaWork::default();
        let (hash, padding) = (HashAlgorithm::Sha256, Padding::Pkcs1);
        work.add(&version.secret, hash.digest(body), hash, padding)?;
        let signature = work.sign(call.context)?.pop().flatten().ok_or_else(failed)?;
        return Ok((WITH_RSA_SHA256, signature));
    }
    let (algorithm, hash) = match key_type {
        KeyType::Ed25519 => {
            return Ok((WITH_ED25519, material::ed25519(&version.secret)?.sign(body).as_ref().to_vec()));
        }
        KeyType::EcdsaP384 => (WITH_ECDSA_SHA384, HashAlgorithm::Sha384),
        KeyType::EcdsaP521 => (WITH_ECDSA_SHA512, HashAlgorithm::Sha512),
        _ => (WITH_ECDSA_SHA256, HashAlgorithm::Sha256),
    };
    let pair = NativeKey::from_pkcs8(&version.secret).ok_or_else(failed)?;
    Ok((algorithm, pair.sign_ecdsa(&hash.digest(body)).ok_or_else(failed)?))
}

/// Subject and attributes of a request, in DER.
fn of_template(text: &str) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let wrong = || Error::invalid("csr is not the PEM of one certificate request");
    let der = blocks(text, "CERTIFICATE REQUEST").and_then(|mut blocks| blocks.pop().filter(|_| blocks.is_empty()));
    let der = der.ok_or_else(wrong)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| wrong())?;
    if !rest.is_empty() {
        return Err(wrong());
    }
    let info = &request.certification_request_info;
    let subject = info.subject.as_raw().to_vec();
    // What follows the public key is the attributes, if there are any.
    let attributes = info.raw.windows(info.subject_pki.raw.len()).position(|part| part == info.subject_pki.raw);
    let attributes = attributes.map(|place| &info.raw[place + info.subject_pki.raw.len()..]).ok_or_else(wrong)?;
    Ok((subject, if attributes.is_empty() { vec![ATTRIBUTES, 0] } else { attributes.to_vec() }))
}

/// `keys/{name}/set-certificate`.
pub(super) fn set_certificate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let key = usable(call)?;
    let version = version(call, &key)?;
    let wrong = || Error::invalid("certificate_chain is not a PEM of certificates, the one of the key first");
    let chain = blocks(call.fields.text_or_empty("certificate_chain"), "CERTIFICATE").ok_or_else(wrong)?;
    if chain.is_empty() {
        return Err(wrong());
    }
    if chain.len() > MAX_CHAIN {
        return Err(Error::invalid(format!("a certificate chain has at most {MAX_CHAIN} certificates")));
    }
    let public = public_info(key.key_type(), &version)?;
    for (place, der) in chain.iter().enumerate() {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| wrong())?;
        if !rest.is_empty() {
            return Err(wrong());
        }
        if place == 0 && certificate.public_key().raw != public {
            return Err(Error::invalid("the first certificate is not one of the public key of the version"));
        }
        if place == 0 && certificate.is_ca() {
            return Err(Error::invalid(
                "the first certificate is one of an authority; the certificate of the key comes first",
            ));
        }
    }
    let changed = KeyVersionRecord { chain, ..KeyVersionRecord::clone(&version) };
    key.save_version(&mut call.work(), changed)?;
    Ok(Reply::empty())
}

fn usable(call: &mut Call<'_, '_>) -> Result<NamedKey, Error> {
    let key = key::usable(call, "key not found")?;
    let key_type = key.key_type();
    let fits = key_type.is_rsa() || key_type.is_ecdsa() || key_type == KeyType::Ed25519;
    if !fits || key.record.derived {
        return Err(Error::invalid(format!("keys of type {} have no certificates", key_type.as_str())));
    }
    Ok(key)
}

fn version(call: &mut Call<'_, '_>, key: &NamedKey) -> Result<KeyVersion, Error> {
    let wanted = call.fields.int("version").unwrap_or(0);
    let number = key.newest_or(wanted).map_err(|error| Error::invalid(error.replace("encryption", "certificates")))?;
    key.available(call, number)
}

/// The public key of a version as SubjectPublicKeyInfo.
fn public_info(key_type: KeyType, version: &KeyVersion) -> Result<Vec<u8>, Error> {
    if key_type != KeyType::Ed25519 {
        return Ok(version.public.clone());
    }
    // A version may have its public half alone, so it is put together (RFC 8410, section 4).
    Ok(sequence(&[WITH_ED25519, &element(BIT_STRING, &[&[0], &version.public])]))
}

/// The contents of PEM blocks of one label (RFC 7468); `None` if there is anything else.
fn blocks(text: &str, label: &str) -> Option<Vec<Vec<u8>>> {
    if text.len() > MAX_PEM_BYTES {
        return None;
    }
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (mut blocks, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (body, after) = rest.strip_prefix(&begin)?.split_once(&end)?;
        let body: String = body.split_ascii_whitespace().collect();
        blocks.push(STANDARD.decode(body).ok()?);
        rest = after.trim_start();
    }
    Some(blocks)
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

/// An element in DER with a length up to 2^32 (X.690, section 8.1.3).
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut encoded = vec![tag];
    if length.len() > 1 || length[0] >= 0x80 {
        encoded.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
    }
    encoded.extend_from_slice(length);
    encoded.extend_from_slice(&content);
    encoded
}
