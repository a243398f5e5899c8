//! Hurts a cluster on a schedule that a seed decides, and never more than a minority of it at once.
//!
//! One strike at a time: hurt, wait, heal, until every node serves again. What surprises: a node that was killed comes
//! back sealed, so healing includes a ceremony; and the schedule fixes kinds, victims and times, not what the cluster
//! makes of them, so a second run of a seed is alike and not the same.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cluster::{Cluster, ClusterError};
use crate::history::Recorder;

/// Rest between strikes, in milliseconds.
const REST_MILLIS: std::ops::Range<u64> = 300..1_200;
/// How long a killed node stays down, in milliseconds.
const DOWN_MILLIS: std::ops::Range<u64> = 200..2_000;
/// How long a paused node sleeps, in milliseconds: 1.2 to 3.5 of the longest election timeouts.
const SLEEP_MILLIS: std::ops::Range<u64> = 1_200..3_500;

/// What can be done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL to the leader, then a restart and a ceremony.
    KillLeader,
    /// The same to followers.
    KillFollowers,
    /// SIGSTOP to the leader, then SIGCONT.
    PauseLeader,
    /// The same to followers.
    PauseFollowers,
}

impl Strike {
    /// Whether another node led afterwards.
    pub fn has_moved_leadership(&self) -> bool {
        let is_other = |leader: Option<usize>| leader.is_some() && leader != self.leader_before;
        is_other(self.leader_meanwhile) || is_other(self.leader_after)
    }
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::KillLeader, Self::KillFollowers, Self::PauseLeader, Self::PauseFollowers];

    /// Whether it takes the leader away.
    pub fn hits_leader(self) -> bool {
        matches!(self, Self::KillLeader | Self::PauseLeader)
    }

    fn is_pause(self) -> bool {
        matches!(self, Self::PauseLeader | Self::PauseFollowers)
    }
}

/// Whether a fault took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did.
    Installed,
    /// It did not; the reason.
    Skipped(String),
    /// Nobody can tell; the reason.
    Indeterminate(String),
}

/// One fault, from hurting to healed. A line of `faults.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strike {
    /// What was done.
    pub fault: Fault,
    /// To which nodes, from 0.
    pub nodes: Vec<usize>,
    /// When it began, in nanoseconds of the history.
    pub from_nanos: u64,
    /// When every node served again.
    pub to_nanos: u64,
    /// Who led before.
    pub leader_before: Option<usize>,
    /// Who led last before the healing began; nobody, if the election took longer.
    pub leader_meanwhile: Option<usize>,
    /// Who led once every node served again.
    pub leader_after: Option<usize>,
    /// Whether it took place.
    pub outcome: Outcome,
}

/// Decides what comes next; the same seed decides the same.
struct Plan {
    random: StdRng,
    /// Each fault once, before any comes twice.
    next: VecDeque<Fault>,
}

impl Plan {
    fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), next: VecDeque::new() }
    }

    fn fault(&mut self) -> Fault {
        if self.next.is_empty() {
            let mut all = Fault::ALL;
            all.shuffle(&mut self.random);
            self.next.extend(all);
        }
        self.next.pop_front().expect("it was just filled")
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }

    /// Whom a fault hits, at most `minority` nodes.
    fn victims(&mut self, fault: Fault, leader: usize, size: usize) -> Vec<usize> {
        let minority = (size - 1) / 2;
        if minority == 0 {
            return Vec::new();
        }
        if fault.hits_leader() {
            return vec![leader];
        }
        let mut followers: Vec<_> = (0..size).filter(|node| *node != leader).collect();
        followers.shuffle(&mut self.random);
        followers.truncate(self.random.random_range(1..=minority));
        followers
    }
}

