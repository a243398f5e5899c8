//! All verbs: a new one is a file here, a `mod` line, a variant and a line in [`run`].

mod audit;
mod auth;
mod completion;
mod delete;
mod engine;
mod kv;
mod lease;
mod list;
mod login;
mod operator;
mod patch;
mod path_help;
mod policy;
mod print;
mod read;
mod run;
mod secrets;
mod status;
mod token;
mod transit;
mod unwrap;
mod version_history;
mod write;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::output;
use crate::session::Session;

/// A verb with its own arguments.
#[derive(Subcommand)]
pub(crate) enum Verb {
    Status(status::Status),
    Login(login::Login),
    Read(read::Read),
    Write(write::Write),
    List(list::List),
    Patch(patch::Patch),
    Delete(delete::Delete),
    /// Read and write a KV engine.
    #[command(subcommand)]
    Kv(kv::Kv),
    /// Make, look up, renew and revoke tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// Import keys into transit.
    #[command(subcommand)]
    Transit(transit::Transit),
    Unwrap(unwrap::Unwrap),
    Run(run::Run),
    /// Renew and revoke leases.
    #[command(subcommand)]
    Lease(lease::Lease),
    /// Read and write policies.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Enable, disable and tune secret engines.
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Enable, disable and tune auth methods.
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Have requests and replies recorded.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Initialise, unseal and run a cluster.
    #[command(subcommand)]
    Operator(Box<operator::Operator>),
    PathHelp(path_help::PathHelp),
    /// Print what this program knows.
    #[command(subcommand)]
    Print(print::Print),
    /// Print the version.
    Version,
    VersionHistory(version_history::VersionHistory),
    Completion(completion::Completion),
}

/// Runs a verb. `grammar` is all that can be typed.
pub(crate) async fn run(verb: &Verb, session: &Session, grammar: clap::Command) -> Outcome {
    match verb {
        Verb::Status(command) => command.run(session).await,
        Verb::Login(command) => command.run(session).await,
        Verb::Read(command) => command.run(session).await,
        Verb::Write(command) => command.run(session).await,
        Verb::List(command) => command.run(session).await,
        Verb::Patch(command) => command.run(session).await,
        Verb::Delete(command) => command.run(session).await,
        Verb::Kv(command) => command.run(session).await,
        Verb::Token(command) => command.run(session).await,
        Verb::Transit(command) => command.run(session).await,
        Verb::Unwrap(command) => command.run(session).await,
        Verb::Run(command) => command.run(session).await,
        Verb::Lease(command) => command.run(session).await,
        Verb::Policy(command) => command.run(session).await,
        Verb::Secrets(command) => command.run(session).await,
        Verb::Auth(command) => command.run(session).await,
        Verb::Audit(command) => command.run(session).await,
        Verb::Operator(command) => command.run(session).await,
        Verb::PathHelp(command) => command.run(session).await,
        Verb::Print(command) => command.run(session),
        Verb::Version => output::print(&format!("{}\n", session.version_line)),
        Verb::VersionHistory(command) => command.run(session).await,
        Verb::Completion(command) => command.run(grammar),
    }
}
