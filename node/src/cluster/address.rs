//! Where the members are. A node that listens elsewhere than the membership says tells the others, over connections that
//! prove its key; so a moved node is found again, and all of them are if they moved at once.
//!
//! What a member said counts at once for dialling it. The leader then writes it into the members record, and the
//! membership follows. If nobody can be reached where the membership says, `peers` in the configuration says where else to
//! look.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::{CallError, Peer, Process, Role};
use conclave_vault::members;
use futures::future::join_all;
use prost::Message;
use tokio::time::Instant;

use crate::config::limits::MAX_ADDRESS_BYTES;
use crate::config::{Storage, address, storage};
use crate::keeper::State;
use crate::replica::contact::Contact;
use crate::seal::Seal;

/// A member says where it is.
pub(crate) const METHOD: &str = "announce";
/// How often a node that moved, or that has no leader, says where it is.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one announcement may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the leader may take to write an address down.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a process must have been heard alone before it is believed where its node is: some probes, which every node makes
/// once a second.
const SETTLED: Duration = Duration::from_secs(3);

/// Where the sender is.
#[derive(Clone, PartialEq, Message)]
struct Announcement {
    /// `host:port` for other nodes.
    #[prost(string, tag = "1")]
    cluster_addr: String,
    /// URL of its API.
    #[prost(string, tag = "2")]
    api_addr: String,
}

impl Announcement {
    fn is_plausible(&self) -> bool {
        let is_short = self.cluster_addr.len().max(self.api_addr.len()) <= MAX_ADDRESS_BYTES;
        is_short && address::split(&self.cluster_addr).is_some() && storage::is_url(&self.api_addr)
    }
}

/// Runs until the application stops.
pub(crate) async fn run(seal: Arc<Seal>) {
    let Storage::Raft(settings) = &seal.replica.config.storage else { return };
    let mut has_said = false;
    loop {
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let own = seal.replica.raft.member();
        let members = seal.replica.raft.status().members;
        let Some(known) = members.iter().find(|member| member.id == own.id) else { continue };
        let has_moved = (&known.cluster_addr, &known.api_addr) != (&own.cluster_addr, &own.api_addr);
        if has_moved && !has_said {
            let (from, to) = (&known.cluster_addr, &own.cluster_addr);
            tracing::info!(from, to, api_addr = own.api_addr, "this node moved; it tells the other members");
        }
        has_said = has_moved;
        let is_lost = seal.replica.contact() == Contact::Lost;
        // They may dial a copy of this node that is gone.
        let is_behind = seal.state.state() == State::Behind;
        if has_moved || is_lost || is_behind {
            let peers = if is_lost { settings.peers.as_slice() } else { &[] };
            let others = members.iter().map(|member| member.id).filter(|id| *id != own.id);
            let news = Announcement { cluster_addr: own.cluster_addr, api_addr: own.api_addr };
            announce(&seal, others.collect(), peers, &news).await;
            if has_moved {
                note(&seal, own.id, news);
            }
        }
    }
}

/// Tells everybody at once, each where it is believed to be.
async fn announce(seal: &Seal, members: Vec<u64>, peers: &[String], news: &Announcement) {
    let body = Bytes::from(news.encode_to_vec());
    let deadline = Instant::now() + TIMEOUT;
    let told = members.into_iter().map(|id| seal.replica.raft.call(id, METHOD, body.clone(), deadline));
    // Whoever answers there learns nothing that is secret, and is believed nothing.
    let elsewhere = peers
        .iter()
        .filter(|peer| **peer != news.cluster_addr)
        .map(|peer| seal.replica.raft.call_address(peer, None, METHOD, body.clone(), deadline));
    // Whoever missed it is told again.
    tokio::join!(join_all(told), join_all(elsewhere));
}

/// A member said where it is.
pub(crate) fn answer(seal: &Arc<Seal>, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
    let denied = |message: &str| CallError::Denied(message.to_owned());
    let sender = from.id.ok_or_else(|| denied("only members say where they are"))?;
    let news = Announcement::decode(body).map_err(|_| denied("the announcement does not decode"))?;
    if !news.is_plausible() {
        return Err(denied("the announcement holds no address and URL"));
    }
    let processes = seal.replica.raft.processes(sender);
    if seal.replica.raft.hears_two(sender) {
        return Err(denied("two processes run under this node's id: stop the one that is a copy"));
    }
    if seal.replica.raft.has_just_started() {
        return Err(denied("this node has just started, and has not heard yet who speaks under that id: say it again"));
    }
    if is_newcomer(&processes, Instant::now()) {
        return Err(denied("this process has just begun, and the one before may run still: say it again"));
    }
    seal.replica.raft.note_address(sender, &news.cluster_addr);
    note(seal, sender, news);
    Ok(Bytes::new())
}

/// Whether a node's newest process was heard so lately that one before it may be alive and not have spoken since: then the
/// newest one may be a copy.
fn is_newcomer(processes: &[Process], now: Instant) -> bool {
    let newest = processes.iter().max_by_key(|process| process.first);
    processes.len() > 1 && newest.is_some_and(|newest| now.duration_since(newest.first) < SETTLED)
}

/// Has the leader write down where a member is, as a task: whoever announced it does so again until it is written.
fn note(seal: &Arc<Seal>, id: u64, news: Announcement) {
    let Some(core) = seal.state.serving().filter(|_| seal.replica.raft.status().role == Role::Leader) else { return };
    let known = seal.replica.raft.status().members.into_iter().find(|member| member.id == id);
    if known
        .is_none_or(|known| (known.cluster_addr, known.api_addr) == (news.cluster_addr.clone(), news.api_addr.clone()))
    {
        return;
    }
    let seal = Arc::clone(seal);
    tokio::spawn(async move {
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let change = seal
            .replica
            .change(&core, deadline, |store, _| members::relocate(store, id, &news.cluster_addr, &news.api_addr));
        match change.await {
            Ok(()) => seal.replica.wakeups.wake_membership(),
            Err(error) => tracing::debug!(%error, "a member's new address could not be written down yet"),
        }
    });
}

#[cfg(test)]
mod tests {
    use conclave_raft::PROCESS_BYTES;

    use super::*;

    #[test]
    fn a_copy_of_a_node_moves_it_nowhere_and_a_restart_does() {
        let start = Instant::now();
        let heard = |name: u8, first: u64, last: u64| {
            let at = |secs| start + Duration::from_secs(secs);
            Process { name: [name; PROCESS_BYTES], first: at(first), last: at(last), beside_since: None }
        };
        let at = |secs| start + Duration::from_secs(secs);
        assert!(!is_newcomer(&[heard(1, 0, 1)], at(1)), "nobody was there before");
        assert!(is_newcomer(&[heard(1, 0, 10), heard(2, 11, 13)], at(13)));
        assert!(!is_newcomer(&[heard(1, 0, 10), heard(2, 11, 14)], at(14)));
    }

    #[test]
    fn only_an_address_and_a_url_are_believed() {
        let is_plausible = |cluster_addr: &str, api_addr: &str| {
            Announcement { cluster_addr: cluster_addr.into(), api_addr: api_addr.into() }.is_plausible()
        };
        assert!(is_plausible("10.0.0.1:8201", "https://10.0.0.1:8200"));
        assert!(!is_plausible("10.0.0.1", "https://10.0.0.1:8200"));
        assert!(!is_plausible("10.0.0.1:8201", "file:///etc"));
        assert!(!is_plausible(&format!("{}:8201", "a".repeat(MAX_ADDRESS_BYTES)), "https://10.0.0.1:8200"));
    }
}
