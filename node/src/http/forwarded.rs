//! `X-Forwarded-For`: who asks, when a proxy asks for somebody. Counts only from peers that the listener names.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::config::Forwarded;

/// Why a request is refused; the texts are for clients and hold no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardedError {
    /// The header is demanded.
    #[error("the x-forwarded-for header is missing and this listener demands it")]
    Absent,
    /// The peer may not send it.
    #[error("this peer is not authorized to send x-forwarded-for")]
    Unauthorized,
    /// Not a list of addresses, or too short for the hops to skip.
    #[error("the x-forwarded-for header is malformed or shorter than the hops to skip")]
    Malformed,
}

/// The client's address. Without a list of peers the header is ignored.
pub fn client(peer: SocketAddr, headers: &HeaderMap, rules: &Forwarded) -> Result<SocketAddr, ForwardedError> {
    if rules.authorized.is_empty() {
        return Ok(peer);
    }
    let mut chain = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        let text = value.to_str().map_err(|_| ForwardedError::Malformed)?;
        chain.extend(text.split(',').map(str::trim));
    }
    if chain.is_empty() {
        return if rules.rejects_absent { Err(ForwardedError::Absent) } else { Ok(peer) };
    }
    if !rules.authorized.iter().any(|network| network.contains(peer.ip())) {
        return if rules.rejects_unauthorized { Err(ForwardedError::Unauthorized) } else { Ok(peer) };
    }
    let position = chain.len().checked_sub(1).and_then(|last| last.checked_sub(rules.hop_skips));
    let text = position.and_then(|position| chain.get(position)).ok_or(ForwardedError::Malformed)?;
    let address = address(text).ok_or(ForwardedError::Malformed)?;
    Ok(SocketAddr::new(address, peer.port()))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_vault::Cidr;

    fn ask(peer: &str, header: Option<&str>, hop_skips: usize, rejects: bool) -> Result<String, ForwardedError> {
        let mut headers = HeaderMap::new();
        if let Some(text) = header {
            headers.insert("x-forwarded-for", text.parse().unwrap());
        }
        let authorized = vec![Cidr::parse("10.0.0.0/8").unwrap()];
        let rules = Forwarded { authorized, hop_skips, rejects_absent: rejects, rejects_unauthorized: rejects };
        client(peer.parse().unwrap(), &headers, &rules).map(|client| client.ip().to_string())
    }

    #[test]
    fn only_a_listed_peer_is_believed() {
        // check 34
        assert_eq!(ask("10.1.1.1:9", Some("1.2.3.4"), 0, true).as_deref(), Ok("1.2.3.4"));
        assert_eq!(ask("11.1.1.1:9", Some("1.2.3.4"), 0, false).as_deref(), Ok("11.1.1.1"));
        assert_eq!(ask("11.1.1.1:9", Some("1.2.3.4"), 0, true), Err(ForwardedError::Unauthorized));
        assert_eq!(ask("10.1.1.1:9", None, 0, true), Err(ForwardedError::Absent));
        assert_eq!(ask("10.1.1.1:9", None, 0, false).as_deref(), Ok("10.1.1.1"));
    }

    #[test]
    fn hops_are_skipped_from_the_end() {
        assert_eq!(ask("10.1.1.1:9", Some("6.6.6.6, 1.2.3.4, 10.0.0.2"), 1, true).as_deref(), Ok("1.2.3.4"));
        assert_eq!(ask("10.1.1.1:9", Some("1.2.3.4"), 1, true), Err(ForwardedError::Malformed));
        assert_eq!(ask("10.1.1.1:9", Some("nobody"), 0, true), Err(ForwardedError::Malformed));
        assert_eq!(ask("10.1.1.1:9", Some("[2001:db8::1]:443"), 0, true).as_deref(), Ok("2001:db8::1"));
    }

    #[test]
    fn without_a_list_the_header_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.2.3.4".parse().unwrap());
        let peer = "9.9.9.9:1".parse().unwrap();
        assert_eq!(client(peer, &headers, &Forwarded::default()), Ok(peer));
    }
}
