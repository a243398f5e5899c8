//! Strangers at the cluster port that open much and say little, while nodes need each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::nodes::{Node, add, clustered, deadline, eventually, first, leader_of, three_with};

/// Keeps so many silent connections open: whenever one is closed, another takes its place.
fn silence(address: &str, connections: usize) -> (Vec<JoinHandle<()>>, Arc<AtomicUsize>) {
    let (address, opened) = (address.parse::<SocketAddr>().expect("an address"), Arc::new(AtomicUsize::new(0)));
    let tasks = (0..connections).map(|_| {
        let opened = opened.clone();
        tokio::spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    opened.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.read(&mut [0; 1]).await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    });
    (tasks.collect(), opened)
}

// check 197, check 198
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_do_not_keep_nodes_from_each_other() {
    let mut config = clustered();
    // Nothing here ends by time: whoever waited for a silent one would wait until the test gives up.
    config.limits.handshake_time = Duration::from_secs(3600);
    config.limits.handshakes = 64;
    let [a, b, c] = three_with(config.clone()).await;
    let (cluster, members) = (a.raft.cluster_id().expect("it has one"), a.raft.status().members);
    let mut silent = Vec::new();
    for node in [&a, &b, &c] {
        let (tasks, opened) = silence(&node.raft.member().cluster_addr, 200);
        silent.extend(tasks);
        eventually("all strangers came", async || opened.load(Ordering::SeqCst) >= 200).await;
    }
    // Its connections and everybody's to it are gone, and must be made again through the crowd.
    a.raft.shutdown().await;
    leader_of(&[&b, &c]).await.put_surely("k", "1").await;
    let a = a.restart(cluster, members).await;
    let index = leader_of(&[&a, &b, &c]).await.put_surely("k", "2").await;
    a.raft.wait_applied(index, deadline()).await.expect("the node that came back catches up");
    // So can somebody who is not a member yet.
    let d = Node::start(config).await;
    let leader = leader_of(&[&a, &b, &c]).await;
    add(leader, &d).await;
    silent.iter().for_each(JoinHandle::abort);
    for node in [a, b, c, d] {
        node.raft.shutdown().await;
    }
}

// check 198
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_stay_keep_nobody_from_joining() {
    let mut config = clustered();
    config.limits.stranger_connections = 4;
    config.limits.stranger_time = Duration::from_secs(3600);
    let a = first(config).await;
    let address = a.raft.member().cluster_addr;
    let key = Some(a.identity.public_key());
    let mut strangers = Vec::new();
    for _ in 0..6 {
        // Each keeps its connection for as long as it runs, as nodes that join do.
        let stranger = Node::start(clustered()).await;
        let cluster = a.raft.cluster_id().expect("it has one");
        stranger.raft.enter(cluster, vec![a.raft.member()]).expect("nothing to write");
        let call = stranger.raft.call(a.id(), "echo", Bytes::from_static(b"x"), deadline()).await;
        assert!(call.is_err(), "it is a stranger");
        strangers.push(stranger);
    }
    let joiner = Node::start(clustered()).await;
    let body = Bytes::from_static(b"join");
    // The others come back whenever they lose their connections, so one try may lose its own.
    eventually("the joiner is heard", async || {
        joiner.raft.call_address(&address, key, "join", body.clone(), deadline()).await == Ok(body.clone())
    })
    .await;
    for node in strangers.into_iter().chain([a, joiner]) {
        node.raft.shutdown().await;
    }
}
