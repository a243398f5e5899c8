//! A new node joins by the shares that are entered on it, over TLS, as `retry_join` says and as an operator asks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends with a panic")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conclave_client::{Client, Discovery, InitRequest, Request, Secret};
use conclave_jepsen::cluster::{PATIENCE, wait_until};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the certificates are for; no address, so that `leader_tls_servername` is needed.
const NAME: &str = "vault.example";

/// Certificates and data of all nodes.
struct Stage {
    folder: TempDir,
}

/// A node that is killed when the test ends.
struct Node {
    process: Child,
    port: u16,
    client: Client,
    log: std::path::PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        for (file, usage) in
            [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
        {
            let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            fs::write(folder.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
            fs::write(folder.path().join(format!("{file}-key.pem")), key.serialize_pem()).unwrap();
        }
        Self { folder }
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).display().to_string()
    }

    fn pem(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Starts a node; `join` goes into its storage stanza. Every API wants a client certificate.
    fn start(&self, name: &str, join: &str) -> Node {
        let (port, cluster) = (free_port(), free_port());
        let (cert, key, ca) = (self.path("server.pem"), self.path("server-key.pem"), self.path("ca.pem"));
        let data = self.path(name);
        let text = format!(
            r#"
            api_addr = "https://127.0.0.1:{port}"
            cluster_addr = "https://127.0.0.1:{cluster}"
            disable_mlock = true
            storage "raft" {{
              path = "{data}"
              node_id = "{name}"
              {join}
            }}
            listener "tcp" {{
              address = "127.0.0.1:{port}"
              cluster_address = "127.0.0.1:{cluster}"
              tls_cert_file = "{cert}"
              tls_key_file = "{key}"
              tls_client_ca_file = "{ca}"
              tls_require_and_verify_client_cert = true
            }}"#
        );
        let (file, log) =
            (self.folder.path().join(format!("{name}.hcl")), self.folder.path().join(format!("{name}.log")));
        fs::write(&file, text).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_conclave"))
            .env_clear()
            .args(["server", "-config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Node { process, port, client: self.client(port), log }
    }

    fn client(&self, port: u16) -> Client {
        let builder = Client::builder().address(format!("https://127.0.0.1:{port}")).discovery(Discovery::Off);
        let builder = builder.ca_cert_pem(self.pem("ca.pem")).tls_server_name(NAME);
        let builder = builder.client_cert(self.pem("client.pem"), Secret::from(self.pem("client-key.pem")));
        builder.deadline(Duration::from_secs(90)).build().unwrap()
    }

    /// `retry_join` to a node, with all that its TLS needs.
    fn retry_join(&self, leader: &Node) -> String {
        let port = leader.port;
        let [ca, cert, key] = ["ca.pem", "client.pem", "client-key.pem"].map(|file| self.path(file));
        format!(
            r#"retry_join {{
                leader_api_addr = "https://127.0.0.1:{port}"
                leader_ca_cert_file = "{ca}"
                leader_client_cert_file = "{cert}"
                leader_client_key_file = "{key}"
                leader_tls_servername = "{NAME}"
            }}"#
        )
    }

    /// An unsealed cluster of one node, its shares and its root token in the client.
    async fn cluster(&self) -> (Node, Vec<Secret>) {
        let node = self.start("first", "");
        wait_until("the first node", PATIENCE, async || node.client.seals().status().await.is_ok()).await.unwrap();
        let wanted = InitRequest { secret_shares: 3, secret_threshold: 2 };
        let made = node.client.seals().init(&wanted).await.unwrap();
        for share in &made.keys[..2] {
            node.enter(share.expose()).await.unwrap();
        }
        node.client.set_token(Some(made.root_token));
        (node, made.keys)
    }
}

impl Node {
    async fn enter(&self, share: &str) -> Result<Value, conclave_client::Error> {
        let request = Request::post("sys/unseal", &json!({ "key": share })).about_one_node();
        self.client.send(request).await.map(|reply| reply.json().clone())
    }

    async fn takes_shares(&self) {
        let takes = async || self.client.seals().status().await.is_ok_and(|status| status.initialized);
        wait_until("finding the cluster", PATIENCE, takes).await.unwrap();
    }

