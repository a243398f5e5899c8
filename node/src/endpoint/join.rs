//! `sys/storage/raft/join`: this node enters a cluster.

use std::sync::Arc;

use conclave_vault::Error;
use serde_json::json;

use crate::cluster::join;
use crate::endpoint::plain;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::seal::Seal;

/// Answers `POST sys/storage/raft/join`.
pub(crate) async fn answer(seal: &Arc<Seal>, incoming: &Incoming) -> Outgoing {
    if !matches!(incoming.method.as_str(), "POST" | "PUT") {
        return error::failure(405, &[]);
    }
    if !seal.replica.is_clustered() {
        return error::outgoing(&Error::invalid(
            "this node's storage does not replicate; only \"raft\" storage with a cluster address joins",
        ));
    }
    let Some(token) = incoming.request.data.get("token").and_then(|token| token.as_str()) else {
        let message = "a join needs \"token\": make one on a member with `conclave operator raft join-token` \
                       (POST sys/storage/raft/join-token)";
        return error::outgoing(&Error::invalid(message));
    };
    match join::join(seal, token).await {
        Ok(()) => plain(200, &json!({ "joined": true })),
        Err(error) => error::outgoing(&error),
    }
}
