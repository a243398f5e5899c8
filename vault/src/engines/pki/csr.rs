//! Requests for certificates (RFC 2986): those of others, and those that are made here for keys of authorities.

use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, Utf8String};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;
use yasna::models::ObjectIdentifier;
use yasna::{Tag, construct_der};

use super::der::{Extension, signed, write_extensions};
use super::extension::AlternativeNames;
use super::oid;
use super::signing::{self, KeyPair, KeyShape, SignatureAlgorithm};
use crate::error::Error;
use crate::field::{Field, Kind, field};

/// Longest request, in bytes of its text.
const MAX_CSR_BYTES: usize = 64 << 10;

pub(super) const CSR: Field = field("csr", Kind::Text, "The request for a certificate, in PEM.").required();

/// What a request asks for, and that whoever made it has the key.
pub(super) struct SigningRequest {
    /// Name in DER.
    pub(super) subject: Vec<u8>,
    pub(super) common_name: String,
    /// SubjectPublicKeyInfo.
    pub(super) public: Vec<u8>,
    pub(super) shape: KeyShape,
    pub(super) names: AlternativeNames,
    /// Whether it asks for names of kinds that are not known here.
    pub(super) has_unknown_names: bool,
}

impl SigningRequest {
    /// Reads a request in PEM, and checks its signature and its key.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::invalid("\"csr\" is empty"));
        }
        if text.len() > MAX_CSR_BYTES {
            return Err(Error::invalid(format!("csr has at most {MAX_CSR_BYTES} bytes")));
        }
        let block = Pem::iter_from_buffer(text.as_bytes()).next().and_then(Result::ok);
        let block =
            block.ok_or_else(|| Error::invalid("csr contains no data: it must be a certificate request in PEM"))?;
        let wrong = || Error::invalid("csr is no certificate request that can be read");
        if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(wrong());
        }
        let (rest, request) = X509CertificationRequest::from_der(&block.contents).map_err(|_| wrong())?;
        if !rest.is_empty() {
            return Err(wrong());
        }
        Self::checked(&request)
    }

    fn checked(request: &X509CertificationRequest<'_>) -> Result<Self, Error> {
        let info = &request.certification_request_info;
        let public = info.subject_pki.raw.to_vec();
        let shape = KeyShape::of_public(&public)?;
        let is_signed = signing::verify(&public, &request.signature_algorithm, info.raw, &request.signature_value.data);
        if !is_signed {
            return Err(Error::invalid(
                "the signature of the request is not one of its key, or is of an algorithm that is not taken",
            ));
        }
        let mut read = Self {
            subject: info.subject.as_raw().to_vec(),
            common_name: common_name(&info.subject),
            public,
            shape,
            names: AlternativeNames::default(),
            has_unknown_names: false,
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                for name in &names.general_names {
                    read.has_unknown_names |= !add_name(&mut read.names, name);
                }
            }
        }
        Ok(read)
    }
}

/// The last common name of a subject; empty if there is none.
pub(super) fn common_name(subject: &X509Name<'_>) -> String {
    subject.iter_common_name().filter_map(|name| name.as_str().ok()).last().unwrap_or_default().to_owned()
}

/// Adds a name as it is; false if its kind is not known here.
fn add_name(names: &mut AlternativeNames, name: &GeneralName<'_>) -> bool {
    match name {
        GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
        GeneralName::RFC822Name(name) => names.emails.push((*name).to_owned()),
        GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(bytes), _) => names.addresses.push(IpAddr::from(bytes)),
            (_, Ok(bytes)) => names.addresses.push(IpAddr::from(bytes)),
            _ => return false,
        },
        GeneralName::OtherName(arcs, value) => {
            // The value is a text inside of a tag of its own (RFC 5280, section 4.2.1.6).
            let text = Any::from_der(value).ok().and_then(|(_, outer)| Utf8String::from_der(outer.data).ok());
            let Some((arcs, (_, text))) = oid::parse(&arcs.to_id_string()).zip(text) else { return false };
            names.others.push((arcs, text.as_ref().to_owned()));
        }
        _ => return false,
    }
    true
}

/// A request by a key of an authority.
pub(super) fn make(
    pair: &KeyPair,
    algorithm: SignatureAlgorithm,
    subject: &[u8],
    extensions: &[Extension],
) -> Result<Vec<u8>, Error> {
    let body = construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer.next().write_der(subject);
            writer.next().write_der(&pair.public);
            writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                writer.write_set_of(|writer| {
                    if extensions.is_empty() {
                        return;
                    }
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(oid::EXTENSION_REQUEST));
                        writer.next().write_set_of(|writer| write_extensions(writer.next(), extensions));
                    });
                });
            });
        });
    });
    signed(&pair.secret, algorithm, &body)
}
