//! Requests from other nodes, by method.

use std::sync::Arc;

use bytes::Bytes;
use conclave_raft::{CallError, Peer};

use crate::app::App;
use crate::cluster::handover::{self, receiver, testimony};
use crate::cluster::{address, join, nodes, upkeep};
use crate::forward;

/// Answers a peer.
pub(crate) async fn answer(app: &Arc<App>, from: Peer, method: &str, body: &[u8]) -> Result<Bytes, CallError> {
    match method {
        forward::METHOD => forward::answer(app, from, body).await,
        address::METHOD => address::answer(app, from, body),
        join::METHOD => join::answer(app, from.public_key, body).await,
        join::RELAY_METHOD => join::answer_relayed(app, from, body).await,
        handover::OFFER_METHOD => receiver::answer_offer(app, from, body),
        handover::DELIVER_METHOD => receiver::answer_delivery(app, from, body).await,
        testimony::METHOD => testimony::answer(app, from, body).await,
        nodes::METHOD => nodes::answer(app, from),
        upkeep::CHECKPOINT_METHOD => upkeep::answer_checkpoint(app, from),
        _ => Err(CallError::UnknownMethod),
    }
}
