//! Rewind: back to the newest index that somebody with keys vouched for, so that the log can be applied again from
//! there with every tag checked.
//!
//! The rows on the disk stand there, so whatever was changed since is forgotten. Trusts nothing on this disk: the digest is computed
//! from every row. Whoever altered a row, or where the table says it stands, gets a digest or an index that no signed checkpoint
//! names.

use super::apply::State;
use super::digest::LtHash;
use super::revisioned::{Inner, load, stand};
use super::rows::{Home, Rows};
use super::stack::Base;
use super::{Rewound, TableError};

impl<H: Home> Inner<H> {
    /// Forgets what lies in memory, and adds the rows on the disk up.
    pub(crate) fn rewind(&self) -> Result<Rewound, TableError> {
        let _alone = self.merging.lock();
        self.merge_alone()?;
        let mut writer = self.writer.lock();
        writer.check()?;
        let checkpoint = self.published().state.applied.checkpoint;
        let again = || {
            let view = writer.rows.view();
            let hash = LtHash::over(&view)?;
            let (found, _) = load(writer.rows.as_ref())?;
            let at = found.stack.base().at.clone();
            stand(Base { view, at, hash }, checkpoint)
        };
        let (state, window) = again().inspect_err(|_| writer.has_failed = true)?;
        let State { applied, stack, .. } = &state;
        let rewound = Rewound { applied: applied.clone(), digest: stack.base().hash.digest() };
        self.replace(state, window);
        Ok(rewound)
    }
}
