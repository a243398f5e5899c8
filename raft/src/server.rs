//! The listening side: who may connect, who may call what, and the answers to other nodes.
//!
//! The handshake proves a key. Each request is then checked before its message is parsed: the key must be pinned
//! under the node id that it claims, and cluster and receiver must be right. Streams check again with every message,
//! so a node that was removed is cut off in the middle of one. Whoever is no member finds one door, with small
//! messages.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::admission::{Pool, Share};
use crate::connections::{MemberConnection, MemberConnections};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::{Body, Service, StdError as BoxError};
use tonic::server::NamedService;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::Connected;

use crate::answer::{Answers, Strangers};
use crate::caller::{Connection, admit};
use crate::config::Timing;
use crate::limits::Limits;
use crate::peers::Peers;
use crate::tls;
use crate::wire::proto::door_server::DoorServer;
use crate::wire::proto::peers_server::PeersServer;

/// Pause after the system refused a connection, for want of file descriptors usually.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const STREAMS_PER_CONNECTION: u32 = 4_096;

/// Serves other nodes until `stop` turns true.
pub(crate) async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answers: Answers,
    timing: Timing,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let (peers, connections) = (answers.peers(), answers.0.connections.clone());
    let own_id = answers.id();
    let members = PeersServer::new(answers.clone())
        .max_decoding_message_size(limits.message_bytes)
        .max_encoding_message_size(limits.message_bytes);
    let check = {
        let (peers, processes, progress) = (peers.clone(), answers.processes(), answers.progress());
        move |request| admit(request, &peers, own_id, &processes, progress.index())
    };
    let door = DoorServer::new(Strangers(answers))
        .max_decoding_message_size(limits.stranger_bytes)
        .max_encoding_message_size(limits.message_bytes);
    let members = InterceptedService::new(members, check);
    let services = Services { members, door, calls: Pool::new(limits.stranger_calls) };
    let (sender, accepted) = mpsc::channel(limits.handshakes);
    let (handshakes, strangers) = (Pool::new(limits.handshakes), Pool::new(limits.stranger_connections));
    let greeter = Greeter { acceptor, peers, limits, handshakes, strangers, stop: stop.clone(), connections };
    let accepting = tokio::spawn(accept(listener, greeter, sender));
    let mut ended = stop;
    let served = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .http2_keepalive_interval(Some(timing.election_max / 2))
        .http2_keepalive_timeout(Some(timing.election_max))
        .serve_with_incoming_shutdown(services, ReceiverStream::new(accepted), async move {
            // An error means that whoever could say stop is gone.
            let _ = ended.wait_for(|stopped| *stopped).await;
        })
        .await;
    accepting.abort();
    if let Err(error) = served {
        tracing::error!(%error, "listening for other nodes ended");
    }
}

/// Sends each request to the service that its path names.
#[derive(Clone)]
struct Services<M, D> {
    members: M,
    door: D,
    /// Calls of strangers under way, each of which may hold a message that arrives slowly.
    calls: Arc<Pool>,
}

type HttpRequest = http::Request<tonic::body::Body>;
type HttpResponse = http::Response<tonic::body::Body>;

impl<M, D, B> Service<HttpRequest> for Services<M, D>
where
    M: Service<HttpRequest, Response = http::Response<B>, Error = Infallible, Future: Send + 'static>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    D: Service<HttpRequest, Response = HttpResponse, Error = Infallible, Future: Send + 'static> + NamedService,
{
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<HttpResponse, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self.members.poll_ready(cx) {
            Poll::Ready(Ok(())) => self.door.poll_ready(cx),
            other => other,
        }
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let service = request.uri().path().trim_start_matches('/').split('/').next();
        if service == Some(D::NAME) {
            let source = request.extensions().get::<Connection>().map(|connection| connection.address.ip());
            let Some(share) = source.and_then(|source| self.calls.enter(source, 1)) else {
                return Box::pin(std::future::ready(Ok(too_many())));
            };
            let answered = self.door.call(request);
            return Box::pin(async move {
                tokio::select! {
                    answer = answered => answer,
                    () = share.taken() => Ok(too_many()),
                }
            });
        }
        let answered = self.members.call(request);
        Box::pin(async move { Ok(answered.await?.map(tonic::body::Body::new)) })
    }
}

fn too_many() -> HttpResponse {
    Status::resource_exhausted("too many strangers call at once; try again").into_http()
}

