//! The keeper: from what is known of a node, to what it may do. Pure: no IO, no clock, no lock.
//!
//! Everything that makes a node unfit meets here and nowhere else, so that each new trouble needs one line in each of a few
//! tables. `seal/state.rs` holds the present state, `vitals.rs` measures what goes in, `docs/internals/seal-states.md` has the
//! picture.

use std::time::Duration;

use conclave_raft::{Candidacy, Exclusion};
use conclave_storage::table::Contradiction;

use crate::config::limits::{CLOCK_OFFSET_MAX, UNANSWERED_MIN};

/// What there is of keys, and whether the table is known to be the cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None in memory.
    Absent,
    /// Those of a cluster that this node is making.
    Initialising,
    /// There, and the table is being checked.
    Checking,
    /// There, and the table waits for a checkpoint that confirms it.
    Unconfirmed,
    /// There, and the table is the cluster's.
    Confirmed,
}

/// What is wrong with a node that has keys and a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Why the cluster goes on without it, if it does.
    pub exclusion: Option<Exclusion>,
    /// Another process runs under its id.
    pub is_doubled: bool,
    /// The checkpoint by which its table is not that of the others.
    pub diverged_at: Option<u64>,
    /// The newest entry that it had acknowledged to the leader and has lost.
    pub rolled_back_from: Option<u64>,
    /// How many milliseconds its clock is ahead of the voters' median; only if that is too much.
    pub clock_ahead_millis: Option<i64>,
    /// How many entries it lacks of those that its leader confirmed; only if it applies nothing.
    pub behind: Option<u64>,
    /// Its disk takes nothing.
    pub is_disk_stalled: bool,
    /// How many voters do not reach it, although it reaches them; only if these are most, and one of them could lead.
    pub unreached_by: Option<usize>,
    /// Bytes free on its disk; only if these are too few.
    pub disk_free_bytes: Option<u64>,
}

/// Declares the states together with their names and the list of all, so that none of the three can lack one.
macro_rules! states {
    ($($(#[$meaning:meta])* $state:ident = $name:literal,)+) => {
        /// What a node is. The first that applies, in this order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum State {
            $($(#[$meaning])* $state,)+
        }

        impl State {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$state,)+];

            /// As health, metrics and the log call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$state => $name,)+
                }
            }
        }
    };
}

states! {
    /// No keys.
    Sealed = "sealed",
    /// Makes a new cluster; leads, and serves nothing.
    Initialising = "initialising",
    /// Keys, and the table is being checked.
    Checking = "checking",
    /// Keys, and a table that no checkpoint confirms yet.
    Unconfirmed = "unconfirmed",
    /// No member any more.
    Removed = "removed",
    /// The cluster was recovered without it.
    LeftBehind = "left behind",
    /// Another process runs under its id.
    Doubled = "doubled",
    /// Its table is not that of the others.
    Diverged = "diverged",
    /// It lacks entries that it had acknowledged: its disk went back in time.
    RolledBack = "rolled back",
    /// Its clock is not that of the others.
    ClockOff = "clock off",
    /// It does not come to what its leader confirms.
    Behind = "behind",
    /// Its disk takes nothing.
    DiskSlow = "disk slow",
    /// The others do not reach it, although it reaches them.
    Unreached = "unreached",
    /// Its disk is nearly full.
    DiskFull = "disk full",
    /// All is well.
    Serving = "serving",
}

/// What a leader in a state appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposals {
    /// Every change.
    All,
    /// What frees space, or takes none.
    Deletions,
    /// Nothing.
    None,
}

