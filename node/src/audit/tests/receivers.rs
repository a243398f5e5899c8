//! Devices that send records to receivers, each a socket of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use conclave_cli::audit_chain::verify::Verifier;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::config::Outbound;

/// How long a test waits for what was sent.
const PATIENCE: Duration = Duration::from_secs(20);

async fn app() -> Arc<App> {
    App::start_dev(Config::memory("127.0.0.1:0"), Some(ROOT)).await.unwrap().0
}

async fn enable(app: &Arc<App>, kind: &str, options: Value) -> u16 {
    let body = json!({ "type": kind, "options": options });
    ask(app, Operation::Update, &format!("sys/audit/{kind}"), ROOT, body).await.0
}

/// Lines until there is one about a secret's reply.
fn until_reply(lines: &Receiver<String>, name: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap();
        let is_reply =
            line.contains("\"type\":\"response\"") && line.contains(&format!("\"path\":\"secret/data/{name}\""));
        seen.push(line);
        if is_reply {
            return seen;
        }
    }
}

fn check_chain(lines: &[String]) {
    let mut verifier = Verifier::new(Vec::new());
    verifier.read((lines.join("\n") + "\n").as_bytes()).unwrap();
    assert_eq!(verifier.finish(true), []);
}

/// Hands on what a receiver reads from each of its connections.
fn accept(listener: TcpListener, read: impl Fn(TcpStream, &dyn Fn(String)) + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Nobody is left to be told once the test has ended.
            read(stream, &|line| drop(sender.send(line)));
        }
    });
    lines
}

fn read_lines(stream: TcpStream, hand: &dyn Fn(String)) {
    BufReader::new(stream).lines().map_while(Result::ok).for_each(hand);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_gets_whole_lines_and_a_receiver_that_was_away_gets_the_next() {
    let app = app().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, lines) = channel();
    // The first connection only tries whether there is one.
    let first = thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let is_last = line.contains("secret/data/last") && line.contains("\"type\":\"response\"");
                sender.send(line).unwrap();
                if is_last {
                    return;
                }
            }
        }
    });
    assert_eq!(enable(&app, "socket", json!({ "address": address, "socket_type": "tcp" })).await, 204);
    assert_eq!(write(&app, "last").await, 200);
    check_chain(&until_reply(&lines, "last"));
    first.join().unwrap();
    // The receiver is gone, and nobody listens.
    assert_eq!(write(&app, "a").await, 500);
    let lines = accept(TcpListener::bind(&address).unwrap(), read_lines);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(write(&app, "b").await, 200);
    let seen = until_reply(&lines, "b");
    assert!(seen[0].contains("\"type\":\"chain\""), "where the chain goes on: {}", seen[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_for_datagrams_gets_one_for_each_line() {
    let app = app().await;
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        while let Ok(length) = receiver.recv(&mut datagram) {
            let _ = sender.send(String::from_utf8_lossy(&datagram[..length]).into_owned());
        }
    });
    assert_eq!(enable(&app, "socket", json!({ "address": address, "socket_type": "udp" })).await, 204);
    assert_eq!(write(&app, "a").await, 200);
    check_chain(&until_reply(&lines, "a"));
}

/// Messages behind their lengths (RFC 6587, section 3.4.1).
fn read_counted(stream: impl Read, hand: &dyn Fn(String)) {
    let mut stream = BufReader::new(stream);
    let mut length = Vec::new();
    while stream.read_until(b' ', &mut length).is_ok_and(|read| read > 0) {
        let count: usize = String::from_utf8_lossy(&length).trim().parse().unwrap();
        assert!(count <= 8_096, "{count}");
        let mut message = vec![0; count];
        if stream.read_exact(&mut message).is_err() {
            return;
        }
        hand(String::from_utf8(message).unwrap());
        length.clear();
    }
}

