//! `sys/seal-status`: how sealed this node is, and how far a ceremony on it has come.

use serde_json::{Value, json};

use crate::app::App;
use crate::endpoint::plain;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::version;

/// Answers `GET sys/seal-status`.
pub(crate) fn answer(app: &App, incoming: &Incoming) -> Outgoing {
    match incoming.method.as_str() {
        "GET" => match status(app) {
            Ok(status) => plain(200, &status),
            Err(failed) => error::outgoing(&failed),
        },
        _ => error::failure(405, &[]),
    }
}

/// The status as a JSON document.
pub(crate) fn status(app: &App) -> Result<Value, conclave_vault::error::Error> {
    let outside = app.outside()?;
    let is_sealed = app.shared.is_sealed();
    let (mut threshold, mut shares, mut progress, mut nonce) = (0, 0, 0, String::new());
    if let Some(outside) = &outside {
        (threshold, shares) = (outside.seal.threshold, outside.seal.shares);
        let reached = app.ceremonies.lock().unseal.progress(outside);
        (progress, nonce) = (reached.entered, reached.nonce);
    }
    let mut status = json!({
        "type": "shamir",
        "initialized": outside.is_some(),
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
        "storage_type": app.config.storage.name(),
    });
    if !is_sealed {
        status["cluster_name"] = app.cluster_name().into();
        status["cluster_id"] = app.cluster_id_text().into();
    } else if outside.is_some() && app.is_clustered() {
        // `sys/leader` is closed while sealed, and an operator wants to see that the node keeps up all the same.
        status["raft_applied_index"] = app.raft.applied_index().into();
    }
    Ok(status)
}
