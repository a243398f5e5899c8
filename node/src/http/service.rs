//! One listener's answer to one request: admission, body, gateway, reply.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use conclave_raft::admission::{Hold, Share};
use conclave_vault::{Operation, Time};
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Body;
use tokio::time::Instant;

use crate::config::{Limits, Listener};
use crate::gateway::{Gateway, Noted, Outgoing};
use crate::http::body::{self, Budget, Buffered, Terms};
use crate::http::cors::{self, Judged};
use crate::http::error::{JSON, failure};
use crate::http::in_flight::{InFlight, InFlightRequest, Place};
use crate::http::request::{self, Data, Head};
use crate::http::response::{Echo, render};
use crate::http::tls::ClientCertificates;
use crate::http::{forwarded, response, ui};
use crate::metrics::Metrics;

/// What all listeners share.
pub struct Services {
    /// Who serves requests.
    pub gateway: Arc<dyn Gateway>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Requests being served.
    pub in_flight: Arc<InFlight>,
    /// Bounds.
    pub limits: Limits,
    /// Memory for bodies.
    pub bodies: Budget,
    /// Brings the metrics up to date before they are shown without the gateway.
    pub refresh_metrics: Box<dyn Fn() + Send + Sync>,
    /// Whether the web interface is served.
    pub has_ui: bool,
}

impl Services {
    /// Around a gateway, with bounds.
    pub fn new(
        gateway: Arc<dyn Gateway>,
        metrics: Arc<Metrics>,
        in_flight: Arc<InFlight>,
        limits: Limits,
        refresh_metrics: Box<dyn Fn() + Send + Sync>,
        has_ui: bool,
    ) -> Arc<Self> {
        let bodies = Budget::new(limits.all_bodies_bytes);
        Arc::new(Self { gateway, metrics, in_flight, limits, bodies, refresh_metrics, has_ui })
    }
}

/// One listener's side of the services.
pub struct HttpService {
    /// What is shared.
    pub services: Arc<Services>,
    /// This listener's settings.
    pub listener: Arc<Listener>,
}

/// A request whose body is still to come.
struct Admitted {
    head: Head,
    client: SocketAddr,
    certificates: Arc<[Vec<u8>]>,
    entry: InFlightRequest,
}

