//! `sys/unseal`: one share of a ceremony, on this node, and if the operator says so for all of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use conclave_vault::error::{Error, ErrorKind};
use conclave_vault::field;
use conclave_vault::seal::ceremony::{Entered, ShareError};
use serde_json::{Value, json};

use crate::app::App;
use crate::cluster::handover;
use crate::endpoint::{plain, seal_status};
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::view::SystemRandomness;

/// What a share led to, once the node is done with it.
struct Done {
    nodes: Option<Value>,
}

/// Answers `POST sys/unseal`.
pub(crate) async fn answer(app: &Arc<App>, incoming: &Incoming) -> Outgoing {
    if !matches!(incoming.method.as_str(), "POST" | "PUT") {
        return error::failure(405, &[]);
    }
    let entered = match enter(app, incoming).await {
        Ok(entered) => entered,
        Err(failed) => return error::outgoing(&failed),
    };
    match seal_status::status(app) {
        Ok(mut status) => {
            if let Some(nodes) = entered.nodes {
                status["nodes"] = nodes;
            }
            plain(200, &status)
        }
        Err(failed) => error::outgoing(&failed),
    }
}

async fn enter(app: &Arc<App>, incoming: &Incoming) -> Result<Done, Error> {
    let data = &incoming.request.data;
    let flag = |name: &str| data.get(name).and_then(field::boolean).unwrap_or(false);
    let outside = app.outside()?.ok_or_else(|| Error::invalid("Vault is not initialized"))?;
    let is_for_cluster = flag("cluster");
    if flag("reset") {
        app.ceremonies.lock().unseal.reset();
        return Ok(Done { nodes: None });
    }
    let key = data
        .get("key")
        .and_then(Value::as_str)
        .filter(|key| !key.is_empty())
        .ok_or_else(|| Error::invalid("'key' must be specified in request body as JSON, or 'reset' set to true"))?;
    if !app.shared.is_sealed() && !is_for_cluster {
        return Ok(Done { nodes: None });
    }
    let address = incoming.request.remote_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let entered = {
        let mut ceremonies = app.ceremonies.lock();
        ceremonies.unseal.enter(key, address, &outside, &mut SystemRandomness::default())
    };
    match entered {
        Ok(Entered::Progress(_)) => Ok(Done { nodes: None }),
        Ok(Entered::Unsealed { barrier, nonce }) => {
            app.unseal(*barrier).await?;
            let nodes = if is_for_cluster { Some(hand_over(app, nonce).await) } else { None };
            Ok(Done { nodes })
        }
        Err(refused @ (ShareError::Unreadable | ShareError::Wrong)) => Err(Error::invalid(refused.to_string())),
        Err(damaged @ ShareError::Damaged(_)) => Err(Error::new(ErrorKind::Internal, damaged.to_string())),
    }
}

/// Gives the root key to every other member, and says what became of each.
async fn hand_over(app: &Arc<App>, nonce: [u8; 16]) -> Value {
    let handed = handover::to_all(app, nonce).await;
    let nodes = handed.into_iter().map(|node| {
        json!({
            "id": app.node_name(node.id),
            "address": node.api_addr,
            "fingerprint": node.fingerprint,
            "sealed": node.error.is_some(),
            "error": node.error,
        })
    });
    Value::Array(nodes.collect())
}
