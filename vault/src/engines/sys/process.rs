//! What only the process knows: metrics, the host, the configuration. The core decides who may ask, the node answers.

use serde_json::json;

use crate::action::Action;
use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::reply::Reply;
use crate::request::Operation;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "metrics",
        fields: &[&[field("format", Kind::Text, "\"prometheus\"; JSON if not said")]],
        operations: &[(Operation::Read, metrics)],
        help: "Read the metrics of this node",
        ..Path::DEFAULT
    },
    Path {
        pattern: "host-info",
        operations: &[(Operation::Read, host_info)],
        help: "Read facts about the host",
        ..Path::DEFAULT
    },
    Path {
        pattern: "in-flight-req",
        operations: &[(Operation::Read, in_flight)],
        help: "Read the requests that this node serves now",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/state/sanitized",
        operations: &[(Operation::Read, configuration)],
        help: "Read the configuration in force, without secrets",
        ..Path::DEFAULT
    },
    Path {
        pattern: "version-history/?",
        operations: &[(Operation::List, version_history)],
        help: "List the versions that ran here",
        ..Path::DEFAULT
    },
    Path {
        pattern: "replication/status",
        operations: &[(Operation::Read, replication)],
        access: Access::Open,
        help: "Read the state of replication between clusters, which does not exist here",
        ..Path::DEFAULT
    },
];

fn metrics(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let format = call.fields.text("format").unwrap_or_default();
    if !matches!(format, "" | "prometheus") {
        return Err(Error::invalid("the metrics format is unknown; ask for \"prometheus\", or for none to get JSON"));
    }
    let format = format.to_owned();
    call.context.ask_node(Action::Metrics { format })
}

fn host_info(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.context.ask_node(Action::HostInfo)
}

fn in_flight(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.context.ask_node(Action::InFlightRequests)
}

fn configuration(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.context.ask_node(Action::SanitizedConfig)
}

fn version_history(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.context.ask_node(Action::VersionHistory)
}

fn replication(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({ "mode": "disabled" })))
}