impl State {
    /// What a node is.
    pub fn of(keys: Keys, troubles: &Troubles) -> Self {
        match keys {
            Keys::Absent => Self::Sealed,
            Keys::Initialising => Self::Initialising,
            Keys::Checking => Self::Checking,
            Keys::Unconfirmed => Self::Unconfirmed,
            Keys::Confirmed if troubles.exclusion == Some(Exclusion::Removed) => Self::Removed,
            Keys::Confirmed if troubles.exclusion == Some(Exclusion::LeftBehind) => Self::LeftBehind,
            Keys::Confirmed if troubles.is_doubled => Self::Doubled,
            Keys::Confirmed if troubles.diverged_at.is_some() => Self::Diverged,
            Keys::Confirmed if troubles.rolled_back_from.is_some() => Self::RolledBack,
            Keys::Confirmed if troubles.clock_ahead_millis.is_some() => Self::ClockOff,
            Keys::Confirmed if troubles.behind.is_some() => Self::Behind,
            Keys::Confirmed if troubles.is_disk_stalled => Self::DiskSlow,
            Keys::Confirmed if troubles.unreached_by.is_some() => Self::Unreached,
            Keys::Confirmed if troubles.disk_free_bytes.is_some() => Self::DiskFull,
            Keys::Confirmed => Self::Serving,
        }
    }

    /// Whether requests are served.
    pub const fn serves(self) -> bool {
        matches!(self, Self::DiskSlow | Self::Unreached | Self::DiskFull | Self::Serving)
    }

    /// What it appends as leader.
    pub const fn proposals(self) -> Proposals {
        match self {
            // A slow disk takes what it takes: on a cluster whose disks are all slow, writes wait and do not fail. And whom
            // the others do not reach serves those who do, until another takes over.
            Self::Initialising | Self::DiskSlow | Self::Unreached | Self::Serving => Proposals::All,
            Self::DiskFull => Proposals::Deletions,
            _ => Proposals::None,
        }
    }

    /// Whether it may lead. A state that is not free also hands leadership over.
    pub const fn candidacy(self) -> Candidacy {
        match self {
            // A full disk is no reason to go: most often the others' disks are as full, and deletions need a leader.
            Self::Initialising | Self::DiskFull | Self::Serving => Candidacy::Free,
            Self::Sealed | Self::Checking | Self::Unconfirmed | Self::Behind => Candidacy::LastResort,
            Self::DiskSlow | Self::Unreached => Candidacy::Reluctant,
            Self::Removed | Self::LeftBehind | Self::Doubled | Self::Diverged | Self::RolledBack | Self::ClockOff => {
                Candidacy::Never
            }
        }
    }

    /// Why a node is in this state and what ends it, as a sentence for operators and clients.
    pub fn reason(self, troubles: &Troubles) -> String {
        match self {
            Self::Sealed => "Vault is sealed".into(),
            Self::Initialising => "the cluster is being initialised".into(),
            Self::Checking => "the table is being checked after the unseal".into(),
            Self::Unconfirmed => "the table came from another node and waits for a checkpoint that confirms it".into(),
            Self::Removed => "this node was removed from the cluster; use another node".into(),
            Self::LeftBehind => {
                "the cluster was recovered without this node; use another node, empty this one's data folder, and let it \
                 join as a new node"
                    .into()
            }
            Self::Doubled => "another process runs under this node's id: its data folder was copied and the copy started, or \
                              its key stolen; stop the copy and delete its folder, this node serves again some seconds later"
                .into(),
            Self::Diverged => format!(
                "this node's table is not what the other nodes have at index {}; use another node, and replace this one by \
                 a fresh one if sealing and unsealing it does not help",
                troubles.diverged_at.unwrap_or_default()
            ),
            Self::RolledBack => format!(
                "this node lacks entries up to index {} that it had acknowledged: its disk went back in time, as by a backup \
                 that was put back; use another node, remove this one from the cluster, empty its data folder, and let it \
                 join as a new node",
                troubles.rolled_back_from.unwrap_or_default()
            ),
            Self::ClockOff => {
                let ahead = troubles.clock_ahead_millis.unwrap_or_default();
                let side = if ahead < 0 { "behind" } else { "ahead of" };
                format!(
                    "clock off by {}.{:03} s ({side} the others); this node serves again once its clock is set right",
                    ahead.unsigned_abs() / 1_000,
                    ahead.unsigned_abs() % 1_000
                )
            }
            Self::Behind => {
                let cause = if troubles.is_disk_stalled {
                    "its disk takes no writes"
                } else {
                    "look at its disk, and at whether the other nodes reach its cluster address"
                };
                format!(
                    "this node lacks {} entries that the leader confirmed, and has applied none for a while: {cause}; use \
                     another node, this one serves again once it goes on",
                    troubles.behind.unwrap_or_default()
                )
            }
            Self::DiskSlow => "the disk took no writes for a while; this node hands leadership over and does not lead until it is well".into(),
            Self::Unreached => format!(
                "{} voters do not reach this node's cluster address, although it reaches them; it hands leadership over and \
                 does not lead until they do: look at what stands in front of that address, and at `cluster_addr`",
                troubles.unreached_by.unwrap_or_default()
            ),
            Self::DiskFull => format!(
                "the disk is nearly full ({} MiB free), so that a leader takes deletions only; make room",
                troubles.disk_free_bytes.unwrap_or_default() >> 20
            ),
            Self::Serving => "all is well".into(),
        }
    }
}

