//! What consensus asks of the rest of the node: whether a batch's tag holds, and to forget what changed.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use conclave_raft::{CallError, Hooks, Peer};
use conclave_storage::table::Table;
use conclave_vault::barrier::forward::Envelope;
use futures::future::BoxFuture;

use crate::app::App;
use crate::cluster::admission;
use crate::keeper::Proposals;
use crate::shared::Shared;

/// In which envelope a leader vouches for its answers. Who asked, whom, and the nonce stand in the claim itself.
const CLAIM: Envelope<'static> = Envelope { from: 0, to: 0, nonce: &[0; 16], method: "claim" };

/// The node's hooks. The application is set once it exists; calls that come earlier are refused.
pub(crate) struct NodeHooks {
    shared: Arc<Shared>,
    app: OnceLock<Weak<App>>,
}

impl NodeHooks {
    /// Hooks over the seal state.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, app: OnceLock::new() }
    }

    /// Makes calls from peers reach the application.
    pub(crate) fn attach(&self, app: &Arc<App>) {
        // A second call would name the same application, so its refusal means nothing.
        let _ = self.app.set(Arc::downgrade(app));
    }
}

impl Hooks for NodeHooks {
    fn verify_for_append(&self, signed: &[u8], time_millis: u64) -> Result<(), String> {
        let app = self.app.get().and_then(Weak::upgrade);
        match self.shared.state().proposals() {
            Proposals::None => return Err(format!("its leader accepts no change: {}", self.shared.reason())),
            Proposals::Deletions if !app.as_ref().is_some_and(|app| admission::spares_space(&*app.table, signed)) => {
                return Err(format!("its leader accepts no such change: {}", self.shared.reason()));
            }
            Proposals::Deletions | Proposals::All => {}
        }
        let cluster_millis = app.map_or(0, |app| app.table.applied().time_millis);
        admission::check_time(time_millis, self.clock_millis(), cluster_millis)?;
        let core = self.shared.verifier().ok_or("this node is sealed and accepts no batch")?;
        core.verify_batch(signed, self.shared.last_index()).map_err(|error| error.to_string())
    }

    fn clock_millis(&self) -> u64 {
        u64::try_from(self.shared.clock().millis()).unwrap_or(0)
    }

    fn before_apply(&self, index: u64, signed: &[u8]) -> Result<(), String> {
        self.shared.note_index(index);
        match self.shared.unsealed() {
            Some(core) => core.verify_batch(signed, index).map_err(|error| error.to_string()),
            // The tag never decides what a sealed node's table holds; the table is checked when it is unsealed.
            None => Ok(()),
        }
    }

    fn applied(&self, _index: u64, keys: &[Bytes]) {
        // Every change that matters to the keys lies under this one key.
        let keyring = conclave_vault::store::open_key(conclave_vault::seal::record::KEYRING);
        if keys.contains(&keyring)
            && let Some(app) = self.app.get().and_then(Weak::upgrade)
        {
            app.reload_keyring();
        }
    }

    fn installed(&self) {
        if let Some(core) = self.shared.unsealed() {
            core.cache().clear();
        }
        if let Some(app) = self.app.get().and_then(Weak::upgrade) {
            app.snapshot_installed();
        }
    }

    fn attest(&self, claim: &[u8]) -> Result<Bytes, String> {
        let core = self.shared.verifier().ok_or("this node is sealed and vouches for nothing")?;
        let (term, mac) = core.barrier().sign_answer(&CLAIM, claim);
        Ok(Bytes::from([term.to_be_bytes().as_slice(), &mac].concat()))
    }

    fn verify_attestation(&self, claim: &[u8], attestation: &[u8]) -> Result<(), String> {
        // A node without keys acts on no answer that a client sees, so it has nothing to check and nothing to check with.
        let Some(core) = self.shared.verifier() else { return Ok(()) };
        let (term, mac) = attestation.split_first_chunk::<4>().ok_or("the leader did not vouch for its answer")?;
        let term = u32::from_be_bytes(*term);
        core.barrier().verify_answer(&CLAIM, term, claim, mac).map_err(|error| error.to_string())
    }

    fn open_to_strangers(&self, method: &str) -> bool {
        // A member whose address is not known comes through the door of those who are none; its key is what counts.
        matches!(method, crate::cluster::join::METHOD | crate::cluster::address::METHOD)
    }

    fn call(&self, from: Peer, method: &str, body: Bytes) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let app = self.app.get().and_then(Weak::upgrade);
        let method = method.to_owned();
        Box::pin(async move {
            let Some(app) = app else { return Err(CallError::Unreachable("the node is starting".into())) };
            crate::cluster::peer::answer(&app, from, &method, &body).await
        })
    }
}
