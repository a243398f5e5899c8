//! The bare handler: hyper and rustls answer every request with one document. The rate that it reaches is what the machine, TLS
//! and HTTP leave to a server that does nothing.

use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use conclave_jepsen::cluster::Certificate;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Subject;
use crate::arguments::BareOptions;
use crate::connection::Target;
use crate::error::BenchError;
use crate::process::Running;
use crate::request::Dialect;

/// A bare handler in a process of its own.
pub(crate) struct Bare {
    running: Running,
    target: Target,
}

impl Bare {
    /// Starts one that answers with `document`.
    pub(crate) async fn start(folder: &Path, document: &[u8]) -> Result<Self, BenchError> {
        let certificate = Certificate::write(folder, [Ipv4Addr::LOCALHOST])?;
        let body = folder.join("document");
        fs::write(&body, document).map_err(BenchError::system("writing a document"))?;
        let authority = free_address()?;
        let program = std::env::current_exe().map_err(BenchError::system("finding this program"))?;
        let mut command = Command::new(program);
        command.arg("bare").args(["--address", &authority]).arg("--certificate").arg(&certificate.chain);
        command.arg("--key").arg(&certificate.key).arg("--body").arg(&body);
        let running = Running::start("bare", command, folder)?;
        let target = Target::tls(&authority, &certificate.pem)?;
        running.wait_until_listening(&target).await?;
        Ok(Self { running, target })
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject {
            name: "bare".to_owned(),
            target: self.target.clone(),
            dialect: Dialect::Bare,
            processes: vec![self.running.id()],
            writes: Arc::default(),
            gauges: Vec::new(),
        }
    }
}

/// An address of loopback that is free now.
pub(super) fn free_address() -> Result<String, BenchError> {
    let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.to_string()).map_err(BenchError::system("finding a free port"))
}

/// Serves until the process is ended: what the hidden command `bare` does.
pub(crate) async fn serve(options: &BareOptions) -> Result<(), BenchError> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(options)?));
    let body = Bytes::from(fs::read(&options.body).map_err(BenchError::system("reading the document"))?);
    let listener = TcpListener::bind(options.address).await.map_err(BenchError::system("listening"))?;
    loop {
        let (stream, _) = listener.accept().await.map_err(BenchError::system("accepting"))?;
        let (acceptor, body) = (acceptor.clone(), body.clone());
        tokio::spawn(async move {
            let respond = service_fn(move |_: http::Request<hyper::body::Incoming>| {
                let body = body.clone();
                async move { Ok::<_, Infallible>(answer(body)) }
            });
            // A client that leaves ends its connection and nothing else.
            let _ = stream.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await;
            }
        });
    }
}

fn answer(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

fn server_config(options: &BareOptions) -> Result<ServerConfig, BenchError> {
    let unusable = |error: &dyn std::error::Error| BenchError::Settings(format!("TLS cannot be set up: {error}"));
    let chain = CertificateDer::pem_file_iter(&options.certificate).map_err(|error| unusable(&error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_file(&options.key).map_err(|error| unusable(&error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
