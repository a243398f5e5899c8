//! When a call moves to another node, when it repeats a write, and when it says that nobody can know.

use std::time::{Duration, Instant};

use crate::fake::{Act, Fake, answer, dead_address, error};
use conclave_client::{Cause, Client, ClientBuilder, Error, Method, Request};
use serde_json::json;

const WELL: &str = r#"{"request_id": "r", "data": {"word": "well"}}"#;

fn builder(addresses: &[&str]) -> ClientBuilder {
    let addresses = addresses.iter().map(|address| (*address).to_owned());
    Client::builder().addresses(addresses).deadline(Duration::from_secs(8)).attempt_timeout(Duration::from_millis(300))
}

fn client(addresses: &[&str]) -> Client {
    builder(addresses).build().expect("settings that are right")
}

fn write() -> Request {
    Request::post("secret/data/app", &json!({"data": {"word": "new"}}))
}

async fn well() -> Fake {
    Fake::start(|seen| answer(200, WELL).remembering(seen).act()).await
}

#[tokio::test]
async fn a_read_moves_on_from_a_node_that_is_down() {
    let (dead, second) = (dead_address().await, well().await);
    let reply = client(&[&dead, &second.address]).send(Request::get("secret/app")).await.unwrap();
    assert_eq!(reply.address().as_str(), second.address);
}

#[tokio::test]
async fn a_write_moves_on_from_a_node_that_is_down() {
    let (dead, second) = (dead_address().await, well().await);
    assert!(client(&[&dead, &second.address]).send(write()).await.is_ok());
}

#[tokio::test]
async fn a_read_moves_on_from_a_sealed_node() {
    let sealed = Fake::start(|_| error(503, "Vault is sealed").act()).await;
    let second = well().await;
    assert!(client(&[&sealed.address, &second.address]).send(Request::get("secret/app")).await.is_ok());
}

#[tokio::test]
async fn a_write_moves_on_from_a_sealed_node_although_it_remembers_nothing() {
    let sealed = Fake::start(|_| error(503, "Vault is sealed").act()).await;
    let second = well().await;
    assert!(client(&[&sealed.address, &second.address]).send(write()).await.is_ok());
}

#[tokio::test]
async fn a_read_waits_until_a_leader_is_elected() {
    let node = Fake::start(|seen| match seen.number {
        0..3 => error(503, "no active Vault instance found").act(),
        _ => answer(200, WELL).act(),
    })
    .await;
    assert!(client(&[&node.address]).send(Request::get("secret/app")).await.is_ok());
    assert_eq!(node.count(), 4);
}

