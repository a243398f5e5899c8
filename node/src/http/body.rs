//! A request's body: buffered within limits while it arrives, or thrown away.
//!
//! Everything is bounded at once: one body, all bodies together, and the time one may take. A declared length is only
//! believed where it makes a refusal quicker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::config::Limits;

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

/// Memory for all bodies together, in units of 1,024 bytes.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

const UNIT_BYTES: usize = 1024;

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS))))
    }
}

/// A body in memory; gives its part of the budget back when dropped.
pub struct Buffered {
    /// The bytes, wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    share: Option<OwnedSemaphorePermit>,
}

impl Buffered {
    fn grow(&mut self, chunk: &[u8], budget: &Budget) -> Result<(), BodyError> {
        let held = self.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = (self.bytes.len() + chunk.len()).div_ceil(UNIT_BYTES);
        let missing = u32::try_from(wanted.saturating_sub(held)).map_err(|_| BodyError::Busy)?;
        if missing > 0 {
            let permit = budget.0.clone().try_acquire_many_owned(missing).map_err(|_| BodyError::Busy)?;
            match &mut self.share {
                Some(share) => share.merge(permit),
                None => self.share = Some(permit),
            }
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

/// Reads a whole body of at most `most` bytes within `time`.
pub async fn read<B>(
    body: &mut B,
    headers: &HeaderMap,
    most: usize,
    time: Duration,
    budget: &Budget,
) -> Result<Buffered, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(BodyError::TooLarge);
    }
    let mut buffered = Buffered { bytes: Zeroizing::new(Vec::new()), share: None };
    let fill = async {
        while let Some(frame) = body.frame().await {
            // A trailer is no data and means nothing here.
            let Ok(chunk) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if buffered.bytes.len() + chunk.len() > most {
                return Err(BodyError::TooLarge);
            }
            buffered.grow(&chunk, budget)?;
        }
        Ok(())
    };
    tokio::time::timeout(time, fill).await.map_err(|_| BodyError::TooSlow)??;
    Ok(buffered)
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
mod tests {
    use http_body_util::Full;

    use super::*;

    async fn length(bytes: usize, declared: Option<&str>, most: usize, budget: &Budget) -> Result<usize, BodyError> {
        let mut headers = HeaderMap::new();
        if let Some(declared) = declared {
            headers.insert(CONTENT_LENGTH, declared.parse().unwrap());
        }
        let mut body = Full::new(Bytes::from(vec![b'x'; bytes]));
        read(&mut body, &headers, most, Duration::from_secs(1), budget).await.map(|buffered| buffered.bytes.len())
    }

    #[tokio::test]
    async fn a_body_is_counted_whatever_it_declares() {
        // check 194
        let budget = Budget::new(1 << 20);
        assert_eq!(length(100, None, 100, &budget).await, Ok(100));
        assert_eq!(length(101, None, 100, &budget).await, Err(BodyError::TooLarge));
        assert_eq!(length(101, Some("5"), 100, &budget).await, Err(BodyError::TooLarge));
        assert_eq!(length(5, Some("101"), 100, &budget).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_limit() {
        let budget = Budget::new(4 * UNIT_BYTES);
        let (mut first, mut second) = (Full::new(Bytes::from(vec![0; 3000])), Full::new(Bytes::from(vec![0; 3000])));
        let headers = HeaderMap::new();
        let held = read(&mut first, &headers, 9000, Duration::from_secs(1), &budget)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let refused = read(&mut second, &headers, 9000, Duration::from_secs(1), &budget).await;
        assert_eq!(refused.err(), Some(BodyError::Busy));
        drop(held);
        assert_eq!(length(3000, None, 9000, &budget).await, Ok(3000));
    }
}
