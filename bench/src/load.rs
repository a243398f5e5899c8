//! Load on a subject, and the times that it leads to.
//!
//! A closed loop sends the next request when the last is answered: it finds the highest rate. An open loop sends at a rate that
//! it was told, and counts time from the moment at which a request was due. A server that stalls cannot keep the
//! requests from arriving, so its stall shows (no coordinated omission).

mod pace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;
use http::HeaderValue;

use crate::connection::Connection;
use crate::error::BenchError;
use crate::request::{Dialect, Operation};
use crate::subject::{Subject, authority};

/// The longest time that is told from longer ones, in microseconds.
const MAX_MICROS: u64 = 60_000_000;
/// Digits of a time that count.
const DIGITS: u8 = 3;

/// What to do, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) operation: Operation,
    /// Connections, of which each carries one request at a time.
    pub(crate) connections: usize,
    /// Requests a second; none for a closed loop.
    pub(crate) rate: Option<f64>,
    /// Before times count.
    pub(crate) warm_up: Duration,
    /// While times count.
    pub(crate) duration: Duration,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Times of answered requests, in microseconds.
    pub(crate) times: Histogram<u64>,
    /// Requests that were not answered with 2xx.
    pub(crate) failed: u64,
    /// What the first of them got.
    pub(crate) first_failure: Option<String>,
    /// How long times counted.
    pub(crate) elapsed: Duration,
}

impl Outcome {
    fn new() -> Self {
        let times = Histogram::new_with_bounds(1, MAX_MICROS, DIGITS).expect("these bounds are sound");
        Self { times, failed: 0, first_failure: None, elapsed: Duration::ZERO }
    }

    /// Counts an answer that took so long, or a failure.
    fn count(&mut self, time: Duration, failure: Option<String>) {
        match failure {
            None => self.times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(MAX_MICROS)),
            Some(failure) => {
                self.failed += 1;
                self.first_failure.get_or_insert(failure);
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.times.add(other.times).expect("all histograms here have the same bounds");
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// Answered requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// One who sends: the connection and what it sends on it.
struct Sender {
    connection: Connection,
    dialect: Dialect,
    authority: HeaderValue,
    numbers: Arc<AtomicU64>,
    operation: Operation,
}

impl Sender {
    /// Sends the next request; the failure, if it was one.
    async fn send(&mut self) -> Option<String> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let request = self.dialect.request(&self.authority, self.operation, number);
        match self.connection.send(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => None,
            Ok(answer) => Some(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body).trim())),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Runs a load. `on_warm` is called when times begin to count.
pub(crate) async fn run(load: Load, subject: &Subject, on_warm: impl FnOnce()) -> Result<Outcome, BenchError> {
    let (authority, numbers) = (authority(&subject.target)?, subject.numbers(load.operation));
    let mut senders = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let connection = subject.target.connect().await?;
        let (dialect, authority, numbers) = (subject.dialect.clone(), authority.clone(), Arc::clone(&numbers));
        senders.push(Sender { connection, dialect, authority, numbers, operation: load.operation });
    }
    let counted_from = Instant::now() + load.warm_up;
    let window = Window { counted_from, end: counted_from + load.duration };
    let tasks: Vec<_> = match load.rate {
        None => senders.into_iter().map(|sender| tokio::spawn(closed(sender, window))).collect(),
        Some(rate) => {
            let due = pace::start(pace::Pace::new(Instant::now(), rate), window.end);
            senders.into_iter().map(|sender| tokio::spawn(open(sender, window, due.clone()))).collect()
        }
    };
    tokio::time::sleep_until(counted_from.into()).await;
    on_warm();
    let mut all = Outcome::new();
    for outcome in join_all(tasks).await {
        all.add(outcome.map_err(|error| BenchError::Settings(error.to_string()))?);
    }
    Ok(all)
}

/// When times count.
#[derive(Clone, Copy)]
struct Window {
    counted_from: Instant,
    end: Instant,
}

async fn closed(mut sender: Sender, window: Window) -> Outcome {
    let mut outcome = Outcome::new();
    let mut now = Instant::now();
    while now < window.end {
        let begun = now;
        let failure = sender.send().await;
        now = Instant::now();
        let is_lost = failure.is_some();
        if now >= window.counted_from {
            outcome.count(now - begun, failure);
        }
        if is_lost {
            // A broken connection answers at once; without a pause it would fill the window with failures.
            tokio::time::sleep(Duration::from_millis(10)).await;
            now = Instant::now();
        }
    }
    outcome.elapsed = now.saturating_duration_since(window.counted_from);
    outcome
}

async fn open(mut sender: Sender, window: Window, due: pace::Due) -> Outcome {
    let mut outcome = Outcome::new();
    while let Some(due) = due.next().await {
        let failure = sender.send().await;
        if due >= window.counted_from {
            outcome.count(due.elapsed(), failure);
        }
    }
    outcome.elapsed = window.counted_from.elapsed();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Target;

    /// A server that answers one request at a time, each after `pause`.
    async fn slow_server(pause: Duration) -> Subject {
        use hyper::service::service_fn;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::plain(&listener.local_addr().unwrap().to_string());
        let (processes, gauges) = (Vec::new(), Vec::new());
        let name = "slow".to_owned();
        let subject = Subject { name, target, dialect: Dialect::Bare, processes, writes: Arc::default(), gauges };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(move |_: http::Request<hyper::body::Incoming>| async move {
                    tokio::time::sleep(pause).await;
                    Ok::<_, hyper::Error>(http::Response::new(http_body_util::Full::new(bytes::Bytes::from("{}"))))
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
            }
        });
        subject
    }

    fn load(rate: Option<f64>) -> Load {
        let (warm_up, duration) = (Duration::ZERO, Duration::from_millis(300));
        Load { operation: Operation::Read, connections: 1, rate, warm_up, duration }
    }

    #[tokio::test]
    async fn a_closed_loop_waits_for_answers_and_an_open_one_counts_what_waited() {
        let subject = slow_server(Duration::from_millis(30)).await;
        let closed = run(load(None), &subject, || ()).await.unwrap();
        assert!(closed.times.len() <= 11, "{} answers of 30 ms in 300 ms", closed.times.len());
        // Due every 10 ms and answered every 30 ms: the last of 30 waits for all the others.
        let open = run(load(Some(100.0)), &subject, || ()).await.unwrap();
        assert_eq!(open.times.len(), 30);
        assert!(open.times.max() >= 500_000, "the longest wait was {} us", open.times.max());
        assert!(closed.failed == 0 && open.failed == 0);
    }
}
