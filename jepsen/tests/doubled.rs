//! A copy of a node's data folder that is started beside the node: both say so, and serve nothing until one is gone.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conclave_client::{Client, Discovery, Request, Secret};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::{Value, json};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "{} was not copied", from.display());
}

/// A second process over a copy of a node's folder, at another address of the same network. Dropping it kills it.
struct Copy {
    process: Child,
    client: Client,
}

impl Copy {
    async fn start(cluster: &Cluster, index: usize, data: &Path) -> Self {
        let node = cluster.node(index);
        let folder = cluster.folder().join("copy");
        let (own, other) = (host(node.address()), format!("{}0", host(node.address())));
        let configuration = std::fs::read_to_string(node.configuration_file()).unwrap();
        let configuration = configuration
            .replace(&format!("{own}:"), &format!("{other}:"))
            .replace(node.data_dir().to_str().unwrap(), data.to_str().unwrap());
        let file = folder.with_extension("hcl");
        std::fs::write(&file, configuration).unwrap();
        let log = std::fs::File::create(folder.with_extension("log")).unwrap();
        let mut command = Command::new(node.program());
        command.arg("server").arg(format!("-config={}", file.display())).stdin(Stdio::null());
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let client = Client::builder()
            .address(node.address().replace(&own, &other))
            .discovery(Discovery::Off)
            .deadline(Duration::from_secs(5))
            .token(cluster.root_token().clone())
            .build()
            .unwrap();
        let copy = Self { process, client };
        let listens = async || copy.client.seals().status().await.is_ok();
        wait_until("starting the copy", PATIENCE, listens).await.unwrap();
        copy
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address of `http://127.83.12.1:8200` without scheme and port.
fn host(address: &str) -> String {
    address.trim_start_matches("http://").rsplit_once(':').expect("an address has a port").0.to_owned()
}

async fn health(client: &Client) -> Option<Value> {
    let asked = Request::get("sys/health").about_one_node().any_status();
    Some(client.send(asked).await.ok()?.json().clone())
}

/// Enters what is needed. The last answer may be long in coming: the copy waits for entries that the others do not bring it.
async fn unseal(client: &Client, shares: &[Secret]) {
    for share in &shares[..3] {
        let _ = client.seals().unseal(share).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_beside_its_node_is_told_as_the_node_is_and_neither_serves_until_one_is_gone() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let doubled = (leader + 1) % 3;
    let data = cluster.folder().join("copied");
    cluster.client().kv2("secret").put("kept", &json!({ "number": 1 })).await.unwrap();
    cluster.node(doubled).stop().await.unwrap();
    copy(&cluster.node(doubled).data_dir(), &data);
    cluster.node(doubled).restart().await.unwrap();
    cluster.unseal_only(doubled).await.unwrap();
    cluster.wait_until_serving().await.unwrap();

    let copy = Copy::start(&cluster, doubled, &data).await;
    unseal(&copy.client, cluster.shares()).await;
    assert!(!copy.client.seals().status().await.unwrap().sealed);
    let node = cluster.client_within(doubled, Duration::from_secs(5));
    for (name, client) in [("the node", &node), ("the copy", &copy.client)] {
        let says = async || health(client).await.is_some_and(|health| health["state"] == "doubled");
        wait_until(&format!("{name} saying that it is doubled"), PATIENCE, says).await.unwrap();
        let refused = client.send(Request::get("secret/data/kept").about_one_node()).await.unwrap_err();
        assert!(refused.to_string().contains("another process runs under this node's id"), "{refused}");
    }
    let log = std::fs::read_to_string(cluster.node(leader).log_file()).unwrap();
    assert!(log.contains("Two processes run under the id of node"), "{log}");
    cluster.client_of(leader).kv2("secret").put("kept", &json!({ "number": 2 })).await.unwrap();

    drop(copy);
    let serves = async || {
        let found = node.kv2("secret").get("kept").await.ok().flatten();
        found.is_some_and(|found| found.data["number"] == 2)
    };
    wait_until("serving once the copy is gone", PATIENCE, serves).await.unwrap();
}
