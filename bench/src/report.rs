//! What a run found: samples, what they have in common, and the machine that they belong to.

mod machine;
pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod text;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use machine::Machine;

use crate::error::BenchError;

/// The present form of the file.
const FORMAT: u32 = 1;

/// What is measured, with its unit.
pub(crate) mod metric {
    /// Answered requests a second.
    pub(crate) const RATE: &str = "rate_per_s";
    pub(crate) const P50: &str = "p50_ms";
    pub(crate) const P90: &str = "p90_ms";
    pub(crate) const P99: &str = "p99_ms";
    pub(crate) const P999: &str = "p99.9_ms";
    pub(crate) const MAX: &str = "max_ms";
    /// Processor time of all processes of the subject.
    pub(crate) const CPU: &str = "cpu_us_per_request";
    /// Resident, all processes of the subject.
    pub(crate) const MEMORY: &str = "memory_mb";
    /// Synced writes to the logs of all nodes, for each acknowledged write.
    pub(crate) const SYNCS: &str = "syncs_per_write";
    /// From the death of a leader to the next acknowledged write.
    pub(crate) const GAP: &str = "gap_ms";
    /// Secrets that were there.
    pub(crate) const SECRETS: &str = "secrets";
    /// Reads a second, spread over all secrets.
    pub(crate) const SPREAD_RATE: &str = "spread_rate_per_s";
    /// Writes a second while filling up.
    pub(crate) const FILL_RATE: &str = "fill_rate_per_s";
    /// Median time of a page of a listing.
    pub(crate) const PAGE: &str = "page_p50_ms";
    /// Bytes of disk for each secret.
    pub(crate) const DISK: &str = "disk_bytes_per_secret";
}

/// One measurement's figures, by metric.
pub(crate) type Sample = BTreeMap<String, f64>;

/// The result of a run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    format: u32,
    /// RFC 3339.
    pub(crate) started: String,
    pub(crate) ended: String,
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) measurements: Vec<Measurement>,
}

/// How it was measured.
#[derive(Serialize, Deserialize)]
pub(crate) struct Settings {
    /// What stood behind the program's name.
    pub(crate) command: String,
    pub(crate) repeats: u32,
    pub(crate) seconds: f64,
    /// Names of the builds; the first is the one that ratios are about.
    pub(crate) servers: Vec<String>,
}

/// All samples of a case and a subject, in the order in which they were taken.
#[derive(Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) case: String,
    pub(crate) subject: String,
    pub(crate) samples: Vec<Sample>,
}

/// Median and range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

/// The rate of the first build as a multiple of a baseline's.
pub(crate) struct Ratio {
    pub(crate) case: String,
    pub(crate) baseline: String,
    pub(crate) spread: Spread,
}

impl Spread {
    /// Of any numbers; none of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { low, median, high })
    }
}

impl Measurement {
    pub(crate) fn empty(case: &str, subject: &str) -> Self {
        Self { case: case.to_owned(), subject: subject.to_owned(), samples: Vec::new() }
    }

    /// Median and range of a metric; none if it was not measured.
    pub(crate) fn spread(&self, metric: &str) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.get(metric).copied()))
    }
}

impl Report {
    /// One without measurements.
    pub(crate) fn begin(settings: Settings, machine: Machine) -> Self {
        let started = now();
        Self { format: FORMAT, ended: started.clone(), started, machine, settings, measurements: Vec::new() }
    }

    /// Notes that all was measured.
    pub(crate) fn end(&mut self) {
        self.ended = now();
        self.machine.note_load();
    }

    /// Ratios of rates, of samples that were taken one after the other.
    pub(crate) fn ratios(&self) -> Vec<Ratio> {
        let first = self.settings.servers.first();
        let own = self.measurements.iter().filter(|measurement| Some(&measurement.subject) == first);
        let ratio = |own: &Measurement, baseline: &Measurement| {
            let pairs = own.samples.iter().zip(&baseline.samples);
            let rates = pairs.filter_map(|(own, other)| Some(own.get(metric::RATE)? / other.get(metric::RATE)?));
            let (case, baseline) = (own.case.clone(), baseline.subject.clone());
            Some(Ratio { case, baseline, spread: Spread::of(rates)? })
        };
        let others = |own: &Measurement| {
            let (case, subject) = (own.case.clone(), own.subject.clone());
            self.measurements.iter().filter(move |other| other.case == case && other.subject != subject)
        };
        own.flat_map(|own| others(own).filter_map(|other| ratio(own, other)).collect::<Vec<_>>()).collect()
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts always serialise")
    }

    pub(crate) fn read(path: &Path) -> Result<Self, BenchError> {
        let text = fs::read(path).map_err(BenchError::system(&path.display().to_string()))?;
        let wrong = |source| BenchError::Result { path: path.to_owned(), source };
        let report: Self = serde_json::from_slice(&text).map_err(wrong)?;
        if report.format != FORMAT {
            let reason = format!("{} has format {}, this program reads {FORMAT}", path.display(), report.format);
            return Err(BenchError::Settings(reason));
        }
        Ok(report)
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report of one case with these rates of the first build and of a baseline.
    pub(crate) fn report(case: &str, own: &[f64], baseline: &[f64]) -> Report {
        let settings =
            Settings { command: String::new(), repeats: 3, seconds: 1.0, servers: vec!["conclave".to_owned()] };
        let mut report = Report::begin(settings, Machine::here());
        for (subject, rates) in [("conclave", own), ("etcd", baseline)] {
            let samples = rates.iter().map(|rate| Sample::from([(metric::RATE.to_owned(), *rate)])).collect();
            report.measurements.push(Measurement { case: case.to_owned(), subject: subject.to_owned(), samples });
        }
        report
    }

    #[test]
    fn a_spread_has_the_middle_and_the_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { low: 1.0, median: 2.0, high: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_of_neighbours_not_of_medians() {
        // The machine was half as fast in the second round, for both.
        let ratios = report("write/3-nodes/64", &[200.0, 100.0, 220.0], &[100.0, 50.0, 100.0]).ratios();
        assert_eq!(ratios.len(), 1);
        assert_eq!(ratios[0].spread, Spread { low: 2.0, median: 2.0, high: 2.2 });
        assert_eq!((ratios[0].case.as_str(), ratios[0].baseline.as_str()), ("write/3-nodes/64", "etcd"));
    }

    #[test]
    fn a_result_is_read_as_it_was_written_and_another_format_is_refused() {
        let (folder, mut report) = (tempfile::tempdir().unwrap(), report("read/leader/1", &[1.0], &[]));
        let path = folder.path().join("result.json");
        fs::write(&path, report.to_json()).unwrap();
        assert_eq!(Report::read(&path).unwrap().to_json(), report.to_json());
        report.format = 2;
        fs::write(&path, report.to_json()).unwrap();
        assert!(Report::read(&path).is_err());
    }
}
