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

/// The mutant with a name.
pub fn find(name: &str) -> Option<&'static Mutant> {
    MUTANTS.iter().find(|mutant| mutant.name == name)
}

/// Runs mutants on each of their scenarios, then the control; whether all came out as they should. What came out is
/// printed.
pub async fn run_all(mutants: &[&'static Mutant], server: &Path, folder: &Path, seed: u64, secs: Option<u64>) -> bool {
    let mut is_well = true;
    for mutant in mutants {
        println!("{}: {}", mutant.name, mutant.about);
        for name in mutant.scenarios {
            let Some(scenario) = scenario::find(name) else {
                println!("== {name}: NOT AS IT SHOULD BE\nthere is no such scenario");
                is_well = false;
                continue;
            };
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_mutant_has_scenarios_that_exist() {
        let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
        for mutant in MUTANTS {
            assert!(!mutant.scenarios.is_empty(), "nothing finds {}", mutant.name);
            for name in mutant.scenarios {
                assert!(
                    scenario::find(name).is_some(),
                    "{} names the scenario {name}, which is not there",
                    mutant.name
                );
            }
        }
    }

    #[tokio::test]
    async fn a_scenario_that_does_not_exist_is_not_passed_over() {
        static LOST: Mutant = Mutant { name: "lost", about: "", scenarios: &["no-such-scenario"], secs: 1 };
        assert!(!run_all(&[&LOST], Path::new("none"), Path::new("none"), 1, None).await);
    }
}
