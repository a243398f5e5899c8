//! Whether a chain of certificates ends at whom an entry trusts (RFC 5280, section 6).

use std::collections::{BTreeMap, BTreeSet};

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::time::Time;

/// Most certificates of a client's chain, its own included. The ways through a chain grow with its length, and strangers show
/// what they like.
pub(super) const MAX_CHAIN: usize = 8;

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

/// A client's chain, its own certificate first, and who was asked so far whether it is trusted because of them.
///
/// Anybody may show a chain, and looking for a way through one costs a search. So a chain is short, what it could lead to by
/// name is searched at once, and what was found is remembered: the price does not grow with the number of entries.
pub(super) struct Chain<'c> {
    certificates: &'c [Vec<u8>],
    /// Who issued its certificates, as they name them.
    issuers: Vec<&'c [u8]>,
    now: Time,
    verdicts: BTreeMap<Vec<u8>, bool>,
    #[cfg(test)]
    searches: usize,
}

impl<'c> Chain<'c> {
    /// Of a connection; `None` if it is empty or longer than is looked at.
    pub(super) fn new(certificates: &'c [Vec<u8>], now: Time) -> Option<Self> {
        if certificates.is_empty() || certificates.len() > MAX_CHAIN {
            return None;
        }
        let issuers = certificates.iter().filter_map(|der| Some(parse(der)?.tbs_certificate.issuer.as_raw()));
        Some(Self {
            certificates,
            issuers: issuers.collect(),
            now,
            verdicts: BTreeMap::new(),
            #[cfg(test)]
            searches: 0,
        })
    }

    /// The client's own certificate.
    fn leaf(&self) -> &'c [u8] {
        self.certificates.first().map_or(&[], Vec::as_slice)
    }

    /// Whether it could be trusted because of any of these certificates: one search for all authorities together.
    pub(super) fn leads_to_any<'t>(&mut self, trusted: impl Iterator<Item = &'t Vec<u8>>) -> bool {
        let trusted: BTreeSet<&Vec<u8>> = trusted.collect();
        let leaf = self.leaf();
        if trusted.iter().any(|der| der.as_slice() == leaf) {
            return true;
        }
        let authorities =
            trusted.into_iter().filter(|der| self.is_led_to(der)).map(|der| CertificateDer::from(der.as_slice()));
        let authorities: Vec<_> = authorities.collect();
        self.is_issued_below(&authorities)
    }

    /// Whether it is trusted because of a certificate: it is that one itself if that is no authority's, or it was issued by
    /// it, also by way of others of the chain, for clients.
    pub(super) fn is_trusted_by(&mut self, trusted: &[u8]) -> bool {
        if let Some(verdict) = self.verdicts.get(trusted) {
            return *verdict;
        }
        let verdict = match parse(trusted) {
            Some(own) if !own.is_ca() => is_valid_at(&own, self.now) && self.leaf() == trusted,
            Some(_) => self.is_led_to(trusted) && self.is_issued_below(&[CertificateDer::from(trusted)]),
            None => false,
        };
        self.verdicts.insert(trusted.to_vec(), verdict);
        verdict
    }

    /// Whether a certificate is that of an authority, counts now, and issued one of the chain's by its name.
    fn is_led_to(&self, trusted: &[u8]) -> bool {
        parse(trusted).is_some_and(|authority| {
            let name = authority.subject().as_raw();
            authority.is_ca() && is_valid_at(&authority, self.now) && self.issuers.contains(&name)
        })
    }

    /// Whether one of some authorities issued the client's certificate.
    fn is_issued_below(&mut self, authorities: &[CertificateDer<'_>]) -> bool {
        if authorities.is_empty() {
            return false;
        }
        #[cfg(test)]
        {
            self.searches += 1;
        }
        let anchors: Vec<_> = authorities.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
        let others: Vec<_> = self.certificates.iter().skip(1).map(|der| CertificateDer::from(der.as_slice())).collect();
        let leaf = CertificateDer::from(self.leaf());
        let Ok(leaf) = EndEntityCert::try_from(&leaf) else { return false };
        let secs = u64::try_from(self.now.secs()).unwrap_or_default();
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &others,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs)),
            KeyUsage::client_auth(),
            None,
            None,
        )
        .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn client_of(authority: &Authority) -> Vec<u8> {
        CertificateParams::default().signed_by(&KeyPair::generate().unwrap(), authority).unwrap().der().to_vec()
    }

    fn now() -> Time {
        Time::from_secs(1_800_000_000)
    }

    #[test]
    fn a_strangers_chain_costs_one_search_however_many_are_trusted() {
        let trusted: Vec<Vec<u8>> = (0..40).map(|_| authority("own").der().to_vec()).collect();
        let impostor = authority("own");
        let shown = [client_of(&impostor), impostor.der().to_vec()];
        let mut chain = Chain::new(&shown, now()).unwrap();
        assert!(!chain.leads_to_any(trusted.iter()));
        assert_eq!(chain.searches, 1);
        // One that leads to nobody's name costs none.
        let stranger = authority("stranger");
        let shown = [client_of(&stranger), stranger.der().to_vec()];
        let mut chain = Chain::new(&shown, now()).unwrap();
        assert!(!chain.leads_to_any(trusted.iter()) && !chain.is_trusted_by(&trusted[0]));
        assert_eq!(chain.searches, 0);
    }

    #[test]
    fn what_was_found_of_an_authority_is_remembered() {
        let own = authority("own");
        let shown = [client_of(&own)];
        let mut chain = Chain::new(&shown, now()).unwrap();
        assert!(chain.is_trusted_by(own.der()) && chain.is_trusted_by(own.der()));
        assert_eq!(chain.searches, 1);
        assert!(chain.leads_to_any([own.der().to_vec()].iter()));
    }

    #[test]
    fn a_chain_that_is_empty_or_too_long_is_none() {
        let own = client_of(&authority("own"));
        assert!(Chain::new(&[], now()).is_none());
        assert!(Chain::new(&vec![own.clone(); MAX_CHAIN], now()).is_some());
        assert!(Chain::new(&vec![own; MAX_CHAIN + 1], now()).is_none());
    }
}
