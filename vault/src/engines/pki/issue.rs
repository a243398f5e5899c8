//! Issuing: certificates for keys that are made here, and for requests, by a role or as they are.

use serde_json::Value;

use super::allowed::NameRules;
use super::authority::{self, ALT_NAMES, COMMON_NAME, EXCLUDE_CN, IP_SANS, OTHER_SANS, SERIAL_NUMBER, URI_SANS};
use super::config;
use super::csr::{CSR, SigningRequest};
use super::der::{Draft, Extension, NO_NAME, SubjectName, with_colons};
use super::extension::{self, AlternativeNames};
use super::fetch;
use super::form::ReplyForm;
use super::issuer::{self, Usage};
use super::issuers::ISSUER_REF;
use super::names;
use super::record::{IssuerRecord, PkiKeyRecord};
use super::role::{self, ANY_KEY, PkiRoleRecord};
use super::signing::{self, KeyPair, KeyShape, PkiKeyKind, SignatureAlgorithm};
use super::validity::{NOT_AFTER, TTL, Validity};
use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::lease::grant::LeaseTerms;
use crate::reply::Reply;

pub(super) const ROLE: Field = field("role", Kind::Text, "In the path: name of the role.");
const USER_IDS: Field = field("user_ids", Kind::CommaList, "Ids of users in the subject.");

pub(super) const ISSUE_FIELDS: &[Field] = &[
    ROLE,
    ISSUER_REF,
    COMMON_NAME,
    ALT_NAMES,
    IP_SANS,
    URI_SANS,
    OTHER_SANS,
    EXCLUDE_CN,
    SERIAL_NUMBER,
    USER_IDS,
    TTL,
    NOT_AFTER,
];
pub(super) const SIGN_FIELDS: &[Field] = &[CSR];
pub(super) const VERBATIM_FIELDS: &[Field] = &[
    ROLE,
    ISSUER_REF,
    CSR,
    TTL,
    NOT_AFTER,
    field("key_usage", Kind::CommaList, "Uses of the key (RFC 5280, section 4.2.1.3).")
        .or("DigitalSignature,KeyAgreement,KeyEncipherment"),
    field("ext_key_usage", Kind::CommaList, "Purposes (RFC 5280, section 4.2.1.12)."),
    field("ext_key_usage_oids", Kind::CommaList, "Purposes, by their identifiers."),
    authority::SIGNATURE_BITS,
    authority::USE_PSS,
];

/// A certificate to be made.
struct Wanted {
    /// Name in DER.
    subject: Vec<u8>,
    names: AlternativeNames,
    /// SubjectPublicKeyInfo.
    public: Vec<u8>,
    warnings: Vec<String>,
}

fn role_of(call: &mut Call<'_, '_>) -> Result<PkiRoleRecord, Error> {
    let (mount, name) = (call.mount.clone(), call.fields.text_or_empty(ROLE.name).to_owned());
    let entity_id = call.token.as_ref().map_or_else(String::new, |token| token.record.entity_id.clone());
    role::get(call.store, &mount, &name, &entity_id)
}

/// `issue/{role}`: a new key and its certificate.
pub(super) fn issue(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (role, form) = (role_of(call)?, ReplyForm::asked(&call.fields)?);
    if role.key_type == ANY_KEY {
        return Err(Error::invalid(
            "a role with key_type any signs requests only; use sign, or name a kind in the role",
        ));
    }
    let (subject, names, warnings) = by_role(call, &role, None)?;
    // What can be refused is refused before a key is made.
    signer(call, &role)?;
    let shape = KeyShape::asked(&role.key_type, i64::from(role.key_bits))?;
    let pair = KeyPair::generate(call.context, shape, "leaf")?;
    let wanted = Wanted { subject: subject.to_der(), names, public: pair.public.clone(), warnings };
    finish(call, &role, &form, wanted, Some(&pair))
}

/// `sign/{role}`: a certificate for a request.
pub(super) fn sign(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (role, form) = (role_of(call)?, ReplyForm::asked(&call.fields)?);
    let request = SigningRequest::parse(call.fields.text_or_empty(CSR.name))?;
    check_key(&role, request.shape)?;
    let (subject, names, warnings) = by_role(call, &role, Some(&request))?;
    let wanted = Wanted { subject: subject.to_der(), names, public: request.public, warnings };
    finish(call, &role, &form, wanted, None)
}

