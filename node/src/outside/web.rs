//! The way to web servers: one message is one connection and one request.
//!
//! The connection goes to an address that was looked at. Redirects are not followed: where keys are and who is asked for them is what somebody configured. Certificates are
//! always checked.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use conclave_vault::{WebReply, WebRequest};
use futures::future::BoxFuture;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::config::{Limits, Outbound};
use crate::outside::Way;
use crate::outside::address::{self, Endpoint};

/// Where Kubernetes puts a pod's service account: its token, which it replaces from time to time, and the authorities of its server.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const POD_AUTHORITIES: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

const HTTP_IS_PLAIN: &str = "http is for this machine and for what outbound in the configuration allows; use https";

/// Sends messages to web servers, and keeps some answers for a while.
pub(crate) struct Web {
    outbound: Outbound,
    answer_bytes: usize,
    kept_answers: usize,
    connect_time: Duration,
    kept: Mutex<HashMap<[u8; 32], Kept>>,
    /// What is needed to trust the servers of some authorities, by the text that names these.
    trust: Mutex<HashMap<String, Arc<ClientConfig>>>,
}

/// An answer from before.
struct Kept {
    at: Instant,
    answer: Zeroizing<Vec<u8>>,
}

/// A server, taken out of a URL.
struct Server {
    host: String,
    port: u16,
    is_plain: bool,
}

impl Web {
    pub(crate) fn new(outbound: Outbound, limits: &Limits) -> Self {
        Self {
            outbound,
            answer_bytes: limits.outside_answer_bytes,
            kept_answers: limits.outside_kept_answers,
            connect_time: limits.outside_connect_time,
            kept: Mutex::default(),
            trust: Mutex::default(),
        }
    }

    async fn answer(&self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut request = WebRequest::decode(message).map_err(|_| "the message is none of the web")?;
        add_pod(&mut request).await;
        let reply = self.send(&request).await?;
        let (may_keep, answer) = (request.headers.is_empty(), Zeroizing::new(reply.encode_to_vec()));
        if may_keep && request.method == "GET" && reply.status == 200 {
            self.keep(name_of(request), answer.clone());
        }
        Ok(answer)
    }

    async fn send(&self, request: &WebRequest) -> Result<WebReply, String> {
        let uri: Uri = request.url.parse().map_err(|_| "its URL is none")?;
        let server = Server::of(&uri).ok_or("its URL is none of a web server")?;
        let plain = server.is_plain.then_some(HTTP_IS_PLAIN);
        let endpoint = Endpoint { host: &server.host, port: server.port, plain };
        let stream = address::connect(&self.outbound, &endpoint, self.connect_time).await?;
        if server.is_plain {
            return self.exchange(stream, &server, &uri, request).await;
        }
        let name = ServerName::try_from(server.host.clone()).map_err(|_| "its name is none of a server")?;
        let connector = TlsConnector::from(self.trust(&request.ca_pem)?);
        let stream = timeout(self.connect_time, connector.connect(name, stream)).await;
        let stream = stream.map_err(|_| "it did not shake hands in time")?;
        let stream = stream.map_err(|_| "its certificate is not trusted, or it speaks no TLS")?;
        self.exchange(stream, &server, &uri, request).await
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        server: &Server,
        uri: &Uri,
        request: &WebRequest,
    ) -> Result<WebReply, String> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| "it closed the connection")?;
        let outgoing = outgoing(server, uri, request)?;
        let exchange = async move {
            let response = sender.send_request(outgoing).await.map_err(|_| "it did not answer as a web server does")?;
            let status = u32::from(response.status().as_u16());
            let body = Limited::new(response.into_body(), self.answer_bytes).collect().await;
            let body =
                body.map_err(|_| format!("its answer broke off, or is longer than {} bytes", self.answer_bytes))?;
            Ok::<_, String>(WebReply { status, body: body.to_bytes().to_vec() })
        };
        // The connection ends once the sender, which the exchange owns, is dropped.
        futures::future::join(exchange, connection).await.0
    }

    /// The trust in some authorities; in the system's, if the text is empty.
    fn trust(&self, ca_pem: &str) -> Result<Arc<ClientConfig>, String> {
        if let Some(known) = self.trust.lock().get(ca_pem) {
            return Ok(Arc::clone(known));
        }
        let mut roots = RootCertStore::empty();
        if ca_pem.is_empty() {
            roots.add_parsable_certificates(system().iter().cloned());
        } else {
            for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
                let certificate = certificate.map_err(|_| "its authorities are no certificates in PEM")?;
                roots.add(certificate).map_err(|_| "its authorities cannot be used")?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|_| "TLS cannot be set up")?;
        let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        let mut trust = self.trust.lock();
        if trust.len() >= self.kept_answers {
            trust.clear();
        }
        trust.insert(ca_pem.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    fn keep(&self, name: [u8; 32], answer: Zeroizing<Vec<u8>>) {
        let mut kept = self.kept.lock();
        if kept.len() >= self.kept_answers && !kept.contains_key(&name) {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.at).map(|(name, _)| *name);
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        kept.insert(name, Kept { at: Instant::now(), answer });
    }
}

impl Way for Web {
    fn kept(&self, message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let request = WebRequest::decode(message).ok().filter(|request| request.max_age_secs > 0)?;
        let oldest = Duration::from_secs(request.max_age_secs);
        let kept = self.kept.lock();
        kept.get(&name_of(request)).filter(|kept| kept.at.elapsed() < oldest).map(|kept| kept.answer.clone())
    }

    fn reach<'a>(&'a self, _: &'a str, message: &'a [u8]) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, String>> {
        Box::pin(async move {
            // Others may have asked the same while this one waited for its place.
            match self.kept(message) {
                Some(answer) => Ok(answer),
                None => self.answer(message).await,
            }
        })
    }
}

/// Puts the node's own service account in, where it is wanted and there is one.
async fn add_pod(request: &mut WebRequest) {
    if request.trusts_pod && request.ca_pem.is_empty() {
        request.ca_pem = tokio::fs::read_to_string(POD_AUTHORITIES).await.unwrap_or_default();
    }
    if request.is_from_pod
        && let Ok(token) = tokio::fs::read_to_string(POD_TOKEN).await.map(Zeroizing::new)
    {
        request.headers.insert("authorization".to_owned(), format!("Bearer {}", token.trim()));
    }
}

/// What tells a question from others, however old its answer may be.
fn name_of(mut request: WebRequest) -> [u8; 32] {
    request.max_age_secs = 0;
    let mut name = [0; 32];
    name.copy_from_slice(digest(&SHA256, &Zeroizing::new(request.encode_to_vec())).as_ref());
    name
}

/// The system's authorities, read once.
pub(super) fn system() -> &'static [CertificateDer<'static>] {
    static FOUND: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    FOUND.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

impl Server {
    fn of(uri: &Uri) -> Option<Self> {
        let is_plain = match uri.scheme_str()? {
            "https" => false,
            "http" => true,
            _ => return None,
        };
        let host = uri.host()?;
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).to_owned();
        Some(Self { host, port: uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 }), is_plain })
    }
}

fn outgoing(server: &Server, uri: &Uri, request: &WebRequest) -> Result<Request<Full<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or(server.host.as_str(), |authority| authority.as_str());
    let mut outgoing = Request::builder()
        .method(request.method.as_str())
        .uri(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, concat!("conclave/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &request.headers {
        outgoing = outgoing.header(name.as_str(), value.as_str());
    }
    outgoing.body(Full::new(Bytes::from(request.body.clone()))).map_err(|_| "the message is none of the web".into())
}

#[cfg(test)]
mod tests;
