//! Listeners over real sockets, with a gateway that does what the path says.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use conclave_vault::Cidr;
use conclave_vault::cors::Cors;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::*;
use crate::config::{ClientCertificate, Forwarded, Limits, Tls, TlsVersion};
use crate::gateway::{Gateway, Incoming, NotedHeader, Outgoing, Throttled};
use crate::http::error::failure;
use crate::http::in_flight::InFlight;
use crate::http::tls::proves_possession;
use crate::metrics::Metrics;

mod flood;
mod reload;
mod untaken;

/// What a test waits for at most, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Fake {
    /// A request to `held` came, and it may end.
    begun: Notify,
    release: Notify,
    finished: AtomicUsize,
    refused: Mutex<Vec<(String, String, u16)>>,
    cors: Mutex<Option<Arc<Cors>>>,
}

impl Gateway for Arc<Fake> {
    fn serve(&self, incoming: Incoming) -> BoxFuture<'_, Outgoing> {
        Box::pin(async move {
            match incoming.request.path.as_str() {
                "panic" => panic!("canary"),
                "held" => {
                    self.begun.notify_one();
                    self.release.notified().await;
                }
                _ => {}
            }
            self.finished.fetch_add(1, Ordering::SeqCst);
            let body = json!({
                "path": incoming.request.path.as_str(),
                "operation": incoming.request.operation.as_str(),
                "token": incoming.request.token.as_ref().map(|token| token.as_str()),
                "client": incoming.request.remote_address.map(|address| address.to_string()),
                "fields": incoming.request.data.len(),
                "certificates": incoming.request.client_certificates.iter().map(Vec::len).collect::<Vec<_>>(),
            });
            Outgoing {
                status: 200,
                content_type: "application/json".into(),
                headers: Vec::new(),
                body: body.to_string().into(),
            }
        })
    }

    fn note_refusal(&self, verb: &str, path: &str, _: IpAddr, outgoing: &Outgoing) {
        self.refused.lock().push((verb.to_owned(), path.to_owned(), outgoing.status));
    }

    fn cors(&self) -> Option<Arc<Cors>> {
        self.cors.lock().clone()
    }

    fn throttle(&self, path: &str, _: IpAddr) -> Throttled {
        let headers = vec![("x-ratelimit-limit".to_owned(), "1".to_owned())];
        let refusal = (path == "throttled").then(|| (failure(429, &["too many"]), false));
        Throttled { headers, refusal }
    }

    fn recorded_headers(&self, _: &http::HeaderMap) -> Vec<NotedHeader> {
        Vec::new()
    }

    fn vouch<'a>(&'a self, token: &'a str, _: IpAddr, _: Instant) -> BoxFuture<'a, Result<(), Outgoing>> {
        let known = if token == "unknown" { Err(failure(403, &["permission denied"])) } else { Ok(()) };
        Box::pin(std::future::ready(known))
    }
}

struct Stage {
    address: SocketAddr,
    fake: Arc<Fake>,
    services: Arc<Services>,
    stop: CancellationToken,
    server: JoinHandle<()>,
    certificates: Option<Arc<Certificates>>,
}

async fn stage(listener: Listener, limits: Limits) -> Stage {
    let fake = Arc::new(Fake::default());
    let services = Services::new(
        Arc::new(fake.clone()),
        Arc::new(Metrics::new()),
        InFlight::new(&limits),
        limits.clone(),
        Box::new(|| {}),
        false,
    );
    let bound = Bound::bind(listener, services.clone(), Pool::new(limits.connections)).await.unwrap();
    let (address, certificates) = (bound.address().unwrap(), bound.certificates());
    let stop = CancellationToken::new();
    let server = tokio::spawn(bound.serve(stop.clone()));
    Stage { address, fake, services, stop, server, certificates }
}

fn plain() -> Listener {
    Listener::plain("127.0.0.1:0")
}

/// Sends bytes and reads until the server closes.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), sent: &[u8]) -> String {
    // A server that refuses early may close while this still sends.
    let _ = stream.write_all(sent).await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).into_owned()
}

async fn ask(stage: &Stage, sent: &str) -> String {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    exchange(&mut stream, sent.as_bytes()).await
}