#[tokio::test]
async fn a_read_moves_on_from_a_node_that_does_not_answer() {
    let (slow, second) = (Fake::start(|_| Act::Stall).await, well().await);
    let began = Instant::now();
    assert!(client(&[&slow.address, &second.address]).send(Request::get("secret/app")).await.is_ok());
    assert!(began.elapsed() < Duration::from_secs(2), "took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_node_that_answered_is_asked_first_the_next_time() {
    let sealed = Fake::start(|_| error(503, "Vault is sealed").act()).await;
    let second = well().await;
    let client = client(&[&sealed.address, &second.address]);
    for _ in 0..3 {
        client.send(Request::get("secret/app")).await.unwrap();
    }
    assert_eq!((sealed.count(), second.count()), (1, 3));
}

#[tokio::test]
async fn a_read_is_repeated_when_the_connection_breaks() {
    let node = Fake::start(|seen| if seen.number == 0 { Act::HangUp } else { answer(200, WELL).act() }).await;
    assert!(client(&[&node.address]).send(Request::get("secret/app")).await.is_ok());
}

#[tokio::test]
async fn a_lost_write_is_not_repeated_on_a_server_that_may_do_it_twice() {
    // check 265
    let (first, second) = (Fake::start(|_| Act::HangUp).await, well().await);
    let failure = client(&[&first.address, &second.address]).send(write()).await.unwrap_err();
    assert!(matches!(failure, Error::UnknownOutcome { .. }), "{failure}");
    assert_eq!(second.count(), 0);
}

#[tokio::test]
async fn a_lost_write_is_repeated_where_the_cluster_was_seen_to_remember() {
    let first = Fake::start(|seen| match seen.number {
        0 => answer(200, WELL).remembering(seen).act(),
        _ => Act::HangUp,
    })
    .await;
    let second = well().await;
    let client = client(&[&first.address, &second.address]);
    client.send(write()).await.unwrap();
    let reply = client.send(write()).await.unwrap();
    assert_eq!(reply.address().as_str(), second.address);
}

#[tokio::test]
async fn a_lost_write_is_repeated_where_the_caller_vouches_for_it() {
    let (first, second) = (Fake::start(|_| Act::HangUp).await, well().await);
    let client = builder(&[&first.address, &second.address]).assume_remembered_writes(true).build().unwrap();
    assert!(client.send(write()).await.is_ok());
}

#[tokio::test]
async fn a_repeated_write_carries_the_same_key_and_another_write_another() {
    let (first, second) = (Fake::start(|_| Act::HangUp).await, well().await);
    let client = builder(&[&first.address, &second.address]).assume_remembered_writes(true).build().unwrap();
    client.send(write()).await.unwrap();
    client.send(write()).await.unwrap();
    let keys: Vec<_> = first
        .seen()
        .iter()
        .chain(&second.seen())
        .map(|seen| seen.header("idempotency-key").map(str::to_owned))
        .collect();
    assert!(keys[0].is_some());
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2]);
}

#[tokio::test]
async fn a_lost_act_of_a_node_is_not_repeated_although_the_cluster_remembers_writes() {
    for path in ["sys/storage/raft/join-token", "sys/storage/raft/remove-peer", "sys/step-down", "sys/seal"] {
        let node = Fake::start(|_| Act::HangUp).await;
        let client = builder(&[&node.address]).assume_remembered_writes(true).build().unwrap();
        let failure = client.send(Request::post(path, &json!({}))).await.unwrap_err();
        assert!(matches!(failure, Error::UnknownOutcome { .. }), "{path}: {failure}");
        assert_eq!(node.count(), 1, "{path}");
    }
}

#[tokio::test]
async fn an_echo_of_another_key_is_no_proof_that_writes_are_remembered() {
    let first = Fake::start(|seen| match seen.number {
        0 => answer(200, WELL).header("idempotency-key", "another").act(),
        _ => Act::HangUp,
    })
    .await;
    let client = client(&[&first.address]);
    client.send(write()).await.unwrap();
    assert!(matches!(client.send(write()).await, Err(Error::UnknownOutcome { .. })));
}

