//! A request's body: buffered within limits while it arrives, or thrown away.
//!
//! Everything is bounded at once: one body, all bodies together, how long one may take, and how long it may pause. A
//! declared length is only believed where it makes a refusal quicker. Whoever sends slowly holds only his own share of
//! the memory, and a body counts as nothing else until it is whole: no place among the requests is taken for it.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::admission::{Hold, Pool, Share};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::config::Limits;
use crate::gateway::Outgoing;
use crate::http::error::failure;

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over the limit for one body. The text is what clients of Vault know.
    #[error("http: request body too large")]
    TooLarge,
    /// All bodies together are over their limit.
    #[error("the server holds too many request bodies at the moment, try again")]
    Busy,
    /// It did not arrive in time.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// The connection failed, or the framing is wrong.
    #[error("the request body could not be read")]
    Broken,
}

impl BodyError {
    /// The status code that says so.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Busy => 503,
            Self::TooSlow => 408,
            Self::Broken => 400,
        }
    }
}

impl From<BodyError> for Outgoing {
    fn from(error: BodyError) -> Self {
        failure(error.status(), &[&error.to_string()])
    }
}

/// Memory for all bodies and what they are decoded to, in units of 1,024 bytes.
#[derive(Clone)]
pub struct Budget(Arc<Pool>);

const UNIT_BYTES: usize = 1024;

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Pool::new(bytes / UNIT_BYTES))
    }

    /// What is held of it, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.0.held() * UNIT_BYTES
    }
}

/// What one request's body may be.
pub struct Terms<'a> {
    /// Its size, in bytes (413).
    pub most: usize,
    /// Time for all of it.
    pub time: Duration,
    /// Whose memory it takes.
    pub client: IpAddr,
    /// Bounds on everybody's.
    pub limits: &'a Limits,
}

/// A whole body in memory; gives its part of the budget back when dropped.
pub struct Buffered {
    /// The bytes, wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Its part of the budget, which nobody can take any more.
    pub memory: Hold,
}

/// A body on its way.
struct Arriving<'a> {
    bytes: Zeroizing<Vec<u8>>,
    share: &'a Share,
    /// What was paid for, in units.
    units: usize,
}

impl Arriving<'_> {
    fn grow(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        let units = (self.bytes.len() + chunk.len()).div_ceil(UNIT_BYTES);
        if units > self.units {
            if !self.share.resize(units) {
                return Err(BodyError::Busy);
            }
            self.units = units;
        }
        if self.bytes.capacity() < self.bytes.len() + chunk.len() {
            // Growing by hand wipes what a reallocation would leave behind.
            let mut larger =
                Zeroizing::new(Vec::with_capacity((self.bytes.len() + chunk.len()).max(2 * self.bytes.len())));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

/// Has what a body is decoded to paid for as well: all of it in bytes, the body included.
///
/// # Errors
///
/// [`BodyError::Busy`] if there is no room for it.
pub fn pay(memory: &Hold, bytes: usize) -> Result<(), BodyError> {
    if memory.resize(bytes.div_ceil(UNIT_BYTES)) { Ok(()) } else { Err(BodyError::Busy) }
}

/// Reads a whole body. The first bytes are taken from anybody; before there are more than
/// [`Limits::body_bytes_without_token`], `vouch` says whether this client may send them, or what it is answered.
pub async fn read<B>(
    body: &mut B,
    headers: &HeaderMap,
    terms: &Terms<'_>,
    budget: &Budget,
    vouch: impl Future<Output = Result<(), Outgoing>>,
) -> Result<Buffered, Outgoing>
where
    B: Body<Data = Bytes> + Unpin,
{
    let free = terms.limits.body_bytes_without_token;
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > terms.most as u64) {
        return Err(BodyError::TooLarge.into());
    }
    // As much as anybody may send is counted from the start, so that there are not more bodies than memory for them.
    let first = free.min(terms.most).div_ceil(UNIT_BYTES).max(1);
    let share = Arc::new(budget.0.enter(terms.client, first).ok_or(BodyError::Busy)?);
    let fill = async {
        let mut arriving = Arriving { bytes: Zeroizing::new(Vec::new()), share: &share, units: first };
        let mut vouch = Some(vouch);
        if declared.is_some_and(|length| length > free as u64)
            && let Some(vouch) = vouch.take()
        {
            vouch.await?;
        }
        let started = Instant::now();
        while let Some(frame) = next(body, started, arriving.bytes.len(), terms).await? {
            // A trailer is no data and means nothing here.
            let Ok(chunk) = frame.into_data() else { continue };
            let length = arriving.bytes.len() + chunk.len();
            if length > terms.most {
                return Err(Outgoing::from(BodyError::TooLarge));
            }
            if length > free
                && let Some(vouch) = vouch.take()
            {
                vouch.await?;
            }
            arriving.grow(&chunk)?;
        }
        Ok::<_, Outgoing>(arriving.bytes)
    };
    let bytes = tokio::select! {
        biased;
        () = share.taken() => return Err(BodyError::Busy.into()),
        bytes = fill => bytes?,
    };
    let memory = share.hold();
    // Only ever smaller, which needs no room.
    share.resize(bytes.len().div_ceil(UNIT_BYTES));
    Ok(Buffered { bytes, memory })
}

/// The next part of a body, unless it pauses too long, is too slow altogether, or its time is over.
async fn next<B>(
    body: &mut B,
    started: Instant,
    received: usize,
    terms: &Terms<'_>,
) -> Result<Option<hyper::body::Frame<Bytes>>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limits = terms.limits;
    let earned = Duration::from_secs_f64(received as f64 / limits.body_bytes_per_sec.max(1) as f64);
    let pace = started + limits.body_pause_time + earned;
    let deadline = pace.min(Instant::now() + limits.body_pause_time).min(started + terms.time);
    match timeout_at(deadline, body.frame()).await {
        Ok(frame) => frame.transpose().map_err(|_| BodyError::Broken),
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// Reads and throws away what a refused request still sends, within limits. A client that is cut off while it sends
/// never reads why.
pub async fn discard<B>(body: &mut B, headers: &HeaderMap, limits: &Limits)
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() || headers.contains_key(http::header::EXPECT) {
        return;
    }
    let drain = async {
        let mut left = limits.discard_bytes;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
    };
    // Whatever is left after that time is the connection's end.
    let _ = tokio::time::timeout(limits.discard_time, drain).await;
}

#[cfg(test)]
mod tests;
