//! Errands that compute for long: on threads of their own, a few at a time.
//!
//! Not a queue for everything: what waits here are logins with a password, and such. What surprises: a client that goes away
//! does not stop its computation, which keeps its place until it ends, so that nobody gets more places by hanging up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conclave_vault::{Answer, Error, ErrorKind, Password};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::config::Limits;

/// The places for errands that compute.
pub(crate) struct Heavy {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// One that waits for a place; counted until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Heavy {
    /// As many places as the limits say.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.heavy_errands)),
            waiting: AtomicUsize::new(0),
            most_waiting: limits.heavy_errands_waiting,
        }
    }

    /// Computes a digest once there is a place.
    ///
    /// # Errors
    /// [`ErrorKind::TooMany`] if too many wait, [`ErrorKind::Unavailable`] if there was no place before the deadline.
    pub(crate) async fn run(&self, password: Password, deadline: Instant) -> Result<Answer, Error> {
        let place = {
            let waiting = Waiting(&self.waiting);
            if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most_waiting {
                return Err(Error::new(
                    ErrorKind::TooMany,
                    "too many requests wait for a computation, such as logins with a password; try again in a moment",
                ));
            }
            let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await;
            drop(waiting);
            place.map_err(|_| Error::unavailable("there was no time for a computation; try again in a moment"))?
        };
        let place = place.map_err(|_| Error::unavailable("this node is stopping"))?;
        let computing = tokio::task::spawn_blocking(move || {
            let _place = place;
            password.digest()
        });
        computing.await.map_err(|error| Error::internal(error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn errand() -> Password {
        Password { text: b"p".to_vec(), salt: vec![1; 16], memory_kib: 64, passes: 1 }
    }

    fn heavy(places: usize, waiting: usize) -> Heavy {
        Heavy::new(&Limits { heavy_errands: places, heavy_errands_waiting: waiting, ..Limits::default() })
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn an_errand_is_answered_and_leaves_its_place() {
        let heavy = heavy(1, 1);
        for _ in 0..3 {
            assert!(heavy.run(errand(), soon()).await.is_ok());
        }
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_until_the_deadline_and_past_the_limit_is_told_at_once() {
        let heavy = heavy(0, 1);
        let now = Instant::now();
        let (late, refused) = tokio::join!(heavy.run(errand(), now + Duration::from_millis(50)), async {
            heavy.run(errand(), soon()).await
        });
        assert_eq!(late.err().map(|error| error.kind), Some(ErrorKind::Unavailable));
        assert_eq!(refused.err().map(|error| error.kind), Some(ErrorKind::TooMany));
        let after = heavy.run(errand(), Instant::now()).await;
        assert_eq!(after.err().map(|error| error.kind), Some(ErrorKind::Unavailable), "nobody waits any more");
    }
}
