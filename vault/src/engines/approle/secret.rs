//! Secret ids as they are stored: a record under an HMAC of the id, which itself is nowhere, and an accessor beside it.
//!
//! Both lie in the folder of their role, so neither a secret id nor an accessor is found by way of another role. A
//! secret id that expired counts as absent from that moment on, whether or not its record was removed yet.

use std::collections::BTreeMap;

use prost::Message;

use crate::engine::{Call, Work};
use crate::error::Error;
use crate::limits::MAX_SEGMENT_BYTES;
use crate::mount::Mount;
use crate::store::{Area, Store};
use crate::time::Time;

/// Directory of the roles' folders in the mount's area.
const FOLDER: &str = "secret";

/// A secret id as it is stored.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct SecretIdRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(super) accessor: String,
    /// Logins left; 0 is without limit, for at the last one the record goes.
    #[prost(uint64, tag = "2")]
    pub(super) uses_left: u64,
    /// Time to live that it was made with, in seconds; 0 is without end.
    #[prost(uint64, tag = "3")]
    pub(super) ttl_secs: u64,
    /// When it was made, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "4")]
    pub(super) created_nanos: i64,
    /// When it expires, nanoseconds since the Unix epoch; 0 is never.
    #[prost(int64, tag = "5")]
    pub(super) expires_nanos: i64,
    /// When it last changed, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "6")]
    pub(super) updated_nanos: i64,
    /// Becomes metadata of tokens.
    #[prost(btree_map = "string, string", tag = "7")]
    pub(super) metadata: BTreeMap<String, String>,
    /// Address ranges from which a login may come; none is from everywhere.
    #[prost(string, repeated, tag = "8")]
    pub(super) cidrs: Vec<String>,
    /// Address ranges that tokens are bound to; none is what the role says.
    #[prost(string, repeated, tag = "9")]
    pub(super) token_cidrs: Vec<String>,
}

impl SecretIdRecord {
    fn is_expired(&self, now: Time) -> bool {
        self.expires_nanos != 0 && self.expires_nanos <= now.nanos()
    }

    /// When it expires; `None` is never.
    pub(super) fn expires(&self) -> Option<Time> {
        (self.expires_nanos != 0).then(|| Time::from_nanos(self.expires_nanos))
    }
}

/// What an accessor stands for.
#[derive(Clone, PartialEq, Message)]
struct SecretIdAccessorRecord {
    /// Hash of the secret id.
    #[prost(string, tag = "1")]
    hash: String,
}

/// Where a role's secret ids and accessors lie.
pub(super) fn folder_of(role_id: &str) -> [&str; 2] {
    [FOLDER, role_id]
}

/// The directory of a role's accessors.
pub(super) fn accessors_path(role_id: &str) -> [&str; 3] {
    [FOLDER, role_id, "accessor"]
}

fn accessor_path<'a>(role_id: &'a str, accessor: &'a str) -> [&'a str; 4] {
    [FOLDER, role_id, "accessor", accessor]
}

/// A secret id of a role, by the hash that stands for it.
#[derive(Clone)]
pub(super) struct SecretIdPath {
    /// The role's internal id.
    role: String,
    /// Hexadecimal HMAC of the secret id.
    hash: String,
}

impl SecretIdPath {
    /// Where a secret id of a role lies, if it is there.
    pub(super) fn new(mount: &Mount, role: &str, secret_id: &str) -> Self {
        Self { role: role.to_owned(), hash: hex::encode(mount.keys.index("secret id", secret_id.as_bytes())) }
    }

    fn path(&self) -> [&str; 4] {
        [FOLDER, &self.role, "id", &self.hash]
    }

    /// The name of its entry in the calendar of what expires.
    fn calendar_name(&self) -> String {
        format!("{}.{}", self.role, self.hash)
    }
}

/// Where the secret id of an accessor lies; `None` if the role has no such accessor.
pub(super) fn by_accessor(call: &mut Call<'_, '_>, role: &str, accessor: &str) -> Result<Option<SecretIdPath>, Error> {
    if accessor.len() > MAX_SEGMENT_BYTES {
        return Ok(None);
    }
    let area = call.mount.area.clone();
    let record = call.store.get::<SecretIdAccessorRecord>(&area, &accessor_path(role, accessor))?;
    Ok(record.map(|record| SecretIdPath { role: role.to_owned(), hash: record.hash }))
}

/// A secret id that counts.
pub(super) fn find(call: &mut Call<'_, '_>, place: &SecretIdPath) -> Result<Option<SecretIdRecord>, Error> {
    let (area, now) = (call.mount.area.clone(), call.context.now);
    let record = call.store.get::<SecretIdRecord>(&area, &place.path())?;
    Ok(record.filter(|record| !record.is_expired(now)))
}

/// Stores a new secret id, in place of an expired one that has not gone yet. The caller saw that none counts.
pub(super) fn create(call: &mut Call<'_, '_>, place: &SecretIdPath, record: &SecretIdRecord) -> Result<(), Error> {
    let mount = call.mount.clone();
    if let Some(expired) = call.store.get::<SecretIdRecord>(&mount.area, &place.path())? {
        destroy(call, place, &expired);
    }
    call.store.put(&mount.area, &place.path(), record)?;
    let accessor = SecretIdAccessorRecord { hash: place.hash.clone() };
    call.store.put(&mount.area, &accessor_path(&place.role, &record.accessor), &accessor)?;
    match record.expires() {
        Some(expires) => call.work().remind(expires, &place.calendar_name()),
        None => Ok(()),
    }
}

/// Counts one login. The last one ends the secret id. The read before was a guard, so that of two logins with one use
/// left only one is served, wherever they run.
pub(super) fn spend(call: &mut Call<'_, '_>, place: &SecretIdPath, record: &SecretIdRecord) -> Result<(), Error> {
    match record.uses_left {
        0 => Ok(()),
        1 => {
            destroy(call, place, record);
            Ok(())
        }
        uses => {
            let updated_nanos = call.context.now.nanos();
            let area = call.mount.area.clone();
            let record = SecretIdRecord { uses_left: uses - 1, updated_nanos, ..record.clone() };
            call.store.put(&area, &place.path(), &record)
        }
    }
}

/// Ends a secret id.
pub(super) fn destroy(call: &mut Call<'_, '_>, place: &SecretIdPath, record: &SecretIdRecord) {
    let mount = call.mount.clone();
    delete(call.store, &mount.area, place, record);
    if let Some(expires) = record.expires() {
        call.work().forget_reminder(expires, &place.calendar_name());
    }
}

fn delete(store: &mut Store<'_>, area: &Area, place: &SecretIdPath, record: &SecretIdRecord) {
    store.delete(area, &place.path());
    store.delete(area, &accessor_path(&place.role, &record.accessor));
}

/// Removes the record of a secret id if it expired; `name` is that of its entry in the calendar.
pub(super) fn expire(work: &mut Work<'_, '_>, name: &str) -> Result<(), Error> {
    let (role, hash) =
        name.split_once('.').ok_or_else(|| Error::internal("an entry of the calendar names no secret id"))?;
    let place = SecretIdPath { role: role.to_owned(), hash: hash.to_owned() };
    let record = work.store.get::<SecretIdRecord>(&work.mount.area, &place.path())?;
    if let Some(record) = record.filter(|record| record.is_expired(work.context.now)) {
        delete(work.store, &work.mount.area, &place, &record);
    }
    Ok(())
}
