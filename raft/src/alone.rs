//! Read points of a leader that is the whole cluster, which needs nobody's word.
//!
//! What clients were told is done, this node told them, once it had applied it; so what is applied here covers it. That holds
//! while there is no other member: one that sees its own write come out of the log may say so before the leader has
//! applied it. Whether there is one is what openraft published last, which may be late: a membership counts
//! from the moment at which its entry is appended, so the log notes that, on consensus's own thread, and a newer one that
//! was not published, or not applied, sends readers the way that always works.

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use crate::raft::Inner;

impl Inner {
    /// An index that covers every write acknowledged before this call, if this node alone can tell.
    pub(crate) fn own_read_point(&self) -> Option<u64> {
        let applied = self.progress.last()?;
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = &metrics.membership_config;
        let since = membership.log_id().as_ref()?.index;
        let is_alone = membership.nodes().all(|(id, _)| *id == self.id) && membership.voter_ids().eq([self.id]);
        let is_current = self.progress.appended_membership() <= since && since <= applied.index;
        // What an earlier leader acknowledged is applied once the first entry of this one is.
        let leads = metrics.state == ServerState::Leader && applied.leader_id == metrics.vote.leader_id;
        (is_alone && is_current && leads).then_some(applied.index)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use conclave_storage::log::MemoryLog;
    use conclave_storage::table::MemoryTable;
    use tokio::time::timeout;

    use crate::config::Config;
    use crate::identity::Identity;
    use crate::raft::Raft;
    use crate::tests::Indifferent;

    async fn start() -> Raft {
        let identity = Arc::new(Identity::ephemeral().unwrap());
        let (log, table) = (Arc::new(MemoryLog::new()), Arc::new(MemoryTable::new()));
        Raft::start(Config::single("http://127.0.0.1:8200"), identity, log, table, Arc::new(Indifferent)).await.unwrap()
    }

    #[tokio::test]
    async fn a_membership_that_is_in_the_log_alone_ends_it() {
        let (raft, other) = (start().await, start().await);
        raft.bootstrap().await.unwrap();
        let inner = raft.inner();
        let leads = async {
            while inner.own_read_point().is_none() {
                tokio::task::yield_now().await;
            }
        };
        timeout(std::time::Duration::from_secs(60), leads).await.expect("it leads, and has applied its first entry");
        inner.progress.note_membership(inner.progress.index() + 1);
        assert_eq!(inner.own_read_point(), None);
        other.bootstrap().await.unwrap();
        other.add_learner(raft.member()).await.unwrap();
        assert!(other.inner().progress.appended_membership() > 0, "the log notes it");
        other.shutdown().await;
        raft.shutdown().await;
    }
}
