//! Stands in front of a node's cluster port, so that what other nodes send it can be held back or written down.
//!
//! It passes bytes and knows nothing of them; nodes among themselves use TLS, so it could not. What surprises: a cut holds
//! back only what others begin. The node's own connections to the others go through their proxies, so a cut node still
//! reaches everybody, which is a one-way fault. And a cut is silence, not an error: nothing is closed, and what was held
//! back arrives when the cut is mended, as with a network that lost packets for a while.

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Bytes that are passed on at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// What is written down, if anything is.
type Tape = Option<Arc<Mutex<File>>>;

/// A proxy of one node. Dropping it closes all its connections.
pub(super) struct Proxy {
    is_cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens, and passes everything on to `target`. With a `tape` both directions are written there.
    pub(super) async fn start(listen: SocketAddrV4, target: SocketAddrV4, tape: Option<PathBuf>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let tape = match tape {
            Some(path) => Some(Arc::new(Mutex::new(File::create_new(path).await?))),
            None => None,
        };
        let (is_cut, gate) = watch::channel(false);
        let task = tokio::spawn(accept(listener, target, gate, tape));
        Ok(Self { is_cut, task })
    }

    /// Holds everything back, or lets it go.
    pub(super) fn set_cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections for as long as the proxy lives; they end with it.
async fn accept(listener: TcpListener, target: SocketAddrV4, gate: watch::Receiver<bool>, tape: Tape) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // A connection that failed before it was taken is the caller's to repeat.
        if let Ok((incoming, _)) = listener.accept().await {
            connections.spawn(carry(incoming, target, gate.clone(), tape.clone()));
        }
    }
}

/// Carries one connection. An end or an error on either side ends both, as a broken cable would.
async fn carry(incoming: TcpStream, target: SocketAddrV4, mut gate: watch::Receiver<bool>, tape: Tape) {
    if gate.wait_for(|is_cut| !is_cut).await.is_err() {
        return;
    }
    let Ok(outgoing) = TcpStream::connect(target).await else { return };
    let (from_peer, to_peer) = incoming.into_split();
    let (from_node, to_node) = outgoing.into_split();
    tokio::select! {
        _ = pass(from_peer, to_node, gate.clone(), tape.clone()) => {}
        _ = pass(from_node, to_peer, gate, tape) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: watch::Receiver<bool>,
    tape: Tape,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        gate.wait_for(|is_cut| !is_cut).await.map_err(io::Error::other)?;
        if let Some(tape) = &tape {
            let mut tape = tape.lock().await;
            tape.write_all(&buffer[..length]).await?;
            tape.flush().await?;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use super::*;

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        match address {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => unreachable!("the tests bind IPv4"),
        }
    }

    /// A server that sends back what it gets, a proxy in front of it, and a connection through that.
    async fn echo(tape: Option<PathBuf>) -> (Proxy, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = v4(server.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = server.accept().await.unwrap();
            let (mut reading, mut writing) = socket.split();
            tokio::io::copy(&mut reading, &mut writing).await.unwrap();
        });
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let proxy = Proxy::start(v4(free), target, tape).await.unwrap();
        (proxy, TcpStream::connect(free).await.unwrap())
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_are_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let tape = folder.path().join("tape");
        let (_proxy, mut socket) = echo(Some(tape.clone())).await;
        socket.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
        assert_eq!(std::fs::read(tape).unwrap(), b"hellohello");
    }

    #[tokio::test]
    async fn a_cut_is_silence_and_what_was_held_back_arrives_when_it_is_mended() {
        let (proxy, mut socket) = echo(None).await;
        proxy.set_cut(true);
        socket.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        let silence = tokio::time::timeout(Duration::from_millis(200), socket.read_exact(&mut answer)).await;
        assert!(silence.is_err(), "bytes passed a cut");
        proxy.set_cut(false);
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
    }
}
