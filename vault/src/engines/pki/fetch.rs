//! Certificates as they are read: those of authorities, and those that were issued. All of it is public but for the lists of
//! serial numbers.

use serde_json::{Map, Value, json};

use super::der::{shown_time, with_colons};
use super::issuer;
use super::issuers::raw;
use super::record::{CertificateRecord, RevokedRecord};
use crate::engine::Call;
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;
use crate::time::Time;

/// Directory of the certificates in the mount's area, by serial number.
pub(super) const CERTIFICATES: &str = "certificate";
/// Directory of the revoked ones.
pub(super) const REVOKED: &str = "revoked";
/// Longest serial number, in bytes (RFC 5280, section 4.1.2.2), and one for the sign.
const MAX_SERIAL_BYTES: usize = 21;

pub(super) const SERIAL: Field =
    field("serial", Kind::Text, "In the path: the serial number in hexadecimal digits, with colons or dashes.");

/// How a serial number is stored: hexadecimal digits alone. `None` if a text is none.
pub(super) fn stored_serial(text: &str) -> Option<String> {
    let digits = text.replace([':', '-'], "").to_ascii_lowercase();
    let fits = !digits.is_empty()
        && digits.len().is_multiple_of(2)
        && digits.len() <= 2 * MAX_SERIAL_BYTES
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then_some(digits)
}

/// How a stored serial number is shown.
pub(super) fn shown_serial(stored: &str) -> String {
    hex::decode(stored).map_or_else(|_| stored.to_owned(), |bytes| with_colons(&bytes))
}

/// A certificate that was issued.
pub(super) fn find(store: &mut Store<'_>, mount: &Mount, serial: &str) -> Result<Option<CertificateRecord>, Error> {
    store.get(&mount.area, &[CERTIFICATES, serial])
}

/// Whether a certificate is revoked.
pub(super) fn revocation(store: &mut Store<'_>, mount: &Mount, serial: &str) -> Result<Option<RevokedRecord>, Error> {
    store.get(&mount.area, &[REVOKED, serial])
}

/// Keeps a certificate.
pub(super) fn keep(store: &mut Store<'_>, mount: &Mount, der: &[u8]) -> Result<(), Error> {
    let certificate = issuer::parse(der).ok_or_else(|| Error::internal("a new certificate does not parse"))?;
    let serial = hex::encode(certificate.raw_serial());
    let record = CertificateRecord { der: der.to_vec(), not_after: certificate.validity().not_after.timestamp() };
    store.put(&mount.area, &[CERTIFICATES, &serial], &record)
}

/// The default issuer's certificate in DER; `None` if there is none.
fn default_der(call: &mut Call<'_, '_>) -> Result<Option<Vec<u8>>, Error> {
    let mount = call.mount.clone();
    Ok(issuer::find(call.store, &mount, issuer::DEFAULT)?.map(|issuer| issuer.der))
}

/// The default issuer in DER.
pub(super) fn ca_der(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(raw("application/pkix-cert", default_der(call)?.unwrap_or_default()))
}

/// The default issuer in PEM.
pub(super) fn ca_pem(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let pem = default_der(call)?.map(|der| issuer::pem(&der)).unwrap_or_default();
    Ok(raw("application/pem-certificate-chain", pem))
}

fn default_chain(call: &mut Call<'_, '_>) -> Result<String, Error> {
    let mount = call.mount.clone();
    let Some(found) = issuer::find(call.store, &mount, issuer::DEFAULT)? else { return Ok(String::new()) };
    let chain = issuer::chain(call.store, &mount, &found)?;
    Ok(chain.iter().map(|issuer| issuer.pem()).collect::<Vec<_>>().join("\n"))
}

/// The default issuer and those above it, in PEM.
pub(super) fn ca_chain(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(raw("application/pkix-cert", default_chain(call)?))
}

fn certificate_reply(certificate: &str) -> Reply {
    Reply::data(json!({ "certificate": certificate, "revocation_time": 0, "revocation_time_rfc3339": "" }))
}

