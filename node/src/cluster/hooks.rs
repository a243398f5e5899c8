//! What consensus asks of the rest of the node: whether a batch's tag holds, and to forget what changed.

use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use conclave_raft::{AttestationError, CallError, Hooks, Peer};
use conclave_storage::table::Table;
use conclave_vault::seal::{CLUSTER, KEYRING};
use conclave_vault::{BarrierError, Envelope, open_key};
use futures::future::BoxFuture;

use crate::cluster::acceptance;
use crate::keeper::Proposals;
use crate::replica::gated::GatedTable;
use crate::seal::keyring;
use crate::seal::state::SealState;
use crate::wakeups::Wakeups;

/// In which envelope a leader vouches for its answers. Who asked, whom, and the nonce stand in the claim itself.
const CLAIM: Envelope<'static> = Envelope { from: 0, to: 0, nonce: &[0; 16], method: "claim" };

/// Every change that matters to the keys, and to what they are bound to, lies under these.
static KEY_RECORDS: LazyLock<[Bytes; 2]> = LazyLock::new(|| [KEYRING, CLUSTER].map(open_key));

/// Answers a request of another node: who asks, the method, the body.
type Answering = dyn Fn(Peer, String, Bytes) -> BoxFuture<'static, Result<Bytes, CallError>> + Send + Sync;

/// The node's hooks. Requests of other nodes that come before somebody answers them are refused.
pub(crate) struct NodeHooks {
    state: Arc<SealState>,
    table: Arc<GatedTable>,
    wakeups: Arc<Wakeups>,
    answering: OnceLock<Box<Answering>>,
}

impl NodeHooks {
    /// Hooks over the seal's state and the table.
    pub(crate) fn new(state: Arc<SealState>, table: Arc<GatedTable>, wakeups: Arc<Wakeups>) -> Self {
        Self { state, table, wakeups, answering: OnceLock::new() }
    }

    /// Has the requests of other nodes answered from now on. Only the first call counts.
    pub(crate) fn answer_with(
        &self,
        answering: impl Fn(Peer, String, Bytes) -> BoxFuture<'static, Result<Bytes, CallError>> + Send + Sync + 'static,
    ) {
        let _ = self.answering.set(Box::new(answering));
    }
}

impl Hooks for NodeHooks {
    fn verify_for_append(&self, signed: &[u8], time_millis: u64) -> Result<(), String> {
        match self.state.state().proposals() {
            Proposals::None => return Err(format!("its leader accepts no change: {}", self.state.reason())),
            Proposals::Deletions if !acceptance::spares_space(&*self.table, signed) => {
                return Err(format!("its leader accepts no such change: {}", self.state.reason()));
            }
            Proposals::Deletions | Proposals::All => {}
        }
        let cluster_millis = self.table.applied().time_millis;
        acceptance::check_time(time_millis, self.clock_millis(), cluster_millis)?;
        let core = self.state.verifier().ok_or("this node is sealed and accepts no batch")?;
        core.verify_batch(signed, self.state.last_index()).map_err(|error| error.to_string())
    }

    fn clock_millis(&self) -> u64 {
        u64::try_from(self.state.clock().millis()).unwrap_or(0)
    }

    fn before_apply(&self, index: u64, signed: &[u8]) -> Result<(), String> {
        self.state.note_index(index);
        match self.state.unsealed() {
            Some(core) => core.verify_batch(signed, index).map_err(|error| error.to_string()),
            // The tag never decides what a sealed node's table holds; the table is checked when it is unsealed.
            None => Ok(()),
        }
    }

    fn applied(&self, _index: u64, keys: &[Bytes]) {
        if keys.iter().any(|key| KEY_RECORDS.contains(key)) {
            keyring::reload(&self.state, &self.table, &self.wakeups);
        }
    }

    fn installed(&self) {
        if let Some(core) = self.state.unsealed() {
            core.cache().clear();
        }
        keyring::after_snapshot(&self.state, &self.table, &self.wakeups);
    }

    fn attest(&self, claim: &[u8]) -> Result<Bytes, String> {
        let core = self.state.verifier().ok_or("this node is sealed and vouches for nothing")?;
        let (term, mac) = core.barrier().sign_answer(&CLAIM, claim);
        Ok(Bytes::from([term.to_be_bytes().as_slice(), &mac].concat()))
    }

    fn verify_attestation(&self, claim: &[u8], attestation: &[u8]) -> Result<(), AttestationError> {
        // A node without keys acts on no answer that a client sees, so it has nothing to check and nothing to check with.
        let Some(core) = self.state.verifier() else { return Ok(()) };
        let unsigned = || AttestationError::Refused("the leader did not vouch for its answer".into());
        let (term, mac) = attestation.split_first_chunk::<4>().ok_or_else(unsigned)?;
        let term = u32::from_be_bytes(*term);
        core.barrier().verify_answer(&CLAIM, term, claim, mac).map_err(|error| match error {
            BarrierError::UnknownTerm { .. } => AttestationError::Newer(error.to_string()),
            _ => AttestationError::Refused(error.to_string()),
        })
    }

    fn open_to_strangers(&self, method: &str) -> bool {
        // A member whose address is not known comes through the door of those who are none; its key is what counts.
        matches!(method, crate::cluster::join::METHOD | crate::cluster::address::METHOD)
    }

    fn call(&self, from: Peer, method: &str, body: Bytes) -> BoxFuture<'static, Result<Bytes, CallError>> {
        match self.answering.get() {
            Some(answering) => answering(from, method.to_owned(), body),
            None => Box::pin(async { Err(CallError::Unreachable("the node is starting".into())) }),
        }
    }
}
