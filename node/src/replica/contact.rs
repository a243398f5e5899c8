//! Whether a quorum still confirms a leader to this node, and what the node may therefore say and promise.
//!
//! openraft's own view of a leader is a memory: a leader that lost its quorum goes on leading, and a follower goes on
//! naming one that nobody reaches. So a node asks about once a second (`cluster/contact.rs`), unless the reads that it
//! serves have asked already, and shows only a leader that was confirmed within [`Limits::contact_age`].

use conclave_raft::{Exclusion, ReadError, Role, Status};
use conclave_vault::Error;
use tokio::time::Instant;

use super::Replica;
#[cfg(doc)]
use crate::config::Limits;

/// What a node knows of its place in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// A quorum confirmed this leader within [`Limits::contact_age`].
    Confirmed { leader: u64 },
    /// Nobody did.
    Lost,
    /// The members that this node reaches say that it is none of them any more.
    Removed,
    /// The cluster was recovered without this node.
    LeftBehind,
}

impl Contact {
    /// Why a node answers nothing, in words for operators; `None` if it does.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Confirmed { .. } => None,
            Self::Lost => Some("no quorum of the cluster confirms a leader to this node"),
            Self::Removed => Some("this node was removed from the cluster"),
            Self::LeftBehind => {
                Some("the cluster was recovered without this node, which must be wiped and joined anew")
            }
        }
    }

    /// What a node in this place is called, beside the names of [`crate::keeper::State`]; `None` if nothing is wrong.
    pub(crate) fn trouble(self) -> Option<&'static str> {
        match self {
            Self::Confirmed { .. } => None,
            Self::Lost => Some("cut off"),
            Self::Removed => Some("removed"),
            Self::LeftBehind => Some("left behind"),
        }
    }

    /// Whether the cluster goes on without this node.
    pub(crate) fn is_out(self) -> bool {
        matches!(self, Self::Removed | Self::LeftBehind)
    }
}

/// Waiting was given up because no quorum confirms a leader, or because this node does not come to what its leader confirms.
pub(crate) struct GivenUp;

impl Replica {
    /// This node's place in the cluster, as last confirmed.
    pub(crate) fn contact(&self) -> Contact {
        match self.raft.exclusion() {
            Some(Exclusion::Removed) => return Contact::Removed,
            Some(Exclusion::LeftBehind) => return Contact::LeftBehind,
            None => {}
        }
        match self.raft.confirmed() {
            Some(known) if known.asked_at.elapsed() <= self.config.limits.contact_age => {
                Contact::Confirmed { leader: known.leader }
            }
            _ => Contact::Lost,
        }
    }

    /// Whether this node leads and a quorum confirms it.
    pub(crate) fn is_active(&self) -> bool {
        self.contact() == Contact::Confirmed { leader: self.identity.id() } && self.raft.status().role == Role::Leader
    }

    /// The cluster as this node may show it: a leader that a quorum confirmed, or none.
    pub(crate) fn status(&self) -> Status {
        let mut status = self.raft.status();
        let contact = self.contact();
        status.leader = status.leader.filter(|leader| contact == Contact::Confirmed { leader: leader.id });
        if status.leader.is_none() && status.role == Role::Leader {
            // Votes, and waits for a leader: for others it is one no more.
            status.role = Role::Follower;
        }
        status
    }

    /// Waits for something that needs a quorum, and gives up once the quorum is gone for too long, or this node has stood
    /// still behind it for too long.
    pub(crate) async fn while_in_contact<T>(&self, work: impl Future<Output = T>) -> Result<T, GivenUp> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.contact_lost() => Err(GivenUp),
        }
    }

    /// Resolves once no quorum has confirmed a leader, or this node has applied nothing of what one confirmed, for
    /// [`Limits::consensus_time`], but not at once.
    async fn contact_lost(&self) {
        let limits = &self.config.limits;
        let earliest = Instant::now() + limits.cut_off_time;
        loop {
            let confirmed = self.raft.confirmed().map(|known| known.asked_at + limits.consensus_time);
            let until = confirmed.map_or(earliest, |until| until.max(earliest));
            let until = if self.contact().is_out() { earliest } else { until };
            let stuck = self.standstill.since().map(|since| (since + limits.consensus_time).max(earliest));
            let until = stuck.map_or(until, |stuck| stuck.min(until));
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until.min(Instant::now() + limits.contact_interval)).await;
        }
    }

    /// Whether this node has applied nothing for too long of what its leader confirms.
    fn is_stuck(&self) -> bool {
        self.standstill.since().is_some_and(|since| since.elapsed() >= self.config.limits.consensus_time)
    }

    /// Why a read point was given up.
    pub(crate) fn given_up(&self) -> ReadError {
        if self.is_stuck() { ReadError::Timeout } else { ReadError::NoLeader }
    }

    /// The refusal of a node that reaches no quorum; nothing was changed.
    pub(crate) fn out_of_contact(&self) -> Error {
        match self.contact() {
            Contact::Removed => {
                Error::unavailable("this node was removed from the cluster; nothing was changed, use another node")
            }
            Contact::LeftBehind => {
                Error::unavailable("the cluster was recovered without this node; nothing was changed, use another node")
            }
            Contact::Confirmed { .. } if self.is_stuck() => Error::unavailable(
                "this node does not catch up with the cluster; nothing was changed, use another node",
            ),
            _ => Error::unavailable(
                "no quorum of the cluster confirms a leader to this node; nothing was changed, \
                 try again or try another node",
            ),
        }
    }
}
