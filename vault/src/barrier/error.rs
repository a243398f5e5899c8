//! What can go wrong at the barrier. No variant carries a key, a plaintext or a name.

/// Why the barrier did not encrypt, decrypt or accept something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BarrierError {
    /// This node has used up the encryptions that it reserved.
    #[error("this node must reserve more uses of the key term before it encrypts; try again in a moment")]
    NeedsReservation,
    /// The keyring holds all the terms it may.
    #[error("the keyring holds {terms} terms and can take no more: rekey into a new cluster")]
    TooManyTerms {
        /// How many it holds.
        terms: usize,
    },
    /// Too short or badly built to be what it should be.
    #[error("the {what} is malformed: it was cut or is not one of ours")]
    Malformed {
        /// What was read.
        what: &'static str,
    },
    /// Written by a newer version.
    #[error("the {what} has format version {got}; this program knows version {expected}: upgrade the node")]
    UnknownVersion {
        /// What was read.
        what: &'static str,
        /// The version that this program writes.
        expected: u32,
        /// The version that it found.
        got: u32,
    },
    /// The keyring lacks the term. Soon after a rotation that is normal on a node that lags.
    #[error("key term {term} is not in the keyring of this node")]
    UnknownTerm {
        /// The term that was asked for.
        term: u32,
    },
    /// The term is known, but too old to count.
    #[error("key term {term} no longer counts; the active one is {active}")]
    StaleTerm {
        /// The term that was presented.
        term: u32,
        /// The term that counts.
        active: u32,
    },
    /// The bytes were changed, moved, or made under another key.
    #[error("the {what} is not authentic: it was changed, moved, or made under another key")]
    NotAuthentic {
        /// What was read.
        what: &'static str,
    },
    /// A keyring that does not continue the one in memory.
    #[error("the keyring lacks or changes a term that this node holds; it is not a successor")]
    NotASuccessor,
}
