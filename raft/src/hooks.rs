//! What this crate asks of the node: keys it does not have, caches it does not know, requests it does not understand.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::future::BoxFuture;

/// Who sent a node-to-node request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Node id, if the key is that of a member.
    pub id: Option<u64>,
    /// Ed25519 key that the sender proved to hold in the handshake.
    pub public_key: [u8; 32],
    /// Where the connection comes from.
    pub address: SocketAddr,
}

/// Why a node-to-node request got no answer, or a refusing one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No member has this id.
    #[error("node {0:016x} is not a member of this cluster")]
    NotAMember(u64),
    /// The request was certainly not executed: there was no connection.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The request may have been executed.
    #[error("the node gave no answer in time or the connection broke: {0}")]
    Unknown(String),
    /// The receiver does not let this sender call this.
    #[error("the node refused the request: {0}")]
    Denied(String),
    /// The receiver's handler does not know the method.
    #[error("the node does not know this request")]
    UnknownMethod,
    /// Request or reply is larger than the limit.
    #[error("the request or its reply is too large")]
    TooLarge,
    /// The receiver's handler answered with an error of its own.
    #[error("the node answered with error {code}: {message}")]
    Failed {
        /// The handler's code, below 2^32 - 16.
        code: u32,
        /// The handler's message; it must hold nothing secret.
        message: String,
    },
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopped,
}

/// Why a leader's word does not count here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It is vouched for under a newer key than this node has: a rotation is on its way here.
    #[error("{0}")]
    Newer(String),
    /// It is not vouched for.
    #[error("{0}")]
    Refused(String),
}

/// The node's part. Every method must return quickly, except the future of `call`.
pub trait Hooks: Send + Sync + 'static {
    /// The leader asks before it appends a batch, whose proposer's clock said `time_millis`. An error refuses it; a sealed
    /// leader refuses all.
    fn verify_for_append(&self, signed: &[u8], time_millis: u64) -> Result<(), String>;

    /// This node's clock, in milliseconds since the Unix epoch. Other nodes compare it with theirs.
    fn clock_millis(&self) -> u64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    /// Every node asks before it applies a batch. An unsealed node checks the tag, and its error stops this node's
    /// consensus for good, naming the entry. A sealed node answers `Ok`.
    fn before_apply(&self, index: u64, signed: &[u8]) -> Result<(), String>;

    /// A batch took effect at `index` and changed `keys`. Called after the atomic write and before the applied index
    /// is published: caches drop these keys here.
    fn applied(&self, index: u64, keys: &[Bytes]);

    /// A snapshot replaced the whole table: caches drop everything.
    fn installed(&self);

    /// Answers a request from another node.
    fn call(&self, from: Peer, method: &str, body: Bytes) -> BoxFuture<'static, Result<Bytes, CallError>>;

    /// Whether somebody who is no member may call `method`.
    fn open_to_strangers(&self, method: &str) -> bool {
        method == "join"
    }

    /// The leader proves that it is unsealed: a MAC over `claim`, which binds the asker's nonce to the answer. An
    /// error withholds the answer. Without a barrier there is nothing to prove.
    fn attest(&self, claim: &[u8]) -> Result<Bytes, String> {
        let _ = claim;
        Ok(Bytes::new())
    }

    /// Checks what [`Hooks::attest`] made on another node.
    fn verify_attestation(&self, claim: &[u8], attestation: &[u8]) -> Result<(), AttestationError> {
        let _ = (claim, attestation);
        Ok(())
    }
}
