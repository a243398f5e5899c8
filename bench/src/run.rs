//! A run: the stages one after the other, and within a case all subjects in turn, again and again, so that what else the machine
//! does meets them alike.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::arguments::{RunOptions, Server};
use crate::case::{CASES, Case, Kind, Stage};
use crate::disk;
use crate::error::BenchError;
use crate::failover;
use crate::growth;
use crate::load::Load;
use crate::measure::{measure, times};
use crate::report::{Machine, Measurement, Report, Sample, Settings, metric, page, plot, text};
use crate::request::Operation;
use crate::subject::bare::Bare;
use crate::subject::conclave::{Side, Vault};
use crate::subject::etcd::Etcd;
use crate::subject::{Subject, other};

/// Kills of a leader in a long run.
const KILLS: u32 = 30;
/// And in a quick one.
const QUICK_KILLS: u32 = 3;
/// How long a cluster is left alone before it is measured.
const REST: Duration = Duration::from_secs(2);

/// What is under measurement in a stage.
struct Bench<'a> {
    options: &'a RunOptions,
    /// In the order of the settings.
    vaults: Vec<Vault>,
    bare: Option<Bare>,
    etcd: Option<Etcd>,
    other: Option<Subject>,
    /// Last, so that processes are gone before their files are.
    folder: TempDir,
}

/// Measures, and writes what was asked for.
pub(crate) async fn run(options: &RunOptions) -> Result<(), BenchError> {
    let cases: Vec<_> = CASES.iter().filter(|case| is_wanted(case, options)).collect();
    if cases.is_empty() {
        return Err(BenchError::NoCase);
    }
    let mut report = Report::begin(settings(options), Machine::here());
    for stage in [Stage::Disk, Stage::OneNode, Stage::ThreeNodes, Stage::Growth] {
        let cases: Vec<_> = cases.iter().filter(|case| case.stage == stage).collect();
        if cases.is_empty() {
            continue;
        }
        let bench = Bench::set_up(stage, options).await?;
        for case in cases {
            eprintln!("measuring {}", case.name);
            report.measurements.extend(bench.measure(case).await?);
        }
    }
    report.end();
    publish(&report, options)
}

fn is_wanted(case: &Case, options: &RunOptions) -> bool {
    let is_named = options.only.is_empty() || options.only.iter().any(|part| case.name.contains(part.as_str()));
    is_named && (case.is_quick || !options.quick)
}

fn servers(options: &RunOptions) -> Vec<Server> {
    if options.server.is_empty() { vec![Server::default()] } else { options.server.clone() }
}

fn settings(options: &RunOptions) -> Settings {
    Settings {
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        repeats: options.repeats(),
        seconds: options.duration().as_secs_f64(),
        servers: servers(options).into_iter().map(|server| server.name).collect(),
    }
}

fn publish(report: &Report, options: &RunOptions) -> Result<(), BenchError> {
    print!("{}", text::tables(report));
    let written = |path: &std::path::Path, content: &str| {
        fs::write(path, content).map_err(BenchError::system(&path.display().to_string()))
    };
    if let Some(path) = &options.json {
        written(path, &report.to_json())?;
    }
    let plots = plot::all(report)?;
    if let Some(path) = &options.page {
        written(path, &page::page(report, &plots))?;
    }
    if let Some(folder) = &options.plots {
        fs::create_dir_all(folder).map_err(BenchError::system(&folder.display().to_string()))?;
        for plot in &plots {
            written(&folder.join(format!("{}.svg", plot.name)), &plot.svg)?;
        }
    }
    Ok(())
}

impl<'a> Bench<'a> {
    async fn set_up(stage: Stage, options: &'a RunOptions) -> Result<Self, BenchError> {
        let folder = TempDir::with_prefix("conclave-bench-").map_err(BenchError::system("making a folder"))?;
        let mut bench = Self { options, vaults: Vec::new(), bare: None, etcd: None, other: None, folder };
        let nodes = match stage {
            Stage::Disk => return Ok(bench),
            Stage::OneNode | Stage::Growth => 1,
            Stage::ThreeNodes => 3,
        };
        for server in servers(options) {
            bench.vaults.push(Vault::start(&server, nodes).await?);
        }
        match stage {
            Stage::OneNode => {
                let document = bench.vaults[0].at(0)?.send(Operation::Read).await?;
                bench.bare = Some(Bare::start(bench.folder.path(), &document).await?);
                bench.other = other::subject(options).await?;
            }
            Stage::ThreeNodes => bench.etcd = Etcd::start(bench.folder.path()).await?,
            Stage::Disk | Stage::Growth => {}
        }
        tokio::time::sleep(REST).await;
        Ok(bench)
    }

