//! Lines over a socket: TCP, a socket of this machine, or UDP with one datagram for each line.

use std::net::UdpSocket;
use std::time::Duration;

use super::network::{Connection, Reach, ReceiverPlace};
use super::output::{Output, Stream, joined};

/// How lines are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Host and port, or a path.
    pub(super) address: String,
    pub(super) transport: Transport,
    /// For connecting, and for sending a group of lines.
    pub(super) time: Duration,
}

/// What carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
    Unix,
}

/// Connects.
pub(super) fn open(socket: &Socket, reach: &Reach) -> Result<Box<dyn Output>, String> {
    let place = match socket.transport {
        Transport::Udp => return udp(&socket.address, reach),
        Transport::Tcp => ReceiverPlace::Tcp(socket.address.clone()),
        Transport::Unix => ReceiverPlace::Unix(socket.address.clone()),
    };
    let mut connection = Connection::open(place, reach, socket.time)?;
    Ok(Box::new(Stream::new(move |lines: &[Vec<u8>]| connection.send(&joined(lines)))))
}

fn udp(address: &str, reach: &Reach) -> Result<Box<dyn Output>, String> {
    let socket = connected_udp(address, reach)?;
    Ok(Box::new(Stream::new(move |lines: &[Vec<u8>]| {
        lines.iter().try_for_each(|line| socket.send(line).map(drop)).map_err(|error| format!("a datagram: {error}"))
    })))
}

/// A socket that sends to one address.
pub(super) fn connected_udp(address: &str, reach: &Reach) -> Result<UdpSocket, String> {
    let receiver = reach.resolve(address)?;
    let own = if receiver.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).and_then(|socket| socket.connect(receiver).map(|()| socket));
    socket.map_err(|error| format!("a socket for datagrams: {error}"))
}
