//! A short run of the register workload under kills and pauses is linearizable. Longer ones: `conclave-jepsen run`.

use conclave_jepsen::run::run;
use conclave_jepsen::scenario::{self, Settings};

// checks 238, 239
#[tokio::test(flavor = "multi_thread")]
async fn registers_stay_linearizable_while_nodes_are_killed_and_paused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { secs: 25, ..scenario::find("process").unwrap().settings(1) };
    let report = run(settings, &folder.path().join("run")).await;
    let has_passed = report.as_ref().is_ok_and(|report| report.has_passed());
    if !has_passed {
        let kept = folder.keep();
        match report {
            Ok(report) => panic!("{}\nthe run is kept in {}", report.text(), kept.display()),
            Err(error) => panic!("{error}\nthe run is kept in {}", kept.display()),
        }
    }
}
