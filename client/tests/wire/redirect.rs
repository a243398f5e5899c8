//! Redirects and learned addresses: where a token may go, and where it never goes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::fake::{Answer, Fake, Seen, answer};
use crate::tls::{authority, tls_node};
use conclave_client::{Client, ClientBuilder, Error, Request};

const WELL: &str = r#"{"request_id": "r", "data": {"word": "well"}}"#;

fn builder(address: &str) -> ClientBuilder {
    Client::builder().address(address).token("hvs.canary").deadline(Duration::from_secs(5))
}

fn redirect(to: &str) -> Answer {
    answer(307, "{}").header("location", to)
}

/// A server that redirects to an address set once it is known.
async fn redirecting() -> (Fake, Arc<OnceLock<String>>) {
    let target = Arc::new(OnceLock::<String>::new());
    let named = Arc::clone(&target);
    let node = Fake::start(move |seen: &Seen| {
        let target = named.get().map_or("http://127.0.0.1:1", String::as_str);
        redirect(&format!("{target}{}", seen.target)).act()
    })
    .await;
    (node, target)
}

#[tokio::test]
async fn a_redirect_to_a_known_node_is_followed_with_the_token() {
    let (first, target) = redirecting().await;
    let second = Fake::start(|_| answer(200, WELL).act()).await;
    target.set(second.address.clone()).unwrap();
    let client = builder(&first.address).address(&second.address).build().unwrap();
    client.send(Request::get("secret/app")).await.unwrap();
    assert_eq!(second.seen()[0].header("x-vault-token"), Some("hvs.canary"));
}

#[tokio::test]
async fn a_redirect_to_an_unknown_origin_is_refused_and_nothing_is_sent_there() {
    // check 264
    let (first, target) = redirecting().await;
    let stranger = Fake::start(|_| answer(200, WELL).act()).await;
    target.set(stranger.address.clone()).unwrap();
    let failure = builder(&first.address).build().unwrap().send(Request::get("secret/app")).await.unwrap_err();
    assert!(matches!(failure, Error::RedirectRefused { .. }), "{failure}");
    assert_eq!(stranger.count(), 0);
}

#[tokio::test]
async fn a_second_redirect_is_not_followed() {
    let first = Fake::start(|seen| redirect(&seen.target).act()).await;
    let failure = builder(&first.address).build().unwrap().send(Request::get("secret/app")).await.unwrap_err();
    assert_eq!((failure.status(), first.count()), (Some(307), 2));
}

#[tokio::test]
async fn no_redirect_but_307_is_followed() {
    for status in [300, 301, 302, 303, 304, 305, 306, 308] {
        let second = Fake::start(|_| answer(200, WELL).act()).await;
        let target = format!("{}/v1/secret/app", second.address);
        let first = Fake::start(move |_| answer(status, "{}").header("location", &target).act()).await;
        let client = builder(&first.address).address(&second.address).build().unwrap();
        for request in [Request::get("secret/app"), Request::delete("secret/app")] {
            let failure = client.send(request).await.unwrap_err();
            assert_eq!(failure.status(), Some(status), "{failure}");
        }
        assert_eq!(second.count(), 0, "{status}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_leader_that_is_gone_is_no_failure_of_the_node_that_named_it() {
    let (first, target) = redirecting().await;
    let gone = crate::fake::dead_address().await;
    target.set(gone.clone()).unwrap();
    let client = builder(&first.address).address(&gone).max_retries(1).build().unwrap();
    let Err(Error::Unreachable { attempts, .. }) = client.send(Request::get("secret/app")).await else {
        panic!("nobody could have answered")
    };
    assert!(attempts.iter().all(|attempt| attempt.address.as_str() == gone), "{attempts:?}");
}

#[tokio::test]
async fn a_redirect_keeps_method_key_and_body() {
    let first = Fake::start(|seen| match seen.number {
        0 => redirect(&seen.target).act(),
        _ => answer(200, WELL).act(),
    })
    .await;
    let body = serde_json::json!({"word": "new"});
    builder(&first.address).build().unwrap().send(Request::post("secret/app", &body)).await.unwrap();
    let seen = first.seen();
    assert_eq!((seen[1].verb.as_str(), seen[1].json()), ("POST", body));
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

fn members(addresses: &[&str]) -> String {
    let nodes: Vec<_> = addresses.iter().map(|address| serde_json::json!({"api_address": address})).collect();
    serde_json::json!({"request_id": "r", "data": {"Nodes": nodes}, "Nodes": nodes}).to_string()
}

#[tokio::test]
async fn a_redirect_from_tls_to_plaintext_is_refused() {
    let plain = Fake::start(|_| answer(200, WELL).act()).await;
    let (target, authority) = (plain.address.clone(), authority(&["127.0.0.1"]));
    let node = tls_node(&authority, move |_| redirect(&format!("{target}/v1/secret/app")).act()).await;
    // Known, so that only the missing encryption can be the reason.
    let client = builder(&node.address).address(&plain.address).ca_cert_pem(authority.pem.clone()).build().unwrap();
    let failure = client.send(Request::get("secret/app")).await.unwrap_err();
    assert!(matches!(failure, Error::RedirectRefused { .. }), "{failure}");
    assert_eq!(plain.count(), 0);
}

#[tokio::test]
async fn further_nodes_are_learned_over_tls() {
    let authority = authority(&["127.0.0.1"]);
    let node =
        tls_node(&authority, |_| answer(200, &members(&["https://127.0.0.1:1", "https://127.0.0.1:2"])).act()).await;
    let client = builder(&node.address).ca_cert_pem(authority.pem.clone()).build().unwrap();
    assert_eq!(client.refresh_addresses().await.unwrap(), 3);
}

#[tokio::test]
async fn nodes_are_learned_by_themselves_after_a_first_reply() {
    let authority = authority(&["127.0.0.1"]);
    let node = tls_node(&authority, |_| answer(200, &members(&["https://127.0.0.1:1"])).act()).await;
    let client = builder(&node.address).ca_cert_pem(authority.pem.clone()).build().unwrap();
    client.send(Request::get("secret/app")).await.unwrap();
    for _ in 0..100 {
        if client.addresses().len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("only {:?} are known", client.addresses());
}

#[tokio::test]
async fn nodes_named_over_plaintext_are_refused() {
    // check 266
    let node = Fake::start(|_| answer(200, &members(&["https://127.0.0.1:1"])).act()).await;
    let client = builder(&node.address).build().unwrap();
    assert!(matches!(client.refresh_addresses().await, Err(Error::Configuration(_))));
    assert_eq!(client.addresses().len(), 1);
}

#[tokio::test]
async fn a_plaintext_node_named_over_tls_is_not_taken() {
    // check 266
    let authority = authority(&["127.0.0.1"]);
    let node = tls_node(&authority, |_| answer(200, &members(&["http://127.0.0.1:1"])).act()).await;
    let client = builder(&node.address).ca_cert_pem(authority.pem.clone()).build().unwrap();
    assert_eq!(client.refresh_addresses().await.unwrap(), 1);
}