/// The default issuer in JSON.
pub(super) fn cert_ca(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let der = default_der(call)?.ok_or_else(Error::not_found)?;
    Ok(certificate_reply(&issuer::pem(&der)))
}

/// The default issuer's chain in JSON.
pub(super) fn cert_ca_chain(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let chain = default_chain(call)?;
    if chain.is_empty() {
        return Err(Error::not_found());
    }
    let mut reply = certificate_reply(&chain);
    reply.data.get_or_insert_default().insert("ca_chain".into(), chain.into());
    Ok(reply)
}

fn named(call: &mut Call<'_, '_>) -> Result<(String, CertificateRecord), Error> {
    let mount = call.mount.clone();
    let serial = stored_serial(call.fields.text_or_empty(SERIAL.name)).ok_or_else(Error::not_found)?;
    let found = find(call.store, &mount, &serial)?.ok_or_else(Error::not_found)?;
    Ok((serial, found))
}

/// A certificate by its serial number, in JSON.
pub(super) fn cert(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, (serial, found)) = (call.mount.clone(), named(call)?);
    let mut reply = certificate_reply(&issuer::pem(&found.der));
    if let Some(revoked) = revocation(call.store, &mount, &serial)? {
        let data = reply.data.get_or_insert_default();
        data.extend(shown_revocation(&revoked));
        data.insert("issuer_id".into(), revoked.issuer_id.into());
    }
    Ok(reply)
}

/// When something was revoked, as the API shows it.
pub(super) fn shown_revocation(revoked: &RevokedRecord) -> Map<String, Value> {
    let when = Time::from_nanos(revoked.revoked_nanos);
    let mut data = Map::new();
    data.insert("revocation_time".into(), when.secs().into());
    data.insert("revocation_time_rfc3339".into(), when.to_string().into());
    data
}

/// A certificate by its serial number, in DER.
pub(super) fn cert_der(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(raw("application/pkix-cert", named(call)?.1.der))
}

/// A certificate by its serial number, in PEM.
pub(super) fn cert_pem(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(raw("application/pem-certificate-chain", issuer::pem(&named(call)?.1.der)))
}

fn list_of(call: &mut Call<'_, '_>, folder: &str) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[folder])?;
    let serials = names.iter().map(|name| shown_serial(&name.name));
    let mut serials: Vec<String> = serials.collect();
    serials.sort_unstable();
    listing::page(serials, &call.fields)
}

/// LIST certs.
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    list_of(call, CERTIFICATES)
}

/// LIST certs/revoked.
pub(super) fn list_revoked(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    list_of(call, REVOKED)
}

/// What a certificate is about and when it ends, beside its serial number.
fn detail(der: &[u8]) -> Option<Value> {
    let certificate = issuer::parse(der)?;
    let common_name = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).last();
    Some(json!({
        "common_name": common_name.unwrap_or_default(),
        "issuer": certificate.issuer().to_string(),
        "not_before": shown_time(certificate.validity().not_before.timestamp()),
        "not_after": shown_time(certificate.validity().not_after.timestamp()),
    }))
}

/// Most certificates that one detailed list shows.
const MAX_DETAILED: usize = 1_000;

/// LIST certs/detailed.
pub(super) fn list_detailed(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut reply = list_of(call, CERTIFICATES)?;
    let mount = call.mount.clone();
    let data = reply.data.get_or_insert_default();
    let shown: Vec<String> = serde_json::from_value(data.get("keys").cloned().unwrap_or_default()).unwrap_or_default();
    if shown.len() > MAX_DETAILED {
        return Err(Error::invalid(format!(
            "a detailed list shows at most {MAX_DETAILED} certificates; set limit and after"
        )));
    }
    let mut info = Map::new();
    for serial in shown {
        let found = find(call.store, &mount, &stored_serial(&serial).unwrap_or_default())?;
        info.extend(found.and_then(|found| detail(&found.der)).map(|detail| (serial, detail)));
    }
    data.insert("key_info".into(), Value::Object(info));
    Ok(reply)
}
