//! Network namespaces and the devices through which this process carries their packets.
//!
//! What surprises: a namespace belongs to a thread until it is kept by a file descriptor, so each is made on a thread of
//! its own, which ends at once.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::thread;

/// Bytes of a packet at most. Larger than on a real wire, because this process touches each packet.
const MTU_BYTES: u32 = 9_000;
/// The last byte of this process's address.
const HOST_BYTE: u8 = 254;

/// A node's end of the network.
pub(super) struct NodeEnd {
    pub(super) device: File,
    pub(super) namespace: OwnedFd,
}

/// This process's end of the network.
pub(super) struct Host {
    pub(super) address: Ipv4Addr,
    pub(super) device: File,
}

impl Host {
    /// The address of a node of its network.
    pub(super) fn address_of(&self, node: usize) -> Ipv4Addr {
        let [first, second, third, _] = self.address.octets();
        Ipv4Addr::new(first, second, third, u8::try_from(node + 1).unwrap_or(u8::MAX))
    }
}

/// Opens a device in the namespace of this process, with a network of 198.18.0.0/15, which is set apart for measuring
/// networks (RFC 2544). `EBUSY` if that network is in use on this machine.
pub(super) fn host(number: u8) -> io::Result<Host> {
    let name = format!("cj{number}");
    let address = Ipv4Addr::new(198, 19, number, HOST_BYTE);
    let device = open(&name)?;
    configure(&name, address)?;
    Ok(Host { address, device })
}

/// Makes a namespace with one device of this address in it.
pub(super) fn node(address: Ipv4Addr) -> io::Result<NodeEnd> {
    let making = thread::spawn(move || {
        // SAFETY: it takes no pointers, and changes the namespace of this thread only, which ends below.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let device = open("eth0")?;
        configure("eth0", address)?;
        ip(&["link", "set", "lo", "up"])?;
        Ok(NodeEnd { device, namespace: File::open("/proc/thread-self/ns/net")?.into() })
    });
    making.join().map_err(|_| io::Error::other("the thread that makes a namespace panicked"))?
}

fn open(name: &str) -> io::Result<File> {
    let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: all fields are numbers and arrays of numbers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and the call reads and writes the structure, which outlives it.
    if unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(device)
}

fn configure(name: &str, address: Ipv4Addr) -> io::Result<()> {
    ip(&["address", "add", &format!("{address}/24"), "dev", name])?;
    ip(&["link", "set", name, "mtu", &MTU_BYTES.to_string(), "up"])
}

/// Runs `ip` in the namespace of the calling thread.
fn ip(arguments: &[&str]) -> io::Result<()> {
    let done = Command::new("ip").args(arguments).output();
    let done = done.map_err(|error| io::Error::new(error.kind(), format!("ip (of iproute2): {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), words.trim())))
}
