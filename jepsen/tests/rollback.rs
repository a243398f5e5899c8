//! A node whose data folder was put back to an older copy: it says so, and serves and votes no more.

use std::path::Path;
use std::time::Duration;

use conclave_client::{Client, Request};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::{Value, json};

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "{} was not copied", from.display());
}

async fn write(client: &Client, count: u64) {
    for number in 0..count {
        client.kv2("secret").put("a", &json!({ "number": number })).await.unwrap();
    }
}

/// What a node's health says, with its status.
async fn health(cluster: &Cluster, index: usize) -> Option<(u16, Value)> {
    let asked = Request::get("sys/health").about_one_node().any_status();
    let reply = cluster.client_within(index, Duration::from_secs(2)).send(asked).await.ok()?;
    Some((reply.status(), reply.json().clone()))
}

async fn says_that_it_is_rolled_back(cluster: &Cluster, index: usize) {
    let says = async || {
        let health = health(cluster, index).await;
        health.is_some_and(|(status, body)| status == 503 && body["state"] == "rolled back")
    };
    wait_until("learning that the disk went back", PATIENCE, says).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_went_back_says_so_and_serves_nobody_under_any_leader() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let (back, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let (data, old) = (cluster.node(back).data_dir(), cluster.folder().join("old"));
    write(&cluster.client_of(leader), 3).await;
    cluster.node(back).stop().await.unwrap();
    copy(&data, &old);
    cluster.node(back).restart().await.unwrap();
    cluster.unseal_only(back).await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    // Acknowledged by all three, the one that will forget it included.
    write(&cluster.client_of(back), 10).await;
    cluster.node(back).kill().unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&old, &data);
    cluster.node(back).restart().await.unwrap();
    cluster.unseal_only(back).await.unwrap();

    says_that_it_is_rolled_back(&cluster, back).await;
    let (_, body) = health(&cluster, back).await.unwrap();
    assert!(body["reason"].as_str().is_some_and(|reason| reason.contains("join as a new node")), "{body}");
    let refused = cluster.client_of(back).send(Request::get("secret/data/a").about_one_node()).await.unwrap_err();
    assert!(refused.to_string().contains("went back in time"), "{refused}");
    let log = std::fs::read_to_string(cluster.node(back).log_file()).unwrap();
    assert!(log.contains("its disk went back in time") && log.contains("ERROR"), "it says so in its own log:\n{log}");
    let listed = Request::get("sys/storage/raft/configuration");
    let listed = cluster.client_of(leader).send(listed).await.unwrap().json()["data"]["config"]["servers"].clone();
    let named = listed.as_array().unwrap().iter().filter(|server| server["state"] == "rolled back").count();
    assert_eq!(named, 1, "{listed}");

    // The next leader does not know what this one acknowledged to the last; it remembers that itself.
    cluster.client_of(leader).cluster().step_down().await.unwrap();
    let another = async || cluster.leader().await == Some(other);
    wait_until("the other good node leading", PATIENCE, another).await.unwrap();
    write(&cluster.client_of(other), 3).await;
    cluster.node(back).stop().await.unwrap();
    cluster.node(back).restart().await.unwrap();
    cluster.unseal_only(back).await.unwrap();
    says_that_it_is_rolled_back(&cluster, back).await;
}