fn request(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_request_travels_there_and_back() {
    let stage = stage(plain(), Limits::default()).await;
    let reply =
        ask(&stage, &request("LIST /v1/secret/metadata", "X-Vault-Token: t\r\nX-Vault-Namespace: root\r\n")).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(
        reply.contains("content-type: application/json\r\n") && reply.contains("cache-control: no-store"),
        "{reply}"
    );
    assert!(reply.contains("x-vault-namespace: root"), "{reply}");
    assert!(reply.contains(r#""path":"secret/metadata/""#) && reply.contains(r#""token":"t""#), "{reply}");
}

#[tokio::test]
async fn what_is_refused_before_it_is_a_request_is_handed_on_for_the_record() {
    let stage = stage(plain(), Limits { body_bytes_without_token: 16, ..Limits::default() }).await;
    assert!(ask(&stage, &request("GET /v1/secret/%2e%2e/a", "")).await.starts_with("HTTP/1.1 400"));
    let body = "x".repeat(100);
    assert!(ask(&stage, &(request("POST /v1/a", "Content-Length: 100\r\n") + &body)).await.starts_with("HTTP/1.1 413"));
    assert!(ask(&stage, &request("GET /v1/a", "")).await.starts_with("HTTP/1.1 200"));
    let refused = stage.fake.refused.lock().clone();
    let expected = [("GET", "/v1/secret/%2e%2e/a", 400), ("POST", "/v1/a", 413)];
    assert_eq!(refused, expected.map(|(verb, path, status)| (verb.to_owned(), path.to_owned(), status)));
}

// check 32
#[tokio::test]
async fn who_sent_too_many_is_refused_before_the_body_is_looked_at() {
    let stage = stage(plain(), Limits::default()).await;
    let no_json = "Content-Length: 7\r\n";
    let reply = ask(&stage, &(request("POST /v1/throttled", no_json) + "no json")).await;
    assert!(reply.starts_with("HTTP/1.1 429") && reply.contains("retry-after: 1"), "{reply}");
    assert!(reply.contains("x-ratelimit-limit: 1"), "{reply}");
    assert!(ask(&stage, &(request("POST /v1/other", no_json) + "no json")).await.starts_with("HTTP/1.1 400"));
    let refused: Vec<_> = stage.fake.refused.lock().iter().map(|(_, path, _)| path.clone()).collect();
    assert_eq!(refused, ["/v1/other"], "and recorded only if the operator wants that");
}

// check 251
#[tokio::test]
async fn pages_of_other_origins_are_answered_as_the_operator_allows() {
    let stage = stage(plain(), Limits::default()).await;
    let cors = Cors { origins: vec!["https://a.example".into()], ..Cors::default() };
    *stage.fake.cors.lock() = Some(Arc::new(cors));
    let from = |verb: &str, origin: &str| request(&format!("{verb} /v1/a"), &format!("Origin: https://{origin}\r\n"));
    let allowed = ask(&stage, &from("GET", "a.example")).await;
    assert!(allowed.starts_with("HTTP/1.1 200"), "{allowed}");
    assert!(allowed.contains("access-control-allow-origin: https://a.example"), "{allowed}");
    assert!(ask(&stage, &from("GET", "b.example")).await.starts_with("HTTP/1.1 403"));
    assert!(ask(&stage, &from("OPTIONS", "a.example")).await.starts_with("HTTP/1.1 405"), "it names no verb");
    assert!(ask(&stage, &request("OPTIONS /v1/a", "")).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_head_has_no_body() {
    let stage = stage(plain(), Limits::default()).await;
    let reply = ask(&stage, &request("HEAD /v1/sys/health", "")).await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("\r\n\r\n"), "{reply}");
}

#[tokio::test]
async fn a_panic_ends_its_request_and_not_the_connection() {
    // check 223
    let stage = stage(plain(), Limits::default()).await;
    let first = "GET /v1/panic HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let reply = ask(&stage, &(first + &request("GET /v1/after", ""))).await;
    assert!(reply.starts_with("HTTP/1.1 500") && reply.contains(r#"{"errors":["internal error"]}"#), "{reply}");
    assert!(reply.contains("HTTP/1.1 200") && reply.contains(r#""path":"after""#), "{reply}");
    assert!(!reply.contains("canary"), "{reply}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_client_can_read_that() {
    // check 194
    let mut listener = plain();
    listener.max_request_bytes = 1 << 20;
    let stage = stage(listener, Limits::default()).await;
    let send = async |token: &str, length: usize| {
        let head = request("POST /v1/secret/a", &format!("{token}Content-Length: {length}\r\n"));
        let mut body = format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8)).into_bytes();
        assert_eq!(body.len(), length);
        let mut sent = head.into_bytes();
        sent.append(&mut body);
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        exchange(&mut stream, &sent).await
    };
    assert!(send("X-Vault-Token: t\r\n", 1 << 20).await.starts_with("HTTP/1.1 200"));
    let refused = send("X-Vault-Token: t\r\n", (1 << 20) + 1).await;
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("http: request body too large"), "{refused}");
    assert!(send("", 64 << 10).await.starts_with("HTTP/1.1 200"));
    assert!(send("", (64 << 10) + 1).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_chunked_body_is_counted_as_it_comes() {
    // check 194
    let stage = stage(plain(), Limits { body_bytes_without_token: 16, ..Limits::default() }).await;
    let chunks = "10\r\n{\"a\":\"xxxxxxxxxx\r\n8\r\nxxxxxx\"}\r\n0\r\n\r\n";
    let reply = ask(&stage, &(request("POST /v1/a", "Transfer-Encoding: chunked\r\n") + chunks)).await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    // check 196
    let mut listener = plain();
    listener.body_time = Duration::from_millis(50);
    let stage = stage(listener, Limits { discard_time: Duration::from_millis(50), ..Limits::default() }).await;
    let reply = ask(&stage, &(request("POST /v1/a", "Content-Length: 10\r\n") + "{")).await;
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    // check 196
    let mut listener = plain();
    listener.header_time = Duration::from_millis(50);
    let stage = stage(listener, Limits::default()).await;
    for sent in ["", "PRI * HT", "GET /v1/a HTTP/1.1\r\nX-"] {
        assert_eq!(ask(&stage, sent).await, "", "{sent}");
    }
}

#[tokio::test]
async fn headers_have_a_limit() {
    let stage = stage(plain(), Limits::default()).await;
    let long = format!("X-Vault-Token: {}\r\n", "t".repeat(9000));
    assert!(ask(&stage, &request("GET /v1/a", &long)).await.starts_with("HTTP/1.1 431"));
    let many = "X-A: 1\r\n".repeat(200);
    assert!(ask(&stage, &request("GET /v1/a", &many)).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn smuggled_requests_are_refused() {
    // check 249
    let stage = stage(plain(), Limits::default()).await;
    let cases = [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "X-A: 1\r\n folded\r\n",
        "X-A : 1\r\n",
    ];
    for headers in cases {
        let reply = ask(&stage, &(request("POST /v1/a", headers) + "{}")).await;
        assert!(reply.starts_with("HTTP/1.1 400"), "{headers}: {reply}");
        assert_eq!(reply.matches("HTTP/1.1").count(), 1, "{reply}");
    }
}

#[tokio::test]
async fn nothing_follows_a_body_in_chunks_on_its_connection() {
    // check 249
    let stage = stage(plain(), Limits::default()).await;
    let first = "POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let reply = ask(&stage, &(first.to_owned() + &request("GET /v1/smuggled", ""))).await;
    assert_eq!(reply.matches("HTTP/1.1").count(), 1, "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
}

#[tokio::test]
async fn when_all_places_are_taken_health_still_answers() {
    let limits = Limits { requests: 1, status_requests: 8, ..Limits::default() };
    let stage = Arc::new(stage(plain(), limits).await);
    let slow = tokio::spawn({
        let stage = stage.clone();
        async move { ask(&stage, &request("GET /v1/held", "")).await }
    });
    stage.fake.begun.notified().await;
    assert!(ask(&stage, &request("GET /v1/a", "")).await.starts_with("HTTP/1.1 503"));
    assert!(ask(&stage, &request("GET /v1/sys/health", "")).await.starts_with("HTTP/1.1 200"));
    stage.fake.release.notify_one();
    assert!(slow.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_cut_its_request_in_half() {
    let stage = stage(plain(), Limits::default()).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(request("GET /v1/held", "").as_bytes()).await.unwrap();
    stage.fake.begun.notified().await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    stage.fake.release.notify_one();
    let ended = async {
        while stage.fake.finished.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, ended).await.is_ok());
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_takes_no_new_ones() {
    let stage = stage(plain(), Limits::default()).await;
    let address = stage.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request("GET /v1/held", "").as_bytes()).await.unwrap();
    stage.fake.begun.notified().await;
    stage.stop.cancel();
    stage.fake.release.notify_one();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    stage.server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let limits = Limits { drain_time: Duration::from_millis(50), ..Limits::default() };
    let stage = stage(plain(), limits).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(request("GET /v1/held", "").as_bytes()).await.unwrap();
    stage.fake.begun.notified().await;
    stage.stop.cancel();
    assert!(tokio::time::timeout(PATIENCE, stage.server).await.is_ok());
}

#[tokio::test]
async fn a_request_past_its_deadline_gets_an_answer() {
    let mut listener = plain();
    listener.max_request_duration = Duration::from_millis(50);
    let stage = stage(listener, Limits { deadline_grace: Duration::from_millis(50), ..Limits::default() }).await;
    let reply = ask(&stage, &request("POST /v1/held", "")).await;
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("outcome is unknown"), "{reply}");
}

#[tokio::test]
async fn a_peer_that_is_not_listed_is_told_so_and_the_listener_goes_on() {
    // check 34, check 257
    let mut listener = plain();
    let authorized = vec![Cidr::parse("10.0.0.0/8").unwrap()];
    listener.forwarded = Forwarded { authorized, rejects_unauthorized: true, ..Forwarded::default() };
    let stage = stage(listener, Limits::default()).await;
    assert!(ask(&stage, &request("GET /v1/a", "X-Forwarded-For: 1.2.3.4\r\n")).await.starts_with("HTTP/1.1 400"));
    let reply = ask(&stage, &request("GET /v1/a", "")).await;
    assert!(reply.contains(r#""client":"127.0.0.1""#), "{reply}");
}

#[tokio::test]
async fn another_origin_is_granted_nothing() {
    // check 251
    let stage = stage(plain(), Limits::default()).await;
    let origin = "Origin: https://evil.example\r\nAccess-Control-Request-Method: PUT\r\n";
    for (line, status) in [("OPTIONS /v1/secret/a", "400"), ("GET /v1/secret/a", "200")] {
        let reply = ask(&stage, &request(line, origin)).await.to_lowercase();
        assert!(reply.starts_with(&format!("http/1.1 {status}")), "{reply}");
        assert!(!reply.contains("access-control") && !reply.contains("evil"), "{reply}");
    }
}

#[tokio::test]
async fn only_known_verbs_become_operations() {
    // check 3
    let stage = stage(plain(), Limits::default()).await;
    for verb in ["RENEW", "REVOKE", "ROLLBACK", "HELP", "INITIALIZE", "TRACE", "get", "CONNECT"] {
        let reply = ask(&stage, &request(&format!("{verb} /v1/secret/a"), "X-Vault-Token: t\r\n")).await;
        assert!(!reply.starts_with("HTTP/1.1 2"), "{verb}: {reply}");
    }
    let named = "X-Vault-Operation: revoke\r\nX-HTTP-Method-Override: DELETE\r\n";
    let reply = ask(&stage, &request("GET /v1/secret/a?operation=revoke", named)).await;
    assert!(reply.contains(r#""operation":"read""#), "{reply}");
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn metrics_name_no_path_and_no_verb_of_a_stranger() {
    // check 225
    let mut listener = plain();
    listener.has_open_metrics = true;
    let stage = stage(listener, Limits::default()).await;
    for line in ["GET /v1/canary/a", "CANARY /v1/a", "POST /v1/a?canary=canary", "GET /canary"] {
        ask(&stage, &request(line, "X-Vault-Token: canary\r\nX-Canary: canary\r\n")).await;
    }
    let reply = ask(&stage, &request("GET /v1/sys/metrics?format=prometheus", "")).await;
    assert!(reply.starts_with("HTTP/1.1 200") && !reply.to_lowercase().contains("canary"), "{reply}");
}

#[tokio::test]
async fn metrics_need_no_token_where_the_listener_says_so() {
    let mut listener = plain();
    listener.has_open_metrics = true;
    let stage = stage(listener, Limits::default()).await;
    let reply = ask(&stage, &request("GET /v1/sys/metrics?format=prometheus", "")).await;
    assert!(reply.contains("conclave_http_requests_total") || reply.contains("vault_core_unsealed"), "{reply}");
    assert_eq!(stage.fake.finished.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn http_2_is_spoken() {
    let stage = stage(plain(), Limits::default()).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    // The preface and an empty SETTINGS frame (RFC 9113, section 3.4); the answer begins with SETTINGS too.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "{head:?}");
}

/// A certificate for the listener in a folder.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

fn with_tls(folder: &Path) -> Listener {
    let tls = Tls {
        cert_file: folder.join("cert.pem"),
        key_file: folder.join("key.pem"),
        client_ca_file: None,
        min_version: TlsVersion::Tls12,
        max_version: TlsVersion::Tls13,
        client_certificate: ClientCertificate::Requested,
    };
    Listener { tls: Some(tls), ..plain() }
}

/// Shows whatever certificate it was given, without looking at it.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn shown(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(vec![certificate], key))
}

async fn ask_tls(
    stage: &Stage,
    trusted: &CertificateDer<'static>,
    shows: Option<Arc<CertifiedKey>>,
    version: &'static rustls::SupportedProtocolVersion,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match shows {
        Some(shows) => builder.with_client_cert_resolver(Arc::new(Shows(shows))),
        None => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(stage.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request("GET /v1/a", "").as_bytes()).await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[tokio::test]
async fn tls_replies_tell_browsers_to_stay_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let stage = stage(with_tls(folder.path()), Limits::default()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let reply = ask_tls(&stage, &trusted, None, version).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("strict-transport-security"), "{reply}");
    }
}

#[tokio::test]
async fn a_client_may_show_an_expired_certificate_or_one_of_version_1_which_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let stage = stage(with_tls(folder.path()), Limits::default()).await;
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2000, 1, 1);
    let expired = parameters.self_signed(&key).unwrap().der().clone();
    // The version is the first field: [0] { INTEGER 2 }, where 0 stands for version 1 (RFC 5280, section 4.1).
    let mut bytes = expired.to_vec();
    let position = bytes.windows(5).position(|window| window == [0xa0, 3, 2, 1, 2]).unwrap();
    bytes[position + 4] = 0;
    let version_1 = CertificateDer::from(bytes);
    assert!(proves_possession(&expired) && !proves_possession(&version_1));
    // Handed over is only what was signed with and could be checked.
    for (certificate, handed_over) in [(expired.clone(), format!("[{}]", expired.len())), (version_1, "[]".to_owned())]
    {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let reply = ask_tls(&stage, &trusted, Some(shown(certificate.clone(), &key)), version).await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
            assert!(reply.contains(&format!("\"certificates\":{handed_over}")), "{reply}");
        }
    }
    let reply = ask_tls(&stage, &trusted, None, &rustls::version::TLS13).await.unwrap();
    assert!(reply.contains("\"certificates\":[]"), "{reply}");
}

#[tokio::test]
async fn a_client_cannot_show_a_certificate_whose_key_it_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let stage = stage(with_tls(folder.path()), Limits::default()).await;
    let (own, stolen) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&stolen).unwrap().der().clone();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert!(ask_tls(&stage, &trusted, Some(shown(certificate.clone(), &own)), version).await.is_err());
    }
}

#[tokio::test]
async fn what_is_no_tls_does_not_stop_the_listener() {
    // check 197
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let stage = stage(with_tls(folder.path()), Limits::default()).await;
    for garbage in ["GET /v1/a HTTP/1.1\r\n\r\n", "\x16\x03\x01\x7f\x7f\x01"] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(garbage.as_bytes()).await.unwrap();
    }
    assert!(ask_tls(&stage, &trusted, None, &rustls::version::TLS13).await.is_ok());
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    // check 249
    let stage = stage(plain(), Limits::default()).await;
    for (version, hosts, status) in [
        ("1.1", "Host: x\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "Host: x\r\nHost: y\r\n", 400),
        ("1.1", "Host: x\r\nHost: x\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: x\r\nHost: y\r\n", 400),
    ] {
        let sent = format!("GET /v1/a HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        let reply = ask(&stage, &sent).await;
        assert_eq!(reply.split(' ').nth(1), Some(status.to_string().as_str()), "{sent}: {reply}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_a_reload() {
    // check 248
    let folder = tempfile::tempdir().unwrap();
    let old = certify(folder.path());
    let stage = stage(with_tls(folder.path()), Limits::default()).await;
    let certificates = stage.certificates.clone().unwrap();
    std::fs::write(folder.path().join("cert.pem"), "broken").unwrap();
    assert!(certificates.reload().is_err());
    assert!(ask_tls(&stage, &old, None, &rustls::version::TLS13).await.is_ok(), "the old one stays");
    let new = certify(folder.path());
    certificates.reload().unwrap();
    assert!(ask_tls(&stage, &new, None, &rustls::version::TLS13).await.is_ok());
    assert!(ask_tls(&stage, &old, None, &rustls::version::TLS13).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let stage = stage(plain(), Limits::default()).await;
    let (fake, limits) = (Arc::new(Fake::default()), Limits::default());
    let services = Services::new(
        Arc::new(fake),
        Arc::new(Metrics::new()),
        InFlight::new(&limits),
        limits.clone(),
        Box::new(|| {}),
        false,
    );
    let second = Bound::bind(Listener::plain(stage.address.to_string()), services, Pool::new(limits.connections)).await;
    let Err(error) = second else { panic!("bound twice") };
    assert!(error.to_string().contains(&stage.address.to_string()), "{error}");
}
