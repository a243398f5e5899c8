//! Requests that one node hands to another count once, wherever they came in.

use conclave_client::{Client, Method, Request, Secret};
use conclave_jepsen::cluster::{Cluster, Options};
use serde_json::json;

async fn token_with_uses(client: &Client, uses: u64) -> Secret {
    let policy = json!({ "policy": "path \"sys/step-down\" { capabilities = [\"update\", \"sudo\"] }" });
    client.send(Request::post("sys/policies/acl/steps", &policy)).await.unwrap();
    let wanted = json!({ "policies": ["steps"], "num_uses": uses });
    let reply = client.send(Request::post("auth/token/create", &wanted)).await.unwrap();
    Secret::new(reply.json()["auth"]["client_token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_leader_can_do_costs_one_use_through_a_follower() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let follower = cluster.client_of((leader + 1) % cluster.size());
    let token = token_with_uses(&follower, 2).await;
    let step_down = Request::new(Method::Put, "sys/step-down").token(token.clone()).about_one_node();
    follower.send(step_down).await.unwrap();
    assert_ne!(cluster.wait_for_leader().await.unwrap(), leader, "it did not step down");
    // The second use is left, and the last.
    let look = || Request::get("auth/token/lookup-self").token(token.clone());
    assert!(follower.send(look()).await.is_ok());
    assert_eq!(follower.send(look()).await.unwrap_err().status(), Some(403));
}
