//! Replies that a client has not taken yet: on an HTTP/2 connection many wait at once, without the socket ever blocking.
//!
//! A client that opens no window for its streams would otherwise keep each reply in memory for as long as it answers pings.
//! So the bytes that wait are counted by connection: above a bound its next requests wait, and a connection of which nothing
//! was taken for too long is closed, sooner if there are many such bytes on all connections together. HTTP/1 has one reply
//! at a time, and a socket that blocks ([`super::stall`]).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::Limits;

/// Bytes that are handed out at once: the usual length of an HTTP/2 frame (RFC 9113, section 4.2).
const SLICE_BYTES: usize = 16 * 1024;
/// How often a connection with bytes that wait is looked at, and how long nothing may be taken of it while there are too many
/// of them on all connections.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The bytes that wait on one connection.
pub(crate) struct Untaken {
    state: Mutex<UntakenBytes>,
    changed: Notify,
    most_bytes: usize,
    patience: Duration,
    everywhere: Arc<Everywhere>,
}

struct UntakenBytes {
    bytes: usize,
    /// When something was taken last, or began to wait on an empty connection.
    taken_at: Instant,
}

/// The bytes that wait on all connections of a listener.
pub(crate) struct Everywhere {
    bytes: AtomicUsize,
    most_bytes: usize,
}

impl Everywhere {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), most_bytes: limits.all_untaken_bytes })
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Untaken {
    /// Of a new connection.
    pub(crate) fn new(limits: &Limits, everywhere: &Arc<Everywhere>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(UntakenBytes { bytes: 0, taken_at: Instant::now() }),
            changed: Notify::new(),
            most_bytes: limits.untaken_bytes,
            patience: limits.write_stall_time,
            everywhere: Arc::clone(everywhere),
        })
    }

    /// Waits until the connection has room for one more reply.
    pub(crate) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state.lock().bytes < self.most_bytes {
                return;
            }
            changed.await;
        }
    }

    /// A reply's body, which waits from now on.
    pub(crate) fn body(self: &Arc<Self>, whole: Full<Bytes>) -> ReplyBody {
        let left = usize::try_from(whole.size_hint().lower()).unwrap_or(usize::MAX);
        self.add(left);
        let counted = Counted { untaken: Arc::clone(self), waiting: left, handed_out: 0 };
        ReplyBody { whole, slices: Bytes::new(), counted: Some(counted) }
    }

    /// Ends when nothing was taken for too long.
    pub(crate) async fn stalled(&self) {
        loop {
            let changed = self.changed.notified();
            let (bytes, taken_at) = {
                let state = self.state.lock();
                (state.bytes, state.taken_at)
            };
            if bytes == 0 {
                changed.await;
                continue;
            }
            let is_crowded = self.everywhere.bytes.load(Ordering::Relaxed) > self.everywhere.most_bytes;
            let until = taken_at + if is_crowded { self.patience.min(LOOK_INTERVAL) } else { self.patience };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until.min(Instant::now() + LOOK_INTERVAL)).await;
        }
    }

    fn add(&self, bytes: usize) {
        self.everywhere.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.bytes == 0 && bytes > 0 {
            state.taken_at = Instant::now();
            state.bytes = bytes;
            drop(state);
            self.changed.notify_waiters();
        } else {
            state.bytes += bytes;
        }
    }

    fn take(&self, bytes: usize) {
        self.everywhere.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if bytes == 0 {
            return;
        }
        let mut state = self.state.lock();
        let was_full = state.bytes >= self.most_bytes;
        state.bytes -= bytes;
        state.taken_at = Instant::now();
        let has_room = was_full && state.bytes < self.most_bytes;
        drop(state);
        if has_room {
            self.changed.notify_waiters();
        }
    }
}

/// A reply's body: as it is, or slice by slice and counted.
pub(crate) struct ReplyBody {
    whole: Full<Bytes>,
    slices: Bytes,
    counted: Option<Counted>,
}

/// How far a body came. A slice is taken once the next one is asked for: until then it waits for the client's window.
struct Counted {
    untaken: Arc<Untaken>,
    waiting: usize,
    handed_out: usize,
}

impl From<Full<Bytes>> for ReplyBody {
    fn from(whole: Full<Bytes>) -> Self {
        Self { whole, slices: Bytes::new(), counted: None }
    }
}

impl Counted {
    fn take_handed_out(&mut self) {
        let taken = std::mem::take(&mut self.handed_out);
        self.waiting -= taken;
        self.untaken.take(taken);
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { whole, slices, counted } = &mut *self;
        let Some(counted) = counted else { return Pin::new(whole).poll_frame(context) };
        counted.take_handed_out();
        if slices.is_empty() {
            match ready!(Pin::new(whole).poll_frame(context)) {
                Some(Ok(frame)) => *slices = frame.into_data().unwrap_or_default(),
                end => return Poll::Ready(end),
            }
        }
        counted.handed_out = slices.len().min(SLICE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(slices.split_to(counted.handed_out)))))
    }

    fn is_end_stream(&self) -> bool {
        self.slices.is_empty() && self.whole.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.counted {
            Some(counted) => SizeHint::with_exact((counted.waiting - counted.handed_out) as u64),
            None => self.whole.size_hint(),
        }
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        if let Some(counted) = self.counted.take() {
            counted.untaken.take(counted.waiting);
        }
    }
}
