//! Keys: made here or brought in, and shown without their secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::json;
use zeroize::{Zeroize, Zeroizing};

use crate::engine::Call;
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::otp::url::{OtpUrl, secret_of};
use crate::otp::{Codes, OtpAlgorithm, image};
use crate::reply::Reply;

/// Directory of the keys in the mount's area.
pub(super) const FOLDER: &str = "key";
/// Longest key, in bytes: the block of the longest hash.
const MAX_KEY_BYTES: i64 = 128;
/// Longest name of an issuer or an account, and URL that is read, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;
/// Longest period, in seconds.
const MAX_PERIOD_SECS: u64 = 24 * 3600;
/// Widest image, in pixels.
const MAX_QR_PIXELS: i64 = 1_000;
/// What counts if nothing is said, as the standard has it (RFC 6238, section 5.2).
const PERIOD_SECS: u64 = 30;
const DIGITS: i64 = 6;

pub(super) const NAME: Field = field("name", Kind::Text, "Name of the key.");
const GENERATE: Field = field("generate", Kind::Bool, "Whether to make a key, not to bring one in.").or("false");
const EXPORTED: Field =
    field("exported", Kind::Bool, "Whether a key that is made is shown, this once, as a URL and an image.").or("true");
const KEY_SIZE: Field = field("key_size", Kind::Int, "Bytes of a key that is made.").or("20");
const KEY: Field = field("key", Kind::Text, "The key to bring in, in base 32.");
const ISSUER: Field = field("issuer", Kind::Text, "Who has the account.");
const ACCOUNT: Field = field("account_name", Kind::Text, "The account.");
const URL: Field = field("url", Kind::Text, "An otpauth URL that says all of it.");
const ALGORITHM: Field = field("algorithm", Kind::Text, "The hash.").one_of(&["SHA1", "SHA256", "SHA512"]).or("SHA1");
const DIGITS_FIELD: Field = field("digits", Kind::Int, "Digits of a code: 6 or 8.").or("6");
const PERIOD: Field = field("period", Kind::Duration, "How long a code counts.").or("30");
const SKEW: Field =
    field("skew", Kind::Int, "Periods before and after the present one that count too: 0 or 1.").or("1");
const QR_SIZE: Field = field("qr_size", Kind::Int, "Width of the image in pixels; 0 is none.").or("200");

pub(super) const FIELDS: &[Field] =
    &[NAME, GENERATE, EXPORTED, KEY_SIZE, KEY, ISSUER, ACCOUNT, URL, ALGORITHM, DIGITS_FIELD, PERIOD, SKEW, QR_SIZE];

/// A key as it is stored. Has no `Debug`: it is a secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct TotpKeyRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) secret: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) issuer: String,
    #[prost(string, tag = "3")]
    pub(super) account: String,
    #[prost(string, tag = "4")]
    algorithm: String,
    #[prost(uint32, tag = "5")]
    pub(super) digits: u32,
    #[prost(uint64, tag = "6")]
    pub(super) period_secs: u64,
    #[prost(uint64, tag = "7")]
    pub(super) skew: u64,
    /// Periods whose code was used, as far as they could count again.
    #[prost(uint64, repeated, tag = "8")]
    pub(super) used: Vec<u64>,
}

impl Drop for TotpKeyRecord {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl TotpKeyRecord {
    /// How its codes are made.
    pub(super) fn codes(&self) -> Codes<'_> {
        Codes {
            secret: &self.secret,
            algorithm: OtpAlgorithm::parse(&self.algorithm).unwrap_or(OtpAlgorithm::Sha1),
            digits: self.digits,
            period_secs: self.period_secs,
        }
    }

    /// Everything that was sent but the secret: in fields, or in a URL, which counts before them.
    fn sent(fields: &Fields, url: &OtpUrl) -> Result<Self, Error> {
        let or_field = |of_url: &str, field: &Field| {
            if of_url.is_empty() { fields.text_or_empty(field.name).to_owned() } else { of_url.to_owned() }
        };
        let algorithm = url.algorithm.clone().or_else(|| fields.text(ALGORITHM.name).map(str::to_owned));
        let digits = url.digits.map(i64::from).or(fields.int(DIGITS_FIELD.name)).unwrap_or(DIGITS);
        let period = url.period_secs.or_else(|| fields.duration(PERIOD.name).map(|period| period.as_secs()));
        let key = Self {
            secret: Vec::new(),
            issuer: or_field(&url.issuer, &ISSUER),
            account: or_field(&url.account, &ACCOUNT),
            algorithm: algorithm.unwrap_or_else(|| OtpAlgorithm::Sha1.as_str().to_owned()),
            digits: u32::try_from(digits).ok().filter(|digits| matches!(digits, 6 | 8)).ok_or_else(wrong_digits)?,
            period_secs: period.unwrap_or(PERIOD_SECS),
            skew: u64::try_from(fields.int(SKEW.name).unwrap_or(1)).unwrap_or(u64::MAX),
            used: Vec::new(),
        };
        key.check()?;
        Ok(key)
    }

