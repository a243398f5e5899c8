//! Read points that many readers share.
//!
//! A reader may share only a round that starts after the reader arrived: an earlier one may have fixed its index
//! before a write that the reader must see. So readers gather while rounds are under way, and the next round takes
//! all of them. One round at a time would double the latency on a long path, so more may run, a little apart.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Rounds under way at once start at least this far apart.
const SPACING: Duration = Duration::from_millis(2);

/// Why a round found no index. The reader may ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoundFailed(pub(crate) String);

type Answer = Result<u64, RoundFailed>;
type Round = Arc<dyn Fn() -> BoxFuture<'static, Answer> + Send + Sync>;

/// Gathers readers into rounds.
pub(crate) struct Coalescer {
    round: Round,
    limit: usize,
    state: Mutex<RoundState>,
}

struct RoundState {
    /// Readers that no round has taken.
    waiting: Vec<oneshot::Sender<Answer>>,
    running: usize,
    last_start: Instant,
    is_timer_set: bool,
    /// Breaks the rule on purpose: readers join a round that is under way.
    #[cfg(test)]
    join_running: bool,
    #[cfg(test)]
    joined: Vec<oneshot::Sender<Answer>>,
}

impl Coalescer {
    /// `round` finds an index that covers every write acknowledged before it was called; `limit` of them run at once.
    pub(crate) fn new(limit: usize, round: impl Fn() -> BoxFuture<'static, Answer> + Send + Sync + 'static) -> Self {
        let state = RoundState {
            waiting: Vec::new(),
            running: 0,
            last_start: Instant::now(),
            is_timer_set: false,
            #[cfg(test)]
            join_running: false,
            #[cfg(test)]
            joined: Vec::new(),
        };
        Self { round: Arc::new(round), limit: limit.max(1), state: Mutex::new(state) }
    }

    /// An index from a round that starts after this call.
    pub(crate) async fn index(self: &Arc<Self>) -> Answer {
        let answer = self.enter();
        self.start();
        answer.await.unwrap_or_else(|_| Err(RoundFailed("the round was given up".into())))
    }

    fn enter(&self) -> oneshot::Receiver<Answer> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state.lock();
        #[cfg(test)]
        if state.join_running && state.running > 0 {
            state.joined.push(sender);
            return answer;
        }
        state.waiting.push(sender);
        answer
    }

    /// Starts a round for everyone who waits, unless it must wait its turn.
    fn start(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.waiting.is_empty() || state.running >= self.limit {
            return;
        }
        let turn = state.last_start + SPACING;
        if state.running > 0 && Instant::now() < turn {
            if !state.is_timer_set {
                state.is_timer_set = true;
                let this = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep_until(turn).await;
                    this.state.lock().is_timer_set = false;
                    this.start();
                });
            }
            return;
        }
        state.running += 1;
        state.last_start = Instant::now();
        let readers = std::mem::take(&mut state.waiting);
        drop(state);
        let this = self.clone();
        tokio::spawn(async move { this.run(readers).await });
    }

    async fn run(self: Arc<Self>, readers: Vec<oneshot::Sender<Answer>>) {
        let answer = (self.round)().await;
        for reader in readers {
            // A reader that gave up does not mind.
            let _ = reader.send(answer.clone());
        }
        {
            let mut state = self.state.lock();
            state.running -= 1;
            #[cfg(test)]
            for reader in std::mem::take(&mut state.joined) {
                let _ = reader.send(answer.clone());
            }
        }
        self.start();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A store whose rounds fix their index at the start and answer later, as a leader's do.
    fn rounds(limit: usize) -> (Arc<Coalescer>, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (written, started) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (index, count) = (written.clone(), started.clone());
        let coalescer = Coalescer::new(limit, move || {
            let index = index.load(Ordering::SeqCst);
            count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(index)
            })
        });
        (Arc::new(coalescer), written, started)
    }

    /// A write that is acknowledged while a round is under way, and a read that starts after it. Says whether the
    /// read saw it.
    async fn sees_a_write_made_before_it(coalescer: Arc<Coalescer>, written: Arc<AtomicU64>) -> bool {
        let early = tokio::spawn({
            let coalescer = coalescer.clone();
            async move { coalescer.index().await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        written.store(7, Ordering::SeqCst);
        let late = coalescer.index().await.expect("rounds succeed here");
        early.await.expect("no panic").expect("rounds succeed here");
        late >= 7
    }

    // check 239
    #[tokio::test(start_paused = true)]
    async fn a_read_sees_what_was_written_before_it_began() {
        for limit in [1, 8] {
            let (coalescer, written, _) = rounds(limit);
            assert!(sees_a_write_made_before_it(coalescer, written).await, "with {limit} rounds at once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn joining_a_round_that_is_under_way_is_found_out() {
        let (coalescer, written, _) = rounds(1);
        coalescer.state.lock().join_running = true;
        assert!(!sees_a_write_made_before_it(coalescer, written).await, "the check above can fail");
    }

    #[tokio::test(start_paused = true)]
    async fn readers_that_wait_together_share_one_round() {
        let (coalescer, _, started) = rounds(1);
        let readers: Vec<_> = (0..100)
            .map(|_| {
                let coalescer = coalescer.clone();
                tokio::spawn(async move { coalescer.index().await })
            })
            .collect();
        for reader in readers {
            reader.await.expect("no panic").expect("rounds succeed here");
        }
        assert_eq!(started.load(Ordering::SeqCst), 2, "the first reader's round, and one for the other 99");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_rounds_run_than_the_limit() {
        let (coalescer, _, started) = rounds(3);
        let mut readers = Vec::new();
        for _ in 0..20 {
            let coalescer = coalescer.clone();
            readers.push(tokio::spawn(async move { coalescer.index().await }));
            tokio::time::sleep(SPACING).await;
        }
        // 40 ms have passed, and a round takes 50.
        assert_eq!(started.load(Ordering::SeqCst), 3);
        for reader in readers {
            reader.await.expect("no panic").expect("rounds succeed here");
        }
    }
}
