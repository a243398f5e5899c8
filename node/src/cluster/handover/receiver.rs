//! The sealed node's side of a hand-over: it offers to receive, and unseals itself with what it receives.

use std::sync::Arc;

use bytes::Bytes;
use conclave_raft::{CallError, Peer};
use prost::Message;

use super::{Delivery, Invitation, occasion};
use crate::cluster::failure;
use crate::seal::Seal;

/// A sealed node offers to receive; one that is unsealed answers nothing.
pub(crate) fn answer_offer(seal: &Seal, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
    let denied = |message: &str| CallError::Denied(message.to_owned());
    if seal.state.unsealed().is_some() {
        let is_checking = seal.state.is_sealed();
        let busy =
            "the node has its keys and does not serve yet, because its table is not confirmed; look again in a moment";
        return if is_checking { Err(denied(busy)) } else { Ok(Bytes::new()) };
    }
    let sender = from.id.ok_or_else(|| denied("only members hand over"))?;
    let invitation = Invitation::decode(body).map_err(|_| denied("the invitation does not decode"))?;
    let nonce = invitation.nonce.as_slice().try_into().map_err(|_| denied("the nonce is not 16 bytes"))?;
    let occasion = occasion(seal, sender, seal.replica.identity.id(), nonce)
        .ok_or_else(|| denied("this node holds no seal yet"))?;
    let offer =
        seal.ceremonies.lock().boot_key.offer(&occasion, |message| seal.replica.identity.sign(message).to_vec());
    Ok(offer.encode_to_vec().into())
}

/// A sealed node receives the root key, and unseals itself if it opens the cluster's keyring.
pub(crate) async fn answer_delivery(seal: &Arc<Seal>, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
    let denied = |message: &str| CallError::Denied(message.to_owned());
    let sender = from.id.ok_or_else(|| denied("only members hand over"))?;
    let delivery = Delivery::decode(body).map_err(|_| denied("the delivery does not decode"))?;
    let nonce = delivery.nonce.as_slice().try_into().map_err(|_| denied("the nonce is not 16 bytes"))?;
    let sealed = delivery.sealed.ok_or_else(|| denied("the delivery is empty"))?;
    let occasion = occasion(seal, sender, seal.replica.identity.id(), nonce)
        .ok_or_else(|| denied("this node holds no seal yet"))?;
    let outside = seal.replica.outside().ok().flatten().ok_or_else(|| denied("this node holds no seal yet"))?;
    let opened = seal.ceremonies.lock().boot_key.open(&occasion, outside.seal.generation, &sealed);
    let root_key = opened.map_err(|error| denied(&error.to_string()))?;
    let barrier = outside.open_barrier(root_key).map_err(|error| denied(&error.to_string()))?;
    let unsealed = seal.unseal(barrier).await;
    unsealed.map_err(|error| failure::to_call(&error))?;
    tracing::info!(sender = seal.replica.node_name(sender), "unsealed by a ceremony that was held on another node");
    Ok(Bytes::new())
}
