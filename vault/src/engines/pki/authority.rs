//! Making authorities: roots that sign themselves, and what all certificates of authorities have in common.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::crl;
use super::der::{Draft, NO_NAME, SubjectName, with_colons};
use super::extension::{self, AUTHORITY_USAGE, AlternativeNames};
use super::fetch;
use super::form::{self, ReplyForm};
use super::issuer::{self, Issuers, Usage};
use super::issuers::{self, ISSUER_NAME};
use super::key::{self, EXPORTED, KEY_BITS, KEY_NAME, KEY_REF, KEY_TYPE};
use super::names;
use super::record::{IssuerRecord, PkiKeyRecord, UrlsRecord};
use super::signing::{self, KeyPair, SignatureAlgorithm};
use super::validity::{NOT_AFTER, NOT_BEFORE_DURATION, NOT_BEFORE_SECS, TTL, Terms, Validity};
use crate::context::Context;
use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::reply::Reply;

pub(super) const COMMON_NAME: Field = field("common_name", Kind::Text, "Common name of the subject.");
pub(super) const ALT_NAMES: Field =
    field("alt_names", Kind::CommaList, "DNS names and addresses of mail beside the common name.");
pub(super) const IP_SANS: Field = field("ip_sans", Kind::CommaList, "IP addresses.");
pub(super) const URI_SANS: Field = field("uri_sans", Kind::CommaList, "URIs.");
pub(super) const OTHER_SANS: Field = field("other_sans", Kind::CommaList, "Other names: identifier;UTF8:text.");
pub(super) const EXCLUDE_CN: Field =
    field("exclude_cn_from_sans", Kind::Bool, "Whether the common name is not one of the alternative names.")
        .or("false");
pub(super) const SERIAL_NUMBER: Field =
    field("serial_number", Kind::Text, "Serial number of the subject, not of the certificate.");
pub(super) const SIGNATURE_BITS: Field =
    field("signature_bits", Kind::Int, "Bits of the hash that is signed: 256, 384 or 512; 0 is what fits the key.")
        .or("0");
pub(super) const USE_PSS: Field = field("use_pss", Kind::Bool, "Whether RSA signs by PSS.").or("false");
const MAX_PATH_LENGTH: Field =
    field("max_path_length", Kind::Int, "How many authorities may come below; -1 is any number.").or("-1");
const PERMITTED: Field =
    field("permitted_dns_domains", Kind::CommaList, "The only DNS domains for which it may issue.");
const EXCLUDED: Field = field("excluded_dns_domains", Kind::CommaList, "DNS domains for which it may not issue.");

/// The subject beside its common name.
pub(super) const SUBJECT_FIELDS: &[Field] = &[
    COMMON_NAME,
    SERIAL_NUMBER,
    field("ou", Kind::CommaList, "Organisational units of the subject."),
    field("organization", Kind::CommaList, "Organisations of the subject."),
    field("country", Kind::CommaList, "Countries of the subject."),
    field("locality", Kind::CommaList, "Localities of the subject."),
    field("province", Kind::CommaList, "Provinces of the subject."),
    field("street_address", Kind::CommaList, "Street addresses of the subject."),
    field("postal_code", Kind::CommaList, "Postal codes of the subject."),
];
pub(super) const NAME_FIELDS: &[Field] = &[ALT_NAMES, IP_SANS, URI_SANS, OTHER_SANS, EXCLUDE_CN];
pub(super) const AUTHORITY_FIELDS: &[Field] =
    &[TTL, NOT_AFTER, NOT_BEFORE_DURATION, MAX_PATH_LENGTH, PERMITTED, EXCLUDED, SIGNATURE_BITS, USE_PSS];
pub(super) const KEY_FIELDS: &[Field] = &[EXPORTED, KEY_NAME, KEY_TYPE, KEY_BITS, KEY_REF];
pub(super) const ROOT_FIELDS: &[Field] = &[ISSUER_NAME];

