//! Lines as messages of syslog: RFC 5424 over UDP (RFC 5426), TCP with octet counting (RFC 6587) and TLS (RFC 5425), the old
//! format on the machine's own socket, and journald's own.
//!
//! Receivers cut what is too long (rsyslog at 8,096 bytes, losing a byte at each cut), so a long line is sent in parts, each a
//! message with its header. What surprises: on `/dev/log` the new format loses identifier and pid, and so does the old
//! one with a host name, so there it is sent without one.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use conclave_cli::audit_chain::split;
use jiff::Timestamp;

use super::network::{Connection, Reach, ReceiverPlace};
use super::output::{Output, Stream};
use super::socket::connected_udp;
use crate::config::limits::MAX_SYSLOG_MESSAGE_BYTES;

/// The machine's own socket.
const LOCAL: &str = "/dev/log";
/// The journal's.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Room for the header of a message, in bytes.
const HEADER_BYTES: usize = 512;
/// Severity of a record: informational.
const INFORMATIONAL: u8 = 6;
/// The facilities by number (RFC 5424, section 6.2.1).
const FACILITIES: [&str; 24] = [
    "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP", "NTP",
    "AUDIT", "ALERT", "CLOCK", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7",
];

/// How messages look and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Syslog {
    pub(super) facility: u8,
    pub(super) tag: String,
    pub(super) receiver: Receiver,
    pub(super) time: Duration,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// The journal if there is one, or else the machine's own socket.
    Local,
    /// A socket of this machine.
    Unix(String),
    Udp(String),
    Stream(ReceiverPlace),
}

/// The number of a facility.
pub(super) fn facility(name: &str) -> Option<u8> {
    let at = FACILITIES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    u8::try_from(at).ok()
}

/// Connects.
pub(super) fn open(syslog: &Syslog, reach: &Reach) -> Result<Box<dyn Output>, String> {
    let format = Messages { syslog: syslog.clone(), host: host() };
    match &syslog.receiver {
        Receiver::Local if Path::new(JOURNAL).exists() => {
            datagrams(JOURNAL, syslog.time, move |line| format.journal(line))
        }
        Receiver::Local => datagrams(LOCAL, syslog.time, move |line| format.local(line)),
        Receiver::Unix(path) => datagrams(path, syslog.time, move |line| format.local(line)),
        Receiver::Udp(address) => {
            let socket = connected_udp(address, reach)?;
            Ok(Box::new(Stream::new(move |lines: &[Vec<u8>]| {
                send_each(lines, |line| format.modern(line), |message| UdpSocket::send(&socket, message))
            })))
        }
        Receiver::Stream(place) => {
            let mut connection = Connection::open(place.clone(), reach, syslog.time)?;
            Ok(Box::new(Stream::new(move |lines: &[Vec<u8>]| {
                let messages = lines.iter().flat_map(|line| format.modern(line));
                let frames = messages.map(|message| [format!("{} ", message.len()).as_bytes(), &message].concat());
                connection.send(&frames.collect::<Vec<_>>().concat())
            })))
        }
    }
}

fn datagrams(
    path: &str,
    time: Duration,
    format: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> Result<Box<dyn Output>, String> {
    let socket = UnixDatagram::unbound().and_then(|socket| {
        socket.connect(path)?;
        socket.set_write_timeout(Some(time))?;
        Ok(socket)
    });
    let socket = socket.map_err(|error| format!("the socket {path}: {error}"))?;
    Ok(Box::new(Stream::new(move |lines: &[Vec<u8>]| {
        send_each(lines, &format, |message| UnixDatagram::send(&socket, message))
    })))
}

fn send_each(
    lines: &[Vec<u8>],
    format: impl Fn(&[u8]) -> Vec<Vec<u8>>,
    send: impl Fn(&[u8]) -> std::io::Result<usize>,
) -> Result<(), String> {
    let mut messages = lines.iter().flat_map(|line| format(line));
    messages.try_for_each(|message| send(&message).map(drop)).map_err(|error| format!("a message: {error}"))
}

/// Makes messages of lines.
struct Messages {
    syslog: Syslog,
    host: String,
}

impl Messages {
    fn priority(&self) -> u8 {
        self.syslog.facility * 8 + INFORMATIONAL
    }

    /// RFC 5424. A part names its line by what it ends with, which is its link in the chain, and says which part it is.
    fn modern(&self, line: &[u8]) -> Vec<Vec<u8>> {
        let Self { host, syslog } = self;
        let (priority, tag, pid) = (self.priority(), &syslog.tag, std::process::id());
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
        parts(line, |part| match part {
            None => format!("<{priority}>1 {time} {host} {tag} {pid} audit - "),
            // The number is the one that RFC 5612 keeps for examples; no registered element says this.
            Some((id, number, of)) => {
                format!(
                    "<{priority}>1 {time} {host} {tag} {pid} audit [part@32473 id=\"{id}\" number=\"{number}\" of=\"{of}\"] "
                )
            }
        })
    }

    /// The old format, as the machine's own socket takes it: without a host. Its reader takes the time at which a message came.
    fn local(&self, line: &[u8]) -> Vec<Vec<u8>> {
        let (priority, tag, pid) = (self.priority(), &self.syslog.tag, std::process::id());
        let time = Timestamp::now().strftime("%b %e %H:%M:%S").to_string();
        parts(line, |part| format!("<{priority}>{time} {tag}[{pid}]: {}", shown(part)))
    }

    /// The journal's own format: one field a line.
    fn journal(&self, line: &[u8]) -> Vec<Vec<u8>> {
        let (tag, pid) = (&self.syslog.tag, std::process::id());
        let fields = format!(
            "PRIORITY={INFORMATIONAL}\nSYSLOG_FACILITY={}\nSYSLOG_IDENTIFIER={tag}\nSYSLOG_PID={pid}\nMESSAGE=",
            self.syslog.facility
        );
        let ended = |mut message: Vec<u8>| {
            message.push(b'\n');
            message
        };
        parts(line, |part| format!("{fields}{}", shown(part))).into_iter().map(ended).collect()
    }
}

/// Which part of a line a message is: the line's id, the part's number from 1, and how many there are.
type Part<'l> = Option<(&'l str, usize, usize)>;

fn shown(part: Part<'_>) -> String {
    part.map(|(id, number, of)| format!("[part {number}/{of} of {id}] ")).unwrap_or_default()
}

/// A line in as many messages as it needs, each behind its header. Parts end between characters.
fn parts(line: &[u8], header: impl Fn(Part<'_>) -> String) -> Vec<Vec<u8>> {
    let whole = [header(None).as_bytes(), line].concat();
    if whole.len() <= MAX_SYSLOG_MESSAGE_BYTES {
        return vec![whole];
    }
    let text = String::from_utf8_lossy(line);
    let (mut pieces, mut rest) = (Vec::new(), &*text);
    while !rest.is_empty() {
        let mut end = rest.len().min(MAX_SYSLOG_MESSAGE_BYTES - HEADER_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, more) = rest.split_at(end);
        pieces.push(piece);
        rest = more;
    }
    let id =
        split(line).map_or_else(String::new, |(_, link)| format!("{}-{}", hex::encode(&link.id[..4]), link.number));
    let part =
        |(at, piece): (usize, &&str)| format!("{}{piece}", header(Some((&id, at + 1, pieces.len())))).into_bytes();
    pieces.iter().enumerate().map(part).collect()
}

/// This machine's name; `-` stands for none (RFC 5424, section 6.2.4).
fn host() -> String {
    let name = crate::host::name();
    let is_plain = !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if is_plain { name } else { "-".to_owned() }
}