#[tokio::test]
async fn a_refusal_after_a_lost_write_leaves_the_outcome_unknown() {
    let first = Fake::start(|_| Act::HangUp).await;
    let second = Fake::start(|_| error(400, "check-and-set parameter did not match the current version").act()).await;
    let client = builder(&[&first.address, &second.address]).assume_remembered_writes(true).build().unwrap();
    let failure = client.send(write()).await.unwrap_err();
    let Error::UnknownOutcome { answer: Some(answer), .. } = failure else { panic!("{failure}") };
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_refusal_of_a_first_attempt_is_a_plain_refusal() {
    let node = Fake::start(|_| error(400, "check-and-set parameter did not match the current version").act()).await;
    let failure = client(&[&node.address]).send(write()).await.unwrap_err();
    assert_eq!(failure.status(), Some(400));
    assert!(!failure.may_have_happened());
}

#[tokio::test]
async fn a_write_whose_deadline_passes_unanswered_has_an_unknown_outcome() {
    let node = Fake::start(|_| Act::Stall).await;
    let client = builder(&[&node.address]).deadline(Duration::from_millis(400)).build().unwrap();
    let failure = client.send(write()).await.unwrap_err();
    assert!(matches!(failure, Error::UnknownOutcome { .. }), "{failure}");
    assert!(failure.may_have_happened());
}

#[tokio::test]
async fn a_read_whose_deadline_passes_unanswered_is_unanswered() {
    let node = Fake::start(|_| Act::Stall).await;
    let client = builder(&[&node.address]).deadline(Duration::from_millis(400)).build().unwrap();
    let failure = client.send(Request::get("secret/app")).await.unwrap_err();
    assert!(matches!(failure, Error::Unanswered { .. }), "{failure}");
}

#[tokio::test]
async fn a_write_that_reached_nobody_is_unreachable() {
    let dead = dead_address().await;
    let failure = builder(&[&dead]).max_retries(1).build().unwrap().send(write()).await.unwrap_err();
    let Error::Unreachable { attempts, .. } = failure else { panic!("{failure}") };
    assert_eq!(
        attempts.iter().map(|attempt| attempt.cause.clone()).collect::<Vec<_>>(),
        [Cause::Refused, Cause::Refused]
    );
}

#[tokio::test]
async fn a_lost_write_stays_unknown_when_nobody_answers_later() {
    let first = Fake::start(|_| Act::HangUp).await;
    let sealed = Fake::start(|_| error(503, "Vault is sealed").act()).await;
    let client = builder(&[&first.address, &sealed.address])
        .assume_remembered_writes(true)
        .deadline(Duration::from_millis(900))
        .build()
        .unwrap();
    assert!(matches!(client.send(write()).await, Err(Error::UnknownOutcome { .. })));
}

#[tokio::test]
async fn a_server_that_does_not_know_leaves_a_write_unknown() {
    let text = "the outcome is unknown: the leader did not answer in time";
    let (node, second) = (Fake::start(move |_| error(503, text).act()).await, well().await);
    let failure = client(&[&node.address, &second.address]).send(write()).await.unwrap_err();
    assert!(matches!(failure, Error::UnknownOutcome { .. }), "{failure}");
}

#[tokio::test]
async fn a_server_that_does_not_know_but_remembers_is_asked_again() {
    let text = "the outcome is unknown: the leader did not answer in time";
    let node = Fake::start(move |seen| match seen.number {
        0 => error(503, text).remembering(seen).act(),
        _ => answer(200, WELL).remembering(seen).act(),
    })
    .await;
    assert!(client(&[&node.address]).send(write()).await.is_ok());
}

#[tokio::test]
async fn a_gateway_timeout_of_a_proxy_leaves_a_write_unknown() {
    let proxy = Fake::start(|_| answer(504, "<html>gateway timeout</html>").act()).await;
    let failure = client(&[&proxy.address]).send(write()).await.unwrap_err();
    assert!(matches!(failure, Error::UnknownOutcome { .. }), "{failure}");
}

#[tokio::test]
async fn a_server_error_to_a_write_is_handed_on_where_it_cannot_be_repeated() {
    let node = Fake::start(|_| error(500, "internal error").act()).await;
    let failure = client(&[&node.address]).send(write()).await.unwrap_err();
    assert_eq!((failure.status(), node.count()), (Some(500), 1));
    assert!(failure.may_have_happened());
}

#[tokio::test]
async fn a_server_error_that_lasts_is_believed_after_two_repetitions() {
    let node = Fake::start(|_| error(500, "internal error").act()).await;
    let failure = client(&[&node.address]).send(Request::get("secret/app")).await.unwrap_err();
    assert_eq!((failure.status(), node.count()), (Some(500), 3));
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_the_server_asks() {
    let node = Fake::start(|seen| match seen.number {
        0 => error(429, "quota exceeded").header("retry-after", "1").act(),
        _ => answer(200, WELL).act(),
    })
    .await;
    let began = Instant::now();
    client(&[&node.address]).send(Request::get("secret/app")).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_node_without_a_leader_says_when_to_come_back() {
    let node = Fake::start(|seen| match seen.number {
        0 => error(503, "no active Vault instance found").header("retry-after", "1").act(),
        _ => answer(200, WELL).act(),
    })
    .await;
    let began = Instant::now();
    client(&[&node.address]).send(Request::get("secret/app")).await.unwrap();
    assert_eq!(node.count(), 2);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn another_node_is_asked_at_once_whatever_the_first_says_about_coming_back() {
    let sealed = Fake::start(|_| error(503, "Vault is sealed").header("retry-after", "3600").act()).await;
    let second = well().await;
    assert!(client(&[&sealed.address, &second.address]).send(Request::get("secret/app")).await.is_ok());
}

#[tokio::test]
async fn patience_ends_the_rounds_before_the_deadline() {
    let node = Fake::start(|_| error(503, "Vault is sealed").header("retry-after", "2").act()).await;
    let client = builder(&[&node.address]).patience(Duration::from_secs(1)).build().unwrap();
    let failure = client.send(Request::get("secret/app")).await.unwrap_err();
    assert_eq!((failure.status(), node.count()), (Some(503), 1));
}

#[tokio::test]
async fn an_index_that_is_not_reached_yet_is_waited_for() {
    let node = Fake::start(|seen| match seen.number {
        0 => error(412, "required index state not present").act(),
        _ => answer(200, WELL).act(),
    })
    .await;
    assert!(client(&[&node.address]).send(Request::get("secret/app")).await.is_ok());
}

#[tokio::test]
async fn a_read_sends_the_index_of_the_newest_write() {
    let node =
        Fake::start(|seen| answer(200, WELL).header("x-vault-index", &format!("index-{}", seen.number)).act()).await;
    let client = client(&[&node.address]);
    client.send(write()).await.unwrap();
    client.send(write()).await.unwrap();
    client.send(Request::get("secret/app")).await.unwrap();
    assert_eq!(node.seen()[2].header("x-vault-index"), Some("index-1"));
}

#[tokio::test]
async fn no_retries_means_that_each_node_is_asked_once() {
    let first = Fake::start(|_| error(503, "Vault is sealed").act()).await;
    let second = Fake::start(|_| error(503, "Vault is sealed").act()).await;
    let client = builder(&[&first.address, &second.address]).max_retries(0).build().unwrap();
    let failure = client.send(Request::get("secret/app")).await.unwrap_err();
    assert_eq!((failure.status(), first.count(), second.count()), (Some(503), 1, 1));
}

#[tokio::test]
async fn a_question_about_one_node_does_not_move_on() {
    let (dead, second) = (dead_address().await, well().await);
    let failure = client(&[&dead, &second.address]).seals().status().await.unwrap_err();
    assert!(matches!(failure, Error::Unreachable { .. }), "{failure}");
    assert_eq!(second.count(), 0);
}

#[tokio::test]
async fn a_lost_init_is_never_repeated() {
    let node = Fake::start(|_| Act::HangUp).await;
    let client = builder(&[&node.address]).assume_remembered_writes(true).build().unwrap();
    let wanted = conclave_client::InitRequest { secret_shares: 5, secret_threshold: 3 };
    assert!(matches!(client.seals().init(&wanted).await, Err(Error::UnknownOutcome { .. })));
    assert_eq!(node.count(), 1);
}

#[tokio::test]
async fn a_reply_beyond_the_limit_is_not_read() {
    let node = Fake::start(|_| answer(200, &"x".repeat(4096)).act()).await;
    let client = builder(&[&node.address]).max_reply_bytes(1024).build().unwrap();
    let failure = client.send(Request::get("secret/app")).await.unwrap_err();
    assert!(matches!(failure, Error::ReplyTooLarge { limit_bytes: 1024, .. }), "{failure}");
}

#[tokio::test]
async fn no_error_shows_the_token_or_the_body() {
    let dead = dead_address().await;
    let client = builder(&[&dead]).token("hvs.canary").max_retries(0).build().unwrap();
    let request = Request::new(Method::Put, "secret/app").json(&json!({"word": "canary"}));
    let failure = client.send(request).await.unwrap_err();
    assert!(!format!("{failure} {failure:?}").contains("canary"));
}
