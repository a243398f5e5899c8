//! This node's seal: the state that it is in, the ceremonies that are held on it, and the ways in and out.
//!
//! `state.rs` holds the keys and says who may use them, `unsealing.rs` is the way from an open barrier to a node that
//! serves, `table_check.rs` what lies between. What it is all about is [`crate::replica`].

mod attempt;
mod attempts;
pub(crate) mod forgetting;
#[cfg(test)]
mod holders;
pub(crate) mod joining;
pub(crate) mod keyring;
pub(crate) mod recipients;
mod rekeying;
mod root_token;
pub(crate) mod shares;
pub mod state;
pub(crate) mod steps;
pub(crate) mod table_check;
mod unsealing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_raft::Role;
use conclave_vault::seal::handover::{BootKey, Fingerprint};
use conclave_vault::seal::proof::{Answered, JoinKey};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::joining::Joining;
use self::state::SealState;
use crate::cluster::health::Observed;
use crate::config::limits::LOG_REFUSED_SHARE_INTERVAL;
use crate::reminder::Reminder;
use crate::replica::Replica;
use crate::view::SystemRandomness;

/// A peer asks the leader for a checkpoint.
pub(crate) const CHECKPOINT_METHOD: &str = "checkpoint";
/// How long handing over leadership may take before the node seals anyway: an emergency does not wait.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

/// What a node keeps for ceremonies, in memory only.
pub(crate) struct Ceremonies {
    /// Receives the root key from another node's ceremony.
    pub(crate) boot_key: BootKey,
    /// When refused shares are worth a line in the log.
    pub(crate) refusals: Reminder<()>,
}

impl Default for Ceremonies {
    fn default() -> Self {
        let boot_key = BootKey::generate(&mut SystemRandomness::default());
        Self { boot_key, refusals: Reminder::every(LOG_REFUSED_SHARE_INTERVAL) }
    }
}

/// The seal.
pub struct Seal {
    pub(crate) replica: Arc<Replica>,
    pub(crate) state: Arc<SealState>,
    /// Names this process of the node; what operators compare before they let it have the root key.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) ceremonies: Mutex<Ceremonies>,
    /// The cluster that this node may join by shares, if it belongs to none and has found one.
    pub(crate) joining: Mutex<Option<Joining>>,
    /// Tries to join as an operator asked.
    pub(crate) trying: Mutex<Option<AbortHandle>>,
    /// Of the newest ceremony here, until it is written down: with it nodes prove that they may join.
    pub(crate) join_key: Mutex<Option<(JoinKey, u64)>>,
    /// Challenges of joining nodes that were answered here.
    pub(crate) answered: Mutex<Answered>,
    /// What this node saw of the members' health.
    pub(crate) health: Observed,
}

impl Seal {
    /// Lets consensus and the metrics follow the state, and says in the log by what others know this process.
    pub(crate) fn announce(&self) {
        let (replica, raft) = (&self.replica, self.replica.raft.clone());
        self.state.set_low_water_mark(replica.config.limits.disk_free_bytes);
        self.state.follow(move |state| raft.set_candidacy(state.candidacy()));
        if let Some(folder) = replica.config.storage.folder() {
            replica.metrics.watch_folder(folder.to_owned());
        }
        if replica.is_clustered() {
            let (node, fingerprint) = (replica.node_name(replica.identity.id()), self.fingerprint);
            tracing::info!(node, %fingerprint, "the node is sealed; a ceremony on another node knows it by this fingerprint");
        }
    }

    /// Whether there are shares that unseal this node: those of its cluster, or of the one that it is about to join.
    pub(crate) fn is_initialized(&self) -> bool {
        self.replica.is_initialized() || self.joining.lock().is_some()
    }

    /// Counts a share that was refused, and says so now and then: anybody can send one.
    pub(crate) fn note_refused_share(&self, address: IpAddr) {
        self.replica.metrics.refused_share();
        let is_due = self.ceremonies.lock().refusals.is_due((), Instant::now());
        if is_due {
            tracing::warn!(%address, "a text that is no share of this seal was entered");
        }
    }

    /// Wipes the keys, whatever state the node is in and whether or not anybody else is up. They are gone when this ends.
    pub(crate) async fn seal(&self) {
        let raft = &self.replica.raft;
        if raft.status().role == Role::Leader && self.replica.is_clustered() {
            let _ = tokio::time::timeout(HAND_OVER_TIMEOUT, raft.transfer_leadership(None)).await;
        }
        self.drop_keys("a caller of sys/seal wanted it").await;
    }

    /// Takes the keys away from every request and wipes them.
    pub(crate) async fn drop_keys(&self, reason: &'static str) {
        let sealed = self.state.seal(reason);
        let Some(core) = sealed else { return };
        let revoked = tokio::task::spawn_blocking(move || core.revoke(&mut SystemRandomness::default())).await;
        match revoked {
            Ok(true) => tracing::info!("this node is sealed; its keys are wiped"),
            _ => tracing::error!("this node is sealed, but a request still holds a key: stop the process to wipe it"),
        }
    }
}