/// `sign-verbatim`: a certificate for a request, with the names that it asks for. Of its extensions, only those are taken.
pub(super) fn sign_verbatim(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let form = ReplyForm::asked(&call.fields)?;
    let mut role = PkiRoleRecord::verbatim();
    if !call.fields.text_or_empty(ROLE.name).is_empty() {
        let named = role_of(call)?;
        role.take_terms(&named);
    }
    for (name, list) in [
        ("key_usage", &mut role.key_usage),
        ("ext_key_usage", &mut role.purposes),
        ("ext_key_usage_oids", &mut role.purpose_ids),
    ] {
        if let Some(sent) = call.fields.list(name) {
            authority::check_values(name, sent)?;
            *list = sent.to_vec();
        }
    }
    if call.fields.has(authority::SIGNATURE_BITS.name) {
        role.signature_bits = authority::signature_bits(&call.fields)?;
    }
    role.use_pss = call.fields.bool(authority::USE_PSS.name).unwrap_or(role.use_pss);
    let request = SigningRequest::parse(call.fields.text_or_empty(CSR.name))?;
    if request.has_unknown_names {
        return Err(unknown_names());
    }
    check_form(&request.names)?;
    let (subject, names, public) = (request.subject, request.names, request.public);
    finish(call, &role, &form, Wanted { subject, names, public, warnings: Vec::new() }, None)
}

fn unknown_names() -> Error {
    Error::invalid("the request asks for names that are none of DNS, mail, URI, IP address or UTF-8 text")
}

/// Refuses names of a request that are no names of their kind.
fn check_form(asked: &AlternativeNames) -> Result<(), Error> {
    let count = asked.dns.len() + asked.emails.len() + asked.addresses.len() + asked.uris.len() + asked.others.len();
    let is_good = asked.dns.iter().all(|name| names::is_lenient_host(name))
        && asked.emails.iter().all(|name| names::mail_domain(name).is_some())
        && asked.uris.iter().all(|uri| names::parse_uri(uri).is_ok())
        && count <= authority::MAX_VALUES;
    match is_good {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "the request asks for an alternative name that is none, or for more than {}",
            authority::MAX_VALUES
        ))),
    }
}

/// Refuses a key of a request that is not of the role's kind, or smaller.
fn check_key(role: &PkiRoleRecord, shape: KeyShape) -> Result<(), Error> {
    if role.key_type == ANY_KEY {
        return Ok(());
    }
    if shape.kind.as_str() != role.key_type {
        return Err(Error::invalid(format!("role requires keys of type {}", role.key_type)));
    }
    match shape.kind == PkiKeyKind::Ed25519 || shape.bits >= role.key_bits {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "role requires a minimum of a {}-bit key, but CSR's key is {} bits",
            role.key_bits, shape.bits
        ))),
    }
}

/// Subject and names that a role allows.
fn by_role(
    call: &mut Call<'_, '_>,
    role: &PkiRoleRecord,
    request: Option<&SigningRequest>,
) -> Result<(SubjectName, AlternativeNames, Vec<String>), Error> {
    let display_name = call.token.as_ref().map_or_else(String::new, |token| token.record.display_name.clone());
    let (rules, fields) = (NameRules { role, display_name: &display_name }, &call.fields);
    let mut warnings = Vec::new();
    let own = authority::subject(fields)?;
    let common_name = match request.filter(|_| role.use_csr_common_name) {
        Some(request) => {
            if !own.common_name.is_empty() {
                warnings.push(
                    "The common_name was ignored: by use_csr_common_name of the role that of the request counts."
                        .to_owned(),
                );
            }
            request.common_name.clone()
        }
        None => own.common_name,
    };
    if common_name.is_empty() && role.require_cn {
        return Err(Error::invalid(
            "the common_name field is required, or must be provided in a CSR with \"use_csr_common_name\" set to true, \
             unless \"require_cn\" is set to false",
        ));
    }
    authority::check_values(COMMON_NAME.name, std::slice::from_ref(&common_name))?;
    rules.check_common_name(&common_name)?;
    rules.check_serial_number(&own.serial_number)?;
    let user_ids = fields.list(USER_IDS.name).unwrap_or_default().to_vec();
    authority::check_values(USER_IDS.name, &user_ids)?;
    rules.check_user_ids(&user_ids)?;
    let mut names = match request.filter(|_| role.use_csr_sans) {
        Some(request) if request.has_unknown_names => return Err(unknown_names()),
        Some(request) => {
            if [ALT_NAMES, IP_SANS, URI_SANS, OTHER_SANS]
                .iter()
                .any(|field| fields.list(field.name).is_some_and(|list| !list.is_empty()))
            {
                warnings.push("The alternative names of the fields were ignored: by use_csr_sans of the role those of the request count.".to_owned());
            }
            check_form(&request.names)?;
            request.names.clone()
        }
        None => asked_names(call)?,
    };
    rules.check(&names)?;
    if !call.fields.bool(EXCLUDE_CN.name).unwrap_or(false) && role.cn_validations.iter().all(|word| word != "disabled")
    {
        add_common_name(&mut names, &common_name);
    }
    let subject = SubjectName {
        common_name,
        serial_number: own.serial_number,
        country: role.country.clone(),
        organization: role.organization.clone(),
        unit: role.unit.clone(),
        locality: role.locality.clone(),
        province: role.province.clone(),
        street_address: role.street_address.clone(),
        postal_code: role.postal_code.clone(),
        user_ids,
    };
    Ok((subject, names, warnings))
}

