//! Lists of revoked certificates (RFC 5280, section 5), one for each issuer that has its key here.
//!
//! A list is made when something is revoked, when its settings change and before it runs out, and is then a record that is read. What
//! is on it lies in the order of revocation, in chunks, so that what came since the last complete list (the delta) is the end of it. Complete
//! lists and deltas count by one number.
//!
//! What surprises: a list is renewed before it runs out whatever `auto_rebuild` says. That setting means that a revocation does not make a
//! new one by itself.

use prost::Message;
use serde_json::json;
use yasna::{Tag, construct_der};

use super::der::{Extension, signed, write_extensions, write_time};
use super::extension;
use super::issuer::{self, Issuers, Usage};
use super::issuers::{ISSUER_REF, raw};
use super::key;
use super::oid;
use super::record::{IssuerRecord, PkiKeyRecord};
use super::signing::{self, SignatureAlgorithm};
use crate::engine::{Call, Work};
use crate::engines::pairs;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Fields, Kind, field, parse_duration};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;
use crate::time::Time;

/// Where the settings lie in the mount's area.
const CONFIG: &[&str] = &["config", "crl"];
/// Directory of what is known of each issuer's lists.
const STATE: &str = "crl-state";
/// Directory of the lists themselves.
const LIST: &str = "crl";
/// Directory of what is on them, in chunks.
const ENTRIES: &str = "crl-entries";
/// Entries in one chunk.
const CHUNK: u64 = 512;
/// Most revoked certificates of one issuer. Their list stays below the limit of a value.
pub(super) const MAX_REVOKED: u64 = 45_000;
/// Longest time that a list or an OCSP reply is valid, in seconds.
const MAX_EXPIRY_SECS: u64 = 366 * 24 * 3600;
/// Shortest such time, and shortest time between two deltas, in seconds.
const MIN_EXPIRY_SECS: u64 = 60;
/// First words of the names of reminders.
const DUE_LIST: &str = "crl.";
const DUE_DELTA: &str = "delta.";

pub(super) const FIELDS: &[Field] = &[
    field("expiry", Kind::Text, "How long a list is valid.").or("72h"),
    field("disable", Kind::Bool, "Whether lists are empty.").or("false"),
    field("ocsp_disable", Kind::Bool, "Whether OCSP is not answered.").or("false"),
    field("ocsp_expiry", Kind::Text, "How long an OCSP reply is valid.").or("12h"),
    field(
        "ocsp_unknown_is_good",
        Kind::Bool,
        "Whether OCSP says good of serial numbers that are not stored, as no_store needs, in place of unknown.",
    )
    .or("false"),
    field("auto_rebuild", Kind::Bool, "Whether a revocation waits for the next list, in place of making one.")
        .or("false"),
    field("auto_rebuild_grace_period", Kind::Text, "How long before its end a list is renewed.").or("12h"),
    field("enable_delta", Kind::Bool, "Whether there are lists of what was revoked since; needs auto_rebuild.")
        .or("false"),
    field("delta_rebuild_interval", Kind::Text, "How long after a revocation there is such a list.").or("15m"),
    field("allow_expired_cert_revocation", Kind::Bool, "Whether certificates that are over can be revoked.")
        .or("false"),
];

/// Settings of lists and OCSP.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct CrlConfigRecord {
    /// Durations as they were sent; empty is the default.
    #[prost(string, tag = "1")]
    expiry: String,
    #[prost(string, tag = "2")]
    ocsp_expiry: String,
    #[prost(string, tag = "3")]
    grace: String,
    #[prost(string, tag = "4")]
    delta_interval: String,
    #[prost(bool, tag = "5")]
    disable: bool,
    #[prost(bool, tag = "6")]
    pub(super) ocsp_disable: bool,
    #[prost(bool, tag = "7")]
    pub(super) auto_rebuild: bool,
    #[prost(bool, tag = "8")]
    enable_delta: bool,
    #[prost(bool, tag = "9")]
    pub(super) allow_expired: bool,
    #[prost(bool, tag = "10")]
    pub(super) unknown_is_good: bool,
}

impl CrlConfigRecord {
    fn secs(text: &str, default: &str) -> u64 {
        let text = if text.is_empty() { default } else { text };
        parse_duration(text).map_or(0, |duration| duration.as_secs())
    }

    fn expiry_secs(&self) -> u64 {
        Self::secs(&self.expiry, "72h")
    }

