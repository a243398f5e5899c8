//! Bodies from memory, and bodies that never end, with the clock stopped.

use std::convert::Infallible;

use http_body_util::{Full, StreamBody};
use hyper::body::Frame;

use super::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn limits(free: usize) -> Limits {
    Limits { body_bytes_without_token: free, ..Limits::default() }
}

fn terms(most: usize, limits: &Limits) -> Terms<'_> {
    Terms { most, time: Duration::from_secs(30), client: CLIENT, limits }
}

async fn length(bytes: usize, declared: Option<&str>, most: usize, budget: &Budget) -> Result<usize, u16> {
    let mut headers = HeaderMap::new();
    if let Some(declared) = declared {
        headers.insert(CONTENT_LENGTH, declared.parse().unwrap());
    }
    let mut body = Full::new(Bytes::from(vec![b'x'; bytes]));
    let limits = limits(64 << 10);
    let terms = terms(most, &limits);
    let read = read(&mut body, &headers, &terms, budget, std::future::ready(Ok(())));
    read.await.map(|buffered| buffered.bytes.len()).map_err(|refusal| refusal.status)
}

#[tokio::test]
async fn a_body_is_counted_whatever_it_declares() {
    // check 194
    let budget = Budget::new(1 << 20);
    assert_eq!(length(100, None, 100, &budget).await, Ok(100));
    assert_eq!(length(101, None, 100, &budget).await, Err(413));
    assert_eq!(length(101, Some("5"), 100, &budget).await, Err(413));
    assert_eq!(length(5, Some("101"), 100, &budget).await, Err(413));
    assert_eq!(budget.held_bytes(), 0);
}

#[tokio::test]
async fn all_bodies_together_have_a_limit() {
    let budget = Budget::new(4 * UNIT_BYTES);
    let limits = limits(1);
    let vouch = || std::future::ready(Ok(()));
    let (mut first, mut second) = (Full::new(Bytes::from(vec![0; 3000])), Full::new(Bytes::from(vec![0; 3000])));
    let headers = HeaderMap::new();
    let held = read(&mut first, &headers, &terms(9000, &limits), &budget, vouch()).await.ok().unwrap();
    assert_eq!(budget.held_bytes(), 3 * UNIT_BYTES);
    let refused = read(&mut second, &headers, &terms(9000, &limits), &budget, vouch()).await;
    assert_eq!(refused.err().unwrap().status, 503);
    drop(held);
    assert_eq!(length(3000, None, 4000, &budget).await, Ok(3000));
}

/// A body that sends `chunk` every so often and never ends.
fn endless(chunk: usize, pause: Duration) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    Box::pin(StreamBody::new(futures::stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(Bytes::from(vec![b'x'; chunk]))), ()))
    })))
}

async fn time_until_refused(chunk: usize, pause: Duration) -> (u16, Duration) {
    let (started, limits) = (Instant::now(), Limits::default());
    let (headers, budget) = (HeaderMap::new(), Budget::new(64 << 20));
    let mut body = endless(chunk, pause);
    let terms = terms(32 << 20, &limits);
    let read = read(&mut body, &headers, &terms, &budget, std::future::ready(Ok(())));
    (read.await.err().unwrap().status, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_body_must_keep_a_pace() {
    // check 196
    let limits = Limits::default();
    let hour = Duration::from_secs(3600);
    assert_eq!(time_until_refused(1, hour).await, (408, limits.body_pause_time), "silent");
    let (status, time) = time_until_refused(1, Duration::from_secs(1)).await;
    assert_eq!((status, time.as_secs()), (408, limits.body_pause_time.as_secs()), "a byte a second");
    let enough = limits.body_bytes_per_sec * 2;
    assert_eq!(time_until_refused(enough, Duration::from_secs(1)).await, (408, Duration::from_secs(30)), "never ends");
}

#[tokio::test]
async fn beyond_what_strangers_may_send_somebody_must_vouch() {
    // check 194
    let (limits, budget, headers) = (limits(1000), Budget::new(1 << 20), HeaderMap::new());
    let refuse = || std::future::ready(Err(failure(403, &["permission denied"])));
    let mut small = Full::new(Bytes::from(vec![b'x'; 1000]));
    assert!(read(&mut small, &headers, &terms(9000, &limits), &budget, refuse()).await.is_ok());
    let mut large = Full::new(Bytes::from(vec![b'x'; 1001]));
    let refused = read(&mut large, &headers, &terms(9000, &limits), &budget, refuse()).await;
    assert_eq!(refused.err().unwrap().status, 403);

    let mut declared = HeaderMap::new();
    declared.insert(CONTENT_LENGTH, 1001.into());
    let mut never = endless(1, Duration::from_secs(3600));
    let refused = read(&mut never, &declared, &terms(9000, &limits), &budget, refuse()).await;
    assert_eq!(refused.err().unwrap().status, 403, "before a byte was waited for");
}

#[tokio::test(start_paused = true)]
async fn who_sends_nothing_makes_room_for_who_does() {
    // check 190
    let limits = Limits::default();
    let budget = Budget::new(4 * limits.body_bytes_without_token);
    let silent = |last: u8| {
        let budget = budget.clone();
        tokio::spawn(async move {
            let limits = Limits::default();
            let terms = Terms { client: [10, 0, 0, last].into(), ..terms(1 << 20, &limits) };
            let (headers, vouch) = (HeaderMap::new(), std::future::ready(Ok(())));
            let mut body = endless(1, Duration::from_secs(3600));
            read(&mut body, &headers, &terms, &budget, vouch).await.err().map(|refusal| refusal.status)
        })
    };
    let honest = silent(1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let flood: Vec<_> = (0..20).map(|_| silent(2)).collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(length(100, None, 1 << 20, &budget).await, Ok(100));
    assert_eq!(budget.held_bytes(), 3 * limits.body_bytes_without_token);
    let mut statuses = Vec::new();
    for stranger in flood {
        statuses.push(stranger.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == Some(503)).count(), 18);
    assert_eq!(honest.await.unwrap(), Some(408), "one that sends nothing ends too, but no flood pushes it out");
}
