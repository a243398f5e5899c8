//! The command line: Vault's verbs and flags, one file per command.
//!
//! It is not the server: the binary starts that itself and hands everything else to [`run`]. What surprises: long flags
//! are also understood with a single dash (`-address`), as Vault's users type them.

pub mod archive;
mod arguments;
mod assignment;
pub mod audit_chain;
mod command;
mod curl;
mod failure;
mod format;
mod globals;
mod golang;
mod launch;
mod output;
pub mod prompt;
pub mod quickstart;
mod session;
mod shell;
pub mod spelling;
mod table;
mod token_file;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue};

use arguments::{CommandLine, description};
use failure::Outcome;
use session::Session;

/// Runs one command; `arguments` are without the program's name, `version_line` is what `version` prints.
///
/// The exit code is 0 for success, 1 for what was wrong here, 2 for what a server refused or did not answer.
pub async fn run(arguments: Vec<OsString>, version_line: &str) -> ExitCode {
    let arguments = spelling::normalise(arguments, &spelling::switches(&description()));
    let first = arguments.first().and_then(|first| first.to_str());
    if matches!(first, Some("--version" | "-v")) {
        return finish(output::print(&format!("{version_line}\n")), false);
    }
    if first == Some("quickstart") {
        return quickstart::run(arguments.into_iter().skip(1).collect()).await;
    }
    let program = OsString::from("conclave");
    let matched = description().try_get_matches_from(std::iter::once(program).chain(arguments));
    let line = match matched.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(line) => line,
        Err(mut error) => {
            if let Some(word) = absent(&error) {
                output::complain(&format!("`{word}` of Vault's command line is not in Conclave yet."), false);
                return ExitCode::FAILURE;
            }
            // How to pass an unknown flag as data is no help to whoever meant a flag.
            error.remove(ContextKind::Suggested);
            // The message itself says what was wrong or asked for; if it cannot be printed there is nobody to tell.
            let _ = error.print();
            suggest(&error);
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let is_coloured = line.globals.allows_colour() && std::io::stderr().is_terminal();
    let outcome = match Session::open(&line.globals, version_line) {
        Ok(session) => command::run(&line.verb, &session, description()).await,
        Err(failure) => Err(failure),
    };
    finish(outcome, is_coloured)
}

/// A verb that Vault has and this program has not.
fn absent(error: &clap::Error) -> Option<&str> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    arguments::ABSENT.contains(&word.as_str()).then_some(word)
}

/// Says where a verb stands that was looked for at the top.
fn suggest(error: &clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return };
    for whole in arguments::elsewhere(word, &description(), "") {
        output::complain(&format!("\nThere is `conclave {whole}`."), false);
    }
}

fn finish(outcome: Outcome, is_coloured: bool) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    output::complain(&failure.to_string(), is_coloured);
    ExitCode::from(failure.exit_code())
}
