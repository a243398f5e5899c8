//! When the requests of an open loop are due.
//!
//! A thread keeps the time, because the runtime's timers round to milliseconds and a request may take a tenth of one. It never
//! waits for whoever sends: what nobody has taken queues, and its time runs.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A steady pace.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    start: Instant,
    rate: f64,
}

impl Pace {
    /// So many requests a second, from a moment on.
    pub(super) fn new(start: Instant, rate: f64) -> Self {
        Self { start, rate }
    }

    /// When the request with this number is due.
    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// The requests that are due and that nobody has taken.
#[derive(Clone)]
pub(super) struct Due(Arc<Mutex<UnboundedReceiver<Instant>>>);

impl Due {
    /// When the next one was due; none once the pace has ended.
    pub(super) async fn next(&self) -> Option<Instant> {
        self.0.lock().await.recv().await
    }
}

/// Begins to give out moments, and stops before `end`.
pub(super) fn start(pace: Pace, end: Instant) -> Due {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || keep(pace, end, &sender));
    Due(Arc::new(Mutex::new(receiver)))
}

fn keep(pace: Pace, end: Instant, sender: &UnboundedSender<Instant>) {
    let moments = (0..).map(|number| pace.due(number)).take_while(|due| *due < end);
    for due in moments {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if sender.send(due).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_request_of_the_time_is_due_once_and_at_its_moment() {
        let start = Instant::now();
        let due = super::start(Pace::new(start, 1000.0), start + Duration::from_millis(20));
        let mut moments = Vec::new();
        while let Some(moment) = due.next().await {
            moments.push(moment);
        }
        assert_eq!(moments.len(), 20);
        assert_eq!(moments[7] - start, Duration::from_millis(7));
    }
}
