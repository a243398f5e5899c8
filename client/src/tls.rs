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

use crate::error::Error;
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
        .with_custom_certificate_verifier(verifier(settings, provider)?);
    let mut configuration = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(chain, "the client certificate")?;
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

fn verifier(settings: &TlsSettings, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    if settings.skip_verify {
        return Ok(Arc::new(Unverified { provider }));
    }
    let webpki: Arc<dyn ServerCertVerifier> = if settings.roots_pem.is_empty() {
        Arc::new(SystemRoots { provider, verifier: OnceLock::new() })
    } else {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(&settings.roots_pem)?), provider)
            .build()
            .map_err(|source| Error::Configuration(format!("the CA certificates cannot be used: {source}")))?
    };
    let Some(name) = &settings.server_name else {
        return Ok(webpki);
    };
    let name = ServerName::try_from(name.clone())
        .map_err(|_| Error::Configuration(format!("`{name}` is not a name that a certificate could carry")))?;
    Ok(Arc::new(OtherName { webpki, name }))
}

fn roots(pems: &[Vec<u8>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for pem in pems {
        for certificate in certificates(pem, "the CA certificate")? {
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

/// Trusts the system's authorities, read once and not before a certificate is to be checked.
#[derive(Debug)]
struct SystemRoots {
    provider: Arc<CryptoProvider>,
    /// `None` inside if the system has none that can be used: then no certificate can pass.
    verifier: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
}

impl SystemRoots {
    fn verifier(&self) -> Option<&WebPkiServerVerifier> {
        let read = || {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&self.provider)).build().ok()
        };
        self.verifier.get_or_init(read).as_deref()
    }
}

impl ServerCertVerifier for SystemRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        self.verifier().ok_or_else(unknown)?.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
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

/// Expects one fixed name, whatever address was dialled.
#[derive(Debug)]
struct OtherName {
    webpki: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.webpki.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Accepts every certificate, because the operator asked not to verify. Signatures are checked all the same.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_authorities_are_read_when_a_certificate_is_to_be_checked_and_not_before() {
        let roots = SystemRoots { provider: Arc::new(aws_lc_rs::default_provider()), verifier: OnceLock::new() };
        assert!(!roots.supported_verify_schemes().is_empty());
        assert!(roots.verifier.get().is_none(), "an HTTP address, or a command that sends nothing, needs none");
        let certificate = CertificateDer::from(vec![0x30, 0x00]);
        let name = ServerName::try_from("vault.example").unwrap();
        assert!(roots.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).is_err());
        assert!(roots.verifier.get().is_some());
    }
}
