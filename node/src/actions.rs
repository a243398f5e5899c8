//! Doing what the core authorised and only the node can do.

use std::sync::Arc;

use conclave_raft::{Member, Role, Status};
use conclave_vault::action::Action;
use conclave_vault::core::Core;
use conclave_vault::error::Error;
use conclave_vault::reply::{Raw, Reply};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::cluster::{join, membership};
use crate::serve::unavailable;
use crate::{host, version};

/// Does an action and puts its answer into the reply.
pub(crate) async fn perform(app: &Arc<App>, core: &Core, action: Action, mut reply: Reply) -> Result<Reply, Error> {
    match action {
        Action::Seal => app.seal().await,
        Action::StepDown => step_down(app).await?,
        Action::HaStatus => reply.data = Some(ha_status(app).await),
        Action::RaftConfiguration => reply.data = Some(raft_configuration(&app.status())),
        Action::RemovePeer { server_id } => membership::remove(app, core, &server_id).await?,
        Action::JoinToken { ttl_secs } => {
            let token = join::issue(app, ttl_secs).await?;
            reply.data = object(json!({ "token": token.as_str(), "ttl": ttl_secs }));
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

async fn ha_status(app: &Arc<App>) -> Map<String, Value> {
    let status = app.status();
    let leader = status.leader.as_ref().map(|leader| leader.id);
    let sealed = crate::cluster::handover::receiver::sealed_members(app).await;
    let node = |member: &Member| {
        json!({
            "hostname": member.api_addr,
            "api_address": member.api_addr,
            "cluster_address": app.cluster_url(&member.cluster_addr),
            "active_node": Some(member.id) == leader,
            "last_echo": null,
            "version": version::API_VERSION,
            "upgrade_version": version::API_VERSION,
            "redundancy_zone": "",
            "node_id": app.node_name(member.id),
            "sealed": sealed.get(&member.id),
        })
    };
    let nodes: Vec<_> = status.members.iter().map(node).collect();
    object(json!({ "nodes": nodes })).unwrap_or_default()
}

fn raft_configuration(status: &Status) -> Map<String, Value> {
    let leader = status.leader.as_ref().map(|leader| leader.id);
    let server = |member: &Member| {
        json!({
            "node_id": format!("{:016x}", member.id),
            "address": member.cluster_addr,
            "leader": Some(member.id) == leader,
            "voter": member.voter,
            "protocol_version": "3",
        })
    };
    let servers: Vec<_> = status.members.iter().map(server).collect();
    object(json!({ "config": { "index": status.applied, "servers": servers } })).unwrap_or_default()
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