/// Longest text of one attribute of a subject, in bytes.
pub(super) const MAX_ATTRIBUTE_BYTES: usize = 256;
/// Most values of one attribute of a subject, and most names of one kind.
pub(super) const MAX_VALUES: usize = 100;

/// Refuses a list that is too long or holds too much.
pub(super) fn check_values(name: &str, values: &[String]) -> Result<(), Error> {
    if values.len() > MAX_VALUES {
        return Err(Error::invalid(format!("{name} has at most {MAX_VALUES} values")));
    }
    let is_bad = |value: &String| value.len() > MAX_ATTRIBUTE_BYTES || value.chars().any(char::is_control);
    match values.iter().any(is_bad) {
        true => Err(Error::invalid(format!(
            "each value of {name} has at most {MAX_ATTRIBUTE_BYTES} bytes and no control characters"
        ))),
        false => Ok(()),
    }
}

/// The subject that fields say.
pub(super) fn subject(fields: &Fields) -> Result<SubjectName, Error> {
    let list = |name: &str| -> Result<Vec<String>, Error> {
        let values: Vec<String> =
            fields.list(name).unwrap_or_default().iter().filter(|value| !value.is_empty()).cloned().collect();
        check_values(name, &values)?;
        Ok(values)
    };
    let text = |field: &Field| -> Result<String, Error> {
        let text = fields.text_or_empty(field.name).to_owned();
        check_values(field.name, std::slice::from_ref(&text))?;
        Ok(text)
    };
    Ok(SubjectName {
        common_name: text(&COMMON_NAME)?,
        serial_number: text(&SERIAL_NUMBER)?,
        country: list("country")?,
        organization: list("organization")?,
        unit: list("ou")?,
        locality: list("locality")?,
        province: list("province")?,
        street_address: list("street_address")?,
        postal_code: list("postal_code")?,
        user_ids: Vec::new(),
    })
}

/// The alternative names that fields ask for, with the common name among them if it is one. Only their form is looked at.
pub(super) fn alternative_names(fields: &Fields) -> Result<AlternativeNames, Error> {
    for field in NAME_FIELDS {
        check_values(field.name, fields.list(field.name).unwrap_or_default())?;
    }
    let mut names = AlternativeNames::default();
    let common_name = fields.text_or_empty(COMMON_NAME.name);
    if !fields.bool(EXCLUDE_CN.name).unwrap_or(false) {
        names::add_common_name(&mut names, common_name);
    }
    add_asked(&mut names, fields)?;
    Ok(names)
}

/// Adds the names of the fields, but for the common name.
pub(super) fn add_asked(names: &mut AlternativeNames, fields: &Fields) -> Result<(), Error> {
    let list = |field: &Field| fields.list(field.name).unwrap_or_default().iter().filter(|value| !value.is_empty());
    for name in list(&ALT_NAMES) {
        names::add(names, name)?;
    }
    for text in list(&IP_SANS) {
        let address: IpAddr =
            text.parse().map_err(|_| Error::invalid(format!("the value {text:?} is not a valid IP address")))?;
        names.addresses.push(address);
    }
    for text in list(&URI_SANS) {
        names.uris.push(names::parse_uri(text)?);
    }
    for text in list(&OTHER_SANS) {
        names.others.push(names::parse_other(text)?);
    }
    Ok(())
}

/// The hash that fields ask to be signed.
pub(super) fn signature_bits(fields: &Fields) -> Result<u32, Error> {
    match fields.int(SIGNATURE_BITS.name).unwrap_or(0) {
        bits @ (0 | 256 | 384 | 512) => Ok(bits.unsigned_abs() as u32),
        _ => Err(Error::invalid("signature_bits must be 256, 384, 512, or 0 for what fits the key")),
    }
}

/// How many authorities may come below, as fields say it.
pub(super) fn path_length(fields: &Fields) -> Result<Option<u32>, Error> {
    match fields.int(MAX_PATH_LENGTH.name).unwrap_or(-1) {
        -1 => Ok(None),
        length @ 0..=255 => Ok(Some(length.unsigned_abs() as u32)),
        _ => Err(Error::invalid("max_path_length is from 0 to 255, or -1 for any number")),
    }
}

