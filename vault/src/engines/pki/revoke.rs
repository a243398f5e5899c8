//! Revoking certificates and issuers.

use serde_json::{Map, Value};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

use super::crl::{self, RevokedEntry};
use super::fetch::{self, REVOKED};
use super::import;
use super::issuer::{self, Issuers, Usage};
use super::issuers::{self, ISSUER_REF};
use super::record::{CertificateRecord, IssuerRecord, RevokedRecord};
use crate::engine::{Call, Work};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::lease::record::Lease;
use crate::reply::Reply;

const SERIAL: Field = field("serial_number", Kind::Text, "Serial number of the certificate.");
const CERTIFICATE: Field =
    field("certificate", Kind::Text, "The certificate in PEM, in place of its serial number: one that is not kept.");
const PRIVATE_KEY: Field = field("private_key", Kind::Text, "The private key of the certificate, in PEM.").required();

pub(super) const FIELDS: &[Field] = &[SERIAL, CERTIFICATE];
pub(super) const KEY_FIELDS: &[Field] = &[SERIAL, CERTIFICATE, PRIVATE_KEY];

/// The certificate that the request means.
fn meant(call: &mut Call<'_, '_>) -> Result<Vec<u8>, Error> {
    let mount = call.mount.clone();
    let (serial, pem) = (call.fields.text_or_empty(SERIAL.name), call.fields.text_or_empty(CERTIFICATE.name));
    match (serial.is_empty(), pem.is_empty()) {
        (true, true) => Err(Error::invalid("The serial number or certificate to revoke must be provided.")),
        (false, false) => Err(Error::invalid("Must provide either the certificate or the serial to revoke; not both.")),
        (false, true) => {
            let missing = || {
                Error::invalid(
                    "there is no certificate with this serial number; show the certificate itself if it is not kept",
                )
            };
            let stored = fetch::stored_serial(serial).ok_or_else(missing)?;
            Ok(fetch::find(call.store, &mount, &stored)?.ok_or_else(missing)?.der)
        }
        (true, false) => {
            let wrong = || Error::invalid("certificate is not the PEM of one certificate");
            let text = import::checked_text(pem)?;
            let mut blocks = Pem::iter_from_buffer(text.as_bytes());
            let block =
                blocks.next().and_then(Result::ok).filter(|block| block.label == "CERTIFICATE").ok_or_else(wrong)?;
            issuer::parse(&block.contents).ok_or_else(wrong)?;
            Ok(block.contents)
        }
    }
}

/// The issuer of a certificate: of several with the same key, one that can make lists.
fn issuer_of<'i>(issuers: &'i Issuers, certificate: &X509Certificate<'_>) -> Result<Option<&'i IssuerRecord>, Error> {
    let mut found: Vec<&IssuerRecord> = Vec::new();
    for issuer in &issuers.all {
        if issuer::is_signed_by(certificate, &issuer.certificate()?) {
            found.push(issuer);
        }
    }
    let best = found.iter().find(|issuer| issuer.may(Usage::CRL) && !issuer.key_id.is_empty());
    Ok(best.or(found.first()).copied())
}

fn shown(revoked: &RevokedRecord) -> Map<String, Value> {
    let mut data = fetch::shown_revocation(revoked);
    data.insert("state".into(), "revoked".into());
    data
}

/// Revokes a certificate that an issuer of this mount made. One that is revoked stays as it is.
fn revoke_der(work: &mut Work<'_, '_>, der: &[u8]) -> Result<RevokedRecord, Error> {
    let mount = work.mount.clone();
    let certificate = issuer::parse(der).ok_or_else(|| Error::internal("a certificate does not parse"))?;
    let issuers = Issuers::load(work.store, &mount)?;
    if issuers.with_certificate(der).is_some() {
        return Err(Error::invalid("this is the certificate of an issuer; revoke it by issuer/{issuer_ref}/revoke"));
    }
    let found = issuer_of(&issuers, &certificate)?.cloned().ok_or_else(|| {
        Error::invalid("no issuer of this mount signed the certificate; import the one that did, with its key")
    })?;
    let (raw_serial, not_after) = (certificate.raw_serial().to_vec(), certificate.validity().not_after.timestamp());
    let serial = hex::encode(&raw_serial);
    if let Some(revoked) = fetch::revocation(work.store, &mount, &serial)? {
        return Ok(revoked);
    }
    let now = work.context.now;
    if not_after <= now.secs() && !crl::config(work.store, &mount)?.allow_expired {
        return Err(Error::invalid(
            "the certificate is over, so it need not be revoked; allow_expired_cert_revocation of config/crl allows it",
        ));
    }
    match fetch::find(work.store, &mount, &serial)? {
        Some(stored) if stored.der != der => {
            return Err(Error::invalid("another certificate with this serial number is kept here"));
        }
        Some(_) => {}
        None => {
            let record = CertificateRecord { der: der.to_vec(), not_after };
            work.store.put(&mount.area, &[fetch::CERTIFICATES, &serial], &record)?;
        }
    }
    let record = RevokedRecord { issuer_id: found.id.clone(), revoked_nanos: now.nanos(), not_after };
    work.store.put(&mount.area, &[REVOKED, &serial], &record)?;
    crl::revoke(work, &found, RevokedEntry { serial: raw_serial, revoked: now.secs(), not_after })?;
    Ok(record)
}

