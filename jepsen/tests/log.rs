//! The log says in one line each what an operator must know, and is silent otherwise.

use std::time::Duration;

use conclave_client::Method;
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;

/// How long the log of a cluster with a dead node is watched.
const WATCHED: Duration = Duration::from_secs(20);

/// The lines of a node's log that hold a text.
fn lines(cluster: &Cluster, index: usize, text: &str) -> Vec<String> {
    let log = std::fs::read_to_string(cluster.node(index).log_file()).unwrap_or_default();
    log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

async fn wait_for_line(cluster: &Cluster, index: usize, text: &str) {
    wait_until(text, PATIENCE, async || !lines(cluster, index, text).is_empty()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_peer_costs_a_line_a_minute_and_not_one_for_each_attempt() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let dead = (leader + 1) % cluster.size();
    cluster.node(dead).kill().unwrap();
    wait_for_line(&cluster, leader, "a node gives no answer").await;
    let before = lines(&cluster, leader, "").len();
    // Writes go on, so that replication tries to reach the dead node all the time.
    let writer = cluster.client_of(leader);
    let start = tokio::time::Instant::now();
    while start.elapsed() < WATCHED {
        writer.kv2("secret").put("meanwhile", &json!({ "a": 1 })).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = lines(&cluster, leader, "");
    assert!(all.len() - before <= 1, "{}", all[before..].join("\n"));

    cluster.node(dead).restart().await.unwrap();
    wait_for_line(&cluster, leader, "a node answers again").await;
    assert_eq!(lines(&cluster, leader, "a node answers again").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_s_life_is_in_its_logs_and_no_secret_is() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let client = cluster.client_of(leader);
    let body = json!({ "type": "kv" });
    client.raw(Method::Post, "sys/mounts/team", &[], Some(&body)).await.unwrap();
    let body = json!({ "from": "team", "to": "crew" });
    client.raw(Method::Post, "sys/remount", &[], Some(&body)).await.unwrap();
    client.raw(Method::Delete, "sys/mounts/crew", &[], None).await.unwrap();
    let body = json!({ "type": "approle" });
    client.raw(Method::Post, "sys/auth/robots", &[], Some(&body)).await.unwrap();
    client.raw(Method::Post, "sys/rotate", &[], None).await.unwrap();
    let peer = (leader + 1) % cluster.size();
    for text in [
        "kv is enabled at team/",
        "the mount at team/ is moved to crew/",
        "kv is disabled at crew/",
        "approle is enabled at auth/robots/",
        "the cluster encrypts under a new key term",
        "this node leads",
    ] {
        wait_for_line(&cluster, leader, text).await;
    }
    wait_for_line(&cluster, peer, "the cluster encrypts under a new key term").await;
    wait_for_line(&cluster, 0, "a new cluster is initialised").await;
    wait_for_line(&cluster, 0, "a share was entered").await;
    wait_for_line(&cluster, 0, "a node joined the cluster").await;
    wait_for_line(&cluster, 0, "a node votes from now on").await;
    wait_for_line(&cluster, 1, "the cluster lets this node join").await;
    client.raw(Method::Post, "sys/step-down", &[], None).await.unwrap();
    wait_for_line(&cluster, leader, "leadership was handed over").await;
    wait_for_line(&cluster, leader, "this node leads no longer").await;

    for index in 0..cluster.size() {
        let log = std::fs::read_to_string(cluster.node(index).log_file()).unwrap();
        assert!(!log.contains(cluster.root_token().expose()));
        for share in cluster.shares() {
            assert!(!log.contains(share.expose()));
        }
        let noise: Vec<_> = log.lines().filter(|line| line.contains("openraft")).collect();
        assert!(noise.is_empty(), "{}", noise.join("\n"));
    }
}
