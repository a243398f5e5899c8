//! Who may lead, who may join, and who is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::{CallError, Candidacy, ChangeError, Config, Exclusion, Role};
use tokio::time::Instant;

use crate::nodes::{Node, add, clustered, copy_of, deadline, eventually, first, leader_of, retry, three};

fn body() -> Bytes {
    Bytes::from_static(b"hello")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_request() {
    let [a, b, c] = three().await;
    assert_eq!(a.raft.transfer_leadership(Some(b.id())).await, Ok(b.id()));
    eventually("the other node leads", async || b.leads()).await;
    a.put_surely("k", "1").await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

// check 246
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_node_is_not_chosen_to_lead() {
    let [a, b, c] = three().await;
    b.raft.set_candidacy(Candidacy::LastResort);
    assert_eq!(a.raft.transfer_leadership(None).await, Ok(c.id()));
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_unsealed_successor_the_leader_stays() {
    let [a, b, c] = three().await;
    b.raft.set_candidacy(Candidacy::LastResort);
    c.raft.set_candidacy(Candidacy::LastResort);
    assert_eq!(a.raft.transfer_leadership(None).await, Err(ChangeError::NoSuccessor));
    assert_eq!(a.raft.transfer_leadership(Some(b.id())).await, Err(ChangeError::NoSuccessor));
    a.put_surely("k", "1").await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_cannot_hand_leadership_over() {
    let [a, b, c] = three().await;
    let refused = b.raft.transfer_leadership(None).await;
    assert_eq!(refused, Err(ChangeError::NotLeader { leader: Some(a.id()) }));
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_may_not_lead_any_more_hands_over() {
    let [a, b, c] = three().await;
    a.raft.set_candidacy(Candidacy::LastResort);
    leader_of(&[&b, &c]).await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

// check 189
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_survivors_elect_the_one_that_is_unsealed() {
    let [a, b, c] = three().await;
    b.raft.set_candidacy(Candidacy::LastResort);
    c.raft.set_candidacy(Candidacy::LastResort);
    a.raft.shutdown().await;
    c.raft.set_candidacy(Candidacy::Free);
    leader_of(&[&b, &c]).await;
    assert!(c.leads());
    let index = c.put_surely("k", "1").await;
    b.raft.wait_applied(index, deadline()).await.expect("a sealed node replicates");
    for node in [b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_keeps_up_becomes_a_voter() {
    let mut config = clustered();
    config.promote_after = Some(Duration::from_millis(200));
    let a = first(config.clone()).await;
    let b = Node::start(config).await;
    add(&a, &b).await;
    eventually("it votes", async || b.raft.status().role == Role::Follower).await;
    for node in [a, b] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_is_not_to_vote_stays_one() {
    let mut config = clustered();
    config.promote_after = Some(Duration::ZERO);
    let a = first(config.clone()).await;
    let b = Node::start(config.clone()).await;
    let c = Node::start(config).await;
    let cluster = a.raft.cluster_id().expect("it has one");
    b.raft.enter(cluster, a.raft.status().members).expect("a fresh node has none");
    let mut member = b.raft.member();
    member.voter = false;
    retry(async || a.raft.add_learner(member.clone()).await).await;
    add(&a, &c).await;
    eventually("the other one votes", async || c.raft.status().role == Role::Follower).await;
    let voters: Vec<_> =
        a.raft.status().members.into_iter().filter(|member| member.voter).map(|member| member.id).collect();
    assert!(!voters.contains(&b.id()));
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_added_once() {
    let a = first(clustered()).await;
    let b = Node::start(clustered()).await;
    add(&a, &b).await;
    let mut copy = b.raft.member();
    copy.id += 1;
    assert!(matches!(a.raft.add_learner(copy).await, Err(ChangeError::Invalid(_))));
    for node in [a, b] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_call_one_another_and_know_who_calls() {
    let [a, b, c] = three().await;
    assert_eq!(c.raft.call(b.id(), "echo", body(), deadline()).await, Ok(body()));
    let caller = *b.shell.callers.lock().last().expect("it was called");
    assert_eq!((caller.id, caller.public_key), (Some(c.id()), c.identity.public_key()));
    let failed = CallError::Failed { code: 409, message: "on purpose".into() };
    assert_eq!(c.raft.call(b.id(), "fail", body(), deadline()).await, Err(failed));
    assert_eq!(c.raft.call(b.id(), "nothing", body(), deadline()).await, Err(CallError::UnknownMethod));
    assert_eq!(c.raft.call(1, "echo", body(), deadline()).await, Err(CallError::NotAMember(1)));
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

// check 227
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_refused() {
    let [a, b, c] = three().await;
    assert_eq!(c.raft.call(a.id(), "echo", body(), deadline()).await, Ok(body()));
    retry(async || a.raft.remove(c.id()).await).await;
    eventually("its requests are denied, over connections that were open too", async || {
        matches!(c.raft.call(a.id(), "echo", body(), deadline()).await, Err(CallError::Denied(_)))
    })
    .await;
    a.put_surely("k", "1").await;
    assert!(!a.raft.status().members.iter().any(|member| member.id == c.id()));
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

// check 226
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_may_ask_to_join_and_nothing_else() {
    let a = first(clustered()).await;
    let stranger = Node::start(clustered()).await;
    let address = a.raft.member().cluster_addr;
    let key = Some(a.identity.public_key());
    let join = stranger.raft.call_address(&address, key, "join", body(), deadline()).await;
    assert_eq!(join, Ok(body()));
    let caller = *a.shell.callers.lock().last().expect("it was called");
    assert_eq!((caller.id, caller.public_key), (None, stranger.identity.public_key()));
    let echo = stranger.raft.call_address(&address, key, "echo", body(), deadline()).await;
    assert!(matches!(echo, Err(CallError::Denied(_))), "got {echo:?}");
    // It knows where the member is and claims to be of the cluster, and is no member all the same.
    let cluster = a.raft.cluster_id().expect("it has one");
    stranger.raft.enter(cluster, vec![a.raft.member()]).expect("a fresh node has none");
    let call = stranger.raft.call(a.id(), "echo", body(), deadline()).await;
    assert!(matches!(call, Err(CallError::Denied(_))), "got {call:?}");
    for node in [a, stranger] {
        node.raft.shutdown().await;
    }
}

// check 226
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused_at_the_door() {
    let a = first(clustered()).await;
    let other = first(clustered()).await;
    let address = a.raft.member().cluster_addr;
    let refused = other.raft.call_address(&address, None, "join", body(), deadline()).await;
    assert!(matches!(refused, Err(CallError::Denied(_))), "got {refused:?}");
    for node in [a, other] {
        node.raft.shutdown().await;
    }
}

// check 226
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_key_than_the_pinned_one_is_not_spoken_to() {
    let a = first(clustered()).await;
    let b = Node::start(clustered()).await;
    let address = a.raft.member().cluster_addr;
    let refused = b.raft.call_address(&address, Some([7; 32]), "join", body(), deadline()).await;
    assert!(matches!(refused, Err(CallError::Unreachable(_))), "got {refused:?}");
    assert!(a.shell.callers.lock().is_empty());
    for node in [a, b] {
        node.raft.shutdown().await;
    }
}

// check 226
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_gets_no_answer_from_the_cluster_port() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let a = first(clustered()).await;
    let mut stream = tokio::net::TcpStream::connect(a.raft.member().cluster_addr).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it can be sent");
    let mut answer = Vec::new();
    // Whether it is closed or reset is the same to a stranger.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "only a TLS alert comes back");
    a.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_slept_through_a_change_of_members_believes_the_new_leader() {
    let [a, b, c] = three().await;
    let cluster = a.raft.cluster_id().expect("it has one");
    c.raft.shutdown().await;
    let d = Node::start(clustered()).await;
    add(&a, &d).await;
    retry(async || a.raft.promote(d.id()).await).await;
    assert_eq!(a.raft.transfer_leadership(Some(d.id())).await, Ok(d.id()));
    eventually("the new node leads", async || d.leads()).await;
    let index = d.put_surely("k", "1").await;
    let c = c.restart(cluster, Vec::new()).await;
    c.raft.wait_applied(index, deadline()).await.expect("it believes a leader it had never heard of");
    assert_eq!(c.get("k").as_deref(), Some("1"));
    for node in [a, b, c, d] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_address_is_replicated() {
    let [a, b, c] = three().await;
    let cluster_addr = b.raft.member().cluster_addr;
    retry(async || a.raft.update(b.id(), cluster_addr.clone(), "https://elsewhere:8200".into()).await).await;
    eventually("the others know", async || {
        let members = c.raft.status().members;
        members.iter().any(|member| member.id == b.id() && member.api_addr == "https://elsewhere:8200")
    })
    .await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_knows_how_far_away_the_others_are_and_whether_they_may_lead() {
    let [a, b, c] = three().await;
    b.raft.set_candidacy(Candidacy::LastResort);
    eventually("the others were probed", async || {
        let peers = a.raft.status().peers;
        let of = |node: &Node| peers.iter().find(|peer| peer.id == node.id()).and_then(|peer| peer.can_lead);
        peers.iter().all(|peer| peer.round_trip.is_some()) && of(&b) == Some(false) && of(&c) == Some(true)
    })
    .await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_leader_refuses_what_is_proposed() {
    let a = first(clustered()).await;
    a.shell.sealed.store(true, Ordering::SeqCst);
    assert_eq!(a.put("k", "1").await, Err(conclave_raft::ProposeError::Refused("sealed".into())));
    a.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_hears_which_process_speaks_under_an_id_and_notices_a_second_one() {
    let mut nodes = Vec::new();
    for number in 1..=2 {
        nodes.push(Node::start(Config { process: [number; 16], ..clustered() }).await);
    }
    let [a, b] = <[Node; 2]>::try_from(nodes).ok().expect("two nodes were started");
    a.raft.bootstrap().await.expect("a fresh node bootstraps");
    add(&a, &b).await;
    let hears = |node: &Node, other: u64, number: u8| {
        node.raft.processes(other).iter().any(|process| process.name == [number; 16])
    };
    eventually("each hears the other", async || hears(&a, b.id(), 2) && hears(&b, a.id(), 1)).await;
    assert_eq!(a.raft.processes(b.id()).len(), 1);
    // A note of the node's own, from an answer that a second process gave under the same id, stands beside it.
    a.raft.note_process(b.id(), [3; 16]);
    let noted = a.raft.processes(b.id()).iter().find(|process| process.name == [3; 16]).expect("noted").first;
    let is_beside = || a.raft.processes(b.id()).iter().any(|process| process.name == [2; 16] && process.last > noted);
    eventually("the first process speaks on", async || is_beside()).await;
    for node in [a, b] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_under_one_id_are_told_both_and_neither_leads_until_one_is_gone() {
    let [a, b, c] = three().await;
    let cluster = a.raft.cluster_id().expect("there is a cluster");
    // The key of b, as in a copy of its folder, and none of its log.
    let copy = Node::with(clustered(), b.identity.clone(), Arc::default(), Arc::default()).await;
    copy.raft.enter(cluster, a.raft.status().members).expect("nothing to write");
    eventually("both are told", async || b.raft.is_doubled() && copy.raft.is_doubled()).await;
    assert!(!b.raft.status().may_lead && !copy.raft.status().may_lead);
    let warned = |node: &Node, of: &str| node.raft.status().warnings.iter().any(|warning| warning.contains(of));
    assert!(warned(&b, "Another process runs under this node's id"));
    assert!(warned(&a, "Two processes run under the id of node"));
    assert!(!a.raft.is_doubled() && !c.raft.is_doubled());

    // The leader goes. Neither of the two votes, so the one node that is left wins nothing, however long it tries.
    a.raft.shutdown().await;
    let end = Instant::now() + 5 * c.raft.election_timeout();
    while Instant::now() < end {
        assert!(b.raft.is_doubled() && !b.leads() && !c.leads());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    copy.raft.shutdown().await;
    leader_of(&[&b, &c]).await.put_surely("k", "1").await;
    assert!(!b.raft.is_doubled());
    for node in [b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_of_two_removed_nodes_learns_it_from_the_one_voter_that_is_left() {
    let [a, b, mut c] = three().await;
    let (cluster, pins) = (a.raft.cluster_id().expect("there is a cluster"), a.raft.status().members);
    retry(async || a.raft.remove(b.id()).await).await;
    // Without c this was not committed, so its log has it. Of its own removal it gets to see as much as the leader likes.
    let before = copy_of(&c.log);
    retry(async || a.raft.remove(c.id()).await).await;
    c.raft.shutdown().await;
    (c.log, c.table) = (before, Arc::default());
    let c = c.restart(cluster, pins).await;
    for node in [&b, &c] {
        eventually("a removed node knows", async || node.raft.exclusion() == Some(Exclusion::Removed)).await;
    }
    assert_eq!(a.raft.exclusion(), None);
    a.put_surely("k", "1").await;
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_were_removed_while_they_were_away_do_not_keep_each_other_from_learning_it() {
    let [a, b, c] = three().await;
    let mut away = Vec::new();
    for _ in 0..2 {
        let node = Node::start(clustered()).await;
        add(&a, &node).await;
        retry(async || a.raft.promote(node.id()).await).await;
        away.push(node);
    }
    let (cluster, pins) = (a.raft.cluster_id().expect("there is a cluster"), a.raft.status().members);
    let last = a.put_surely("k", "1").await;
    for node in &away {
        node.raft.wait_applied(last, deadline()).await.expect("it has seen all five");
        node.raft.shutdown().await;
    }
    for node in &away {
        retry(async || a.raft.remove(node.id()).await).await;
    }
    let mut back = Vec::new();
    for node in away {
        back.push(node.restart(cluster, pins.clone()).await);
    }
    // Each is still a member to the other.
    for node in &back {
        eventually("a removed node knows", async || node.raft.exclusion() == Some(Exclusion::Removed)).await;
    }
    assert_eq!([&a, &b, &c].map(|node| node.raft.exclusion()), [None; 3]);
    for node in [a, b, c].into_iter().chain(back) {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_counts_as_confirmed_only_while_a_quorum_answers() {
    let [a, b, c] = three().await;
    a.raft.confirm_leader().await.expect("both others answer");
    b.raft.confirm_leader().await.expect("the leader answers");
    assert_eq!(a.raft.confirmed().map(|known| known.leader), Some(a.id()));
    assert_eq!(b.raft.confirmed().map(|known| known.leader), Some(a.id()));
    b.raft.shutdown().await;
    c.raft.shutdown().await;
    let before = a.raft.confirmed().expect("it was confirmed");
    assert_eq!(a.raft.confirm_leader().await, Err(conclave_raft::ReadError::NoLeader));
    assert_eq!(a.raft.confirmed(), Some(before));
    a.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_learns_it_and_names_itself_as_the_leader_no_more() {
    let [a, b, c] = three().await;
    assert_eq!(a.raft.exclusion(), None);
    // The leader goes, so that the others have to find another.
    a.raft.remove(a.id()).await.expect("two voters remain");
    eventually("the removed node knows", async || a.raft.exclusion() == Some(Exclusion::Removed)).await;
    assert_ne!(a.raft.leader(), Some(a.id()));
    let next = leader_of(&[&b, &c]).await;
    next.put_surely("k", "1").await;
    assert_eq!((b.raft.exclusion(), c.raft.exclusion()), (None, None));
    for node in [a, b, c] {
        node.raft.shutdown().await;
    }
}
