//! From an open barrier to a serving node.
//!
//! Keys first, so that tags are checked from here on; then the table is checked against what the cluster agreed on; then
//! uses are reserved, without which nothing can be encrypted. Only a node whose table is confirmed campaigns.

use std::sync::Arc;
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_raft::Role;
use conclave_storage::table::Table;
use conclave_vault::seal::KEYRING;
use conclave_vault::{Barrier, Core, Error, Registry};
use tokio::time::Instant;

use super::state::Verdict;
use super::table_check::{self, CheckError};
use super::{CHECKPOINT_METHOD, Seal, keyring};
use crate::view::SystemRandomness;
use crate::vitals;

/// How long unsealing waits until the node can write; a cluster without a quorum unseals all the same.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at whether there is a leader.
const PAUSE: Duration = Duration::from_millis(20);

/// An unsealing under way. Whatever ends it early, also a panic, leaves a sealed node and no keys.
struct Unsealing {
    seal: Arc<Seal>,
    core: Arc<Core>,
}

impl Unsealing {
    async fn run(self) -> Result<(), Error> {
        let seal = &self.seal;
        let verdict = seal.check_table(&self.core).await?;
        // A rotation that was applied between reading the keyring and now is caught up with.
        keyring::reload(&seal.state, &seal.replica.table, &seal.replica.wakeups);
        vitals::look_at_table(&seal.replica, &seal.state);
        if !seal.state.end_check(&self.core, verdict) {
            return Err(sealed_meanwhile());
        }
        if !seal.state.is_sealed() {
            seal.begin_serving();
        }
        let _ = tokio::time::timeout(READY_TIMEOUT, seal.become_ready()).await;
        Ok(())
    }
}

impl Drop for Unsealing {
    fn drop(&mut self) {
        if self.seal.state.abandon_check(&self.core) {
            self.core.revoke(&mut SystemRandomness::default());
        }
    }
}

/// The engines of this server.
fn registry() -> Registry {
    let registry = Registry::built_in();
    #[cfg(test)]
    let registry = registry.with(&crate::outside::tests::ENGINE);
    registry
}

/// What whoever entered the last share hears of a table that must not be served. An index is for the log only.
fn advice(error: &CheckError) -> &'static str {
    match error {
        CheckError::Storage(_) => "this node's log or table cannot be read, so it stays sealed; its log says why",
        CheckError::Tag(_) => {
            "an entry of this node's log has no valid tag, so it stays sealed: if another node serves, replace this one by a \
             fresh one; if none does, wipe nothing and read docs/operating/recovery.md"
        }
        CheckError::Digest(_) | CheckError::NoCheckpoint(_) => {
            "this node's stored data is not what the cluster agreed on; it stays sealed: if another node serves, replace it by \
             a fresh one; if none does, wipe nothing and read docs/operating/recovery.md"
        }
    }
}

fn sealed_meanwhile() -> Error {
    Error::unavailable("this node was sealed while its table was checked; enter the shares again")
}

impl Seal {
    /// Unseals this node with an open barrier. The work is a task of the node: a caller that goes away changes nothing.
    pub(crate) async fn unseal(self: &Arc<Self>, barrier: Barrier) -> Result<(), Error> {
        if let Some((revision, _)) = self.replica.open_record(KEYRING) {
            barrier.note_installed_at(barrier.active_term(), revision);
        }
        let core = Arc::new(Core::new(barrier, registry()));
        if !self.state.begin_check(&core) {
            return Ok(());
        }
        let unsealing = Unsealing { seal: Arc::clone(self), core };
        let ended = tokio::spawn(async move { unsealing.run().await }).await;
        ended.unwrap_or_else(|_| {
            Err(Error::unavailable("unsealing was interrupted and this node is sealed; enter the shares again"))
        })
    }

    async fn check_table(self: &Arc<Self>, core: &Arc<Core>) -> Result<Verdict, Error> {
        let (seal, core) = (Arc::clone(self), Arc::clone(core));
        let checked = tokio::task::spawn_blocking(move || {
            table_check::check(&seal.replica.table, seal.replica.log.as_ref(), &core, seal.state.last_index())
        });
        match checked.await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(_)) if self.state.unsealed().is_none() => Err(sealed_meanwhile()),
            Ok(Err(error)) => {
                tracing::error!(%error, "this node stays sealed");
                let mut refused = Error::internal(error.to_string());
                refused.messages = vec![advice(&error).into()];
                Err(refused)
            }
            Err(error) => Err(Error::internal(error.to_string())),
        }
    }

    fn begin_serving(self: &Arc<Self>) {
        self.replica.wakeups.wake_upkeep();
        tracing::info!("this node is unsealed");
        if let Some(warning) = crate::memory::lock_warning() {
            tracing::warn!("{warning}");
        }
    }

    async fn become_ready(self: &Arc<Self>) {
        while self.state.unsealed().is_some() {
            self.try_confirm();
            if let Some(core) = self.state.serving()
                && self.replica.raft.confirm_leader().await.is_ok()
                && self.reserve_uses(&core).await.is_ok()
            {
                return;
            }
            self.ask_for_checkpoint().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Serves, if a checkpoint has confirmed the snapshot that this node's table came from.
    pub(crate) fn try_confirm(self: &Arc<Self>) {
        let confirmed = self.replica.table.applied().checkpoint;
        if confirmed.is_some_and(|(_, index)| self.state.confirm(index)) {
            self.begin_serving();
        }
    }

    /// Asks the leader for a checkpoint, if this node waits for one.
    pub(crate) async fn ask_for_checkpoint(&self) {
        if !self.state.is_unconfirmed() {
            return;
        }
        let status = self.replica.raft.status();
        let Some(leader) = status.leader.filter(|_| status.role != Role::Leader) else { return };
        let deadline = Instant::now() + Duration::from_secs(2);
        if let Err(error) = self.replica.raft.call(leader.id, CHECKPOINT_METHOD, bytes::Bytes::new(), deadline).await {
            tracing::debug!(%error, "the leader makes no checkpoint yet");
        }
    }

    /// Reserves encryptions for this node, if it is low on them.
    pub(crate) async fn reserve_uses(&self, core: &Core) -> Result<(), Error> {
        if !core.barrier().is_low_on_uses() {
            return Ok(());
        }
        let (proposal, reservation) = {
            let view = self.replica.table.view().map_err(|error| Error::internal(error.to_string()))?;
            let mut random = SystemRandomness::default();
            let mut context = self.replica.context(&mut random);
            core.reserve_uses(&mut context, &view)?
        };
        match self.replica.propose(&proposal, Instant::now() + READY_TIMEOUT).await? {
            Outcome::Applied { .. } => {
                core.barrier().complete_reservation(reservation);
                Ok(())
            }
            Outcome::Conflict { index } => {
                let _ = self.replica.raft.wait_applied(index, Instant::now() + READY_TIMEOUT).await;
                Err(Error::unavailable("this node's reservation of key uses lost a race; try again"))
            }
            _ => Err(Error::unavailable("this node could not reserve key uses; try again")),
        }
    }
}
