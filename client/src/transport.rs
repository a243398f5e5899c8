//! One attempt on the wire; the only file that sends anything.
//!
//! It decides nothing about retries. What surprises: the HTTP library's own redirects and retries after an ambiguous
//! failure are off, because both would happen behind the back of the rules in `failover`.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::error::{Cause, Error, TlsFault};
use crate::reply::Reply;
use crate::request::{Effect, Method, Request};
use crate::secret::Secret;
use crate::tls::{self, TlsSettings};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const INDEX: HeaderName = HeaderName::from_static("x-vault-index");
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");
const VAULT_REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// An idle connection is dropped before servers and firewalls usually do, so that a write seldom meets a closing one.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Transport {
    http: reqwest::Client,
    max_reply_bytes: usize,
}

/// What goes with a request beyond what it says itself.
pub(crate) struct Context {
    pub(crate) token: Option<Secret>,
    pub(crate) namespace: Option<String>,
    pub(crate) indexes: Vec<HeaderValue>,
}

/// How one attempt ended.
pub(crate) enum Sent {
    /// The request never got onto a connection.
    Never(Cause),
    /// It may have reached a server, and no whole answer came back.
    Lost(Cause),
    /// The answer is larger than the limit.
    TooLarge,
    Answered(Answer),
}

pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) index: Option<HeaderValue>,
    /// The server echoed the request's key, so it remembers writes.
    pub(crate) remembers: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) location: Option<String>,
}

impl Transport {
    pub(crate) fn new(
        tls: &TlsSettings,
        connect_timeout: Duration,
        max_reply_bytes: usize,
        proxy: Option<&str>,
    ) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::configuration(tls)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE_LIMIT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(5))
            .user_agent(concat!("conclave-client/", env!("CARGO_PKG_VERSION")))
            .no_proxy();
        if let Some(proxy) = proxy {
            let proxy = reqwest::Proxy::all(proxy)
                .map_err(|_| Error::Configuration("the proxy's address is not a URL".to_owned()))?;
            builder = builder.proxy(proxy);
        }
        let http = builder
            .build()
            .map_err(|source| Error::Configuration(format!("the HTTP client cannot be set up: {source}")))?;
        Ok(Self { http, max_reply_bytes })
    }

    pub(crate) fn max_reply_bytes(&self) -> usize {
        self.max_reply_bytes
    }

    /// Sends the request once to `url`, which belongs to the node at `address`.
    pub(crate) async fn send(
        &self,
        address: &Address,
        url: Url,
        request: &Request,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Sent {
        let verb = match request.method {
            Method::Get | Method::List => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
            Method::Head => http::Method::HEAD,
        };
        let mut outgoing = self.http.request(verb, url).headers(headers).timeout(timeout);
        if let Some(body) = &request.body {
            outgoing = outgoing.body(body.clone());
        }
        let response = match outgoing.send().await {
            Ok(response) => response,
            Err(error) => {
                let cause = cause(&error);
                // In TLS 1.3 a client sends before the server has judged its certificate; one that it refuses reads nothing.
                let is_refused = matches!(cause, Cause::Tls { fault: TlsFault::ClientCertificate, .. });
                let is_sent = !error.is_connect() && !error.is_builder() && !is_refused;
                return if is_sent { Sent::Lost(cause) } else { Sent::Never(cause) };
            }
        };
        self.collect(address, request, response).await
    }

    async fn collect(&self, address: &Address, request: &Request, mut response: reqwest::Response) -> Sent {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Zeroizing::new(Vec::new());
        if response.content_length().is_some_and(|length| length > self.max_reply_bytes as u64) {
            return Sent::TooLarge;
        }
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() > self.max_reply_bytes => return Sent::TooLarge,
                Ok(Some(chunk)) => append(&mut body, &chunk),
                Err(error) => return Sent::Lost(cause(&error)),
            }
        }
        let key = request.key.to_string();
        Sent::Answered(Answer {
            reply: Reply::new(status, body, address.clone()),
            index: headers.get(INDEX).cloned(),
            remembers: headers.get(IDEMPOTENCY_KEY).is_some_and(|echo| echo.as_bytes() == key.as_bytes()),
            retry_after: headers.get(RETRY_AFTER).and_then(seconds),
            location: headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned),
        })
    }
}

/// Grows by hand: a vector that grows by itself leaves a copy of what it held in freed memory.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = body.len() + chunk.len();
    if needed > body.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

/// The date form of RFC 9110, section 10.2.3, is not read: servers of this API send seconds.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The headers of a request; the same on every attempt.
pub(crate) fn headers(request: &Request, context: &Context) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name: HeaderName =
            name.parse().map_err(|_| request.invalid(format!("`{name}` is not the name of a header")))?;
        headers.append(name, text(request, value, "a header")?);
    }
    headers.insert(VAULT_REQUEST, HeaderValue::from_static("true"));
    if let Some(token) = request.token.as_ref().or(context.token.as_ref()).filter(|token| !token.is_empty()) {
        let mut value = text(request, token.expose(), "the token")?;
        value.set_sensitive(true);
        headers.insert(TOKEN, value);
    }
    if let Some(namespace) = context.namespace.as_ref().filter(|namespace| !namespace.is_empty()) {
        headers.insert(NAMESPACE, text(request, namespace, "the namespace")?);
    }
    if let Some(ttl) = &request.wrap_ttl {
        headers.insert(WRAP_TTL, text(request, ttl, "the wrapping time")?);
    }
    if request.body.is_some() {
        let merge = request.method == Method::Patch;
        let kind = if merge { "application/merge-patch+json" } else { "application/json" };
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    }
    match request.effect {
        Effect::Write => {
            headers.insert(IDEMPOTENCY_KEY, text(request, &request.key.to_string(), "the key")?);
        }
        Effect::Read => {
            for index in &context.indexes {
                headers.append(INDEX, index.clone());
            }
        }
    }
    Ok(headers)
}

fn text(request: &Request, value: &str, what: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value)
        .map_err(|_| request.invalid(format!("{what} holds a character that a header cannot carry")))
}

fn cause(error: &reqwest::Error) -> Cause {
    if error.is_timeout() {
        return Cause::Timeout;
    }
    if error.is_dns() {
        return Cause::Name;
    }
    let mut innermost = None;
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(known) = known_cause(source) {
            return known;
        }
        innermost = Some(source);
        next = source.source();
    }
    let detail = innermost.map_or_else(|| "no detail".to_owned(), ToString::to_string);
    match tls::fault_in_text(&detail) {
        Some(fault) => Cause::Tls { fault, detail },
        None => Cause::Lost(detail),
    }
}

/// Looks inside an IO error by hand: its `source` skips the error that it carries, which may be another IO error.
fn known_cause(error: &(dyn std::error::Error + 'static)) -> Option<Cause> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(Cause::Tls { fault: tls::fault(error), detail: error.to_string() });
    }
    let io = error.downcast_ref::<io::Error>()?;
    if io.kind() == io::ErrorKind::ConnectionRefused {
        return Some(Cause::Refused);
    }
    known_cause(io.get_ref()?)
}
