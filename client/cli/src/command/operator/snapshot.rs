//! `operator raft snapshot`: copies of everything, encrypted as it is stored.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use conclave_client::Request;

use crate::archive;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::table;

/// What can be done with snapshots.
#[derive(Subcommand)]
pub(crate) enum Snapshot {
    Save(Save),
    Inspect(Inspect),
}

/// Save a snapshot of the cluster into a file that is not there yet.
#[derive(Args)]
pub(crate) struct Save {
    /// The file.
    file: PathBuf,
}

/// Show what a snapshot is, and whether the file is whole.
#[derive(Args)]
pub(crate) struct Inspect {
    /// The file.
    file: PathBuf,
}

impl Snapshot {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Save(command) => command.run(session).await,
            Self::Inspect(command) => command.run(session),
        }
    }
}

impl Save {
    async fn run(&self, session: &Session) -> Outcome {
        let reply = session.send("taking the snapshot", Request::get("sys/storage/raft/snapshot")).await?;
        archive::inspect(reply.bytes())
            .map_err(|reason| Failure::Reply(format!("the server sent no whole snapshot: {reason}")))?;
        write(&self.file, reply.bytes()).map_err(|source| Failure::File { path: self.file.clone(), source })?;
        session.output.done(&format!("Success! Saved the snapshot to {}", self.file.display()))
    }
}

/// Writes the file whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let written = opened.write_all(bytes).and_then(|()| opened.sync_all());
    if written.is_err() {
        // What is half there is no snapshot.
        let _ = std::fs::remove_file(file);
    }
    written
}

impl Inspect {
    fn run(&self, session: &Session) -> Outcome {
        let bytes = std::fs::read(&self.file).map_err(|source| Failure::File { path: self.file.clone(), source })?;
        let meta = archive::inspect(&bytes)
            .map_err(|reason| Failure::Usage(format!("{} is no whole snapshot: {reason}", self.file.display())))?;
        let text = || meta.as_object().map(table::object).unwrap_or_default();
        session.output.either(text, &meta)
    }
}
