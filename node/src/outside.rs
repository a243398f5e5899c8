//! Messages to what is outside the cluster: databases, directories, other servers.
//!
//! Each way there, such as a protocol, is registered by a word. What surprises: bounds
//! are per target and not for all together, so a target that hangs keeps its own few places for as long as a message may take,
//! and nobody else waits for it. Of the places at a target and before it one source of requests has half at most: strangers who
//! log in with what they made up are sent there too, and must not keep out everybody else.

mod address;
pub(crate) mod directory;
pub(crate) mod web;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_raft::admission::Source;
use conclave_vault::OutsideCall;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::config::Limits;

/// Takes messages to where they belong.
pub trait Way: Send + Sync + 'static {
    /// What the target answers, or why it does not; the reason is for people and holds no value of the message. Dropping the
    /// future gives the message up, which may have arrived all the same.
    fn reach<'a>(&'a self, target: &'a str, message: &'a [u8]) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, String>>;

    /// The time that a message may take, if the way knows better than what is usual.
    fn time(&self, _message: &[u8]) -> Option<Duration> {
        None
    }

    /// An answer from before that will do. It is asked for first, without a place at the target.
    fn kept(&self, _message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

/// All ways of this node.
pub struct Ways {
    ways: RwLock<BTreeMap<&'static str, Arc<dyn Way>>>,
    targets: Mutex<HashMap<String, Arc<Target>>>,
    at_target: usize,
    waiting: usize,
    most_targets: usize,
    time: Duration,
}

/// The places at one target.
struct Target {
    places: Semaphore,
    /// How many messages each source has there.
    sources: Mutex<HashMap<Source, usize>>,
}

/// A message's stay at its target. The last one takes the target out of the list.
struct Stay<'w> {
    ways: &'w Ways,
    name: String,
    source: Option<Source>,
    target: Arc<Target>,
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            let mut sources = self.target.sources.lock();
            let left = sources.get(&source).map_or(0, |own| own.saturating_sub(1));
            if left == 0 { _ = sources.remove(&source) } else { _ = sources.insert(source, left) }
        }
        let mut targets = self.ways.targets.lock();
        // The list's own and this one.
        if Arc::strong_count(&self.target) <= 2 {
            targets.remove(&self.name);
        }
    }
}

impl Ways {
    /// Without any way.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            ways: RwLock::default(),
            targets: Mutex::default(),
            at_target: limits.outside_at_target,
            waiting: limits.outside_waiting,
            most_targets: limits.outside_targets,
            time: limits.outside_time,
        }
    }

    /// Registers a way under a word.
    pub fn open(&self, word: &'static str, way: Arc<dyn Way>) {
        self.ways.write().insert(word, way);
    }

    /// Has a message of the node itself answered by its target, in its turn and in time.
    pub(crate) async fn reach(&self, outside: &OutsideCall, deadline: Instant) -> Result<Zeroizing<Vec<u8>>, String> {
        self.reach_for(None, outside, deadline).await
    }

    /// The same for a request from an address.
    pub(crate) async fn reach_for(
        &self,
        client: Option<IpAddr>,
        outside: &OutsideCall,
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let way = self.ways.read().get(outside.way).cloned();
        let way = way.ok_or_else(|| format!("this node knows no way by {}", outside.way))?;
        if let Some(answer) = way.kept(&outside.message) {
            return Ok(answer);
        }
        let stay = self.enter(&format!("{} {}", outside.way, outside.target), client.map(Source::from))?;
        let place = timeout_at(deadline, stay.target.places.acquire()).await;
        let _place = place.map_err(|_| "there was no time for it, as it has others to answer")?;
        let end = deadline.min(Instant::now() + way.time(&outside.message).unwrap_or(self.time));
        let answer = timeout_at(end, way.reach(&outside.target, &outside.message)).await;
        answer.unwrap_or_else(|_| Err("it did not answer in time".into()))
    }

    fn enter(&self, name: &str, source: Option<Source>) -> Result<Stay<'_>, String> {
        let mut targets = self.targets.lock();
        if !targets.contains_key(name) && targets.len() >= self.most_targets {
            return Err("too many targets have messages; try again in a moment".into());
        }
        let new = || Arc::new(Target { places: Semaphore::new(self.at_target), sources: Mutex::default() });
        let target = Arc::clone(targets.entry(name.to_owned()).or_insert_with(new));
        // The list's own is no message.
        if Arc::strong_count(&target) - 1 > self.at_target + self.waiting {
            return Err("too many messages wait for it; try again in a moment".into());
        }
        if let Some(source) = source {
            let mut sources = target.sources.lock();
            let own = sources.entry(source).or_default();
            if *own >= (self.at_target + self.waiting).div_ceil(2) {
                return Err("too many messages for this client wait for it; try again in a moment".into());
            }
            *own += 1;
        }
        Ok(Stay { ways: self, name: name.to_owned(), source, target })
    }
}

#[cfg(test)]
pub(crate) mod tests;
