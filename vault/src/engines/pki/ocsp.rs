//! OCSP: whether a certificate is revoked, asked for one at a time (RFC 6960). Replies are signed by the issuer itself.
//!
//! What surprises: a serial number that is not kept here is unknown, unless the mount says that it is good.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Result, BERReader, DERWriter, Tag, construct_der, parse_der};

use super::crl;
use super::der::write_generalized_time;
use super::fetch;
use super::issuer::{self, Issuers, Usage};
use super::issuers::raw;
use super::key;
use super::record::{IssuerRecord, PkiKeyRecord};
use super::signing;
use crate::engine::Call;
use crate::engines::hash::HashAlgorithm;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::time::Time;

/// Longest request, in bytes of DER.
const MAX_REQUEST_BYTES: usize = 4 << 10;
/// Most certificates that one request asks about.
const MAX_ASKED: usize = 8;
/// The media type of replies (RFC 6960, appendix A).
pub(super) const MEDIA_TYPE: &str = "application/ocsp-response";
/// Identifier of the one kind of replies (RFC 6960, section 4.2.1).
const BASIC: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
/// Status of a reply that says nothing because nobody here may speak for the issuer.
const UNAUTHORIZED: i64 = 6;

pub(super) const FIELDS: &[Field] = &[field(
    "request",
    Kind::Text,
    "The request in DER and base 64. As a body, the request itself with the media type application/ocsp-request.",
)
.required()];

/// What is asked about one certificate.
struct CertId {
    /// As it came, for the reply.
    der: Vec<u8>,
    hash: HashAlgorithm,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    /// Big-endian.
    serial: Vec<u8>,
}

/// What is said of it.
enum CertStatus {
    Good,
    Revoked(Time),
    Unknown,
}

fn parse_cert_id(der: Vec<u8>) -> Option<CertId> {
    let parsed = parse_der(&der, |reader| {
        reader.read_sequence(|reader| {
            let arcs = reader.next().read_sequence(|reader| {
                let arcs = reader.next().read_oid()?;
                reader.read_optional(|reader| reader.read_der())?;
                Ok(arcs)
            })?;
            let (name_hash, key_hash) = (reader.next().read_bytes()?, reader.next().read_bytes()?);
            let (serial, _) = reader.next().read_bigint_bytes()?;
            Ok((arcs, name_hash, key_hash, serial))
        })
    });
    let (arcs, name_hash, key_hash, serial) = parsed.ok()?;
    let hash = match arcs.components().as_slice() {
        [1, 3, 14, 3, 2, 26] => HashAlgorithm::Sha1,
        [2, 16, 840, 1, 101, 3, 4, 2, 1] => HashAlgorithm::Sha256,
        [2, 16, 840, 1, 101, 3, 4, 2, 2] => HashAlgorithm::Sha384,
        [2, 16, 840, 1, 101, 3, 4, 2, 3] => HashAlgorithm::Sha512,
        _ => return None,
    };
    Some(CertId { der, hash, name_hash, key_hash, serial })
}

fn read_one(reader: BERReader<'_, '_>) -> ASN1Result<Vec<u8>> {
    reader.read_sequence(|reader| {
        let id = reader.next().read_der()?;
        reader.read_optional(|reader| reader.read_der())?;
        Ok(id)
    })
}

/// The certificates that a request asks about; `None` if it is no request.
fn parse(der: &[u8]) -> Option<Vec<CertId>> {
    let mut asked: Vec<Vec<u8>> = Vec::new();
    let parsed = parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_sequence(|reader| {
                reader.read_optional(|reader| reader.read_tagged(Tag::context(0), |reader| reader.read_u64()))?;
                reader.read_optional(|reader| reader.read_tagged(Tag::context(1), |reader| reader.read_der()))?;
                reader.next().read_sequence_of(|reader| {
                    asked.push(read_one(reader)?);
                    Ok(())
                })?;
                reader.read_optional(|reader| reader.read_tagged(Tag::context(2), |reader| reader.read_der()))?;
                Ok(())
            })?;
            reader.read_optional(|reader| reader.read_tagged(Tag::context(0), |reader| reader.read_der()))?;
            Ok(())
        })
    });
    parsed.ok()?;
    let asked: Option<Vec<CertId>> = asked.into_iter().map(parse_cert_id).collect();
    asked.filter(|asked| !asked.is_empty() && asked.len() <= MAX_ASKED)
}

