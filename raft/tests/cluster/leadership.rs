//! Leadership goes away from nodes that may not lead, and such a node helps out if nobody else can win.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_raft::Candidacy;
use conclave_storage::log::Log;
use conclave_storage::table::Table;
use tokio::time::Instant;

use crate::nodes::{clustered, copy_of, deadline, eventually, leader_of, three, three_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_went_back_gives_no_vote_although_the_leader_that_knew_is_gone() {
    let [a, mut b, c] = three().await;
    let (cluster, pins) = (a.raft.cluster_id().expect("there is a cluster"), a.raft.status().members);
    let old = copy_of(&b.log);
    let last = a.put_surely("acknowledged", "1").await;
    let knows = || c.raft.status().peers.iter().any(|peer| peer.id == b.id() && peer.acknowledged >= last);
    eventually("the third node hears of the acknowledgement", async || knows()).await;
    // In this order, or the third node would follow the leader at once with the vote of the second.
    b.raft.shutdown().await;
    a.raft.shutdown().await;
    (b.log, b.table) = (old, Arc::default());
    let b = b.restart(cluster, pins.clone()).await;

    // With its vote the other one would lead at once.
    let end = Instant::now() + 8 * c.raft.election_timeout();
    while Instant::now() < end {
        assert!(!c.leads() && !b.leads());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let warnings = b.raft.status().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("lacks entries up to index")), "{warnings:?}");

    // The old leader comes back, and with it all that was acknowledged.
    let a = a.restart(cluster, pins).await;
    let last = leader_of(&[&a, &c]).await.put_surely("k", "1").await;
    b.raft.wait_applied(last, deadline()).await.expect("it catches up");
    assert_eq!(b.get("acknowledged").as_deref(), Some("1"));
    eventually("it lacks nothing any more", async || b.raft.status().warnings.is_empty()).await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_all_start_at_once_elect_one_of_them() {
    let [a, b, c] = three().await;
    let (cluster, pins) = (a.raft.cluster_id().expect("there is a cluster"), a.raft.status().members);
    let last = a.put_surely("k", "1").await;
    for node in [&a, &b, &c] {
        node.raft.shutdown().await;
    }
    let mut nodes = Vec::new();
    for node in [a, b, c] {
        nodes.push(node.restart(cluster, pins.clone()).await);
    }
    let leader = leader_of(&nodes.iter().collect::<Vec<_>>()).await;
    assert!(leader.put_surely("k", "2").await > last);
    // And two of them do while the third one is away.
    let gone = nodes.iter().position(|node| node.leads()).expect("one leads");
    nodes.remove(gone).raft.shutdown().await;
    leader_of(&nodes.iter().collect::<Vec<_>>()).await.put_surely("k", "3").await;
    for node in nodes {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_voter_with_the_longest_log_wins_for_an_unsealed_one() {
    let [a, b, c] = three().await;
    let cluster = a.raft.cluster_id().expect("there is a cluster");
    let pins = a.raft.status().members;
    b.raft.set_candidacy(Candidacy::LastResort);
    c.raft.shutdown().await;
    let last = a.put_surely("only on a and b", "1").await;
    a.raft.shutdown().await;
    // It lacks the entry, so b must not vote for it, and b is sealed.
    let c = c.restart(cluster, pins).await;
    assert_eq!(leader_of(&[&c]).await.id(), c.id());
    c.raft.wait_applied(last, deadline()).await.expect("the new leader has all that was acknowledged");
    assert_eq!(c.get("only on a and b").as_deref(), Some("1"));
    for node in [b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_may_not_lead_any_more_hands_over_by_itself() {
    let [a, b, c] = three().await;
    a.raft.set_candidacy(Candidacy::Never);
    let leader = leader_of(&[&b, &c]).await;
    leader.put_surely("k", "1").await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reluctant_leader_goes_on_until_somebody_can_take_over() {
    let [a, b, c] = three().await;
    b.raft.set_candidacy(Candidacy::LastResort);
    c.raft.set_candidacy(Candidacy::Reluctant);
    a.raft.set_candidacy(Candidacy::Reluctant);
    a.put_surely("k", "1").await;
    assert!(a.leads());
    c.raft.set_candidacy(Candidacy::Free);
    assert_eq!(leader_of(&[&c]).await.id(), c.id());
    c.put_surely("k", "2").await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_takes_nothing_shows_it_and_can_be_relieved() {
    let [a, b, c] = three().await;
    assert_eq!(a.raft.stalled_for(), Duration::ZERO);
    a.log.hold_syncs(true);
    let (waiting, batch) = (a.raft.clone(), a.batch(&[], &[("k", "1")]));
    let waiting = tokio::spawn(async move { waiting.propose(batch, deadline()).await });
    let (follower, batch) = (b.raft.clone(), b.batch(&[], &[("from a follower", "1")]));
    let forwarded = tokio::spawn(async move { follower.propose(batch, deadline()).await });
    eventually("the stall shows", async || a.raft.stalled_for() >= Duration::from_millis(100)).await;
    a.raft.set_candidacy(Candidacy::Never);
    let leader = leader_of(&[&b, &c]).await;
    // The others have synced what the old leader could not.
    eventually("the write is there", async || leader.get("k").is_some()).await;
    assert!(matches!(forwarded.await, Ok(Ok(Outcome::Applied { .. }))), "the follower asks the new leader");
    a.log.hold_syncs(false);
    a.log.sync();
    assert!(matches!(waiting.await, Ok(Ok(_))), "whoever waited at the old leader gets the answer");
    assert_eq!(a.log.stalled_for(), Duration::ZERO);
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_know_how_far_the_others_clocks_and_tables_are_off() {
    let [a, b, c] = three().await;
    b.shell.clock_ahead_millis.store(3_600_000, Ordering::SeqCst);
    let seen_by = |from: &crate::nodes::Node, of: u64| {
        let peers = from.raft.status().peers;
        peers.into_iter().find(|peer| peer.id == of).and_then(|peer| peer.clock_ahead_millis)
    };
    let near = |wanted: i64, seen: Option<i64>| seen.is_some_and(|seen| (seen - wanted).abs() < 60_000);
    eventually("a sees b", async || near(3_600_000, seen_by(&a, b.id()))).await;
    eventually("b sees a", async || near(-3_600_000, seen_by(&b, a.id()))).await;
    eventually("a sees c", async || near(0, seen_by(&a, c.id()))).await;
    assert_eq!(a.table.contradiction(), None);
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_process_ends_is_followed_without_an_election_timeout() {
    // So long that nobody campaigns for silence before this test gives up.
    let mut config = clustered();
    config.timing.election_min = Duration::from_secs(600);
    config.timing.election_max = Duration::from_secs(1200);
    let [a, b, c] = three_with(config).await;
    a.put_surely("before", "1").await;
    a.raft.shutdown().await;
    let leader = leader_of(&[&b, &c]).await;
    let follower = if leader.id() == b.id() { &c } else { &b };
    follower.put_surely("after", "2").await;
    assert_eq!(leader.get("before").as_deref(), Some("1"));
    for node in [b, c] {
        node.raft.shutdown().await;
    }
}
