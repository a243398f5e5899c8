//! Connections to receivers. Each output has its own, on its own thread with a runtime of its own, so that a receiver that
//! hangs costs that thread and nobody else.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{Outbound, address};

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Where a receiver listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReceiverPlace {
    /// Host and port.
    Tcp(String),
    /// The same with TLS, the host's name, and a file of authorities in place of the system's.
    Tls { address: String, host: String, ca_file: Option<String> },
    /// A socket of this machine.
    Unix(String),
}

/// Which receivers may be reached: all, if the device is one of the node's own configuration; else those that `outbound` in it
/// allows, for who enables devices need not be who runs the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach(Option<Outbound>);

impl Reach {
    /// Of a device of the configuration, or of the cluster.
    pub(super) fn of(is_configured: bool, outbound: &Outbound) -> Self {
        Self((!is_configured).then(|| outbound.clone()))
    }

    /// Those of an address, a host and a port, that may be reached.
    fn allowed(&self, address: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, String> {
        let host = address::split(address).map_or(address, |(host, _)| host);
        let is_allowed = |found: &SocketAddr| self.0.as_ref().is_none_or(|outbound| outbound.allows(host, found.ip()));
        let mut found = found.peekable();
        if found.peek().is_none() {
            return Err("the receiver's name has no address".to_owned());
        }
        let allowed: Vec<_> = found.filter(is_allowed).collect();
        match allowed.is_empty() {
            true => {
                Err("the operator does not allow the receiver's address (outbound in the configuration)".to_owned())
            }
            false => Ok(allowed),
        }
    }

    async fn connect(&self, address: &str) -> Result<TcpStream, String> {
        let failed = |error: std::io::Error| format!("the receiver cannot be reached: {error}");
        let found = tokio::net::lookup_host(address).await.map_err(failed)?;
        TcpStream::connect(self.allowed(address, found)?.as_slice()).await.map_err(failed)
    }

    /// The first address of a host and port.
    pub(super) fn resolve(&self, address: &str) -> Result<SocketAddr, String> {
        let found = address.to_socket_addrs().map_err(|error| format!("the receiver's name: {error}"))?;
        let allowed = self.allowed(address, found)?;
        allowed.into_iter().next().ok_or_else(|| "the receiver's name has no address".to_owned())
    }
}

impl ReceiverPlace {
    pub(super) async fn connect(&self, reach: &Reach) -> Result<Box<dyn Duplex>, String> {
        let failed = |error: std::io::Error| format!("the receiver cannot be reached: {error}");
        Ok(match self {
            Self::Tcp(address) => Box::new(reach.connect(address).await?),
            Self::Tls { address, host, ca_file } => {
                let connector = TlsConnector::from(Arc::new(client_config(ca_file.as_deref())?));
                let name = ServerName::try_from(host.clone()).map_err(|_| "the host is no name of a certificate")?;
                let stream = reach.connect(address).await?;
                Box::new(connector.connect(name, stream).await.map_err(failed)?)
            }
            Self::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(failed)?),
        })
    }
}

fn client_config(ca_file: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        Some(file) => {
            let certificates =
                CertificateDer::pem_file_iter(Path::new(file)).map_err(|error| format!("ca_file: {error}"))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| format!("ca_file: {error}"))?;
                roots.add(certificate).map_err(|error| format!("ca_file: {error}"))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A runtime for one thread.
pub(super) fn runtime() -> Result<Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))
}

/// A connection that takes bytes, and is made anew once if it broke since it was used last.
pub(super) struct Connection {
    runtime: Runtime,
    place: ReceiverPlace,
    reach: Reach,
    /// For connecting, and for sending.
    time: Duration,
    open: Option<Box<dyn Duplex>>,
}

impl Connection {
    /// Connects.
    pub(super) fn open(place: ReceiverPlace, reach: &Reach, time: Duration) -> Result<Self, String> {
        let mut connection = Self { runtime: runtime()?, place, reach: reach.clone(), time, open: None };
        connection.open = Some(connection.connect()?);
        Ok(connection)
    }

    fn connect(&self) -> Result<Box<dyn Duplex>, String> {
        let connected = self.runtime.block_on(async { timeout(self.time, self.place.connect(&self.reach)).await });
        connected.map_err(|_| "the receiver did not answer in time".to_owned())?
    }

    /// Has the system take bytes for the receiver.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        if self.runtime.block_on(is_closed(&mut open)) {
            open = self.connect()?;
        }
        let sending = async {
            open.write_all(bytes).await?;
            open.flush().await
        };
        match self.runtime.block_on(async { timeout(self.time, sending).await }) {
            Ok(Ok(())) => {
                self.open = Some(open);
                Ok(())
            }
            Ok(Err(error)) => Err(format!("the receiver took it not: {error}")),
            Err(_) => Err("the receiver did not take it in time".to_owned()),
        }
    }
}

/// Whether the receiver has closed; what it says is thrown away.
async fn is_closed(open: &mut Box<dyn Duplex>) -> bool {
    let mut said = [0; 256];
    tokio::select! {
        biased;
        read = open.read(&mut said) => matches!(read, Ok(0) | Err(_)),
        () = tokio::task::yield_now() => false,
    }
}
