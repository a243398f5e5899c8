//! Removing a member: all or nothing. What would leave the cluster without a leader is refused before anything is
//! written; what is written is done, by the loop of [`super`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use conclave_raft::Role;
use conclave_vault::members::{self, MemberRecord};
use conclave_vault::{Core, Error};
use tokio::time::Instant;

use crate::cluster::nodes::sealed_members;
use crate::seal::Seal;

/// How long a removal may take before its caller is told to look later.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a caller looks whether it is done.
const PAUSE: Duration = Duration::from_millis(50);

/// What decides whether a node may go.
#[derive(Clone)]
struct Standing {
    voters: BTreeSet<u64>,
    /// Nodes that answer now.
    answering: BTreeSet<u64>,
    /// Those of them that are unsealed.
    unsealed: BTreeSet<u64>,
}

impl Standing {
    /// Without those whose removal is decided and not done yet.
    fn without_the_decided(mut self, record: &[MemberRecord]) -> Self {
        // A new cluster has its one voter a moment before it has its record.
        if !record.is_empty() {
            self.voters.retain(|voter| record.iter().any(|member| member.id == *voter));
        }
        self
    }
}

/// Refuses the removal of a node without which the cluster could not go on.
fn check_removal(standing: &Standing, id: u64, name: &str) -> Result<(), Error> {
    let refused = |why: String| Err(Error::invalid(format!("{why}; nothing was changed")));
    if !standing.voters.contains(&id) {
        return Ok(());
    }
    let rest: BTreeSet<u64> = standing.voters.iter().copied().filter(|voter| *voter != id).collect();
    if rest.is_empty() {
        return refused(format!("node {name} is the last voter, and a cluster cannot be without one"));
    }
    if rest.is_disjoint(&standing.unsealed) {
        return refused(format!(
            "node {name} is the last voter that is unsealed; unseal another one first (`operator unseal -cluster`)"
        ));
    }
    let answering = rest.intersection(&standing.answering).count();
    if answering * 2 <= rest.len() {
        return refused(format!(
            "without node {name} only {answering} of {} voters would answer, which is no majority; bring another \
             one back or remove one that is down first",
            rest.len()
        ));
    }
    Ok(())
}

/// The member that a text names.
fn find(seal: &Seal, server_id: &str) -> Result<u64, Error> {
    seal.replica
        .find_node(server_id)
        .map(|member| member.id)
        .ok_or_else(|| Error::invalid("no node of the cluster has this id; see `operator raft list-peers`"))
}

/// Who votes, and which of them answer now.
async fn standing(seal: &Arc<Seal>) -> Standing {
    let sealed = sealed_members(seal).await;
    let status = seal.replica.raft.status();
    Standing {
        voters: status.members.iter().filter(|member| member.voter).map(|member| member.id).collect(),
        answering: sealed.keys().copied().collect(),
        unsealed: sealed.iter().filter(|(_, is_sealed)| !**is_sealed).map(|(id, _)| *id).collect(),
    }
}

/// Hands leadership over if the leader is asked to remove itself, so that its successor can do it.
pub(crate) async fn hand_over_before(seal: &Arc<Seal>, server_id: &str) -> Result<(), Error> {
    let id = find(seal, server_id)?;
    if id != seal.replica.identity.id() || seal.replica.raft.status().role != Role::Leader {
        return Ok(());
    }
    check_removal(&standing(seal).await, id, &seal.replica.node_name(id))?;
    let handed = seal.replica.raft.transfer_leadership(None).await;
    handed.map(drop).map_err(|error| Error::unavailable(format!("leadership could not be handed over first: {error}")))
}

/// Removes a member, on the leader.
pub(crate) async fn remove(seal: &Arc<Seal>, core: &Core, server_id: &str) -> Result<(), Error> {
    let id = find(seal, server_id)?;
    let (standing, name) = (standing(seal).await, seal.replica.node_name(id));
    let may_go = |record: &[MemberRecord]| check_removal(&standing.clone().without_the_decided(record), id, &name);
    let deadline = Instant::now() + TIMEOUT;
    // From here on nobody gives it keys any more, and the leader, whoever it is, ends its replication.
    seal.replica.change(core, deadline, |store, _| members::remove(store, id, may_go)).await?;
    seal.replica.wakeups.wake_membership();
    while seal.replica.raft.status().members.iter().any(|member| member.id == id) {
        if Instant::now() >= deadline {
            return Err(Error::unavailable(
                "the removal is decided and not done yet; it is tried until it is: look at `operator raft list-peers`",
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use conclave_raft::node_id;

    use super::*;

    fn standing(voters: &[u64], answering: &[u64], unsealed: &[u64]) -> Standing {
        let set = |ids: &[u64]| ids.iter().copied().collect();
        Standing { voters: set(voters), answering: set(answering), unsealed: set(unsealed) }
    }

    fn refusal(standing: Standing, id: u64) -> String {
        check_removal(&standing, id, &node_id(id)).err().map(|error| error.messages.join("; ")).unwrap_or_default()
    }

    #[test]
    fn a_node_that_others_can_do_without_may_go() {
        assert_eq!(refusal(standing(&[1, 2, 3], &[1, 2, 3], &[1]), 2), "");
        assert_eq!(refusal(standing(&[1, 2, 3], &[1, 2], &[1]), 3), "", "a dead one above all");
        assert_eq!(refusal(standing(&[1], &[1], &[1]), 2), "", "a learner counts for nothing");
    }

    #[test]
    fn the_last_voter_is_refused_by_name() {
        assert!(refusal(standing(&[7], &[7], &[7]), 7).contains("node 0000000000000007 is the last voter"));
    }

    #[test]
    fn the_last_unsealed_voter_is_refused_by_name() {
        let found = refusal(standing(&[1, 10], &[1, 10, 11], &[10, 11]), 10);
        assert!(found.contains("node 000000000000000a is the last voter that is unsealed"), "{found}");
    }

    #[test]
    fn what_would_leave_no_majority_is_refused() {
        assert!(refusal(standing(&[1, 2, 3], &[1, 2], &[1, 2]), 2).contains("only 1 of 2 voters"));
    }

    #[test]
    fn what_another_removal_decided_counts_before_it_is_done() {
        let record: Vec<_> = [1, 3, 4].map(|id| MemberRecord { id, ..MemberRecord::default() }).into();
        let four = standing(&[1, 2, 3, 4], &[1, 2, 3], &[1, 2, 3]);
        assert_eq!(refusal(four.clone(), 3), "", "without the other removal it might go");
        assert!(refusal(four.without_the_decided(&record), 3).contains("only 1 of 2 voters"));
        let sealed = standing(&[1, 2, 3], &[1, 2, 3], &[2, 3]);
        assert!(refusal(sealed.without_the_decided(&record), 3).contains("the last voter that is unsealed"));
    }
}
