//! `operator raft snapshot`: the whole cluster's state in one file, encrypted as it is in storage.
//!
//! What surprises: a snapshot passes through memory, so it is limited to the longest reply that is read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;

use clap::{Args, Subcommand};
use conclave_client::Request;

use crate::command::Outcome;
use crate::failure::Failure;
use crate::session::Session;

/// What can be done with snapshots.
#[derive(Subcommand)]
pub(crate) enum Snapshot {
    Save(Save),
    Restore(Restore),
}

/// Save a snapshot in a file that only its owner reads.
#[derive(Args)]
pub(crate) struct Save {
    /// The file; it must not exist yet.
    file: String,
}

/// Replace the whole cluster's state by a snapshot.
#[derive(Args)]
pub(crate) struct Restore {
    /// Also if the snapshot comes from another cluster, whose shares are then needed.
    #[arg(long, short)]
    force: bool,
    /// The file.
    file: String,
}

impl Snapshot {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Save(command) => {
                let request = Request::get("sys/storage/raft/snapshot");
                let reply = session.send("taking the snapshot", request).await?;
                let mut options = fs::OpenOptions::new();
                let opened = options.write(true).create_new(true).mode(0o600).open(&command.file);
                let mut file = opened.map_err(Failure::file(&command.file))?;
                let written = file.write_all(reply.bytes()).and_then(|()| file.sync_all());
                written.map_err(Failure::file(&command.file))?;
                session.output.done(&format!("Success! Saved {} bytes to: {}", reply.bytes().len(), command.file))
            }
            Self::Restore(command) => {
                let content = fs::read(&command.file).map_err(Failure::file(&command.file))?;
                let end = if command.force { "-force" } else { "" };
                let request = Request::new(conclave_client::Method::Post, format!("sys/storage/raft/snapshot{end}"));
                session.send("restoring the snapshot", request.bytes(content)).await?;
                session.output.done(&format!("Success! Restored: {}", command.file))
            }
        }
    }
}
