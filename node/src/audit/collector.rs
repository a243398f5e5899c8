//! Groups of lines as the bodies of requests to a collector: one line of JSON each (NDJSON), many at once.
//!
//! A group counts as written once the collector answered 2xx. It is sent again after a failure, so a collector may get a
//! line twice; its link tells. A redirect is a failure: records go where they were sent, and nowhere else.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::network::{Reach, ReceiverPlace, runtime};
use super::output::{Output, Stream, joined};

/// What a collector is told of the bodies.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Where a collector is and what it wants to see. `Debug` shows no headers: they let somebody in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Collector {
    pub(super) uri: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) ca_file: Option<String>,
    pub(super) time: Duration,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

/// Connects.
pub(super) fn open(collector: &Collector, reach: &Reach) -> Result<Box<dyn Output>, String> {
    let mut poster = Poster { runtime: runtime()?, collector: collector.clone(), reach: reach.clone(), sender: None };
    poster.connect()?;
    Ok(Box::new(Stream::new(move |lines: &[Vec<u8>]| poster.post(joined(lines).into()))))
}

struct Poster {
    runtime: Runtime,
    collector: Collector,
    reach: Reach,
    /// The connection, while it is kept open.
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Poster {
    fn connect(&mut self) -> Result<(), String> {
        let (collector, reach) = (&self.collector, &self.reach);
        let connected = self.runtime.block_on(async { timeout(collector.time, collector.connect(reach)).await });
        self.sender = Some(connected.map_err(|_| "the collector did not answer in time".to_owned())??);
        Ok(())
    }

    fn post(&mut self, body: Bytes) -> Result<(), String> {
        let (collector, reach, kept) = (&self.collector, &self.reach, self.sender.take());
        let posted = self.runtime.block_on(async { timeout(collector.time, collector.post(reach, kept, body)).await });
        let sender = posted.map_err(|_| "the collector did not answer in time".to_owned())??;
        self.sender = Some(sender);
        Ok(())
    }
}

impl Collector {
    async fn connect(&self, reach: &Reach) -> Result<SendRequest<Full<Bytes>>, String> {
        let is_tls = self.uri.scheme_str() == Some("https");
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = self.uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let place = match is_tls {
            true => ReceiverPlace::Tls { address, host, ca_file: self.ca_file.clone() },
            false => ReceiverPlace::Tcp(address),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(place.connect(reach).await?)).await.map_err(failed)?;
        // It ends with the connection, or with the runtime.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn post(
        &self,
        reach: &Reach,
        kept: Option<SendRequest<Full<Bytes>>>,
        body: Bytes,
    ) -> Result<SendRequest<Full<Bytes>>, String> {
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect(reach).await?,
        };
        if sender.ready().await.is_err() {
            sender = self.connect(reach).await?;
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| "the path of the uri is none".to_owned())?;
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority).map_err(|_| "the host of the uri is none".to_owned())?;
        let headers = request.headers_mut();
        headers.extend([(HOST, host), (CONTENT_TYPE, NDJSON)]);
        headers.extend(self.headers.iter().cloned());
        let answer = sender.send_request(request).await.map_err(failed)?;
        match answer.status() {
            status if status.is_success() => Ok(sender),
            status => Err(format!("the collector answered {status}")),
        }
    }
}

fn failed(error: hyper::Error) -> String {
    format!("the collector: {error}")
}
