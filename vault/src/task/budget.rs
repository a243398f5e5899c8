//! What one run of background work may still do, and what went wrong in it.

use crate::error::Error;
use crate::store::Store;

/// What one run may still do.
pub(super) struct Budget {
    /// Pieces of work that are left.
    pub(super) left: usize,
    /// The first thing that went wrong.
    pub(super) error: Option<Error>,
}

impl Budget {
    /// Does one piece of work that may use up to the rest; if it fails, nothing of it remains.
    pub(super) fn attempt<'s>(
        &mut self,
        store: &mut Store<'s>,
        work: impl FnOnce(&mut Store<'s>) -> Result<usize, Error>,
    ) {
        let mark = store.mark();
        match work(store) {
            Ok(items) => self.left = self.left.saturating_sub(items),
            Err(error) => {
                store.discard_since(mark);
                self.error.get_or_insert(error);
            }
        }
    }
}
