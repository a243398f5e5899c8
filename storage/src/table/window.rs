//! The batch-id window: what the last [`WINDOW`] entries answered, by batch id.
//!
//! On disk it is a ring of [`WINDOW`] slots, one row each, so old ids leave by being overwritten. In memory it is
//! indexed by id, about 80 bytes an entry, so looking an id up reads no row. A batch older than the window cannot
//! be done twice: its base lies further back than the window reaches, and apply refuses that.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use bytes::Bytes;
use conclave_batch::{Outcome, WINDOW};

use super::TableError;
use super::format::{Identity, identity_row, malformed, read_identity};
use super::rows::{Partition, RowView};

/// The window in memory.
#[derive(Default)]
pub(crate) struct Window {
    by_id: HashMap<[u8; 16], (u64, Outcome)>,
    /// Index and id, ascending by index.
    order: VecDeque<(u64, [u8; 16])>,
}

impl Window {
    /// Reads the ring of a view whose last applied index is `last`.
    pub(crate) fn load(view: &impl RowView, last: u64) -> Result<Self, TableError> {
        let mut identities = Vec::new();
        view.scan(Partition::Identities, &[], None, &mut |key, row| {
            let identity = read_identity(row)?;
            if key != slot_key(identity.index).as_ref() || identity.index > last || identity.index + WINDOW <= last {
                return Err(malformed("batch id"));
            }
            identities.push(identity);
            Ok(ControlFlow::Continue(()))
        })?;
        identities.sort_unstable_by_key(|identity| identity.index);
        let mut window = Self::default();
        window.extend(identities, last);
        Ok(window)
    }

    /// What a batch answered, if it was seen less than [`WINDOW`] entries before `at`.
    pub(crate) fn find(&self, id: &[u8; 16], at: u64) -> Option<Outcome> {
        let (index, outcome) = self.by_id.get(id)?;
        (index + WINDOW > at).then_some(*outcome)
    }

    /// Takes in what a call of apply saw, ascending, and drops what lies too far behind `last`.
    pub(crate) fn extend(&mut self, identities: Vec<Identity>, last: u64) {
        for identity in identities {
            self.by_id.insert(identity.id, (identity.index, identity.outcome));
            self.order.push_back((identity.index, identity.id));
        }
        while let Some(&(index, id)) = self.order.front()
            && index + WINDOW <= last
        {
            self.order.pop_front();
            // An id is in the window once: while it is there, apply answers it without recording it again.
            if self.by_id.get(&id).is_some_and(|(at, _)| *at == index) {
                self.by_id.remove(&id);
            }
        }
    }

    /// The batch that was seen at an index, if one was and it is still held.
    fn at(&self, index: u64) -> Option<Identity> {
        let place = self.order.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        let (index, id) = self.order[place];
        let (_, outcome) = self.by_id.get(&id).filter(|(at, _)| *at == index)?;
        Some(Identity { index, id, outcome: *outcome })
    }
}

/// The window as one call of apply sees and extends it.
pub(crate) struct Draft<'a> {
    window: &'a Window,
    added: Vec<Identity>,
    added_by_id: HashMap<[u8; 16], usize>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(window: &'a Window) -> Self {
        Self { window, added: Vec::new(), added_by_id: HashMap::new() }
    }

    /// What a batch answered, seen from the entry at `at`.
    pub(crate) fn find(&self, id: &[u8; 16], at: u64) -> Option<Outcome> {
        let added = self.added_by_id.get(id).map(|place| self.added[*place]);
        match added.filter(|identity| identity.index + WINDOW > at) {
            Some(identity) => Some(identity.outcome),
            None => self.window.find(id, at),
        }
    }

    /// The row that the slot of `index` holds before that entry is applied.
    pub(crate) fn stored_at_slot_of(&self, index: u64) -> Option<Bytes> {
        let previous = index.checked_sub(WINDOW)?;
        let added = self.added.binary_search_by_key(&previous, |identity| identity.index).ok();
        added.map(|place| self.added[place]).or_else(|| self.window.at(previous)).map(|found| identity_row(&found))
    }

    /// Records a batch; indexes ascend.
    pub(crate) fn record(&mut self, identity: Identity) {
        self.added_by_id.insert(identity.id, self.added.len());
        self.added.push(identity);
    }

    pub(crate) fn into_added(self) -> Vec<Identity> {
        self.added
    }
}

/// Key of the slot that an entry uses: index modulo [`WINDOW`], 4 bytes.
pub(crate) fn slot_key(index: u64) -> Bytes {
    let slot = u32::try_from(index % WINDOW).expect("the window has 2^18 slots");
    Bytes::copy_from_slice(&slot.to_be_bytes())
}
