//! Errands that compute for long: a few at a time, the sources of requests by turns.
//!
//! Not a queue for everything: what waits here are logins with a password, and such. Whoever fills the queue competes with
//! himself: a free place goes to the source whose turn it is, and a full queue makes room at the expense of the source
//! that waits most. What surprises: a client that goes away does not stop its computation, which keeps its place until it
//! ends, so that nobody gets more places by hanging up.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use conclave_raft::admission::Source;
use conclave_vault::{Answer, DigestMemory, Error, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::config::Limits;

/// The places for errands that compute.
pub(crate) struct Heavy(Arc<Mutex<Queue>>);

struct Queue {
    /// Memory of the places that nobody has.
    free: Vec<DigestMemory>,
    most_waiting: usize,
    waiting: usize,
    /// The sources that wait, in the order of their turns.
    turns: VecDeque<Source>,
    lines: HashMap<Source, VecDeque<oneshot::Sender<HeldPlace>>>,
}

/// A place, which goes to the next who waits when it is dropped.
struct HeldPlace {
    queue: Arc<Mutex<Queue>>,
    /// `None` only while being dropped.
    memory: Option<DigestMemory>,
}

impl Heavy {
    /// As many places as the limits say.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            free: std::iter::repeat_with(DigestMemory::default).take(limits.heavy_errands).collect(),
            most_waiting: limits.heavy_errands_waiting,
            waiting: 0,
            turns: VecDeque::new(),
            lines: HashMap::new(),
        })))
    }

    /// Computes something once there is a place, in its memory.
    ///
    /// # Errors
    /// [`ErrorKind::TooMany`] if too many wait, [`ErrorKind::Unavailable`] if there was no place before the deadline.
    pub(crate) async fn run(
        &self,
        work: impl FnOnce(&mut DigestMemory) -> Result<Answer, Error> + Send + 'static,
        source: Option<IpAddr>,
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let waiting = self.enter(source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).into());
        let place = match timeout_at(deadline, waiting).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => {
                return Err(Error::new(
                    ErrorKind::TooMany,
                    "too many requests wait for a computation, such as logins with a password; try again in a moment",
                ));
            }
            Err(_) => return Err(Error::unavailable("there was no time for a computation; try again in a moment")),
        };
        let computing = tokio::task::spawn_blocking(move || {
            let mut place = place;
            work(place.memory.get_or_insert_default())
        });
        computing.await.map_err(|error| Error::internal(error.to_string()))?
    }

    /// A place, now or later; the other end is dropped if there is no room to wait.
    fn enter(&self, source: Source) -> oneshot::Receiver<HeldPlace> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.0.lock();
        if let Some(memory) = queue.free.pop() {
            // Dropping what cannot be sent takes the lock.
            drop(queue);
            let _ = sender.send(HeldPlace { queue: Arc::clone(&self.0), memory: Some(memory) });
            return receiver;
        }
        if queue.make_room(source) {
            queue.join(source, sender);
        }
        receiver
    }
}

impl Queue {
    /// Whether one more of a source may wait, if need be in place of the last of the source that waits most.
    fn make_room(&mut self, source: Source) -> bool {
        if self.waiting < self.most_waiting {
            return true;
        }
        let own = self.lines.get(&source).map_or(0, VecDeque::len);
        let Some((largest, line)) = self.lines.iter_mut().max_by_key(|(_, line)| line.len()) else { return false };
        if line.len() <= own + 1 {
            return false;
        }
        line.pop_back();
        let (largest, is_empty) = (*largest, line.is_empty());
        if is_empty {
            self.lines.remove(&largest);
            self.turns.retain(|waiting| *waiting != largest);
        }
        self.waiting -= 1;
        true
    }

    fn join(&mut self, source: Source, sender: oneshot::Sender<HeldPlace>) {
        let line = self.lines.entry(source).or_default();
        if line.is_empty() {
            self.turns.push_back(source);
        }
        line.push_back(sender);
        self.waiting += 1;
    }

