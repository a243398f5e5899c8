//! A network of its own for a cluster: each node in a namespace, and a switch in this process that carries every packet.
//!
//! It needs root and `/dev/net/tun`, and no bridge, filter or queueing discipline of the kernel: what a link does to its
//! packets is decided here, by directed link and from a seed. What surprises: nothing of it outlives the process. The
//! namespaces and devices have no names on disk and vanish with their last file descriptor, however the process ends.

mod capture;
mod link;
mod switch;
mod tun;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

pub use link::{Fate, Link};
pub use switch::{Counts, Switch};

/// Networks that are tried before giving up.
const TRIES: u32 = 16;

/// A switch with a namespace on each of its ports, and this process on the last.
pub struct Network {
    switch: Switch,
    addresses: Vec<Ipv4Addr>,
    namespaces: Vec<Arc<OwnedFd>>,
}

impl Network {
    /// Whether this machine lets it be made; the reason if not.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn probe() -> Result<(), String> {
        let made = tun::node(Ipv4Addr::new(198, 18, 0, 1));
        made.map(drop).map_err(|error| format!("network namespaces and /dev/net/tun need root: {error}"))
    }

    /// Makes one for so many nodes. With a `folder` every packet is written to a file of its directed link there.
    ///
    /// # Errors
    /// What the system says, such as that it wants privileges.
    pub fn start(nodes: usize, seed: u64, folder: Option<&Path>) -> io::Result<Self> {
        let mut last = io::Error::other("no network was tried");
        for _ in 0..TRIES {
            match tun::host(rand::random()) {
                Ok(host) => return Self::around(host, nodes, seed, folder),
                // Taken by another cluster on this machine.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn around(host: tun::Host, nodes: usize, seed: u64, folder: Option<&Path>) -> io::Result<Self> {
        let addresses: Vec<_> = (0..nodes).map(|node| host.address_of(node)).collect();
        let mut devices = Vec::new();
        let mut namespaces = Vec::new();
        for address in &addresses {
            let made = tun::node(*address)?;
            devices.push((*address, made.device));
            namespaces.push(Arc::new(made.namespace));
        }
        devices.push((host.address, host.device));
        let switch = Switch::start(devices, seed, folder)?;
        Ok(Self { switch, addresses, namespaces })
    }

    /// The address of each node.
    pub fn addresses(&self) -> &[Ipv4Addr] {
        &self.addresses
    }

    /// The namespace that a node's process must enter.
    pub fn namespace(&self, node: usize) -> Arc<OwnedFd> {
        Arc::clone(&self.namespaces[node])
    }

    /// The port of this process, where clients are.
    pub fn clients(&self) -> usize {
        self.addresses.len()
    }

    /// What carries the packets.
    pub fn switch(&self) -> &Switch {
        &self.switch
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Answers one connection after the other within a namespace, with what it was sent, for as long as the test runs.
    fn echo_within(namespace: Arc<OwnedFd>, address: SocketAddrV4) {
        let (ready, is_ready) = channel();
        thread::spawn(move || {
            // SAFETY: it takes no pointers, and changes the namespace of this thread only.
            assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            let listener = TcpListener::bind(address).unwrap();
            ready.send(()).unwrap();
            for mut socket in listener.incoming().flatten() {
                let mut word = [0; 5];
                if socket.read_exact(&mut word).is_ok() {
                    let _ = socket.write_all(&word);
                }
            }
        });
        is_ready.recv().unwrap();
    }

    fn ask(address: Ipv4Addr, patience: Duration) -> io::Result<[u8; 5]> {
        let mut socket = TcpStream::connect_timeout(&SocketAddrV4::new(address, 9_000).into(), patience)?;
        socket.set_read_timeout(Some(patience))?;
        socket.write_all(b"hello")?;
        let mut word = [0; 5];
        socket.read_exact(&mut word).map(|()| word)
    }

    /// Without privileges there is nothing to be tested; a run says so by itself.
    #[test]
    fn a_cut_link_is_silence_and_a_mended_one_carries_again() {
        if Network::probe().is_err() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let network = Network::start(2, 1, Some(folder.path())).unwrap();
        let (address, clients) = (network.addresses()[0], network.clients());
        echo_within(network.namespace(0), SocketAddrV4::new(address, 9_000));
        let patience = Duration::from_secs(60);
        assert_eq!(&ask(address, patience).unwrap(), b"hello");
        assert!(network.switch().counts()[clients][0].carried > 0);
        assert_eq!(network.switch().lost(), 0);

        network.switch().change(|from, to, link| link.is_cut |= (from, to) == (0, clients));
        assert!(ask(address, Duration::from_millis(500)).is_err(), "an answer passed a cut");
        assert!(network.switch().lost() > 0);
        network.switch().mend();
        assert_eq!(&ask(address, patience).unwrap(), b"hello");

        drop(network);
        let packets = std::fs::read(folder.path().join("port0-to-port2.pcap")).unwrap();
        assert!(packets.windows(5).any(|window| window == b"hello"), "the packets were not written down");
    }
}
