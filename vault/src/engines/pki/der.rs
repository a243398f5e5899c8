//! What certificates, requests and lists have in common in DER: times, names of the subject, and extensions (RFC 5280).

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use yasna::models::ObjectIdentifier;
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME};
use yasna::{DERWriter, Tag, construct_der};

use super::oid;
use super::signing::{self, SignatureAlgorithm};
use crate::error::Error;

/// The last second that a certificate can name: the end of the year 9999.
pub(super) const LAST_SECOND: i64 = 253_402_300_799;
/// The first second that is written with four digits of the year: 2050 begins (RFC 5280, section 4.1.2.5).
const YEAR_2050: i64 = 2_524_608_000;

/// An extension: its arcs, whether it is critical, and its value in DER.
#[derive(Clone)]
pub(super) struct Extension {
    pub(super) arcs: Vec<u64>,
    pub(super) is_critical: bool,
    pub(super) value: Vec<u8>,
}

impl Extension {
    /// One of known arcs.
    pub(super) fn new(arcs: oid::Arcs, is_critical: bool, write: impl FnOnce(DERWriter<'_>)) -> Self {
        Self { arcs: arcs.to_vec(), is_critical, value: construct_der(write) }
    }
}

/// Writes a time, in seconds since 1970.
pub(super) fn write_time(writer: DERWriter<'_>, secs: i64) {
    let (tag, digits) = if secs < YEAR_2050 { (TAG_UTCTIME, 2) } else { (TAG_GENERALIZEDTIME, 0) };
    let text = digits_of(secs);
    writer.write_tagged_implicit(tag, |writer| writer.write_bytes(&text.as_bytes()[digits..]));
}

/// Writes a time that always has four digits of the year, as OCSP has it.
pub(super) fn write_generalized_time(writer: DERWriter<'_>, secs: i64) {
    let text = digits_of(secs);
    writer.write_tagged_implicit(TAG_GENERALIZEDTIME, |writer| writer.write_bytes(text.as_bytes()));
}

/// The beginning of 1970.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A time in UTC. Timestamps of `jiff` end a day before the year 9999 does.
fn civil(secs: i64) -> DateTime {
    EPOCH.checked_add(SignedDuration::from_secs(secs.clamp(0, LAST_SECOND))).unwrap_or(EPOCH)
}

/// Seconds as `20240131235959Z`.
fn digits_of(secs: i64) -> String {
    shown_time(secs).chars().filter(|c| c.is_ascii_digit() || *c == 'Z').collect()
}

/// A time that clients see, in RFC 3339.
pub(super) fn shown_time(secs: i64) -> String {
    format!("{}Z", civil(secs))
}

/// Seconds of a time in RFC 3339 that a certificate can name.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let in_utc = || text.strip_suffix(['Z', 'z'])?.parse::<DateTime>().ok();
    let secs = match text.parse::<Timestamp>() {
        Ok(stamp) => stamp.as_second(),
        // Only a whole time, for a date alone would be its beginning.
        Err(_) if text.contains(['T', 't']) => in_utc()?.duration_since(EPOCH).as_secs(),
        Err(_) => return None,
    };
    (0..=LAST_SECOND).contains(&secs).then_some(secs)
}

/// Writes a text as clients of X.509 expect it: printable if it is, else UTF-8.
fn write_text(writer: DERWriter<'_>, text: &str) {
    let is_printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    match text.chars().all(is_printable) {
        true => writer.write_printable_string(text),
        false => writer.write_utf8_string(text),
    }
}

/// Who a certificate is about. Each attribute may have several values, which stand in one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SubjectName {
    pub(super) common_name: String,
    pub(super) serial_number: String,
    pub(super) country: Vec<String>,
    pub(super) organization: Vec<String>,
    pub(super) unit: Vec<String>,
    pub(super) locality: Vec<String>,
    pub(super) province: Vec<String>,
    pub(super) street_address: Vec<String>,
    pub(super) postal_code: Vec<String>,
    pub(super) user_ids: Vec<String>,
}

