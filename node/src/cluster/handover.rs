//! One ceremony for the whole cluster: the node where the shares were entered gives the root key to the other members.
//!
//! Only inside a ceremony, never on a restart. Only to nodes in the members record that are not blind, whose offer is
//! signed by the key that the record pins. The sender writes to its log before, the receiver after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::{CallError, Peer};
use conclave_storage::table::Table;
use conclave_vault::core::Core;
use conclave_vault::members::{self, MemberRecord};
use conclave_vault::seal::handover::{self, Occasion, Offer, SealedRootKey};
use futures::future::join_all;
use prost::Message;
use tokio::time::Instant;

use crate::app::App;
use crate::view::{SystemRandomness, TableView};

/// Asks a sealed member for its offer.
pub(crate) const OFFER_METHOD: &str = "handover-offer";
/// Brings it the root key.
pub(crate) const DELIVER_METHOD: &str = "handover-deliver";
/// Asks a member whether it is sealed.
pub(crate) const STATUS_METHOD: &str = "seal-status";
/// How long one member may take to say that it is there. One that is down should not hold up the ceremony.
const OFFER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one member may take to unseal; its table is checked meanwhile.
const DELIVER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a question for the state may take.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The ceremony that a message belongs to.
#[derive(Clone, PartialEq, Message)]
struct Invitation {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
}

/// The root key on its way.
#[derive(Clone, PartialEq, Message)]
struct Delivery {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    sealed: Option<SealedRootKey>,
}

/// What became of one member.
pub(crate) struct HandedOver {
    pub(crate) id: u64,
    pub(crate) api_addr: String,
    pub(crate) fingerprint: String,
    pub(crate) error: Option<String>,
}

/// Gives the root key to every other member that is sealed.
pub(crate) async fn to_all(app: &Arc<App>, nonce: [u8; 16]) -> Vec<HandedOver> {
    let Some(core) = app.shared.unsealed() else { return Vec::new() };
    // The members as the cluster agrees on them now, not as this node last saw them; without a leader, as it saw them.
    let _ = app.raft.read_point(Instant::now() + Duration::from_secs(5)).await;
    let own = app.identity.id();
    let others = members_of(app, &core).into_iter().filter(|member| member.id != own);
    let handed = others.map(|member| {
        let (app, core) = (Arc::clone(app), Arc::clone(&core));
        async move {
            let outcome = to_one(&app, &core, &member, nonce).await;
            let (fingerprint, error) = match outcome {
                Ok(fingerprint) => (fingerprint, None),
                Err(error) => (String::new(), Some(error)),
            };
            HandedOver { id: member.id, api_addr: member.api_addr, fingerprint, error }
        }
    });
    join_all(handed).await
}

fn members_of(app: &App, core: &Core) -> Vec<MemberRecord> {
    let Ok(view) = app.table.view() else { return Vec::new() };
    let view = TableView(view);
    members::load(&mut core.store(&view)).map(|record| record.members).unwrap_or_default()
}

fn occasion(app: &App, sender: u64, receiver: u64, nonce: [u8; 16]) -> Option<Occasion> {
    let outside = app.outside().ok()??;
    Some(Occasion { cluster_id: outside.cluster_id, epoch: outside.epoch, sender, receiver, nonce })
}

async fn to_one(app: &App, core: &Core, member: &MemberRecord, nonce: [u8; 16]) -> Result<String, String> {
    if member.is_blind {
        return Err("the node is blind until an operator confirms it".into());
    }
    let deadline = Instant::now() + OFFER_TIMEOUT;
    let invitation = Invitation { nonce: nonce.to_vec() }.encode_to_vec();
    let answer = app.raft.call(member.id, OFFER_METHOD, invitation.into(), deadline).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.is_empty() {
        return Ok(String::new());
    }
    let offer = Offer::decode(answer).map_err(|_| "the node's offer does not decode".to_owned())?;
    let outside = app.outside().map_err(|error| error.to_string())?.ok_or("there is no seal")?;
    let occasion = occasion(app, app.identity.id(), member.id, nonce).ok_or("there is no seal")?;
    let fingerprint = offer.fingerprint();
    tracing::info!(node = member.id, fingerprint, "handing the root key to a member that a ceremony unseals");
    let verify = |message: &[u8], signature: &[u8]| handover::verify_ed25519(&member.public_key, message, signature);
    let generation = outside.seal.generation;
    let sealed =
        handover::seal(core.barrier(), &occasion, generation, &offer, verify, &mut SystemRandomness::default());
    let sealed = sealed.map_err(|error| error.to_string())?;
    let delivery = Delivery { nonce: nonce.to_vec(), sealed: Some(sealed) }.encode_to_vec();
    let deadline = Instant::now() + DELIVER_TIMEOUT;
    app.raft.call(member.id, DELIVER_METHOD, delivery.into(), deadline).await.map_err(|error| error.to_string())?;
    Ok(fingerprint)
}

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
    tracing::info!(sender, "unsealed by a ceremony that was held on another node");
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
