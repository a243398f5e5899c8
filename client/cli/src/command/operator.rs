//! `operator`: initialising, unsealing and running a cluster.

mod autopilot;
mod generate_root;
mod init;
mod key_status;
mod known;
mod members;
mod raft;
mod rekey;
mod reset_time;
mod rotate;
mod seal;
mod snapshot;
mod step_down;
mod unseal;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::session::Session;

/// What operators do.
#[derive(Subcommand)]
pub(crate) enum Operator {
    Init(init::Init),
    Unseal(unseal::Unseal),
    Seal(seal::Seal),
    Members(members::Members),
    StepDown(step_down::StepDown),
    /// Show and change the nodes that replicate.
    #[command(subcommand)]
    Raft(raft::Raft),
    GenerateRoot(generate_root::GenerateRoot),
    Rekey(rekey::Rekey),
    KeyStatus(key_status::KeyStatus),
    Rotate(rotate::Rotate),
    ResetTime(reset_time::ResetTime),
}

impl Operator {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Init(command) => command.run(session).await,
            Self::Unseal(command) => command.run(session).await,
            Self::Seal(command) => command.run(session).await,
            Self::Members(command) => command.run(session).await,
            Self::StepDown(command) => command.run(session).await,
            Self::Raft(command) => command.run(session).await,
            Self::GenerateRoot(command) => command.run(session).await,
            Self::Rekey(command) => command.run(session).await,
            Self::KeyStatus(command) => command.run(session).await,
            Self::Rotate(command) => command.run(session).await,
            Self::ResetTime(command) => command.run(session).await,
        }
    }
}
