//! `sys/unseal`: one share of a ceremony, on this node, and if the operator says so for all of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use conclave_raft::node_id;
use conclave_vault::MAX_MEMBERS;
use conclave_vault::seal::handover::Fingerprint;
use conclave_vault::seal::{Entered, Entry, Outside, ShareError};
use conclave_vault::{Error, ErrorKind, boolean};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::before_unseal::{plain, reset_time, seal_status};
use crate::cluster::handover::candidates::Candidates;
use crate::cluster::handover::{self, HandedOver};
use crate::cluster::join::by_shares;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// What a share led to, beyond the node's state.
#[derive(Default)]
struct Done {
    nodes: Option<Value>,
    /// How far a ceremony is that is to set cluster time.
    time: Option<Value>,
    warning: Option<&'static str>,
}

/// Answers `POST sys/unseal`.
pub(crate) async fn answer(seal: &Arc<Seal>, incoming: &Incoming) -> Outgoing {
    if !matches!(incoming.method.as_str(), "POST" | "PUT") {
        return error::failure(405, &[]);
    }
    let done = match enter(seal, incoming).await {
        Ok(done) => done,
        Err(failed) => return error::outgoing(&failed),
    };
    match seal_status::status(seal) {
        Ok(mut status) => {
            if let Some(nodes) = done.nodes {
                status["nodes"] = nodes;
            }
            if let Some(time) = done.time {
                status["reset_time"] = time;
            }
            if let Some(warning) = done.warning {
                status["warnings"] = json!([warning]);
            }
            plain(200, &status)
        }
        Err(failed) => error::outgoing(&failed),
    }
}

/// Answers `GET sys/unseal/nodes`: who could be given the root key.
pub(crate) async fn nodes(seal: &Arc<Seal>, candidates: &Candidates, incoming: &Incoming) -> Outgoing {
    if incoming.method != "GET" {
        return error::failure(405, &[]);
    }
    match seal.replica.outside() {
        Ok(Some(_)) => match candidates.list(seal).await {
            Ok(nodes) => plain(200, &json!({ "nodes": nodes })),
            Err(failed) => error::outgoing(&failed),
        },
        Ok(None) => error::outgoing(&Error::invalid("Vault is not initialized")),
        Err(failed) => error::outgoing(&failed),
    }
}

/// Answers `GET sys/unseal/node`: this node as the ceremony on another one lists it, with its fingerprint while it is
/// sealed. Holders of shares compare the two.
pub(crate) fn node(seal: &Seal, incoming: &Incoming) -> Outgoing {
    if incoming.method != "GET" {
        return error::failure(405, &[]);
    }
    let own = seal.replica.own_record();
    let is_sealed = seal.state.is_sealed();
    let node = json!({
        "node_id": seal.replica.node_name(own.id),
        "id": node_id(own.id),
        "address": own.api_addr,
        "cluster_address": seal.replica.cluster_url(&own.cluster_addr),
        "voter": seal.replica.is_voter(own.id),
        "sealed": is_sealed,
        "fingerprint": (is_sealed && seal.replica.is_clustered()).then(|| seal.fingerprint.to_string()),
        "error": null,
    });
    plain(200, &node)
}

async fn enter(seal: &Arc<Seal>, incoming: &Incoming) -> Result<Done, Error> {
    let data = &incoming.request.data;
    let flag = |name: &str| data.get(name).and_then(boolean).unwrap_or(false);
    let Some(outside) = seal.replica.outside()? else { return enter_to_join(seal, incoming).await };
    let contact = seal.replica.contact();
    if let Some(reason) = contact.reason().filter(|_| contact.is_out()) {
        return Err(Error::invalid(format!("{reason}; a share entered here unseals nothing")));
    }
    let address = incoming.request.remote_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let key = data.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
    if flag("reset") {
        return reset(seal, key, address, &outside, flag("reset_time"));
    }
    let key = key.ok_or_else(no_key)?;
    if flag("reset_time") {
        let time = reset_time::enter(seal, key, address, &outside).await?;
        return Ok(Done { time: Some(time), ..Done::default() });
    }
    let is_for_cluster = flag("cluster");
    if !seal.state.is_sealed() && !is_for_cluster {
        let warning = "this node is unsealed, so the share was not used; with cluster=true (-cluster) it takes part in a \
                       ceremony for the other nodes";
        return Ok(Done { warning: Some(warning), ..Done::default() });
    }
    let confirmed = if is_for_cluster { confirmed(data)? } else { BTreeSet::new() };
    let entered = {
        let (entry, now) = (Entry { key, address, confirmed }, Instant::now());
        seal.state.attempts.lock().unseal.enter(entry, &outside, &mut SystemRandomness::default(), now)
    };
    match entered {
        Ok(Entered::Progress(progress)) => {
            let (entered, needed) = (progress.entered, progress.threshold);
            tracing::info!(%address, entered, needed, "a share was entered");
            Ok(Done::default())
        }
        Ok(Entered::Unsealed { barrier, join_key, nonce, confirmed }) => {
            tracing::info!(%address, "the last share needed was entered");
            *seal.join_key.lock() = Some((join_key, outside.seal.generation));
            seal.unseal(*barrier).await?;
            let nodes = if is_for_cluster { Some(hand_over(seal, nonce, confirmed).await?) } else { None };
            Ok(Done { nodes, ..Done::default() })
        }
        Err(refused @ (ShareError::Unreadable | ShareError::Wrong)) => {
            seal.note_refused_share(address);
            Err(Error::invalid(refused.to_string()))
        }
        Err(damaged @ ShareError::Damaged(_)) => Err(Error::new(ErrorKind::Internal, damaged.to_string())),
    }
}

