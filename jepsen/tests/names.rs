//! What operators see of the nodes, and that a name is enough to act on one.

use conclave_client::{Method, Request};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::{Value, json};

/// The row of a node in a list, by its name.
async fn row(cluster: &Cluster, path: &str, name: &str) -> Value {
    let leader = cluster.wait_for_leader().await.unwrap();
    let reply = cluster.client_of(leader).raw(Method::Get, path, &[], None).await.unwrap();
    let data = reply.json()["data"].clone();
    let nodes = data["nodes"].as_array().or(data["config"]["servers"].as_array()).unwrap();
    nodes.iter().find(|node| node["node_id"] == name).unwrap_or_else(|| panic!("{name} is not in {data}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_name_each_node_and_say_which_is_sealed_and_which_does_not_answer() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let (sealed, dead) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.seal(sealed).await.unwrap();
    cluster.node(dead).kill().unwrap();
    for path in ["sys/storage/raft/configuration", "sys/ha-status"] {
        let is_shown = async || {
            let (one, two) =
                (row(&cluster, path, cluster.node(sealed).name()), row(&cluster, path, cluster.node(dead).name()));
            let (one, two) = tokio::join!(one, two);
            one["sealed"] == true && one["alive"] == true && two["alive"] == false && two["sealed"].is_null()
        };
        wait_until("showing the states", PATIENCE, is_shown).await.unwrap();
        let own = row(&cluster, path, cluster.node(leader).name()).await;
        assert_eq!((&own["sealed"], &own["alive"], &own["lag"]), (&json!(false), &json!(true), &json!(0)));
        assert_eq!(own["id"].as_str().unwrap().len(), 16);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_two_lets_two_in_and_a_node_is_removed_by_its_name() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let client = cluster.client_of(leader);
    let body = json!({ "ttl": "24h", "uses": 2 });
    let made = client.raw(Method::Post, "sys/storage/raft/join-token", &[], Some(&body)).await.unwrap();
    let data = made.data().unwrap();
    assert_eq!((&data["ttl"], &data["uses"]), (&json!(86_400), &json!(2)));

    let gone = (leader + 1) % 3;
    let name = cluster.node(gone).name().to_owned();
    cluster.node(gone).kill().unwrap();
    // A fresh disk under the old name is refused, with what to do; after the removal it is let in.
    std::fs::remove_dir_all(cluster.node(gone).data_dir()).unwrap();
    cluster.node(gone).restart().await.unwrap();
    let join = async || {
        let request = Request::post("sys/storage/raft/join", &json!({ "token": data["token"] })).about_one_node();
        cluster.client_of(gone).send(request).await
    };
    let refused = join().await.unwrap_err().to_string();
    assert!(refused.contains(&format!("remove-peer {name}")), "{refused}");
    client.cluster().remove_peer(&name).await.unwrap();
    wait_until("joining again", PATIENCE, async || join().await.is_ok()).await.unwrap();
    let is_back = async || {
        let servers = client.cluster().raft_configuration().await.unwrap_or_default();
        servers.iter().filter(|server| server.voter).count() == 3
    };
    wait_until("being a voter again", PATIENCE, is_back).await.unwrap();
}
