//! The way to a server's address. A name is resolved once, and the connection goes to an address that was looked at
//! ([`Outbound`]), so no second look-up can lead elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::config::Outbound;

/// A server to connect to.
pub(super) struct Endpoint<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// What to do about a connection that is not encrypted, where that is not allowed; `None` if it is encrypted.
    pub(super) plain: Option<&'static str>,
}

/// A connection to the first address that may be reached and is. `time` is for the look-up and for the connection, each.
pub(super) async fn connect(outbound: &Outbound, endpoint: &Endpoint<'_>, time: Duration) -> Result<TcpStream, String> {
    let Endpoint { host, port, plain } = *endpoint;
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let found = timeout(time, lookup_host((host, port))).await;
            found.ok().and_then(Result::ok).ok_or("its name cannot be resolved")?.collect()
        }
    };
    let allowed: Vec<_> = found.into_iter().filter(|found| outbound.allows(host, found.ip())).collect();
    if allowed.is_empty() {
        return Err("the operator does not allow its address (outbound in the configuration)".into());
    }
    let is_safe = |address: &SocketAddr| plain.is_none() || outbound.allows_plain(host, address.ip());
    let safe: Vec<_> = allowed.into_iter().filter(is_safe).collect();
    if safe.is_empty() {
        return Err(plain.unwrap_or_default().into());
    }
    let connected = timeout(time, TcpStream::connect(safe.as_slice())).await;
    connected.ok().and_then(Result::ok).ok_or_else(|| "it cannot be reached".into())
}
