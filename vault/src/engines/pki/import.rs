//! Bringing in certificates and keys that were made elsewhere, and certificates that others issued for keys that are here.

use serde_json::{Map, Value, json};
use x509_parser::pem::Pem;
use yasna::models::ObjectIdentifier;
use yasna::{Tag, construct_der, parse_der};
use zeroize::Zeroizing;

use super::authority::{self, new_issuer};
use super::crl;
use super::issuer::{self, Issuers};
use super::issuers;
use super::key::{self, KEY_NAME, PEM_BUNDLE};
use super::record::{IssuerRecord, PkiKeyRecord};
use super::signing::KeyPair;
use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;

/// Longest text of certificates and keys, in bytes.
const MAX_PEM_BYTES: usize = 256 << 10;
/// Shorter than any certificate or key, in bytes: a path was sent in its place.
const MIN_PEM_BYTES: usize = 75;
/// Most certificates and keys of one text.
const MAX_BLOCKS: usize = 64;

pub(super) const BUNDLE_FIELDS: &[Field] = &[PEM_BUNDLE];
pub(super) const KEY_FIELDS: &[Field] = &[PEM_BUNDLE, KEY_NAME];
pub(super) const SIGNED_FIELDS: &[Field] = &[field(
    "certificate",
    Kind::Text,
    "The certificate that was issued for a key of this mount, and those above it, in PEM.",
)
.required()];

/// Refuses a text that is no PEM by its length.
pub(super) fn checked_text(text: &str) -> Result<&str, Error> {
    if text.len() < MIN_PEM_BYTES {
        return Err(Error::invalid(
            "provided data for import was too short; perhaps a path was passed to the API rather than the contents of a PEM file",
        ));
    }
    match text.len() > MAX_PEM_BYTES {
        true => Err(Error::invalid(format!("the text of certificates and keys has at most {MAX_PEM_BYTES} bytes"))),
        false => Ok(text),
    }
}

/// What a text holds.
struct Bundle {
    /// DER.
    certificates: Vec<Vec<u8>>,
    pairs: Vec<KeyPair>,
}

impl Bundle {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut bundle = Self { certificates: Vec::new(), pairs: Vec::new() };
        for (count, block) in Pem::iter_from_buffer(checked_text(text)?.as_bytes()).enumerate() {
            let block = block.map_err(|_| Error::invalid("the text is no PEM of certificates and keys"))?;
            if count >= MAX_BLOCKS {
                return Err(Error::invalid(format!("the text holds at most {MAX_BLOCKS} certificates and keys")));
            }
            match block.label.as_str() {
                "CERTIFICATE" => bundle.certificates.push(authority_certificate(block.contents)?),
                label => bundle.pairs.push(pair_of(label, Zeroizing::new(block.contents))?),
            }
        }
        match bundle.certificates.is_empty() && bundle.pairs.is_empty() {
            true => Err(Error::invalid("the text holds no certificate and no key in PEM")),
            false => Ok(bundle),
        }
    }
}

/// A certificate that can be one of an issuer.
fn authority_certificate(der: Vec<u8>) -> Result<Vec<u8>, Error> {
    let certificate = issuer::parse(&der).ok_or_else(|| Error::invalid("a certificate of the text cannot be read"))?;
    match certificate.is_ca() {
        true => Ok(der),
        false => Err(Error::invalid("a certificate of the text is not one of an authority")),
    }
}

/// A private key by what its PEM is called (RFC 5958, RFC 8017, RFC 5915).
fn pair_of(label: &str, der: Zeroizing<Vec<u8>>) -> Result<KeyPair, Error> {
    let pkcs8 = match label {
        "PRIVATE KEY" => Some(der),
        "RSA PRIVATE KEY" => Some(wrapped(&[1, 2, 840, 113_549, 1, 1, 1], None, &der)),
        "EC PRIVATE KEY" => curve_of(&der).map(|curve| wrapped(&[1, 2, 840, 10045, 2, 1], Some(&curve), &der)),
        "ENCRYPTED PRIVATE KEY" => return Err(Error::invalid("the private key is encrypted; decrypt it first")),
        _ => return Err(Error::invalid("the text holds something else than certificates and private keys")),
    };
    let pair = pkcs8.and_then(KeyPair::from_pkcs8);
    pair.ok_or_else(|| {
        Error::invalid("a private key cannot be read, or is none of RSA from 2048 bits, P-256, P-384, P-521 or Ed25519")
    })
}

/// A key in the form of its algorithm, as PKCS #8.
fn wrapped(algorithm: &[u64], curve: Option<&ObjectIdentifier>, der: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(algorithm));
                match curve {
                    Some(curve) => writer.next().write_oid(curve),
                    None => writer.next().write_null(),
                }
            });
            writer.next().write_bytes(der);
        });
    }))
}

/// The curve of an ECPrivateKey (RFC 5915, section 3).
fn curve_of(der: &[u8]) -> Option<ObjectIdentifier> {
    let curve = parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_der()?;
            reader.next().read_der()?;
            let curve =
                reader.read_optional(|reader| reader.read_tagged(Tag::context(0), |reader| reader.read_oid()))?;
            reader.read_optional(|reader| reader.read_der())?;
            Ok(curve)
        })
    });
    curve.ok().flatten()
}

/// One private key in PEM.
pub(super) fn private_key(text: &str) -> Result<KeyPair, Error> {
    let wrong = || Error::invalid("private_key is not the PEM of one private key");
    let mut blocks = Pem::iter_from_buffer(checked_text(text)?.as_bytes()).filter_map(Result::ok);
    let block = blocks.find(|block| block.label != "EC PARAMETERS").ok_or_else(wrong)?;
    pair_of(&block.label, Zeroizing::new(block.contents))
}

