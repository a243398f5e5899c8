//! The rules of audit as they are stored, and the hashes that stand in records for secrets.
//!
//! What surprises: a device has no stored salt. Its key is derived from the barrier and from the device's id, which is
//! random, so that nothing that could test a guess lies in a reply or in a configuration.

use std::sync::Arc;

use crate::audit::AuditRules;
use crate::barrier::Barrier;
use crate::barrier::mac::MacKey;
use crate::error::Error;
use crate::store::{Store, decode};

/// Where the devices and headers lie in the system's area.
const PLACE: &[&str] = &["core", "audit"];
/// What keys of devices are derived under.
const LABEL: &str = "audit device";
/// What every hash in a record begins with; it names the algorithm, as clients of Vault expect.
const HASH_PREFIX: &str = "hmac-sha256:";

impl AuditRules {
    /// As the store has them.
    pub(crate) fn load(store: &mut Store<'_>) -> Result<Arc<Self>, Error> {
        let system = store.system();
        store.get_cached_or_default(&system, PLACE, decode::<Self>)
    }

    pub(crate) fn save(&self, store: &mut Store<'_>) -> Result<(), Error> {
        let system = store.system();
        store.put(&system, PLACE, self)
    }
}

/// Makes the hashes of one device.
pub struct AuditHasher(MacKey);

impl AuditHasher {
    /// Of the device with an id.
    pub(crate) fn new(barrier: &Barrier, id: &str) -> Self {
        Self(MacKey::new(&barrier.system_index(LABEL, id.as_bytes())))
    }

    /// What stands for a text in a record: HMAC-SHA256 (RFC 2104), in hexadecimal digits, with the algorithm in front.
    pub fn hash(&self, text: &str) -> String {
        format!("{HASH_PREFIX}{}", hex::encode(self.0.sign(&[text.as_bytes()])))
    }
}
