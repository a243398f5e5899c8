//! `secrets`: the secret engines.

use clap::Subcommand;

use super::engine::{Disable, Enable, EngineList, Family, Move, Tune};
use crate::failure::Outcome;
use crate::session::Session;

pub(super) const ENGINES: Family =
    Family { root: "sys/mounts", name: "secrets engine", own_column: ("Force No Cache", "force_no_cache") };

/// What can be done with secret engines.
#[derive(Subcommand)]
pub(crate) enum Secrets {
    /// Show the secret engines.
    List(EngineList),
    /// Mount a secret engine.
    Enable(Enable),
    /// Unmount a secret engine and delete all that is in it.
    Disable(Disable),
    /// Change settings of a secret engine.
    Tune(Tune),
    /// Give a secret engine another path.
    Move(Move),
}

impl Secrets {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::List(command) => command.run(session, &ENGINES).await,
            Self::Enable(command) => command.run(session, &ENGINES).await,
            Self::Disable(command) => command.run(session, &ENGINES).await,
            Self::Tune(command) => command.run(session, &ENGINES).await,
            Self::Move(command) => command.run(session, &ENGINES).await,
        }
    }
}
