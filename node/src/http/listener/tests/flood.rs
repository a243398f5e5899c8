//! Strangers that open much and send little, and what an honest client at the same address gets meanwhile.

use super::*;

/// The preface and an empty SETTINGS frame (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// `END_HEADERS` alone: a body is to follow.
const END_HEADERS: u8 = 4;

/// A HEADERS frame that announces a body of ten bytes, which never come.
fn headers_without_a_body(path: &str, stream: u32) -> Vec<u8> {
    let mut block = vec![0x83, 0x86]; // `:method: POST`, `:scheme: http` (RFC 7541, appendix A)
    let mut literal = |name: &[u8], value: &[u8]| {
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value);
    };
    literal(&[0x04], path.as_bytes());
    literal(&[0x01], b"x");
    literal(&[0x0f, 0x0d], b"10"); // content-length
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], 1, END_HEADERS];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.append(&mut block);
    frame
}

/// Connections that each carry as many such requests as they may.
async fn flood(address: SocketAddr, connections: usize, path: &str) -> Vec<TcpStream> {
    let streams = Limits::default().streams_per_connection;
    let mut held = Vec::new();
    for _ in 0..connections {
        let mut sent = PREFACE.to_vec();
        for number in 0..streams {
            sent.extend(headers_without_a_body(path, 2 * number + 1));
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        held.push(stream);
    }
    held
}

async fn posts(stage: &Stage, path: &str) -> String {
    ask(stage, &(request(&format!("POST {path}"), "Content-Length: 2\r\n") + "{}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_whose_bodies_do_not_come_shut_nobody_out() {
    // check 190, check 194, check 196
    let mut listener = plain();
    // On a busy machine the last one may come long after the first.
    listener.body_time = Duration::from_secs(3600);
    let stage = stage(listener, Limits::default()).await;
    let ordinary = flood(stage.address, 67, "/v1/secret/a").await;
    let unseal = flood(stage.address, 3, "/v1/sys/unseal").await;
    // As soon as the last request was read, all are under way, or gave their place to it.
    let most = Limits::default().all_bodies_bytes / Limits::default().body_bytes_without_token;
    let arrived = async || stage.services.bodies.held_bytes() >= most * Limits::default().body_bytes_without_token;
    while !arrived().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for path in ["/v1/sys/health", "/v1/sys/seal-status", "/v1/secret/a"] {
        let reply = ask(&stage, &request(&format!("GET {path}"), "")).await;
        assert!(reply.starts_with("HTTP/1.1 200"), "GET {path}: {reply}");
    }
    for path in ["/v1/sys/unseal", "/v1/secret/a"] {
        let reply = posts(&stage, path).await;
        assert!(reply.starts_with("HTTP/1.1 200"), "POST {path}: {reply}");
    }
    assert_eq!(stage.services.in_flight.count(), 0, "a body that does not come takes no place");
    drop((ordinary, unseal));
}

#[tokio::test]
async fn a_token_that_nobody_knows_brings_no_large_body() {
    // check 194
    let stage = stage(plain(), Limits::default()).await;
    let send = async |token: &str, length: usize| {
        let head = request("POST /v1/a", &format!("X-Vault-Token: {token}\r\nContent-Length: {length}\r\n"));
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        ask(&stage, &(head + &body)).await
    };
    let free = Limits::default().body_bytes_without_token;
    assert!(send("unknown", free).await.starts_with("HTTP/1.1 200"), "the gateway answers this one");
    let refused = send("unknown", free + 1).await;
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("permission denied"), "{refused}");
    assert!(send("known", 1 << 20).await.starts_with("HTTP/1.1 200"));
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 2);
    assert_eq!(stage.services.bodies.held_bytes(), 0);
}

/// A JSON body that takes a hundred times its length once it is decoded.
fn dense(objects: usize) -> String {
    format!("{{\"a\":[{}0]}}", "{\"\":0},".repeat(objects))
}

#[tokio::test]
async fn what_a_body_is_decoded_to_is_paid_for_before_it_is_decoded() {
    // check 193, check 194
    let stage = stage(plain(), Limits { all_bodies_bytes: 2 << 20, ..Limits::default() }).await;
    let send = async |token: &str, objects: usize| {
        let body = dense(objects);
        let token = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
        let head = request("POST /v1/a", &format!("{token}Content-Length: {}\r\n", body.len()));
        ask(&stage, &(head + &body)).await
    };
    assert!(send("", 100).await.starts_with("HTTP/1.1 200"));
    let refused = send("", 1_000).await;
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("without a token"), "{refused}");
    assert!(send("unknown", 1_000).await.starts_with("HTTP/1.1 403"));
    assert!(send("known", 1_000).await.starts_with("HTTP/1.1 200"));
    let refused = send("known", 4_000).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("too many request bodies"), "{refused}");
    assert_eq!(stage.services.bodies.held_bytes(), 0);
}

#[tokio::test]
async fn when_there_are_too_many_connections_the_idle_ones_of_the_greediest_go() {
    // check 35, check 196
    let stage = stage(plain(), Limits { connections: 3, ..Limits::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut some = [0; 12];
        stream.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"HTTP/1.1 200");
        idle.push(stream);
    }
    assert!(ask(&stage, &request("GET /v1/sys/health", "")).await.starts_with("HTTP/1.1 200"));
    let mut rest = Vec::new();
    idle[0].read_to_end(&mut rest).await.unwrap();
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_idle_connection_is_closed_also_with_http_2() {
    // check 196
    let mut listener = plain();
    listener.idle_time = Duration::from_millis(100);
    let stage = stage(listener, Limits::default()).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let mut get = headers_without_a_body("/v1/a", 1);
    get[4] |= 1; // END_STREAM
    get[9] = 0x82; // `:method: GET`
    get.truncate(get.len() - 5); // no content-length
    get[2] -= 5;
    stream.write_all(&[PREFACE, &get].concat()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn silent_connections_do_not_hold_up_handshakes() {
    // check 196
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    // Nothing here ends by time: whoever waited for the silent ones would wait for good.
    let long = Duration::from_secs(3600);
    let limits = Limits { handshakes: 8, handshake_time: long, ..Limits::default() };
    let stage = stage(Listener { header_time: long, ..with_tls(folder.path()) }, limits).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(stage.address).await.unwrap());
    }
    let reply = tls_request(&stage, &certificate).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

async fn tls_request(stage: &Stage, certificate: &CertificateDer<'static>) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    exchange(&mut stream, request("GET /v1/sys/health", "").as_bytes()).await
}

#[tokio::test]
async fn who_forgets_the_tls_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let stage = stage(with_tls(folder.path()), Limits::default()).await;
    for sent in [request("GET /v1/sys/health", ""), request("PUT /v1/secret/a", "Content-Length: 40000\r\n")] {
        let reply = ask(&stage, &(sent + &"x".repeat(40_000))).await;
        assert_eq!(reply, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    }
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 0);
}
