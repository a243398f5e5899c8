//! A view of the table that takes the time of what the core reads.
//!
//! The times are the process's, because a view is made wherever one is needed.

use std::time::Instant;

use bytes::Bytes;
use conclave_batch::{Directory, Name, Record, View, ViewError};

use super::summary::Summary;

/// Records read.
pub(super) static GETS: Summary = Summary::new();
/// Names read.
pub(super) static LISTS: Summary = Summary::new();

/// The view, timed.
pub(crate) struct Timed(pub(crate) Box<dyn View>);

impl View for Timed {
    fn index(&self) -> u64 {
        self.0.index()
    }

    fn lineage(&self) -> u64 {
        self.0.lineage()
    }

    fn may_have_changed(&self, key: &[u8], since: u64) -> bool {
        self.0.may_have_changed(key, since)
    }

    fn written_below(&self, directory: &[u8], since: u64) -> Option<Vec<Bytes>> {
        self.0.written_below(directory, since)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError> {
        let started = Instant::now();
        let record = self.0.get(key);
        GETS.observe(started.elapsed());
        record
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        self.0.directory(key)
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError> {
        let started = Instant::now();
        let names = self.0.names(key, after, limit);
        LISTS.observe(started.elapsed());
        names
    }
}
