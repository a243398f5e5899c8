//! `sys/health`: one answer for load balancers, whose status code says what this node is.

use serde_json::json;

use crate::before_unseal::plain;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::keeper;
use crate::replica::contact::Contact;
use crate::seal::Seal;

/// What this node is, in the order in which it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HealthState {
    Uninitialised,
    /// The cluster does not know this node any more.
    Removed,
    Sealed,
    /// Unsealed, and no quorum confirms a leader to this node: it can answer nothing.
    CutOff,
    /// It has its keys and serves nothing.
    Withdrawn,
    Standby,
    Active,
}

/// Answers `GET` and `HEAD sys/health`.
pub(crate) fn answer(seal: &Seal, incoming: &Incoming) -> Outgoing {
    if !matches!(incoming.method.as_str(), "GET" | "HEAD") {
        return error::failure(405, &[]);
    }
    let state = state_of(seal);
    let Ok(status) = status_of(state, incoming) else { return error::failure(400, &[]) };
    if status == 204 && incoming.method == "GET" {
        return Outgoing { status, content_type: String::new(), headers: Vec::new(), body: Vec::new().into() };
    }
    let is_open = !seal.state.is_sealed();
    let replication = if is_open { "disabled" } else { "unknown" };
    let mut body = json!({
        "initialized": state != HealthState::Uninitialised,
        "sealed": !is_open,
        "standby": state != HealthState::Active,
        "performance_standby": false,
        "replication_performance_mode": replication,
        "replication_dr_mode": replication,
        "server_time_utc": crate::view::now().secs(),
        "version": crate::version::API_VERSION,
    });
    if state == HealthState::Removed {
        body["removed_from_cluster"] = true.into();
    }
    let contact = seal.replica.contact();
    if matches!(state, HealthState::Removed | HealthState::CutOff) {
        body["state"] = contact.trouble().into();
        body["reason"] = contact.reason().into();
    }
    if state != HealthState::Uninitialised && contact.trouble().is_some() && seal.replica.has_others() {
        let last = seal.replica.raft.confirmed();
        body["last_leader"] = last.map(|known| seal.replica.node_name(known.leader)).into();
        body["last_leader_contact_secs"] = last.map(|known| known.asked_at.elapsed().as_secs()).into();
    }
    if is_open {
        body["cluster_name"] = seal.replica.cluster_name().into();
        body["cluster_id"] = seal.replica.cluster_id_text().into();
    }
    let present = seal.state.state();
    if !matches!(state, HealthState::Uninitialised | HealthState::Removed)
        && !matches!(present, keeper::State::Sealed | keeper::State::Serving)
    {
        body["state"] = present.name().into();
        body["reason"] = seal.state.reason().into();
    }
    plain(status, &body)
}

fn state_of(seal: &Seal) -> HealthState {
    if !seal.is_initialized() {
        HealthState::Uninitialised
    } else if seal.replica.contact().is_out() {
        HealthState::Removed
    } else if seal.state.is_sealed() {
        HealthState::Sealed
    } else if !seal.state.state().serves() {
        HealthState::Withdrawn
    } else if seal.replica.contact() == Contact::Lost {
        HealthState::CutOff
    } else if seal.replica.is_active() {
        HealthState::Active
    } else {
        HealthState::Standby
    }
}

/// The status code: the default of the state, or what the query asks for it.
fn status_of(state: HealthState, incoming: &Incoming) -> Result<u16, ()> {
    let find = |name: &str| incoming.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let code = |name: &str, default: u16| match find(name) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|code| (200..600).contains(code)).ok_or(()),
    };
    let flag = |name: &str| match find(name) {
        None => Ok(false),
        Some("") => Ok(true),
        Some(text) => conclave_vault::boolean(&text.into()).ok_or(()),
    };
    // Every parameter is checked, also those of other states: a typing error shows at once.
    let is_standby_ok = flag("standbyok")? | flag("perfstandbyok")?;
    let active = code("activecode", 200)?;
    let standby = code("standbycode", 429)?;
    let sealed = code("sealedcode", 503)?;
    let uninitialised = code("uninitcode", 501)?;
    let removed = code("removedcode", 530)?;
    Ok(match state {
        HealthState::Uninitialised => uninitialised,
        HealthState::Removed => removed,
        HealthState::Sealed | HealthState::Withdrawn => sealed,
        // Whatever the query asks for a standby: a load balancer must send this node nothing.
        HealthState::CutOff => 503,
        HealthState::Standby if is_standby_ok => active,
        HealthState::Standby => standby,
        HealthState::Active => active,
    })
}
