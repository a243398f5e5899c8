//! From an open barrier to a serving node.
//!
//! Keys first, so that tags are checked from here on; then the table is checked against what the cluster agreed on; then
//! uses are reserved, without which nothing can be encrypted. Only a node whose table is confirmed campaigns.

use std::sync::Arc;
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_raft::Role;
use conclave_storage::table::Table;
use conclave_vault::barrier::Barrier;
use conclave_vault::core::Core;
use conclave_vault::error::Error;
use conclave_vault::seal::record::{self, Outside};
use tokio::time::Instant;

use crate::app::App;
use crate::cluster::table_check::{self, Verdict};
use crate::cluster::upkeep;
use crate::serve::unavailable;
use crate::view::SystemRandomness;
use crate::vitals;

/// How long unsealing waits until the node can write; a cluster without a quorum unseals all the same.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at whether there is a leader.
const PAUSE: Duration = Duration::from_millis(20);

/// An unsealing under way. Whatever ends it early, also a panic, leaves a sealed node and no keys.
struct Unsealing {
    app: Arc<App>,
    core: Arc<Core>,
}

impl Unsealing {
    async fn run(self) -> Result<(), Error> {
        let app = &self.app;
        let verdict = app.check_table(&self.core).await?;
        // A rotation that was applied between reading the keyring and now is caught up with.
        app.reload_keyring();
        vitals::look_at_table(app);
        if !app.shared.end_check(&self.core, verdict) {
            return Err(sealed_meanwhile());
        }
        if !app.shared.is_sealed() {
            app.begin_serving();
        }
        let _ = tokio::time::timeout(READY_TIMEOUT, app.become_ready()).await;
        Ok(())
    }
}

impl Drop for Unsealing {
    fn drop(&mut self) {
        if self.app.shared.abandon_check(&self.core) {
            self.core.revoke(&mut SystemRandomness::default());
        }
    }
}

fn sealed_meanwhile() -> Error {
    unavailable("this node was sealed while its table was checked; enter the shares again")
}

impl App {
    /// The records outside the barrier, as this node's table has them; `None` before initialisation.
    pub(crate) fn outside(&self) -> Result<Option<Outside>, Error> {
        let (Some(cluster), Some(seal), Some(keyring)) =
            (self.open_record(record::CLUSTER), self.open_record(record::SEAL), self.open_record(record::KEYRING))
        else {
            return Ok(None);
        };
        let outside = Outside::decode(&cluster.1, &seal.1, &keyring.1);
        outside.map(Some).map_err(|error| Error::internal(error.to_string()))
    }

    /// Unseals this node with an open barrier. The work is a task of the node: a caller that goes away changes nothing.
    pub(crate) async fn unseal(self: &Arc<Self>, barrier: Barrier) -> Result<(), Error> {
        if let Some((revision, _)) = self.open_record(record::KEYRING) {
            barrier.note_installed_at(barrier.active_term(), revision);
        }
        let core = Arc::new(Core::new(barrier));
        if !self.shared.begin_check(&core) {
            return Ok(());
        }
        let unsealing = Unsealing { app: Arc::clone(self), core };
        let ended = tokio::spawn(async move { unsealing.run().await }).await;
        ended.unwrap_or_else(|_| {
            Err(unavailable("unsealing was interrupted and this node is sealed; enter the shares again"))
        })
    }

    async fn check_table(self: &Arc<Self>, core: &Arc<Core>) -> Result<Verdict, Error> {
        let (app, core) = (Arc::clone(self), Arc::clone(core));
        let checked = tokio::task::spawn_blocking(move || {
            table_check::check(&app.table, app.log.as_ref(), &core, app.shared.last_index())
        });
        match checked.await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(_)) if self.shared.unsealed().is_none() => Err(sealed_meanwhile()),
            Ok(Err(error)) => {
                tracing::error!(%error, "this node stays sealed");
                let mut refused = Error::internal(error.to_string());
                refused.messages = vec!["this node's stored data is not what the cluster agreed on; it stays sealed and must be replaced by a fresh node".into()];
                Err(refused)
            }
            Err(error) => Err(Error::internal(error.to_string())),
        }
    }

    fn begin_serving(self: &Arc<Self>) {
        self.wake_upkeep();
        tracing::info!("this node is unsealed");
        if let Some(warning) = crate::memory::lock_warning() {
            tracing::warn!("{warning}");
        }
    }

    async fn become_ready(self: &Arc<Self>) {
        while self.shared.unsealed().is_some() {
            self.try_confirm();
            if let Some(core) = self.shared.serving()
                && self.raft.confirm_leader().await.is_ok()
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
        let confirmed = self.table.applied().checkpoint;
        if confirmed.is_some_and(|(_, index)| self.shared.confirm(index)) {
            self.begin_serving();
        }
    }

    /// Asks the leader for a checkpoint, if this node waits for one.
    pub(crate) async fn ask_for_checkpoint(&self) {
        if !self.shared.is_unconfirmed() {
            return;
        }
        let status = self.raft.status();
        let Some(leader) = status.leader.filter(|_| status.role != Role::Leader) else { return };
        let deadline = Instant::now() + Duration::from_secs(2);
        if let Err(error) = self.raft.call(leader.id, upkeep::CHECKPOINT_METHOD, bytes::Bytes::new(), deadline).await {
            tracing::debug!(%error, "the leader makes no checkpoint yet");
        }
    }

    /// Reserves encryptions for this node, if it is low on them.
    pub(crate) async fn reserve_uses(&self, core: &Core) -> Result<(), Error> {
        if !core.barrier().is_low_on_uses() {
            return Ok(());
        }
        let (proposal, reservation) = {
            let view = self.table.view().map_err(|error| Error::internal(error.to_string()))?;
            let mut random = SystemRandomness::default();
            let mut context = self.context(&mut random);
            core.reserve_uses(&mut context, &view)?
        };
        match self.propose(&proposal, Instant::now() + READY_TIMEOUT).await? {
            Outcome::Applied { .. } => {
                core.barrier().complete_reservation(reservation);
                Ok(())
            }
            Outcome::Conflict { index } => {
                let _ = self.raft.wait_applied(index, Instant::now() + READY_TIMEOUT).await;
                Err(unavailable("this node's reservation of key uses lost a race; try again"))
            }
            _ => Err(unavailable("this node could not reserve key uses; try again")),
        }
    }

    /// Takes over the keyring as the table has it.
    pub(crate) fn reload_keyring(&self) {
        let (Some(core), Some((index, sealed))) = (self.shared.unsealed(), self.open_record(record::KEYRING)) else {
            return;
        };
        let before = core.barrier().active_term();
        let loaded = core.barrier().load_keyring(&sealed, index);
        if loaded.as_ref().is_ok_and(|active| *active != before) {
            tracing::info!(term = core.barrier().active_term(), "the cluster encrypts under a new key term");
            // The fewer rotations lie behind the newest checkpoint, the less a restart has to check.
            self.request_checkpoint();
        }
        if let Err(error) = loaded {
            tracing::error!(%error, "the cluster's keyring does not open with this node's root key: the node seals itself");
            if let Some(core) = self.shared.seal("the keyring does not open") {
                core.revoke(&mut SystemRandomness::default());
            }
        }
    }

    /// A snapshot took the table's place: it is served once a checkpoint confirms it.
    pub(crate) fn snapshot_installed(&self) {
        if self.shared.withdraw(self.table.rewind_index()) {
            self.reload_keyring();
            self.wake_upkeep();
        }
    }
}
