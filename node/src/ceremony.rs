//! This node's ceremonies: shares that were entered here, and the key with which it receives a hand-over.

use conclave_vault::seal::ceremony::Ceremony;
use conclave_vault::seal::handover::BootKey;

use crate::view::SystemRandomness;

/// What a node keeps for ceremonies, in memory only.
pub(crate) struct Ceremonies {
    /// Unseals this node.
    pub(crate) unseal: Ceremony,
    /// Whether the ceremony under way is for every member, as each of its shares said.
    pub(crate) is_for_cluster: bool,
    /// Receives the root key from another node's ceremony.
    pub(crate) boot_key: BootKey,
}

impl Default for Ceremonies {
    fn default() -> Self {
        let boot_key = BootKey::generate(&mut SystemRandomness::default());
        Self { unseal: Ceremony::default(), is_for_cluster: false, boot_key }
    }
}