/// The texts of messages of RFC 5424, those of parts put together.
fn joined_parts(messages: &[String]) -> Vec<String> {
    let (mut lines, mut parts) = (Vec::new(), String::new());
    for message in messages {
        let fields: Vec<&str> = message.splitn(7, ' ').collect();
        assert_eq!((fields[0], fields[3], fields[5]), ("<134>1", "vaults", "audit"), "{message}");
        assert!(fields[1].ends_with('Z') && fields[4] == std::process::id().to_string(), "{message}");
        match fields[6].strip_prefix("- ") {
            Some(line) => lines.push(line.to_owned()),
            None => {
                let (element, part) = fields[6].split_once("] ").unwrap();
                parts.push_str(part);
                let number =
                    |name: &str| element.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
                if number("number") == number("of") {
                    lines.push(std::mem::take(&mut parts));
                }
            }
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_over_tcp_counts_octets_and_splits_what_receivers_would_cut() {
    let app = app().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let messages = accept(listener, |stream, hand| read_counted(stream, hand));
    let options = json!({ "address": address, "facility": "local0", "tag": "vaults" });
    assert_eq!(enable(&app, "syslog", options).await, 204);
    let many: Map<String, Value> = (0..300).map(|number| (format!("é{number}"), json!("x"))).collect();
    ask(&app, Operation::Update, "secret/data/many", ROOT, json!({ "data": many })).await;
    assert_eq!(write(&app, "a").await, 200);
    let lines = joined_parts(&until_reply(&messages, "a"));
    assert!(lines.iter().any(|line| line.len() > 20_000));
    check_chain(&lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_over_tls_believes_the_authority_it_was_given_and_no_other() {
    let (app, folder) = (app().await, tempfile::tempdir().unwrap());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tls://localhost:{}", listener.local_addr().unwrap().port());
    let messages = accept(listener, move |stream, hand| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        read_counted(StreamOwned::new(connection, stream), hand);
    });
    assert_eq!(enable(&app, "syslog", json!({ "address": address })).await, 400, "the system does not know it");
    let options = json!({ "address": address, "ca_file": ca_file, "facility": "local0", "tag": "vaults" });
    assert_eq!(enable(&app, "syslog", options).await, 204);
    assert_eq!(write(&app, "a").await, 200);
    check_chain(&joined_parts(&until_reply(&messages, "a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_s_own_socket_gets_the_old_format_without_a_host() {
    let (app, folder) = (app().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("log");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        while let Ok(length) = receiver.recv(&mut datagram) {
            let _ = sender.send(String::from_utf8_lossy(&datagram[..length]).into_owned());
        }
    });
    let address = format!("unix://{}", path.display());
    assert_eq!(enable(&app, "syslog", json!({ "address": address, "tag": "vaults" })).await, 204);
    assert_eq!(write(&app, "a").await, 200);
    let seen = until_reply(&lines, "a");
    let tag = format!(" vaults[{}]: ", std::process::id());
    let texts: Vec<String> = seen.iter().map(|message| message.split_once(&tag).unwrap().1.to_owned()).collect();
    // <38>, three letters, a day of two places, a time of eight.
    assert!(
        seen.iter().all(|message| message.starts_with("<38>") && message.find(&tag) == Some(4 + 15)),
        "{}",
        seen[0]
    );
    check_chain(&texts);
}

/// Reads requests of HTTP, answers each with a status, and hands on the head's first line and the body's lines.
fn collect(stream: TcpStream, status: &str, hand: &dyn Fn(String)) {
    let mut writer = stream.try_clone().unwrap();
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length, mut line) = (String::new(), 0, String::new());
        while stream.read_line(&mut line).is_ok_and(|read| read > 0) && line != "\r\n" {
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = text.trim().parse().unwrap();
            }
            head.push_str(&std::mem::take(&mut line));
        }
        let mut body = vec![0; length];
        if head.is_empty() || stream.read_exact(&mut body).is_err() {
            return;
        }
        hand(head);
        String::from_utf8(body).unwrap().lines().map(str::to_owned).for_each(hand);
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_groups_of_lines_with_the_headers_that_it_wants() {
    let app = app().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/ingest?index=audit", listener.local_addr().unwrap());
    let lines = accept(listener, |stream, hand| collect(stream, "200 OK", hand));
    let options = json!({ "uri": uri, "headers": "{\"Authorization\": \"Bearer of-test\"}" });
    assert_eq!(enable(&app, "http", options).await, 204);
    assert_eq!(write(&app, "a").await, 200);
    let (heads, lines): (Vec<_>, Vec<_>) =
        until_reply(&lines, "a").into_iter().partition(|line| line.starts_with("POST "));
    check_chain(&lines);
    for head in heads {
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("post /ingest?index=audit http/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: bearer of-test\r\n") && head.contains("x-ndjson\r\n"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_or_sends_elsewhere_has_not_recorded() {
    for status in ["503 Busy", "307 Elsewhere\r\nLocation: http://127.0.0.1:1/"] {
        let app = app().await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let _lines = accept(listener, move |stream, hand| collect(stream, status, hand));
        assert_eq!(enable(&app, "http", json!({ "uri": uri })).await, 500, "enabled, and that was not recorded");
        assert_eq!(write(&app, "a").await, 500);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_nobody_is_at_is_not_enabled() {
    let app = app().await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(enable(&app, "http", json!({ "uri": format!("http://{free}/") })).await, 400);
    assert_eq!(write(&app, "a").await, 200);
}

// check 258, 260
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_enabled_over_the_api_reaches_whom_the_operator_allows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let lines = accept(listener, read_lines);
    for (kind, options) in [
        ("socket", json!({ "address": "169.254.169.254:80" })),
        ("socket", json!({ "address": "169.254.169.254:80", "socket_type": "udp" })),
        ("syslog", json!({ "address": "udp://169.254.169.254:80" })),
        ("http", json!({ "uri": "http://169.254.169.254/latest" })),
        ("http", json!({ "uri": "http://[::ffff:169.254.169.254]/latest" })),
    ] {
        let body = json!({ "type": kind, "options": options });
        let (status, reply) = ask(&app().await, Operation::Update, "sys/audit/a", ROOT, body).await;
        assert_eq!(status, 400);
        assert!(reply.to_string().contains("outbound"), "{reply}");
    }
    let mut config = Config::memory("127.0.0.1:0");
    config.outbound = Outbound::allowing(&["192.0.2.0/24"]);
    let strict = App::start_dev(config.clone(), Some(ROOT)).await.unwrap().0;
    assert_eq!(enable(&strict, "socket", json!({ "address": address })).await, 400);
    // What the operator names in the configuration the operator allows.
    let options = [("address".to_owned(), address)].into();
    let device = AuditDevice { kind: "socket".into(), path: "own/".into(), options, ..AuditDevice::default() };
    config.audit.devices = vec![device];
    strict.configure_audit(&config).unwrap();
    assert_eq!(write(&strict, "a").await, 200);
    until_reply(&lines, "a");
}

#[test]
fn options_of_receivers_are_refused_where_they_are_not_understood() {
    let cases = [
        ("socket", json!({})),
        ("socket", json!({ "address": "10.0.0.1" })),
        ("socket", json!({ "address": "10.0.0.1:9", "socket_type": "sctp" })),
        ("socket", json!({ "address": "a", "socket_type": "unix" })),
        ("socket", json!({ "address": "10.0.0.1:9", "write_timeout": "1h" })),
        ("syslog", json!({ "facility": "MUSIC" })),
        ("syslog", json!({ "tag": "a b" })),
        ("syslog", json!({ "address": "10.0.0.1:514" })),
        ("syslog", json!({ "address": "tcp://10.0.0.1:514", "ca_file": "/ca.pem" })),
        ("http", json!({})),
        ("http", json!({ "uri": "ftp://a/" })),
        ("http", json!({ "uri": "https://user:word@a/" })),
        ("http", json!({ "uri": "https://a/", "headers": "Authorization: x" })),
        ("http", json!({ "uri": "https://a/", "colour": "red" })),
    ];
    for (kind, options) in cases {
        let options =
            options.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let device =
            conclave_vault::AuditDevice { kind: kind.into(), options: options.collect(), ..Default::default() };
        assert!(
            settings::Settings::of(&device, &DeviceTerms::default(), true).is_err(),
            "{device:?} {:?}",
            device.options
        );
    }
}
