//! One connection of HTTP/1.1, over TLS or plain, that is used for one request after the other.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::BenchError;

/// Where requests go.
#[derive(Clone)]
pub(crate) struct Target {
    /// Host and port.
    pub(crate) authority: String,
    /// None for plain text.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Target {
    /// One without TLS.
    pub(crate) fn plain(authority: &str) -> Self {
        Self { authority: authority.to_owned(), tls: None }
    }

    /// One with TLS, which trusts an authority in PEM form and no other.
    pub(crate) fn tls(authority: &str, trusted_pem: &str) -> Result<Self, BenchError> {
        let failed = |detail: String| BenchError::Connection { address: authority.to_owned(), detail };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(trusted_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
        let name = ServerName::try_from(host).map_err(|error| failed(error.to_string()))?;
        Ok(Self { authority: authority.to_owned(), tls: Some((Arc::new(config), name)) })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection, BenchError> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| self.failed(&error))?;
        stream.set_nodelay(true).map_err(|error| self.failed(&error))?;
        match &self.tls {
            None => self.begin(stream).await,
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(name.clone(), stream).await.map_err(|error| self.failed(&error))?;
                self.begin(stream).await
            }
        }
    }

    async fn begin(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Connection, BenchError> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| self.failed(&error))?;
        // Its end shows in the next request.
        tokio::spawn(connection);
        Ok(Connection { sender })
    }

    fn failed(&self, error: &dyn std::error::Error) -> BenchError {
        BenchError::Connection { address: self.authority.clone(), detail: error.to_string() }
    }
}

/// An open connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

/// An answer that was read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Connection {
    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: http::Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
}
