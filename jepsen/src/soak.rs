//! Runs scenarios again and again, from one seed to the next.
//!
//! After each run a line is added to `results.jsonl`, so that a soak that is cut off has told what it did.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::report;
use crate::run::{self, RunError};
use crate::scenario::Settings;

/// Runs until something fails or the time is over; whether all passed. What came out is printed.
pub async fn run(plan: Vec<Settings>, minutes: u64, folder: &Path) -> bool {
    let end = Instant::now() + Duration::from_secs(minutes.saturating_mul(60));
    for round in 0.. {
        let mut has_run = false;
        for settings in &plan {
            if Instant::now() >= end {
                return true;
            }
            let settings = Settings { seed: settings.seed.wrapping_add(round), ..settings.clone() };
            let own = folder.join(format!("{}-{}", settings.scenario, settings.seed));
            match run_one(settings, folder, &own).await {
                Ending::Passed => has_run = true,
                Ending::Skipped => {}
                Ending::Failed => return false,
            }
        }
        if !has_run {
            println!("this machine can do none of them");
            return false;
        }
    }
    true
}

enum Ending {
    Passed,
    Skipped,
    Failed,
}

async fn run_one(settings: Settings, folder: &Path, own: &Path) -> Ending {
    let name = format!("{}, seed {}", settings.scenario, settings.seed);
    let begun = settings.clone();
    let judged = run::run(settings, own).await;
    match judged.and_then(|judged| report::write(own, &judged).map(|()| judged)) {
        Ok(report) => {
            println!(
                "{name}: {} operations, {} faults: {}",
                report.operations(),
                report.strikes.len(),
                report.verdict()
            );
            let line = json!({
                "scenario": begun.scenario, "seed": begun.seed, "secs": begun.secs, "faults": report.strikes.len(),
                "operations": report.operations(), "verdict": report.verdict(), "at": report.settings.began_secs,
            });
            note(folder, &line.to_string());
            if report.has_passed() {
                // Nobody looks at the data of a run that passed, and a soak would fill the disk with it.
                let _ = fs::remove_dir_all(own.join("cluster"));
                return Ending::Passed;
            }
            println!("{}\nthe run is kept in {}", report.text(), own.display());
            Ending::Failed
        }
        Err(error @ RunError::Skipped(_)) => {
            println!("{name}: {error}");
            Ending::Skipped
        }
        Err(error) => {
            println!("{name}: no judgement: {error}\nwhat there is of the run is in {}", own.display());
            Ending::Failed
        }
    }
}

fn note(folder: &Path, line: &str) {
    let opened = OpenOptions::new().create(true).append(true).open(folder.join("results.jsonl"));
    if let Err(error) = opened.and_then(|mut file| writeln!(file, "{line}")) {
        eprintln!("the result is not written down: {error}");
    }
}
