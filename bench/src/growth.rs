//! What more secrets cost: the rate of reads, pages of a listing, memory and disk, at 10,000 secrets and ever more.

use std::time::{Duration, Instant};

use crate::disk;
use crate::error::BenchError;
use crate::load::Load;
use crate::measure::measure;
use crate::process;
use crate::report::{Measurement, Sample, metric};
use crate::request::Operation;
use crate::subject::Subject;
use crate::subject::conclave::Vault;

/// Numbers of secrets at which everything is measured.
const STEPS: &[u64] = &[0, 10_000, 30_000, 100_000, 300_000, 1_000_000];
/// Connections that fill.
const FILLING: usize = 128;
/// Connections that read.
const READING: usize = 64;
/// Names of a page.
const PAGE: u32 = 100;
/// How long it fills before it looks how far it is.
const SLICE: Duration = Duration::from_secs(1);

/// Fills a cluster up to `limit` and measures at each step.
pub(crate) async fn run(vault: &Vault, limit: u64, duration: Duration) -> Result<Vec<Measurement>, BenchError> {
    let subject = vault.at(0)?;
    let mut measurements = Vec::new();
    for &secrets in STEPS.iter().filter(|step| **step <= limit) {
        let began = (Instant::now(), vault.written());
        fill(vault, &subject, secrets).await?;
        let written = vault.written() - began.1;
        let mut sample = at_step(vault, &subject, duration).await?;
        if written > 0 {
            sample.insert(metric::FILL_RATE.to_owned(), written as f64 / began.0.elapsed().as_secs_f64());
        }
        measurements.push(Measurement {
            case: format!("growth/{secrets}"),
            subject: subject.name.clone(),
            samples: vec![sample],
        });
    }
    Ok(measurements)
}

/// Writes until there are at least so many secrets.
pub(crate) async fn fill(vault: &Vault, subject: &Subject, secrets: u64) -> Result<(), BenchError> {
    while vault.written() < secrets {
        measure("filling", subject, closed(Operation::Write, FILLING, SLICE)).await?;
    }
    Ok(())
}

async fn at_step(vault: &Vault, subject: &Subject, duration: Duration) -> Result<Sample, BenchError> {
    let (case, written) = ("growth", vault.written());
    let mut sample = Sample::new();
    sample.insert(metric::SECRETS.to_owned(), written as f64);
    // Before the reads, which fill caches.
    sample.insert(metric::MEMORY.to_owned(), process::resident_bytes(&subject.processes) as f64 / 1e6);
    let one = measure(case, subject, closed(Operation::Read, READING, duration)).await?;
    sample.insert(metric::RATE.to_owned(), one[metric::RATE]);
    if written > 0 {
        let among = measure(case, subject, closed(Operation::ReadAmong(written), READING, duration)).await?;
        sample.insert(metric::SPREAD_RATE.to_owned(), among[metric::RATE]);
        let page = measure(case, subject, closed(Operation::ListPage(PAGE), 1, duration)).await?;
        sample.insert(metric::PAGE.to_owned(), page[metric::P50]);
        let bytes = disk::used_bytes(&vault.cluster.node(0).data_dir());
        sample.insert(metric::DISK.to_owned(), bytes as f64 / written as f64);
    }
    Ok(sample)
}

/// A closed loop.
fn closed(operation: Operation, connections: usize, duration: Duration) -> Load {
    Load { operation, connections, rate: None, warm_up: duration / 5, duration }
}
