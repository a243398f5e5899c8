//! Adapters between the crates: the table's views as the core reads them, and the system's randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use conclave_storage::table;
use conclave_vault::context::Random;
use conclave_vault::time::Time;
use conclave_vault::view::{Directory, Name, Record, View, ViewError};

/// A point in time of the table, as the core reads it.
pub(crate) struct TableView(pub(crate) Box<dyn table::View>);

impl View for TableView {
    fn index(&self) -> u64 {
        self.0.index()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError> {
        let record = self.0.get(key).map_err(failed)?;
        Ok(record.map(|record| Record { revision: record.revision, value: record.value }))
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        let directory = self.0.directory(key).map_err(failed)?;
        Ok(Directory { revision: directory.revision, count: directory.count })
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError> {
        let names = self.0.names(key, after, limit).map_err(failed)?;
        let convert = |name: table::Name| Name {
            segment: name.segment,
            has_value: name.has_value,
            has_children: name.has_children,
        };
        Ok(names.into_iter().map(convert).collect())
    }
}

fn failed(error: table::TableError) -> ViewError {
    ViewError(error.to_string())
}

/// The operating system's randomness.
pub(crate) struct SystemRandomness(SystemRandom);

impl Default for SystemRandomness {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Random for SystemRandomness {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer).expect("the operating system gives random bytes, or nothing here is safe");
    }
}

/// The node's clock.
pub(crate) fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}