    fn check(&self) -> Result<(), Error> {
        if OtpAlgorithm::parse(&self.algorithm).is_none() {
            return Err(Error::invalid("the algorithm value is not valid"));
        }
        if self.period_secs == 0 {
            return Err(Error::invalid("the period value must be greater than zero"));
        }
        if self.period_secs > MAX_PERIOD_SECS {
            return Err(Error::invalid(format!("the period value must be at most {MAX_PERIOD_SECS} s")));
        }
        if self.skew > 1 {
            return Err(Error::invalid("the skew value must be 0 or 1"));
        }
        if self.issuer.len() > MAX_TEXT_BYTES || self.account.len() > MAX_TEXT_BYTES {
            return Err(Error::invalid(format!("issuer and account_name have at most {MAX_TEXT_BYTES} bytes")));
        }
        Ok(())
    }
}

fn wrong_digits() -> Error {
    Error::invalid("the digits value can only be 6 or 8")
}

/// The key that the request's path names.
pub(super) fn find(call: &mut Call<'_, '_>) -> Result<Option<TotpKeyRecord>, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    call.store.get(&call.mount.area, &[FOLDER, &name])
}

pub(super) fn save(call: &mut Call<'_, '_>, key: &TotpKeyRecord) -> Result<(), Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    call.store.put(&call.mount.area, &[FOLDER, &name], key)
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[FOLDER])?;
    listing::page(listing::keys(&names), &call.fields)
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let key = find(call)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({
        "account_name": key.account,
        "algorithm": key.algorithm,
        "digits": key.digits,
        "issuer": key.issuer,
        "period": key.period_secs,
    })))
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    match call.fields.bool(GENERATE.name).unwrap_or(false) {
        true => generate(call),
        false => bring_in(call),
    }
}

fn generate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let has = |field: &Field| !call.fields.text_or_empty(field.name).is_empty();
    if has(&KEY) {
        return Err(Error::invalid("a key should not be passed if generate is true"));
    }
    if has(&URL) {
        return Err(Error::invalid("a url should not be passed if generate is true"));
    }
    if !has(&ISSUER) {
        return Err(Error::invalid("the issuer value is required for generated keys"));
    }
    if !has(&ACCOUNT) {
        return Err(Error::invalid("the account_name value is required for generated keys"));
    }
    let mut key = TotpKeyRecord::sent(&call.fields, &OtpUrl::default())?;
    let size = call.fields.int(KEY_SIZE.name).unwrap_or(20);
    if size <= 0 {
        return Err(Error::invalid("the key_size value must be greater than zero"));
    }
    if size > MAX_KEY_BYTES {
        return Err(Error::invalid(format!("the key_size value must be at most {MAX_KEY_BYTES}")));
    }
    let pixels = call.fields.int(QR_SIZE.name).unwrap_or(200);
    if !(0..=MAX_QR_PIXELS).contains(&pixels) {
        return Err(Error::invalid(format!("the qr_size value must be from 0 to {MAX_QR_PIXELS}")));
    }
    key.secret = vec![0; usize::try_from(size).unwrap_or_default()];
    call.context.random.fill(&mut key.secret);
    save(call, &key)?;
    if !call.fields.bool_or(EXPORTED.name, true, true) {
        return Ok(Reply::empty());
    }
    Ok(shown(&key, pixels))
}

/// A key as its application learns it.
fn shown(key: &TotpKeyRecord, pixels: i64) -> Reply {
    let url = OtpUrl::write(&key.codes(), &key.issuer, &key.account);
    let pixels = u32::try_from(pixels).ok().filter(|pixels| *pixels > 0);
    let image = pixels.and_then(|pixels| image::png(&url, pixels)).map(Zeroizing::new);
    let barcode = image.map_or(String::new(), |image| STANDARD.encode(&*image));
    Reply::data(json!({ "barcode": barcode, "url": *url }))
}

fn bring_in(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let text = Zeroizing::new(call.fields.text_or_empty(URL.name).to_owned());
    let url = if text.len() > MAX_TEXT_BYTES { None } else { OtpUrl::parse(&text) }.unwrap_or_default();
    let of_field = call.fields.text_or_empty(KEY.name);
    let secret = Zeroizing::new(if url.secret.is_empty() { of_field.to_owned() } else { url.secret.to_string() });
    if secret.is_empty() {
        return Err(Error::invalid("the key value is required"));
    }
    let mut key = TotpKeyRecord::sent(&call.fields, &url)?;
    let secret = secret_of(&secret).filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| Error::invalid("invalid key value: it must be text in base 32"))?;
    if i64::try_from(secret.len()).is_ok_and(|length| length > MAX_KEY_BYTES) {
        return Err(Error::invalid(format!("a key has at most {MAX_KEY_BYTES} bytes")));
    }
    key.secret = secret.to_vec();
    save(call, &key)?;
    Ok(Reply::empty())
}
