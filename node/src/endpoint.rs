//! What this node answers itself, before any token: its seal, its health, its part in the cluster.

pub(crate) mod health;
pub(crate) mod init;
pub(crate) mod join;
pub(crate) mod leader;
pub(crate) mod seal_status;
pub(crate) mod unseal;

use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::gateway::{Incoming, Outgoing};

/// Answers the paths that need no core; `None` for all others.
pub(crate) async fn answer(app: &Arc<App>, incoming: &Incoming) -> Option<Outgoing> {
    Some(match incoming.request.path.as_str() {
        "sys/health" => health::answer(app, incoming),
        "sys/seal-status" => seal_status::answer(app, incoming),
        "sys/leader" => leader::answer(app, incoming),
        "sys/init" => init::answer(app, incoming).await,
        "sys/unseal" => unseal::answer(app, incoming).await,
        "sys/unseal/node" => unseal::node(app, incoming),
        "sys/unseal/nodes" => unseal::nodes(app, incoming).await,
        "sys/storage/raft/join" => join::answer(app, incoming).await,
        _ => return None,
    })
}

/// A reply that is a JSON document without an envelope.
pub(crate) fn plain(status: u16, body: &Value) -> Outgoing {
    let mut text = body.to_string();
    text.push('\n');
    Outgoing { status, content_type: "application/json".into(), headers: Vec::new(), body: text.into() }
}
