//! `print`: what this program knows without asking a server.

use clap::Subcommand;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::Session;

/// What can be printed.
#[derive(Subcommand)]
pub(crate) enum Print {
    /// Print the token that commands use.
    Token,
}

impl Print {
    pub(crate) fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Token => match &session.token {
                Some(token) => output::print(&format!("{}\n", token.expose())),
                None => Err(Failure::Usage("there is no token; `login` gets one, or set VAULT_TOKEN".to_owned())),
            },
        }
    }
}
