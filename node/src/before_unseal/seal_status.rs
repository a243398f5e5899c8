//! `sys/seal-status`: how sealed this node is, and how far a ceremony on it has come.

use serde_json::{Value, json};

use crate::before_unseal::plain;
use crate::cluster::join::by_shares;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::seal::Seal;
use crate::version;

/// Answers `GET sys/seal-status`.
pub(crate) fn answer(seal: &Seal, incoming: &Incoming) -> Outgoing {
    match incoming.method.as_str() {
        "GET" => match status(seal) {
            Ok(status) => plain(200, &status),
            Err(failed) => error::outgoing(&failed),
        },
        _ => error::failure(405, &[]),
    }
}

/// The status as a JSON document.
pub(crate) fn status(seal: &Seal) -> Result<Value, conclave_vault::Error> {
    let outside = seal.replica.outside()?;
    let is_sealed = seal.state.is_sealed();
    let (mut threshold, mut shares, mut progress, mut nonce) = (0, 0, 0, String::new());
    if let Some(outside) = &outside {
        (threshold, shares) = (outside.seal.threshold as usize, u64::from(outside.seal.shares));
        let reached = seal.state.attempts.lock().unseal.progress(outside);
        (progress, nonce) = (reached.entered, reached.nonce);
    }
    let joining = if outside.is_none() { by_shares::progress(seal) } else { None };
    if let Some((found, reached)) = &joining {
        (threshold, shares) = (reached.threshold, found.shares);
        (progress, nonce) = (reached.entered, reached.nonce.clone());
    }
    let mut status = json!({
        "type": "shamir",
        "initialized": outside.is_some() || joining.is_some(),
        "sealed": is_sealed,
        "t": threshold,
        "n": shares,
        "progress": progress,
        "nonce": nonce,
        "version": version::API_VERSION,
        "build_date": version::BUILD_DATE,
        "commit_date": "",
        "server_version": version::SERVER_VERSION,
        "migration": false,
        "recovery_seal": false,
        "storage_type": seal.replica.config.storage.name(),
    });
    if !is_sealed {
        status["cluster_name"] = seal.replica.cluster_name().into();
        status["cluster_id"] = seal.replica.cluster_id_text().into();
    } else if outside.is_some() && seal.replica.is_clustered() {
        // `sys/leader` is closed while sealed, and an operator wants to see that the node keeps up all the same.
        status["raft_applied_index"] = seal.replica.raft.applied_index().into();
    }
    Ok(status)
}
