//! How the nodes were, a few times a second: what a report shows below the clients' lines. A line of `samples.jsonl` each.
//!
//! It is not judged: a node that is asked for its health may answer from before a fault.

use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::history::Recorder;

/// How often nodes are asked.
const PERIOD: Duration = Duration::from_millis(250);
/// How long a node may take to answer.
const DEADLINE: Duration = Duration::from_millis(500);
/// Most samples that are kept, of all nodes together: a week of three nodes.
const MAX_SAMPLES: usize = 8_000_000;

/// How one node was at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was asked, in nanoseconds of the history.
    #[serde(rename = "t")]
    pub nanos: u64,
    /// Which one, from 0.
    pub node: usize,
    /// What its process did.
    pub life: Activity,
    /// Whether it was sealed; nothing if it gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// Whether it said that it leads.
    #[serde(default)]
    pub leads: bool,
    /// The newest index that it applied.
    #[serde(default)]
    pub applied: u64,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// It runs.
    Running,
    /// It is halted.
    Paused,
    /// There is none.
    Down,
}

/// Asks the nodes for ever; `samples` takes what they say.
pub async fn watch(cluster: &Cluster, recorder: &Recorder, samples: &mut Vec<Sample>) {
    while samples.len() < MAX_SAMPLES {
        let nanos = recorder.nanos();
        samples.extend(join_all((0..cluster.size()).map(|node| ask(cluster, node, nanos))).await);
        tokio::time::sleep(PERIOD).await;
    }
    std::future::pending().await
}

async fn ask(cluster: &Cluster, index: usize, nanos: u64) -> Sample {
    let node = cluster.node(index);
    let life = match (node.is_running(), node.is_paused()) {
        (true, _) => Activity::Running,
        (_, true) => Activity::Paused,
        _ => Activity::Down,
    };
    let mut sample = Sample { nanos, node: index, life, sealed: None, leads: false, applied: 0 };
    if life == Activity::Running {
        let client = node.client(DEADLINE);
        sample.sealed = client.seals().status().await.ok().map(|status| status.sealed);
        if let Ok(leader) = client.cluster().leader().await {
            (sample.leads, sample.applied) = (leader.is_self, leader.raft_applied_index);
        }
    }
    sample
}
