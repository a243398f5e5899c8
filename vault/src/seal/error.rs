//! What can go wrong at the seal. The texts reach people who are not authenticated, so none tells which share was bad.

use crate::barrier::error::BarrierError;

/// Why a seal was not made, read, or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Shares and threshold that cannot be. Clients know these texts.
    #[error("invalid seal configuration: {reason}")]
    InvalidParameters {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Fewer than two shares, different lengths, or one share twice.
    #[error("these shares cannot be combined: they must be of one length and each must be another one")]
    CannotCombine,
    /// A record outside the barrier that is not one of ours, or was damaged.
    #[error("the {what} record is malformed: it was cut or is not one of ours")]
    MalformedRecord {
        /// Which record.
        what: &'static str,
    },
    /// A record that a newer version wrote.
    #[error("the {what} record has version {got}; this program knows version {expected}: upgrade the node")]
    UnknownVersion {
        /// Which record.
        what: &'static str,
        /// The version that this program writes.
        expected: u32,
        /// The version that it found.
        got: u32,
    },
    /// The unseal key is not the one that wrapped the root key.
    #[error("the wrapped root key does not open under this unseal key")]
    WrongUnsealKey,
    /// The root key opens no barrier.
    #[error("the keyring does not open")]
    Keyring(#[source] BarrierError),
}