    /// The next who waits: the first of the source whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<HeldPlace>> {
        let source = self.turns.pop_front()?;
        let line = self.lines.get_mut(&source)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        self.waiting -= 1;
        next
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        let Some(mut memory) = self.memory.take() else { return };
        loop {
            let mut queue = self.queue.lock();
            let Some(next) = queue.next() else { return queue.free.push(memory) };
            drop(queue);
            match next.send(Self { queue: Arc::clone(&self.queue), memory: Some(memory) }) {
                Ok(()) => return,
                // Whoever stopped waiting leaves the place to the one behind.
                Err(mut returned) => match returned.memory.take() {
                    Some(kept) => memory = kept,
                    None => return,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use conclave_vault::Password;
    use futures::FutureExt;

    use super::*;

    fn errand() -> impl FnOnce(&mut DigestMemory) -> Result<Answer, Error> + Send + 'static {
        let password = Password { text: b"p".to_vec(), salt: vec![1; 16], memory_kib: 64, passes: 1 };
        move |memory| password.digest(memory)
    }

    fn heavy(places: usize, waiting: usize) -> Heavy {
        Heavy::new(&Limits { heavy_errands: places, heavy_errands_waiting: waiting, ..Limits::default() })
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn source(last: u8) -> Source {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)).into()
    }

    /// Whether it has a place; `None` if it was turned away.
    fn has_place(waiting: &mut oneshot::Receiver<HeldPlace>) -> Option<bool> {
        match waiting.now_or_never() {
            None => Some(false),
            Some(Ok(place)) => {
                // Kept for ever, so that only the test says when a place is free.
                std::mem::forget(place);
                Some(true)
            }
            Some(Err(_)) => None,
        }
    }

    #[tokio::test]
    async fn an_errand_is_answered_and_leaves_its_place() {
        let heavy = heavy(1, 1);
        for _ in 0..3 {
            assert!(heavy.run(errand(), None, soon()).await.is_ok());
        }
        assert_eq!(heavy.0.lock().free.len(), 1);
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_until_the_deadline_and_past_the_limit_is_told_at_once() {
        let heavy = heavy(0, 1);
        let now = Instant::now();
        let (late, refused) = tokio::join!(heavy.run(errand(), None, now + Duration::from_millis(50)), async {
            heavy.run(errand(), None, soon()).await
        });
        assert_eq!(late.err().map(|error| error.kind), Some(ErrorKind::Unavailable));
        assert_eq!(refused.err().map(|error| error.kind), Some(ErrorKind::TooMany));
    }

    #[test]
    fn sources_get_places_by_turns_however_many_each_waits_with() {
        let heavy = heavy(1, 100);
        let first = heavy.enter(source(1)).now_or_never().unwrap().unwrap();
        let mut flood: Vec<_> = (0..50).map(|_| heavy.enter(source(1))).collect();
        let mut honest = heavy.enter(source(2));
        drop(first);
        let place = (&mut flood[0]).now_or_never().unwrap().unwrap();
        assert_eq!(has_place(&mut honest), Some(false));
        drop(place);
        assert_eq!(has_place(&mut honest), Some(true), "before the other 49");
        assert_eq!(has_place(&mut flood[1]), Some(false));
    }

    #[test]
    fn a_full_queue_makes_room_at_the_expense_of_the_source_that_waits_most() {
        let heavy = heavy(0, 4);
        let mut flood: Vec<_> = (0..4).map(|_| heavy.enter(source(1))).collect();
        assert_eq!(has_place(&mut heavy.enter(source(1))), None, "it competes with itself");
        let mut honest: Vec<_> = (0..3).map(|_| heavy.enter(source(2))).collect();
        assert_eq!(flood.iter_mut().map(has_place).collect::<Vec<_>>(), [Some(false), Some(false), None, None]);
        assert_eq!(honest.iter_mut().map(has_place).collect::<Vec<_>>(), [Some(false), Some(false), None]);
        assert_eq!(heavy.0.lock().waiting, 4);
    }

    #[test]
    fn a_place_passes_over_those_who_stopped_waiting() {
        let heavy = heavy(1, 10);
        let first = heavy.enter(source(1)).now_or_never().unwrap().unwrap();
        drop(heavy.enter(source(2)));
        let mut waiting = heavy.enter(source(3));
        drop(first);
        assert_eq!(has_place(&mut waiting), Some(true));
        drop(heavy.enter(source(4)));
        assert_eq!(heavy.0.lock().free.len(), 0);
    }
}
