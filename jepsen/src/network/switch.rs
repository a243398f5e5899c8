//! Carries packets between ports, and does to each what its directed link says.
//!
//! One thread waits for packets and for the times at which delayed ones are due. It knows IPv4 addresses and nothing
//! above them; all else (IPv6's own chatter) is left lying. What surprises: a cut is silence. Connections stay open, and
//! TCP sends again what a cut swallowed, as with a cable that was pulled and put back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::capture::Capture;
use super::link::{Fate, Link};

/// Packets that are read from one port before the others have their turn.
const BURST: usize = 64;
/// Most bytes of a packet.
const MAX_PACKET_BYTES: usize = 65_536;
/// Most packets that wait to become due; more are lost, as in a switch whose buffer is full.
const MAX_WAITING: usize = 100_000;
/// The longest sleep, after which is looked whether all is over.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// What a link did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Packets that were carried, copies included.
    pub carried: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that were lost on purpose.
    pub lost: u64,
}

/// A running switch. Dropping it ends its thread and closes the devices.
pub struct Switch {
    rules: Arc<Mutex<Rules>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Rules {
    /// What links do when nothing is done to them.
    usual: Vec<Vec<Link>>,
    now: Vec<Vec<Link>>,
    counts: Vec<Vec<Counts>>,
}

impl Switch {
    /// Starts a switch over these devices; the number of each is its place.
    pub(super) fn start(devices: Vec<(Ipv4Addr, File)>, seed: u64, folder: Option<&Path>) -> io::Result<Self> {
        let size = devices.len();
        let links = vec![vec![Link::default(); size]; size];
        let counts = vec![vec![Counts::default(); size]; size];
        let rules = Arc::new(Mutex::new(Rules { usual: links.clone(), now: links, counts }));
        let is_over = Arc::new(AtomicBool::new(false));
        let capture = folder.map(Capture::new).transpose()?;
        let mut carrier = Carrier::new(devices, StdRng::seed_from_u64(seed), Arc::clone(&rules), capture);
        let ending = Arc::clone(&is_over);
        let thread = thread::Builder::new().name("switch".to_owned()).spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                carrier.turn();
            }
            carrier.finish();
        })?;
        Ok(Self { rules, is_over, thread: Some(thread) })
    }

    /// Sets what links usually do, and does that now.
    pub fn lay(&self, usual: impl Fn(usize, usize) -> Link) {
        let mut rules = self.rules();
        let size = rules.now.len();
        rules.usual = (0..size).map(|from| (0..size).map(|to| usual(from, to)).collect()).collect();
        rules.now = rules.usual.clone();
    }

    /// Changes links; those between a port and itself carry nothing anyway.
    pub fn change(&self, mut change: impl FnMut(usize, usize, &mut Link)) {
        let mut rules = self.rules();
        for (from, links) in rules.now.iter_mut().enumerate() {
            for (to, link) in links.iter_mut().enumerate().filter(|(to, _)| *to != from) {
                change(from, to, link);
            }
        }
    }

    /// Lets every link do the usual again.
    pub fn mend(&self) {
        let mut rules = self.rules();
        rules.now = rules.usual.clone();
    }

    /// What each directed link did so far, by its two ends.
    pub fn counts(&self) -> Vec<Vec<Counts>> {
        self.rules().counts.clone()
    }

    /// Packets that were lost on purpose so far.
    pub fn lost(&self) -> u64 {
        self.rules().counts.iter().flatten().map(|counts| counts.lost).sum()
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked carries nothing any more, which the run notices.
            let _ = thread.join();
        }
    }
}

fn lock(rules: &Mutex<Rules>) -> MutexGuard<'_, Rules> {
    // Each link is changed whole, so a panic elsewhere leaves valid ones.
    rules.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A packet that waits: when it is due, its number, its two ends, its bytes.
type Waiting = (Instant, u64, usize, usize, Vec<u8>);

struct Carrier {
    devices: Vec<File>,
    ports: HashMap<Ipv4Addr, usize>,
    random: StdRng,
    rules: Arc<Mutex<Rules>>,
    capture: Option<Capture>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// When the last packet of each link is due, so that later ones do not overtake it.
    last_due: HashMap<(usize, usize), Instant>,
    next: u64,
    buffer: Vec<u8>,
}

