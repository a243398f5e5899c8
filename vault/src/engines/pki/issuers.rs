//! The paths of issuers: list, read, change and delete them.

use serde_json::{Map, Value, json};

use super::config;
use super::crl;
use super::der::{shown_time, with_colons};
use super::issuer::{self, DEFAULT, Issuers, Usage};
use super::key;
use super::record::{IssuerRecord, IssuersConfigRecord, LeafNotAfter};
use super::signing::SignatureAlgorithm;
use crate::engine::Call;
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Mount;
use crate::reply::{Raw, Reply, Status};
use crate::request::Operation;
use crate::store::Store;

pub(super) const ISSUER_REF: Field =
    field("issuer_ref", Kind::Text, "Id or name of an issuer, or default.").or(DEFAULT);
pub(super) const ISSUER_NAME: Field = field("issuer_name", Kind::Text, "Name of the issuer.");
const BEHAVIOUR: Field =
    field("leaf_not_after_behavior", Kind::Text, "What happens to a certificate that would outlast the issuer.")
        .or("err")
        .one_of(&["err", "truncate", "permit"]);
const USAGE: Field = field(
    "usage",
    Kind::CommaList,
    "What it may be used for: read-only, issuing-certificates, crl-signing, ocsp-signing.",
)
.or("read-only,issuing-certificates,crl-signing,ocsp-signing");
const MANUAL_CHAIN: Field =
    field("manual_chain", Kind::CommaList, "Ids or names of the issuers up to a root, itself first.");
const ALGORITHM: Field = field(
    "revocation_signature_algorithm",
    Kind::Text,
    "What its lists and OCSP replies are signed with, such as SHA384WithRSA; empty is what fits the key.",
);

pub(super) const READ_FIELDS: &[Field] = &[ISSUER_REF];
pub(super) const WRITE_FIELDS: &[Field] = &[ISSUER_REF, ISSUER_NAME, BEHAVIOUR, USAGE, MANUAL_CHAIN, ALGORITHM];

/// LIST issuers.
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let default = issuer::config(call.store, &mount)?.default;
    let all = Issuers::load(call.store, &mount)?.all;
    let mut reply = listing::page(all.iter().map(|issuer| issuer.id.clone()).collect(), &call.fields)?;
    let mut info = Map::new();
    for issuer in &all {
        let serial = with_colons(issuer.certificate()?.raw_serial());
        let shown = json!({
            "is_default": issuer.id == default, "issuer_name": issuer.name, "key_id": issuer.key_id, "serial_number": serial,
        });
        info.insert(issuer.id.clone(), shown);
    }
    reply.data.get_or_insert_default().insert("key_info".into(), Value::Object(info));
    Ok(reply)
}

fn named(call: &mut Call<'_, '_>) -> Result<IssuerRecord, Error> {
    let mount = call.mount.clone();
    issuer::get(call.store, &mount, call.fields.text_or_empty(ISSUER_REF.name))
}

fn pems(store: &mut Store<'_>, mount: &Mount, issuer: &IssuerRecord) -> Result<Vec<String>, Error> {
    Ok(issuer::chain(store, mount, issuer)?.iter().map(|issuer| issuer.pem() + "\n").collect())
}

/// An issuer as the API shows it.
pub(super) fn shown(store: &mut Store<'_>, mount: &Mount, issuer: &IssuerRecord) -> Result<Reply, Error> {
    let behaviour = match issuer.leaf_not_after() {
        LeafNotAfter::Err => "err",
        LeafNotAfter::Truncate => "truncate",
        LeafNotAfter::Permit => "permit",
    };
    let mut data = issuer.urls.shown();
    let more = json!({
        "issuer_id": issuer.id,
        "issuer_name": issuer.name,
        "key_id": issuer.key_id,
        "certificate": issuer.pem() + "\n",
        "ca_chain": pems(store, mount, issuer)?,
        "manual_chain": if issuer.manual_chain.is_empty() { Value::Null } else { json!(issuer.manual_chain) },
        "leaf_not_after_behavior": behaviour,
        "usage": Usage::shown(issuer.usage),
        "revocation_signature_algorithm": issuer.revocation_algorithm,
        "revoked": issuer.revoked_nanos != 0,
        "enable_aia_url_templating": issuer.urls.has_templates,
    });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
        if issuer.revoked_nanos != 0 {
            let secs = issuer.revoked_nanos / 1_000_000_000;
            data.insert("revocation_time".into(), secs.into());
            data.insert("revocation_time_rfc3339".into(), shown_time(secs).into());
        }
    }
    Ok(Reply::data(data))
}

