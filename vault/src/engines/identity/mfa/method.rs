//! Methods of login MFA: how one-time codes are made.

use serde_json::{Value, json};

use crate::engine::Call;
use crate::engines::listing;
use crate::error::{Error, multi};
use crate::field::{Field, Fields, Kind, field};
use crate::limits::{MAX_MFA_ATTEMPTS, MAX_MFA_METHODS};
use crate::mfa::{self, MfaMethodRecord};
use crate::otp::OtpAlgorithm;
use crate::reply::Reply;

/// Longest name of a method or an issuer, in bytes.
const MAX_NAME_BYTES: usize = 512;
/// Longest period of a code, in seconds.
const MAX_PERIOD_SECS: u64 = 300;
/// Longest key, in bytes, and the shortest (RFC 4226, section 4, R6).
const MAX_KEY_BYTES: u32 = 128;
const MIN_KEY_BYTES: u32 = 16;
/// Widest image, in pixels.
const MAX_QR_PIXELS: u32 = 1_000;

pub(super) const METHOD_ID: Field = field("method_id", Kind::Text, "Id of the method.");
const NAME: Field = field("method_name", Kind::Text, "A name, for people.");
const ISSUER: Field = field("issuer", Kind::Text, "Who has the accounts.").required();
const ALGORITHM: Field = field("algorithm", Kind::Text, "The hash.").one_of(&["SHA1", "SHA256", "SHA512"]).or("SHA1");
const DIGITS: Field = field("digits", Kind::Int, "Digits of a code: 6 or 8.").or("6");
const PERIOD: Field = field("period", Kind::Duration, "How long a code counts.").or("30");
const SKEW: Field =
    field("skew", Kind::Int, "Periods before and after the present one that count too: 0 or 1.").or("1");
const KEY_SIZE: Field = field("key_size", Kind::Int, "Bytes of a key.").or("20");
const QR_SIZE: Field = field("qr_size", Kind::Int, "Width of a key's image in pixels; 0 is none.").or("200");
const ATTEMPTS: Field =
    field("max_validation_attempts", Kind::Int, "Wrong codes in a row, after which nobody may try for 15 minutes.")
        .or("5");

pub(super) const FIELDS: &[Field] =
    &[METHOD_ID, NAME, ISSUER, ALGORITHM, DIGITS, PERIOD, SKEW, KEY_SIZE, QR_SIZE, ATTEMPTS];

/// A whole number within bounds, if it was sent.
fn take(fields: &Fields, of: &Field, bounds: std::ops::RangeInclusive<u32>, number: &mut u32) -> Result<(), Error> {
    let Some(sent) = fields.int(of.name) else { return Ok(()) };
    let sent = u32::try_from(sent).ok().filter(|sent| bounds.contains(sent));
    let (name, least, most) = (of.name, bounds.start(), bounds.end());
    *number = sent.ok_or_else(|| Error::invalid(format!("{name} must be from {least} to {most}")))?;
    Ok(())
}

fn take_all(method: &mut MfaMethodRecord, fields: &Fields) -> Result<(), Error> {
    for (of, text) in [(&NAME, &mut method.name), (&ISSUER, &mut method.issuer), (&ALGORITHM, &mut method.algorithm)] {
        if let Some(sent) = fields.text(of.name) {
            sent.clone_into(text);
        }
    }
    if method.issuer.is_empty() {
        return Err(Error::invalid("issuer must be set"));
    }
    if method.issuer.len() > MAX_NAME_BYTES || method.name.len() > MAX_NAME_BYTES {
        return Err(Error::invalid(format!("issuer and method_name have at most {MAX_NAME_BYTES} bytes")));
    }
    if OtpAlgorithm::parse(&method.algorithm).is_none() {
        return Err(Error::invalid("unrecognized algorithm"));
    }
    if let Some(digits) = fields.int(DIGITS.name) {
        let digits = u32::try_from(digits).ok().filter(|digits| matches!(digits, 6 | 8));
        method.digits = digits.ok_or_else(|| Error::invalid("digits can only be 6 or 8"))?;
    }
    if let Some(period) = fields.duration(PERIOD.name) {
        method.period_secs = period.as_secs();
    }
    if !(1..=MAX_PERIOD_SECS).contains(&method.period_secs) {
        return Err(Error::invalid(format!("period must be from 1 to {MAX_PERIOD_SECS} s")));
    }
    if let Some(skew) = fields.int(SKEW.name) {
        let skew = u64::try_from(skew).ok().filter(|skew| *skew <= 1);
        method.skew = skew.ok_or_else(|| Error::invalid("skew must be 0 or 1"))?;
    }
    take(fields, &KEY_SIZE, MIN_KEY_BYTES..=MAX_KEY_BYTES, &mut method.key_bytes)?;
    take(fields, &QR_SIZE, 0..=MAX_QR_PIXELS, &mut method.qr_pixels)?;
    take(fields, &ATTEMPTS, 1..=MAX_MFA_ATTEMPTS, &mut method.max_attempts)
}

