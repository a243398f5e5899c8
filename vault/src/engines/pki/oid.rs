//! Object identifiers, as their arcs.

/// An object identifier.
pub(super) type Arcs = &'static [u64];

// Attributes of names (RFC 4519, X.520).
pub(super) const COMMON_NAME: Arcs = &[2, 5, 4, 3];
pub(super) const SERIAL_NUMBER: Arcs = &[2, 5, 4, 5];
pub(super) const COUNTRY: Arcs = &[2, 5, 4, 6];
pub(super) const LOCALITY: Arcs = &[2, 5, 4, 7];
pub(super) const PROVINCE: Arcs = &[2, 5, 4, 8];
pub(super) const STREET_ADDRESS: Arcs = &[2, 5, 4, 9];
pub(super) const ORGANIZATION: Arcs = &[2, 5, 4, 10];
pub(super) const ORGANIZATIONAL_UNIT: Arcs = &[2, 5, 4, 11];
pub(super) const POSTAL_CODE: Arcs = &[2, 5, 4, 17];
pub(super) const USER_ID: Arcs = &[0, 9, 2342, 19_200_300, 100, 1, 1];

// Extensions (RFC 5280, sections 4.2 and 5.2).
pub(super) const SUBJECT_KEY_ID: Arcs = &[2, 5, 29, 14];
pub(super) const KEY_USAGE: Arcs = &[2, 5, 29, 15];
pub(super) const ALTERNATIVE_NAMES: Arcs = &[2, 5, 29, 17];
pub(super) const BASIC_CONSTRAINTS: Arcs = &[2, 5, 29, 19];
pub(super) const CRL_NUMBER: Arcs = &[2, 5, 29, 20];
pub(super) const DELTA_INDICATOR: Arcs = &[2, 5, 29, 27];
pub(super) const NAME_CONSTRAINTS: Arcs = &[2, 5, 29, 30];
pub(super) const CRL_DISTRIBUTION_POINTS: Arcs = &[2, 5, 29, 31];
pub(super) const POLICIES: Arcs = &[2, 5, 29, 32];
pub(super) const AUTHORITY_KEY_ID: Arcs = &[2, 5, 29, 35];
pub(super) const EXTENDED_KEY_USAGE: Arcs = &[2, 5, 29, 37];
pub(super) const FRESHEST_CRL: Arcs = &[2, 5, 29, 46];
pub(super) const AUTHORITY_ACCESS: Arcs = &[1, 3, 6, 1, 5, 5, 7, 1, 1];

// Ways of access (RFC 5280, section 4.2.2.1).
pub(super) const ACCESS_OCSP: Arcs = &[1, 3, 6, 1, 5, 5, 7, 48, 1];
pub(super) const ACCESS_ISSUERS: Arcs = &[1, 3, 6, 1, 5, 5, 7, 48, 2];

// Requests (RFC 2985).
pub(super) const EXTENSION_REQUEST: Arcs = &[1, 2, 840, 113_549, 1, 9, 14];

// Algorithms (RFC 8017, RFC 5758, RFC 8410, FIPS 180-4).
pub(super) const RSA_SHA256: Arcs = &[1, 2, 840, 113_549, 1, 1, 11];
pub(super) const RSA_SHA384: Arcs = &[1, 2, 840, 113_549, 1, 1, 12];
pub(super) const RSA_SHA512: Arcs = &[1, 2, 840, 113_549, 1, 1, 13];
pub(super) const RSA_PSS: Arcs = &[1, 2, 840, 113_549, 1, 1, 10];
pub(super) const MGF1: Arcs = &[1, 2, 840, 113_549, 1, 1, 8];
pub(super) const ECDSA_SHA256: Arcs = &[1, 2, 840, 10045, 4, 3, 2];
pub(super) const ECDSA_SHA384: Arcs = &[1, 2, 840, 10045, 4, 3, 3];
pub(super) const ECDSA_SHA512: Arcs = &[1, 2, 840, 10045, 4, 3, 4];
pub(super) const ED25519: Arcs = &[1, 3, 101, 112];
pub(super) const SHA256: Arcs = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
pub(super) const SHA384: Arcs = &[2, 16, 840, 1, 101, 3, 4, 2, 2];
pub(super) const SHA512: Arcs = &[2, 16, 840, 1, 101, 3, 4, 2, 3];

/// The arcs of a text such as `1.3.6.1.4.1`; `None` if it is none (X.660, section 7.6).
pub(super) fn parse(text: &str) -> Option<Vec<u64>> {
    let arcs: Option<Vec<u64>> = text.split('.').map(|arc| arc.parse::<u32>().ok().map(u64::from)).collect();
    arcs.filter(|arcs| arcs.len() >= 2 && arcs.len() <= 32 && arcs[0] <= 2 && (arcs[0] == 2 || arcs[1] < 40))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_an_identifier_or_refused() {
        assert_eq!(parse("1.3.101.112").as_deref(), Some(ED25519));
        for text in ["", "1", "x", "3.1", "1.40", "1..2", "1.2.99999999999", "-1.2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
