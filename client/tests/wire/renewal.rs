//! A token that is kept alive: what ends it, and what does not.

use std::time::Duration;

use crate::fake::{Answer, Fake, answer, error};
use conclave_client::{Client, TokenEnd};
use serde_json::json;

fn renewed(secs: u64, renewable: bool) -> Answer {
    let auth = json!({ "client_token": "t", "lease_duration": secs, "renewable": renewable });
    answer(200, &json!({ "request_id": "r", "auth": auth }).to_string())
}

fn client(node: &Fake) -> Client {
    let builder = Client::builder().address(&node.address).token("t").max_retries(0);
    builder.deadline(Duration::from_secs(5)).build().expect("settings that are right")
}

#[tokio::test]
async fn a_cluster_without_a_leader_ends_no_token() {
    let node = Fake::start(|seen| match seen.number {
        0 => renewed(3, true).act(),
        1..4 => error(503, "no active Vault instance found").act(),
        4 => error(500, "internal error").act(),
        _ => renewed(3, false).act(),
    })
    .await;
    let end = client(&node).keep_token(Some("3s")).await;
    assert!(matches!(end, TokenEnd::Limited { .. }), "{end:?}");
    assert!(node.count() > 5);
    assert_eq!(node.seen()[0].json(), json!({ "increment": "3s" }));
}

#[tokio::test]
async fn a_refusal_ends_it() {
    let node = Fake::start(|_| error(403, "permission denied").act()).await;
    let end = client(&node).keep_token(None).await;
    assert!(matches!(&end, TokenEnd::Refused(error) if error.status() == Some(403)), "{end:?}");
    assert_eq!(node.count(), 1);
}

#[tokio::test]
async fn a_token_that_ends_while_nobody_renews_it_is_missed() {
    let node = Fake::start(|seen| match seen.number {
        0 => renewed(1, true).act(),
        _ => error(503, "Vault is sealed").act(),
    })
    .await;
    let end = client(&node).keep_token(None).await;
    assert!(matches!(&end, TokenEnd::Missed(error) if error.status() == Some(503)), "{end:?}");
}