/// Accepts for as long as the process lives; nothing that a stranger does ends it or holds it up.
async fn accept(listener: TcpListener, greeter: Greeter, sender: mpsc::Sender<io::Result<Accepted>>) {
    let gate = Arc::new(greeter);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (gate, sender) = (gate.clone(), sender.clone());
        tokio::spawn(async move {
            match gate.greet(stream, address).await {
                // The receiver is gone only when this node stops.
                Ok(accepted) => drop(sender.send(Ok(accepted)).await),
                Err(error) => tracing::debug!(%address, %error, "a handshake failed"),
            }
        });
    }
}

/// What stands between a connection and this node.
struct Greeter {
    acceptor: TlsAcceptor,
    peers: Arc<Peers>,
    limits: Limits,
    /// Those who have not proven a key yet.
    handshakes: Arc<Pool>,
    /// Those whose key is no member's.
    strangers: Arc<Pool>,
    stop: watch::Receiver<bool>,
    /// Where those of members are counted.
    connections: Arc<MemberConnections>,
}

impl Greeter {
    /// The handshake, unless it takes too long or newer ones need its place.
    async fn greet(&self, stream: TcpStream, address: SocketAddr) -> io::Result<Accepted> {
        stream.set_nodelay(true)?;
        let source = address.ip();
        let share = match self.peers.is_source(source) {
            true => self.handshakes.enter_preferred(source, 1),
            false => self.handshakes.enter(source, 1),
        };
        let share = share.ok_or(io::ErrorKind::QuotaExceeded)?;
        let stream = tokio::select! {
            done = tokio::time::timeout(self.limits.handshake_time, self.acceptor.accept(stream)) => done??,
            () = share.taken() => return Err(io::ErrorKind::QuotaExceeded.into()),
        };
        let public_key = tls::proven_key(stream.get_ref().1).ok_or(io::ErrorKind::PermissionDenied)?;
        let (stranger, member) = match self.peers.id_of(&public_key) {
            Some(id) => {
                self.peers.add_source(source, id);
                (None, Some(self.connections.enter(id)))
            }
            None => (Some(self.strangers.enter(source, 1).ok_or(io::ErrorKind::QuotaExceeded)?), None),
        };
        let ended = Box::pin(end(self.stop.clone(), stranger, self.limits.stranger_time));
        Ok(Accepted { stream, connection: Connection { public_key, address }, ended, _member: member })
    }
}

/// Ends when a connection must: with this node, and a stranger's also after a while or when others need its place.
async fn end(mut stop: watch::Receiver<bool>, stranger: Option<Share>, time: Duration) {
    let stopped = async {
        let _ = stop.wait_for(|stopped| *stopped).await;
    };
    match stranger {
        None => stopped.await,
        Some(share) => tokio::select! {
            () = stopped => {}
            () = share.taken() => {}
            () = tokio::time::sleep(time) => {}
        },
    }
}

/// An encrypted connection that breaks off when it must end.
struct Accepted {
    stream: TlsStream<TcpStream>,
    connection: Connection,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Dropped with the rest.
    _member: Option<MemberConnection>,
}

impl Connected for Accepted {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection
    }
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            // Polled again, a finished future would panic.
            self.ended = Box::pin(std::future::ready(()));
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A door behind which nobody ever answers.
    #[derive(Clone, Default)]
    struct Silent(Arc<AtomicUsize>);

    struct Waiting(Arc<AtomicUsize>);

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl NamedService for Silent {
        const NAME: &'static str = "door";
    }

    impl Service<HttpRequest> for Silent {
        type Response = HttpResponse;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<HttpResponse, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: HttpRequest) -> Self::Future {
            self.0.fetch_add(1, Ordering::SeqCst);
            let waiting = Waiting(self.0.clone());
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(waiting);
                unreachable!("it waits for ever")
            })
        }
    }

    // check 198
    #[tokio::test(start_paused = true)]
    async fn calls_of_strangers_have_a_limit_and_the_newest_are_heard() {
        let door = Silent::default();
        let mut services = Services { members: door.clone(), door: door.clone(), calls: Pool::new(4) };
        let mut calls = Vec::new();
        for _ in 0..10 {
            let mut request = http::Request::new(tonic::body::Body::empty());
            *request.uri_mut() = http::Uri::from_static("/door/Call");
            let connection = Connection { public_key: [0; 32], address: ([127, 0, 0, 1], 1).into() };
            request.extensions_mut().insert(connection);
            calls.push(tokio::spawn(services.call(request)));
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(door.0.load(Ordering::SeqCst) <= 4);
        }
        let ended: Vec<_> = calls.iter().map(tokio::task::JoinHandle::is_finished).collect();
        assert_eq!(ended, [[true; 6].as_slice(), &[false; 4]].concat());
    }
}
