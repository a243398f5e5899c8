//! The sealed node's side of a hand-over: it offers to receive, and unseals itself with what it receives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::{CallError, Peer};
use futures::future::join_all;
use prost::Message;
use tokio::time::Instant;

use super::{Delivery, Invitation, occasion};
use crate::app::App;

/// Asks a member whether it is sealed.
pub(crate) const STATUS_METHOD: &str = "seal-status";
/// How long a question for the state may take.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// A sealed node offers to receive; one that is unsealed answers nothing.
pub(crate) fn answer_offer(app: &App, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
    let denied = |message: &str| CallError::Denied(message.to_owned());
    if app.shared.unsealed().is_some() {
        let is_checking = app.shared.is_sealed();
        let busy =
            "the node has its keys and does not serve yet, because its table is not confirmed; look again in a moment";
        return if is_checking { Err(denied(busy)) } else { Ok(Bytes::new()) };
    }
    let sender = from.id.ok_or_else(|| denied("only members hand over"))?;
    let invitation = Invitation::decode(body).map_err(|_| denied("the invitation does not decode"))?;
    let nonce = invitation.nonce.as_slice().try_into().map_err(|_| denied("the nonce is not 16 bytes"))?;
    let occasion =
        occasion(app, sender, app.identity.id(), nonce).ok_or_else(|| denied("this node holds no seal yet"))?;
    let offer = app.ceremonies.lock().boot_key.offer(&occasion, |message| app.identity.sign(message).to_vec());
    Ok(offer.encode_to_vec().into())
}

/// A sealed node receives the root key, and unseals itself if it opens the cluster's keyring.
pub(crate) async fn answer_delivery(app: &Arc<App>, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
    let denied = |message: &str| CallError::Denied(message.to_owned());
    let sender = from.id.ok_or_else(|| denied("only members hand over"))?;
    let delivery = Delivery::decode(body).map_err(|_| denied("the delivery does not decode"))?;
    let nonce = delivery.nonce.as_slice().try_into().map_err(|_| denied("the nonce is not 16 bytes"))?;
    let sealed = delivery.sealed.ok_or_else(|| denied("the delivery is empty"))?;
    let occasion =
        occasion(app, sender, app.identity.id(), nonce).ok_or_else(|| denied("this node holds no seal yet"))?;
    let outside = app.outside().ok().flatten().ok_or_else(|| denied("this node holds no seal yet"))?;
    let opened = app.ceremonies.lock().boot_key.open(&occasion, outside.seal.generation, &sealed);
    let root_key = opened.map_err(|error| denied(&error.to_string()))?;
    let barrier = outside.open_barrier(root_key).map_err(|error| denied(&error.to_string()))?;
    let unsealed = app.unseal(barrier).await;
    unsealed.map_err(|error| CallError::Failed { code: 100, message: error.messages.join("; ") })?;
    tracing::info!(sender = app.node_name(sender), "unsealed by a ceremony that was held on another node");
    Ok(Bytes::new())
}

/// Says whether this node is sealed.
pub(crate) fn answer_status(app: &App) -> Result<Bytes, CallError> {
    Ok(Bytes::from_static(if app.shared.is_sealed() { b"sealed" } else { b"unsealed" }))
}

/// Whether each member is sealed; those that do not answer are left out.
pub(crate) async fn sealed_members(app: &Arc<App>) -> BTreeMap<u64, bool> {
    let own = app.identity.id();
    let members = app.raft.status().members;
    let asked = members.iter().map(|member| async move {
        if member.id == own {
            return Some((own, app.shared.is_sealed()));
        }
        let deadline = Instant::now() + STATUS_TIMEOUT;
        let answer = app.raft.call(member.id, STATUS_METHOD, Bytes::new(), deadline).await.ok()?;
        Some((member.id, answer.as_ref() == b"sealed"))
    });
    join_all(asked).await.into_iter().flatten().collect()
}
