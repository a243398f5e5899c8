//! Many clients want the same thing at once, on three nodes: the counts are exact, everyone gets on, and losing costs
//! no entries of the log.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::OnceLock;

use conclave_client::{Client, Error, Secret, TokenRequest};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

/// Clients at once.
const CLIENTS: usize = 64;
/// Uses of the token that they share.
const USES: u64 = 200;
/// Times that each client must win the key that all want.
const WINS: u64 = 2;
/// Names that each client puts into the one directory.
const NAMES: usize = 5;
/// Entries of the log that one success may cost.
const ENTRIES_EACH: u64 = 2;

/// The tests take turns: side by side they would fight for the processor instead of for keys.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: OnceLock<Mutex<()>> = OnceLock::new();
    TURN.get_or_init(Mutex::default).lock().await
}

/// How far the log has been applied.
async fn applied_index(cluster: &Cluster) -> u64 {
    let leader = cluster.wait_for_leader().await.unwrap();
    cluster.client_of(leader).cluster().leader().await.unwrap().raft_applied_index
}

/// Runs one task for each client, spread over the nodes; answers what they answered, and how many entries it took.
async fn compete<T, F>(cluster: &Cluster, run: impl Fn(Client, usize) -> F) -> (Vec<T>, u64)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let before = applied_index(cluster).await;
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS {
        tasks.spawn(run(cluster.client_of(number % cluster.size()), number));
    }
    // Far beyond what it takes; without an end, a livelock would hang the test instead of failing it.
    let answers =
        tokio::time::timeout(5 * PATIENCE, tasks.join_all()).await.expect("the clients keep one another busy");
    (answers, applied_index(cluster).await - before)
}

fn check_entries(entries: u64, successes: u64) {
    println!("{successes} successes took {entries} entries of the log");
    assert!(entries >= successes, "{successes} successes cannot lie in {entries} entries");
    assert!(entries <= ENTRIES_EACH * successes, "{successes} successes took {entries} entries");
}

/// Uses a token until it is refused; answers how often it was not.
async fn use_up(client: Client) -> u64 {
    let mut successes = 0;
    loop {
        match client.tokens().lookup_self().await {
            Ok(_) => successes += 1,
            Err(error) if error.status() == Some(403) => return successes,
            Err(error) => panic!("neither a use nor a refusal: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_two_hundred_uses_is_used_two_hundred_times() {
    // check 96
    let _turn = turn().await;
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let wanted = TokenRequest {
        policies: vec!["default".to_owned()],
        num_uses: Some(USES),
        ttl: Some("1h".to_owned()),
        ..TokenRequest::default()
    };
    let token: Secret = cluster.client().tokens().create(&wanted).await.unwrap().client_token;
    let (answers, entries) = compete(&cluster, |client, _| use_up(client.with_token(Some(token.clone())))).await;
    let successes: u64 = answers.iter().sum();
    assert_eq!(successes, USES);
    check_entries(entries, successes);
}

/// Increments a number by check-and-set until it has won so often; answers how often it lost.
async fn win(client: Client) -> Result<u64, Error> {
    let (mut won, mut lost) = (0, 0);
    while won < WINS {
        let newest = client.kv2("secret").get("wanted").await?;
        let expected = newest.map_or(0, |newest| newest.metadata.version);
        match client.kv2("secret").put_cas("wanted", &json!({ "number": expected + 1 }), expected).await {
            Ok(written) => {
                assert_eq!(written.version, expected + 1);
                won += 1;
            }
            Err(error) if error.status() == Some(400) => lost += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_wins_a_contested_key_as_often_as_it_must_and_no_version_is_lost() {
    let _turn = turn().await;
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let (answers, entries) = compete(&cluster, |client, _| win(client)).await;
    let lost: u64 = answers.into_iter().map(Result::unwrap).sum();
    let successes = CLIENTS as u64 * WINS;
    let kept = cluster.client().kv2("secret").get("wanted").await.unwrap().unwrap();
    assert_eq!((kept.metadata.version, &kept.data["number"]), (successes, &json!(successes)));
    println!("{lost} attempts lost");
    check_entries(entries, successes);
}

/// Puts names into the one directory, and looks for each in a list at once.
async fn fill(client: Client, number: usize) {
    for name in (0..NAMES).map(|count| format!("{number}-{count}")) {
        client.kv2("secret").put(&format!("shared/{name}"), &json!({ "name": name })).await.unwrap();
        let listed = client.kv2("secret").list("shared").await.unwrap();
        assert!(listed.contains(&name), "{name} was written and is not listed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_all_fill_at_once_holds_every_name() {
    let _turn = turn().await;
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let (_, entries) = compete(&cluster, fill).await;
    let wanted: BTreeSet<_> = (0..CLIENTS).flat_map(|n| (0..NAMES).map(move |count| format!("{n}-{count}"))).collect();
    for index in 0..cluster.size() {
        let listed = cluster.client_of(index).kv2("secret").list("shared").await.unwrap();
        assert_eq!(listed.len(), wanted.len());
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted);
    }
    check_entries(entries, wanted.len() as u64);
}
