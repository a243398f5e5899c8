//! The leader's one loop over the members: Raft's membership follows the members record.
//!
//! The record is the intent: a join, a removal or a new address is one tagged batch, and is decided once that is
//! committed. What Raft replicates to follows from it here and nowhere else, and is tried again until it holds, by
//! another leader too. So two joins at one moment wait for each other, and none is lost.

mod removal;

use std::sync::Arc;
use std::time::Duration;

use conclave_raft::{ChangeError, Member, Role};
use conclave_vault::Core;
use conclave_vault::members::{self, MemberRecord};
use tokio::time::{Instant, timeout};

use crate::cluster::join::to_member;
use crate::seal::Seal;

pub(crate) use removal::{hand_over_before, remove};

/// How often the leader compares, if nothing wakes it.
const INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a change that another one came before.
const RACE_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for one change of the membership.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A change that Raft's membership lacks.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Move {
        id: u64,
        cluster_addr: String,
        api_addr: String,
    },
    Add(Member),
    Remove(u64),
    /// This leader is to go, and another one must do it.
    HandOver,
}

/// What Raft's membership lacks, in the order in which it is done.
fn steps(own: u64, record: &[MemberRecord], members: &[Member]) -> Vec<Step> {
    // A new cluster has its one voter a moment before it has its record.
    if record.is_empty() {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for wanted in record.iter().filter_map(to_member) {
        match members.iter().find(|member| member.id == wanted.id) {
            None => steps.push(Step::Add(wanted)),
            Some(member) if (&member.cluster_addr, &member.api_addr) != (&wanted.cluster_addr, &wanted.api_addr) => {
                let Member { id, cluster_addr, api_addr, .. } = wanted;
                steps.insert(0, Step::Move { id, cluster_addr, api_addr });
            }
            Some(_) => {}
        }
    }
    let is_listed = |member: &&Member| record.iter().any(|wanted| wanted.id == member.id);
    for gone in members.iter().filter(|member| !is_listed(member)) {
        steps.push(if gone.id == own { Step::HandOver } else { Step::Remove(gone.id) });
    }
    steps
}

/// Runs until the application stops.
pub(crate) async fn run(seal: Arc<Seal>) {
    let mut complaint = String::new();
    loop {
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            () = tokio::time::sleep(INTERVAL) => {}
            () = seal.replica.wakeups.members_changed() => {}
        }
        if !seal.replica.is_clustered() || seal.replica.raft.status().role != Role::Leader {
            complaint.clear();
            continue;
        }
        let Some(core) = seal.state.serving() else { continue };
        match reconcile(&seal, &core).await {
            Ok(()) => complaint.clear(),
            Err(ChangeError::Raced) => {
                tokio::time::sleep(RACE_PAUSE).await;
                seal.replica.wakeups.wake_membership();
            }
            Err(error) if error.to_string() != complaint => {
                complaint = error.to_string();
                tracing::warn!(%error, "the members could not be changed as the cluster decided; it is tried again");
            }
            Err(_) => {}
        }
    }
}

/// Makes the changes that are missing. The first error that is no race comes back once all others were tried.
async fn reconcile(seal: &Seal, core: &Core) -> Result<(), ChangeError> {
    // The members first, then a read point, then the record: whoever is a member by then stood in the record before,
    // unless it was removed. The other way round, a node that joins meanwhile would be taken for a removed one.
    let members = seal.replica.raft.status().members;
    let Ok(Ok(_)) = seal.replica.while_in_contact(seal.replica.raft.read_point(Instant::now() + TIMEOUT)).await else {
        return Ok(());
    };
    let Some(record) = load(seal, core) else { return Ok(()) };
    let mut failed = Ok(());
    for step in steps(seal.replica.identity.id(), &record, &members) {
        let name = format!("{step:?}");
        match timeout(TIMEOUT, take(seal, step)).await {
            Ok(Ok(())) => {}
            Ok(Err(error @ (ChangeError::Raced | ChangeError::NotLeader { .. } | ChangeError::Stopped))) => {
                return Err(error);
            }
            Ok(Err(error)) => failed = failed.and(Err(error)),
            Err(_) => return Err(ChangeError::Unknown(format!("{name} takes long"))),
        }
    }
    failed
}

/// The record as this node's table has it.
fn load(seal: &Seal, core: &Core) -> Option<Vec<MemberRecord>> {
    use conclave_storage::table::Table;
    let view = seal.replica.table.view().ok()?;
    members::load(&mut core.store(&view)).ok().map(|record| record.members)
}

async fn take(seal: &Seal, step: Step) -> Result<(), ChangeError> {
    match step {
        Step::Move { id, cluster_addr, api_addr } => {
            tracing::info!(node = seal.replica.node_name(id), cluster_addr, "a member moved to another address");
            seal.replica.raft.update(id, cluster_addr, api_addr).await
        }
        Step::Add(member) => seal.replica.raft.add_learner(member).await,
        Step::Remove(id) => match seal.replica.raft.remove(id).await {
            Err(ChangeError::NotAMember(_)) => Ok(()),
            done => done,
        },
        Step::HandOver => seal.replica.raft.transfer_leadership(None).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64, port: u16) -> MemberRecord {
        MemberRecord {
            id,
            public_key: vec![u8::try_from(id).unwrap(); 32],
            cluster_addr: format!("10.0.0.{id}:{port}"),
            api_addr: format!("https://10.0.0.{id}:8200"),
            is_blind: false,
            is_non_voter: false,
            name: String::new(),
        }
    }

    fn members(ids: &[u64]) -> Vec<Member> {
        ids.iter().map(|id| to_member(&record(*id, 8201)).unwrap()).collect()
    }

    #[test]
    fn a_membership_that_agrees_with_the_record_is_left_alone() {
        assert_eq!(steps(1, &[record(1, 8201), record(2, 8201)], &members(&[1, 2])), []);
    }

    #[test]
    fn two_joins_at_once_are_both_done() {
        let joined = steps(1, &[record(1, 8201), record(2, 8201), record(3, 8201)], &members(&[1]));
        let [two, three] = <[Member; 2]>::try_from(members(&[2, 3])).unwrap();
        assert_eq!(joined, [Step::Add(two), Step::Add(three)]);
    }

    #[test]
    fn addresses_come_first_because_the_rest_needs_a_quorum_that_is_reached() {
        let moved = Step::Move { id: 2, cluster_addr: "10.0.0.2:9".into(), api_addr: "https://10.0.0.2:8200".into() };
        let found = steps(1, &[record(1, 8201), record(3, 8201), record(2, 9)], &members(&[1, 2]));
        assert_eq!(found, [moved, Step::Add(members(&[3]).remove(0))]);
    }

    #[test]
    fn whoever_is_listed_no_more_is_removed_and_a_leader_hands_over_first() {
        assert_eq!(steps(1, &[record(1, 8201)], &members(&[1, 2])), [Step::Remove(2)]);
        assert_eq!(steps(1, &[record(2, 8201)], &members(&[1, 2])), [Step::HandOver]);
    }

    #[test]
    fn nobody_is_removed_before_there_is_a_record() {
        assert_eq!(steps(1, &[], &members(&[1])), []);
    }
}
