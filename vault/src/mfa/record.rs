//! What is stored of methods, enforcements and keys, and where it lies in the area of identity.

use prost::Message;
use zeroize::Zeroize;

use crate::error::Error;
use crate::identity;
use crate::otp::{Codes, OtpAlgorithm};
use crate::store::Store;

const METHODS: &str = "mfa-method";
const ENFORCEMENTS: &str = "mfa-enforcement";
const SECRETS: &str = "mfa-secret";

/// A method: one-time codes by the clock.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MfaMethodRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// For people; may be empty.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) issuer: String,
    #[prost(string, tag = "4")]
    pub(crate) algorithm: String,
    #[prost(uint32, tag = "5")]
    pub(crate) digits: u32,
    #[prost(uint64, tag = "6")]
    pub(crate) period_secs: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) skew: u64,
    /// Bytes of a new key.
    #[prost(uint32, tag = "8")]
    pub(crate) key_bytes: u32,
    /// Width of the image of a new key; 0 is none.
    #[prost(uint32, tag = "9")]
    pub(crate) qr_pixels: u32,
    /// Wrong codes in a row before nobody may try for a while.
    #[prost(uint32, tag = "10")]
    pub(crate) max_attempts: u32,
}

impl MfaMethodRecord {
    /// How the codes of a key of this method are made.
    pub(crate) fn codes<'k>(&self, secret: &'k [u8]) -> Codes<'k> {
        Codes {
            secret,
            algorithm: OtpAlgorithm::parse(&self.algorithm).unwrap_or(OtpAlgorithm::Sha1),
            digits: self.digits,
            period_secs: self.period_secs,
        }
    }
}

/// Which logins need which methods.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EnforcementRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// One of them must be satisfied.
    #[prost(string, repeated, tag = "3")]
    pub(crate) method_ids: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(crate) accessors: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) kinds: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub(crate) entity_ids: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    pub(crate) group_ids: Vec<String>,
}

/// The key of an entity for a method. Has no `Debug`: it is a secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct MfaSecretRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) secret: Vec<u8>,
    /// Periods whose code was used, as far as they could count again.
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) used: Vec<u64>,
    /// Wrong codes in a row.
    #[prost(uint32, tag = "3")]
    pub(crate) attempts: u32,
    /// Time of the last one, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "4")]
    pub(crate) last_nanos: i64,
}

impl Drop for MfaSecretRecord {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// All records of a directory, by name.
fn all<R: Message + Default>(store: &mut Store<'_>, folder: &str) -> Result<Vec<R>, Error> {
    let area = identity::area(store)?;
    let names = store.list(&area, &[folder])?;
    let mut records = Vec::with_capacity(names.len());
    for name in names.iter() {
        records.extend(store.get(&area, &[folder, &name.name])?);
    }
    Ok(records)
}

/// All methods.
pub(crate) fn methods(store: &mut Store<'_>) -> Result<Vec<MfaMethodRecord>, Error> {
    all(store, METHODS)
}

/// A method by its id.
pub(super) fn method(store: &mut Store<'_>, id: &str) -> Result<Option<MfaMethodRecord>, Error> {
    let area = identity::area(store)?;
    store.get(&area, &[METHODS, id])
}

pub(crate) fn save_method(store: &mut Store<'_>, method: &MfaMethodRecord) -> Result<(), Error> {
    let area = identity::area(store)?;
    store.put(&area, &[METHODS, &method.id], method)
}

pub(crate) fn remove_method(store: &mut Store<'_>, id: &str) -> Result<(), Error> {
    let area = identity::area(store)?;
    store.delete(&area, &[METHODS, id]);
    Ok(())
}

/// The name of an enforcement that needs a method.
pub(crate) fn method_in_use(store: &mut Store<'_>, id: &str) -> Result<Option<String>, Error> {
    let needs = |enforcement: &EnforcementRecord| enforcement.method_ids.iter().any(|method| method == id);
    Ok(enforcements(store)?.into_iter().find(needs).map(|enforcement| enforcement.name))
}

/// All enforcements.
pub(crate) fn enforcements(store: &mut Store<'_>) -> Result<Vec<EnforcementRecord>, Error> {
    all(store, ENFORCEMENTS)
}

pub(crate) fn save_enforcement(store: &mut Store<'_>, enforcement: &EnforcementRecord) -> Result<(), Error> {
    let area = identity::area(store)?;
    store.put(&area, &[ENFORCEMENTS, &enforcement.name], enforcement)
}

pub(crate) fn remove_enforcement(store: &mut Store<'_>, name: &str) -> Result<(), Error> {
    let area = identity::area(store)?;
    store.delete(&area, &[ENFORCEMENTS, name]);
    Ok(())
}

/// The key of an entity for a method, if it has one.
pub(crate) fn secret(
    store: &mut Store<'_>,
    entity_id: &str,
    method_id: &str,
) -> Result<Option<MfaSecretRecord>, Error> {
    let area = identity::area(store)?;
    store.get(&area, &[SECRETS, entity_id, method_id])
}

/// Keeps the key of an entity for a method; `None` removes it.
pub(crate) fn save_secret(
    store: &mut Store<'_>,
    entity_id: &str,
    method_id: &str,
    secret: Option<&MfaSecretRecord>,
) -> Result<(), Error> {
    let area = identity::area(store)?;
    match secret {
        Some(secret) => store.put(&area, &[SECRETS, entity_id, method_id], secret),
        None => {
            store.delete(&area, &[SECRETS, entity_id, method_id]);
            Ok(())
        }
    }
}
