//! Programs that keep their tokens alive with HashiCorp's own Go client keep them through changes of leader.
//!
//! The client gives a renewal three tries within a few seconds, and its watcher then takes the token for lost. So what is
//! tested is that the server lets a renewal wait for a leader, and never answers that the token is no good.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use conclave_jepsen::cluster::{Cluster, Options};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout};

/// How often the leader is killed.
const KILLS: usize = 3;
/// Between two kills, so that each meets renewals of other watchers.
const SPACING: Duration = Duration::from_secs(20);
/// A token's time to live and a little more: after it, each watcher has renewed since the last kill or has ended.
const LIFETIME: Duration = Duration::from_secs(65);

/// What the watchers report.
#[derive(Debug, Deserialize)]
struct Report {
    watchers: u64,
    renewals: u64,
    ended: Vec<String>,
}

/// Builds the Go program with the versions that its `go.sum` names.
fn build(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/watchers");
    let program = folder.join("watchers");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).status();
    assert!(built.expect("Go is installed").success(), "the watchers do not build");
    program
}

struct Watchers {
    child: Child,
    output: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Watchers {
    async fn start(program: &Path, cluster: &Cluster) -> Self {
        let mut child = tokio::process::Command::new(program)
            .args(cluster.addresses())
            .env("VAULT_TOKEN", cluster.root_token().expose())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(output.next_line().await.unwrap().as_deref(), Some("watching"));
        Self { child, output }
    }

    async fn report(mut self) -> Report {
        drop(self.child.stdin.take());
        let line = self.output.next_line().await.unwrap().expect("the watchers report");
        assert!(self.child.wait().await.unwrap().success());
        serde_json::from_str(&line).unwrap()
    }
}

async fn kill_the_leader(cluster: &Cluster) {
    let leader = cluster.wait_for_leader().await.unwrap();
    cluster.node(leader).kill().unwrap();
    let next = cluster.wait_for_leader().await.unwrap();
    assert_ne!(next, leader, "the killed node is still named as the leader");
    cluster.node(leader).restart().await.unwrap();
    cluster.unseal_all().await.unwrap();
    cluster.wait_until_serving().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Go and the Go module proxy; .ci/run runs it"]
async fn no_watcher_of_a_token_ends_when_leaders_die() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let program = build(cluster.folder());
    let watchers = Watchers::start(&program, &cluster).await;
    for _ in 0..KILLS {
        kill_the_leader(&cluster).await;
        tokio::time::sleep(SPACING).await;
    }
    tokio::time::sleep(LIFETIME).await;
    let report = watchers.report().await;
    println!("{} watchers, {} renewals", report.watchers, report.renewals);
    assert!(report.ended.is_empty(), "{} watchers ended: {:#?}", report.ended.len(), report.ended);
    assert!(report.renewals >= 3 * report.watchers, "only {} renewals", report.renewals);
}
