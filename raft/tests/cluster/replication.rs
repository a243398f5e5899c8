//! A cluster that replicates, loses its leader, and reads what was written.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use conclave_batch::Outcome;
use conclave_raft::{ChangeError, Config, Identity, ProposeError, Raft, ReadError, Stop};
use conclave_storage::log::DurableLog;
use conclave_storage::table::DurableTable;

use crate::nodes::{Node, Shell, add, clustered, deadline, eventually, first, key, leader_of, retry, three};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_writes_and_reads_without_a_network() {
    let node = first(Config::single("http://127.0.0.1:8200")).await;
    let index = node.put_surely("a", "1").await;
    assert!(node.raft.read_point(deadline()).await.expect("it leads itself") >= index);
    assert_eq!(node.get("a").as_deref(), Some("1"));
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_others_asks_nobody_for_a_read_point_and_one_that_got_a_member_does() {
    let (leader, second) = (first(clustered()).await, Node::start(clustered()).await);
    let rounds = || leader.raft.metrics().read_rounds;
    let index = leader.put_surely("a", "1").await;
    let before = rounds();
    for _ in 0..10 {
        assert!(leader.raft.read_point(deadline()).await.expect("it leads itself") >= index);
    }
    assert_eq!((rounds(), leader.raft.confirmed().map(|known| known.leader)), (before, Some(leader.id())));
    add(&leader, &second).await;
    let before = rounds();
    leader.raft.read_point(deadline()).await.expect("it is the only voter");
    assert!(rounds() > before, "a learner may tell of what is not applied here");
    retry(async || leader.raft.promote(second.id()).await).await;
    leader.raft.read_point(deadline()).await.expect("both answer");
    second.raft.shutdown().await;
    let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
    assert!(leader.raft.read_point(soon).await.is_err(), "nobody vouches for it");
    leader.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_leads_again_after_a_restart() {
    let node = first(Config::single("http://127.0.0.1:8200")).await;
    node.put_surely("a", "1").await;
    let cluster = node.raft.cluster_id().expect("it has one");
    node.raft.shutdown().await;
    let node = node.restart(cluster, Vec::new()).await;
    assert!(node.raft.is_initialized());
    node.put_surely("b", "2").await;
    assert_eq!(node.get("a").as_deref(), Some("1"));
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_disk_has_everything_after_a_restart() {
    let owner_only = std::fs::Permissions::from_mode(0o700);
    let dir = tempfile::Builder::new().permissions(owner_only).tempdir().expect("a temporary directory");
    let config = || Config::single("http://127.0.0.1:8200");
    let signed = {
        let (raft, signed) =
            (start_on_disk(dir.path(), config()).await, first(config()).await.batch(&[], &[("a", "1")]));
        raft.bootstrap().await.expect("a fresh node bootstraps");
        assert!(matches!(raft.propose(signed.clone(), deadline()).await, Ok(Outcome::Applied { .. })));
        raft.shutdown().await;
        signed
    };
    let raft = start_on_disk(dir.path(), config()).await;
    assert!(raft.is_initialized());
    // The same id again: it is known, and answers what it answered.
    let before = raft.read_point(deadline()).await.expect("it leads itself");
    let again = raft.propose(signed, deadline()).await;
    assert!(matches!(again, Ok(Outcome::Applied { index }) if index <= before), "got {again:?}");
    raft.shutdown().await;
}

/// Opens log and table in a folder, as soon as whoever had them open has let go.
async fn start_on_disk(dir: &Path, config: Config) -> Raft {
    let identity = Arc::new(Identity::load_or_create(dir).expect("an identity"));
    let mut opened = None;
    eventually("the folder is free", async || {
        let both = DurableLog::open(dir).ok().zip(DurableTable::open(dir).ok());
        opened = both.map(|(log, table)| (Arc::new(log), Arc::new(table)));
        opened.is_some()
    })
    .await;
    let (log, table) = opened.expect("it is open");
    Raft::start(config, identity, log, table, Arc::new(Shell::default())).await.expect("the node starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_bootstraps_once() {
    let node = first(Config::single("http://127.0.0.1:8200")).await;
    assert_eq!(node.raft.bootstrap().await, Err(ChangeError::AlreadyInitialized));
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_any_node_writes_every_node_reads() {
    let nodes = three().await;
    for (number, writer) in nodes.iter().enumerate() {
        let name = format!("from/{number}");
        writer.put_surely(&name, "x").await;
        for reader in &nodes {
            reader.raft.read_point(deadline()).await.expect("there is a leader");
            assert_eq!(reader.get(&name).as_deref(), Some("x"));
        }
    }
    for node in nodes {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_reads_what_the_leader_has_just_acknowledged() {
    let nodes = three().await;
    for round in 0..100 {
        nodes[0].put_surely("k", &round.to_string()).await;
        nodes[1].raft.read_point(deadline()).await.expect("there is a leader");
        assert_eq!(nodes[1].get("k"), Some(round.to_string()));
    }
    for node in nodes {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_on_all_nodes_lose_nothing() {
    let nodes: Vec<_> = three().await.into_iter().map(Arc::new).collect();
    let mut writers = Vec::new();
    for writer in 0..30 {
        let node = nodes[writer % 3].clone();
        writers.push(tokio::spawn(async move {
            for number in 0..20 {
                node.put_surely(&format!("{writer}/{number}"), "x").await;
            }
        }));
    }
    for writer in writers {
        writer.await.expect("every write succeeds");
    }
    for node in &nodes {
        node.raft.read_point(deadline()).await.expect("there is a leader");
        for writer in 0..30 {
            for number in 0..20 {
                assert!(node.get(&format!("{writer}/{number}")).is_some());
            }
        }
    }
    for node in nodes {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_when_the_leader_is_gone() {
    let [a, b, c] = three().await;
    a.put_surely("before", "1").await;
    a.raft.shutdown().await;
    let leader = leader_of(&[&b, &c]).await;
    leader.put_surely("after", "2").await;
    let follower = if leader.id() == b.id() { &c } else { &b };
    follower.raft.read_point(deadline()).await.expect("there is a leader");
    assert_eq!((follower.get("before").as_deref(), follower.get("after").as_deref()), (Some("1"), Some("2")));
    for node in [b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up() {
    let [a, b, c] = three().await;
    let cluster = a.raft.cluster_id().expect("it has one");
    c.raft.shutdown().await;
    let index = a.put_surely("meanwhile", "1").await;
    let c = c.restart(cluster, Vec::new()).await;
    c.raft.wait_applied(index, deadline()).await.expect("it catches up");
    assert_eq!(c.get("meanwhile").as_deref(), Some("1"));
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_proposed_on_two_nodes_takes_effect_once() {
    let [a, b, c] = three().await;
    let batch = a.batch(&[("k", 0)], &[("k", "1")]);
    let (one, two) = tokio::join!(a.raft.propose(batch.clone(), deadline()), b.raft.propose(batch, deadline()));
    assert!(matches!(one, Ok(Outcome::Applied { .. })), "got {one:?}");
    assert_eq!(one, two);
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_guard_from_a_follower_is_a_conflict_and_makes_no_entry() {
    let [a, b, c] = three().await;
    a.put_surely("k", "1").await;
    let before = a.raft.status().last_log;
    let outcome = b.raft.propose(b.batch(&[("k", 0)], &[("k", "2")]), deadline()).await;
    assert!(matches!(outcome, Ok(Outcome::Conflict { .. })), "got {outcome:?}");
    assert_eq!(a.raft.status().last_log, before);
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_a_key_that_is_still_on_its_way_counts_once_that_has_come() {
    let [a, b, c] = three().await;
    a.put_surely("k", "1").await;
    let before = (a.raft.status().term, a.shell.attested.load(Ordering::SeqCst));
    b.shell.lacks_the_key.store(true, Ordering::SeqCst);
    let outcome = b.raft.propose(b.batch(&[], &[("k", "2")]), deadline()).await;
    assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "got {outcome:?}");
    assert!(!b.shell.lacks_the_key.load(Ordering::SeqCst));
    // Only another leader is asked again.
    let after = (a.raft.status().term, a.shell.attested.load(Ordering::SeqCst));
    assert!(after == (before.0, before.1 + 1) || after.0 != before.0, "before {before:?}, after {after:?}");
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

// check 243
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_above_the_limit_is_refused_and_one_at_the_limit_is_replicated() {
    let [a, b, c] = three().await;
    let limit = Config::single("").limits.batch_bytes;
    assert_eq!(b.put("large", &"x".repeat(limit)).await, Err(ProposeError::TooLarge));
    let half = "x".repeat(limit / 2 - 1_024);
    let outcome = b.raft.propose(b.batch(&[], &[("large/1", &half), ("large/2", &half)]), deadline()).await;
    let Ok(Outcome::Applied { index }) = outcome else { panic!("it fits, but got {outcome:?}") };
    c.raft.wait_applied(index, deadline()).await.expect("it is replicated");
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_are_told_before_the_index_is_published() {
    let node = first(Config::single("http://127.0.0.1:8200")).await;
    *node.shell.node.lock() = Some(node.raft.clone());
    for number in 0..50 {
        node.put_surely("a", &number.to_string()).await;
    }
    assert!(node.shell.invalidated.lock().contains(&key("a")));
    assert_eq!(node.shell.told_late.load(Ordering::SeqCst), 0);
    node.raft.shutdown().await;
}

// check 246
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_does_not_verify_stops_consensus_and_is_named() {
    let node = first(Config::single("http://127.0.0.1:8200")).await;
    let bad = node.put_surely("a", "1").await + 1;
    node.shell.rejects_at.store(bad, Ordering::SeqCst);
    assert!(node.put("b", "2").await.is_err());
    assert_eq!(node.raft.stopped().await, Stop::Halted(bad));
    assert_eq!(node.raft.status().halted, Some(bad));
    assert_eq!(node.raft.read_point(deadline()).await, Err(ReadError::Halted));
    assert_eq!(node.get("b"), None, "the table was not touched");
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_a_quorum_gives_no_read_point_and_no_answer() {
    let [a, b, c] = three().await;
    b.raft.shutdown().await;
    c.raft.shutdown().await;
    let soon = || tokio::time::Instant::now() + std::time::Duration::from_millis(1_500);
    assert_eq!(a.raft.read_point(soon()).await, Err(ReadError::NoLeader));
    let outcome = a.raft.propose(a.batch(&[], &[("k", "1")]), soon()).await;
    assert!(matches!(outcome, Err(ProposeError::Unknown | ProposeError::NotAppended { .. })), "got {outcome:?}");
    a.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_shutdown_nothing_is_accepted() {
    let node = first(Config::single("http://127.0.0.1:8200")).await;
    node.raft.shutdown().await;
    assert_eq!(node.put("a", "1").await, Err(ProposeError::Stopped));
    assert_eq!(node.raft.read_point(deadline()).await, Err(ReadError::Stopped));
    assert_eq!(node.raft.stopped().await, Stop::Shutdown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_learner_gets_a_snapshot_once_the_log_is_purged() {
    let mut config = clustered();
    config.limits.snapshot_entries = 20;
    config.limits.keep_entries = 5;
    let a = first(config.clone()).await;
    for number in 0..50 {
        a.put_surely(&format!("n/{number}"), &"x".repeat(1_000)).await;
    }
    a.confirm_checkpoint().await;
    for number in 50..100 {
        a.put_surely(&format!("n/{number}"), "x").await;
    }
    eventually("the log is purged", async || a.raft.status().purged > 0).await;
    let b = Node::start(config).await;
    add(&a, &b).await;
    assert!(b.shell.installed.load(Ordering::SeqCst) > 0, "it came by snapshot");
    b.raft.read_point(deadline()).await.expect("there is a leader");
    for number in 0..100 {
        assert!(b.get(&format!("n/{number}")).is_some(), "entry {number} is there");
    }
    retry(async || a.raft.promote(b.id()).await).await;
    b.put_surely("after", "1").await;
    for node in [a, b] {
        node.raft.shutdown().await;
    }
}

#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_read_points_a_cut_off_node_answers_with_what_it_has() {
    let mut config = clustered();
    config.unsafe_skip_read_point = true;
    let [a, b, c] = crate::nodes::three_with(config).await;
    b.raft.shutdown().await;
    c.raft.shutdown().await;
    assert!(a.raft.read_point(deadline()).await.is_ok(), "a checker must find this");
    a.raft.shutdown().await;
}