    /// How long an OCSP reply is valid.
    pub(super) fn ocsp_secs(&self) -> u64 {
        Self::secs(&self.ocsp_expiry, "12h")
    }

    /// How long before its end a list is renewed: at the latest half way.
    fn grace_secs(&self) -> u64 {
        Self::secs(&self.grace, "12h").min(self.expiry_secs() / 2)
    }

    fn delta_secs(&self) -> u64 {
        Self::secs(&self.delta_interval, "15m")
    }

    fn take(&mut self, fields: &Fields) -> Result<(), Error> {
        for (name, text) in [
            ("expiry", &mut self.expiry),
            ("ocsp_expiry", &mut self.ocsp_expiry),
            ("auto_rebuild_grace_period", &mut self.grace),
            ("delta_rebuild_interval", &mut self.delta_interval),
        ] {
            let Some(sent) = fields.text(name) else { continue };
            let secs = parse_duration(sent).map(|duration| duration.as_secs());
            if !secs.is_some_and(|secs| (MIN_EXPIRY_SECS..=MAX_EXPIRY_SECS).contains(&secs)) {
                return Err(Error::invalid(format!(
                    "{name} must be a duration such as 72h, from {MIN_EXPIRY_SECS} s to {MAX_EXPIRY_SECS} s"
                )));
            }
            sent.clone_into(text);
        }
        for (name, value) in [
            ("disable", &mut self.disable),
            ("ocsp_disable", &mut self.ocsp_disable),
            ("ocsp_unknown_is_good", &mut self.unknown_is_good),
            ("auto_rebuild", &mut self.auto_rebuild),
            ("enable_delta", &mut self.enable_delta),
            ("allow_expired_cert_revocation", &mut self.allow_expired),
        ] {
            *value = fields.bool(name).unwrap_or(*value);
        }
        if self.enable_delta && !self.auto_rebuild {
            return Err(Error::invalid(
                "enable_delta needs auto_rebuild: without it each revocation makes a complete list",
            ));
        }
        if self.auto_rebuild && Self::secs(&self.grace, "12h") >= self.expiry_secs() {
            return Err(Error::invalid("auto_rebuild_grace_period must be shorter than expiry"));
        }
        Ok(())
    }

    fn shown(&self) -> Reply {
        let text = |text: &String, default: &str| if text.is_empty() { default.to_owned() } else { text.clone() };
        Reply::data(json!({
            "expiry": text(&self.expiry, "72h"),
            "disable": self.disable,
            "ocsp_disable": self.ocsp_disable,
            "ocsp_expiry": text(&self.ocsp_expiry, "12h"),
            "ocsp_unknown_is_good": self.unknown_is_good,
            "auto_rebuild": self.auto_rebuild,
            "auto_rebuild_grace_period": text(&self.grace, "12h"),
            "enable_delta": self.enable_delta,
            "delta_rebuild_interval": text(&self.delta_interval, "15m"),
            "allow_expired_cert_revocation": self.allow_expired,
        }))
    }
}

/// What is known of the lists of an issuer.
#[derive(Clone, PartialEq, Eq, Message)]
struct CrlStateRecord {
    /// Number of the newest list, complete or delta.
    #[prost(uint64, tag = "1")]
    number: u64,
    /// Entries in all chunks.
    #[prost(uint64, tag = "2")]
    total: u64,
    /// Number of the newest complete list, and how many entries it has.
    #[prost(uint64, tag = "3")]
    complete_number: u64,
    #[prost(uint64, tag = "4")]
    complete_total: u64,
    /// When the next complete list is due, and the next delta (0: not yet), in seconds since 1970.
    #[prost(int64, tag = "5")]
    wake: i64,
    #[prost(int64, tag = "6")]
    delta_wake: i64,
}

/// Some entries.
#[derive(Clone, PartialEq, Message)]
struct ChunkRecord {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<RevokedEntry>,
}

/// A revoked certificate.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RevokedEntry {
    /// Big-endian.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) serial: Vec<u8>,
    /// Seconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) revoked: i64,
    /// When the certificate ends, in seconds since 1970.
    #[prost(int64, tag = "3")]
    pub(super) not_after: i64,
}

/// A list.
#[derive(Clone, PartialEq, Message)]
struct ListRecord {
    #[prost(bytes = "vec", tag = "1")]
    der: Vec<u8>,
}

