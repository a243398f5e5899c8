//! `sys/storage/raft/join`: this node enters a cluster.

use std::sync::Arc;

use conclave_vault::{Error, boolean};
use serde_json::{Value, json};

use crate::before_unseal::plain;
use crate::cluster::join;
use crate::config::storage::is_url;
use crate::config::{Hidden, RetryJoin};
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
    match join(seal, incoming).await {
        Ok(joined) => plain(200, &joined),
        Err(error) => error::outgoing(&error),
    }
}

async fn join(seal: &Arc<Seal>, incoming: &Incoming) -> Result<Value, Error> {
    let data = &incoming.request.data;
    let text = |name: &str| data.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let flag = |name: &str| data.get(name).and_then(boolean).unwrap_or(false);
    let at = RetryJoin {
        leader_api_addr: text("leader_api_addr").unwrap_or_default(),
        leader_ca_cert: text("leader_ca_cert"),
        leader_client_cert: text("leader_client_cert"),
        leader_client_key: text("leader_client_key").map(Hidden::new),
        leader_tls_servername: text("leader_tls_servername"),
        token: text("token").map(Hidden::new),
        ..RetryJoin::default()
    };
    let has_token = at.token.is_some();
    if !has_token && !is_url(&at.leader_api_addr) {
        return Err(Error::invalid(
            "a join needs \"token\", which `conclave operator raft join-token` makes on a member, or \"leader_api_addr\", \
             the URL of a member such as https://10.0.0.1:8200, and the shares of its cluster entered here",
        ));
    }
    at.tls_texts().map_err(Error::invalid)?;
    join::join_as_asked(seal, at, flag("non_voter"), flag("retry")).await?;
    let mut joined = json!({ "joined": true });
    if !has_token {
        joined["warnings"] =
            json!(["to end the join, enter shares of that cluster on this node (`conclave operator unseal`)"]);
    }
    Ok(joined)
}
