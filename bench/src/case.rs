//! What can be measured. Adding a case is a line here.

use std::fmt::Write;

use crate::request::Operation;
use crate::subject::conclave::Side;

/// Something that is measured, under a name that results of different runs have in common.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// Whether it belongs to a quick run.
    pub(crate) is_quick: bool,
    pub(crate) stage: Stage,
    pub(crate) kind: Kind,
}

/// What has to run for a case. Cases of one stage share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The disk, and no server.
    Disk,
    /// A node of each build, the bare handler, the other server.
    OneNode,
    /// Three nodes of each build, three of etcd.
    ThreeNodes,
    /// A new node for each build.
    Growth,
}

/// How a case is measured.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Append and sync, without a server.
    Append,
    /// Closed loop.
    Closed { operation: Operation, side: Side, connections: usize },
    /// Open loop, at a portion of the rate that a closed loop of as many connections reaches just before.
    Open { operation: Operation, side: Side, connections: usize, percent: u32 },
    /// Closed loop of listings, in a folder with at least so many names.
    Listing { names: u64, page: u32, connections: usize },
    /// The leader is killed, again and again; how long until the next acknowledged write.
    Failover,
    /// More and more secrets.
    Growth,
}

const QUICK: bool = true;
const LONG: bool = false;

const fn closed(
    name: &'static str,
    help: &'static str,
    is_quick: bool,
    stage: Stage,
    operation: Operation,
    side: Side,
    connections: usize,
) -> Case {
    Case { name, help, is_quick, stage, kind: Kind::Closed { operation, side, connections } }
}

const fn read(name: &'static str, is_quick: bool, connections: usize) -> Case {
    let help = "reads of one secret, one node";
    closed(name, help, is_quick, Stage::OneNode, Operation::Read, Side::Leader, connections)
}

const fn write(name: &'static str, is_quick: bool, connections: usize) -> Case {
    let help = "writes of new secrets of 64 bytes, one node";
    closed(name, help, is_quick, Stage::OneNode, Operation::Write, Side::Leader, connections)
}

const fn read3(name: &'static str, is_quick: bool, side: Side, connections: usize) -> Case {
    let help = match side {
        Side::Leader => "reads of one secret, three nodes, on the leader",
        Side::Follower => "linearizable reads of one secret, three nodes, on a follower",
    };
    closed(name, help, is_quick, Stage::ThreeNodes, Operation::Read, side, connections)
}

const fn write3(name: &'static str, is_quick: bool, connections: usize) -> Case {
    let help = "writes of new secrets of 64 bytes, three nodes, on the leader";
    closed(name, help, is_quick, Stage::ThreeNodes, Operation::Write, Side::Leader, connections)
}

const fn open(name: &'static str, operation: Operation, stage: Stage, percent: u32) -> Case {
    let help = "open loop: times at a portion of the rate that a closed loop reaches";
    Case {
        name,
        help,
        is_quick: LONG,
        stage,
        kind: Kind::Open { operation, side: Side::Leader, connections: 64, percent },
    }
}

/// All cases, in the order in which they are measured.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "append",
        help: "append of 800 bytes and fdatasync, without a server",
        is_quick: QUICK,
        stage: Stage::Disk,
        kind: Kind::Append,
    },
    read("read/1-node/1", QUICK, 1),
    read("read/1-node/4", LONG, 4),
    read("read/1-node/16", LONG, 16),
    read("read/1-node/64", QUICK, 64),
    read("read/1-node/256", LONG, 256),
    open("read/1-node/open/10%", Operation::Read, Stage::OneNode, 10),
    open("read/1-node/open/30%", Operation::Read, Stage::OneNode, 30),
    open("read/1-node/open/50%", Operation::Read, Stage::OneNode, 50),
    open("read/1-node/open/70%", Operation::Read, Stage::OneNode, 70),
    open("read/1-node/open/90%", Operation::Read, Stage::OneNode, 90),
    write("write/1-node/1", QUICK, 1),
    write("write/1-node/4", LONG, 4),
    write("write/1-node/16", LONG, 16),
    write("write/1-node/64", QUICK, 64),
    write("write/1-node/256", QUICK, 256),
    Case {
        name: "list/page-of-100",
        help: "a page of 100 names from somewhere in a folder of 10,000 or more, one connection",
        is_quick: QUICK,
        stage: Stage::OneNode,
        kind: Kind::Listing { names: 10_000, page: 100, connections: 1 },
    },
    read3("read/leader/1", QUICK, Side::Leader, 1),
    read3("read/leader/64", QUICK, Side::Leader, 64),
    read3("read/follower/1", QUICK, Side::Follower, 1),
    read3("read/follower/64", QUICK, Side::Follower, 64),
    write3("write/3-nodes/1", QUICK, 1),
    write3("write/3-nodes/4", LONG, 4),
    write3("write/3-nodes/16", LONG, 16),
    write3("write/3-nodes/64", QUICK, 64),
    write3("write/3-nodes/256", QUICK, 256),
    open("write/3-nodes/open/10%", Operation::Write, Stage::ThreeNodes, 10),
    open("write/3-nodes/open/30%", Operation::Write, Stage::ThreeNodes, 30),
    open("write/3-nodes/open/50%", Operation::Write, Stage::ThreeNodes, 50),
    open("write/3-nodes/open/70%", Operation::Write, Stage::ThreeNodes, 70),
    open("write/3-nodes/open/90%", Operation::Write, Stage::ThreeNodes, 90),
    Case {
        name: "failover",
        help: "the leader is killed: time until the next acknowledged write on another node",
        is_quick: QUICK,
        stage: Stage::ThreeNodes,
        kind: Kind::Failover,
    },
    Case {
        name: "growth",
        help: "10,000 secrets and more in one folder: reads, pages, memory, disk",
        is_quick: LONG,
        stage: Stage::Growth,
        kind: Kind::Growth,
    },
];

/// What `list` shows.
pub(crate) fn listing() -> String {
    let width = CASES.iter().map(|case| case.name.len()).max().unwrap_or(0);
    CASES.iter().fold(String::new(), |mut text, case| {
        let quick = if case.is_quick { "quick" } else { "" };
        writeln!(text, "{:width$}  {quick:5}  {}", case.name, case.help).expect("text can be written");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_stages_stand_together() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
        assert!(CASES.is_sorted_by_key(|case| case.stage));
    }
}