/// The settings.
pub(super) fn config(store: &mut Store<'_>, mount: &Mount) -> Result<CrlConfigRecord, Error> {
    Ok(store.get(&mount.area, CONFIG)?.unwrap_or_default())
}

fn state(store: &mut Store<'_>, mount: &Mount, issuer_id: &str) -> Result<CrlStateRecord, Error> {
    Ok(store.get(&mount.area, &[STATE, issuer_id])?.unwrap_or_default())
}

fn entries(work: &mut Work<'_, '_>, issuer_id: &str, from: u64, to: u64) -> Result<Vec<RevokedEntry>, Error> {
    let mut entries = Vec::new();
    for chunk in from / CHUNK..to.div_ceil(CHUNK) {
        let path = [ENTRIES, issuer_id, &chunk.to_string()];
        let record: ChunkRecord = work.store.get(&work.mount.area, &path)?.unwrap_or_default();
        let skipped = from.saturating_sub(chunk * CHUNK);
        entries.extend(record.entries.into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)));
    }
    Ok(entries)
}

/// Puts a certificate on the list of an issuer.
pub(super) fn revoke(work: &mut Work<'_, '_>, issuer: &IssuerRecord, entry: RevokedEntry) -> Result<(), Error> {
    let mount = work.mount.clone();
    let mut state = state(work.store, &mount, &issuer.id)?;
    if state.total >= MAX_REVOKED {
        return Err(Error::invalid(format!(
            "the issuer has {MAX_REVOKED} revoked certificates, the most that one list holds; remove those that are over by \
             tidy with tidy_revoked_certs"
        )));
    }
    let chunk = (state.total / CHUNK).to_string();
    let path = [ENTRIES, issuer.id.as_str(), &chunk];
    let mut record: ChunkRecord = work.store.get(&mount.area, &path)?.unwrap_or_default();
    record.entries.push(entry);
    work.store.put(&mount.area, &path, &record)?;
    state.total += 1;
    let config = config(work.store, &mount)?;
    if config.enable_delta && state.delta_wake == 0 {
        let when = work.context.now.plus_secs(config.delta_secs());
        state.delta_wake = when.secs();
        work.remind(when, &format!("{DUE_DELTA}{}", issuer.id))?;
    }
    work.store.put(&mount.area, &[STATE, &issuer.id], &state)?;
    if config.auto_rebuild { Ok(()) } else { rebuild(work, issuer) }
}

/// Removes entries of certificates that are over since a time, for good. Returns how many.
pub(super) fn tidy(work: &mut Work<'_, '_>, issuer: &IssuerRecord, before: i64) -> Result<usize, Error> {
    let mount = work.mount.clone();
    let mut state = state(work.store, &mount, &issuer.id)?;
    let all = entries(work, &issuer.id, 0, state.total)?;
    let kept: Vec<RevokedEntry> = all.iter().filter(|entry| entry.not_after >= before).cloned().collect();
    if kept.len() == all.len() {
        return Ok(0);
    }
    let (old, removed) = (state.total.div_ceil(CHUNK), all.len() - kept.len());
    state.total = kept.len() as u64;
    for chunk in 0..old {
        let begin = usize::try_from(chunk * CHUNK).unwrap_or(usize::MAX).min(kept.len());
        let end = (begin + CHUNK as usize).min(kept.len());
        let path = [ENTRIES, issuer.id.as_str(), &chunk.to_string()];
        match begin < end {
            true => work.store.put(&mount.area, &path, &ChunkRecord { entries: kept[begin..end].to_vec() })?,
            false => work.store.delete(&mount.area, &path),
        }
    }
    work.store.put(&mount.area, &[STATE, &issuer.id], &state)?;
    rebuild(work, issuer)?;
    Ok(removed)
}

/// Whether a list can be made for an issuer, and its key.
fn signer(work: &mut Work<'_, '_>, issuer: &IssuerRecord) -> Result<Option<PkiKeyRecord>, Error> {
    if !issuer.may(Usage::CRL) {
        return Ok(None);
    }
    let mount = work.mount.clone();
    key::by_id(work.store, &mount, &issuer.key_id)
}