/// Answers a request, of the path or the body.
pub(super) fn answer(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let wrong = || Error::invalid("this is no OCSP request: it must be DER, in base 64 in the path");
    let text = call.fields.text_or_empty("request");
    if text.len() > 2 * MAX_REQUEST_BYTES {
        return Err(Error::invalid(format!("an OCSP request has at most {MAX_REQUEST_BYTES} bytes")));
    }
    // What stands in a path may have been escaped twice.
    let text = text.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let der = STANDARD.decode(text.trim()).map_err(|_| wrong())?;
    let asked = parse(&der).ok_or_else(wrong)?;
    let mount = call.mount.clone();
    let config = crl::config(call.store, &mount)?;
    let signer = if config.ocsp_disable { None } else { signer(call, &asked[0])? };
    let Some((issuer, key)) = signer else {
        let refusal = construct_der(|writer| writer.write_sequence(|writer| writer.next().write_enum(UNAUTHORIZED)));
        return Ok(raw(MEDIA_TYPE, refusal));
    };
    let mut said = Vec::new();
    for id in asked {
        let status = status_of(call, &issuer, &key, &id, config.unknown_is_good)?;
        said.push((id, status));
    }
    Ok(raw(MEDIA_TYPE, sign(&issuer, &key, &said, call.context.now, config.ocsp_secs())?))
}

fn is_meant(id: &CertId, subject: &[u8], public: &[u8]) -> bool {
    id.hash.digest(subject) == id.name_hash && id.hash.digest(&signing::key_bits(public)) == id.key_hash
}

/// The issuer that is asked about and may answer, and its key.
fn signer(call: &mut Call<'_, '_>, id: &CertId) -> Result<Option<(IssuerRecord, PkiKeyRecord)>, Error> {
    let mount = call.mount.clone();
    for issuer in Issuers::load(call.store, &mount)?.all {
        let is_asked = {
            let certificate = issuer.certificate()?;
            is_meant(id, certificate.subject().as_raw(), certificate.public_key().raw)
        };
        if issuer.may(Usage::OCSP)
            && is_asked
            && let Some(key) = key::by_id(call.store, &mount, &issuer.key_id)?
        {
            return Ok(Some((issuer, key)));
        }
    }
    Ok(None)
}

fn status_of(
    call: &mut Call<'_, '_>,
    issuer: &IssuerRecord,
    key: &PkiKeyRecord,
    id: &CertId,
    unknown_is_good: bool,
) -> Result<CertStatus, Error> {
    let mount = call.mount.clone();
    let own = issuer.certificate()?;
    if !is_meant(id, own.subject().as_raw(), &key.public) {
        return Ok(CertStatus::Unknown);
    }
    let serial = hex::encode(&id.serial);
    let found = fetch::find(call.store, &mount, &serial)?;
    // Another issuer of the mount may have the number too.
    let is_its = found
        .as_ref()
        .and_then(|found| issuer::parse(&found.der))
        .is_some_and(|certificate| certificate.issuer().as_raw() == own.subject().as_raw());
    if !is_its {
        return Ok(if unknown_is_good && found.is_none() { CertStatus::Good } else { CertStatus::Unknown });
    }
    Ok(match fetch::revocation(call.store, &mount, &serial)? {
        Some(revoked) => CertStatus::Revoked(Time::from_nanos(revoked.revoked_nanos)),
        None => CertStatus::Good,
    })
}

fn write_status(writer: DERWriter<'_>, status: &CertStatus) {
    match status {
        CertStatus::Good => writer.write_tagged_implicit(Tag::context(0), |writer| writer.write_null()),
        CertStatus::Unknown => writer.write_tagged_implicit(Tag::context(2), |writer| writer.write_null()),
        CertStatus::Revoked(when) => writer.write_tagged_implicit(Tag::context(1), |writer| {
            writer.write_sequence(|writer| write_generalized_time(writer.next(), when.secs()));
        }),
    }
}

fn sign(
    issuer: &IssuerRecord,
    key: &PkiKeyRecord,
    said: &[(CertId, CertStatus)],
    now: Time,
    valid_secs: u64,
) -> Result<Vec<u8>, Error> {
    let algorithm = crl::algorithm_of(issuer, key);
    let id = signing::key_id(&key.public);
    let data = construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_tagged(Tag::context(2), |writer| writer.write_bytes(&id));
            write_generalized_time(writer.next(), now.secs());
            writer.next().write_sequence(|writer| {
                for (id, status) in said {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_der(&id.der);
                        write_status(writer.next(), status);
                        write_generalized_time(writer.next(), now.secs());
                        let until = now.plus_secs(valid_secs).secs();
                        writer.next().write_tagged(Tag::context(0), |writer| write_generalized_time(writer, until));
                    });
                }
            });
        });
    });
    let basic = super::der::signed(&key.secret, algorithm, &data)?;
    Ok(construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_enum(0);
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(BASIC));
                    writer.next().write_bytes(&basic);
                });
            });
        });
    }))
}
