//! Extensions of certificates (RFC 5280, section 4.2), each from what it is to say.

use std::net::IpAddr;

use yasna::models::ObjectIdentifier;
use yasna::{DERWriterSeq, Tag, construct_der};

use super::der::Extension;
use super::oid;
use super::record::UrlsRecord;
use crate::error::Error;

/// The names of a certificate beside its subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AlternativeNames {
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) uris: Vec<String>,
    /// Arcs and text in UTF-8.
    pub(super) others: Vec<(Vec<u64>, String)>,
}

impl AlternativeNames {
    pub(super) fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.emails.is_empty() && self.addresses.is_empty() && !self.has_more()
    }

    fn has_more(&self) -> bool {
        !self.uris.is_empty() || !self.others.is_empty()
    }

    /// The extension: critical if there is no subject (RFC 5280, section 4.2.1.6).
    pub(super) fn extension(&self, has_subject: bool) -> Extension {
        Extension::new(oid::ALTERNATIVE_NAMES, !has_subject, |writer| {
            writer.write_sequence(|writer| {
                for (arcs, text) in &self.others {
                    writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                        writer.write_sequence(|writer| {
                            writer.next().write_oid(&ObjectIdentifier::from_slice(arcs));
                            writer.next().write_tagged(Tag::context(0), |writer| writer.write_utf8_string(text));
                        });
                    });
                }
                write_texts(writer, 1, &self.emails);
                write_texts(writer, 2, &self.dns);
                write_texts(writer, 6, &self.uris);
                for address in &self.addresses {
                    let bytes = match address {
                        IpAddr::V4(address) => address.octets().to_vec(),
                        IpAddr::V6(address) => address.octets().to_vec(),
                    };
                    writer.next().write_tagged_implicit(Tag::context(7), |writer| writer.write_bytes(&bytes));
                }
            });
        })
    }
}

/// Writes texts in ASCII as a kind of GeneralName.
fn write_texts(writer: &mut DERWriterSeq<'_>, kind: u64, texts: &[String]) {
    for text in texts {
        writer.next().write_tagged_implicit(Tag::context(kind), |writer| writer.write_bytes(text.as_bytes()));
    }
}

/// Whether it is an authority's, and how many more may come below.
pub(super) fn basic_constraints(is_authority: bool, path_length: Option<u32>) -> Extension {
    Extension::new(oid::BASIC_CONSTRAINTS, true, |writer| {
        writer.write_sequence(|writer| {
            if is_authority {
                writer.next().write_bool(true);
                if let Some(length) = path_length {
                    writer.next().write_u32(length);
                }
            }
        });
    })
}

/// Uses of a key by the names that clients know, in the order of their bits (RFC 5280, section 4.2.1.3).
const KEY_USAGES: [&str; 9] = [
    "digitalsignature",
    "contentcommitment",
    "keyencipherment",
    "dataencipherment",
    "keyagreement",
    "certsign",
    "crlsign",
    "encipheronly",
    "decipheronly",
];
/// The uses of an authority's key: to sign certificates and lists.
pub(super) const AUTHORITY_USAGE: u16 = (1 << 5) | (1 << 6);

/// The bits of names; bit 0 is the first use.
pub(super) fn key_usage_bits(names: &[String]) -> Result<u16, Error> {
    let mut bits = 0;
    for name in names.iter().map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()) {
        let name = name.strip_prefix("keyusage").unwrap_or(&name);
        let place = KEY_USAGES.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| {
            Error::invalid(
                "key_usage holds an unknown use; known are DigitalSignature, ContentCommitment, KeyEncipherment, \
                 DataEncipherment, KeyAgreement, CertSign, CRLSign, EncipherOnly and DecipherOnly",
            )
        })?;
        bits |= 1 << place;
    }
    Ok(bits)
}

/// What the key may be used for; `None` for no bit.
pub(super) fn key_usage(bits: u16) -> Option<Extension> {
    // The bits of DER begin at the top, and trailing zeros are left out (X.690, section 11.2.2).
    let length = 16 - bits.leading_zeros() as usize;
    let bytes = bits.reverse_bits().to_be_bytes();
    (bits != 0).then(|| {
        Extension::new(oid::KEY_USAGE, true, |writer| writer.write_bitvec_bytes(&bytes[..length.div_ceil(8)], length))
    })
}

