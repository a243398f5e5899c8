//! Addresses as configuration writes them: `host:port`, URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Host and port of `host:port`; an IPv6 host loses its brackets.
pub fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains([':', '[', ']']) {
        return None;
    }
    Some((bare.unwrap_or(host), port.parse().ok()?))
}

/// The same host with the next port, where nodes listen for each other.
pub(crate) fn next_port(address: &str) -> Option<String> {
    let (host, port) = split(address)?;
    // Port 0 asks for any free port, and so does its neighbour.
    let port = if port == 0 { 0 } else { port.checked_add(1)? };
    Some(join(host, port))
}

/// What can be bound: an empty host, as in `:8200`, is any address.
pub(crate) fn bindable(address: &str) -> Option<String> {
    let (host, port) = split(address)?;
    Some(join(if host.is_empty() { "0.0.0.0" } else { host }, port))
}

/// `host:port`, with brackets around an IPv6 host.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What others can call: a bound address whose host is "any" gets this machine's address instead.
pub(crate) fn reachable(address: &str) -> Option<String> {
    let (host, port) = split(address)?;
    let is_any = host.is_empty() || host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    if !is_any {
        return Some(join(host, port));
    }
    Some(join(&outward_address(host.contains(':')).to_string(), port))
}

/// The address this machine would use to reach the outside. Nothing is sent: connecting a datagram socket only asks the
/// routing table. The far end is from the documentation networks (RFC 5737, RFC 3849).
fn outward_address(is_v6: bool) -> IpAddr {
    let (local, far, fallback): (IpAddr, IpAddr, IpAddr) = if is_v6 {
        (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::LOCALHOST.into(),
        )
    } else {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into())
    };
    let ask = || {
        let socket = UdpSocket::bind((local, 0)).ok()?;
        socket.connect((far, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    ask().unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(split("127.0.0.1:8200"), Some(("127.0.0.1", 8200)));
        assert_eq!(split("[::1]:8200"), Some(("::1", 8200)));
        assert_eq!(split(":8200"), Some(("", 8200)));
        for wrong in ["::1:8200", "host", "host:port", "host:70000"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
        assert_eq!(next_port("[::1]:8200").as_deref(), Some("[::1]:8201"));
        assert_eq!(next_port("a:0").as_deref(), Some("a:0"));
        assert_eq!(next_port("a:65535"), None);
    }

    #[test]
    fn a_bound_address_that_others_cannot_call_is_replaced() {
        assert_eq!(reachable("10.1.2.3:8200").as_deref(), Some("10.1.2.3:8200"));
        assert!(!reachable("0.0.0.0:8200").unwrap().starts_with("0.0.0.0"));
    }
}
