//! A node that reaches the others and that they do not reach, as behind a listener that hangs or a firewall of one direction.

use std::time::Duration;

use conclave_client::Request;
use conclave_jepsen::cluster::{Cluster, Links, Options, PATIENCE, wait_until};
use serde_json::{Value, json};

/// How long a node is watched for what it must not do: several of its campaigns, which come twice a second.
const WATCH: Duration = Duration::from_secs(4);

async fn cluster() -> Cluster {
    Cluster::start(Options { links: Links::Proxied, ..Options::default() }).await.unwrap()
}

/// What a node's health says.
async fn health(cluster: &Cluster, index: usize) -> Option<Value> {
    let asked = Request::get("sys/health").about_one_node().any_status();
    let reply = cluster.client_within(index, Duration::from_secs(2)).send(asked).await.ok()?;
    Some(reply.json().clone())
}

fn log(cluster: &Cluster, index: usize) -> String {
    std::fs::read_to_string(cluster.node(index).log_file()).unwrap()
}

async fn reads(cluster: &Cluster, index: usize, name: &str, number: u64) {
    let serves = async || {
        let client = cluster.client_within(index, Duration::from_secs(2));
        client.kv2("secret").get(name).await.ok().flatten().is_some_and(|found| found.data["number"] == number)
    };
    wait_until("serving what was written meanwhile", PATIENCE, serves).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_nobody_reaches_is_relieved_although_its_heartbeats_arrive() {
    let cluster = cluster().await;
    let old = cluster.wait_for_leader().await.unwrap();
    let others = [(old + 1) % 3, (old + 2) % 3];
    cluster.node(old).cut().unwrap();
    let another_leads = async || cluster.leader().await.is_some_and(|leader| leader != old);
    wait_until("relieving a leader that nobody reaches", PATIENCE, another_leads).await.unwrap();
    for (number, other) in (1..).zip(others) {
        cluster.client_of(other).kv2("secret").put("meanwhile", &json!({ "number": number })).await.unwrap();
    }
    assert!(log(&cluster, old).contains("do not reach this node's cluster address"), "{}", log(&cluster, old));
    // Nor does it come back while it is cut off.
    tokio::time::sleep(WATCH).await;
    assert!(cluster.leader().await.is_some_and(|leader| leader != old));

    cluster.node(old).mend().unwrap();
    reads(&cluster, old, "meanwhile", 2).await;
    let is_well = async || health(&cluster, old).await.is_some_and(|health| health["state"].is_null());
    wait_until("saying that all is well", PATIENCE, is_well).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_nobody_reaches_is_behind_and_does_not_campaign_against_a_leader_that_it_reaches() {
    let cluster = cluster().await;
    let leader = cluster.wait_for_leader().await.unwrap();
    let cut = (leader + 1) % 3;
    cluster.node(cut).cut().unwrap();
    cluster.client_of(leader).kv2("secret").put("meanwhile", &json!({ "number": 1 })).await.unwrap();
    let is_behind = async || health(&cluster, cut).await.is_some_and(|health| health["state"] == "behind");
    wait_until("noticing that nothing arrives", PATIENCE, is_behind).await.unwrap();
    tokio::time::sleep(WATCH).await;
    assert!(!log(&cluster, cut).contains("this one campaigns"), "{}", log(&cluster, cut));
    assert_eq!(cluster.leader().await, Some(leader));

    cluster.node(cut).mend().unwrap();
    reads(&cluster, cut, "meanwhile", 1).await;
}
