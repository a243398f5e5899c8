//! Clients of HTTP/2 that ask and take nothing.

use super::*;

/// The preface and SETTINGS with `INITIAL_WINDOW_SIZE` 0 (RFC 9113, sections 3.4 and 6.5.2).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00";
/// `END_STREAM` and `END_HEADERS`.
const WHOLE: u8 = 5;

/// A request on a stream, whole in one HEADERS frame.
fn get(path: &str, stream: u32) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x01, 1, b'x']);
    frame(1, WHOLE, stream, &block)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A connection that asked once on each of some streams.
async fn asked(address: SocketAddr, streams: std::ops::Range<u32>) -> TcpStream {
    let mut sent = PREFACE.to_vec();
    streams.for_each(|number| sent.extend(get("/v1/secret/a", 2 * number + 1)));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&sent).await.unwrap();
    stream
}

/// Reads until the server closes, which it must.
async fn closed(stream: &mut TcpStream) {
    let mut taken = Vec::new();
    let reading = stream.read_to_end(&mut taken);
    // Whatever a reset of the connection throws away, it is closed.
    let _ = tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the server closes the connection");
}

async fn until_finished(stage: &Stage, number: usize) {
    while stage.fake.finished.load(Ordering::SeqCst) < number {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_takes_no_replies_is_closed() {
    let limits = Limits { write_stall_time: Duration::from_millis(300), ..Limits::default() };
    let stage = stage(plain(), limits).await;
    let mut stream = asked(stage.address, 0..100).await;
    closed(&mut stream).await;
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_closed_sooner_if_too_much_waits_everywhere() {
    let limits = Limits { all_untaken_bytes: 1, write_stall_time: Duration::from_secs(3600), ..Limits::default() };
    let stage = stage(plain(), limits).await;
    let mut stream = asked(stage.address, 0..1).await;
    closed(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_while_too_much_of_their_connection_is_not_taken() {
    let stage = stage(plain(), Limits { untaken_bytes: 1, ..Limits::default() }).await;
    let mut stream = asked(stage.address, 0..1).await;
    until_finished(&stage, 1).await;
    // The reply waits a moment after it was made.
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.write_all(&get("/v1/secret/a", 3)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 1, "the second one waits");
    // WINDOW_UPDATE for the first stream (RFC 9113, section 6.9).
    stream.write_all(&frame(8, 0, 1, &65_535_u32.to_be_bytes())).await.unwrap();
    until_finished(&stage, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_counted_and_let_go_with_its_connection() {
    let everywhere = Everywhere::new(&Limits::default());
    let untaken = Untaken::new(&Limits::default(), &everywhere);
    let mut body = std::pin::pin!(untaken.body(http_body_util::Full::new(vec![7_u8; 40_000].into())));
    assert_eq!(everywhere.bytes(), 40_000);
    let mut taken = Vec::new();
    // A slice waits until the next one is asked for.
    for left in [40_000, 40_000 - 16_384, 40_000 - 2 * 16_384] {
        let frame = std::future::poll_fn(|context| hyper::body::Body::poll_frame(body.as_mut(), context)).await;
        taken.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
        assert_eq!(everywhere.bytes(), left);
    }
    assert!(hyper::body::Body::is_end_stream(&*body));
    assert_eq!(taken, [7; 40_000]);
    assert!(std::future::poll_fn(|context| hyper::body::Body::poll_frame(body.as_mut(), context)).await.is_none());
    assert_eq!(everywhere.bytes(), 0);
    drop(untaken.body(http_body_util::Full::new("left".into())));
    assert_eq!(everywhere.bytes(), 0);
}
