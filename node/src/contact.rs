//! Whether a quorum still confirms a leader to this node, and what the node may therefore say and promise.
//!
//! openraft's own view of a leader is a memory: a leader that lost its quorum goes on leading, and a follower goes on
//! naming one that nobody reaches. So a node asks about once a second, unless the reads that it serves have asked
//! already, and shows only a leader that was confirmed within [`Limits::contact_age`].

use std::sync::Arc;
use std::time::Duration;

use conclave_raft::{Role, Status};
use conclave_vault::error::Error;
use tokio::time::Instant;

use crate::app::App;
#[cfg(doc)]
use crate::config::Limits;
use crate::serve::unavailable;

/// How often the task looks whether it should ask; a new leader is known that soon.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What a node knows of its place in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// A quorum confirmed this leader within [`Limits::contact_age`].
    Confirmed { leader: u64 },
    /// Nobody did.
    Lost,
    /// The members that this node reaches say that it is none of them any more.
    Removed,
}

impl Contact {
    /// Why a node answers nothing, in words for operators; `None` if it does.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Confirmed { .. } => None,
            Self::Lost => Some("no quorum of the cluster confirms a leader to this node"),
            Self::Removed => Some("this node was removed from the cluster"),
        }
    }
}

/// Waiting was given up because no quorum confirms a leader.
pub(crate) struct Lost;

impl App {
    /// This node's place in the cluster, as last confirmed.
    pub(crate) fn contact(&self) -> Contact {
        if self.raft.is_removed() {
            return Contact::Removed;
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

    /// Waits for something that needs a quorum, and gives up once the quorum is gone for too long.
    pub(crate) async fn while_in_contact<T>(&self, work: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.contact_lost() => Err(Lost),
        }
    }

    /// Resolves once no quorum has confirmed a leader for [`Limits::consensus_time`], but not at once.
    async fn contact_lost(&self) {
        let limits = &self.config.limits;
        let earliest = Instant::now() + limits.cut_off_time;
        loop {
            let confirmed = self.raft.confirmed().map(|known| known.asked_at + limits.consensus_time);
            let until = confirmed.map_or(earliest, |until| until.max(earliest));
            let until = if self.raft.is_removed() { earliest } else { until };
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until.min(Instant::now() + limits.contact_interval)).await;
        }
    }

    /// The refusal of a node that reaches no quorum; nothing was changed.
    pub(crate) fn out_of_contact(&self) -> Error {
        match self.contact() {
            Contact::Removed => {
                unavailable("this node was removed from the cluster; nothing was changed, use another node")
            }
            _ => unavailable(
                "no quorum of the cluster confirms a leader to this node; nothing was changed, \
                 try again or try another node",
            ),
        }
    }
}

/// Keeps the contact known until the application stops, and says in the log when it is lost and found.
pub(crate) async fn run(app: Arc<App>) {
    let mut known = Contact::Lost;
    loop {
        tokio::select! {
            () = app.stopping() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        if app.raft.is_initialized() && is_due(&app) {
            // What came of it, `contact` says.
            let _ = app.raft.confirm_leader().await;
        }
        let contact = app.contact();
        if contact == Contact::Removed && app.shared.unsealed().is_some() {
            // It can use its keys for nothing any more, and nobody watches it from now on.
            app.drop_keys("this node was removed from the cluster").await;
        }
        if !app.shared.is_sealed() || contact == Contact::Removed {
            report(&app, known, contact);
        }
        known = contact;
    }
}

fn is_due(app: &App) -> bool {
    let is_fresh = app.raft.confirmed().is_some_and(|known| {
        known.asked_at.elapsed() < app.config.limits.contact_interval && app.raft.leader() == Some(known.leader)
    });
    !is_fresh
}

fn report(app: &App, before: Contact, now: Contact) {
    match (before, now) {
        (Contact::Confirmed { .. }, Contact::Lost) => tracing::warn!(
            "no quorum of the cluster confirms a leader; this node answers 503 until one does, except to local reads"
        ),
        (Contact::Lost | Contact::Removed, Contact::Confirmed { leader }) => {
            tracing::info!(leader = app.node_name(leader), "a quorum of the cluster confirms a leader")
        }
        (Contact::Confirmed { .. } | Contact::Lost, Contact::Removed) => tracing::error!(
            "this node was removed from the cluster and answers nothing any more; to use the machine again, stop the \
             node, empty its data folder and join it as a new one"
        ),
        _ => {}
    }
}
