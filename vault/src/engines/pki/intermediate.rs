//! Authorities below others: requests for their certificates, and signing such requests.

use serde_json::{Map, Value};
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

use super::authority::{self, KeyOrigin, alternative_names, key_of_request, new_serial, signature_bits, subject};
use super::config;
use super::csr::{self, CSR, SigningRequest};
use super::der::{Draft, Extension, NO_NAME, with_colons};
use super::extension::{self, AUTHORITY_USAGE, AlternativeNames};
use super::fetch;
use super::form::ReplyForm;
use super::import;
use super::issuer::{self, Usage};
use super::issuers::{self, ISSUER_REF};
use super::record::{IssuerRecord, PkiKeyRecord};
use super::signing::{self, KeyShape, SignatureAlgorithm};
use super::validity::{NOT_BEFORE_SECS, Terms, Validity};
use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;

const ADD_CONSTRAINTS: Field =
    field("add_basic_constraints", Kind::Bool, "Whether the request says that it is for an authority.").or("false");
const USE_CSR_VALUES: Field =
    field("use_csr_values", Kind::Bool, "Whether subject and alternative names of the request count, not the fields.")
        .or("false");
const ENFORCE: Field = field(
    "enforce_leaf_not_after_behavior",
    Kind::Bool,
    "Whether leaf_not_after_behavior of the issuer holds here too; else the certificate may outlast it.",
)
.or("false");
const CERTIFICATE: Field =
    field("certificate", Kind::Text, "A certificate of an authority that signed itself, in PEM.").required();

pub(super) const REQUEST_FIELDS: &[Field] = &[ADD_CONSTRAINTS];
pub(super) const SIGN_FIELDS: &[Field] = &[CSR, ISSUER_REF, USE_CSR_VALUES, ENFORCE];
pub(super) const SELF_ISSUED_FIELDS: &[Field] = &[CERTIFICATE];

/// `intermediate/generate/{exported}`, and `intermediate/cross-sign`, which takes a key that is there.
pub(super) fn generate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let origin = match call.rest {
        "intermediate/cross-sign" => KeyOrigin::Existing,
        _ => KeyOrigin::asked(&call.fields)?,
    };
    let form = ReplyForm::asked(&call.fields)?;
    let (subject, names) = (subject(&call.fields)?, alternative_names(&call.fields)?);
    let bits = signature_bits(&call.fields)?;
    let (record, pair) = key_of_request(call, origin)?;
    let mut extensions: Vec<Extension> = Vec::new();
    if call.fields.bool(ADD_CONSTRAINTS.name).unwrap_or(false) {
        extensions.push(extension::basic_constraints(true, None));
    }
    let subject = subject.to_der();
    if !names.is_empty() {
        extensions.push(names.extension(subject != NO_NAME));
    }
    let use_pss = call.fields.bool(authority::USE_PSS.name).unwrap_or(false);
    let der = csr::make(&pair, SignatureAlgorithm::of(pair.shape, bits, use_pss), &subject, &extensions)?;
    let mut data = Map::new();
    data.insert("csr".into(), form.request(&der).into());
    data.insert("key_id".into(), record.id.clone().into());
    if origin == KeyOrigin::Exported {
        form.add_key(&mut data, &pair)?;
    }
    let (mount, mut warnings) = (call.mount.clone(), Vec::new());
    issuers::warn_of_urls(call.store, &mount, &mut warnings)?;
    Ok(Reply { data: Some(data), warnings, ..Reply::default() })
}

/// How many authorities may come below one that an issuer signs.
fn length_below(issuer: &X509Certificate<'_>, asked: Option<u32>) -> Result<Option<u32>, Error> {
    let own = issuer.basic_constraints().ok().flatten().and_then(|constraints| constraints.value.path_len_constraint);
    match (own, asked) {
        (Some(0), _) => Err(Error::invalid("the issuer's path length is 0: no authority may come below it")),
        (Some(own), Some(asked)) if asked >= own => {
            Err(Error::invalid(format!("max_path_length is at most {} below this issuer", own - 1)))
        }
        (Some(own), None) => Ok(Some(own - 1)),
        (_, asked) => Ok(asked),
    }
}

fn signer(call: &mut Call<'_, '_>) -> Result<(IssuerRecord, PkiKeyRecord), Error> {
    let (mount, reference) = (call.mount.clone(), call.fields.text_or_empty(ISSUER_REF.name).to_owned());
    issuer::signer(call.store, &mount, if reference.is_empty() { issuer::DEFAULT } else { &reference }, Usage::ISSUING)
}

