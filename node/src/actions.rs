//! Doing what the core authorised and only the node can do.

use std::sync::Arc;

use conclave_raft::Role;
use conclave_vault::seal::proof::Exchange;
use conclave_vault::{Action, Core, Error, Raw, Reply};
use serde_json::{Map, Value, json};

use crate::audit::Audit;
use crate::cluster::join::{self, challenge};
use crate::cluster::{autopilot, membership, nodes};
use crate::gauges::Gauges;
use crate::http::in_flight::InFlight;
use crate::replica::Replica;
use crate::seal::{Seal, steps};
use crate::snapshot::Snapshots;
use crate::{host, loggers, version};

/// What the actions are done with.
pub(crate) struct Actions {
    pub(crate) seal: Arc<Seal>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) snapshots: Snapshots,
    pub(crate) audit: Arc<Audit>,
}

impl Actions {
    /// Does an action and puts its answer into the reply.
    pub(crate) async fn perform(&self, core: &Core, action: Action, mut reply: Reply) -> Result<Reply, Error> {
        let (seal, replica) = (&self.seal, &*self.seal.replica);
        match action {
            Action::Seal => seal.seal().await,
            Action::StepDown => step_down(replica).await?,
            Action::HaStatus => reply.data = Some(nodes::ha_status(seal).await),
            Action::RaftConfiguration => reply.data = Some(nodes::configuration(seal).await),
            Action::AutopilotState => reply.data = Some(autopilot::state(seal, core).await),
            Action::TakeSnapshot => reply.raw = Some(self.snapshots.take(&seal.replica, core).await?),
            Action::RemovePeer { server_id } => membership::remove(seal, core, &server_id).await?,
            Action::JoinToken { ttl_secs, uses } => {
                let token = join::issue(seal, ttl_secs, uses).await?;
                reply.data = object(json!({ "token": token.as_str(), "ttl": ttl_secs, "uses": uses }));
            }
            Action::JoinChallenge(joiner) => reply.data = Some(challenge::challenge(seal, &joiner)?),
            Action::JoinAnswer { joiner, challenge, nonce, proof } => {
                let exchange = Exchange { joiner: &joiner, challenge: &challenge, nonce: &nonce };
                reply.data = Some(challenge::answer(seal, &exchange, &proof).await?);
            }
            Action::Ceremony(step) => reply.data = steps::perform(seal, core, step).await?,
            Action::Loggers { name, step } => reply.data = loggers::perform(name.as_deref(), step)?,
            Action::Metrics { format } => {
                self.gauges.publish();
                return metrics(replica, &format, reply);
            }
            Action::HostInfo => reply.data = Some(host::info()),
            Action::InFlightRequests => {
                let body = self.in_flight.to_json().to_string().into_bytes();
                reply.raw = Some(Raw { status_code: 200, content_type: "application/json".into(), body });
            }
            Action::SanitizedConfig => reply.data = object(replica.config.sanitized()),
            Action::VersionHistory => reply.data = Some(version_history(replica)),
            Action::ConfiguredAuditDevices => reply.data = object(json!({ "devices": self.audit.configured() })),
            Action::TryAuditDevice(device) => self.audit.try_device(device).await?,
        }
        Ok(reply)
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

async fn step_down(replica: &Replica) -> Result<(), Error> {
    if !replica.is_clustered() || replica.raft.status().role != Role::Leader {
        return Ok(());
    }
    match replica.raft.transfer_leadership(None).await {
        Ok(id) => {
            tracing::info!(
                to = replica.node_name(id),
                "leadership was handed over, as a caller of sys/step-down wanted"
            );
            Ok(())
        }
        Err(error) => Err(Error::unavailable(format!("leadership could not be handed over: {error}"))),
    }
}

fn metrics(replica: &Replica, format: &str, mut reply: Reply) -> Result<Reply, Error> {
    match format {
        "prometheus" => {
            let body = replica.metrics.render_prometheus().into_bytes();
            reply.raw = Some(Raw { status_code: 200, content_type: "text/plain; version=0.0.4".into(), body });
        }
        "" => {
            let body = replica.metrics.render_json().to_string().into_bytes();
            reply.raw = Some(Raw { status_code: 200, content_type: "application/json".into(), body });
        }
        _ => return Err(Error::invalid("metric response content type unknown: use format=prometheus or none")),
    }
    Ok(reply)
}

fn version_history(replica: &Replica) -> Map<String, Value> {
    let info = json!({ version::API_VERSION: {
        "previous_version": null, "build_date": version::BUILD_DATE, "timestamp_installed": replica.started_at.to_string(),
    }});
    object(json!({ "keys": [version::API_VERSION], "key_info": info })).unwrap_or_default()
}
