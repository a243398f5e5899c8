//! Out of a lost majority: two of three nodes are gone for good, and the third becomes the cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use conclave_client::Request;
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;

/// How long a write may take while the cluster dies.
const INSISTENCE: Duration = Duration::from_secs(5);

/// Recoveries that may end before a kill hits one in the middle.
const MAX_ATTEMPTS: u32 = 50;

/// Shares for the command's standard input.
fn shares(cluster: &Cluster, from: usize, count: usize) -> String {
    cluster.shares()[from..from + count].iter().map(|share| format!("{}\n", share.expose())).collect()
}

/// Runs `operator recover` on a node that is down; what it wrote to standard output and error, and whether it succeeded.
fn recover(cluster: &Cluster, index: usize, more: &[&str], input: &str) -> (bool, String) {
    let path = format!("-path={}", cluster.node(index).data_dir().display());
    let arguments = [&["operator", "recover", &path], more].concat();
    let output = cluster.node(index).run(&arguments, input).unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Writes through a node until it can no more; the number of the last write that was acknowledged, and of the last tried.
async fn write_until_the_end(cluster: &Cluster, index: usize) -> (u64, u64) {
    let client = cluster.client_within(index, INSISTENCE);
    for number in 1.. {
        let kv = client.kv2("secret");
        if kv.put(&format!("during/{number}"), &json!({ "number": number })).await.is_err() {
            return (number - 1, number);
        }
    }
    unreachable!("the numbers do not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_node_of_three_becomes_the_cluster_and_others_join_it() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    // The leader survives: all that it acknowledged is in its own log.
    let (survivor, lost) = (leader, [(leader + 1) % 3, (leader + 2) % 3]);
    let (acknowledged, tried) = {
        let writing = write_until_the_end(&cluster, survivor);
        let dying = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            lost.iter().for_each(|index| cluster.node(*index).kill().unwrap());
        };
        tokio::join!(writing, dying).0
    };
    assert!(acknowledged > 0);
    let back = cluster.folder().join("back");
    copy(&cluster.node(lost[0]).data_dir(), &back);
    cluster.node(survivor).kill().unwrap();

    // What the operator sees on each node, and what is refused.
    let shown: BTreeMap<_, _> = (0..3).map(|index| (index, recover(&cluster, index, &[], ""))).collect();
    for (is_done, text) in shown.values() {
        assert!(*is_done && text.contains("Last entry") && text.contains("Voters"), "{text}");
    }
    let (is_done, text) = recover(&cluster, survivor, &["-force"], &shares(&cluster, 0, 2));
    assert!(!is_done && text.contains("2 of the 3 shares"), "{text}");
    let wrong = format!("{}{}\n", shares(&cluster, 0, 2), "ab".repeat(33));
    let (is_done, text) = recover(&cluster, survivor, &["-force"], &wrong);
    assert!(!is_done && text.contains("nothing was changed"), "{text}");
    assert_eq!(recover(&cluster, survivor, &[], "").1, shown[&survivor].1, "a refused attempt has changed something");

    let (is_done, text) = recover(&cluster, survivor, &["-force"], &shares(&cluster, 2, 3));
    assert!(is_done && text.contains("epoch 2"), "{text}");
    cluster.node(survivor).restart().await.unwrap();
    cluster.unseal_only(survivor).await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    for number in 1..=acknowledged {
        let found = cluster.client_of(survivor).kv2("secret").get(&format!("during/{number}")).await.unwrap();
        assert_eq!(found.expect("it was acknowledged").data["number"], number);
    }
    let unsure = cluster.client_of(survivor).kv2("secret").get(&format!("during/{tried}")).await.unwrap();
    assert!(unsure.is_none_or(|found| found.data["number"] == tried));

    for index in lost {
        cluster.node(index).wipe().unwrap();
    }
    cluster.restart_all().await.unwrap();
    for index in lost {
        cluster.join_through(survivor, index).await.unwrap();
    }
    cluster.unseal_all().await.unwrap();
    let voters = async || {
        let servers = cluster.client_of(survivor).cluster().raft_configuration().await.unwrap_or_default();
        servers.iter().filter(|server| server.voter).count() == 3
    };
    wait_until("making the new nodes voters", PATIENCE, voters).await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    let found = cluster.client_of(lost[1]).kv2("secret").get("during/1").await.unwrap();
    assert_eq!(found.expect("it was acknowledged").data["number"], 1);
    // The recovered cluster outlives the node that it was recovered on.
    cluster.node(survivor).kill().unwrap();
    cluster.client_of(lost[0]).kv2("secret").put("after", &json!({ "after": true })).await.unwrap();
    cluster.node(survivor).restart().await.unwrap();
    cluster.unseal_all().await.unwrap();

    an_old_node_is_refused(&cluster, lost[0], &back).await;
}

/// Puts a node's data of before the recovery in the place of its new data: it is told why nobody knows it.
async fn an_old_node_is_refused(cluster: &Cluster, index: usize, back: &Path) {
    cluster.node(index).kill().unwrap();
    cluster.node(index).wipe().unwrap();
    copy(back, &cluster.node(index).data_dir());
    cluster.node(index).restart().await.unwrap();
    let health = async || {
        let client = cluster.client_within(index, PATIENCE);
        client.send(Request::get("sys/health").about_one_node().any_status()).await.expect("the node answers")
    };
    wait_until("telling the old node", PATIENCE, async || health().await.status() == 530).await.unwrap();
    assert!(health().await.json()["reason"].as_str().unwrap().contains("recovered without this node"));
    let refused = cluster.unseal_only(index).await.unwrap_err();
    assert!(format!("{refused:?}").contains("recovered without this node"), "{refused:?}");
    let says_why = async || {
        let log = fs::read_to_string(cluster.node(index).log_file()).unwrap();
        log.contains("the cluster was recovered without this node")
    };
    wait_until("saying why in the log", PATIENCE, says_why).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_was_killed_can_be_run_again() {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::default() }).await.unwrap();
    cluster.client().kv2("secret").put("kept", &json!({ "kept": true })).await.unwrap();
    cluster.node(0).kill().unwrap();
    let begin = || {
        let path = format!("-path={}", cluster.node(0).data_dir().display());
        cluster.node(0).begin(&["operator", "recover", &path, "-force"], &shares(&cluster, 1, 3)).unwrap()
    };
    // The first kill comes once the command has begun to change the node: its marker lies there, and stays.
    let marker = cluster.node(0).data_dir().join("recovering");
    for _ in 0..MAX_ATTEMPTS {
        let mut begun = begin();
        while !marker.exists() && begun.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        begun.kill().unwrap();
        begun.wait().unwrap();
        if marker.exists() {
            break;
        }
    }
    assert!(marker.exists(), "no kill hit a recovery that had begun");
    let (is_done, shown) = recover(&cluster, 0, &[], "");
    assert!(is_done && shown.contains("A recovery of this node was begun and did not end"), "{shown}");
    assert!(cluster.node(0).restart().await.is_err(), "a node that is half recovered was started");
    // Then anywhere, on a machine of whatever speed: later each time, until it ends first.
    let mut pause = Duration::from_millis(1);
    loop {
        let mut begun = begin();
        tokio::time::sleep(pause).await;
        begun.kill().unwrap();
        // Without its marker it is done, even if its last words were cut off: what follows finds a node that is half recovered.
        if begun.wait().unwrap().success() || !marker.exists() {
            break;
        }
        pause = pause.mul_f32(1.4);
    }
    assert!(!marker.exists());
    cluster.node(0).restart().await.unwrap();
    cluster.unseal_only(0).await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    assert_eq!(cluster.client().kv2("secret").get("kept").await.unwrap().unwrap().data["kept"], true);
}
