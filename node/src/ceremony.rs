//! This node's ceremonies: shares that were entered here, and the key with which it receives a hand-over.

use conclave_vault::seal::ceremony::Ceremony;
use conclave_vault::seal::handover::BootKey;

use crate::config::limits::LOG_REFUSED_SHARE_INTERVAL;
use crate::reminder::Reminder;
use crate::view::SystemRandomness;

/// What a node keeps for ceremonies, in memory only.
pub(crate) struct Ceremonies {
    /// Unseals this node.
    pub(crate) unseal: Ceremony,
    /// Receives the root key from another node's ceremony.
    pub(crate) boot_key: BootKey,
    /// When refused shares are worth a line in the log.
    pub(crate) refusals: Reminder<()>,
}

impl Default for Ceremonies {
    fn default() -> Self {
        let boot_key = BootKey::generate(&mut SystemRandomness::default());
        Self { unseal: Ceremony::default(), boot_key, refusals: Reminder::every(LOG_REFUSED_SHARE_INTERVAL) }
    }
}