impl Carrier {
    fn new(devices: Vec<(Ipv4Addr, File)>, random: StdRng, rules: Arc<Mutex<Rules>>, capture: Option<Capture>) -> Self {
        let ports = devices.iter().enumerate().map(|(port, (address, _))| (*address, port)).collect();
        let devices = devices.into_iter().map(|(_, device)| device).collect();
        let (waiting, last_due) = (BinaryHeap::new(), HashMap::new());
        Self { devices, ports, random, rules, capture, waiting, last_due, next: 0, buffer: vec![0; MAX_PACKET_BYTES] }
    }

    /// Waits until something is to be done, and does it.
    fn turn(&mut self) {
        let now = Instant::now();
        let due = self.waiting.peek().map_or(LONGEST_SLEEP, |Reverse((due, ..))| due.saturating_duration_since(now));
        let ready = self.wait(due.min(LONGEST_SLEEP));
        for port in ready {
            self.take(port);
        }
        let now = Instant::now();
        while self.waiting.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            if let Some(Reverse((_, _, from, to, packet))) = self.waiting.pop() {
                self.deliver(from, to, &packet);
            }
        }
    }

    /// The ports that have packets, after at most `timeout`.
    fn wait(&self, timeout: Duration) -> Vec<usize> {
        let event = |device: &File| libc::pollfd { fd: device.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut polled: Vec<_> = self.devices.iter().map(event).collect();
        let seconds = libc::time_t::try_from(timeout.as_secs()).unwrap_or(0);
        let timeout = libc::timespec { tv_sec: seconds, tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32) };
        let count = polled.len() as libc::nfds_t;
        // SAFETY: the array and the time outlive the call, and the descriptors are open.
        let found = unsafe { libc::ppoll(polled.as_mut_ptr(), count, &raw const timeout, std::ptr::null()) };
        if found <= 0 {
            return Vec::new();
        }
        let ready = polled.iter().enumerate().filter(|(_, polled)| polled.revents & libc::POLLIN != 0);
        ready.map(|(port, _)| port).collect()
    }

    /// Takes packets from a port.
    fn take(&mut self, from: usize) {
        for _ in 0..BURST {
            let Ok(length) = (&self.devices[from]).read(&mut self.buffer) else { return };
            let packet = self.buffer[..length].to_vec();
            if let Some(to) = target(&packet).and_then(|address| self.ports.get(&address).copied()) {
                self.judge(from, to, packet);
            }
        }
    }

    fn judge(&mut self, from: usize, to: usize, packet: Vec<u8>) {
        let link = lock(&self.rules).now[from][to];
        let Fate::Arrives { copies, is_overtaken } = link.decide(&mut self.random) else {
            lock(&self.rules).counts[from][to].lost += 1;
            return;
        };
        let now = Instant::now();
        for time in copies {
            let mut due = now + time;
            if !is_overtaken {
                due = self.last_due.get(&(from, to)).map_or(due, |last| due.max(*last));
                self.last_due.insert((from, to), due);
            }
            if due <= now {
                self.deliver(from, to, &packet);
            } else if self.waiting.len() < MAX_WAITING {
                self.next += 1;
                self.waiting.push(Reverse((due, self.next, from, to, packet.clone())));
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, packet: &[u8]) {
        // A device that takes no more loses the packet, and TCP sends it again.
        if (&self.devices[to]).write_all(packet).is_err() {
            return;
        }
        let mut rules = lock(&self.rules);
        let counts = &mut rules.counts[from][to];
        counts.carried += 1;
        counts.bytes += packet.len() as u64;
        drop(rules);
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.write(from, to, packet)
        {
            eprintln!("packets are recorded no more: {error}");
            self.capture = None;
        }
    }

    fn finish(&mut self) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.flush()
        {
            eprintln!("the recorded packets are not complete: {error}");
        }
    }
}

/// Where an IPv4 packet is to go (RFC 791, section 3.1).
fn target(packet: &[u8]) -> Option<Ipv4Addr> {
    let is_version_4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
    let address = packet.get(16..20).filter(|_| is_version_4)?;
    <[u8; 4]>::try_from(address).ok().map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_packet_is_read_from_its_head() {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&[198, 19, 4, 2]);
        assert_eq!(target(&packet), Some(Ipv4Addr::new(198, 19, 4, 2)));
        packet[0] = 0x60;
        assert_eq!(target(&packet), None);
        assert_eq!(target(&[0x45]), None);
    }
}
