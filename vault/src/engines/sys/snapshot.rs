//! `sys/storage/raft/snapshot`: a copy of everything, as ciphertext. The core decides who may have it, the node makes it.

use crate::action::Action;
use crate::engine::{Call, Path};
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Operation;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "storage/raft/snapshot",
        operations: &[(Operation::Read, save), (Operation::Update, restore)],
        read_type: "application/gzip",
        help: "Take a snapshot: a gzip archive of everything, encrypted as it is stored",
        ..Path::DEFAULT
    },
    Path {
        pattern: "storage/raft/snapshot-force",
        operations: &[(Operation::Update, restore)],
        help: "Refused: a snapshot is restored into an empty data folder",
        ..Path::DEFAULT
    },
];

fn save(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::empty().with_action(Action::TakeSnapshot))
}

fn restore(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Err(Error::invalid(
        "a snapshot is not restored into a running cluster: `conclave operator restore` makes a node of it in an empty data \
         folder",
    ))
}
