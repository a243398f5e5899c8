//! One measurement: a load on a subject, with what its processes used meanwhile.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::BenchError;
use crate::load::{self, Load, Outcome};
use crate::process;
use crate::report::{Sample, metric};
use crate::request::Operation;
use crate::subject::Subject;

/// Puts a load on a subject.
///
/// # Errors
/// [`BenchError::Failed`] if any request was not answered with 2xx: what remains would be no measure.
pub(crate) async fn measure(case: &str, subject: &Subject, load: Load) -> Result<Sample, BenchError> {
    let (syncs, first) = (syncs(subject, load).await, subject.writes.load(Ordering::Relaxed));
    let cpu = Cell::new(Duration::ZERO);
    let at_warm = || cpu.set(process::cpu_time(&subject.processes));
    let outcome = load::run(load, subject, at_warm).await?;
    let used = process::cpu_time(&subject.processes).saturating_sub(cpu.get());
    check(case, subject, &outcome)?;
    let mut sample = times(&outcome.times);
    sample.insert(metric::RATE.to_owned(), outcome.rate());
    if !subject.processes.is_empty() {
        let each = used.as_secs_f64() * 1e6 / outcome.times.len() as f64;
        sample.insert(metric::CPU.to_owned(), each);
        sample.insert(metric::MEMORY.to_owned(), process::resident_bytes(&subject.processes) as f64 / 1e6);
    }
    if let (Some(before), Some(after)) = (syncs, self::syncs(subject, load).await) {
        let writes = subject.writes.load(Ordering::Relaxed) - first;
        sample.insert(metric::SYNCS.to_owned(), (after - before) / writes as f64);
    }
    Ok(sample)
}

/// Only writes sync.
async fn syncs(subject: &Subject, load: Load) -> Option<f64> {
    if load.operation == Operation::Write { subject.syncs().await } else { None }
}

fn check(case: &str, subject: &Subject, outcome: &Outcome) -> Result<(), BenchError> {
    let sent = outcome.times.len() + outcome.failed;
    if outcome.failed == 0 && sent > 0 {
        return Ok(());
    }
    Err(BenchError::Failed {
        case: case.to_owned(),
        subject: subject.name.clone(),
        failed: outcome.failed,
        sent,
        first: outcome.first_failure.clone().unwrap_or_else(|| "no answer in time".to_owned()),
    })
}

/// The quantiles of times in microseconds, as milliseconds.
pub(crate) fn times(times: &Histogram<u64>) -> Sample {
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    [(metric::P50, at(0.5)), (metric::P90, at(0.9)), (metric::P99, at(0.99)), (metric::P999, at(0.999))]
        .into_iter()
        .chain([(metric::MAX, times.max() as f64 / 1e3)])
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
