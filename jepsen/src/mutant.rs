//! Faults that are planted in a server on purpose, so that it shows whether they are found.
//!
//! Each is built in with `--features mutants` and chosen by `CONCLAVE_MUTANT`. The same server without the variable is the
//! control, which must pass.

use std::path::Path;

use crate::run::{self, RunError};
use crate::scenario::{self, Settings};

/// A planted fault.
#[derive(Debug)]
pub struct Mutant {
    /// What `CONCLAVE_MUTANT` says.
    pub name: &'static str,
    /// What is wrong with the server then.
    pub about: &'static str,
    /// The scenarios that must find it, each by itself.
    pub scenarios: &'static [&'static str],
    /// How long each may take, in seconds of load.
    pub secs: u64,
}

/// All of them.
pub static MUTANTS: &[Mutant] = &[Mutant {
    name: "skip-read-point",
    about: "reads are answered without asking the leader",
    scenarios: &["process", "partition", "follower-reads"],
    secs: 30,
}];

/// Runs every mutant on each of its scenarios, then the control; whether all came out as they should. What came out is
/// printed.
pub async fn run_all(server: &Path, folder: &Path, seed: u64, secs: Option<u64>) -> bool {
    let mut is_well = true;
    for mutant in MUTANTS {
        println!("{}: {}", mutant.name, mutant.about);
        for name in mutant.scenarios {
            let Some(scenario) = scenario::find(name) else { continue };
            let secs = secs.unwrap_or(mutant.secs);
            let settings = Settings { secs, server: Some(server.to_owned()), ..scenario.settings(seed) };
            let own = folder.join(format!("{}-{name}", mutant.name));
            let planted = run::run_with(settings.clone(), &own, Some(mutant.name)).await;
            is_well &= tell(name, "with the fault", planted, true);
            let control = run::run_with(settings, &folder.join(format!("control-{name}")), None).await;
            is_well &= tell(name, "without it", control, false);
        }
    }
    is_well
}

fn tell(scenario: &str, which: &str, report: Result<run::Report, RunError>, must_fail: bool) -> bool {
    let (is_well, words) = match report {
        Ok(report) if must_fail => (report.has_violation(), report.text()),
        Ok(report) => (report.has_passed(), report.text()),
        // A machine that cannot do it has not shown anything, and is told so.
        Err(error @ RunError::Skipped(_)) => (true, error.to_string()),
        Err(error) => (false, error.to_string()),
    };
    let verdict = if is_well { "as it should be" } else { "NOT AS IT SHOULD BE" };
    println!("== {scenario}, {which}: {verdict}\n{words}");
    is_well
}
