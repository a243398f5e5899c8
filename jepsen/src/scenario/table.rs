//! The table of scenarios.

use super::{Scenario, Wiring};
use crate::nemesis::Fault::{self, *};
use crate::workload::Workload::{self, *};

/// What happens to processes.
const PROCESSES: &[Fault] = &[KillLeader, KillFollowers, PauseLeader, PauseFollowers];
/// What cuts a cluster of three nodes into parts.
const PARTITIONS: &[Fault] = &[LeaderInMinority, LeaderInMajority, Isolate, Bridge, LeaderDeaf, LeaderMute, Flapping];
/// A few of everything, for loads that are more than registers.
const MIXED: &[Fault] = &[KillLeader, PauseLeader, LeaderInMinority, Isolate, KillFollowers, Transfer];

const fn scenario(
    name: &'static str,
    about: &'static str,
    wiring: Wiring,
    workloads: &'static [Workload],
    faults: &'static [Fault],
) -> Scenario {
    Scenario { name, about, nodes: 3, secs: 60, wiring, workloads, faults }
}

/// All scenarios.
pub static SCENARIOS: &[Scenario] = &[
    scenario("process", "registers while nodes are killed and paused", Wiring::Loopback, &[Registers], PROCESSES),
    scenario(
        "leader-reads",
        "registers that are read on the leader only",
        Wiring::Switch,
        &[LeaderRegisters],
        &[PauseLeader, LeaderInMinority, LeaderDeaf, LeaderMute, KillLeader],
    ),
    scenario(
        "follower-reads",
        "registers that are read on followers only",
        Wiring::Switch,
        &[FollowerRegisters],
        &[PauseFollowers, LeaderInMajority, Isolate, PauseLeader],
    ),
    scenario("partition", "registers while the network is cut in every way", Wiring::Switch, &[Registers], PARTITIONS),
    scenario(
        "lossy",
        "registers while packets are lost, late, doubled and out of order",
        Wiring::Switch,
        &[Registers],
        &[Loss, Delay, Disorder, ClientsOnly, LeaderInMinority],
    ),
    scenario(
        "regions",
        "three regions, 1, 100 and 200 ms apart",
        Wiring::Regions,
        &[Registers],
        &[KillLeader, PauseLeader, LeaderInMinority, Isolate],
    ),
    Scenario {
        nodes: 5,
        ..scenario(
            "five",
            "five nodes: rings, bridges, halves",
            Wiring::Switch,
            &[Registers],
            &[Ring, Bridge, LeaderInMinority, LeaderInMajority, KillFollowers, KillLeader],
        )
    },
    scenario(
        "members",
        "nodes are replaced, sealed and asked to hand over",
        Wiring::Loopback,
        &[Registers],
        &[Replace, Transfer, Seal, KillLeader],
    ),
    scenario("clocks", "wall clocks jump by up to a day", Wiring::Loopback, &[Registers], &[Clock, KillLeader]),
    scenario("kill-all", "all nodes are killed at once", Wiring::Loopback, &[Registers], &[KillAll, KillLeader]),
    scenario(
        "tokens",
        "counted uses, revocation and ends of leases on every node",
        Wiring::Switch,
        &[Tickets, Leases],
        MIXED,
    ),
    scenario(
        "documents",
        "counters, lists, folders and versions",
        Wiring::Switch,
        &[Counters, Lists, Folders, Versions],
        MIXED,
    ),
    scenario(
        "loopback-mix",
        "every load, without a network of its own",
        Wiring::Loopback,
        &[Registers, Counters, Lists, Folders, Versions, Tickets, Leases],
        &[KillLeader, PauseLeader, KillFollowers, PauseFollowers, Transfer, Seal],
    ),
    scenario("power", "all nodes lose their power at once", Wiring::Loopback, &[Registers], &[PowerLoss]),
];