/// `revoke`.
pub(super) fn revoke(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let der = meant(call)?;
    let revoked = revoke_der(&mut call.work(), &der)?;
    Ok(Reply { data: Some(shown(&revoked)), ..Reply::default() })
}

/// `revoke-with-key`: for who has the key of a certificate, and perhaps no other right.
pub(super) fn revoke_with_key(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let der = meant(call)?;
    let pair = import::private_key(call.fields.text_or_empty(PRIVATE_KEY.name))?;
    let public = issuer::parse(&der).map(|certificate| certificate.public_key().raw.to_vec());
    if public.as_deref() != Some(pair.public.as_slice()) {
        return Err(Error::invalid("provided private key does not match certificate's public key"));
    }
    let revoked = revoke_der(&mut call.work(), &der)?;
    Ok(Reply { data: Some(shown(&revoked)), ..Reply::default() })
}

/// `issuer/{issuer_ref}/revoke`: the issuer issues no more, and is on the list of who issued it, if that is here.
pub(super) fn revoke_issuer(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let found = issuer::get(call.store, &mount, call.fields.text_or_empty(ISSUER_REF.name))?;
    let mut issuers = Issuers::load(call.store, &mount)?;
    let mut warnings = Vec::new();
    if found.revoked_nanos == 0 {
        let mut revoked = found.clone();
        revoked.revoked_nanos = call.context.now.nanos();
        revoked.usage &= !Usage::ISSUING;
        if let Some(stored) = issuers.by_id(&found.id) {
            stored.clone_from(&revoked);
        }
        let parent = parent_of(&issuers, &found)?;
        issuers.save(call.store, &mount)?;
        match parent {
            Some(parent) => put_on_list(call, &parent, &found)?,
            None => warnings.push(
                "Who issued this issuer is not in this mount, or it issued itself, so no list here names it."
                    .to_owned(),
            ),
        }
    }
    if issuer::config(call.store, &mount)?.default == found.id {
        warnings.push(
            "The issuer is the default, so nothing can be issued by default until config/issuers names another."
                .to_owned(),
        );
    }
    let stored = issuer::get(call.store, &mount, &found.id)?;
    let mut reply = issuers::shown(call.store, &mount, &stored)?;
    reply.warnings = warnings;
    Ok(reply)
}

fn parent_of(issuers: &Issuers, child: &IssuerRecord) -> Result<Option<IssuerRecord>, Error> {
    let certificate = child.certificate()?;
    if issuer::is_signed_by(&certificate, &certificate) {
        return Ok(None);
    }
    Ok(issuer_of(issuers, &certificate)?.cloned())
}

fn put_on_list(call: &mut Call<'_, '_>, parent: &IssuerRecord, child: &IssuerRecord) -> Result<(), Error> {
    let (mount, now) = (call.mount.clone(), call.context.now);
    let certificate = child.certificate()?;
    let (raw_serial, not_after) = (certificate.raw_serial().to_vec(), certificate.validity().not_after.timestamp());
    let serial = hex::encode(&raw_serial);
    if fetch::revocation(call.store, &mount, &serial)?.is_some() {
        return Ok(());
    }
    fetch::keep(call.store, &mount, &child.der)?;
    let record = RevokedRecord { issuer_id: parent.id.clone(), revoked_nanos: now.nanos(), not_after };
    call.store.put(&mount.area, &[REVOKED, &serial], &record)?;
    crl::revoke(&mut call.work(), parent, RevokedEntry { serial: raw_serial, revoked: now.secs(), not_after })
}

/// A lease is taken back: nothing has to be done outside.
pub(super) fn lease_revoked(_: &mut Work<'_, '_>, _: &Lease) -> Result<(), Error> {
    Ok(())
}

/// A lease ended: its certificate is revoked, unless it is over by itself or its issuer is gone.
pub(super) fn lease_ended(work: &mut Work<'_, '_>, lease: &Lease) -> Result<(), Error> {
    let Some(certificate) = issuer::parse(&lease.record.data) else { return Ok(()) };
    let mount = work.mount.clone();
    let issuers = Issuers::load(work.store, &mount)?;
    let is_over = certificate.validity().not_after.timestamp() <= work.context.now.secs();
    if is_over || issuer_of(&issuers, &certificate)?.is_none() {
        return Ok(());
    }
    revoke_der(work, &lease.record.data).map(drop)
}
