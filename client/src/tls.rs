//! TLS settings of the client: which roots it trusts, who it says it is, which name it expects.
//!
//! The provider is aws-lc-rs and nothing else; no process-wide default is needed. What surprises: with a CA given, the
//! system's roots are not trusted, so that a public authority cannot vouch for a private vault; and the system's are read
//! when the first certificate is to be checked, because that takes longer than all else that a short command does.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::error::{Error, TlsFault};
use crate::secret::Secret;

#[derive(Default, Clone)]
pub(crate) struct TlsSettings {
    /// PEM texts; empty means the system's roots.
    pub(crate) roots_pem: Vec<Vec<u8>>,
    /// Certificate chain and key, both PEM.
    pub(crate) identity: Option<(Vec<u8>, Secret)>,
    /// The name that certificates must carry instead of the address's host.
    pub(crate) server_name: Option<String>,
    pub(crate) skip_verify: bool,
}

/// Builds the configuration for rustls.
pub(crate) fn configuration(settings: &TlsSettings) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::Configuration(format!("TLS cannot be set up: {source}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier(settings, provider)?));
    let mut configuration = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(chain, "the client certificate (VAULT_CLIENT_CERT, -client-cert)")?;
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                .map_err(|_| Error::Configuration("the client key is not a private key in PEM form".to_owned()))?;
            builder.with_client_auth_cert(chain, key).map_err(|source| {
                Error::Configuration(format!("the client certificate and its key do not fit: {source}"))
            })?
        }
    };
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}

fn verifier(settings: &TlsSettings, provider: Arc<CryptoProvider>) -> Result<Verifier, Error> {
    let trust = if settings.skip_verify {
        Trust::Anybody
    } else if settings.roots_pem.is_empty() {
        Trust::System(OnceLock::new())
    } else {
        Trust::Given(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(&settings.roots_pem)?), Arc::clone(&provider))
                .build()
                .map_err(|source| Error::Configuration(format!("the CA certificates cannot be used: {source}")))?,
        )
    };
    let expected = |name: &String| {
        ServerName::try_from(name.clone())
            .map_err(|_| Error::Configuration(format!("`{name}` is not a name that a certificate could carry")))
    };
    Ok(Verifier { provider, trust, name: settings.server_name.as_ref().map(expected).transpose()? })
}

fn roots(pems: &[Vec<u8>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for pem in pems {
        for certificate in certificates(pem, "the CA certificate (VAULT_CACERT, -ca-cert)")? {
            store.add(certificate).map_err(|source| {
                Error::Configuration(format!("a CA certificate cannot be used as a root: {source}"))
            })?;
        }
    }
    Ok(store)
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(list) if !list.is_empty() => Ok(list),
        _ => Err(Error::Configuration(format!("{what} is not a certificate in PEM form"))),
    }
}

/// Whose word about a server is believed.
#[derive(Debug)]
enum Trust {
    /// These authorities.
    Given(Arc<WebPkiServerVerifier>),
    /// The system's authorities, read once and not before a certificate is to be checked. `None` inside if the system
    /// has none that can be used: then no certificate can pass.
    System(OnceLock<Option<Arc<WebPkiServerVerifier>>>),
    /// The server's own, because the operator asked not to verify. Signatures are checked all the same.
    Anybody,
}

/// Checks a server's certificate by those who are trusted, and its signatures by the provider.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    /// The name that the certificate must carry, if it is another than the one that was dialled.
    name: Option<ServerName<'static>>,
}

impl Verifier {
    /// The system's authorities.
    fn system(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&self.provider)).build().ok()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authorities = match &self.trust {
            Trust::Anybody => return Ok(ServerCertVerified::assertion()),
            Trust::Given(authorities) => Some(authorities),
            Trust::System(authorities) => authorities.get_or_init(|| self.system()).as_ref(),
        };
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let name = self.name.as_ref().unwrap_or(dialled);
        authorities.ok_or_else(unknown)?.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What kind of failure an error of the TLS library is.
pub(crate) fn fault(error: &rustls::Error) -> TlsFault {
    use rustls::{CertificateError as Certificate, Error, InvalidMessage};
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsFault::NotSpoken,
        Error::InvalidCertificate(reason) => match reason {
            // An authority of the same name has another key: it was made anew.
            Certificate::UnknownIssuer | Certificate::BadSignature => TlsFault::UnknownAuthority,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => TlsFault::OtherName,
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => TlsFault::OutOfTime,
            Certificate::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => TlsFault::AuthorityAsServer,
            _ => TlsFault::Other,
        },
        Error::NoApplicationProtocol => TlsFault::OtherProtocol,
        Error::AlertReceived(alert) => alert_fault(&format!("{alert:?}")),
        _ => TlsFault::Other,
    }
}

/// What the text of an error says of an alert of the server: HTTP/2 keeps no more than text of what broke a connection.
pub(crate) fn fault_in_text(text: &str) -> Option<TlsFault> {
    text.strip_prefix("received fatal alert: ").map(alert_fault)
}

/// What a server means by an alert, by the name that the TLS library gives it.
fn alert_fault(name: &str) -> TlsFault {
    match name {
        "NoApplicationProtocol" => TlsFault::OtherProtocol,
        // It speaks of the client's certificate: it has seen nothing else that could be wrong with one.
        "CertificateRequired"
        | "BadCertificate"
        | "UnsupportedCertificate"
        | "CertificateRevoked"
        | "CertificateExpired"
        | "CertificateUnknown"
        | "UnknownCA"
        | "AccessDenied" => TlsFault::ClientCertificate,
        _ => TlsFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_authorities_are_read_when_a_certificate_is_to_be_checked_and_not_before() {
        let settings = TlsSettings::default();
        let verifier = verifier(&settings, Arc::new(aws_lc_rs::default_provider())).unwrap();
        let are_read = || matches!(&verifier.trust, Trust::System(authorities) if authorities.get().is_some());
        assert!(!verifier.supported_verify_schemes().is_empty());
        assert!(!are_read(), "an HTTP address, or a command that sends nothing, needs none");
        let certificate = CertificateDer::from(vec![0x30, 0x00]);
        let name = ServerName::try_from("vault.example").unwrap();
        assert!(verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).is_err());
        assert!(are_read());
    }

    #[test]
    fn an_alert_about_the_clients_certificate_is_known_as_an_error_and_as_its_text() {
        use rustls::{AlertDescription as Alert, Error};
        let wanted = [Alert::CertificateRequired, Alert::CertificateUnknown, Alert::BadCertificate, Alert::UnknownCA];
        for error in wanted.map(Error::AlertReceived) {
            assert_eq!(fault(&error), TlsFault::ClientCertificate, "{error}");
            assert_eq!(fault_in_text(&error.to_string()), Some(TlsFault::ClientCertificate), "{error}");
        }
        assert_eq!(fault(&Error::AlertReceived(Alert::NoApplicationProtocol)), TlsFault::OtherProtocol);
        assert_eq!(fault(&Error::AlertReceived(Alert::InternalError)), TlsFault::Other);
        assert_eq!(fault_in_text("connection closed"), None);
    }
}
