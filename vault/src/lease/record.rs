//! What an engine lent out, as it is stored. A record lies under the lease's name alone, which is random, so a lease is found
//! by its id wherever its mount is by now.

use prost::Message;
use zeroize::Zeroize;

use crate::error::Error;
use crate::lease::entry::{self, EntryRecord};
use crate::lease::origin::Origin;
use crate::limits::MAX_SEGMENT_BYTES;
use crate::store::Store;
use crate::time::Time;

/// Directory of the records in the system area.
const FOLDER: &str = "leased";
/// Directory of the leases that a token holds, by the token's hash.
const BY_TOKEN: [&str; 2] = ["token", "lease"];

/// How far a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum LeaseState {
    /// Its making was begun. If nobody gives it, it is taken back.
    Begun = 0,
    /// Somebody has it.
    Given = 1,
    /// It is over, and what was given is being taken back.
    Ending = 2,
    /// It is over, and what was given could not be taken back.
    Irrevocable = 3,
}

/// A lease as it is stored.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct LeaseRecord {
    /// How far it is.
    #[prost(enumeration = "LeaseState", tag = "1")]
    pub state: i32,
    /// The full path that gave it; what its id begins with.
    #[prost(string, tag = "2")]
    pub path: String,
    /// The mount that gave it, and the path below that.
    #[prost(message, required, tag = "3")]
    pub origin: Origin,
    /// Generation of revocations in which it was begun; see [`crate::lease::revocation`].
    #[prost(uint64, tag = "4")]
    pub generation: u64,
    /// Hash of the token that holds it, with which it ends; empty if there is none.
    #[prost(string, tag = "5")]
    pub token: String,
    /// When it was begun, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "6")]
    pub issued_nanos: i64,
    /// When it expires; of one that is only begun, when it is given up.
    #[prost(int64, tag = "7")]
    pub expires_nanos: i64,
    /// When it was last renewed; 0 is never.
    #[prost(int64, tag = "8")]
    pub renewed_nanos: i64,
    /// Where its entry in the calendar is; 0 if it has none.
    #[prost(int64, tag = "9")]
    pub due_nanos: i64,
    /// Whether it can be renewed.
    #[prost(bool, tag = "10")]
    pub is_renewable: bool,
    /// What the engine must reach to take it back. Of those with one target only a few are taken back at once.
    #[prost(string, tag = "11")]
    pub target: String,
    /// What the engine needs to renew it and to take it back; may be secret.
    #[prost(bytes = "vec", tag = "12")]
    pub data: Vec<u8>,
    /// How often taking it back failed.
    #[prost(uint32, tag = "13")]
    pub attempts: u32,
    /// Why it failed last; for people.
    #[prost(string, tag = "14")]
    pub reason: String,
    /// Whether it goes after the next attempt, however that ends.
    #[prost(bool, tag = "15")]
    pub is_forced: bool,
    /// Longest life with all renewals that the engine wanted, in seconds; 0 is the mount's.
    #[prost(uint64, tag = "16")]
    pub max_secs: u64,
}

impl Drop for LeaseRecord {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

/// A lease. Has no `Debug`, because of its data.
#[derive(Clone)]
pub struct Lease {
    /// The last part of its id.
    pub name: String,
    /// As stored.
    pub record: LeaseRecord,
}

impl Lease {
    /// What is stored for a lease.
    pub(crate) fn stored(store: &mut Store<'_>, name: &str) -> Result<Option<Self>, Error> {
        if name.is_empty() || name.len() > MAX_SEGMENT_BYTES {
            return Ok(None);
        }
        let system = store.system();
        let record = store.get(&system, &[FOLDER, name])?;
        Ok(record.map(|record| Self { name: name.to_owned(), record }))
    }

    /// What clients call it.
    pub fn id(&self) -> String {
        format!("{}/{}", self.record.path, self.name)
    }

    /// When it was begun, from which its longest life counts.
    pub fn issued(&self) -> Time {
        Time::from_nanos(self.record.issued_nanos)
    }

    /// When it expires.
    pub fn expires(&self) -> Time {
        Time::from_nanos(self.record.expires_nanos)
    }

    /// Writes it where it is found: by its name, its path and its token.
    pub(super) fn add(&self, store: &mut Store<'_>) -> Result<(), Error> {
        self.save(store)?;
        entry::add(store, &self.record.origin, &self.name)?;
        if self.record.token.is_empty() {
            return Ok(());
        }
        let system = store.system();
        store.put(&system, &[BY_TOKEN[0], BY_TOKEN[1], &self.record.token, &self.name], &EntryRecord {})
    }

    /// Writes its record.
    pub(super) fn save(&self, store: &mut Store<'_>) -> Result<(), Error> {
        let system = store.system();
        store.put(&system, &[FOLDER, &self.name], &self.record)
    }

    /// Removes it from everywhere but the calendar.
    pub(super) fn remove(&self, store: &mut Store<'_>) {
        let system = store.system();
        store.delete(&system, &[FOLDER, &self.name]);
        entry::remove(store, &self.record.origin, &self.name);
        self.leave_token(store);
    }

    /// Its token holds it no longer.
    pub(super) fn leave_token(&self, store: &mut Store<'_>) {
        if !self.record.token.is_empty() {
            let system = store.system();
            store.delete(&system, &[BY_TOKEN[0], BY_TOKEN[1], &self.record.token, &self.name]);
        }
    }
}

/// Directory of the leases that a token holds.
pub(crate) fn of_token(hash: &str) -> [&str; 3] {
    [BY_TOKEN[0], BY_TOKEN[1], hash]
}