/// More than half of the voters.
fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// What another voter that this node reaches says of the way back.
#[derive(Clone, Copy, Debug)]
pub struct WayBack {
    /// For how long it has got no answer from this node; zero if it gets them.
    pub unanswered_for: Duration,
    /// How many voters it reaches, itself included.
    pub reached_voters: usize,
    /// Whether it may lead.
    pub can_lead: bool,
}

/// How many voters do not reach this node, although it reaches them. `None` unless most voters say so, and one of them could
/// lead in its place: it may, and reaches a quorum.
///
/// Of two nodes only one can reach the other and not be reached, so never are all voters unreached. A leader that some
/// voters reach and a majority does not is relieved too: the majority's clients wait for it.
pub fn unreached_by(others: &[WayBack], voters: usize) -> Option<usize> {
    let cut_off = others.iter().filter(|other| other.unanswered_for >= UNANSWERED_MIN);
    let could_lead = |other: &WayBack| other.can_lead && other.reached_voters >= quorum(voters);
    let (count, has_successor) =
        cut_off.fold((0, false), |(count, found), other| (count + 1, found || could_lead(other)));
    (count >= quorum(voters) && has_successor).then_some(count)
}

/// How many milliseconds a clock is ahead of the median of the voters' clocks; `None` if fewer than a quorum's are known.
/// `clocks` says how far each voter's is ahead of this one, itself included if it votes.
///
/// Two clocks that differ have no median between them, and nobody knows which is right. Then the farther one counts, so
/// that both nodes stop: an expiry that came too early cannot be taken back, a pause can.
pub fn clock_ahead(clocks: &[i64], voters: usize) -> Option<i64> {
    if clocks.len() < quorum(voters) || clocks.is_empty() {
        return None;
    }
    let mut clocks = clocks.to_vec();
    clocks.sort_unstable();
    let (lower, upper) = (clocks[(clocks.len() - 1) / 2], clocks[clocks.len() / 2]);
    let farther = if lower.unsigned_abs() > upper.unsigned_abs() { lower } else { upper };
    Some(farther.saturating_neg())
}

/// Whether a clock is too far off to serve by it.
pub fn is_too_far(ahead_millis: i64) -> bool {
    u128::from(ahead_millis.unsigned_abs()) > CLOCK_OFFSET_MAX.as_millis()
}

/// At which checkpoint this node's table is not the cluster's. `own` contradicts a checkpoint by this node's table, `others`
/// by those of other voters, and `digest_at` says what this table had at an index.
///
/// A checkpoint that most voters contradict in the same way was made by a node that is itself wrong. Then they are right,
/// and whoever had another digest there is not.
pub fn diverged_at(
    own: Option<Contradiction>,
    others: &[Contradiction],
    voters: usize,
    digest_at: impl Fn(u64) -> Option<[u8; 32]>,
) -> Option<u64> {
    let all: Vec<_> = own.into_iter().chain(others.iter().copied()).collect();
    // One voter alone has nobody to agree with.
    let is_common =
        |found: &&Contradiction| voters > 1 && all.iter().filter(|other| other == found).count() >= quorum(voters);
    match all.iter().find(is_common) {
        Some(common) if own == Some(*common) => None,
        Some(common) => digest_at(common.index).is_some_and(|had| had != common.digest).then_some(common.index),
        None => own.map(|found| found.index),
    }
}

#[cfg(test)]
mod tests;
