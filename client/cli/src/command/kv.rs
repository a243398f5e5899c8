//! `kv`: the KV engine, whichever version is mounted.
//!
//! What surprises: each command first asks where the path's mount ends and which version it has, because version 2
//! keeps data and metadata under paths of their own.

mod delete;
mod get;
mod list;
mod metadata;
mod patch;
pub(crate) mod place;
mod put;
mod rollback;
mod versions;

use clap::{Args, Subcommand};
use serde_json::json;

use super::engine;
use super::secrets::ENGINES;
use crate::failure::Outcome;
use crate::session::Session;

/// What can be done with KV engines.
#[derive(Subcommand)]
pub(crate) enum Kv {
    Get(get::KvGet),
    Put(put::KvPut),
    Patch(patch::KvPatch),
    Delete(delete::KvDelete),
    Undelete(versions::Undelete),
    Destroy(versions::Destroy),
    List(list::KvList),
    Rollback(rollback::Rollback),
    /// Read and write what is known of a secret besides its data.
    #[command(subcommand)]
    Metadata(Box<metadata::Metadata>),
    EnableVersioning(EnableVersioning),
}

/// Turn a version 1 engine into version 2.
#[derive(Args)]
pub(crate) struct EnableVersioning {
    /// Where the engine is mounted.
    mount: String,
}

impl Kv {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Get(command) => command.run(session).await,
            Self::Put(command) => command.run(session).await,
            Self::Patch(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
            Self::Undelete(command) => command.run(session).await,
            Self::Destroy(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Rollback(command) => command.run(session).await,
            Self::Metadata(command) => command.run(session).await,
            Self::EnableVersioning(command) => {
                engine::tune(session, &ENGINES, &command.mount, &json!({ "options": { "version": "2" } })).await
            }
        }
    }
}
