//! Hurts a cluster on a schedule that a seed decides, and never more than a minority of it at once unless a fault says so.
//!
//! One strike at a time: hurt, wait, heal, until every node serves again. What surprises: a node that was killed comes
//! back sealed, so healing includes a ceremony; and the schedule fixes kinds, victims and times, not what the cluster
//! makes of them, so a second run of a seed is alike and not the same.

mod act;
mod fault;
mod links;

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cluster::{Cluster, ClusterError};
use crate::history::Recorder;

use fault::Aim;
pub use fault::{Fault, Need};

/// Rest between strikes, in milliseconds.
const REST_MILLIS: std::ops::Range<u64> = 300..1_200;
/// How often is looked who leads while a fault lasts.
const LOOK: Duration = Duration::from_millis(100);

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

impl Strike {
    /// Whether another node led afterwards.
    pub fn has_moved_leadership(&self) -> bool {
        let is_other = |leader: Option<usize>| leader.is_some() && leader != self.leader_before;
        is_other(self.leader_meanwhile) || is_other(self.leader_after)
    }
}

/// Decides what comes next; the same seed decides the same.
struct Plan {
    random: StdRng,
    faults: Vec<Fault>,
    /// Each fault once, before any comes twice.
    next: VecDeque<Fault>,
}

impl Plan {
    fn new(seed: u64, faults: &[Fault]) -> Self {
        Self { random: StdRng::seed_from_u64(seed), faults: faults.to_vec(), next: VecDeque::new() }
    }

    fn fault(&mut self) -> Fault {
        if self.next.is_empty() {
            let mut all = self.faults.clone();
            all.shuffle(&mut self.random);
            self.next.extend(all);
        }
        self.next.pop_front().expect("a nemesis has at least one fault")
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }

    /// Whom a fault hits: at most a minority, unless it hits all.
    fn victims(&mut self, fault: Fault, leader: usize, size: usize) -> Vec<usize> {
        let minority = (size - 1) / 2;
        if fault.aim() == Aim::All {
            return (0..size).collect();
        }
        if minority == 0 {
            return Vec::new();
        }
        let mut others: Vec<_> = (0..size).filter(|node| *node != leader).collect();
        others.shuffle(&mut self.random);
        let few = self.random.random_range(1..=minority);
        match fault.aim() {
            Aim::Leader => vec![leader],
            Aim::LeaderAndMore => std::iter::once(leader).chain(others).take(few).collect(),
            Aim::AnyOne if fault == Fault::Replace => others.into_iter().take(1).collect(),
            Aim::AnyOne => vec![self.random.random_range(0..size)],
            Aim::AnyFew => {
                let mut all: Vec<_> = (0..size).collect();
                all.shuffle(&mut self.random);
                all.into_iter().take(few).collect()
            }
            Aim::Followers | Aim::All => others.into_iter().take(few).collect(),
        }
    }
}

/// Strikes again and again until `until`, and leaves the cluster healed. `on_leader` hears who leads.
///
/// # Errors
/// Any [`ClusterError`]: the cluster did not come back.
pub async fn torment(
    cluster: &Cluster,
    recorder: &Recorder,
    (seed, faults): (u64, &[Fault]),
    until: Instant,
    on_leader: impl Fn(usize),
) -> Result<Vec<Strike>, ClusterError> {
    let mut plan = Plan::new(seed, faults);
    let mut strikes = Vec::new();
    loop {
        let leader = cluster.wait_for_leader().await?;
        on_leader(leader);
        let rest = plan.millis(REST_MILLIS);
        let next = Instant::now() + rest;
        tokio::time::sleep_until(if faults.is_empty() { until } else { next.min(until) }).await;
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
    let length = plan.millis(fault.millis());
    let lost_before = lost(cluster);
    let from_nanos = recorder.nanos();
    let mut outcome = act::hurt(cluster, fault, &nodes, &mut plan.random).await;
    let end = Instant::now() + length;
    let mut leader_meanwhile = None;
    while Instant::now() < end && outcome == Outcome::Installed {
        if let Some(leader) = cluster.leader().await {
            on_leader(leader);
            leader_meanwhile = Some(leader);
        }
        act::go_on(cluster, fault, &nodes, &mut plan.random);
        tokio::time::sleep_until((Instant::now() + LOOK).min(end)).await;
    }
    if outcome == Outcome::Installed && fault.loses_packets() && lost(cluster) == lost_before {
        outcome = Outcome::Indeterminate("no packet was lost".to_owned());
    }
    act::heal(cluster, fault, &nodes, &outcome).await?;
    let to_nanos = recorder.nanos();
    let (leader_before, leader_after) = (Some(leader), cluster.leader().await);
    Ok(Strike { fault, nodes, from_nanos, to_nanos, leader_before, leader_meanwhile, leader_after, outcome })
}

/// Packets that the switch lost on purpose so far.
fn lost(cluster: &Cluster) -> u64 {
    cluster.network().map_or(0, |network| network.switch().lost())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESSES: [Fault; 4] = [Fault::KillLeader, Fault::KillFollowers, Fault::PauseLeader, Fault::PauseFollowers];

    fn schedule(seed: u64, size: usize) -> Vec<(Fault, Vec<usize>, Duration)> {
        let mut plan = Plan::new(seed, &PROCESSES);
        let mut next = || {
            let fault = plan.fault();
            (fault, plan.victims(fault, 0, size), plan.millis(fault.millis()))
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
        let mut first: Vec<_> = schedule(3, 3).into_iter().take(PROCESSES.len()).map(|(fault, ..)| fault).collect();
        first.sort();
        assert_eq!(first, PROCESSES);
    }
}