/// One that nobody said anything of.
fn usual(id: String) -> MfaMethodRecord {
    MfaMethodRecord {
        id,
        name: String::new(),
        issuer: String::new(),
        algorithm: OtpAlgorithm::Sha1.as_str().to_owned(),
        digits: 6,
        period_secs: 30,
        skew: 1,
        key_bytes: 20,
        qr_pixels: 200,
        max_attempts: 5,
    }
}

fn shown(method: &MfaMethodRecord) -> Value {
    json!({
        "id": method.id,
        "name": method.name,
        "type": "totp",
        "issuer": method.issuer,
        "algorithm": method.algorithm,
        "digits": method.digits,
        "period": method.period_secs,
        "skew": method.skew,
        "key_size": method.key_bytes,
        "qr_size": method.qr_pixels,
        "max_validation_attempts": method.max_attempts,
        "namespace_id": "root",
        "namespace_path": "",
    })
}

/// The method of the request's id.
pub(super) fn named(call: &mut Call<'_, '_>) -> Result<Option<MfaMethodRecord>, Error> {
    let id = call.fields.text_or_empty(METHOD_ID.name).to_owned();
    Ok(mfa::methods(call.store)?.into_iter().find(|method| method.id == id))
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    // Policies know a method by its path: whoever may make one must not change another that the body names.
    let is_new = call.rest.trim_end_matches('/').ends_with("totp");
    if is_new && !call.fields.text_or_empty(METHOD_ID.name).is_empty() {
        return Err(Error::invalid("method_id belongs into the path: identity/mfa/method/totp/ID"));
    }
    let mut method = match is_new {
        true if mfa::methods(call.store)?.len() >= MAX_MFA_METHODS => {
            return Err(Error::invalid(format!("there are at most {MAX_MFA_METHODS} methods")));
        }
        true => usual(call.context.uuid()),
        false => named(call)?.ok_or_else(Error::not_found)?,
    };
    take_all(&mut method, &call.fields)?;
    mfa::save_method(call.store, &method)?;
    Ok(if is_new { Reply::data(json!({ "method_id": method.id })) } else { Reply::empty() })
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let method = named(call)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(shown(&method)))
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let methods = mfa::methods(call.store)?;
    let mut ids: Vec<_> = methods.iter().map(|method| method.id.clone()).collect();
    ids.sort_unstable();
    let mut reply = listing::page(ids, &call.fields)?;
    let info: serde_json::Map<_, _> = methods.iter().map(|method| (method.id.clone(), shown(method))).collect();
    if let Some(data) = &mut reply.data {
        data.insert("key_info".to_owned(), Value::Object(info));
    }
    Ok(reply)
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = call.fields.text_or_empty(METHOD_ID.name).to_owned();
    if let Some(name) = mfa::method_in_use(call.store, &id)? {
        return Err(Error::invalid(multi(&format!(
            "methodID is still used by the enforcement {name:?}; delete that first"
        ))));
    }
    mfa::remove_method(call.store, &id)?;
    Ok(Reply::empty())
}
