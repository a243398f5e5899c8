//! Small servers in this process that do as they are told: answer, hang up, or never answer.
//!
//! They are no vault: each test says what a request is answered with. Every request is remembered, so that a test can
//! see what was sent and how often.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request as it arrived.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// How many arrived before it.
    pub(crate) number: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What to do with a request.
pub(crate) enum Act {
    Answer(Answer),
    /// Read the request, then close the connection.
    HangUp,
    /// Read the request and never answer.
    Stall,
}

pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// An answer in the API's own form.
pub(crate) fn answer(status: u16, body: &str) -> Answer {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Answer { status, headers, body: body.to_owned() }
}

/// The error that a server answers.
pub(crate) fn error(status: u16, text: &str) -> Answer {
    answer(status, &serde_json::json!({ "errors": [text] }).to_string())
}

impl Answer {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Echoes the request's key, as a server does that remembers writes.
    pub(crate) fn remembering(self, seen: &Seen) -> Self {
        match seen.header("idempotency-key") {
            Some(key) => self.header("idempotency-key", key),
            None => self,
        }
    }

    pub(crate) fn act(self) -> Act {
        Act::Answer(self)
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Act + Send + Sync>;

pub(crate) struct Fake {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    listening: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Fake {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        Self::listen("http", None, Arc::new(handler)).await
    }

    pub(crate) async fn start_tls(
        configuration: tokio_rustls::rustls::ServerConfig,
        handler: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(configuration));
        Self::listen("https", Some(acceptor), Arc::new(handler)).await
    }

    async fn listen(scheme: &str, tls: Option<tokio_rustls::TlsAcceptor>, handler: Handler) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&seen);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, handler, memory) = (tls.clone(), Arc::clone(&handler), Arc::clone(&memory));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, handler, memory).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, handler, memory).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address: format!("{scheme}://127.0.0.1:{port}"), seen, listening }
    }

    /// What arrived so far, without the client's own questions about the cluster.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let all = self.seen.lock().clone();
        all.into_iter().filter(|seen| seen.target != "/v1/sys/ha-status").collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen().len()
    }
}

async fn serve<S>(stream: S, handler: Handler, memory: Arc<Mutex<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, memory) = (Arc::clone(&handler), Arc::clone(&memory));
        async move { respond(request, handler, memory).await }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    request: Request<Incoming>,
    handler: Handler,
    memory: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes().to_vec();
    let seen = {
        let mut memory = memory.lock();
        let seen = Seen {
            verb: parts.method.to_string(),
            target: parts.uri.to_string(),
            headers: parts.headers,
            body,
            number: memory.len(),
        };
        memory.push(seen.clone());
        seen
    };
    match handler(&seen) {
        Act::HangUp => Err(std::io::Error::other("told to hang up")),
        Act::Stall => std::future::pending::<Result<_, Infallible>>().await.map_err(|never| match never {}),
        Act::Answer(answer) => {
            let mut response = Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(answer.body))).expect("a valid answer"))
        }
    }
}

/// An address where nothing listens.
pub(crate) async fn dead_address() -> String {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    format!("http://127.0.0.1:{port}")
}
