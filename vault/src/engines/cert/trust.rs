//! Whether a chain of certificates ends at whom an entry trusts (RFC 5280, section 6).

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::time::Time;

/// Whether bytes are one certificate that can be read, and nothing else.
pub(super) fn is_certificate(der: &[u8]) -> bool {
    parse(der).is_some()
}

pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

fn is_valid_at(certificate: &X509Certificate<'_>, now: Time) -> bool {
    ASN1Time::from_timestamp(now.secs()).is_ok_and(|now| certificate.validity().is_valid_at(now))
}

/// Whether a chain, the one of the client first, is trusted because of a certificate: it is that one itself if that is no
/// authority's, or it was issued by it, also by way of others of the chain, for clients.
pub(super) fn is_trusted(chain: &[Vec<u8>], trusted: &[u8], now: Time) -> bool {
    let Some((leaf, others)) = chain.split_first() else { return false };
    let Some(authority) = parse(trusted).filter(|certificate| is_valid_at(certificate, now)) else { return false };
    if !authority.is_ca() {
        return leaf == trusted;
    }
    let (leaf, anchor) = (CertificateDer::from(leaf.as_slice()), CertificateDer::from(trusted));
    let others: Vec<_> = others.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let (Ok(leaf), Ok(anchor)) = (EndEntityCert::try_from(&leaf), anchor_from_trusted_cert(&anchor)) else {
        return false;
    };
    let secs = u64::try_from(now.secs()).unwrap_or_default();
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &others,
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs)),
        KeyUsage::client_auth(),
        None,
        None,
    )
    .is_ok()
}
