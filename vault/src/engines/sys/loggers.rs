//! `sys/loggers`: how much this node writes to its log, until it is restarted. The core decides who may, the node does it.

use crate::action::{Action, LoggerStep};
use crate::engine::{Call, Effect, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::request::Operation;

const LEVEL: Field = field("level", Kind::Text, "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"");

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "loggers",
        fields: &[&[LEVEL]],
        operations: &[(Operation::Read, read), (Operation::Update, write), (Operation::Delete, reset)],
        effect: Effect::Reads,
        help: "Read, set or reset the levels of this node's loggers",
        ..Path::DEFAULT
    },
    Path {
        pattern: "loggers/{name}",
        fields: &[&[field("name", Kind::Text, "Name of the logger, such as conclave_raft"), LEVEL]],
        operations: &[(Operation::Read, read), (Operation::Update, write), (Operation::Delete, reset)],
        effect: Effect::Reads,
        help: "Read, set or reset the level of one of this node's loggers",
        ..Path::DEFAULT
    },
];

fn name(call: &Call<'_, '_>) -> Option<String> {
    call.fields.text("name").filter(|name| !name.is_empty()).map(str::to_owned)
}

fn ask(call: &mut Call<'_, '_>, step: LoggerStep) -> Result<Reply, Error> {
    let name = name(call);
    call.context.ask_node(Action::Loggers { name, step })
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    ask(call, LoggerStep::Show)
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let level = call.fields.text_or_empty("level").to_owned();
    if level.is_empty() {
        return Err(Error::invalid("level must be said"));
    }
    ask(call, LoggerStep::Set(level))
}

fn reset(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    ask(call, LoggerStep::Reset)
}
