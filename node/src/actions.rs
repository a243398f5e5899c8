//! Doing what the core authorised and only the node can do.

use std::sync::Arc;

use conclave_raft::Role;
use conclave_vault::action::Action;
use conclave_vault::core::Core;
use conclave_vault::error::Error;
use conclave_vault::reply::{Raw, Reply};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::cluster::{join, membership, nodes};
use crate::serve::unavailable;
use crate::{host, version};

/// Does an action and puts its answer into the reply.
pub(crate) async fn perform(app: &Arc<App>, core: &Core, action: Action, mut reply: Reply) -> Result<Reply, Error> {
    match action {
        Action::Seal => app.seal().await,
        Action::StepDown => step_down(app).await?,
        Action::HaStatus => reply.data = Some(nodes::ha_status(app).await),
        Action::RaftConfiguration => reply.data = Some(nodes::configuration(app).await),
        Action::RemovePeer { server_id } => membership::remove(app, core, &server_id).await?,
        Action::JoinToken { ttl_secs, uses } => {
            let token = join::issue(app, ttl_secs, uses).await?;
            reply.data = object(json!({ "token": token.as_str(), "ttl": ttl_secs, "uses": uses }));
        }
        Action::Metrics { format } => return metrics(app, &format, reply),
        Action::HostInfo => reply.data = Some(host::info()),
        Action::InFlightRequests => {
            let body = app.in_flight.to_json().to_string().into_bytes();
            reply.raw = Some(Raw { status_code: 200, content_type: "application/json".into(), body });
        }
        Action::SanitizedConfig => reply.data = object(app.config.sanitized()),
        Action::VersionHistory => reply.data = Some(version_history(app)),
    }
    Ok(reply)
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

async fn step_down(app: &App) -> Result<(), Error> {
    if !app.is_clustered() || app.raft.status().role != Role::Leader {
        return Ok(());
    }
    match app.raft.transfer_leadership(None).await {
        Ok(id) => {
            tracing::info!(to = app.node_name(id), "leadership was handed over, as a caller of sys/step-down wanted");
            Ok(())
        }
        Err(error) => Err(unavailable(&format!("leadership could not be handed over: {error}"))),
    }
}

fn metrics(app: &App, format: &str, mut reply: Reply) -> Result<Reply, Error> {
    app.publish_metrics();
    match format {
        "prometheus" => {
            let body = app.metrics.render_prometheus().into_bytes();
            reply.raw = Some(Raw { status_code: 200, content_type: "text/plain; version=0.0.4".into(), body });
        }
        "" => {
            let body = app.metrics.render_json().to_string().into_bytes();
            reply.raw = Some(Raw { status_code: 200, content_type: "application/json".into(), body });
        }
        _ => return Err(Error::invalid("metric response content type unknown: use format=prometheus or none")),
    }
    Ok(reply)
}

fn version_history(app: &App) -> Map<String, Value> {
    let info = json!({ version::API_VERSION: {
        "previous_version": null, "build_date": version::BUILD_DATE, "timestamp_installed": app.started_at().to_string(),
    }});
    object(json!({ "keys": [version::API_VERSION], "key_info": info })).unwrap_or_default()
}
