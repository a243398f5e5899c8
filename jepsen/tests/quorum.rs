//! A node that reaches no quorum says so, and holds nobody up: health, leader and requests tell within seconds.

use std::time::Duration;

use conclave_client::{Reply, Request};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;
use tokio::time::Instant;

/// Longest that a request may take on a node that was cut off; twice the limit, for machines that are busy.
const REFUSAL: Duration = Duration::from_secs(20);

/// One node's own answer, whatever its status.
async fn ask(cluster: &Cluster, index: usize, request: Request) -> Reply {
    let client = cluster.client_within(index, PATIENCE);
    client.send(request.about_one_node().any_status()).await.expect("the node answers")
}

async fn health(cluster: &Cluster, index: usize) -> u16 {
    ask(cluster, index, Request::get("sys/health").query("standbyok", "true")).await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_a_node_says_so_and_refuses_within_seconds_until_it_is_back() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.client().kv2("secret").put("kept", &json!({ "kept": true })).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    for other in others {
        assert_eq!(health(&cluster, other).await, 200);
        cluster.node(other).kill().unwrap();
    }
    let is_told = async || health(&cluster, leader).await == 503;
    wait_until("noticing that the quorum is gone", PATIENCE, is_told).await.unwrap();

    let told = ask(&cluster, leader, Request::get("sys/health")).await;
    assert_eq!((&told.json()["sealed"], &told.json()["standby"]), (&json!(false), &json!(true)));
    assert!(told.json()["reason"].as_str().unwrap().contains("no quorum"), "{}", told.json());
    let shown = ask(&cluster, leader, Request::get("sys/leader")).await;
    assert_eq!((&shown.json()["is_self"], &shown.json()["leader_address"]), (&json!(false), &json!("")));
    let metrics = ask(&cluster, leader, Request::get("sys/metrics").query("format", "prometheus")).await;
    // They are most wanted now, so the node's own table says whose token works.
    assert_eq!(metrics.status(), 200);
    let text = String::from_utf8_lossy(metrics.bytes()).into_owned();
    assert!(text.contains("\nconclave_raft_has_leader 0\n"), "{text}");

    let body = json!({ "data": { "kept": false } });
    let requests = [
        Request::get("secret/data/kept"),
        Request::post("secret/data/kept", &body),
        Request::get("sys/storage/raft/configuration"),
    ];
    for request in requests {
        let (path, start) = (request.path().to_owned(), Instant::now());
        let refused = ask(&cluster, leader, request).await;
        assert_eq!(refused.status(), 503, "{path}");
        assert!(start.elapsed() < REFUSAL, "{path} took {:?}", start.elapsed());
        assert!(!refused.errors()[0].contains("unknown"), "{path}: {:?}", refused.errors());
    }

    cluster.node(others[0]).restart().await.unwrap();
    cluster.unseal_only(others[0]).await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    for index in [leader, others[0]] {
        let is_well = async || health(&cluster, index).await == 200;
        wait_until("being well again", PATIENCE, is_well).await.unwrap();
        let found = cluster.client_of(index).kv2("secret").get("kept").await.unwrap().unwrap();
        // What was refused was not done later.
        assert_eq!((&found.data["kept"], found.metadata.version), (&json!(true), 1));
    }
    assert!(cluster.leader().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_says_that_it_was_removed_and_comes_back_as_no_leader() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let removed = (leader + 1) % 3;
    let address = cluster.node(removed).cluster_address();
    let servers = cluster.client_of(leader).cluster().raft_configuration().await.unwrap();
    let id = &servers.iter().find(|server| server.address == address).unwrap().node_id;
    cluster.client_of(leader).cluster().remove_peer(id).await.unwrap();

    let is_told = async || health(&cluster, removed).await == 530;
    wait_until("noticing the removal", PATIENCE, is_told).await.unwrap();
    let start = Instant::now();
    let refused = ask(&cluster, removed, Request::post("secret/data/a", &json!({ "data": {} }))).await;
    assert_eq!((refused.status(), refused.errors()[0].contains("removed")), (503, true));
    assert!(start.elapsed() < REFUSAL);

    let seal = async || ask(&cluster, removed, Request::get("sys/seal-status")).await.json()["sealed"] == true;
    wait_until("dropping keys that it must not have any more", PATIENCE, seal).await.unwrap();

    cluster.node(removed).restart().await.unwrap();
    wait_until("knowing it after a restart", PATIENCE, is_told).await.unwrap();
    let refused = cluster.unseal_only(removed).await.unwrap_err();
    assert!(format!("{refused:?}").contains("removed"), "{refused:?}");
    let shown = ask(&cluster, removed, Request::get("sys/leader")).await;
    assert_eq!(shown.status(), 503);
    let is_logged = async || {
        let log = std::fs::read_to_string(cluster.node(removed).log_file()).unwrap();
        log.contains("this node was removed from the cluster")
    };
    wait_until("saying the removal in the log", PATIENCE, is_logged).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_were_removed_while_they_were_down_both_say_so_although_they_know_each_other() {
    let cluster = Cluster::start(Options { nodes: 5, ..Options::default() }).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let removed = [(leader + 1) % 5, (leader + 2) % 5];
    let client = cluster.client_of(leader);
    let servers = client.cluster().raft_configuration().await.unwrap();
    assert!(servers.iter().filter(|server| server.voter).count() == 5, "{servers:?}");
    for index in removed {
        cluster.node(index).kill().unwrap();
    }
    for index in removed {
        let address = cluster.node(index).cluster_address();
        let id = &servers.iter().find(|server| server.address == address).unwrap().node_id;
        client.cluster().remove_peer(id).await.unwrap();
    }
    for index in removed {
        cluster.node(index).restart().await.unwrap();
    }
    for index in removed {
        let is_told = async || health(&cluster, index).await == 530;
        wait_until("noticing the removal", PATIENCE, is_told).await.unwrap();
    }
    client.kv2("secret").put("after", &json!({})).await.unwrap();
}