impl HttpService {
    /// Answers a request of a peer, whatever happens. Its connection counts as in use once the request is whole.
    pub async fn answer<B>(
        &self,
        peer: SocketAddr,
        connection: &Arc<Share>,
        request: Request<B>,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        let (parts, mut body) = request.into_parts();
        let mut echo = Echo {
            is_head: parts.method == http::Method::HEAD,
            is_chunked: parts.headers.contains_key(http::header::TRANSFER_ENCODING),
            ..Echo::default()
        };
        let mut operation = "refused";
        let work = async {
            if let Some(outgoing) = self.services.has_ui.then(|| ui::answer(&parts)).flatten() {
                return request::check_host(&parts).err().unwrap_or(outgoing);
            }
            if !(self.services.has_ui && ui::is_own_page(&parts)) {
                match cors::judge(&parts, || self.services.gateway.cors()) {
                    Judged::Served(headers) => echo.headers = headers,
                    Judged::Answered(outgoing) => return *outgoing,
                }
            }
            let mut is_recorded = true;
            let fulfilled = match self.admit(peer, &parts, &mut echo) {
                Ok(admitted) => {
                    operation = admitted.head.operation.as_str();
                    let throttled = self.services.gateway.throttle(admitted.head.path.as_str(), admitted.client.ip());
                    echo.headers.extend(throttled.headers);
                    match throttled.refusal {
                        None => self.fulfil(admitted, connection, &parts.headers, &mut body, started).await,
                        Some((refusal, recorded)) => {
                            is_recorded = recorded;
                            Err(refusal)
                        }
                    }
                }
                Err(refusal) => Err(refusal),
            };
            fulfilled.unwrap_or_else(|refusal| {
                if is_recorded {
                    let (verb, path) = (parts.method.as_str(), parts.uri.path());
                    self.services.gateway.note_refusal(verb, path, peer.ip(), &refusal);
                }
                refusal
            })
        };
        let outgoing = std::panic::AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| panicked());
        body::discard(&mut body, &parts.headers, &self.services.limits).await;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(operation, status = outgoing.status, millis, %peer, "a request was answered");
        self.services.metrics.request(operation, outgoing.status, started.elapsed());
        render(outgoing, &echo, &self.listener)
    }

    /// Everything that can be said without the body.
    fn admit(&self, peer: SocketAddr, parts: &Parts, echo: &mut response::Echo) -> Result<Admitted, Outgoing> {
        let client = forwarded::client(peer, &parts.headers, &self.listener.forwarded)
            .map_err(|error| failure(400, &[&error.to_string()]))?;
        request::check_host(parts)?;
        let head = request::head(parts, &self.services.limits)?;
        echo.namespace = head.said.has_namespace.then(|| head.said.namespace.clone());
        echo.idempotency_key = head.said.idempotency_key.clone().filter(|_| head.may_be_remembered());
        let entry = InFlightRequest {
            request_id: head.id.clone(),
            method: head.method.clone(),
            path: head.path.as_str().to_owned(),
            client,
            started: now(),
        };
        let certificates = parts.extensions.get::<ClientCertificates>().cloned().unwrap_or_default().0;
        Ok(Admitted { head, client, certificates, entry })
    }

    /// A place among the requests being served. Taken when the body is there, so that nobody can take places by not
    /// sending one.
    fn place(&self, head: &Head, entry: InFlightRequest) -> Result<Place, Outgoing> {
        let place = self.services.in_flight.enter(head.class(), entry);
        place.ok_or_else(|| failure(503, &["the server is busy with too many requests, try again"]))
    }

    /// Has a request served; an error is what it was refused with before that.
    async fn fulfil<B>(
        &self,
        admitted: Admitted,
        connection: &Arc<Share>,
        headers: &HeaderMap,
        body: &mut B,
        started: Instant,
    ) -> Result<Outgoing, Outgoing>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let Admitted { head, client, certificates, entry } = admitted;
        if let Some(outgoing) = self.open_path(&head) {
            return Ok(outgoing);
        }
        let (data, memory) = self.data(&head, client.ip(), headers, body).await?.unzip();
        let _in_use = connection.hold();
        let place = self.place(&head, entry)?;
        let deadline = started + self.listener.max_request_duration;
        let gateway = self.services.gateway.clone();
        let noted = Noted { remote_port: Some(client.port()), headers: gateway.recorded_headers(headers) };
        let incoming = head.into_incoming(data, client.ip(), certificates, deadline, noted);
        let task = tokio::spawn(async move {
            let outgoing = gateway.serve(incoming).await;
            // What the body became lives until here, and so does what was paid for it.
            drop((place, memory));
            outgoing
        });
        Ok(match tokio::time::timeout_at(deadline + self.services.limits.deadline_grace, task).await {
            Ok(Ok(outgoing)) => outgoing,
            Ok(Err(error)) if error.is_panic() => panicked(),
            Ok(Err(_)) => failure(503, &["the server is stopping"]),
            Err(_) => failure(503, &["the request took too long; if it was a write, its outcome is unknown"]),
        })
    }

    /// The data of the body, for operations that have one.
    async fn data<B>(
        &self,
        head: &Head,
        client: IpAddr,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Option<(Data, Hold)>, Outgoing>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if !request::has_body(head.operation) {
            return Ok(None);
        }
        let limits = &self.services.limits;
        let most = head.body_limit(limits, self.listener.max_request_bytes);
        let terms = Terms { most, time: self.listener.body_time, client, limits };
        let token = head.said.token.as_ref().map_or("", |token| token.as_str());
        let vouch = || self.services.gateway.vouch(token, client, Instant::now() + self.listener.body_time);
        let Buffered { bytes, memory } = body::read(body, headers, &terms, &self.services.bodies, vouch()).await?;
        let (content_type, most_fields) = (request::content_type(headers).to_owned(), limits.query_parameters);
        // A large body takes a while to read, and other requests must not wait for that.
        let (length, is_aside) = (bytes.len(), bytes.len() >= limits.aside_bytes);
        let body = aside(is_aside, move || request::Body::new(bytes, &content_type)).await?;
        let decoded = body.decoded_bytes();
        if decoded > limits.decoded_bytes_without_token {
            if token.is_empty() {
                return Err(failure(413, &["the request body holds too many values for a request without a token"]));
            }
            vouch().await?;
        }
        body::pay(&memory, length + decoded)?;
        let data = aside(is_aside, move || body.decode(most_fields)).await?;
        Ok(Some((data, memory)))
    }

    /// Paths that this listener answers without a token.
    fn open_path(&self, head: &Head) -> Option<Outgoing> {
        if head.operation != Operation::Read {
            return None;
        }
        match head.path.as_str() {
            "sys/metrics" if self.listener.has_open_metrics => {
                (self.services.refresh_metrics)();
                let format = head.query.iter().find(|(name, _)| name == "format").map_or("", |(_, value)| value);
                Some(self.services.metrics.reply(format))
            }
            "sys/in-flight-req" if self.listener.has_open_in_flight_requests => {
                let body = self.services.in_flight.to_json().to_string().into();
                Some(Outgoing { status: 200, content_type: JSON.into(), headers: Vec::new(), body })
            }
            _ => None,
        }
    }
}

/// Does a piece of work, off the executor if it may take a while.
async fn aside<R: Send + 'static>(
    is_aside: bool,
    work: impl FnOnce() -> Result<R, Outgoing> + Send + 'static,
) -> Result<R, Outgoing> {
    if !is_aside {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(panicked()))
}

/// What a client learns of a panic. The hook has logged where it was.
fn panicked() -> Outgoing {
    failure(500, &["internal error"])
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
