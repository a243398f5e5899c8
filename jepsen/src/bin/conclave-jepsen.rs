//! `conclave-jepsen`: runs a cluster under load and faults and judges the history, or judges one that is there.
//!
//! Exit status: 0 if all came out as expected, 1 if something did not, 2 if it came to no judgement, 3 if this machine
//! cannot do what was asked for.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use conclave_jepsen::mutant::{MUTANTS, Mutant};
use conclave_jepsen::run::{self, Report, RunError};
use conclave_jepsen::scenario::{self, SCENARIOS, Scenario, Settings};
use conclave_jepsen::{export, history, mutant, report, soak};

/// Hurts a Conclave cluster and judges what its clients saw.
#[derive(Parser)]
#[command(name = "conclave-jepsen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the scenarios, with what this machine lacks for each.
    List,
    /// Starts a cluster, loads and hurts it, and judges the history.
    Run {
        /// The scenario; see `list`.
        #[arg(value_parser = parse_scenario)]
        scenario: &'static Scenario,
        #[command(flatten)]
        change: Change,
        /// Decides the schedule of faults; a random one is printed.
        #[arg(long)]
        seed: Option<u64>,
        /// A folder for the run; it must not hold one yet.
        #[arg(long)]
        dir: PathBuf,
        /// Writes every packet to a file of its link.
        #[arg(long)]
        record: bool,
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
    /// Prints a run's history in the form of another checker.
    Export {
        /// The run's folder.
        dir: PathBuf,
        /// The form.
        #[arg(long, value_enum, default_value_t = Form::Edn)]
        form: Form,
    },
    /// Shows that each planted fault of a server is found, and nothing without it.
    Mutants {
        /// Which ones; all, if none is named.
        #[arg(value_parser = parse_mutant)]
        mutants: Vec<&'static Mutant>,
        /// A server that was built with `--features mutants`.
        #[arg(long)]
        server: PathBuf,
        /// A folder for the runs.
        #[arg(long)]
        dir: PathBuf,
        /// Decides the schedules.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How long each run lasts, in seconds, instead of what its mutant needs.
        #[arg(long)]
        secs: Option<u64>,
    },
    /// Runs scenarios one after the other, each time from the next seed, until something fails or the time is over.
    Soak {
        /// Which ones; all that this machine can do, if none is named.
        #[arg(value_parser = parse_scenario)]
        scenarios: Vec<&'static Scenario>,
        #[command(flatten)]
        change: Change,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How long all of it may take, in minutes; no run begins later.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
        /// A folder for the runs; those that passed keep their reports only.
        #[arg(long)]
        dir: PathBuf,
    },
}

/// What may differ from the scenario.
#[derive(clap::Args)]
struct Change {
    /// How many nodes, instead of the scenario's.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=99))]
    nodes: Option<u8>,
    /// How long the load lasts, in seconds, instead of the scenario's.
    #[arg(long)]
    secs: Option<u64>,
    /// The server to run, instead of CONCLAVE_BINARY or the one beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expected {
    /// Linearizable, and worth judging.
    Pass,
    /// A violation, as with a server that has a fault built in.
    Violation,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Jepsen's, for Knossos and Elle.
    Edn,
    /// A list of operations in JSON, for porcupine.
    Porcupine,
}

fn parse_scenario(name: &str) -> Result<&'static Scenario, String> {
    let names = || SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    scenario::find(name).ok_or_else(|| format!("there are {}", names()))
}

fn parse_mutant(name: &str) -> Result<&'static Mutant, String> {
    let names = || MUTANTS.iter().map(|mutant| mutant.name).collect::<Vec<_>>().join(", ");
    mutant::find(name).ok_or_else(|| format!("there are {}", names()))
}

impl Change {
    fn apply(&self, settings: Settings) -> Settings {
        Settings {
            nodes: self.nodes.map_or(settings.nodes, usize::from),
            secs: self.secs.unwrap_or(settings.secs),
            server: self.server.clone(),
            ..settings
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before there are other threads, which would not see it.
    conclave_jepsen::mounts::keep_private();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no judgement: {error}");
            return ExitCode::from(2);
        }
    };
    runtime.block_on(obey(arguments.command))
}

async fn obey(command: Command) -> ExitCode {
    match command {
        Command::List => list(),
        Command::Run { scenario, change, seed, dir, record, expect } => {
            let seed = seed.unwrap_or_else(rand::random);
            println!("scenario {}, seed {seed}", scenario.name);
            let settings = Settings { record, ..change.apply(scenario.settings(seed)) };
            conclude(run::run(settings, &dir).await, expect, &dir)
        }
        Command::Check { dir, expect } => conclude(run::judge(&dir), expect, &dir),
        Command::Export { dir, form } => export(&dir, form),
        Command::Mutants { mutants, server, dir, seed, secs } => {
            let all = if mutants.is_empty() { MUTANTS.iter().collect() } else { mutants };
            status(mutant::run_all(&all, &server, &dir, seed, secs).await)
        }
        Command::Soak { scenarios, change, seed, minutes, dir } => {
            let all = if scenarios.is_empty() { SCENARIOS.iter().collect() } else { scenarios };
            let plan = all.into_iter().map(|scenario| change.apply(scenario.settings(seed))).collect();
            status(soak::run(plan, minutes, &dir).await)
        }
    }
}

fn list() -> ExitCode {
    for scenario in SCENARIOS {
        let settings = scenario.settings(0);
        let faults: Vec<_> = scenario.faults.iter().map(|fault| format!("{fault:?}")).collect();
        println!("{:<16} {} nodes, {} s: {}", scenario.name, scenario.nodes, scenario.secs, scenario.about);
        println!("{:<16}   loads {:?}; faults {}", "", scenario.workloads, faults.join(", "));
        for lack in settings.lacks() {
            println!("{:<16}   skipped here: {lack}", "");
        }
    }
    ExitCode::SUCCESS
}

fn export(folder: &Path, form: Form) -> ExitCode {
    match history::read(&folder.join("history.jsonl")) {
        Ok(events) => {
            match form {
                Form::Edn => print!("{}", export::edn(&events)),
                Form::Porcupine => println!("{}", export::porcupine(&events)),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn status(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn conclude(report: Result<Report, RunError>, expected: Expected, folder: &Path) -> ExitCode {
    let drawn = report.and_then(|judged| report::write(folder, &judged).map(|()| judged));
    let report = match drawn {
        Ok(report) => report,
        Err(error @ RunError::Skipped(_)) => {
            println!("{error}");
            return ExitCode::from(3);
        }
        Err(error) => {
            eprintln!("no judgement: {error}\nwhat there is of the run is in {}", folder.display());
            return ExitCode::from(2);
        }
    };
    println!("{}\nthe page to look at: {}", report.text(), folder.join("report.html").display());
    let is_as_expected = match expected {
        Expected::Pass => report.has_passed(),
        Expected::Violation => report.has_violation(),
    };
    if expected == Expected::Violation && is_as_expected {
        println!("as expected");
    }
    status(is_as_expected)
}
