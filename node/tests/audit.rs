//! Audit devices of a real process: what is on the disk when it is killed, and when its disk is full.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conclave_cli::audit_chain::verify::Verifier;

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// Times that the server is killed.
const KILLS: u64 = 4;
/// Clients that write meanwhile.
const CLIENTS: usize = 8;

/// A server that is killed when the test ends.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("-dev-listen-address=127.0.0.1:{port}");
        let configuration = folder.join("c.hcl");
        let text = format!("audit \"file\" {{\n  options {{\n    file_path = \"{}/log\"\n  }}\n}}\n", folder.display());
        std::fs::write(&configuration, text).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_conclave"))
            .env_clear()
            .args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", &address])
            .arg(format!("-config={}", configuration.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, port };
        let start = Instant::now();
        while write(port, "ready").is_none() {
            assert!(start.elapsed() < PATIENCE, "the server is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

/// Writes a secret; the id of the request, if there was a whole reply.
fn write(port: u16, name: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let body = r#"{"data":{"a":"canary"}}"#;
    let head = format!(
        "POST /v1/secret/data/{name} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let body: serde_json::Value = serde_json::from_str(body).ok().filter(|_| head.starts_with("HTTP/1.1 200"))?;
    body["request_id"].as_str().map(str::to_owned)
}

/// Ids of the requests whose replies a file records.
fn recorded(path: &Path) -> BTreeSet<String> {
    let lines = BufReader::new(std::fs::File::open(path).unwrap()).lines();
    let records = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line.ok()?).ok());
    let replies = records.filter(|record| record["type"] == "response");
    replies.filter_map(|record| record["request"]["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn no_reply_leaves_whose_record_a_kill_can_lose() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let replied = Arc::new(Mutex::new(Vec::new()));
    for kill in 0..KILLS {
        let mut server = Server::start(&folder);
        let port = server.port;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let replied = Arc::clone(&replied);
                std::thread::spawn(move || {
                    // Until the server is gone.
                    while let Some(id) = write(port, &format!("client{client}")) {
                        replied.lock().unwrap().push(id);
                    }
                })
            })
            .collect();
        let wanted = replied.lock().unwrap().len() + 40 + usize::try_from(kill).unwrap() * 7;
        while replied.lock().unwrap().len() < wanted {
            std::thread::sleep(Duration::from_millis(1));
        }
        server.process.kill().unwrap();
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
    let (recorded, replied) = (recorded(&folder.join("log")), replied.lock().unwrap());
    let lacking = replied.iter().filter(|id| !recorded.contains(*id)).count();
    assert_eq!(lacking, 0, "of {}", replied.len());
    let mut verifier = Verifier::new(Vec::new());
    verifier.read(BufReader::new(std::fs::File::open(folder.join("log")).unwrap())).unwrap();
    assert_eq!(verifier.chains().count(), usize::try_from(KILLS).unwrap());
    assert_eq!(verifier.finish(true), []);
}
