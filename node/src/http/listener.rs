//! A bound socket and the connections that come from it.
//!
//! The accept loop ends when it is told to and never because of an error. A stop lets requests that are under way end,
//! within a time; what is left after that is cut off.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_raft::admission::{Pool, Share};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config::Listener;
use crate::http::service::{HttpService, Services};
use crate::http::stall::Stalling;
use crate::http::tls::{Certificates, ClientCertificates, TlsError};
use crate::http::untaken::{Everywhere, ReplyBody, Untaken};

/// Pause after accepting failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a request without TLS is answered on a listener with TLS.
const PLAIN_HTTP_REPLY: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// Parts of such a request, of 1,024 bytes, that are read before the connection is closed.
const PLAIN_HTTP_READS: usize = 64;

/// Why a listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("{address} cannot be listened on; is another server running, or is the address not this machine's?")]
    Bind {
        /// Which address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("the listener {address} has no TLS")]
    Tls {
        /// Which address.
        address: String,
        /// What is wrong.
        source: TlsError,
    },
}

/// A listener that is bound and not yet serving.
pub struct Bound {
    socket: TcpListener,
    port: Arc<Port>,
}

/// What every connection of one listener needs.
struct Port {
    service: Arc<HttpService>,
    /// The connections of all listeners.
    connections: Arc<Pool>,
    tls: Option<Arc<Certificates>>,
    /// Those of this listener that have not finished their handshake.
    handshakes: Arc<Pool>,
    /// Replies that nobody takes, on all connections of this listener.
    untaken: Arc<Everywhere>,
    /// Cancelled when connections must end at once.
    cut: CancellationToken,
}

impl Bound {
    /// Binds the address of a listener and reads its TLS files.
    pub async fn bind(
        listener: Listener,
        services: Arc<Services>,
        connections: Arc<Pool>,
    ) -> Result<Self, ListenError> {
        let address = listener.address.clone();
        let tls = listener.tls.as_ref().map(Certificates::load).transpose();
        let tls = tls.map_err(|source| ListenError::Tls { address: address.clone(), source })?;
        let socket = TcpListener::bind(&address).await.map_err(|source| ListenError::Bind { address, source })?;
        let handshakes = Pool::new(services.limits.handshakes);
        let service = Arc::new(HttpService { services, listener: Arc::new(listener) });
        let untaken = Everywhere::new(&service.services.limits);
        let cut = CancellationToken::new();
        let port = Arc::new(Port { service, connections, tls, handshakes, untaken, cut });
        Ok(Self { socket, port })
    }

    /// Where it listens, with the port that the system chose if none was given.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Its TLS files, to be read again.
    pub fn certificates(&self) -> Option<Arc<Certificates>> {
        self.port.tls.clone()
    }

    /// Serves until told to stop, then lets requests end.
    pub async fn serve(self, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let Self { socket, port, .. } = self;
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept_all(&socket, &port, &graceful) => {}
        }
        drop(socket);
        let drain_time = port.service.services.limits.drain_time;
        if tokio::time::timeout(drain_time, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests did not end in time and are cut off");
            port.cut.cancel();
        }
    }
}

async fn accept_all(socket: &TcpListener, port: &Arc<Port>, graceful: &GracefulShutdown) {
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(share) = port.connections.enter(peer.ip(), 1) else {
            tracing::debug!("a connection was closed, because there are too many and all are in use");
            continue;
        };
        tokio::spawn(port.clone().connection(stream, peer, Arc::new(share), graceful.watcher()));
    }
}

impl Port {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, share: Arc<Share>, watcher: Watcher) {
        // Replies are whole; waiting for more to send only delays them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        match &self.tls {
            None => self.drive(stream, peer, ClientCertificates::default(), share, watcher).await,
            Some(tls) => match self.shake_hands(&TlsAcceptor::from(tls.config()), stream, peer).await {
                Ok(stream) => {
                    let certificates = ClientCertificates::of(stream.get_ref().1.peer_certificates());
                    self.drive(stream, peer, certificates, share, watcher).await;
                }
                Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
            },
        }
    }

    /// The handshake, unless it takes too long or newer ones need its place.
    async fn shake_hands(
        &self,
        acceptor: &TlsAcceptor,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<TlsStream<TcpStream>> {
        let share = self.handshakes.enter(peer.ip(), 1).ok_or(io::ErrorKind::QuotaExceeded)?;
        let handshake = async {
            let mut first = [0; 1];
            if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
                answer_plain_http(&mut stream).await?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks HTTP without TLS"));
            }
            acceptor.accept(stream).await
        };
        tokio::select! {
            done = tokio::time::timeout(self.service.services.limits.handshake_time, handshake) => done?,
            () = share.taken() => Err(io::ErrorKind::QuotaExceeded.into()),
        }
    }

    async fn drive<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        certificates: ClientCertificates,
        share: Arc<Share>,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let has_asked = Arc::new(AtomicBool::new(false));
        let (service, asked, own) = (self.service.clone(), has_asked.clone(), share.clone());
        let untaken = Untaken::new(&self.service.services.limits, &self.untaken);
        let replies = Arc::clone(&untaken);
        let service = service_fn(move |mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(certificates.clone());
            let (service, share, replies) = (service.clone(), own.clone(), Arc::clone(&replies));
            async move {
                if request.version() < Version::HTTP_2 {
                    return Ok::<_, Infallible>(service.answer(peer, &share, request).await.map(ReplyBody::from));
                }
                replies.room().await;
                Ok(service.answer(peer, &share, request).await.map(|body| replies.body(body)))
            }
        });
        let stream = TokioIo::new(Stalling::new(stream, self.service.services.limits.write_stall_time));
        let builder = self.builder();
        let connection = pin!(watcher.watch(builder.serve_connection(stream, service)));
        let listener = &self.service.listener;
        tokio::select! {
            result = connection => if let Err(error) = result {
                tracing::debug!(%error, "a connection ended early");
            },
            () = self.cut.cancelled() => {}
            () = silence(listener.header_time, &has_asked) => {
                tracing::debug!("a connection that asked nothing was closed");
            }
            () = idleness(listener.idle_time, &share) => tracing::debug!("an idle connection was closed"),
            () = untaken.stalled() => tracing::debug!("a connection that takes no replies was closed"),
            () = share.taken() => tracing::debug!("an idle connection was closed, because newer ones need its place"),
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let (limits, listener) = (&self.service.services.limits, &self.service.listener);
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(listener.idle_time)
            .max_headers(limits.header_lines)
            .max_buf_size(limits.header_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.ping_time)
            .keep_alive_timeout(limits.ping_time);
        builder
    }
}

/// Ends when a connection has not asked anything in time; never once it has.
async fn silence(time: Duration, has_asked: &AtomicBool) {
    tokio::time::sleep(time).await;
    if has_asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Ends when nothing was asked on a connection for so long, and nothing is being answered.
async fn idleness(time: Duration, share: &Share) {
    loop {
        let until = share.idle_since().unwrap_or_else(Instant::now) + time;
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

/// Tells a client that forgot the TLS so, in the words and the form that Go's server uses.
async fn answer_plain_http(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_HTTP_REPLY).await?;
    stream.shutdown().await?;
    // Closed with bytes unread, the connection would be reset and the reply lost.
    let mut rest = [0; 1024];
    for _ in 0..PLAIN_HTTP_READS {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
