//! Fair shares of what strangers may hold open: connections, handshakes, bodies that arrive.
//!
//! A limit that is first come, first served is a weapon: whoever holds all of it, and does nothing, shuts everybody
//! else out. So a [`Pool`] that is full turns nobody away: it takes from the source that holds most, and of that
//! source what has been idle longest. A stranger who floods it competes with nobody but himself, and an honest client
//! at the same address is out only if it is slower than the flood.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// Who counts as one source: an IPv4 address, or an IPv6 network of 64 bits, which is what one site gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

/// Something bounded, in units that its user chooses, of which each source holds shares.
pub struct Pool {
    most: usize,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    /// Never above `most`.
    held: usize,
    next: u64,
    shares: HashMap<u64, Holding>,
    sources: HashMap<Source, Holdings>,
    /// The sources that have something to take, the one to take from first at the end.
    ranking: BTreeSet<Rank>,
}

struct Holding {
    source: Source,
    size: usize,
    /// Since when it is idle; what is idle longest goes first.
    since: Instant,
    /// While somebody holds it, it is not taken away.
    holds: usize,
    taken: watch::Sender<bool>,
}

/// What one source has.
#[derive(Default)]
struct Holdings {
    size: usize,
    /// Such as a node that is known: it loses a share only when nobody else has one.
    is_preferred: bool,
    /// Its shares that nobody holds, longest idle first.
    idle: BTreeSet<(Instant, u64)>,
    rank: Option<Rank>,
}

/// Strangers before those who are preferred, then the size, then the age of the oldest share.
type Rank = (bool, usize, Reverse<(Instant, u64)>, Source);

/// A part of a pool, given back when dropped.
pub struct Share {
    pool: Arc<Pool>,
    source: Source,
    number: u64,
    taken: watch::Receiver<bool>,
}

/// Keeps a share from being taken away; see [`Share::hold`].
pub struct Hold(Arc<Share>);

impl Pool {
    /// A pool of so many units.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// A share of so many units, taken from others if there is no room; `None` if nothing can be taken fairly.
    pub fn enter(self: &Arc<Self>, source: impl Into<Source>, size: usize) -> Option<Share> {
        self.admit(source.into(), size, false)
    }

    /// A share for a source that comes before all strangers.
    pub fn enter_preferred(self: &Arc<Self>, source: impl Into<Source>, size: usize) -> Option<Share> {
        self.admit(source.into(), size, true)
    }

    fn admit(self: &Arc<Self>, source: Source, size: usize, is_preferred: bool) -> Option<Share> {
        let mut state = self.state.lock();
        state.sources.entry(source).or_default().is_preferred |= is_preferred;
        if !state.make_room(self.most, source, size, None) {
            state.rank(source);
            return None;
        }
        let number = state.next;
        state.next += 1;
        let (taking, taken) = watch::channel(false);
        state.held += size;
        let since = Instant::now();
        state.shares.insert(number, Holding { source, size, since, holds: 0, taken: taking });
        let holdings = state.sources.entry(source).or_default();
        holdings.is_preferred |= is_preferred;
        holdings.size += size;
        holdings.idle.insert((since, number));
        state.rank(source);
        Some(Share { pool: self.clone(), source, number, taken })
    }

    /// The units that are held.
    pub fn held(&self) -> usize {
        self.state.lock().held
    }
}

