//! Committing how far the chains of this node's devices are, so that a file that loses its end, or is made anew, shows.
//!
//! What is written between two commits can be cut off without a trace: that is what the interval bounds.

use std::time::Duration;

use conclave_vault::{AuditHead, Core, note_audit_heads};
use tokio::time::Instant;

use crate::audit::Audit;
use crate::config::limits::AUDIT_HEADS_INTERVAL;
use crate::seal::Seal;

/// Longest wait for one commit. It is tried again.
const TIMEOUT: Duration = Duration::from_secs(5);

/// When heads were committed last, and which.
#[derive(Default)]
pub(crate) struct Vouching {
    last: Option<(Instant, Vec<AuditHead>)>,
}

impl Vouching {
    /// Commits the heads if lines were written since, and the last time is long enough ago.
    pub(crate) async fn commit_if_due(&mut self, seal: &Seal, core: &Core, audit: &Audit) {
        let heads = audit.heads();
        let is_due = self.last.as_ref().is_none_or(|(at, last)| at.elapsed() >= AUDIT_HEADS_INTERVAL && *last != heads);
        if heads.is_empty() || !is_due {
            return;
        }
        commit(seal, core, audit).await;
        self.last = Some((Instant::now(), heads));
    }
}

/// Commits the heads as they are now. If that fails, the next ones vouch for these lines too.
pub(crate) async fn commit(seal: &Seal, core: &Core, audit: &Audit) {
    let heads = audit.heads();
    if heads.is_empty() {
        return;
    }
    let node_id = seal.replica.identity.id();
    let noted =
        seal.replica.change(core, Instant::now() + TIMEOUT, |store, _| note_audit_heads(store, node_id, &heads));
    let _ = noted.await;
}
