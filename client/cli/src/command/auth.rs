//! `auth`: the auth methods.

use clap::Subcommand;

use super::engine::{Disable, Enable, EngineList, Family, Move, Tune};
use crate::failure::Outcome;
use crate::session::Session;

const METHODS: Family = Family { root: "sys/auth", name: "auth method", own_column: ("Token Type", "token_type") };

/// What can be done with auth methods.
#[derive(Subcommand)]
pub(crate) enum Auth {
    /// Show the auth methods.
    List(EngineList),
    /// Enable an auth method.
    Enable(Enable),
    /// Disable an auth method; tokens it gave end.
    Disable(Disable),
    /// Change settings of an auth method.
    Tune(Tune),
    /// Give an auth method another path.
    Move(Move),
}

impl Auth {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::List(command) => command.run(session, &METHODS).await,
            Self::Enable(command) => command.run(session, &METHODS).await,
            Self::Disable(command) => command.run(session, &METHODS).await,
            Self::Tune(command) => command.run(session, &METHODS).await,
            Self::Move(command) => command.run(session, &METHODS).await,
        }
    }
}