/// Domains that name constraints hold.
pub(super) fn constraints(fields: &Fields) -> Result<[Vec<String>; 2], Error> {
    let list = |field: &Field| {
        let domains = fields.list(field.name).unwrap_or_default();
        check_values(field.name, domains)?;
        let domains: Vec<String> = domains.iter().filter(|domain| !domain.is_empty()).cloned().collect();
        match domains.iter().all(|domain| names::is_domain(domain.strip_prefix('.').unwrap_or(domain))) {
            true => Ok(domains),
            false => Err(Error::invalid(format!("{} holds what is no DNS domain", field.name))),
        }
    };
    Ok([list(&PERMITTED)?, list(&EXCLUDED)?])
}

/// A new serial number: 20 bytes, positive, with 158 random bits.
pub(super) fn new_serial(context: &mut Context<'_>) -> Vec<u8> {
    let mut serial = context.bytes::<20>();
    serial[0] = (serial[0] & 0x3f) | 0x40;
    serial.to_vec()
}

/// What the last part of a path says of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyOrigin {
    Internal,
    Exported,
    Existing,
}

impl KeyOrigin {
    pub(super) fn asked(fields: &Fields) -> Result<Self, Error> {
        match fields.text_or_empty(EXPORTED.name) {
            "internal" => Ok(Self::Internal),
            "exported" => Ok(Self::Exported),
            "existing" => Ok(Self::Existing),
            "kms" => Err(Error::invalid("keys of a KMS are not supported; use internal, exported or existing")),
            _ => Err(Error::invalid("the end of the path must be internal, exported or existing")),
        }
    }
}

/// The key that the request means: a new one, or one that is there.
pub(super) fn key_of_request(call: &mut Call<'_, '_>, origin: KeyOrigin) -> Result<(PkiKeyRecord, KeyPair), Error> {
    let mount = call.mount.clone();
    if origin == KeyOrigin::Existing {
        let found = key::get(call.store, &mount, call.fields.text_or_empty(KEY_REF.name))?;
        let pair = found.pair();
        return Ok((found, pair));
    }
    let (shape, name) = (key::asked_shape(call)?, call.fields.text_or_empty(KEY_NAME.name).to_owned());
    key::check_name(call.store, &mount, &name, "")?;
    let pair = KeyPair::generate(call.context, shape, "key")?;
    let record = key::add(call, &pair, &name)?;
    Ok((record, pair))
}

/// Stores a new issuer, and makes it the default if there is none, or if the newest is to be it.
pub(super) fn add_issuer(
    call: &mut Call<'_, '_>,
    der: Vec<u8>,
    name: &str,
    key_id: &str,
) -> Result<IssuerRecord, Error> {
    let mount = call.mount.clone();
    let mut issuers = Issuers::load(call.store, &mount)?;
    let record = new_issuer(call.context, der, name, key_id)?;
    issuers.check_name(name, &record.id)?;
    issuers.add(record.clone())?;
    issuers.save(call.store, &mount)?;
    make_default(call, &record)?;
    // The chain is known now.
    let stored = issuer::get(call.store, &mount, &record.id)?;
    crl::rebuild(&mut call.work(), &stored)?;
    Ok(stored)
}

/// An issuer as it is at first.
pub(super) fn new_issuer(
    context: &mut Context<'_>,
    der: Vec<u8>,
    name: &str,
    key_id: &str,
) -> Result<IssuerRecord, Error> {
    let mut record = IssuerRecord { id: context.uuid(), name: name.to_owned(), ..IssuerRecord::default() };
    record.key_id = key_id.to_owned();
    record.usage = Usage::ALL;
    record.urls = UrlsRecord::default();
    let spki = issuer::parse(&der).map(|certificate| certificate.public_key().raw.to_vec()).unwrap_or_default();
    let shape = signing::KeyShape::of_public(&spki)?;
    record.revocation_algorithm = SignatureAlgorithm::of(shape, 0, false).as_str().to_owned();
    record.der = der;
    Ok(record)
}

