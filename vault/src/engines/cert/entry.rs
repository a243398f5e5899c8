//! Entries: whom one trusts, what a certificate must say, and what its holder gets.

use prost::Message;
use serde_json::{Map, Value, json};
use x509_parser::pem::Pem;

use crate::context::Context;
use crate::engine::Call;
use crate::engines::cert::trust;
use crate::engines::listing;
use crate::engines::named::{self, Named};
use crate::engines::terms::{self, TermsRecord, or_null};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;

/// Most entries that a login looks at which names none.
const MAX_TRIED: usize = 256;
/// Most certificates that one entry trusts.
const MAX_TRUSTED: usize = 32;
/// Longest text of certificates, in bytes.
const MAX_PEM_BYTES: usize = 256 << 10;

const NAME: Field = field("name", Kind::Text, "Name of the entry.");
const CERTIFICATE: Field =
    field("certificate", Kind::Text, "Authorities, or certificates of their own that are trusted as they are, in PEM.")
        .required();
const DISPLAY_NAME: Field =
    field("display_name", Kind::Text, "How its tokens are shown; the entry's name if not said.");
const NAMES: Field = field(
    "allowed_names",
    Kind::CommaList,
    "Common names, DNS names or addresses, of which a certificate must have one; * is any text.",
);
const COMMON_NAMES: Field = field("allowed_common_names", Kind::CommaList, "Common names, as above.");
const DNS_NAMES: Field = field("allowed_dns_sans", Kind::CommaList, "DNS names, as above.");
const EMAILS: Field = field("allowed_email_sans", Kind::CommaList, "Addresses of mail, as above.");
const URIS: Field = field("allowed_uri_sans", Kind::CommaList, "URIs, as above.");
const UNITS: Field = field("allowed_organizational_units", Kind::CommaList, "Organisational units, as above.");
const EXTENSIONS: Field = field(
    "required_extensions",
    Kind::CommaList,
    "Extensions that a certificate must have: OID:text, where * is any text.",
);
const SHOWN_EXTENSIONS: Field =
    field("allowed_metadata_extensions", Kind::CommaList, "OIDs of extensions whose texts become metadata.");
const OCSP: Field = field("ocsp_enabled", Kind::Bool, "Refused, unless false: OCSP is not asked.");
const OCSP_AUTHORITIES: Field = field("ocsp_ca_certificates", Kind::Text, "Refused, unless empty, as above.");
const OCSP_SERVERS: Field = field("ocsp_servers_override", Kind::CommaList, "Refused, unless empty, as above.");
const OCSP_OPEN: Field = field("ocsp_fail_open", Kind::Bool, "Refused, unless false, as above.");
const OCSP_ALL: Field = field("ocsp_query_all_servers", Kind::Bool, "Refused, unless false, as above.");

pub(super) const FIELDS: &[Field] = &[
    NAME,
    CERTIFICATE,
    DISPLAY_NAME,
    NAMES,
    COMMON_NAMES,
    DNS_NAMES,
    EMAILS,
    URIS,
    UNITS,
    EXTENSIONS,
    SHOWN_EXTENSIONS,
    OCSP,
    OCSP_AUTHORITIES,
    OCSP_SERVERS,
    OCSP_OPEN,
    OCSP_ALL,
];

/// An entry as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CertEntryRecord {
    /// 32 hexadecimal digits, drawn at creation, so that a token is not renewed by a later entry of the same name.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pem: String,
    #[prost(string, tag = "3")]
    pub(super) display_name: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) names: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub(super) common_names: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub(super) dns_names: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    pub(super) emails: Vec<String>,
    #[prost(string, repeated, tag = "8")]
    pub(super) uris: Vec<String>,
    #[prost(string, repeated, tag = "9")]
    pub(super) units: Vec<String>,
    #[prost(string, repeated, tag = "10")]
    pub(super) extensions: Vec<String>,
    #[prost(string, repeated, tag = "11")]
    pub(super) shown_extensions: Vec<String>,
    #[prost(message, required, tag = "12")]
    pub(super) terms: TermsRecord,
}

/// The certificates of a text in PEM, in DER; `None` if there is none or anything else.
pub(super) fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    if text.len() > MAX_PEM_BYTES {
        return None;
    }
    let block =
        |block: Result<Pem, _>| block.ok().filter(|block| block.label == "CERTIFICATE").map(|block| block.contents);
    let found: Option<Vec<_>> = Pem::iter_from_buffer(text.as_bytes()).map(block).collect();
    found.filter(|found| !found.is_empty() && found.len() <= MAX_TRUSTED)
}

