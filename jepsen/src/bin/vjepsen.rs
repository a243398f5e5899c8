//! `vjepsen`: runs a cluster under load and faults and judges the history, or judges one that is there.
//!
//! Exit status: 0 if the run came out as expected, 1 if it did not, 2 if it came to no judgement.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use conclave_jepsen::run::{self, Report, RunError, Settings};

/// Hurts a Conclave cluster and judges what its clients saw.
#[derive(Parser)]
#[command(name = "vjepsen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a cluster on loopback, loads and hurts it, and judges the history.
    Run {
        /// How many nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
        nodes: u8,
        /// How long the load lasts, in seconds.
        #[arg(long, default_value_t = 60)]
        secs: u64,
        /// Decides the schedule of faults; a random one is printed.
        #[arg(long)]
        seed: Option<u64>,
        /// A folder for the run; it must not hold one yet.
        #[arg(long)]
        dir: PathBuf,
        /// The server to run, instead of CONCLAVE_BINARY or the one beside this program.
        #[arg(long)]
        server: Option<PathBuf>,
        /// What must come out.
        #[arg(long, value_enum, default_value_t = Expected::Pass)]
        expect: Expected,
    },
    /// Judges a run that is there.
    Check {
        /// The run's folder.
        dir: PathBuf,
        /// What must come out.
        #[arg(long, value_enum, default_value_t = Expected::Pass)]
        expect: Expected,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expected {
    /// Linearizable, and worth judging.
    Pass,
    /// A violation, as with a server that has a fault built in.
    Violation,
}

#[tokio::main]
async fn main() -> ExitCode {
    let (report, expected) = match Arguments::parse().command {
        Command::Run { nodes, secs, seed, dir, server, expect } => {
            let seed = seed.unwrap_or_else(rand::random);
            println!("seed {seed}");
            let settings = Settings { nodes: usize::from(nodes), secs, seed, server };
            (run::run(settings, &dir).await, expect)
        }
        Command::Check { dir, expect } => (run::judge(&dir), expect),
    };
    conclude(report, expected)
}

fn conclude(report: Result<Report, RunError>, expected: Expected) -> ExitCode {
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("no judgement: {error}");
            return ExitCode::from(2);
        }
    };
    println!("{}", report.text());
    let is_as_expected = match expected {
        Expected::Pass => report.has_passed(),
        Expected::Violation => report.has_violation(),
    };
    if expected == Expected::Violation && is_as_expected {
        println!("as expected");
    }
    if is_as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
