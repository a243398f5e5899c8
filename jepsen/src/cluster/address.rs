//! Addresses that no other cluster on this machine uses.
//!
//! Linux routes all of 127.0.0.0/8 to loopback, so each cluster takes a network of its own there (127.x.y.0/24) and its
//! nodes the usual ports. That also keeps a dead node's port from being taken by an outgoing connection before the
//! node is back. Where only 127.0.0.1 exists, the kernel is asked for free ports instead.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use super::error::ClusterError;

/// Most nodes of a cluster.
const MAX_NODES: usize = 99;
/// Networks that are tried before giving up.
const TRIES: u32 = 32;

/// Where one node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// For clients.
    pub(super) api: SocketAddrV4,
    /// For other nodes.
    pub(super) cluster: SocketAddrV4,
    /// Where other nodes are told to find it, if a proxy stands in front.
    pub(super) door: SocketAddrV4,
}

/// Chooses a place for each node.
pub(super) fn choose(nodes: usize) -> Result<Vec<Place>, ClusterError> {
    if nodes == 0 || nodes > MAX_NODES {
        let reason = format!("a cluster has 1 to {MAX_NODES} nodes, not {nodes}");
        return Err(ClusterError::Addresses(io::Error::other(reason)));
    }
    let mut last = None;
    for _ in 0..TRIES {
        let places = network(rand::random(), nodes);
        match hold(&places) {
            Ok(_) => return Ok(places),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                return kernel_ports(nodes).map_err(ClusterError::Addresses);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(ClusterError::Addresses(last.unwrap_or_else(|| io::Error::other("no network was tried"))))
}

/// The places of a network, whose second and third byte come from `number`.
fn network(number: u16, nodes: usize) -> Vec<Place> {
    let [high, low] = number.to_be_bytes();
    // 127.0.0.0/16 and 127.255.0.0/16 hold addresses that others use.
    let high = high.clamp(1, 254);
    let hosts = (1..=MAX_NODES).take(nodes).map(|host| u8::try_from(host).expect("a cluster has at most 99 nodes"));
    own(&hosts.map(|host| Ipv4Addr::new(127, high, low, host)).collect::<Vec<_>>())
}

/// Binds every place, which shows that all are free.
fn hold(places: &[Place]) -> io::Result<Vec<TcpListener>> {
    places.iter().flat_map(|place| [place.api, place.cluster, place.door]).map(TcpListener::bind).collect()
}

/// The usual ports of addresses that nobody else has.
pub(super) fn own(addresses: &[Ipv4Addr]) -> Vec<Place> {
    let at = |address, port| SocketAddrV4::new(address, port);
    let place =
        |address: &Ipv4Addr| Place { api: at(*address, 8200), cluster: at(*address, 8201), door: at(*address, 8202) };
    addresses.iter().map(place).collect()
}

/// Ports of 127.0.0.1 that are free now. All are held until the last is known, so that they differ.
fn kernel_ports(nodes: usize) -> io::Result<Vec<Place>> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let port = |listener: &TcpListener| Ok::<_, io::Error>(listener.local_addr()?.port());
    let held = (0..nodes).map(|_| Ok([bind()?, bind()?, bind()?])).collect::<io::Result<Vec<_>>>()?;
    let place = |[api, cluster, door]: &[TcpListener; 3]| {
        let at = |listener| Ok::<_, io::Error>(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port(listener)?));
        Ok(Place { api: at(api)?, cluster: at(cluster)?, door: at(door)? })
    };
    held.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_one_cluster_have_different_places() {
        for places in [choose(5).unwrap(), kernel_ports(5).unwrap()] {
            let mut all: Vec<_> = places.iter().flat_map(|place| [place.api, place.cluster, place.door]).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 15);
        }
    }

    #[test]
    fn a_network_in_use_is_not_chosen() {
        let places = network(0x5301, 1);
        let _held = hold(&places).unwrap();
        assert_eq!(hold(&places).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_cluster_without_nodes_is_refused() {
        assert!(choose(0).is_err());
    }
}
