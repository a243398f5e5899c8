//! Lists of revoked certificates (RFC 5280, section 5), as whoever may write them gives them: their signatures are not looked at.
//!
//! What surprises: a list stays in force when its time is over, until a newer one is written. What was revoked stays so.

use prost::Message;
use serde_json::{Map, Value, json};
use x509_parser::pem::Pem;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::engine::Call;
use crate::engines::cert::trust;
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;

/// Directory of the lists in the mount's area.
const FOLDER: &str = "crl";
/// Most lists. Each login reads all of them.
const MAX_LISTS: usize = 16;
/// Longest list, in bytes of its text.
const MAX_CRL_BYTES: usize = 512 << 10;

const NAME: Field = field("name", Kind::Text, "Name of the list.");
const CRL: Field = field("crl", Kind::Text, "The list, in PEM.");
const URL: Field = field("url", Kind::Text, "Refused, unless empty: lists are not fetched; write them.");

pub(super) const FIELDS: &[Field] = &[NAME, CRL, URL];

/// A list as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CrlRecord {
    /// DER.
    #[prost(bytes = "vec", tag = "1")]
    der: Vec<u8>,
}

fn parse(der: &[u8]) -> Option<CertificateRevocationList<'_>> {
    CertificateRevocationList::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, list)| list)
}

/// Whether a list of the mount has one of these certificates.
pub(super) fn has_revoked(store: &mut Store<'_>, mount: &Mount, chain: &[Vec<u8>]) -> Result<bool, Error> {
    let names = listing::keys(&store.list(&mount.area, &[FOLDER])?);
    for name in names {
        let Some(record) = store.get::<CrlRecord>(&mount.area, &[FOLDER, &name])? else { continue };
        let list =
            parse(&record.der).ok_or_else(|| Error::internal("a stored list of revoked certificates is damaged"))?;
        let is_on_it = |der: &Vec<u8>| {
            let Some(certificate) = trust::parse(der) else { return false };
            certificate.issuer().as_raw() == list.issuer().as_raw()
                && list.iter_revoked_certificates().any(|revoked| revoked.raw_serial() == certificate.raw_serial())
        };
        if chain.iter().any(is_on_it) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn name_of(call: &Call<'_, '_>) -> String {
    call.fields.text_or_empty(NAME.name).to_owned()
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[FOLDER])?;
    listing::page(listing::keys(&names), &call.fields)
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call);
    let record: Option<CrlRecord> = call.store.get(&call.mount.area, &[FOLDER, &name])?;
    let record = record.ok_or_else(|| Error::invalid(format!("no such CRL {name}")))?;
    let list = parse(&record.der).ok_or_else(|| Error::internal("a stored list of revoked certificates is damaged"))?;
    let serials = list.iter_revoked_certificates().map(|revoked| (revoked.serial().to_string(), json!({})));
    Ok(Reply::data(json!({ "serials": Value::Object(serials.collect::<Map<_, _>>()) })))
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, text) = (name_of(call), call.fields.text_or_empty(CRL.name));
    if !call.fields.text_or_empty(URL.name).is_empty() {
        return Err(Error::invalid("url must be empty: lists are not fetched; write the list itself as crl"));
    }
    if text.is_empty() {
        return Err(Error::invalid("one of 'crl' or 'url' must be provided"));
    }
    if text.len() > MAX_CRL_BYTES {
        return Err(Error::invalid(format!("a list of revoked certificates has at most {MAX_CRL_BYTES} bytes")));
    }
    let mut blocks = Pem::iter_from_buffer(text.as_bytes());
    let der = match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) if block.label == "X509 CRL" && parse(&block.contents).is_some() => block.contents,
        _ => return Err(Error::invalid("failed to parse CRL: crl must be one list in PEM")),
    };
    let others = listing::keys(&call.store.list(&call.mount.area, &[FOLDER])?);
    if others.len() >= MAX_LISTS && !others.contains(&name) {
        return Err(Error::invalid(format!("a mount has at most {MAX_LISTS} lists of revoked certificates")));
    }
    call.store.put(&call.mount.area, &[FOLDER, &name], &CrlRecord { der })?;
    Ok(Reply::empty())
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call);
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}