/// Makes an issuer the default if there is none, or if the newest is to be it.
pub(super) fn make_default(call: &mut Call<'_, '_>, issuer: &IssuerRecord) -> Result<(), Error> {
    let mount = call.mount.clone();
    let mut config = issuer::config(call.store, &mount)?;
    if config.default.is_empty() || (config.follows_latest && !issuer.key_id.is_empty()) {
        config.default.clone_from(&issuer.id);
        issuer::save_config(call.store, &mount, &config)?;
    }
    Ok(())
}

/// Makes a root.
pub(super) fn generate_root(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, origin) = (call.mount.clone(), KeyOrigin::asked(&call.fields)?);
    let form = ReplyForm::asked(&call.fields)?;
    let (subject, names) = (subject(&call.fields)?, alternative_names(&call.fields)?);
    let (bits, length, constraints) =
        (signature_bits(&call.fields)?, path_length(&call.fields)?, constraints(&call.fields)?);
    let terms = Terms { not_before_secs: NOT_BEFORE_SECS, ..Terms::default() };
    let validity = Validity::asked(call, &terms)?;
    let name = root_name(call);
    Issuers::load(call.store, &mount)?.check_name(&name, "")?;
    let (record, pair) = key_of_request(call, origin)?;
    let id = signing::key_id(&pair.public);
    let subject = subject.to_der();
    let mut extensions = vec![
        extension::basic_constraints(true, length),
        extension::subject_key_id(&id),
        extension::authority_key_id(&id),
    ];
    extensions.extend(extension::key_usage(AUTHORITY_USAGE));
    extensions.extend(extension::name_constraints(&constraints[0], &constraints[1]));
    let has_subject = subject != NO_NAME;
    if !names.is_empty() {
        extensions.push(names.extension(has_subject));
    }
    let draft = Draft {
        serial: new_serial(call.context),
        issuer: subject.clone(),
        subject,
        not_before: validity.not_before,
        not_after: validity.not_after,
        public: pair.public.clone(),
        extensions,
    };
    let algorithm = SignatureAlgorithm::of(pair.shape, bits, call.fields.bool(USE_PSS.name).unwrap_or(false));
    let der = draft.sign(&pair.secret, algorithm)?;
    fetch::keep(call.store, &mount, &der)?;
    let issuer = add_issuer(call, der, &name, &record.id)?;
    let mut warnings = validity.warnings;
    if !has_subject {
        warnings.push(
            "The certificate has no subject, so what it issues is likely to be refused by those who check it."
                .to_owned(),
        );
    }
    issuers::warn_of_urls(call.store, &mount, &mut warnings)?;
    let mut data = shown_authority(&form, &issuer.der, &issuer.der, with_colons(&draft.serial), validity.not_after);
    let more = json!({
        "issuer_id": issuer.id, "issuer_name": issuer.name, "key_id": record.id, "key_name": record.name,
    });
    data.extend(more.as_object().cloned().unwrap_or_default());
    if origin == KeyOrigin::Exported {
        form.add_key(&mut data, &pair)?;
    }
    Ok(Reply { data: Some(data), warnings, ..Reply::default() })
}

/// The name of a new root: the one that was sent, or `next` when the root is rotated.
fn root_name(call: &Call<'_, '_>) -> String {
    let sent = call.fields.text_or_empty(ISSUER_NAME.name);
    if sent.is_empty() && call.rest.starts_with("root/rotate/") { "next".to_owned() } else { sent.to_owned() }
}

/// What is answered of a new certificate of an authority.
pub(super) fn shown_authority(
    form: &ReplyForm,
    der: &[u8],
    issuing: &[u8],
    serial: String,
    not_after: i64,
) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("certificate".into(), form.certificate(der).into());
    data.insert("issuing_ca".into(), form.certificate(issuing).into());
    data.insert("serial_number".into(), serial.into());
    data.insert("expiration".into(), not_after.into());
    data
}

/// All fields that a root takes.
pub(super) const FORM_FIELDS: &[Field] = form::FIELDS;