impl PoolState {
    /// Makes room for so many more units of a source, if need be by taking shares away, but never the share `own`.
    fn make_room(&mut self, most: usize, source: Source, added: usize, own: Option<u64>) -> bool {
        while self.held + added > most {
            let wanted = self.sources.get(&source).map_or(0, |holdings| holdings.size) + added;
            let prefers_source = self.sources.get(&source).is_some_and(|holdings| holdings.is_preferred);
            let Some((is_stranger, size, Reverse((_, oldest)), _)) = self.ranking.last().copied() else { return false };
            let victim = match (is_stranger, prefers_source) {
                (true, true) => oldest,
                // A stranger takes nothing from a node that is known, and nobody from one who has less.
                (false, false) => return false,
                _ if wanted > size => match self.oldest_of(source) {
                    Some(oldest) => oldest,
                    None => return false,
                },
                _ => oldest,
            };
            if Some(victim) == own {
                return false;
            }
            if let Some(entry) = self.remove(victim) {
                // Whoever let go of it already does not mind.
                let _ = entry.taken.send(true);
            }
        }
        true
    }

    fn oldest_of(&self, source: Source) -> Option<u64> {
        self.sources.get(&source)?.idle.first().map(|(_, number)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Holding> {
        let entry = self.shares.remove(&number)?;
        self.held -= entry.size;
        if let Some(holdings) = self.sources.get_mut(&entry.source) {
            holdings.size -= entry.size;
            holdings.idle.remove(&(entry.since, number));
        }
        self.rank(entry.source);
        Some(entry)
    }

    /// Puts a source where it belongs in the ranking, and forgets one that has nothing.
    fn rank(&mut self, source: Source) {
        let Some(holdings) = self.sources.get_mut(&source) else { return };
        let oldest = holdings.idle.first().copied();
        let rank = oldest.map(|oldest| (!holdings.is_preferred, holdings.size, Reverse(oldest), source));
        let before = std::mem::replace(&mut holdings.rank, rank);
        let is_empty = holdings.size == 0 && rank.is_none();
        if let Some(before) = before {
            self.ranking.remove(&before);
        }
        if let Some(rank) = rank {
            self.ranking.insert(rank);
        }
        if is_empty {
            self.sources.remove(&source);
        }
    }

    /// Changes one share; nothing if it was taken away.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Holding)) {
        let Some(entry) = self.shares.get_mut(&number) else { return };
        let (source, before) = (entry.source, (entry.since, number));
        change(entry);
        let (after, is_idle) = ((entry.since, number), entry.holds == 0);
        if let Some(holdings) = self.sources.get_mut(&source) {
            holdings.idle.remove(&before);
            if is_idle {
                holdings.idle.insert(after);
            }
        }
        self.rank(source);
    }
}

impl Share {
    /// Ends when the share was taken away; its user must let go at once.
    pub async fn taken(&self) {
        // The other end goes only with this share, or says so first.
        let _ = self.taken.clone().wait_for(|taken| *taken).await;
    }

    /// Makes it so many units; `false`, and unchanged, if that is not possible or the share is gone.
    pub fn resize(&self, size: usize) -> bool {
        let mut state = self.pool.state.lock();
        let Some(before) = state.shares.get(&self.number).map(|entry| entry.size) else { return false };
        let added = size.saturating_sub(before);
        if added > 0 && !state.make_room(self.pool.most, self.source, added, Some(self.number)) {
            return false;
        }
        state.held = state.held + size - before;
        if let Some(entry) = state.shares.get_mut(&self.number) {
            entry.size = size;
        }
        if let Some(holdings) = state.sources.get_mut(&self.source) {
            holdings.size = holdings.size + size - before;
        }
        state.rank(self.source);
        true
    }

    /// Keeps it from being taken away for as long as the answer lives, after which it counts as just used.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.pool.state.lock().change(self.number, |entry| entry.holds += 1);
        Hold(self.clone())
    }

    /// Since when nobody holds it; `None` while somebody does, or if it is gone.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.pool.state.lock();
        state.shares.get(&self.number).filter(|entry| entry.holds == 0).map(|entry| entry.since)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pool.state.lock().remove(self.number);
    }
}

impl Hold {
    /// As [`Share::resize`].
    pub fn resize(&self, size: usize) -> bool {
        self.0.resize(size)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.pool.state.lock().change(self.0.number, |entry| {
            entry.holds -= 1;
            entry.since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests;
