//! Who is given the root key by a ceremony on another node: those that were confirmed, and nobody else.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use conclave_client::{Method, Request, SealStatus};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;

/// What a sealed node shows of itself.
async fn fingerprint(cluster: &Cluster, index: usize) -> String {
    let own = cluster.client_of(index).seals().candidate().await.unwrap();
    own.fingerprint.expect("a sealed node shows its fingerprint")
}

/// Kills two nodes and starts them again, sealed; answers their numbers.
async fn two_sealed(cluster: &Cluster) -> [usize; 2] {
    let leader = cluster.wait_for_leader().await.unwrap();
    let sealed = [(leader + 1) % 3, (leader + 2) % 3];
    for index in sealed {
        cluster.node(index).kill().unwrap();
    }
    cluster.restart_all().await.unwrap();
    sealed
}

/// What the ceremony says of a node.
fn error_of(cluster: &Cluster, status: &SealStatus, index: usize) -> Option<String> {
    let name = cluster.node(index).name();
    let node = status.nodes.iter().find(|node| node.node_id == name).expect("every other member is named");
    assert_eq!(node.sealed, node.error.is_some());
    node.error.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joined_node_that_nobody_confirmed_stays_sealed() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let [known, unknown] = two_sealed(&cluster).await;
    let host = 3 - known - unknown;

    // Nothing is confirmed: nobody gets anything, and the ceremony says whom it could have been for.
    let status = cluster.hold_ceremony(host, Some(&[])).await.unwrap();
    for index in [known, unknown] {
        let error = error_of(&cluster, &status, index).expect("it was not confirmed");
        assert!(error.contains(&fingerprint(&cluster, index).await), "{error}");
        assert_eq!(cluster.is_sealed(index).await, Some(true));
    }

    let confirmed = [fingerprint(&cluster, known).await];
    let status = cluster.hold_ceremony(host, Some(&confirmed)).await.unwrap();
    assert_eq!(error_of(&cluster, &status, known), None);
    assert!(error_of(&cluster, &status, unknown).expect("it was not confirmed").contains("not confirmed"));
    assert_eq!((cluster.is_sealed(known).await, cluster.is_sealed(unknown).await), (Some(false), Some(true)));

    // A ceremony for one node is for no other, whatever was confirmed before.
    cluster.unseal_only(known).await.unwrap();
    assert_eq!(cluster.is_sealed(unknown).await, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holder_who_does_not_confirm_a_node_keeps_the_key_from_it() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let [sealed, _] = two_sealed(&cluster).await;
    let host = cluster.wait_for_leader().await.unwrap();
    let confirmed = [fingerprint(&cluster, sealed).await];
    let client = cluster.client_of(host);
    client.seals().unseal_cluster(&cluster.shares()[0], &confirmed).await.unwrap();
    client.seals().unseal_cluster(&cluster.shares()[1], &[]).await.unwrap();
    let status = client.seals().unseal_cluster(&cluster.shares()[2], &confirmed).await.unwrap();
    assert!(error_of(&cluster, &status, sealed).expect("one holder did not confirm it").contains("every share"));
    assert_eq!(cluster.is_sealed(sealed).await, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_does_not_outlive_the_process_that_it_names() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let [sealed, other] = two_sealed(&cluster).await;
    let before = [fingerprint(&cluster, sealed).await];
    cluster.node(sealed).kill().unwrap();
    cluster.node(sealed).restart().await.unwrap();
    let status = cluster.hold_ceremony(3 - sealed - other, Some(&before)).await.unwrap();
    assert!(error_of(&cluster, &status, sealed).is_some());
    assert_ne!(fingerprint(&cluster, sealed).await, before[0]);
    cluster.unseal_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_handed_over_while_too_few_members_answer() {
    let cluster = Cluster::start(Options { nodes: 5, ..Options::default() }).await.unwrap();
    cluster.kill_all().unwrap();
    for index in [0, 1] {
        cluster.node(index).restart().await.unwrap();
    }
    let confirmed = [fingerprint(&cluster, 1).await];
    let status = cluster.hold_ceremony(0, Some(&confirmed)).await.unwrap();
    let error = error_of(&cluster, &status, 1).expect("two of five are no majority");
    assert!(error.contains("only 2 of the 5 nodes"), "{error}");
    assert_eq!(cluster.is_sealed(1).await, Some(true));
    cluster.restart_all().await.unwrap();
    cluster.unseal_all().await.unwrap();
    cluster.wait_until_serving().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_that_wait_are_listed_without_a_token_and_an_attempt_is_its_holders_own() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let [one, two] = two_sealed(&cluster).await;
    // From an unsealed node, and from a sealed one, which cannot read the members record.
    for host in [3 - one - two, one] {
        let client = cluster.client_of(host).with_token(None);
        let shown = fingerprint(&cluster, two).await;
        let is_listed = async || {
            let candidates = client.seals().candidates().await.unwrap_or_default();
            candidates.iter().any(|node| node.fingerprint.as_ref() == Some(&shown) && node.sealed == Some(true))
        };
        wait_until("listing a node that waits", PATIENCE, is_listed).await.unwrap();
    }
    let unsealed = cluster.client_of(3 - one - two);
    let body = json!({ "key": cluster.shares()[0].expose() });
    let reply = unsealed.send(Request::new(Method::Put, "sys/unseal").json(&body).about_one_node()).await.unwrap();
    assert!(reply.json()["warnings"][0].as_str().unwrap_or_default().contains("not used"), "{}", reply.json());
}

/// A second process from a copy of a node's data, at addresses of its own. Killed when it goes out of scope.
struct Copy(Child);

impl Copy {
    fn start(cluster: &Cluster, index: usize) -> Self {
        let node = cluster.node(index);
        let folder = cluster.folder().join("copy");
        copy(&node.data_dir(), &folder);
        let text = fs::read_to_string(node.configuration_file()).unwrap();
        let host = node.address().trim_start_matches("http://").split(':').next().unwrap().to_owned();
        let text = text
            .replace(&host, "127.99.99.99")
            .replace(&node.data_dir().display().to_string(), &folder.display().to_string());
        let file = cluster.folder().join("copy.hcl");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(node.program());
        command.arg("server").arg("-config").arg(&file);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("the copy is ours and can be ended");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_which_a_copy_runs_gets_no_key_until_the_copy_is_stopped() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let sealed = (leader + 1) % 3;
    cluster.node(sealed).kill().unwrap();
    let copy = Copy::start(&cluster, sealed);
    cluster.node(sealed).restart().await.unwrap();
    let confirmed = [fingerprint(&cluster, sealed).await];
    let is_noticed = async || {
        let status = cluster.hold_ceremony(leader, Some(&confirmed)).await.unwrap();
        error_of(&cluster, &status, sealed).is_some_and(|error| error.contains("two processes"))
    };
    // The copy may need a moment until it first speaks; what it must not need is a moment in which the key is given away.
    let copied = cluster.client_of(sealed);
    wait_until("noticing the copy", PATIENCE, is_noticed).await.unwrap();
    assert!(copied.seals().status().await.unwrap().sealed);
    drop(copy);
}
