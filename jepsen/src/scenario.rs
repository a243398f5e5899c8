//! The scenarios, as data: a cluster, what loads it, what hurts it, and for how long.
//!
//! Adding one is adding an entry to the table. What a scenario needs of the machine follows from it.

mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::{Links, Options, clock, disk};
use crate::nemesis::{Fault, Need};
use crate::network::{Link, Network};
use crate::workload::Workload;

pub use table::SCENARIOS;

/// How nodes are wired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wiring {
    /// Over loopback.
    #[default]
    Loopback,
    /// Through a switch.
    Switch,
    /// Through a switch, in three regions that are 1, 100 and 200 ms apart (there and back).
    Regions,
}

/// One way to hurt a cluster.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    /// How many nodes.
    pub nodes: usize,
    /// How long the load lasts, in seconds, unless something else is asked for.
    pub secs: u64,
    /// How nodes are wired.
    pub wiring: Wiring,
    /// What loads it, all at once.
    pub workloads: &'static [Workload],
    /// What hurts it, one after the other.
    pub faults: &'static [Fault],
}

/// What to run: a scenario with its seed, as `run.json` keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The scenario's name.
    pub scenario: String,
    /// How many nodes.
    pub nodes: usize,
    /// How long the load lasts, in seconds.
    pub secs: u64,
    /// Decides the schedule.
    pub seed: u64,
    /// How nodes are wired.
    pub wiring: Wiring,
    /// What loads it.
    pub workloads: Vec<Workload>,
    /// What hurts it.
    pub faults: Vec<Fault>,
    /// Whether packets are written down.
    #[serde(default)]
    pub record: bool,
    /// When it began, in seconds of the epoch.
    #[serde(default)]
    pub began_secs: u64,
    /// The server; see [`Options::binary`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<PathBuf>,
}

/// The scenario with a name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// What to run.
    pub fn settings(&self, seed: u64) -> Settings {
        Settings {
            scenario: self.name.to_owned(),
            nodes: self.nodes,
            secs: self.secs,
            seed,
            wiring: self.wiring,
            workloads: self.workloads.to_vec(),
            faults: self.faults.to_vec(),
            record: false,
            began_secs: 0,
            server: None,
        }
    }
}

impl Settings {
    /// What it needs of the machine.
    pub fn needs(&self) -> BTreeSet<Need> {
        let wiring = (self.wiring != Wiring::Loopback || self.record).then_some(Need::Switch);
        self.faults.iter().filter_map(|fault| fault.need()).chain(wiring).collect()
    }

    /// What this machine lacks for it, in words.
    pub fn lacks(&self) -> Vec<String> {
        let probe = |need| match need {
            Need::Switch => Network::probe(),
            Need::Disks => disk::probe(),
            Need::Clocks => clock::library().map(drop),
        };
        self.needs().into_iter().filter_map(|need| probe(need).err()).collect()
    }

    /// The cluster to start.
    pub fn options(&self) -> Options {
        let needs = self.needs();
        let links = match (self.record, needs.contains(&Need::Switch)) {
            (true, _) => Links::Captured,
            (false, true) => Links::Switched,
            (false, false) => Links::Direct,
        };
        Options {
            nodes: self.nodes,
            binary: self.server.clone(),
            links,
            disks: needs.contains(&Need::Disks),
            clocks: needs.contains(&Need::Clocks),
            seed: self.seed,
            ..Options::default()
        }
    }

    /// What the link between two nodes usually does; clients sit beside every node.
    pub fn link(&self, from: usize, to: usize) -> Link {
        if self.wiring != Wiring::Regions || from == to || from.max(to) >= self.nodes {
            return Link::default();
        }
        let (near, far) = (from.min(to) % 3, from.max(to) % 3);
        let one_way = match (near.min(far), near.max(far)) {
            (0, 1) => Duration::from_micros(500),
            (0, 2) => Duration::from_millis(50),
            (1, 2) => Duration::from_millis(100),
            _ => Duration::from_micros(200),
        };
        Link { delay: one_way, jitter: one_way / 10, loss_permille: 1, ..Link::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_fault_is_in_some_scenario() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        let used: BTreeSet<_> = SCENARIOS.iter().flat_map(|scenario| scenario.faults).copied().collect();
        assert_eq!(used, Fault::ALL.into_iter().collect());
    }

    #[test]
    fn regions_are_as_far_apart_as_said_and_clients_are_near() {
        let settings = Settings { wiring: Wiring::Regions, ..SCENARIOS[0].settings(1) };
        let there_and_back = |from, to| settings.link(from, to).delay + settings.link(to, from).delay;
        assert_eq!(there_and_back(0, 1), Duration::from_millis(1));
        assert_eq!(there_and_back(0, 2), Duration::from_millis(100));
        assert_eq!(there_and_back(1, 2), Duration::from_millis(200));
        assert_eq!(there_and_back(0, settings.nodes), Duration::ZERO);
    }

    #[test]
    fn what_a_scenario_needs_follows_from_its_faults() {
        let of = |faults: &[Fault]| Settings { faults: faults.to_vec(), ..SCENARIOS[0].settings(1) }.needs();
        assert!(of(&[Fault::KillLeader]).is_empty());
        assert_eq!(of(&[Fault::Isolate, Fault::PowerLoss, Fault::Clock]).len(), 3);
    }
}
