//! Which members have connections open to this node, and that one of them ended.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The connections that members have open to this node.
#[derive(Default)]
pub(crate) struct MemberConnections {
    open: Mutex<HashMap<u64, usize>>,
    /// Told when one ends.
    ended: Notify,
}

/// One of them; its end is told.
pub(crate) struct MemberConnection {
    all: Arc<MemberConnections>,
    id: u64,
}

impl MemberConnections {
    /// A member opened one.
    pub(crate) fn enter(self: &Arc<Self>, id: u64) -> MemberConnection {
        *self.open.lock().entry(id).or_default() += 1;
        MemberConnection { all: Arc::clone(self), id }
    }

    /// Resolves once a connection ended since it was asked last.
    pub(crate) async fn one_ended(&self) {
        self.ended.notified().await;
    }

    /// Whether a member has one open.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.open.lock().contains_key(&id)
    }
}

impl Drop for MemberConnection {
    fn drop(&mut self) {
        let mut open = self.all.open.lock();
        if let Some(count) = open.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.id);
            }
        }
        drop(open);
        self.all.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_a_connection_until_the_last_one_ends() {
        let all = Arc::<MemberConnections>::default();
        let (first, second, other) = (all.enter(7), all.enter(7), all.enter(8));
        drop(first);
        assert!(all.has(7), "another one is open");
        drop(second);
        assert!(!all.has(7) && all.has(8));
        drop(other);
        assert!(all.open.lock().is_empty());
    }
}
