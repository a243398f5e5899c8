//! What typed calls send, and what they make of the answers.

use crate::fake::{Fake, answer, error};
use conclave_client::{Client, Secret};
use serde_json::json;

fn client(node: &Fake) -> Client {
    Client::builder().address(&node.address).token("hvs.mine").build().expect("settings that are right")
}

#[tokio::test]
async fn a_check_and_set_write_sends_the_expected_version() {
    let node = Fake::start(|_| {
        answer(200, r#"{"request_id":"r","data":{"version":4,"created_time":"2026-01-01T00:00:00Z","deletion_time":"","destroyed":false,"custom_metadata":null}}"#).act()
    })
    .await;
    let version = client(&node).kv2("secret").put_cas("app", &json!({"word": "new"}), 3).await.unwrap();
    assert_eq!(version.version, 4);
    let seen = &node.seen()[0];
    assert_eq!((seen.verb.as_str(), seen.target.as_str()), ("POST", "/v1/secret/data/app"));
    assert_eq!(seen.json(), json!({"data": {"word": "new"}, "options": {"cas": 3}}));
}

#[tokio::test]
async fn a_deleted_version_reads_as_nothing() {
    let deleted = r#"{"request_id":"r","data":{"data":null,"metadata":{"version":1,"created_time":"x","deletion_time":"y","destroyed":false}}}"#;
    let node = Fake::start(move |_| answer(404, deleted).act()).await;
    assert!(client(&node).kv2("secret").get("app").await.unwrap().is_none());
}

#[tokio::test]
async fn an_empty_listing_is_no_error() {
    let node = Fake::start(|_| answer(404, r#"{"errors":[]}"#).act()).await;
    assert!(client(&node).kv2("secret").list("").await.unwrap().is_empty());
    assert_eq!(node.seen()[0].target, "/v1/secret/metadata/?list=true");
}

#[tokio::test]
async fn a_patch_is_sent_as_a_merge_patch() {
    let node = Fake::start(|_| answer(200, r#"{"data":{"version":2,"created_time":"x"}}"#).act()).await;
    client(&node).kv2("secret").patch("app", &json!({"old": null})).await.unwrap();
    assert_eq!(node.seen()[0].header("content-type"), Some("application/merge-patch+json"));
}

#[tokio::test]
async fn unwrapping_uses_the_wrapping_token_in_place_of_the_own_one() {
    let node = Fake::start(|_| answer(200, r#"{"request_id":"r","data":{}}"#).act()).await;
    client(&node).wrapping().unwrap(&Secret::new("hvs.wrapping")).await.unwrap();
    assert_eq!(node.seen()[0].header("x-vault-token"), Some("hvs.wrapping"));
}

#[tokio::test]
async fn a_lookup_by_post_is_a_read_and_carries_no_key() {
    let node = Fake::start(|_| answer(200, r#"{"data":{"ttl":7}}"#).act()).await;
    client(&node).tokens().lookup(&Secret::new("hvs.other")).await.unwrap();
    assert_eq!(node.seen()[0].header("idempotency-key"), None);
}

#[tokio::test]
async fn the_status_of_a_sealed_node_is_an_answer() {
    let node = Fake::start(|_| {
        answer(200, r#"{"type":"shamir","initialized":true,"sealed":true,"t":3,"n":5,"progress":1,"nonce":"n"}"#).act()
    })
    .await;
    let status = client(&node).seals().status().await.unwrap();
    assert_eq!((status.sealed, status.progress, status.t), (true, 1, 3));
}

#[tokio::test]
async fn the_health_of_a_sealed_node_is_an_answer() {
    let node = Fake::start(|_| answer(503, r#"{"initialized":true,"sealed":true,"standby":true}"#).act()).await;
    assert!(client(&node).cluster().health().await.unwrap().sealed);
}

#[tokio::test]
async fn an_error_carries_the_words_of_the_server() {
    let node = Fake::start(|_| error(403, "permission denied").act()).await;
    let failure = client(&node).kv2("secret").get("app").await.unwrap_err();
    assert_eq!(failure.to_string(), "GET secret/data/app: status 403; permission denied");
}

#[tokio::test]
async fn a_reply_of_another_shape_is_malformed_and_does_not_show_its_values() {
    let node = Fake::start(|_| answer(200, r#"{"data":{"term":"canary","install_time":"x"}}"#).act()).await;
    let failure = client(&node).cluster().key_status().await.unwrap_err().to_string();
    assert!(failure.contains("not understood") && !failure.contains("canary"), "{failure}");
}
