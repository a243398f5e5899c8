//! Keeps it known whether a quorum confirms a leader to this node, and says in the log when that is lost and found.

use std::sync::Arc;
use std::time::Duration;

use crate::replica::Replica;
use crate::replica::contact::Contact;
use crate::seal::Seal;

/// How often the task looks whether it should ask; a new leader is known that soon.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs until the node stops.
pub(crate) async fn run(seal: Arc<Seal>) {
    let mut known = Contact::Lost;
    loop {
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        if seal.replica.raft.is_initialized() && is_due(&seal.replica) {
            // What came of it, `contact` says.
            let _ = seal.replica.raft.confirm_leader().await;
        }
        let contact = seal.replica.contact();
        if contact.is_out() && seal.state.unsealed().is_some() {
            // It can use its keys for nothing any more, and nobody watches it from now on.
            seal.drop_keys("the cluster goes on without this node").await;
        }
        if !seal.state.is_sealed() || contact.is_out() {
            report(&seal.replica, known, contact);
        }
        known = contact;
    }
}

fn is_due(replica: &Replica) -> bool {
    let is_fresh = replica.raft.confirmed().is_some_and(|known| {
        known.asked_at.elapsed() < replica.config.limits.contact_interval && replica.raft.leader() == Some(known.leader)
    });
    !is_fresh
}

fn report(replica: &Replica, before: Contact, now: Contact) {
    match (before, now) {
        (Contact::Confirmed { .. }, Contact::Lost) => tracing::warn!(
            "no quorum of the cluster confirms a leader; this node answers 503 until one does, except to reads that max_staleness allows"
        ),
        (Contact::Lost | Contact::Removed | Contact::LeftBehind, Contact::Confirmed { leader }) => {
            tracing::info!(leader = replica.node_name(leader), "a quorum of the cluster confirms a leader")
        }
        (Contact::Confirmed { .. } | Contact::Lost, Contact::Removed) => tracing::error!(
            "this node was removed from the cluster and answers nothing any more; to use the machine again, stop the \
             node, empty its data folder and join it as a new one"
        ),
        (before, Contact::LeftBehind) if before != Contact::LeftBehind => tracing::error!(
            "the cluster was recovered without this node, which answers nothing any more; stop it, and if it is still needed \
             empty its data folder and join it as a new one"
        ),
        _ => {}
    }
}