/// `root/sign-intermediate`.
pub(super) fn sign(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, form) = (call.mount.clone(), ReplyForm::asked(&call.fields)?);
    let request = SigningRequest::parse(call.fields.text_or_empty(CSR.name))?;
    let (issuer, key) = signer(call)?;
    let (subject, names) = subject_of(call, &request)?;
    let terms = Terms { not_before_secs: NOT_BEFORE_SECS, ..Terms::default() };
    let mut validity = Validity::asked(call, &terms)?;
    if call.fields.bool(ENFORCE.name).unwrap_or(false) {
        validity = validity.within(&issuer)?;
    }
    let certificate = issuer.certificate()?;
    let length = length_below(&certificate, authority::path_length(&call.fields)?)?;
    let constraints = authority::constraints(&call.fields)?;
    let mut extensions = vec![
        extension::basic_constraints(true, length),
        extension::authority_key_id(&signing::key_id(&key.public)),
        extension::subject_key_id(&signing::key_id(&request.public)),
    ];
    extensions.extend(extension::key_usage(AUTHORITY_USAGE));
    extensions.extend(extension::name_constraints(&constraints[0], &constraints[1]));
    if !names.is_empty() {
        extensions.push(names.extension(true));
    }
    extensions.extend(extension::urls(&config::urls_of(call.store, &mount, &issuer)?));
    let draft = Draft {
        serial: new_serial(call.context),
        issuer: certificate.subject().as_raw().to_vec(),
        subject,
        not_before: validity.not_before,
        not_after: validity.not_after,
        public: request.public,
        extensions,
    };
    let use_pss = call.fields.bool(authority::USE_PSS.name).unwrap_or(false);
    let der = draft.sign(&key.secret, SignatureAlgorithm::of(key.shape(), signature_bits(&call.fields)?, use_pss))?;
    fetch::keep(call.store, &mount, &der)?;
    answer(call, &form, &issuer, &der, &validity, length)
}

fn subject_of(call: &Call<'_, '_>, request: &SigningRequest) -> Result<(Vec<u8>, AlternativeNames), Error> {
    let (subject, names) = match call.fields.bool(USE_CSR_VALUES.name).unwrap_or(false) {
        true if request.has_unknown_names => {
            return Err(Error::invalid("the request asks for names of a kind that is not known here"));
        }
        true => (request.subject.clone(), request.names.clone()),
        false => (subject(&call.fields)?.to_der(), alternative_names(&call.fields)?),
    };
    match subject == NO_NAME {
        true => Err(Error::invalid(
            "an authority needs a subject: send common_name, or use_csr_values with a request that has one",
        )),
        false => Ok((subject, names)),
    }
}

fn answer(
    call: &mut Call<'_, '_>,
    form: &ReplyForm,
    issuer: &IssuerRecord,
    der: &[u8],
    validity: &Validity,
    length: Option<u32>,
) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let above = issuer::chain(call.store, &mount, issuer)?;
    let above = form.chain(above.iter().map(|issuer| issuer.der.as_slice()));
    let serial = issuer::parse(der).map(|certificate| with_colons(certificate.raw_serial())).unwrap_or_default();
    let mut data = authority::shown_authority(form, der, &issuer.der, serial, validity.not_after);
    form.add_chain(&mut data, &above);
    let chain: Vec<String> = std::iter::once(form.certificate(der)).chain(above).collect();
    data.insert("ca_chain".into(), Value::from(chain));
    let mut warnings = validity.warnings.clone();
    if validity.outlasts(&issuer.der) {
        warnings.push("The certificate ends after its issuer, so chains with it fail from then on.".to_owned());
    }
    if config::urls_of(call.store, &mount, issuer)?.is_empty() {
        warnings.push(config::NO_URLS.to_owned());
    }
    if length == Some(0) {
        warnings.push("The path length of the certificate is zero, so no authority may come below it.".to_owned());
    }
    Ok(Reply { data: Some(data), warnings, ..Reply::default() })
}

/// `root/sign-self-issued`: the same certificate of an authority, signed by an issuer here.
pub(super) fn sign_self_issued(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let wrong = || Error::invalid("certificate must be the PEM of one certificate of an authority that signed itself");
    let mount = call.mount.clone();
    let text = import::checked_text(call.fields.text_or_empty(CERTIFICATE.name))?;
    let block = Pem::iter_from_buffer(text.as_bytes()).next().and_then(Result::ok).ok_or_else(wrong)?;
    let given = issuer::parse(&block.contents).ok_or_else(wrong)?;
    if !given.is_ca() || !issuer::is_signed_by(&given, &given) {
        return Err(wrong());
    }
    KeyShape::of_public(given.public_key().raw)?;
    let (issuer, key) = signer(call)?;
    let certificate = issuer.certificate()?;
    let length = given.basic_constraints().ok().flatten().and_then(|constraints| constraints.value.path_len_constraint);
    let mut extensions = vec![
        extension::basic_constraints(true, length_below(&certificate, length)?),
        extension::authority_key_id(&signing::key_id(&key.public)),
        extension::subject_key_id(&signing::key_id(given.public_key().raw)),
    ];
    extensions.extend(extension::key_usage(AUTHORITY_USAGE));
    extensions.extend(extension::urls(&config::urls_of(call.store, &mount, &issuer)?));
    let draft = Draft {
        serial: new_serial(call.context),
        issuer: certificate.subject().as_raw().to_vec(),
        subject: given.subject().as_raw().to_vec(),
        not_before: given.validity().not_before.timestamp(),
        not_after: given.validity().not_after.timestamp().min(certificate.validity().not_after.timestamp()),
        public: given.public_key().raw.to_vec(),
        extensions,
    };
    let der = draft.sign(&key.secret, SignatureAlgorithm::of(key.shape(), 0, false))?;
    fetch::keep(call.store, &mount, &der)?;
    let mut data = Map::new();
    data.insert("certificate".into(), issuer::pem(&der).into());
    data.insert("issuing_ca".into(), issuer.pem().into());
    Ok(Reply { data: Some(data), ..Reply::default() })
}
