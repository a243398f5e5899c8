//! Changes of the membership, each on the condition that nobody changed it meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, Precondition};

use crate::error::ChangeError;
use crate::raft::{Inner, Raft};
use crate::status::Member;
use crate::types::{NodeRecord, Types};

type Change = ChangeMembers<u64, NodeRecord>;

impl Raft {
    /// Adds a node that replicates and does not vote. With `member.voter` the leader makes it a voter once it has
    /// caught up. Its id must never have been another node's. Only on the leader.
    pub async fn add_learner(&self, member: Member) -> Result<(), ChangeError> {
        let inner = self.inner();
        let members = inner.members();
        if let Some(present) = members.get(&member.id) {
            let is_same = *present == member.record();
            return if is_same { Ok(()) } else { Err(ChangeError::Invalid("the node is a member already".into())) };
        }
        if members.values().any(|present| present.public_key == member.public_key) {
            return Err(ChangeError::Invalid("another member has this key".into()));
        }
        let change = Change::AddNodes(BTreeMap::from([(member.id, member.record())]));
        inner.change(change, true).await
    }

    /// Makes a learner a voter. It should have caught up: until it has, its vote may be needed. Only on the leader.
    pub async fn promote(&self, id: u64) -> Result<(), ChangeError> {
        let inner = self.inner();
        if !inner.members().contains_key(&id) {
            return Err(ChangeError::NotAMember(id));
        }
        inner.change(Change::AddVoterIds(BTreeSet::from([id])), true).await
    }

    /// Removes a node for good; its key is refused from then on. Only on the leader.
    pub async fn remove(&self, id: u64) -> Result<(), ChangeError> {
        let inner = self.inner();
        if !inner.members().contains_key(&id) {
            return Err(ChangeError::NotAMember(id));
        }
        let is_voter = inner.view().membership.voter_ids().any(|voter| voter == id);
        let ids = BTreeSet::from([id]);
        let change = if is_voter { Change::RemoveVoters(ids) } else { Change::RemoveNodes(ids) };
        inner.change(change, false).await
    }

    /// Changes a member's addresses. Its key stays. Only on the leader.
    pub async fn update(&self, id: u64, cluster_addr: String, api_addr: String) -> Result<(), ChangeError> {
        let inner = self.inner();
        let mut record = inner.members().remove(&id).ok_or(ChangeError::NotAMember(id))?;
        record.cluster_addr = cluster_addr;
        record.api_addr = api_addr;
        inner.change(Change::SetNodes(BTreeMap::from([(id, record)])), true).await
    }
}

impl Inner {
    /// The members of the membership that this node follows.
    pub(crate) fn members(&self) -> BTreeMap<u64, NodeRecord> {
        self.view().membership.nodes().map(|(id, record)| (*id, record.clone())).collect()
    }

    /// Makes one change. With `retain`, a voter that no longer votes stays as a learner.
    pub(crate) async fn change(&self, change: Change, retain: bool) -> Result<(), ChangeError> {
        let last_membership_log_id = *self.view().membership.log_id();
        let unchanged = Precondition::<Types>::LastMembershipLogId { last_membership_log_id };
        match self.raft.change_membership_if(change, retain, [unchanged]).await {
            Ok(_) => Ok(()),
            Err(RaftError::Fatal(_)) => Err(ChangeError::Stopped),
            Err(RaftError::APIError(error)) => Err(refused(error)),
        }
    }
}

fn refused(error: ClientWriteError<Types>) -> ChangeError {
    use openraft::errors::ChangeMembershipError as Change;
    match error {
        ClientWriteError::ForwardToLeader(forward) => ChangeError::NotLeader { leader: forward.leader_id },
        ClientWriteError::LogEntryDiscarded(_) => ChangeError::Unknown("leadership was lost meanwhile".into()),
        ClientWriteError::PreconditionFailed(_) => ChangeError::Raced,
        ClientWriteError::ChangeMembershipError(Change::InProgress(_)) => ChangeError::Raced,
        ClientWriteError::ChangeMembershipError(error) => ChangeError::Invalid(error.to_string()),
    }
}
