//! Whether the ports are free, before anything is started.

use std::net::{Ipv4Addr, TcpListener};

use super::Node;
use super::error::QuickstartError;

/// Fails with the first port that somebody uses.
pub(super) fn check(nodes: &[Node]) -> Result<(), QuickstartError> {
    let ports = nodes.iter().flat_map(|node| [node.api_port, node.cluster_port()]);
    for port in ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|_| QuickstartError::PortInUse { port })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let node = Node { name: "node1".into(), api_port: port };
        assert!(matches!(check(&[node]), Err(QuickstartError::PortInUse { port: named }) if named == port));
    }
}
