//! The gauges among the metrics, brought up to date from what the node's parts say.

use std::sync::Arc;

use conclave_storage::table::Table;

use crate::http::in_flight::InFlight;
use crate::seal::Seal;

/// What the gauges are read from.
pub(crate) struct Gauges {
    pub(crate) seal: Arc<Seal>,
    pub(crate) in_flight: Arc<InFlight>,
}

impl Gauges {
    /// Brings them up to date, and notices a change of role.
    pub(crate) fn publish(&self) {
        let (replica, state) = (&self.seal.replica, &self.seal.state);
        let status = replica.status();
        replica.note_role(&status);
        replica.metrics.set_raft(&status, replica.raft.metrics(), |id| replica.node_name(id));
        replica.metrics.set_node(state.state(), !state.is_sealed(), self.in_flight.count());
        if replica.is_initialized() {
            replica.metrics.set_cluster(&replica.cluster_name(), self.count_tokens());
        }
    }

    fn count_tokens(&self) -> u64 {
        let view = self.seal.replica.table.view().ok();
        let Some((core, view)) = self.seal.state.serving().zip(view) else { return 0 };
        core.count_tokens(&view).unwrap_or(0)
    }
}