fn add_common_name(names: &mut AlternativeNames, common_name: &str) {
    if !names.dns.iter().chain(&names.emails).any(|name| name == common_name) {
        names::add_common_name(names, common_name);
    }
}

/// The alternative names of the fields.
fn asked_names(call: &Call<'_, '_>) -> Result<AlternativeNames, Error> {
    let mut names = AlternativeNames::default();
    for field in [ALT_NAMES, IP_SANS, URI_SANS, OTHER_SANS] {
        authority::check_values(field.name, call.fields.list(field.name).unwrap_or_default())?;
    }
    authority::add_asked(&mut names, &call.fields)?;
    Ok(names)
}

/// The role's issuer, or the one of the path.
fn signer(call: &mut Call<'_, '_>, role: &PkiRoleRecord) -> Result<(IssuerRecord, PkiKeyRecord), Error> {
    let mount = call.mount.clone();
    let reference = call.fields.text(ISSUER_REF.name).filter(|_| call.rest.starts_with("issuer/"));
    let reference = reference.unwrap_or(&role.issuer_ref).to_owned();
    issuer::signer(call.store, &mount, &reference, Usage::ISSUING)
}

/// Signs what is wanted, keeps it, and answers.
fn finish(
    call: &mut Call<'_, '_>,
    role: &PkiRoleRecord,
    form: &ReplyForm,
    wanted: Wanted,
    pair: Option<&KeyPair>,
) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let (issuer, key) = signer(call, role)?;
    let validity = Validity::asked(call, &role.terms())?.within(&issuer)?;
    let draft = Draft {
        serial: authority::new_serial(call.context),
        issuer: issuer.certificate()?.subject().as_raw().to_vec(),
        not_before: validity.not_before,
        not_after: validity.not_after,
        extensions: extensions(call, role, &wanted, &issuer, &key.public)?,
        subject: wanted.subject,
        public: wanted.public,
    };
    if draft.subject == NO_NAME && wanted.names.is_empty() {
        return Err(Error::invalid("the certificate would name nobody: it needs a common name or an alternative name"));
    }
    let algorithm = SignatureAlgorithm::of(key.shape(), role.signature_bits, role.use_pss);
    let der = draft.sign(&key.secret, algorithm)?;
    if !role.no_store {
        fetch::keep(call.store, &mount, &der)?;
    }
    let chain = issuer::chain(call.store, &mount, &issuer)?;
    let chain = form.chain(chain.iter().map(|issuer| issuer.der.as_slice()));
    let mut data = authority::shown_authority(form, &der, &issuer.der, with_colons(&draft.serial), validity.not_after);
    data.insert("not_before".into(), validity.not_before.into());
    form.add_chain(&mut data, &chain);
    data.insert("ca_chain".into(), Value::from(chain));
    if let Some(pair) = pair {
        form.add_key(&mut data, pair)?;
    }
    let mut warnings = wanted.warnings;
    warnings.extend(validity.warnings);
    let reply = Reply { data: Some(data), warnings, ..Reply::default() };
    if !role.generate_lease {
        return Ok(reply);
    }
    let ttl_secs = u64::try_from(validity.not_after - call.context.now.secs()).unwrap_or(1);
    // A lease keeps what is needed to revoke the certificate, so it works without a stored one.
    let lease = call.begin_lease("certificate", "pki", &der)?;
    call.give(lease, LeaseTerms { ttl_secs, max_secs: ttl_secs, is_renewable: false }, reply)
}

fn extensions(
    call: &mut Call<'_, '_>,
    role: &PkiRoleRecord,
    wanted: &Wanted,
    issuer: &IssuerRecord,
    issuer_public: &[u8],
) -> Result<Vec<Extension>, Error> {
    let mount = call.mount.clone();
    let mut extensions = vec![
        extension::authority_key_id(&signing::key_id(issuer_public)),
        extension::subject_key_id(&signing::key_id(&wanted.public)),
    ];
    extensions.extend(extension::key_usage(extension::key_usage_bits(&role.key_usage)?));
    extensions.extend(extension::extended_key_usage(&role.purposes()?));
    if role.has_constraints {
        extensions.push(extension::basic_constraints(false, None));
    }
    if !wanted.names.is_empty() {
        extensions.push(wanted.names.extension(wanted.subject != NO_NAME));
    }
    extensions.extend(extension::policies(&role.policies()?));
    extensions.extend(extension::urls(&config::urls_of(call.store, &mount, issuer)?));
    Ok(extensions)
}