impl SubjectName {
    /// Its Name in DER.
    pub(super) fn to_der(&self) -> Vec<u8> {
        let one = |text: &String| if text.is_empty() { Vec::new() } else { vec![text.clone()] };
        let (common_name, serial_number) = (one(&self.common_name), one(&self.serial_number));
        let attributes: [(oid::Arcs, &[String]); 10] = [
            (oid::COUNTRY, &self.country),
            (oid::ORGANIZATION, &self.organization),
            (oid::ORGANIZATIONAL_UNIT, &self.unit),
            (oid::LOCALITY, &self.locality),
            (oid::PROVINCE, &self.province),
            (oid::STREET_ADDRESS, &self.street_address),
            (oid::POSTAL_CODE, &self.postal_code),
            (oid::COMMON_NAME, &common_name),
            (oid::SERIAL_NUMBER, &serial_number),
            (oid::USER_ID, &self.user_ids),
        ];
        construct_der(|writer| {
            writer.write_sequence(|writer| {
                for (arcs, values) in attributes.into_iter().filter(|(_, values)| !values.is_empty()) {
                    writer.next().write_set_of(|writer| {
                        for value in values {
                            writer.next().write_sequence(|writer| {
                                writer.next().write_oid(&ObjectIdentifier::from_slice(arcs));
                                write_text(writer.next(), value);
                            });
                        }
                    });
                }
            });
        })
    }
}

/// A Name without an attribute.
pub(super) const NO_NAME: &[u8] = &[0x30, 0];

/// Writes extensions; none are left out by the caller.
pub(super) fn write_extensions(writer: DERWriter<'_>, extensions: &[Extension]) {
    writer.write_sequence(|writer| {
        for extension in extensions {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(&extension.arcs));
                if extension.is_critical {
                    writer.next().write_bool(true);
                }
                writer.next().write_bytes(&extension.value);
            });
        }
    });
}

/// What is signed, the algorithm, and the signature, as certificates, requests and lists have them.
pub(super) fn signed(secret: &[u8], algorithm: SignatureAlgorithm, body: &[u8]) -> Result<Vec<u8>, Error> {
    let signature = signing::sign(secret, algorithm, body)?;
    Ok(construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(body);
            algorithm.write(writer.next());
            writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
        });
    }))
}

/// What a certificate is to say.
pub(super) struct Draft {
    /// Big-endian.
    pub(super) serial: Vec<u8>,
    /// Name in DER.
    pub(super) issuer: Vec<u8>,
    /// Name in DER.
    pub(super) subject: Vec<u8>,
    /// Seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// SubjectPublicKeyInfo.
    pub(super) public: Vec<u8>,
    pub(super) extensions: Vec<Extension>,
}

impl Draft {
    /// The certificate, signed by a key in PKCS #8.
    pub(super) fn sign(&self, secret: &[u8], algorithm: SignatureAlgorithm) -> Result<Vec<u8>, Error> {
        let body = construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2));
                writer.next().write_bigint_bytes(&self.serial, true);
                algorithm.write(writer.next());
                writer.next().write_der(&self.issuer);
                writer.next().write_sequence(|writer| {
                    write_time(writer.next(), self.not_before);
                    write_time(writer.next(), self.not_after);
                });
                writer.next().write_der(&self.subject);
                writer.next().write_der(&self.public);
                writer.next().write_tagged(Tag::context(3), |writer| write_extensions(writer, &self.extensions));
            });
        });
        signed(secret, algorithm, &body)
    }
}

/// Bytes as serial numbers and identifiers of keys are shown: `0a:1b`.
pub(super) fn with_colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_form_of_its_century() {
        let der = |secs| construct_der(|writer| write_time(writer, secs));
        assert_eq!(&der(0)[2..], b"700101000000Z");
        assert_eq!(&der(YEAR_2050 - 1)[2..], b"491231235959Z");
        assert_eq!((der(YEAR_2050)[0], &der(YEAR_2050)[2..]), (0x18, b"20500101000000Z".as_slice()));
        assert_eq!(&der(LAST_SECOND)[2..], b"99991231235959Z");
        assert_eq!(parse_time("9999-12-31T23:59:59Z"), Some(LAST_SECOND));
        assert_eq!(parse_time("2024-01-01"), None);
    }

    #[test]
    fn a_name_is_written_in_the_order_of_the_field() {
        let subject = SubjectName {
            common_name: "a*b".into(),
            country: vec!["DE".into()],
            organization: vec!["B".into(), "A".into()],
            ..SubjectName::default()
        };
        let expected = "303231 0b3009 0603550406 1302 4445 31 14 3008 060355040a 1301 41 3008 060355040a 1301 42 \
                        310c300a 0603550403 0c03 612a62";
        let expected = hex::decode(expected.replace(' ', "")).unwrap();
        assert_eq!(hex::encode(&subject.to_der()[2..]), hex::encode(&expected[2..]));
    }
}