/// Makes a new complete list for an issuer, and an empty delta behind it if there are deltas. Without its key nothing is made.
pub(super) fn rebuild(work: &mut Work<'_, '_>, issuer: &IssuerRecord) -> Result<(), Error> {
    let Some(key) = signer(work, issuer)? else { return Ok(()) };
    let mount = work.mount.clone();
    let config = config(work.store, &mount)?;
    let mut state = state(work.store, &mount, &issuer.id)?;
    let all = if config.disable { Vec::new() } else { entries(work, &issuer.id, 0, state.total)? };
    state.number += 1;
    (state.complete_number, state.complete_total) = (state.number, state.total);
    let list = List { issuer, key: &key, number: state.number, base: None, entries: &all };
    let der = list.sign(work.context.now, config.expiry_secs())?;
    work.store.put(&mount.area, &[LIST, &issuer.id, "complete"], &ListRecord { der })?;
    let wake = work.context.now.plus_secs(config.expiry_secs() - config.grace_secs());
    state.wake = wake.secs();
    work.remind(wake, &format!("{DUE_LIST}{}", issuer.id))?;
    work.store.put(&mount.area, &[STATE, &issuer.id], &state)?;
    rebuild_delta(work, issuer)
}

/// Makes a new list of what was revoked since the newest complete one, if there are such lists.
fn rebuild_delta(work: &mut Work<'_, '_>, issuer: &IssuerRecord) -> Result<(), Error> {
    let mount = work.mount.clone();
    let config = config(work.store, &mount)?;
    let path = [LIST, issuer.id.as_str(), "delta"];
    if !config.enable_delta {
        work.store.delete(&mount.area, &path);
        return Ok(());
    }
    let Some(key) = signer(work, issuer)? else { return Ok(()) };
    let mut state = state(work.store, &mount, &issuer.id)?;
    let since = if config.disable { Vec::new() } else { entries(work, &issuer.id, state.complete_total, state.total)? };
    state.number += 1;
    state.delta_wake = 0;
    let base = Some(state.complete_number);
    let list = List { issuer, key: &key, number: state.number, base, entries: &since };
    let der = list.sign(work.context.now, config.expiry_secs())?;
    work.store.put(&mount.area, &path, &ListRecord { der })?;
    work.store.put(&mount.area, &[STATE, &issuer.id], &state)
}

/// Removes the lists of an issuer that is gone.
pub(super) fn forget(work: &mut Work<'_, '_>, issuer_id: &str) -> Result<(), Error> {
    let mount = work.mount.clone();
    work.store.delete(&mount.area, &[STATE, issuer_id]);
    for name in ["complete", "delta"] {
        work.store.delete(&mount.area, &[LIST, issuer_id, name]);
    }
    work.drop_folder(&[ENTRIES, issuer_id])
}

/// A list to be signed.
struct List<'l> {
    issuer: &'l IssuerRecord,
    key: &'l PkiKeyRecord,
    number: u64,
    /// Number of the complete list that it adds to; absent if it is complete.
    base: Option<u64>,
    entries: &'l [RevokedEntry],
}

impl List<'_> {
    fn sign(&self, now: Time, valid_secs: u64) -> Result<Vec<u8>, Error> {
        let algorithm = algorithm_of(self.issuer, self.key);
        let certificate = self.issuer.certificate()?;
        let mut extensions = vec![
            extension::authority_key_id(&signing::key_id(&self.key.public)),
            Extension::new(oid::CRL_NUMBER, false, |writer| writer.write_u64(self.number)),
        ];
        if let Some(base) = self.base {
            extensions.push(Extension::new(oid::DELTA_INDICATOR, true, |writer| writer.write_u64(base)));
        }
        let body = construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_u8(1);
                algorithm.write(writer.next());
                writer.next().write_der(certificate.subject().as_raw());
                write_time(writer.next(), now.secs());
                write_time(writer.next(), now.plus_secs(valid_secs).secs());
                if !self.entries.is_empty() {
                    writer.next().write_sequence(|writer| {
                        for entry in self.entries {
                            writer.next().write_sequence(|writer| {
                                writer.next().write_bigint_bytes(&entry.serial, true);
                                write_time(writer.next(), entry.revoked);
                            });
                        }
                    });
                }
                writer.next().write_tagged(Tag::context(0), |writer| write_extensions(writer, &extensions));
            });
        });
        signed(&self.key.secret, algorithm, &body)
    }
}

/// What an issuer signs lists and OCSP replies with.
pub(super) fn algorithm_of(issuer: &IssuerRecord, key: &PkiKeyRecord) -> SignatureAlgorithm {
    let wanted = SignatureAlgorithm::named(&issuer.revocation_algorithm);
    let wanted = wanted.filter(|algorithm| algorithm.fits(key.kind()));
    wanted.unwrap_or_else(|| SignatureAlgorithm::of(key.shape(), 0, false))
}