/// `keys/import`.
pub(super) fn import_key(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let name = call.fields.text_or_empty(KEY_NAME.name).to_owned();
    let pair = private_key(call.fields.text_or_empty(PEM_BUNDLE.name))?;
    let known = key::all(call.store, &mount)?.into_iter().find(|key| key.public == pair.public);
    let stored = match known {
        Some(_) if !name.is_empty() => return Err(Error::invalid("the key is here already; name it by key/{key_ref}")),
        Some(key) => key,
        None => key::add(call, &pair, &name)?,
    };
    let mut issuers = Issuers::load(call.store, &mount)?;
    give_key(&mut issuers, &stored)?;
    issuers.save(call.store, &mount)?;
    Ok(Reply { data: Some(key::shown(&stored)), ..Reply::default() })
}

/// Says of issuers that their key is here.
fn give_key(issuers: &mut Issuers, key: &PkiKeyRecord) -> Result<(), Error> {
    for issuer in issuers.all.iter_mut().filter(|issuer| issuer.key_id.is_empty()) {
        let is_its = issuer.certificate()?.public_key().raw == key.public;
        if is_its {
            issuer.key_id.clone_from(&key.id);
        }
    }
    Ok(())
}

/// What came of an import.
#[derive(Default)]
struct Imported {
    issuers: Vec<String>,
    known_issuers: Vec<String>,
    keys: Vec<String>,
    known_keys: Vec<String>,
}

/// `issuers/import/bundle` and `config/ca`.
pub(super) fn import_bundle(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let bundle = Bundle::parse(call.fields.text_or_empty(PEM_BUNDLE.name))?;
    import(call, bundle)
}

/// `issuers/import/cert`: for who may bring in no keys.
pub(super) fn import_certificates(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let bundle = Bundle::parse(call.fields.text_or_empty(PEM_BUNDLE.name))?;
    if !bundle.pairs.is_empty() {
        return Err(Error::invalid(
            "private keys found in the PEM bundle but not allowed by the path; use issuers/import/bundle",
        ));
    }
    import(call, bundle)
}

/// `intermediate/set-signed`.
pub(super) fn set_signed(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let bundle = Bundle::parse(call.fields.text_or_empty("certificate"))?;
    if !bundle.pairs.is_empty() {
        return Err(Error::invalid("certificate holds a private key; bring that in by issuers/import/bundle"));
    }
    import(call, bundle)
}

fn import(call: &mut Call<'_, '_>, bundle: Bundle) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut issuers = Issuers::load(call.store, &mount)?;
    let mut keys = key::all(call.store, &mount)?;
    check_keys(&bundle, &issuers)?;
    let mut imported = Imported::default();
    for pair in &bundle.pairs {
        match keys.iter().find(|key| key.public == pair.public) {
            Some(key) => imported.known_keys.push(key.id.clone()),
            None => {
                let key = key::add(call, pair, "")?;
                imported.keys.push(key.id.clone());
                keys.push(key);
            }
        }
    }
    for der in bundle.certificates {
        if let Some(known) = issuers.with_certificate(&der) {
            imported.known_issuers.push(known.id.clone());
            continue;
        }
        let issuer = new_issuer(call.context, der, "", "")?;
        imported.issuers.push(issuer.id.clone());
        issuers.add(issuer)?;
    }
    keys.iter().try_for_each(|key| give_key(&mut issuers, key))?;
    let touched: Vec<IssuerRecord> = issuers
        .all
        .iter()
        .filter(|issuer| imported.issuers.contains(&issuer.id) || imported.known_issuers.contains(&issuer.id))
        .cloned()
        .collect();
    issuers.save(call.store, &mount)?;
    settle(call, &touched)?;
    reply(call, &imported, &touched)
}

/// Refuses keys that belong to no certificate of the text or the mount (and certificates without their key, if there are keys).
fn check_keys(bundle: &Bundle, issuers: &Issuers) -> Result<(), Error> {
    if bundle.certificates.is_empty() {
        return Ok(());
    }
    let publics =
        bundle.certificates.iter().map(Vec::as_slice).chain(issuers.all.iter().map(|issuer| issuer.der.as_slice()));
    let publics: Vec<Vec<u8>> =
        publics.filter_map(|der| issuer::parse(der).map(|certificate| certificate.public_key().raw.to_vec())).collect();
    match bundle.pairs.iter().all(|pair| publics.contains(&pair.public)) {
        true => Ok(()),
        false => Err(Error::invalid("a private key belongs to none of the certificates")),
    }
}

/// Makes the first issuer with its key the default if there is none, and makes lists.
fn settle(call: &mut Call<'_, '_>, touched: &[IssuerRecord]) -> Result<(), Error> {
    let with_key = touched.iter().filter(|issuer| !issuer.key_id.is_empty());
    let first = with_key.clone().next().or(touched.first().filter(|_| touched.len() == 1));
    if let Some(first) = first {
        authority::make_default(call, first)?;
    }
    for issuer in with_key {
        crl::rebuild(&mut call.work(), issuer)?;
    }
    Ok(())
}

fn reply(call: &mut Call<'_, '_>, imported: &Imported, touched: &[IssuerRecord]) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let or_null = |list: &Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
    let mapping: Map<String, Value> =
        touched.iter().map(|issuer| (issuer.id.clone(), issuer.key_id.clone().into())).collect();
    let mut reply = Reply::data(json!({
        "imported_issuers": or_null(&imported.issuers),
        "imported_keys": or_null(&imported.keys),
        "existing_issuers": or_null(&imported.known_issuers),
        "existing_keys": or_null(&imported.known_keys),
        "mapping": mapping,
    }));
    issuers::warn_of_urls(call.store, &mount, &mut reply.warnings)?;
    Ok(reply)
}
