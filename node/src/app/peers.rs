//! Requests from other nodes, by method.

use std::sync::Arc;

use bytes::Bytes;
use conclave_raft::{CallError, Peer};

use super::App;
use crate::cluster::handover::{self, receiver, testimony};
use crate::cluster::hooks::NodeHooks;
use crate::cluster::{address, join, nodes, upkeep};
use crate::forward;
use crate::seal::CHECKPOINT_METHOD;

/// Has peers answered from now on. The hooks live as long as consensus, so they do not hold the application.
pub(super) fn connect(app: &Arc<App>, hooks: &NodeHooks) {
    let app = Arc::downgrade(app);
    hooks.answer_with(move |from, method, body| {
        let app = app.upgrade();
        Box::pin(async move {
            let app = app.ok_or_else(|| CallError::Unreachable("the node is stopping".into()))?;
            answer(&app, from, &method, &body).await
        })
    });
}

/// Answers a peer.
async fn answer(app: &App, from: Peer, method: &str, body: &[u8]) -> Result<Bytes, CallError> {
    let seal = &app.seal;
    match method {
        forward::METHOD => {
            let run = |core, incoming| async move { app.runner.execute_queued(core, &incoming).await };
            forward::answer(seal, &app.nonces, from, body, run).await
        }
        address::METHOD => address::answer(seal, from, body),
        join::METHOD => join::answer(seal, from.public_key, body).await,
        join::RELAY_METHOD => join::answer_relayed(seal, from, body).await,
        handover::OFFER_METHOD => receiver::answer_offer(seal, from, body),
        handover::DELIVER_METHOD => receiver::answer_delivery(seal, from, body).await,
        testimony::METHOD => testimony::answer(seal, from, body).await,
        nodes::METHOD => nodes::answer(seal, from),
        CHECKPOINT_METHOD => upkeep::answer_checkpoint(seal, from),
        _ => Err(CallError::UnknownMethod),
    }
}