/// Strikes again and again until `until`, and leaves the cluster healed. `on_leader` hears who leads.
///
/// # Errors
/// Any [`ClusterError`]: the cluster did not come back.
pub async fn torment(
    cluster: &Cluster,
    recorder: &Recorder,
    seed: u64,
    until: Instant,
    on_leader: impl Fn(usize),
) -> Result<Vec<Strike>, ClusterError> {
    let mut plan = Plan::new(seed);
    let mut strikes = Vec::new();
    loop {
        let leader = cluster.wait_for_leader().await?;
        on_leader(leader);
        let rest = plan.millis(REST_MILLIS);
        tokio::time::sleep_until((Instant::now() + rest).min(until)).await;
        if Instant::now() >= until {
            return Ok(strikes);
        }
        strikes.push(strike(cluster, recorder, &mut plan, &on_leader).await?);
    }
}

async fn strike(
    cluster: &Cluster,
    recorder: &Recorder,
    plan: &mut Plan,
    on_leader: &impl Fn(usize),
) -> Result<Strike, ClusterError> {
    let fault = plan.fault();
    // Asked anew: leadership may have moved while nothing was done.
    let leader = cluster.wait_for_leader().await?;
    let nodes = plan.victims(fault, leader, cluster.size());
    let length = plan.millis(if fault.is_pause() { SLEEP_MILLIS } else { DOWN_MILLIS });
    let from_nanos = recorder.nanos();
    let outcome = hurt(cluster, fault, &nodes);
    let end = Instant::now() + length;
    let mut leader_meanwhile = None;
    while Instant::now() < end && outcome == Outcome::Installed {
        if let Some(leader) = cluster.leader().await {
            on_leader(leader);
            leader_meanwhile = Some(leader);
        }
        tokio::time::sleep_until((Instant::now() + Duration::from_millis(100)).min(end)).await;
    }
    heal(cluster, fault, &nodes).await?;
    let to_nanos = recorder.nanos();
    let (leader_before, leader_after) = (Some(leader), cluster.leader().await);
    Ok(Strike { fault, nodes, from_nanos, to_nanos, leader_before, leader_meanwhile, leader_after, outcome })
}

fn hurt(cluster: &Cluster, fault: Fault, nodes: &[usize]) -> Outcome {
    if nodes.is_empty() {
        return Outcome::Skipped("a cluster of one or two nodes has no minority to spare".to_owned());
    }
    let struck = nodes.iter().try_for_each(|node| {
        let node = cluster.node(*node);
        if fault.is_pause() { node.pause() } else { node.kill() }
    });
    struck.map_or_else(|error| Outcome::Indeterminate(error.to_string()), |()| Outcome::Installed)
}

/// Takes a fault back and waits until every node serves.
async fn heal(cluster: &Cluster, fault: Fault, nodes: &[usize]) -> Result<(), ClusterError> {
    for node in nodes.iter().map(|node| cluster.node(*node)) {
        if fault.is_pause() && node.is_paused() {
            node.resume()?;
        }
        // One that ended by itself is a finding, not something to be healed in silence.
        if !node.is_running() {
            if fault.is_pause() {
                return Err(ClusterError::Ended { node: node.name().to_owned(), tail: node.log_tail() });
            }
            node.restart().await?;
        }
    }
    cluster.unseal_all().await?;
    cluster.wait_until_serving().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(seed: u64, size: usize) -> Vec<(Fault, Vec<usize>, Duration)> {
        let mut plan = Plan::new(seed);
        let mut next = || {
            let fault = plan.fault();
            (fault, plan.victims(fault, 0, size), plan.millis(DOWN_MILLIS))
        };
        (0..40).map(|_| next()).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_schedule() {
        assert_eq!(schedule(7, 5), schedule(7, 5));
        assert_ne!(schedule(7, 5), schedule(8, 5));
    }

    #[test]
    fn a_quorum_is_always_spared() {
        for (size, minority) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
            let most = schedule(1, size).iter().map(|(_, nodes, _)| nodes.len()).max().unwrap();
            assert_eq!(most, minority, "{size} nodes");
        }
    }

    #[test]
    fn every_fault_comes_before_any_comes_again() {
        let mut first: Vec<_> = schedule(3, 3).into_iter().take(Fault::ALL.len()).map(|(fault, ..)| fault).collect();
        first.sort();
        assert_eq!(first, Fault::ALL);
    }
}