impl CertEntryRecord {
    fn new(context: &mut Context<'_>) -> Self {
        Self { id: hex::encode(context.bytes::<16>()), ..Self::default() }
    }

    /// Whom it trusts, in DER.
    pub(super) fn trusted(&self) -> Vec<Vec<u8>> {
        certificates(&self.pem).unwrap_or_default()
    }

    fn take(&mut self, name: &str, fields: &Fields, warnings: &mut Vec<String>) -> Result<(), Error> {
        if let Some(pem) = fields.text(CERTIFICATE.name) {
            pem.clone_into(&mut self.pem);
        }
        let trusted = certificates(&self.pem).filter(|trusted| trusted.iter().all(|der| trust::is_certificate(der)));
        if trusted.is_none() {
            return Err(Error::invalid("failed to parse certificate"));
        }
        if let Some(shown) = fields.text(DISPLAY_NAME.name) {
            shown.clone_into(&mut self.display_name);
        }
        if self.display_name.is_empty() {
            name.clone_into(&mut self.display_name);
        }
        for (of, list) in [
            (&NAMES, &mut self.names),
            (&COMMON_NAMES, &mut self.common_names),
            (&DNS_NAMES, &mut self.dns_names),
            (&EMAILS, &mut self.emails),
            (&URIS, &mut self.uris),
            (&UNITS, &mut self.units),
            (&EXTENSIONS, &mut self.extensions),
            (&SHOWN_EXTENSIONS, &mut self.shown_extensions),
        ] {
            if let Some(sent) = fields.list(of.name) {
                terms::check_length(of.name, sent)?;
                *list = sent.to_vec();
            }
        }
        if self.extensions.iter().any(|rule| !rule.contains(':')) {
            return Err(Error::invalid("required_extensions holds rules such as 1.2.3.4:text*"));
        }
        refuse_ocsp(fields)?;
        self.terms.take(fields, warnings)
    }
}

impl Named for CertEntryRecord {
    const FOLDER: &'static str = "entry";
    const NAME: Field = NAME;

    fn show(&self) -> Map<String, Value> {
        let mut data = self.terms.show();
        let own = json!({
            "certificate": self.pem,
            "display_name": self.display_name,
            "allowed_names": or_null(&self.names),
            "allowed_common_names": or_null(&self.common_names),
            "allowed_dns_sans": or_null(&self.dns_names),
            "allowed_email_sans": or_null(&self.emails),
            "allowed_uri_sans": or_null(&self.uris),
            "allowed_organizational_units": or_null(&self.units),
            "required_extensions": or_null(&self.extensions),
            "allowed_metadata_extensions": or_null(&self.shown_extensions),
            "ocsp_enabled": false,
            "ocsp_ca_certificates": "",
            "ocsp_servers_override": null,
            "ocsp_fail_open": false,
            "ocsp_query_all_servers": false,
        });
        data.extend(own.as_object().cloned().unwrap_or_default());
        data
    }
}

fn refuse_ocsp(fields: &Fields) -> Result<(), Error> {
    let is_on = [&OCSP, &OCSP_OPEN, &OCSP_ALL].into_iter().any(|of| fields.bool(of.name).unwrap_or(false));
    let has_servers = fields.list(OCSP_SERVERS.name).is_some_and(|list| !list.is_empty());
    match is_on || has_servers || !fields.text_or_empty(OCSP_AUTHORITIES.name).is_empty() {
        true => Err(Error::invalid("OCSP is not asked; use lists of revoked certificates (crls/)")),
        false => Ok(()),
    }
}

/// The entries that a login may mean, by name: the one that it names, or all.
pub(super) fn meant(store: &mut Store<'_>, mount: &Mount, name: &str) -> Result<Vec<(String, CertEntryRecord)>, Error> {
    if !name.is_empty() {
        return Ok(named::find(store, mount, name)?.into_iter().map(|entry| (name.to_owned(), entry)).collect());
    }
    let names = listing::keys(&store.list(&mount.area, &[CertEntryRecord::FOLDER])?);
    if names.len() > MAX_TRIED {
        return Err(Error::invalid(format!("the mount has more than {MAX_TRIED} entries; name one")));
    }
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let entry = named::find::<CertEntryRecord>(store, mount, &name)?;
        entries.extend(entry.map(|entry| (name, entry)));
    }
    Ok(entries)
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<CertEntryRecord>(call));
    let found = named::find::<CertEntryRecord>(call.store, &mount, &name)?;
    let mut entry = found.unwrap_or_else(|| CertEntryRecord::new(call.context));
    let mut reply = Reply::empty();
    entry.take(&name, &call.fields, &mut reply.warnings)?;
    named::save(call.store, &mount, &name, &entry)?;
    Ok(reply)
}
