//! Messages to what is outside the cluster: databases, directories, other servers.
//!
//! Each way there, such as a protocol, is registered by a word; none ships yet, as no engine uses one. What surprises: bounds
//! are per target and not for all together, so a target that hangs keeps its own few places for as long as a message may take,
//! and nobody else waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

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
}

/// A message's stay at its target. The last one takes the target out of the list.
struct Stay<'w> {
    ways: &'w Ways,
    name: String,
    target: Arc<Target>,
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
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

    /// Has a message answered by its target, in its turn and in time.
    pub(crate) async fn reach(&self, outside: &OutsideCall, deadline: Instant) -> Result<Zeroizing<Vec<u8>>, String> {
        let way = self.ways.read().get(outside.way).cloned();
        let way = way.ok_or_else(|| format!("this node knows no way by {}", outside.way))?;
        let stay = self.enter(&format!("{} {}", outside.way, outside.target))?;
        let place = timeout_at(deadline, stay.target.places.acquire()).await;
        let _place = place.map_err(|_| "there was no time for it, as it has others to answer")?;
        let end = deadline.min(Instant::now() + self.time);
        let answer = timeout_at(end, way.reach(&outside.target, &outside.message)).await;
        answer.unwrap_or_else(|_| Err("it did not answer in time".into()))
    }

    fn enter(&self, name: &str) -> Result<Stay<'_>, String> {
        let mut targets = self.targets.lock();
        if !targets.contains_key(name) && targets.len() >= self.most_targets {
            return Err("too many targets have messages; try again in a moment".into());
        }
        let new = || Arc::new(Target { places: Semaphore::new(self.at_target) });
        let target = Arc::clone(targets.entry(name.to_owned()).or_insert_with(new));
        // The list's own is no message.
        if Arc::strong_count(&target) - 1 > self.at_target + self.waiting {
            return Err("too many messages wait for it; try again in a moment".into());
        }
        Ok(Stay { ways: self, name: name.to_owned(), target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the message, but to who is to hang.
    struct Echo;

    impl Way for Echo {
        fn reach<'a>(
            &'a self,
            target: &'a str,
            message: &'a [u8],
        ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, String>> {
            Box::pin(async move {
                match target {
                    "hangs" => std::future::pending().await,
                    _ => Ok(message.to_vec().into()),
                }
            })
        }
    }

    fn ways(limits: Limits) -> Arc<Ways> {
        let ways = Arc::new(Ways::new(&limits));
        ways.open("echo", Arc::new(Echo));
        ways
    }

    fn to(target: &str) -> OutsideCall {
        OutsideCall { way: "echo", target: target.to_owned(), message: b"hello".to_vec() }
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_hangs_holds_up_nobody_but_those_who_want_it() {
        let ways = ways(Limits { outside_at_target: 2, outside_waiting: 3, ..Limits::default() });
        let hanging: Vec<_> = (0..5)
            .map(|_| {
                let ways = ways.clone();
                tokio::spawn(async move { ways.reach(&to("hangs"), late()).await })
            })
            .collect();
        tokio::task::yield_now().await;
        // Its places and its waiting room are full; everybody else is served at once.
        assert!(ways.reach(&to("hangs"), late()).await.unwrap_err().contains("too many messages wait"));
        let before = Instant::now();
        for target in ["one", "two"] {
            assert_eq!(ways.reach(&to(target), late()).await.unwrap().as_slice(), b"hello");
        }
        assert_eq!(Instant::now(), before, "without waiting");
        // Those who want it are told in the end, some after they waited for a place.
        for one in hanging {
            assert!(one.await.unwrap().unwrap_err().contains("in time"));
        }
        assert!(ways.targets.lock().is_empty(), "and nothing is kept of it");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_beyond_its_deadline_or_for_a_way_that_is_none() {
        let ways = ways(Limits { outside_targets: 1, ..Limits::default() });
        let soon = Instant::now() + Duration::from_secs(1);
        assert!(ways.reach(&to("hangs"), soon).await.unwrap_err().contains("in time"));
        assert_eq!(Instant::now(), soon);
        let stay = ways.enter("echo one").unwrap();
        assert!(ways.reach(&to("two"), late()).await.unwrap_err().contains("too many targets"));
        drop(stay);
        assert!(ways.reach(&to("two"), late()).await.is_ok());
        let nowhere = OutsideCall { way: "carrier pigeon", target: "one".into(), message: Vec::new() };
        assert!(ways.reach(&nowhere, late()).await.unwrap_err().contains("no way by carrier pigeon"));
    }
}