/// A share on a node that has not joined its cluster yet.
async fn enter_to_join(seal: &Arc<Seal>, incoming: &Incoming) -> Result<Done, Error> {
    let data = &incoming.request.data;
    let flag = |name: &str| data.get(name).and_then(boolean).unwrap_or(false);
    let address = incoming.request.remote_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if flag("reset") {
        if let Some(joining) = seal.joining.lock().as_mut() {
            joining.reset(address).map_err(|refused| Error::invalid(refused.to_string()))?;
        }
        return Ok(Done::default());
    }
    let key = data.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
    let key = key.ok_or_else(no_key)?;
    by_shares::enter(seal, key, address).await?;
    let warning = "this node joined by these shares, which unseal no other: with -cluster, enter them on it once more";
    Ok(Done { warning: flag("cluster").then_some(warning), ..Done::default() })
}

fn no_key() -> Error {
    Error::invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
}

fn reset(seal: &Seal, key: Option<&str>, address: IpAddr, outside: &Outside, is_for_time: bool) -> Result<Done, Error> {
    let reset = {
        let mut attempts = seal.state.attempts.lock();
        let ceremony = if is_for_time { &mut attempts.time } else { &mut attempts.unseal };
        ceremony.reset(key, address, outside)
    };
    reset.map_err(|refused| Error::invalid(refused.to_string()))?;
    tracing::info!(%address, "the shares entered so far were forgotten");
    Ok(Done::default())
}

/// The processes that the share's holder confirms: a list, or texts with commas between.
fn confirmed(data: &Map<String, Value>) -> Result<BTreeSet<Fingerprint>, Error> {
    let texts: Vec<&str> = match data.get("confirm") {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::String(text)) => text.split(',').collect(),
        Some(Value::Array(texts)) => texts.iter().map(|text| text.as_str().unwrap_or("?")).collect(),
        Some(_) => vec!["?"],
    };
    let texts: Vec<_> = texts.into_iter().filter(|text| !text.trim().is_empty()).collect();
    if texts.len() > MAX_MEMBERS {
        return Err(Error::invalid(format!("'confirm' names more than {MAX_MEMBERS} nodes")));
    }
    let read = texts.into_iter().map(str::parse).collect::<Result<_, _>>();
    read.map_err(|error| Error::invalid(format!("'confirm' is a list of fingerprints: {error}")))
}

/// Gives the root key to every other member that was confirmed, and says what became of each.
async fn hand_over(seal: &Arc<Seal>, nonce: [u8; 16], confirmed: BTreeSet<Fingerprint>) -> Result<Value, Error> {
    let handed = handover::to_confirmed(seal, nonce, confirmed).await;
    let handed = handed.map_err(|reason| {
        let text = format!("this node is unsealed, and the members cannot be read to unseal others: {reason}");
        Error::new(ErrorKind::Internal, text)
    })?;
    let nodes = handed.into_iter().map(|HandedOver { member, fingerprint, error }| {
        json!({
            "node_id": seal.replica.node_name(member.id),
            "id": node_id(member.id),
            "address": member.api_addr,
            "fingerprint": fingerprint.map(|fingerprint| fingerprint.to_string()).unwrap_or_default(),
            "sealed": error.is_some(),
            "error": error,
        })
    });
    Ok(Value::Array(nodes.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "ef2f:6644:45ed:474c:aac7:ae48:86ec:ae34";

    fn count(confirm: Value) -> Option<usize> {
        let data = json!({ "confirm": confirm });
        confirmed(data.as_object().unwrap()).ok().map(|confirmed| confirmed.len())
    }

    #[test]
    fn fingerprints_come_as_a_list_or_as_one_text() {
        let other = SHOWN.replace("ef2f", "ef30");
        assert_eq!(count(json!([SHOWN, other])), Some(2));
        assert_eq!(count(json!(format!("{SHOWN}, {other},"))), Some(2));
        assert_eq!(count(json!(null)), Some(0));
        assert_eq!(count(json!("")), Some(0));
        for wrong in [json!("yes"), json!([SHOWN, 7]), json!(true), json!(vec![SHOWN; MAX_MEMBERS + 1])] {
            assert_eq!(count(wrong.clone()), None, "{wrong}");
        }
    }
}