    async fn measure(&self, case: &Case) -> Result<Vec<Measurement>, BenchError> {
        match case.kind {
            Kind::Append => self.append(case.name),
            Kind::Closed { operation, side, connections } => {
                let subjects = self.subjects(operation, side).await?;
                self.repeat(case.name, &subjects, self.closed(operation, connections)).await
            }
            Kind::Open { operation, side, connections, percent } => {
                let mut measurements = Vec::new();
                for subject in self.subjects(operation, side).await? {
                    let closed = self.closed(operation, connections);
                    let highest = measure(case.name, &subject, closed).await?[metric::RATE];
                    let load = Load { rate: Some(highest * f64::from(percent) / 100.0), ..closed };
                    measurements.extend(self.repeat(case.name, &[subject], load).await?);
                }
                Ok(measurements)
            }
            Kind::Listing { names, page, connections } => {
                for vault in &self.vaults {
                    growth::fill(vault, &vault.at(0)?, names).await?;
                }
                let operation = Operation::ListPage(page);
                let subjects: Vec<_> = self.vaults.iter().map(|vault| vault.at(0)).collect::<Result<_, _>>()?;
                self.repeat(case.name, &subjects, self.closed(operation, connections)).await
            }
            Kind::Failover => self.failover(case.name).await,
            Kind::Growth => self.growth().await,
        }
    }

    fn closed(&self, operation: Operation, connections: usize) -> Load {
        let duration = self.options.duration();
        Load { operation, connections, rate: None, warm_up: duration / 4, duration }
    }

    /// All that understand an operation, the first build first.
    async fn subjects(&self, operation: Operation, side: Side) -> Result<Vec<Subject>, BenchError> {
        let mut subjects = Vec::new();
        for vault in &self.vaults {
            subjects.push(vault.on(side).await?);
        }
        let others = [self.bare.as_ref().map(Bare::subject), self.etcd.as_ref().map(Etcd::subject), self.other.clone()];
        subjects.extend(others.into_iter().flatten());
        subjects.retain(|subject| subject.dialect.has(operation));
        Ok(subjects)
    }

    async fn repeat(&self, case: &str, subjects: &[Subject], load: Load) -> Result<Vec<Measurement>, BenchError> {
        let mut measurements: Vec<_> = subjects.iter().map(|subject| Measurement::empty(case, &subject.name)).collect();
        for _ in 0..self.options.repeats() {
            for (subject, measurement) in subjects.iter().zip(&mut measurements) {
                measurement.samples.push(measure(case, subject, load).await?);
            }
        }
        Ok(measurements)
    }

    fn append(&self, case: &str) -> Result<Vec<Measurement>, BenchError> {
        let mut measurement = Measurement::empty(case, "disk");
        for _ in 0..self.options.repeats() {
            let duration = self.options.duration();
            let taken = disk::append(self.folder.path(), duration)?;
            let mut sample: Sample = times(&taken);
            sample.insert(metric::RATE.to_owned(), taken.len() as f64 / duration.as_secs_f64());
            measurement.samples.push(sample);
        }
        Ok(vec![measurement])
    }

    async fn failover(&self, case: &str) -> Result<Vec<Measurement>, BenchError> {
        let kills = if self.options.quick { QUICK_KILLS } else { KILLS };
        let mut measurements = Vec::new();
        for (vault, server) in self.vaults.iter().zip(servers(self.options)) {
            let samples = failover::measure(vault, kills).await?;
            measurements.push(Measurement { case: case.to_owned(), subject: server.name, samples });
        }
        Ok(measurements)
    }

    async fn growth(&self) -> Result<Vec<Measurement>, BenchError> {
        let mut measurements = Vec::new();
        for vault in &self.vaults {
            measurements.extend(growth::run(vault, self.options.grow_to, self.options.duration()).await?);
        }
        Ok(measurements)
    }
}
