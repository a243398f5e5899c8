//! Encryption on the way to a directory: which versions, whom to believe, and what the node shows of itself.

use std::sync::Arc;
use std::time::Duration;

use conclave_vault::DirectoryServers;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::outside::directory::End;
use crate::outside::web;

/// How a server is spoken with.
pub(super) fn config(servers: &DirectoryServers) -> Result<ClientConfig, End> {
    let known: [(u32, &'static SupportedProtocolVersion); 2] = [(12, &version::TLS12), (13, &version::TLS13)];
    let is_wanted = |number: u32| (servers.min_tls..=servers.max_tls).contains(&number);
    let versions: Vec<_> = known.into_iter().filter(|(number, _)| is_wanted(*number)).map(|(_, it)| it).collect();
    if versions.is_empty() {
        return Err(End::misconfigured("below TLS 1.2 nothing is spoken: set tls_max_version to tls12 or tls13"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
    let builder = builder.map_err(|_| "TLS cannot be set up")?;
    let builder = builder.with_root_certificates(roots(&servers.ca_pem)?);
    let mut config = match servers.client_certificate_pem.is_empty() {
        true => builder.with_no_client_auth(),
        false => {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(servers.client_certificate_pem.as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(servers.client_key_pem.as_bytes());
            let (Ok(chain), Ok(key)) = (chain, key) else { return Err(no_client_key()) };
            builder.with_client_auth_cert(chain, key).map_err(|_| no_client_key())?
        }
    };
    if servers.is_insecure {
        config.dangerous().set_certificate_verifier(Arc::new(Anybody(provider)));
    }
    Ok(config)
}

fn no_client_key() -> End {
    End::misconfigured("client_tls_key is not the key of client_tls_cert")
}

fn roots(ca_pem: &str) -> Result<RootCertStore, End> {
    let mut roots = RootCertStore::empty();
    if ca_pem.is_empty() {
        roots.add_parsable_certificates(web::system().iter().cloned());
    }
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let unusable = || End::misconfigured("certificate holds one that cannot be used as an authority");
        roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
    }
    Ok(roots)
}

/// Shakes hands over a connection; the server must have a certificate for this host.
pub(super) async fn shake_hands(
    config: ClientConfig,
    host: &str,
    stream: TcpStream,
    time: Duration,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| "its name is none of a server")?;
    let shaken = timeout(time, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let shaken = shaken.map_err(|_| "it did not shake hands in time")?;
    shaken.map_err(|_| "its certificate is not trusted, or it speaks no TLS of these versions".into())
}

/// Believes every certificate, as `insecure_tls` wants it; still only who has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
