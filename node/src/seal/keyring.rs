//! The keyring in memory follows the one in the table. Apply calls this, so it needs no more than a table and the keys.

use std::sync::Arc;

use conclave_storage::table::Table;
use conclave_vault::seal::{CLUSTER, ClusterRecord, KEYRING};
use prost::Message;

use super::state::SealState;
use crate::replica::gated::GatedTable;
use crate::view::SystemRandomness;
use crate::wakeups::Wakeups;

/// Takes over keyring and epoch as the table has them.
pub(crate) fn reload(state: &SealState, table: &GatedTable, wakeups: &Wakeups) {
    let (Some(core), Some((index, sealed))) = (state.unsealed(), table.open_record(KEYRING)) else {
        return;
    };
    if let Some((_, cluster)) = table.open_record(CLUSTER)
        && let Ok(cluster) = ClusterRecord::decode(cluster)
    {
        core.barrier().raise_epoch(cluster.epoch);
    }
    let before = core.barrier().active_term();
    let loaded = core.barrier().load_keyring(&sealed, index);
    if loaded.as_ref().is_ok_and(|active| *active != before) {
        tracing::info!(term = core.barrier().active_term(), "the cluster encrypts under a new key term");
        // The fewer rotations lie behind the newest checkpoint, the less a restart has to check.
        wakeups.request_checkpoint();
    }
    if let Err(error) = loaded {
        tracing::error!(%error, "the cluster's keyring does not open with this node's root key: the node seals itself");
        if let Some(core) = state.seal("the keyring does not open") {
            core.revoke(&mut SystemRandomness::default());
        }
    }
}

/// What is to be done before a snapshot takes the table's place: the node withdraws, because nobody has confirmed the new
/// table yet. At which index a checkpoint will is known after.
pub(crate) fn before_snapshot(state: &Arc<SealState>) -> impl Fn() + Send + Sync + 'static {
    let state = Arc::clone(state);
    move || _ = state.withdraw(u64::MAX)
}

/// A snapshot took the table's place: it is served once a checkpoint confirms it.
pub(crate) fn after_snapshot(state: &SealState, table: &GatedTable, wakeups: &Wakeups) {
    if state.withdraw(table.rewind_index()) {
        reload(state, table, wakeups);
        wakeups.wake_upkeep();
    }
}