    /// Names of the members, and whether they vote.
    async fn members(&self) -> Vec<(String, bool)> {
        let servers = self.client.cluster().raft_configuration().await.unwrap();
        let mut members: Vec<_> = servers.into_iter().map(|server| (server.node_id, server.voter)).collect();
        members.sort();
        members
    }
}

fn says(log: &Path, word: &str) -> bool {
    fs::read_to_string(log).unwrap_or_default().contains(word)
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_join_and_unseal_make_a_member() {
    let stage = Stage::new();
    let (first, shares) = stage.cluster().await;
    let second = stage.start("second", &stage.retry_join(&first));
    second.takes_shares().await;
    let status = second.client.seals().status().await.unwrap();
    assert_eq!((status.sealed, status.t, status.n, status.progress), (true, 2, 3, 0));
    let init = second.client.seals().init(&InitRequest { secret_shares: 1, secret_threshold: 1 }).await;
    assert!(init.unwrap_err().to_string().contains("already initialized"));

    // Which of the two is wrong nobody can tell, and nothing of it stays.
    let mistyped = format!("00{}", &shares[0].expose()[2..]);
    assert_eq!(second.enter(&mistyped).await.unwrap()["progress"], 1);
    let refused = second.enter(shares[1].expose()).await.unwrap_err();
    assert!(refused.status() == Some(400) && refused.to_string().contains("enter all of them again"), "{refused}");
    assert_eq!(second.client.seals().status().await.unwrap().progress, 0);
    assert_eq!(first.members().await, [("first".to_owned(), true)]);

    second.enter(shares[2].expose()).await.unwrap();
    let unsealed = second.enter(shares[0].expose()).await.unwrap();
    assert_eq!((&unsealed["sealed"], &unsealed["initialized"]), (&json!(false), &json!(true)), "{unsealed}");
    assert_eq!(first.members().await.len(), 2);
    let token =
        first.client.raw(conclave_client::Method::Post, "auth/token/create", &[], Some(&json!({}))).await.unwrap();
    second.client.set_token(Some(token.auth().unwrap().client_token));
    assert!(second.client.tokens().lookup_self().await.is_ok(), "it reads what was written on the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_right_authorities_finds_nothing_and_says_why() {
    let stage = Stage::new();
    let (first, _) = stage.cluster().await;
    let join = format!(r#"retry_join {{ leader_api_addr = "https://127.0.0.1:{}" }}"#, first.port);
    let second = stage.start("second", &join);
    wait_until("a line in the log", PATIENCE, async || says(&second.log, "joining failed")).await.unwrap();
    assert!(says(&second.log, "certificate"), "{}", fs::read_to_string(&second.log).unwrap());
    assert!(!second.client.seals().status().await.unwrap().initialized);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_configuration_is_enough_to_join() {
    let stage = Stage::new();
    let (first, _) = stage.cluster().await;
    let body = json!({});
    let reply = first.client.send(Request::post("sys/storage/raft/join-token", &body)).await.unwrap();
    let token = reply.json()["data"]["token"].as_str().unwrap().to_owned();
    let second = stage.start("second", &format!(r#"retry_join {{ token = "{token}" }}"#));
    wait_until("a second member", PATIENCE, async || first.members().await.len() == 2).await.unwrap();
    wait_until("the cluster on the new node", PATIENCE, async || {
        second.client.seals().status().await.is_ok_and(|status| status.initialized)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_as_an_operator_asks_and_never_votes_if_that_is_wanted() {
    let stage = Stage::new();
    let (first, shares) = stage.cluster().await;
    let [silent, voting] = ["silent", "voting"].map(|name| stage.start(name, ""));
    for (node, non_voter) in [(&silent, true), (&voting, false)] {
        wait_until("the node", PATIENCE, async || node.client.seals().status().await.is_ok()).await.unwrap();
        let body = json!({
            "leader_api_addr": format!("https://127.0.0.1:{}", first.port),
            "leader_ca_cert": stage.pem("ca.pem"),
            "leader_client_cert": stage.pem("client.pem"),
            "leader_client_key": stage.pem("client-key.pem"),
            "leader_tls_servername": NAME,
            "non_voter": non_voter,
        });
        let request = Request::post("sys/storage/raft/join", &body).about_one_node();
        assert_eq!(node.client.send(request).await.unwrap().json()["joined"], true);
        for share in &shares[1..] {
            node.enter(share.expose()).await.unwrap();
        }
    }
    let votes = ("voting".to_owned(), true);
    wait_until("a second voter", PATIENCE, async || first.members().await.contains(&votes)).await.unwrap();
    // It has been there for longer than the one that votes by now.
    assert_eq!(first.members().await, [("first".to_owned(), true), ("silent".to_owned(), false), votes]);
}