/// Reads an issuer.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, issuer) = (call.mount.clone(), named(call)?);
    shown(call.store, &mount, &issuer)
}

/// What anybody may know of an issuer.
pub(super) fn read_json(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, issuer) = (call.mount.clone(), named(call)?);
    Ok(Reply::data(json!({
        "issuer_id": issuer.id,
        "issuer_name": issuer.name,
        "certificate": issuer.pem() + "\n",
        "ca_chain": pems(call.store, &mount, &issuer)?,
    })))
}

/// A body of its own.
pub(super) fn raw(content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
    let body = body.into();
    let status_code = if body.is_empty() { 204 } else { 200 };
    Reply { raw: Some(Raw { status_code, content_type: content_type.to_owned(), body }), ..Reply::default() }
}

/// An issuer's certificate in PEM.
pub(super) fn read_pem(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(raw("application/pem-certificate-chain", named(call)?.pem() + "\n"))
}

/// An issuer's certificate in DER.
pub(super) fn read_der(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(raw("application/pkix-cert", named(call)?.der))
}

/// Changes an issuer: a write resets what is not sent, a patch leaves it.
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, found) = (call.mount.clone(), named(call)?);
    let mut issuers = Issuers::load(call.store, &mount)?;
    let mut changed = found.clone();
    take(call, &issuers, &mut changed)?;
    if let Some(stored) = issuers.by_id(&found.id) {
        stored.clone_from(&changed);
    }
    issuers.save(call.store, &mount)?;
    if changed.may(Usage::CRL) && !found.may(Usage::CRL) {
        crl::rebuild(&mut call.work(), &changed)?;
    }
    let stored = issuer::get(call.store, &mount, &found.id)?;
    shown(call.store, &mount, &stored)
}

fn take(call: &Call<'_, '_>, issuers: &Issuers, issuer: &mut IssuerRecord) -> Result<(), Error> {
    let is_patch = call.request.operation == Operation::Patch;
    let fields = &call.fields;
    let is_meant = |field: &Field| !is_patch || fields.has(field.name);
    if is_meant(&ISSUER_NAME) {
        let name = fields.text_or_empty(ISSUER_NAME.name);
        issuers.check_name(name, &issuer.id)?;
        name.clone_into(&mut issuer.name);
    }
    if is_meant(&BEHAVIOUR) {
        issuer.set_leaf_not_after(match fields.text_or_empty(BEHAVIOUR.name) {
            "" | "err" => LeafNotAfter::Err,
            "truncate" => LeafNotAfter::Truncate,
            "permit" => LeafNotAfter::Permit,
            _ => return Err(Error::invalid("leaf_not_after_behavior must be err, truncate or permit")),
        });
    }
    if is_meant(&USAGE) {
        let sent = fields.list(USAGE.name).filter(|names| !names.is_empty());
        issuer.usage = sent.map_or(Ok(Usage::ALL), Usage::parse)?;
        if issuer.revoked_nanos != 0 && issuer.may(Usage::ISSUING) {
            return Err(Error::invalid("a revoked issuer cannot issue: leave issuing-certificates out of usage"));
        }
    }
    if is_meant(&ALGORITHM) {
        take_algorithm(fields.text_or_empty(ALGORITHM.name), issuer)?;
    }
    if is_meant(&MANUAL_CHAIN) {
        issuer.manual_chain = manual_chain(fields.list(MANUAL_CHAIN.name).unwrap_or_default(), issuers, issuer)?;
    }
    if !is_patch {
        issuer.urls = super::record::UrlsRecord::default();
    }
    issuer.urls.take(fields)
}

