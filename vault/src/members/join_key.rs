//! Where the members keep the key with which nodes prove that they may join ([`crate::seal::proof`]).
//!
//! It comes from the unseal key, which no member keeps, so whoever is unsealed by shares writes it down. A new seal has
//! another; until shares of that were entered once, nobody joins by shares.

use prost::Message;

use crate::error::Error;
use crate::seal::proof::JoinKey;
use crate::store::Store;

/// Where the record lies in the system area.
const JOIN_KEY: &[&str] = &["core", "join-key"];

/// The key. Has no `Debug`, because it is one.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct JoinKeyRecord {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    /// Generation of the seal.
    #[prost(uint64, tag = "2")]
    generation: u64,
}

/// The key for the seal of this generation; `None` if nobody has written it yet.
pub fn load(store: &mut Store<'_>, generation: u64) -> Result<Option<JoinKey>, Error> {
    let system = store.system();
    let record: Option<JoinKeyRecord> = store.get(&system, JOIN_KEY)?;
    Ok(record.filter(|record| record.generation == generation).and_then(|record| JoinKey::from_slice(&record.key)))
}

/// Writes the key down, unless one of this generation or of a later one is there.
pub fn note(store: &mut Store<'_>, key: &JoinKey, generation: u64) -> Result<(), Error> {
    let system = store.system();
    let known: Option<JoinKeyRecord> = store.get(&system, JOIN_KEY)?;
    if known.is_some_and(|known| known.generation >= generation) {
        return Ok(());
    }
    store.put(&system, JOIN_KEY, &JoinKeyRecord { key: key.expose().to_vec(), generation })
}
