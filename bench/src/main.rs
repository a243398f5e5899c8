//! `conclave-bench`: measures a built server beside baselines, all in one run on one machine, and shows ratios.
//!
//! It knows servers by their addresses and processes only. What surprises: the load comes from one thread, which shares the
//! machine with what it measures, so absolute figures belong to the machine; ratios within a run are what travels.

mod arguments;
mod case;
mod compare;
mod connection;
mod disk;
mod error;
mod failover;
mod growth;
mod load;
mod measure;
mod process;
mod report;
mod request;
mod run;
mod subject;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use error::BenchError;

fn main() -> ExitCode {
    match execute(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> Result<(), BenchError> {
    match arguments.command {
        Command::List => {
            print!("{}", case::listing());
            Ok(())
        }
        Command::Run(options) => one_thread()?.block_on(run::run(&options)),
        Command::Compare { before, after } => {
            print!("{}", compare::table(&report::Report::read(&before)?, &report::Report::read(&after)?));
            Ok(())
        }
        Command::Bare(options) => many_threads()?.block_on(subject::bare::serve(&options)),
    }
}

/// What makes the load: one thread, so that it takes one core at most.
fn one_thread() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BenchError::system("starting a runtime"))
}

fn many_threads() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(BenchError::system("starting a runtime"))
}
