//! What an operator should know of the certificate that a listener shows: until when it holds, and for which names.

use conclave_vault::Time;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Time before its end from which on a certificate is warned of, in seconds: 7 days.
const WARN_BEFORE_END_SECS: i64 = 7 * 86_400;

/// From when until when a certificate holds, in seconds since 1970; `None` if it cannot be read.
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    let validity = read.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// What is odd about a certificate that clients are shown when they call `host`.
pub fn oddities(certificate: &CertificateDer<'_>, host: &str, now: Time) -> Vec<String> {
    let mut odd = Vec::new();
    let now = now.nanos().div_euclid(1_000_000_000);
    match validity(certificate) {
        None => odd.push("the certificate cannot be read as X.509 version 3; clients will refuse it".to_owned()),
        Some((_, end)) if end < now => odd.push("the certificate has expired; clients will refuse it".to_owned()),
        Some((start, _)) if start > now => odd.push("the certificate is not valid yet; clients will refuse it".into()),
        Some((_, end)) if end - now < WARN_BEFORE_END_SECS => {
            odd.push(format!("the certificate expires in {} hours", (end - now) / 3600));
        }
        Some(_) => {}
    }
    let names = ParsedCertificate::try_from(certificate).ok().zip(ServerName::try_from(host).ok());
    if names.is_some_and(|(certificate, name)| verify_server_name(&certificate, &name).is_err()) {
        odd.push(format!("the certificate is not for {host}, the host of api_addr; clients that use it will refuse"));
    }
    odd
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// Noon of 10 June 2026.
    const NOW: Time = Time::from_nanos(1_781_092_800_000_000_000);

    fn certificate(names: &[&str], start: (i32, u8, u8), end: (i32, u8, u8)) -> CertificateDer<'static> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_before = date_time_ymd(start.0, start.1, start.2);
        parameters.not_after = date_time_ymd(end.0, end.1, end.2);
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn time_and_name_are_judged() {
        let fine = certificate(&["vault.example", "10.0.0.1"], (2026, 1, 1), (2027, 1, 1));
        assert_eq!(oddities(&fine, "vault.example", NOW), [] as [String; 0]);
        assert_eq!(oddities(&fine, "10.0.0.1", NOW), [] as [String; 0]);
        assert!(oddities(&fine, "10.0.0.2", NOW)[0].contains("not for 10.0.0.2"));
        let cases = [
            ((2025, 1, 1), (2026, 6, 1), "has expired"),
            ((2026, 7, 1), (2027, 1, 1), "is not valid yet"),
            ((2026, 1, 1), (2026, 6, 12), "expires in 36 hours"),
        ];
        for (start, end, expected) in cases {
            let odd = oddities(&certificate(&["vault.example"], start, end), "vault.example", NOW);
            assert!(odd.len() == 1 && odd[0].contains(expected), "{odd:?}");
        }
        assert_eq!(validity(&fine), Some((1_767_225_600, 1_798_761_600)));
    }
}