/// Purposes by the names that clients know, and their arcs (RFC 5280, section 4.2.1.12).
const PURPOSES: [(&str, oid::Arcs); 14] = [
    ("any", &[2, 5, 29, 37, 0]),
    ("serverauth", &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    ("clientauth", &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    ("codesigning", &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    ("emailprotection", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsecendsystem", &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsectunnel", &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsecuser", &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    ("ocspsigning", &[1, 3, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoftservergatedcrypto", &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
    ("netscapeservergatedcrypto", &[2, 16, 840, 1, 113_730, 4, 1]),
    ("microsoftcommercialcodesigning", &[1, 3, 6, 1, 4, 1, 311, 2, 1, 22]),
    ("microsoftkernelcodesigning", &[1, 3, 6, 1, 4, 1, 311, 61, 1, 1]),
];

/// The arcs of a purpose by its name.
pub(super) fn purpose(name: &str) -> Result<Vec<u64>, Error> {
    let name = name.trim().to_ascii_lowercase();
    let name = name.strip_prefix("extkeyusage").unwrap_or(&name);
    let found = PURPOSES.iter().find(|(known, _)| *known == name).map(|(_, arcs)| arcs.to_vec());
    found.ok_or_else(|| {
        Error::invalid(
            "ext_key_usage holds an unknown purpose; name one of RFC 5280, such as ServerAuth or TimeStamping, \
             or give its identifier as ext_key_usage_oids",
        )
    })
}

/// What the certificate may be used for; `None` for no purpose.
pub(super) fn extended_key_usage(purposes: &[Vec<u64>]) -> Option<Extension> {
    (!purposes.is_empty()).then(|| {
        Extension::new(oid::EXTENDED_KEY_USAGE, false, |writer| {
            writer.write_sequence(|writer| {
                for arcs in purposes {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(arcs));
                }
            });
        })
    })
}

/// Under which policies it was issued; `None` for none.
pub(super) fn policies(policies: &[Vec<u64>]) -> Option<Extension> {
    (!policies.is_empty()).then(|| {
        Extension::new(oid::POLICIES, false, |writer| {
            writer.write_sequence(|writer| {
                for arcs in policies {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(arcs));
                    });
                }
            });
        })
    })
}

/// Identifier of the subject's key.
pub(super) fn subject_key_id(id: &[u8]) -> Extension {
    Extension::new(oid::SUBJECT_KEY_ID, false, |writer| writer.write_bytes(id))
}

/// Identifier of the issuer's key.
pub(super) fn authority_key_id(id: &[u8]) -> Extension {
    Extension::new(oid::AUTHORITY_KEY_ID, false, |writer| {
        writer.write_sequence(|writer| {
            writer.next().write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(id));
        });
    })
}

/// For which DNS names an authority may issue, and for which not; `None` if it may for all.
pub(super) fn name_constraints(permitted: &[String], excluded: &[String]) -> Option<Extension> {
    let write = |writer: &mut DERWriterSeq<'_>, tag: u64, names: &[String]| {
        if names.is_empty() {
            return;
        }
        writer.next().write_tagged_implicit(Tag::context(tag), |writer| {
            writer.write_sequence(|writer| {
                for name in names {
                    let name = std::slice::from_ref(name);
                    writer.next().write_sequence(|writer| write_texts(writer, 2, name));
                }
            });
        });
    };
    (!permitted.is_empty() || !excluded.is_empty()).then(|| {
        Extension::new(oid::NAME_CONSTRAINTS, true, |writer| {
            writer.write_sequence(|writer| {
                write(writer, 0, permitted);
                write(writer, 1, excluded);
            });
        })
    })
}

/// Where to find more: the issuer's certificate, OCSP, lists and what came since.
pub(super) fn urls(urls: &UrlsRecord) -> Vec<Extension> {
    let mut extensions = Vec::new();
    if !urls.issuing_certificates.is_empty() || !urls.ocsp_servers.is_empty() {
        let ways = [(oid::ACCESS_OCSP, &urls.ocsp_servers), (oid::ACCESS_ISSUERS, &urls.issuing_certificates)];
        extensions.push(Extension::new(oid::AUTHORITY_ACCESS, false, |writer| {
            writer.write_sequence(|writer| {
                for (arcs, url) in ways.into_iter().flat_map(|(arcs, urls)| urls.iter().map(move |url| (arcs, url))) {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(arcs));
                        write_texts(writer, 6, std::slice::from_ref(url));
                    });
                }
            });
        }));
    }
    for (arcs, points) in [
        (oid::CRL_DISTRIBUTION_POINTS, &urls.crl_distribution_points),
        (oid::FRESHEST_CRL, &urls.delta_crl_distribution_points),
    ] {
        if !points.is_empty() {
            extensions.push(Extension { arcs: arcs.to_vec(), is_critical: false, value: distribution_points(points) });
        }
    }
    extensions
}

/// Points of distribution, each with one URL (RFC 5280, section 4.2.1.13).
fn distribution_points(urls: &[String]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            for url in urls {
                writer.next().write_sequence(|writer| {
                    writer.next().write_tagged(Tag::context(0), |writer| {
                        writer.write_tagged_implicit(Tag::context(0), |writer| {
                            writer.write_sequence(|writer| write_texts(writer, 6, std::slice::from_ref(url)));
                        });
                    });
                });
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_uses_are_written_without_trailing_zeros() {
        let value = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            key_usage(key_usage_bits(&names).unwrap()).map(|extension| hex::encode(extension.value))
        };
        assert_eq!(value(&["CertSign", "KeyUsageCRLSign"]).as_deref(), Some("03020106"));
        assert_eq!(value(&["DigitalSignature"]).as_deref(), Some("03020780"));
        assert_eq!(value(&["DecipherOnly"]).as_deref(), Some("0303070080"));
        assert_eq!(value(&[""]), None);
        assert!(key_usage_bits(&["Cooking".into()]).is_err());
    }
}