/// What the calendar reminds of.
pub(super) fn due(work: &mut Work<'_, '_>, name: &str) -> Result<(), Error> {
    let (is_delta, id) = match (name.strip_prefix(DUE_LIST), name.strip_prefix(DUE_DELTA)) {
        (Some(id), _) => (false, id),
        (_, Some(id)) => (true, id),
        _ => return Ok(()),
    };
    let mount = work.mount.clone();
    let Some(issuer) = issuer::find(work.store, &mount, id)? else { return Ok(()) };
    let (state, now) = (state(work.store, &mount, id)?, work.context.now.secs());
    // An entry of the calendar may be older than the newest list.
    match is_delta {
        true if state.delta_wake != 0 && state.delta_wake <= now => rebuild_delta(work, &issuer),
        false if state.wake <= now => rebuild(work, &issuer),
        _ => Ok(()),
    }
}

/// The list of an issuer in DER; `None` if there is none.
fn list_of(call: &mut Call<'_, '_>, is_delta: bool) -> Result<Option<Vec<u8>>, Error> {
    let mount = call.mount.clone();
    let reference = call.fields.text_or_empty(ISSUER_REF.name);
    let issuer = match issuer::find(call.store, &mount, reference)? {
        Some(issuer) => issuer,
        None if reference.is_empty() => return Ok(None),
        None => return Err(issuer::missing(reference)),
    };
    let name = if is_delta { "delta" } else { "complete" };
    Ok(call.store.get::<ListRecord>(&mount.area, &[LIST, &issuer.id, name])?.map(|list| list.der))
}

fn list_pem(der: &[u8]) -> String {
    pairs::pem("X509 CRL", der).trim_end().to_owned()
}

/// A list as its own media type, the form by the path.
pub(super) fn read_raw(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let path = call.rest;
    let (is_delta, is_pem) = (path.contains("delta"), path.ends_with("/pem"));
    let der = list_of(call, is_delta)?.unwrap_or_default();
    match is_pem && !der.is_empty() {
        true => Ok(raw("application/x-pem-file", list_pem(&der))),
        false => Ok(raw("application/pkix-crl", der)),
    }
}

/// A list in JSON, below an issuer.
pub(super) fn read_json(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let is_delta = call.rest.contains("delta");
    let der = list_of(call, is_delta)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "crl": list_pem(&der) })))
}

/// A list in JSON, as certificates are read.
pub(super) fn read_certificate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let is_delta = call.rest.contains("delta");
    let der = list_of(call, is_delta)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "certificate": list_pem(&der), "revocation_time": 0, "revocation_time_rfc3339": "" })))
}

/// Makes new lists for all issuers that can.
pub(super) fn rotate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    rebuild_all(&mut call.work())?;
    Ok(Reply::data(json!({ "success": true })))
}

fn rebuild_all(work: &mut Work<'_, '_>) -> Result<(), Error> {
    let mount = work.mount.clone();
    let all = Issuers::load(work.store, &mount)?.all;
    all.iter().try_for_each(|issuer| rebuild(work, issuer))
}

/// Makes new deltas for all issuers that can.
pub(super) fn rotate_delta(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let reply = Reply::data(json!({ "success": true }));
    if !config(call.store, &mount)?.enable_delta {
        return Ok(reply.warn("There are no deltas to make: enable_delta is off."));
    }
    let all = Issuers::load(call.store, &mount)?.all;
    all.iter().try_for_each(|issuer| rebuild_delta(&mut call.work(), issuer))?;
    Ok(reply)
}

/// Makes a new list of one issuer.
pub(super) fn resign(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let issuer = issuer::get(call.store, &mount, call.fields.text_or_empty(ISSUER_REF.name))?;
    if !issuer.may(Usage::CRL) {
        return Err(Error::new(ErrorKind::Invalid, "the issuer may not sign lists; change its usage"));
    }
    rebuild(&mut call.work(), &issuer)?;
    read_json(call)
}

/// Reads `config/crl`.
pub(super) fn read_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    Ok(config(call.store, &mount)?.shown())
}

/// Changes `config/crl`, and makes new lists.
pub(super) fn write_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut config = config(call.store, &mount)?;
    config.take(&call.fields)?;
    call.store.put(&mount.area, CONFIG, &config)?;
    rebuild_all(&mut call.work())?;
    Ok(config.shown())
}
