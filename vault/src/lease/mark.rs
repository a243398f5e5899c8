//! Marks: what ends all leases below a path at once, checked at each use.
//!
//! Each lease remembers the generation in which it was given; a mark ends those of an earlier generation at its place. A
//! mark begins a new generation, and whoever gives a lease has read the record of the marks: so of a lease and a mark
//! that are written at the same moment, either the mark comes later and ends it, or the lease is refused by its guard
//! and given again in the new generation. Clocks have no part in it.

use std::sync::Arc;

use prost::Message;

use crate::error::Error;
use crate::lease::Origin;
use crate::store::{Store, decode};

/// Where the marks lie in the system area.
const PLACE: &[&str] = &["core", "revocations"];
/// Ends what lies at a place and was given before.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Mark {
    /// The generation that it began.
    #[prost(uint64, tag = "1")]
    pub(super) generation: u64,
    /// The place.
    #[prost(message, required, tag = "2")]
    pub(super) origin: Origin,
}

/// All marks, as they are stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Revocations {
    /// The present generation.
    #[prost(uint64, tag = "1")]
    pub(super) generation: u64,
    /// Those whose leases are not removed yet.
    #[prost(message, repeated, tag = "2")]
    pub(super) marks: Vec<Mark>,
}

impl Revocations {
    /// Reads them.
    pub(crate) fn load(store: &mut Store<'_>) -> Result<Arc<Self>, Error> {
        let system = store.system();
        store.get_cached_or_default(&system, PLACE, decode::<Self>)
    }

    pub(super) fn save(&self, store: &mut Store<'_>) -> Result<(), Error> {
        let system = store.system();
        store.put(&system, PLACE, self)
    }

    /// The generation of what is given now.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a mark ends what was given at a place in a generation.
    pub(crate) fn end(&self, origin: &Origin, generation: u64) -> bool {
        self.marks.iter().any(|mark| generation < mark.generation && mark.origin.covers(origin))
    }
}