fn take_algorithm(name: &str, issuer: &mut IssuerRecord) -> Result<(), Error> {
    if !name.is_empty() {
        let spki = issuer.certificate()?.public_key().raw.to_vec();
        let kind = super::signing::KeyShape::of_public(&spki)?.kind;
        let algorithm = SignatureAlgorithm::named(name).filter(|algorithm| algorithm.fits(kind));
        let algorithm = algorithm.ok_or_else(|| {
            Error::invalid("revocation_signature_algorithm is none that the issuer's key can sign with, such as SHA256WithRSA or ECDSAWithSHA256")
        })?;
        algorithm.as_str().clone_into(&mut issuer.revocation_algorithm);
    } else {
        issuer.revocation_algorithm.clear();
    }
    Ok(())
}

fn manual_chain(names: &[String], issuers: &Issuers, issuer: &IssuerRecord) -> Result<Vec<String>, Error> {
    if names.len() > issuer::MAX_CHAIN {
        return Err(Error::invalid(format!("manual_chain has at most {} issuers", issuer::MAX_CHAIN)));
    }
    let id_of = |name: &String| {
        let found = issuers.all.iter().find(|issuer| issuer.id == *name || (issuer.name == *name && !name.is_empty()));
        found
            .map(|issuer| issuer.id.clone())
            .ok_or_else(|| Error::invalid("manual_chain names an issuer that is not there"))
    };
    let chain = names.iter().filter(|name| !name.is_empty()).map(id_of).collect::<Result<Vec<_>, _>>()?;
    match chain.first().is_none_or(|first| *first == issuer.id) {
        true => Ok(chain),
        false => Err(Error::invalid("manual_chain begins with the issuer itself")),
    }
}

/// Deletes an issuer; its key and what it issued stay.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut reply = Reply { status: Status::Wanted(200), ..Reply::empty() };
    let Some(found) = issuer::find(call.store, &mount, call.fields.text_or_empty(ISSUER_REF.name))? else {
        return Ok(reply);
    };
    let mut issuers = Issuers::load(call.store, &mount)?;
    issuers.all.retain(|issuer| issuer.id != found.id);
    issuers.save(call.store, &mount)?;
    crl::forget(&mut call.work(), &found.id)?;
    let config = issuer::config(call.store, &mount)?;
    if config.default == found.id {
        issuer::save_config(call.store, &mount, &IssuersConfigRecord { default: String::new(), ..config })?;
        reply = reply.warn("The deleted issuer was the default; choose another one by config/issuers.");
    }
    Ok(reply)
}

/// Deletes all issuers and keys; what was issued stays.
pub(super) fn delete_all(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut issuers = Issuers::load(call.store, &mount)?;
    for issuer in std::mem::take(&mut issuers.all) {
        crl::forget(&mut call.work(), &issuer.id)?;
    }
    issuers.save(call.store, &mount)?;
    let config = issuer::config(call.store, &mount)?;
    issuer::save_config(call.store, &mount, &IssuersConfigRecord { default: String::new(), ..config })?;
    key::remove_all(call.store, &mount)?;
    let reply = Reply { status: Status::Wanted(200), ..Reply::empty() };
    Ok(reply.warn("All issuers and keys are deleted. To delete one of them, use issuer/ and key/."))
}

/// Whether clients should hear that no URLs are set.
pub(super) fn warn_of_urls(store: &mut Store<'_>, mount: &Mount, warnings: &mut Vec<String>) -> Result<(), Error> {
    if config::urls(store, mount)?.is_empty() {
        warnings.push(config::NO_URLS.to_owned());
    }
    Ok(())
}
