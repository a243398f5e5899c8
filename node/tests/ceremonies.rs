//! Ceremonies with shares on a real process that is killed at each step: a rekey leaves the old shares or the new ones
//! working, and a root token needs a threshold of shares.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends with a panic")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use age::x25519::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conclave_client::{Client, Discovery, InitRequest, Method, Request, Secret};
use conclave_jepsen::cluster::{PATIENCE, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// One node over one data folder, killed and started again.
struct Node {
    folder: TempDir,
    process: Child,
    client: Client,
    address: String,
    root: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(folder: &TempDir) -> Child {
    Command::new(env!("CARGO_BIN_EXE_conclave"))
        .env_clear()
        .args(["server", "-config"])
        .arg(folder.path().join("node.hcl"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The texts of a list.
fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

impl Node {
    /// A node that is not initialised.
    async fn start() -> Self {
        let (folder, port, cluster) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        let text = format!(
            r#"
            api_addr = "http://127.0.0.1:{port}"
            cluster_addr = "https://127.0.0.1:{cluster}"
            disable_mlock = true
            storage "raft" {{ path = "{}" node_id = "one" }}
            listener "tcp" {{ address = "127.0.0.1:{port}" cluster_address = "127.0.0.1:{cluster}" tls_disable = true }}"#,
            folder.path().join("data").display()
        );
        fs::write(folder.path().join("node.hcl"), text).unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let client = Client::builder().address(address.clone()).discovery(Discovery::Off);
        let client = client.deadline(Duration::from_secs(60)).build().unwrap();
        let node = Self { process: spawn(&folder), folder, client, address, root: String::new() };
        node.answers().await;
        node
    }

    /// An unsealed node with a root token, and its three shares, two of which open it.
    async fn new() -> (Self, Vec<String>) {
        let mut node = Self::start().await;
        let made = node.client.seals().init(&InitRequest { secret_shares: 3, secret_threshold: 2 }).await.unwrap();
        let shares: Vec<_> = made.keys.iter().map(|key| key.expose().to_owned()).collect();
        assert!(node.opens(&shares).await);
        node.root = made.root_token.expose().to_owned();
        node.client.set_token(Some(made.root_token));
        (node, shares)
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    async fn answers(&self) {
        wait_until("the node", PATIENCE, async || self.client.seals().status().await.is_ok()).await.unwrap();
    }

    async fn restart(&mut self) {
        self.kill();
        self.process = spawn(&self.folder);
        self.answers().await;
    }

    /// Whether two shares unseal it, which is sealed.
    async fn opens(&self, shares: &[String]) -> bool {
        let mut is_sealed = true;
        for share in &shares[shares.len() - 2..] {
            match self.client.seals().unseal(&Secret::new(share.as_str())).await {
                Ok(status) => is_sealed = status.sealed,
                Err(_) => return false,
            }
        }
        !is_sealed
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value, conclave_client::Error> {
        let request = Request::new(method, path).json(&body).about_one_node();
        self.client.send(request).await.map(|reply| reply.json().clone())
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        self.ask(Method::Put, path, body).await.unwrap()
    }

    /// Begins a rekey to five shares, three of which open, and answers its nonce.
    async fn begin(&self, is_to_be_verified: bool) -> String {
        let wanted = json!({ "secret_shares": 5, "secret_threshold": 3, "require_verification": is_to_be_verified });
        self.put("sys/rekey/init", wanted).await["nonce"].as_str().unwrap().to_owned()
    }

    async fn give(&self, path: &str, nonce: &str, share: &str) -> Value {
        self.put(path, json!({ "key": share, "nonce": nonce })).await
    }

    /// Makes new shares; the answer to the last old one.
    async fn make(&self, is_to_be_verified: bool, shares: &[String]) -> Value {
        let nonce = self.begin(is_to_be_verified).await;
        self.give("sys/rekey/update", &nonce, &shares[0]).await;
        self.give("sys/rekey/update", &nonce, &shares[1]).await
    }
}

/// Whether three of five new shares unseal a node.
async fn opens_anew(node: &Node, shares: &[String]) -> bool {
    node.client.seals().unseal(&Secret::new(shares[0].as_str())).await.is_ok() && node.opens(shares).await
}

// check 181
#[tokio::test(flavor = "multi_thread")]
async fn a_rekey_that_is_killed_at_any_step_leaves_the_old_shares_or_the_new_ones() {
    let (mut node, old) = Node::new().await;

    node.begin(true).await;
    node.restart().await;
    assert!(node.opens(&old).await, "killed after the beginning");

    let nonce = node.begin(true).await;
    assert_eq!(node.give("sys/rekey/update", &nonce, &old[0]).await["progress"], 1);
    node.restart().await;
    assert!(node.opens(&old).await, "killed with an old share");

    let lost = texts(&node.make(true, &old).await["keys"]);
    node.restart().await;
    assert!(!node.opens(&lost).await, "new shares that were not verified do not count");
    assert!(node.opens(&old).await, "killed after the new shares were made");

    let made = node.make(true, &old).await;
    let (nonce, new) = (made["verification_nonce"].as_str().unwrap(), texts(&made["keys"]));
    assert_eq!(node.give("sys/rekey/verify", nonce, &new[0]).await["progress"], 1);
    node.restart().await;
    assert!(node.opens(&old).await, "killed in the middle of the verification");

    let made = node.make(true, &old).await;
    let (nonce, new) = (made["verification_nonce"].as_str().unwrap(), texts(&made["keys"]));
    for share in &new[..2] {
        node.give("sys/rekey/verify", nonce, share).await;
    }
    assert_eq!(node.give("sys/rekey/verify", nonce, &new[2]).await["complete"], true);
    node.restart().await;
    assert!(!node.opens(&old).await, "the old shares count no more");
    assert!(opens_anew(&node, &new).await, "killed after the verification");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_verification_the_new_shares_count_with_the_answer_which_can_be_asked_for_again() {
    let (mut node, old) = Node::new().await;
    let nonce = node.begin(false).await;
    node.give("sys/rekey/update", &nonce, &old[0]).await;
    let made = node.give("sys/rekey/update", &nonce, &old[1]).await;
    let again = node.give("sys/rekey/update", &nonce, &old[2]).await;
    assert_eq!(made["keys"], again["keys"]);
    assert_eq!(node.client.seals().status().await.unwrap().t, 3);
    let stranger = json!({ "key": "ab".repeat(33), "nonce": nonce });
    let refused = node.ask(Method::Put, "sys/rekey/update", stranger).await.unwrap_err();
    assert_eq!(refused.status(), Some(400), "the new shares are for holders of old ones");
    node.restart().await;
    assert!(opens_anew(&node, &texts(&made["keys"])).await);
}

// checks 233, 234
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_becomes_a_node_with_the_shares_of_its_moment_and_a_new_epoch() {
    let (mut node, shares) = Node::new().await;
    node.put("cubbyhole/a", json!({ "text": "kept" })).await;
    let file = node.folder.path().join("backup.snap");
    let saved = cli(&["operator", "raft", "snapshot", "save", file.to_str().unwrap()])
        .env("VAULT_ADDR", &node.address)
        .env("VAULT_TOKEN", &node.root)
        .output()
        .unwrap();
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    let canary = fs::read(&file).unwrap();
    assert!(!canary.windows(4).any(|window| window == b"kept"), "it is ciphertext");
    node.put("cubbyhole/a", json!({ "text": "changed later" })).await;
    node.kill();

    let data = node.folder.path().join("data");
    fs::rename(&data, node.folder.path().join("old")).unwrap();
    assert!(!restored(&file, &data, &["ab".repeat(33)]), "with no share");
    let mut changed = canary.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let other = node.folder.path().join("changed.snap");
    fs::write(&other, changed).unwrap();
    assert!(!restored(&other, &data, &shares[..2]), "a changed one");
    assert!(restored(&file, &data, &shares[..2]));
    assert!(!restored(&file, &data, &shares[..2]), "over a node that is there");

    node.process = spawn(&node.folder);
    node.answers().await;
    assert!(node.opens(&shares).await);
    let read = node.client.send(Request::get("cubbyhole/a")).await.unwrap();
    assert_eq!(read.json()["data"]["text"], "kept");
    node.put("cubbyhole/b", json!({ "text": "new" })).await;
    node.restart().await;
    assert!(node.opens(&shares).await, "it is a node as any other");
}

fn cli(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    command.env_clear().args(arguments);
    command
}

/// Restores a snapshot into a data folder, with shares on standard input.
fn restored(file: &std::path::Path, data: &std::path::Path, shares: &[String]) -> bool {
    let (file, data) = (format!("-snapshot={}", file.display()), format!("-path={}", data.display()));
    let arguments = [
        "operator",
        "restore",
        &file,
        &data,
        "-node-id=one",
        "-cluster-addr=127.0.0.1:1",
        "-api-addr=http://127.0.0.1:1",
    ];
    let mut process =
        cli(&arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // It may have refused and ended by then.
    let _ = process.stdin.take().unwrap().write_all((shares.join("\n") + "\n").as_bytes());
    process.wait().unwrap().success()
}

// check 90
#[tokio::test(flavor = "multi_thread")]
async fn a_root_token_needs_a_threshold_of_shares_and_the_pad() {
    let (node, shares) = Node::new().await;
    let path = "sys/generate-root/attempt";
    let stranger = node.client.with_token(None);
    let refused = stranger.send(Request::new(Method::Put, path).json(&json!({})).about_one_node()).await.unwrap_err();
    assert_eq!(refused.status(), Some(403));
    let begun = node.put(path, json!({})).await;
    let (nonce, otp) = (begun["nonce"].as_str().unwrap(), begun["otp"].as_str().unwrap());
    assert_eq!((otp.len(), &begun["otp_length"]), (28, &json!(28)));
    let first = node.give("sys/generate-root/update", nonce, &shares[2]).await;
    assert_eq!((&first["progress"], &first["complete"], &first["otp"]), (&json!(1), &json!(false), &json!("")));
    let last = node.give("sys/generate-root/update", nonce, &shares[0]).await;
    let hidden = last["encoded_token"].as_str().unwrap();

    // Without a server, as somebody does who has only the pad and the hidden token.
    let arguments = ["operator", "generate-root", &format!("-decode={hidden}"), &format!("-otp={otp}")];
    let output = cli(&arguments).output().unwrap();
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let root = node.client.with_token(Some(Secret::new(token.as_str())));
    let looked_up = root.tokens().lookup_self().await.unwrap();
    assert_eq!(looked_up["policies"], json!(["root"]));
    let over = node.ask(Method::Put, "sys/generate-root/update", json!({ "key": shares[1], "nonce": nonce })).await;
    assert_eq!(over.unwrap_err().status(), Some(400), "an attempt makes one token");
}

/// What the holder of a key reads in the base64 of an answer.
fn read_by(identity: &Identity, encoded: &Value) -> String {
    let file = STANDARD.decode(encoded.as_str().unwrap()).unwrap();
    String::from_utf8(age::decrypt(identity, &file).unwrap()).unwrap()
}

fn recipient(identity: &Identity) -> String {
    identity.to_public().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_and_tokens_that_are_encrypted_serve_those_who_can_read_them() {
    let mut node = Node::start().await;
    let holders: [Identity; 3] = std::array::from_fn(|_| Identity::generate());
    let operator = Identity::generate();
    let recipients: Vec<String> = holders.iter().map(recipient).collect();
    let read = |made: &Value| -> Vec<String> {
        let encoded = made["keys_base64"].as_array().unwrap();
        holders.iter().zip(encoded).map(|(holder, text)| read_by(holder, text)).collect()
    };

    let mut wanted = json!({
        "secret_shares": 3, "secret_threshold": 2, "root_token_age_recipient": recipient(&operator),
        "age_recipients": [recipients[0], recipients[1], "age1x"],
    });
    let refused = node.ask(Method::Put, "sys/init", wanted.clone()).await.unwrap_err();
    assert_eq!(refused.status(), Some(400), "a recipient that is none is found before a cluster is made");
    wanted["age_recipients"] = json!(recipients);
    let made = node.put("sys/init", wanted).await;
    let old = read(&made);
    assert!(node.opens(&old).await);
    node.client.set_token(Some(Secret::new(read_by(&operator, &made["root_token"]))));
    assert_eq!(node.client.tokens().lookup_self().await.unwrap()["policies"], json!(["root"]));

    let path = "sys/generate-root/attempt";
    let begun = node.put(path, json!({ "age_recipient": recipient(&operator) })).await;
    assert_eq!((&begun["otp"], &begun["age_recipient"]), (&json!(""), &json!(recipient(&operator))));
    let nonce = begun["nonce"].as_str().unwrap();
    node.give("sys/generate-root/update", nonce, &old[0]).await;
    let last = node.give("sys/generate-root/update", nonce, &old[1]).await;
    let root = node.client.with_token(Some(Secret::new(read_by(&operator, &last["encoded_token"]))));
    assert_eq!(root.tokens().lookup_self().await.unwrap()["policies"], json!(["root"]));

    let wanted = json!({
        "secret_shares": 3, "secret_threshold": 2, "require_verification": true, "age_recipients": recipients,
    });
    let begun = node.put("sys/rekey/init", wanted).await;
    assert_eq!(begun["age_recipients"], json!(recipients));
    let nonce = begun["nonce"].as_str().unwrap();
    node.give("sys/rekey/update", nonce, &old[2]).await;
    let made = node.give("sys/rekey/update", nonce, &old[1]).await;
    let (nonce, new) = (made["verification_nonce"].as_str().unwrap(), read(&made));
    node.give("sys/rekey/verify", nonce, &new[2]).await;
    assert_eq!(node.give("sys/rekey/verify", nonce, &new[0]).await["complete"], true);
    node.restart().await;
    assert!(!node.opens(&old).await, "the old shares count no more");
    node.restart().await;
    assert!(node.opens(&new).await);
}
