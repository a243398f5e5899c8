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

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::Listener;
use crate::http::connection::{Connections, Slot};
use crate::http::endpoint::{Endpoint, Services};
use crate::http::stall::Stalling;
use crate::http::tls::{self, Certificates, TlsError};

/// Pause after accepting failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    certificates: Option<Arc<Certificates>>,
    port: Arc<Port>,
}

/// What every connection of one listener needs.
struct Port {
    endpoint: Arc<Endpoint>,
    connections: Arc<Connections>,
    acceptor: Option<TlsAcceptor>,
    handshakes: Semaphore,
    /// Cancelled when connections must end at once.
    cut: CancellationToken,
}

impl Bound {
    /// Binds the address of a listener and reads its certificate.
    pub async fn bind(
        listener: Listener,
        services: Arc<Services>,
        connections: Arc<Connections>,
    ) -> Result<Self, ListenError> {
        let address = listener.address.clone();
        let tls = listener.tls.as_ref().map(tls::server).transpose();
        let tls = tls.map_err(|source| ListenError::Tls { address: address.clone(), source })?;
        let (config, certificates) = tls.unzip();
        let socket = TcpListener::bind(&address).await.map_err(|source| ListenError::Bind { address, source })?;
        let handshakes = Semaphore::new(services.limits.handshakes);
        let endpoint = Arc::new(Endpoint { services, listener: Arc::new(listener) });
        let acceptor = config.map(TlsAcceptor::from);
        let port = Arc::new(Port { endpoint, connections, acceptor, handshakes, cut: CancellationToken::new() });
        Ok(Self { socket, certificates, port })
    }

    /// Where it listens, with the port that the system chose if none was given.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The certificate it shows, to be reloaded.
    pub fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
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
        let drain_time = port.endpoint.services.limits.drain_time;
        if tokio::time::timeout(drain_time, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests did not end in time and are cut off");
            port.cut.cancel();
        }
    }
}

async fn accept_all(socket: &TcpListener, port: &Arc<Port>, graceful: &GracefulShutdown) {
    loop {
        let permit = port.connections.room().await;
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(slot) = port.connections.enter(peer.ip(), permit) else {
            tracing::debug!("a connection was closed, because its client has too many");
            continue;
        };
        tokio::spawn(port.clone().connection(stream, peer, slot, graceful.watcher()));
    }
}

impl Port {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, slot: Slot, watcher: Watcher) {
        // Replies are whole; waiting for more to send only delays them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        match &self.acceptor {
            None => self.drive(stream, peer, watcher).await,
            Some(acceptor) => {
                let limits = &self.endpoint.services.limits;
                let handshake = async {
                    let _turn = self.handshakes.acquire().await;
                    acceptor.accept(stream).await
                };
                match tokio::time::timeout(limits.handshake_time, handshake).await {
                    Ok(Ok(stream)) => self.drive(stream, peer, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            }
        }
        drop(slot);
    }

    async fn drive<S>(&self, stream: S, peer: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let has_asked = Arc::new(AtomicBool::new(false));
        let (endpoint, asked) = (self.endpoint.clone(), has_asked.clone());
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            let endpoint = endpoint.clone();
            async move { Ok::<_, Infallible>(endpoint.answer(peer, request).await) }
        });
        let stream = TokioIo::new(Stalling::new(stream, self.endpoint.services.limits.write_stall_time));
        let builder = self.builder();
        let connection = pin!(watcher.watch(builder.serve_connection(stream, service)));
        tokio::select! {
            result = connection => if let Err(error) = result {
                tracing::debug!(%error, "a connection ended early");
            },
            () = self.cut.cancelled() => {}
            () = silence(self.endpoint.listener.header_time, &has_asked) => {
                tracing::debug!("a connection that asked nothing was closed");
            }
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let (limits, listener) = (&self.endpoint.services.limits, &self.endpoint.listener);
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

#[cfg(test)]
mod tests;
