//! TLS of a listener: which certificate it shows, and which it asks clients for.
//!
//! A client may present any certificate: self-signed, expired, even X.509 version 1, which the verifier cannot read.
//! None of that ends the handshake, because only login by certificate may judge it. What does end it is a lie: a
//! certificate that can be read, with a signature that its key did not make. So whether possession was proven is a
//! property of the certificate alone, [`proves_possession`], and survives resumption.
//!
//! All of it can be read again (`HUP`): a handshake goes by the newest, a connection by what its handshake went by.
//!
//! Early data (0-RTT) is never accepted, for it can be replayed (RFC 8446, section 8).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::config::{ClientCertificate, Tls, TlsVersion};

/// Why a listener has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("{path} cannot be read as PEM")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificate file holds none.
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    /// Certificate and key cannot be used, or do not belong together.
    #[error("the certificate and the key cannot be used together")]
    Unusable(#[source] Error),
    /// The authorities for client certificates cannot be used.
    #[error("{path} cannot be used as authorities for client certificates: {reason}")]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The TLS of a listener, whose files can be read again while connections go on.
#[derive(Debug)]
pub struct Certificates {
    tls: Tls,
    current: ArcSwap<Loaded>,
}

/// What the files held when they were read.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    end_entity: Option<CertificateDer<'static>>,
}

impl Certificates {
    /// Reads the files that a listener's settings name.
    pub fn load(tls: &Tls) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { tls: tls.clone(), current: ArcSwap::from_pointee(Loaded::read(tls)?) }))
    }

    /// The configuration for the next handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// The certificate itself, without those of its issuers.
    pub fn end_entity(&self) -> Option<CertificateDer<'static>> {
        self.current.load().end_entity.clone()
    }

    /// Reads all files again. If one of them cannot be used, everything stays as it was. Otherwise the next handshakes go by
    /// what was read, and sessions that were begun before are not gone on with: who began them may be admitted no more.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(Loaded::read(&self.tls)?));
        Ok(())
    }
}

impl Loaded {
    /// With keys for session tickets of its own.
    fn read(tls: &Tls) -> Result<Self, TlsError> {
        let pair = read_pair(&tls.cert_file, &tls.key_file)?;
        let end_entity = pair.cert.first().cloned();
        let known: [(TlsVersion, &'static SupportedProtocolVersion); 2] =
            [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
        let wanted = known.into_iter().filter(|(version, _)| (tls.min_version..=tls.max_version).contains(version));
        let versions: Vec<_> = wanted.map(|(_, version)| version).collect();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions)
            .map_err(TlsError::Unusable)?;
        let builder = match tls.client_certificate {
            ClientCertificate::Unwanted => builder.with_no_client_auth(),
            ClientCertificate::Requested => builder.with_client_cert_verifier(Arc::new(AnyCertificate::new())),
            ClientCertificate::Required => builder.with_client_cert_verifier(demanding(tls)?),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Unusable)?;
        Ok(Self { config: Arc::new(config), end_entity })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read_pair(cert_file: &Path, key_file: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|source| TlsError::File { path: key_file.to_owned(), source })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Unusable)
}

pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), source };
    let chain = CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn demanding(tls: &Tls) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let path = tls.client_ca_file.clone().unwrap_or_default();
    let failed = |reason: String| TlsError::Authorities { path: path.clone(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(&path)? {
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| failed(error.to_string()))
}

/// Whether a client that finished a handshake with this certificate holds its key.
pub fn proves_possession(certificate: &CertificateDer<'_>) -> bool {
    ParsedCertificate::try_from(certificate).is_ok()
}

/// The certificates of a connection's client, its own first and in DER: an extension of each request that comes on it. None unless
/// the handshake proved that it has the key.
#[derive(Clone, Debug, Default)]
pub struct ClientCertificates(pub Arc<[Vec<u8>]>);

impl ClientCertificates {
    /// Those that a client showed.
    pub fn of(shown: Option<&[CertificateDer<'_>]>) -> Self {
        let shown = shown.filter(|shown| shown.first().is_some_and(proves_possession)).unwrap_or_default();
        Self(shown.iter().map(|der| der.to_vec()).collect())
    }
}

/// Takes any client certificate.
#[derive(Debug)]
struct AnyCertificate {
    provider: CryptoProvider,
}

impl AnyCertificate {
    fn new() -> Self {
        Self { provider: aws_lc_rs::default_provider() }
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !proves_possession(certificate) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !proves_possession(certificate) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
