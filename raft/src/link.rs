//! One kept connection to another node, dialled in the background.
//!
//! A request never waits for a dial: without a connection it fails at once as unreachable. Dialling takes three round
//! trips or more, which no heartbeat's deadline would allow. A link ends with its last user.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::config::Timing;
use crate::tls;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Flow-control windows: enough for a message of the largest size in flight on a long path.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// What a connection is used for; each use has its own, so that none waits behind another's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Replication,
    Heartbeat,
    Snapshot,
    Calls,
}

/// A connection that is there, or will be.
pub(crate) struct Link {
    slot: Arc<Slot>,
    dialler: JoinHandle<()>,
}

struct Slot {
    address: Mutex<String>,
    /// The connection and how many came before it.
    open: watch::Sender<Option<(u64, Channel)>>,
    broken: Notify,
    count: Mutex<u64>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.dialler.abort();
    }
}

impl Link {
    /// Starts to dial. `on_open` is told about each connection that comes up.
    pub(crate) fn dial(
        address: String,
        tls: Arc<ClientConfig>,
        timing: Timing,
        on_open: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let slot = Arc::new(Slot {
            address: Mutex::new(address),
            open: watch::Sender::new(None),
            broken: Notify::new(),
            count: Mutex::new(0),
        });
        let kept = slot.clone();
        let dialler = tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let address = kept.address.lock().clone();
                match open(&address, tls.clone(), timing).await {
                    Ok(channel) => {
                        pause = FIRST_PAUSE;
                        kept.put(channel);
                        on_open();
                        kept.broken.notified().await;
                        kept.open.send_replace(None);
                    }
                    Err(error) => tracing::debug!(address, %error, "a node cannot be reached"),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        Self { slot, dialler }
    }

    /// Dials another address from now on.
    pub(crate) fn redirect(&self, address: &str) {
        let mut present = self.slot.address.lock();
        if *present != address {
            address.clone_into(&mut present);
            self.slot.broken.notify_one();
        }
    }

    /// The connection, if it is up, and its number for [`Link::report`].
    pub(crate) fn channel(&self) -> Option<(u64, Channel)> {
        self.slot.open.borrow().clone()
    }

    /// The connection, once it is up.
    pub(crate) async fn wait(&self, deadline: Instant) -> Option<(u64, Channel)> {
        let mut open = self.slot.open.subscribe();
        let up = timeout_at(deadline, open.wait_for(Option::is_some)).await;
        up.ok()?.ok()?.clone()
    }

    /// Has the connection replaced if `status` says that it, and not the request, failed.
    pub(crate) fn report(&self, number: u64, status: &tonic::Status) {
        use tonic::Code;
        let is_broken = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled);
        if is_broken && self.channel().is_some_and(|(open, _)| open == number) {
            self.slot.broken.notify_one();
        }
    }
}

impl Slot {
    fn put(&self, channel: Channel) {
        let mut count = self.count.lock();
        *count += 1;
        self.open.send_replace(Some((*count, channel)));
    }
}

/// Opens one connection, bounded by ten times the heartbeat or two seconds, whichever is longer.
pub(crate) async fn open(address: &str, tls: Arc<ClientConfig>, timing: Timing) -> Result<Channel, io::Error> {
    let endpoint = Endpoint::from_static("http://node")
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        // A peer that was stopped or cut off without a word is noticed here.
        .http2_keep_alive_interval(timing.election_max / 2)
        .keep_alive_timeout(timing.election_max)
        .keep_alive_while_idle(true);
    let dial = endpoint.connect_with_connector(Dialler { address: address.into(), tls });
    let limit = (timing.heartbeat * 10).max(Duration::from_secs(2));
    match timeout(limit, dial).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Makes the encrypted stream that tonic speaks HTTP/2 over.
#[derive(Clone)]
struct Dialler {
    address: Arc<str>,
    tls: Arc<ClientConfig>,
}

impl tonic::codegen::Service<http::Uri> for Dialler {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let Self { address, tls } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(&*address).await?;
            stream.set_nodelay(true)?;
            let stream = TlsConnector::from(tls).connect(tls::no_name(), stream).await?;
            if tls::proven_key(stream.get_ref().1).is_none() {
                return Err(io::Error::other("the other side is not a Conclave node"));
            }
            Ok(TokioIo::new(stream))
        })
    }
}
