//! `conclave quickstart` as its user sees it: ready when everything is, alive when a node dies, whole on the next run,
//! and nothing left behind when it is killed itself.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use conclave_client::{Client, Discovery, Secret};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long a phase may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running quickstart; it, and through it its nodes, end with the test.
struct Quickstart {
    process: Child,
    lines: Receiver<String>,
    folder: PathBuf,
    port: u16,
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Quickstart {
    fn start(folder: &Path, port: u16) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_conclave"))
            .env_clear()
            .arg("quickstart")
            .arg(format!("-dir={}", folder.display()))
            .arg(format!("-port={port}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines, folder: folder.to_owned(), port }
    }

    /// Waits for a line that holds a text.
    fn wait_for(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("{text:?} was not said"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The process of a node: the child that has its configuration.
    fn node(&self, name: &str) -> Pid {
        let id = self.process.id();
        let children = std::fs::read_dir(format!("/proc/{id}/task")).unwrap().flat_map(|task| {
            let text = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap();
            text.split_whitespace().map(|id| id.parse::<i32>().unwrap()).collect::<Vec<_>>()
        });
        let has_name = |id: &i32| {
            let line = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.contains(&format!("{name}.hcl"))
        };
        Pid::from_raw(children.into_iter().find(has_name).unwrap()).unwrap()
    }

    fn client(&self, node: u16) -> Client {
        let ca = std::fs::read(self.folder.join("tls/ca.pem")).unwrap();
        let token = std::fs::read_to_string(self.folder.join("shares/root-token")).unwrap();
        let client = Client::builder()
            .address(format!("https://127.0.0.1:{}", self.port + 10 * node))
            .ca_cert_pem(ca)
            .discovery(Discovery::Off)
            .build()
            .unwrap();
        client.set_token(Some(Secret::new(token.trim())));
        client
    }

    /// Runs a command on the first node, over TLS: its exit code, the document that it prints, and what it says besides.
    fn command(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        self.command_over("https", arguments)
    }

    fn command_over(&self, scheme: &str, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_conclave"))
            .env_clear()
            .env("VAULT_ADDR", format!("{scheme}://127.0.0.1:{}", self.port))
            .env("VAULT_CACERT", self.folder.join("tls/ca.pem"))
            .env("VAULT_TOKEN", std::fs::read_to_string(self.folder.join("shares/root-token")).unwrap())
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
    }

    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.process), Signal::INT).unwrap();
        self.process.wait().unwrap().code()
    }
}

/// Six ports in a row of tens, below the range that the system gives out by itself; others for each test.
fn free_port() -> u16 {
    static TESTS: AtomicU16 = AtomicU16::new(0);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = 15_000 + u16::try_from(std::process::id() % 500).unwrap() * 30;
    let start = start + TESTS.fetch_add(1, Ordering::Relaxed) * 300;
    let mut bases = (start..31_000).step_by(30);
    bases.find(|base| [0, 1, 10, 11, 20, 21].iter().all(|offset| is_free(base + offset))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_named_the_others_go_on_and_the_next_run_brings_it_back() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, port) = (parent.path().join("cluster"), free_port());
    let first = Quickstart::start(&folder, port);
    first.wait_for("Ctrl-C stops all nodes");
    let servers = first.client(0).cluster().raft_configuration().await.unwrap();
    assert_eq!(servers.iter().filter(|server| server.voter).count(), 3, "all vote when it says that it is ready");

    kill_process(first.node("node2"), Signal::KILL).unwrap();
    let said = first.wait_for("node2 stopped by itself");
    assert!(said.contains("signal: 9"), "{said}");
    first.wait_for("run the same command again");
    let hello = json!({ "greeting": "world" });
    first.client(0).kv2("secret").put("hello", &hello).await.unwrap();
    assert_eq!(first.client(2).kv2("secret").get("hello").await.unwrap().unwrap().data["greeting"], "world");
    assert_eq!(first.interrupt(), Some(0));

    let second = Quickstart::start(&folder, port);
    second.wait_for("Ctrl-C stops all nodes");
    assert_eq!(second.client(1).kv2("secret").get("hello").await.unwrap().unwrap().data["greeting"], "world");

    // Killed, it cannot stop its nodes, and they stop all the same.
    let nodes = ["node1", "node2", "node3"].map(|name| second.node(name));
    kill_process(Pid::from_child(&second.process), Signal::KILL).unwrap();
    let end = Instant::now() + PATIENCE;
    for node in nodes {
        while rustix::process::test_kill_process(node).is_ok() {
            assert!(Instant::now() < end, "a node outlives the command that started it");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_shares_that_suffice_resume_it_and_too_few_are_counted() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, port) = (parent.path().join("cluster"), free_port());
    let first = Quickstart::start(&folder, port);
    first.wait_for("Ctrl-C stops all nodes");
    first.client(0).kv2("secret").put("hello", &json!({ "greeting": "world" })).await.unwrap();
    assert_eq!(first.interrupt(), Some(0));

    let shares = folder.join("shares");
    std::fs::remove_file(shares.join("share-1")).unwrap();
    std::fs::write(shares.join("share-2"), "no share").unwrap();
    let second = Quickstart::start(&folder, port);
    second.wait_for("share-2 was not accepted");
    second.wait_for("Ctrl-C stops all nodes");
    assert_eq!(second.client(1).kv2("secret").get("hello").await.unwrap().unwrap().data["greeting"], "world");
    // The root token is kept elsewhere, as it says that it should be.
    let root = second.client(1);
    std::fs::rename(shares.join("root-token"), parent.path().join("root-token")).unwrap();
    assert_eq!(second.interrupt(), Some(0));

    let third = Quickstart::start(&folder, port);
    third.wait_for("There is no root token");
    third.wait_for("Ctrl-C stops all nodes");
    assert!(!std::fs::read_to_string(folder.join("env")).unwrap().contains("VAULT_TOKEN"));
    assert_eq!(root.kv2("secret").get("hello").await.unwrap().unwrap().data["greeting"], "world");
    assert_eq!(third.interrupt(), Some(0));

    std::fs::remove_file(shares.join("share-3")).unwrap();
    let mut fourth = Quickstart::start(&folder, port);
    assert_eq!(fourth.process.wait().unwrap().code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_says_so_and_lists_the_members_that_it_knew() {
    let parent = tempfile::tempdir().unwrap();
    let cluster = Quickstart::start(&parent.path().join("cluster"), free_port());
    cluster.wait_for("Ctrl-C stops all nodes");
    let (code, shown, _) = cluster.command(&["operator", "members", "-format=json"]);
    assert_eq!((code, shown["Nodes"].as_array().map(Vec::len)), (Some(0), Some(3)));
    let (code, shown, _) = cluster.command(&["status", "-format=json"]);
    assert_eq!((code, &shown["state"], &shown["last_leader_contact_secs"]), (Some(0), &json!(null), &json!(null)));

    for arguments in [&["status"][..], &["kv", "put", "secret/a", "b=c"]] {
        let (code, _, said) = cluster.command_over("http", arguments);
        assert!(
            code != Some(0) && said.ends_with("write its address with https:// (VAULT_ADDR, -address).\n"),
            "{said}"
        );
    }

    kill_process(cluster.node("node3"), Signal::KILL).unwrap();
    cluster.wait_for("node3 stopped by itself");
    cluster.client(1).seals().seal().await.unwrap();
    let end = Instant::now() + PATIENCE;
    while !cluster.client(0).cluster().leader().await.unwrap().is_self {
        assert!(Instant::now() < end, "the only unsealed node does not lead");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (code, _, said) = cluster.command(&["operator", "step-down"]);
    assert!(code == Some(2) && said.contains("Start or unseal another node"), "{said}");

    kill_process(cluster.node("node2"), Signal::KILL).unwrap();
    cluster.wait_for("node2 stopped by itself");
    let end = Instant::now() + PATIENCE;
    let status = loop {
        let (code, shown, _) = cluster.command(&["status", "-format=json"]);
        assert_eq!(code, Some(0), "it is not sealed");
        if shown["state"] == "cut off" {
            break shown;
        }
        assert!(Instant::now() < end, "the node does not notice: {shown}");
    };
    assert!(status["reason"].as_str().unwrap().contains("no quorum"), "{status}");
    assert!(["node1", "node2", "node3"].contains(&status["last_leader"].as_str().unwrap()), "{status}");
    assert!(status["last_leader_contact_secs"].is_u64(), "{status}");

    let servers = |shown: &Value| shown["data"]["config"]["servers"].clone();
    let nodes = |shown: &Value| shown["Nodes"].clone();
    type Rows = fn(&Value) -> Value;
    for (command, rows) in [("operator members", nodes as Rows), ("operator raft list-peers", servers)] {
        let mut arguments: Vec<_> = command.split(' ').collect();
        arguments.push("-format=json");
        let (code, shown, said) = cluster.command(&arguments);
        assert_eq!(code, Some(2), "the cluster did not answer: {said}");
        assert!(said.contains("did not answer") && said.contains("knew them last"), "{said}");
        assert!(shown["last_known"]["reason"].as_str().unwrap().contains("leader"), "{shown}");
        let alive =
            |row: &Value| (row["node_id"].as_str().unwrap().to_owned(), row["alive"].clone(), row["voter"].clone());
        let mut rows: Vec<_> = rows(&shown).as_array().unwrap().iter().map(alive).collect();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        let expected = [("node1", true), ("node2", false), ("node3", false)];
        assert_eq!(rows, expected.map(|(name, is_alive)| (name.to_owned(), json!(is_alive), json!(true))));
    }
}

#[test]
fn a_port_in_use_leaves_no_folder_behind() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, port) = (parent.path().join("cluster"), free_port());
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut refused = Quickstart::start(&folder, port);
    assert_eq!(refused.process.wait().unwrap().code(), Some(1));
    assert!(!folder.exists());
}
