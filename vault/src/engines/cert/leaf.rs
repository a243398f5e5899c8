//! What a client's certificate says, and whether that is what an entry asks for. Those of its issuers are not looked at.

use std::collections::BTreeMap;

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::parse_der;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::engines::cert::entry::CertEntryRecord;
use crate::engines::cert::trust;
use crate::glob;

/// What there is to compare in a certificate.
#[derive(Default)]
pub(super) struct Leaf {
    pub(super) common_name: String,
    /// Decimal.
    serial: String,
    subject_key: String,
    authority_key: String,
    units: Vec<String>,
    dns_names: Vec<String>,
    emails: Vec<String>,
    uris: Vec<String>,
    /// Texts of extensions, by their object identifiers.
    extensions: BTreeMap<String, String>,
}

fn texts<'n, 'r: 'n>(attributes: impl Iterator<Item = &'n AttributeTypeAndValue<'r>>) -> Vec<String> {
    attributes.filter_map(|attribute| attribute.as_str().ok().map(str::to_owned)).collect()
}

/// Bytes as clients know key ids.
fn with_colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn common_name(subject: &X509Name<'_>) -> String {
    texts(subject.iter_common_name()).into_iter().next_back().unwrap_or_default()
}

impl Leaf {
    /// Reads a certificate; `None` if it is none.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let certificate = trust::parse(der)?;
        let mut leaf = Self {
            common_name: common_name(certificate.subject()),
            serial: certificate.tbs_certificate.serial.to_string(),
            units: texts(certificate.subject().iter_organizational_unit()),
            ..Self::default()
        };
        leaf.read_extensions(&certificate);
        Some(leaf)
    }

    fn read_extensions(&mut self, certificate: &X509Certificate<'_>) {
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    for name in &names.general_names {
                        match name {
                            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
                            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
                            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
                            _ => {}
                        }
                    }
                }
                ParsedExtension::SubjectKeyIdentifier(key) => self.subject_key = with_colons(key.0),
                ParsedExtension::AuthorityKeyIdentifier(key) => {
                    self.authority_key = key.key_identifier.as_ref().map_or(String::new(), |key| with_colons(key.0));
                }
                _ => {}
            }
            if let Ok((rest, value)) = parse_der(extension.value)
                && rest.is_empty()
                && let Ok(text) = value.as_str()
            {
                self.extensions.insert(extension.oid.to_id_string(), text.to_owned());
            }
        }
    }

    /// Whether it says what an entry asks for: of each list that has rules, one must be met.
    pub(super) fn is_allowed_by(&self, entry: &CertEntryRecord) -> bool {
        let common_name = std::slice::from_ref(&self.common_name);
        let is_met = |rules: &[String], said: &[&[String]]| {
            let is_said = |rule: &String| said.iter().copied().flatten().any(|text| glob::matches(rule, text));
            rules.is_empty() || rules.iter().any(is_said)
        };
        let has = |rule: &String| {
            let (oid, pattern) = rule.split_once(':').unwrap_or_default();
            self.extensions.get(oid).is_some_and(|text| glob::matches(pattern, text))
        };
        is_met(&entry.names, &[common_name, &self.dns_names, &self.emails])
            && is_met(&entry.common_names, &[common_name])
            && is_met(&entry.dns_names, &[&self.dns_names])
            && is_met(&entry.emails, &[&self.emails])
            && is_met(&entry.uris, &[&self.uris])
            && is_met(&entry.units, &[&self.units])
            && entry.extensions.iter().all(has)
    }

    /// Metadata of a token that it makes.
    pub(super) fn metadata(&self, entry: &CertEntryRecord, name: &str) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::from([
            ("cert_name".to_owned(), name.to_owned()),
            ("common_name".to_owned(), self.common_name.clone()),
            ("serial_number".to_owned(), self.serial.clone()),
            ("subject_key_id".to_owned(), self.subject_key.clone()),
            ("authority_key_id".to_owned(), self.authority_key.clone()),
        ]);
        for oid in &entry.shown_extensions {
            if let Some(text) = self.extensions.get(oid) {
                // Clients know them with dashes, since dots mean something in templates.
                metadata.insert(oid.replace('.', "-"), text.clone());
            }
        }
        metadata
    }
}
