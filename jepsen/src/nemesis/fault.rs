//! What can be done to a cluster, as data: whom it hits, how long it lasts, and what it needs of the machine.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How long a killed node stays down, in milliseconds.
const DOWN_MILLIS: Range<u64> = 200..2_000;
/// How long a paused node sleeps, in milliseconds: 1.2 to 3.5 of the longest election timeouts.
const SLEEP_MILLIS: Range<u64> = 1_200..3_500;
/// How long links are disturbed, in milliseconds.
const CUT_MILLIS: Range<u64> = 1_500..5_000;
/// How long a node stays sealed, or a clock wrong, in milliseconds.
const WRONG_MILLIS: Range<u64> = 1_000..4_000;
/// What is done and over at once, in milliseconds.
const MOMENT_MILLIS: Range<u64> = 300..1_000;

/// What can be done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL to the leader, then a restart and a ceremony.
    KillLeader,
    /// The same to followers.
    KillFollowers,
    /// The same to all nodes at once.
    KillAll,
    /// SIGSTOP to the leader, then SIGCONT.
    PauseLeader,
    /// The same to followers.
    PauseFollowers,
    /// The leader and a minority on one side, the majority on the other.
    LeaderInMinority,
    /// Some followers on one side, the leader and a majority on the other.
    LeaderInMajority,
    /// One node, whichever, alone.
    Isolate,
    /// Two halves that only one node reaches.
    Bridge,
    /// Each node reaches only its neighbours, which are a majority with it.
    Ring,
    /// The leader hears nobody, and everybody hears it.
    LeaderDeaf,
    /// The leader hears everybody, and nobody hears it.
    LeaderMute,
    /// The leader is cut off and back, again and again.
    Flapping,
    /// Clients do not reach the leader, and nodes do.
    ClientsOnly,
    /// Packets between nodes are lost.
    Loss,
    /// Packets between nodes take long.
    Delay,
    /// Packets between nodes come twice, and overtake each other.
    Disorder,
    /// The leader is asked to hand over.
    Transfer,
    /// A follower is removed, wiped, and joins as a new node.
    Replace,
    /// Some nodes are sealed, then unsealed by a ceremony.
    Seal,
    /// The wall clock of a node jumps, and back.
    Clock,
    /// The power of all nodes fails at once.
    PowerLoss,
}

/// What a fault or a scenario needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Network namespaces and a TUN device.
    Switch,
    /// File systems in files.
    Disks,
    /// libfaketime.
    Clocks,
}

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Leader,
    LeaderAndMore,
    Followers,
    AnyOne,
    AnyFew,
    All,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::KillLeader,
        Self::KillFollowers,
        Self::KillAll,
        Self::PauseLeader,
        Self::PauseFollowers,
        Self::LeaderInMinority,
        Self::LeaderInMajority,
        Self::Isolate,
        Self::Bridge,
        Self::Ring,
        Self::LeaderDeaf,
        Self::LeaderMute,
        Self::Flapping,
        Self::ClientsOnly,
        Self::Loss,
        Self::Delay,
        Self::Disorder,
        Self::Transfer,
        Self::Replace,
        Self::Seal,
        Self::Clock,
        Self::PowerLoss,
    ];

    /// What it needs of the machine, if anything.
    pub fn need(self) -> Option<Need> {
        match self {
            Self::Clock => Some(Need::Clocks),
            Self::PowerLoss => Some(Need::Disks),
            fault if fault.is_of_links() => Some(Need::Switch),
            _ => None,
        }
    }

    /// Whether it is something that links do.
    pub fn is_of_links(self) -> bool {
        (Self::LeaderInMinority..=Self::Disorder).contains(&self)
    }

    /// Whether packets must be lost while it lasts.
    pub(super) fn loses_packets(self) -> bool {
        (Self::LeaderInMinority..=Self::Loss).contains(&self)
    }

    /// Whether another node should lead because of it. Where all nodes go at once, the same may lead again.
    pub fn moves_leadership(self) -> bool {
        matches!(
            self,
            Self::KillLeader
                | Self::PauseLeader
                | Self::LeaderInMinority
                | Self::LeaderMute
                | Self::Flapping
                | Self::Transfer
        )
    }

    /// Whether some client must feel it.
    pub fn is_felt(self) -> bool {
        !matches!(
            self,
            Self::Transfer | Self::Delay | Self::Disorder | Self::Loss | Self::LeaderInMajority | Self::Replace
        )
    }

    /// How long it lasts, in milliseconds.
    pub(super) fn millis(self) -> Range<u64> {
        match self {
            Self::PauseLeader | Self::PauseFollowers => SLEEP_MILLIS,
            Self::Seal | Self::Clock => WRONG_MILLIS,
            Self::Transfer | Self::Replace => MOMENT_MILLIS,
            fault if fault.is_of_links() => CUT_MILLIS,
            _ => DOWN_MILLIS,
        }
    }

    pub(super) fn aim(self) -> Aim {
        match self {
            Self::KillLeader
            | Self::PauseLeader
            | Self::LeaderDeaf
            | Self::LeaderMute
            | Self::Flapping
            | Self::ClientsOnly
            | Self::Transfer => Aim::Leader,
            Self::LeaderInMinority => Aim::LeaderAndMore,
            Self::KillFollowers | Self::PauseFollowers | Self::LeaderInMajority => Aim::Followers,
            Self::Seal => Aim::AnyFew,
            Self::Isolate | Self::Bridge | Self::Clock | Self::Replace => Aim::AnyOne,
            Self::KillAll | Self::PowerLoss | Self::Ring | Self::Loss | Self::Delay | Self::Disorder => Aim::All,
        }
    }
}
