//! `conclave quickstart`: a real cluster on this machine in one command.
//!
//! Separate processes, TLS on the API, a ceremony with shares in files: what an operator does by hand on several
//! machines, done here on one. It is for trying things out; the last lines it prints say what to do differently.

mod ceremony;
mod certificates;
mod configuration;
mod error;
mod folder;
mod ports;
mod processes;
mod report;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

pub use error::QuickstartError;

use ceremony::Ceremony;
use folder::Folder;
use processes::Processes;

/// Start a cluster on this machine: separate processes, TLS, a real unseal ceremony.
#[derive(Parser)]
#[command(name = "conclave quickstart")]
struct Options {
    /// The folder for certificates, configuration, shares and data.
    #[arg(long, default_value = "./conclave-quickstart")]
    dir: PathBuf,
    /// How many nodes.
    #[arg(long, default_value = "3", value_parser = ["1", "3", "5"])]
    nodes: String,
    /// API port of the first node; the next ones follow at a distance of ten, cluster ports are one above.
    #[arg(long, default_value_t = 8200, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    port: u16,
}

/// One node of the quickstart cluster.
#[derive(Clone)]
struct Node {
    name: String,
    api_port: u16,
}

impl Node {
    fn cluster_port(&self) -> u16 {
        self.api_port + 1
    }

    fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }
}

/// The nodes, by name and port.
fn nodes(count: u16, port: u16) -> Vec<Node> {
    (0..count).map(|i| Node { name: format!("node{}", i + 1), api_port: port + 10 * i }).collect()
}

/// Runs the command until it is interrupted.
pub async fn run(arguments: Vec<OsString>) -> ExitCode {
    let program = OsString::from("conclave quickstart");
    let options = match Options::try_parse_from(std::iter::once(program).chain(arguments)) {
        Ok(options) => options,
        Err(error) => {
            // The message itself says what was wrong or asked for; if it cannot be printed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 1 } else { 0 });
        }
    };
    match start_and_wait(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nError: {error}");
            ExitCode::from(1)
        }
    }
}

async fn start_and_wait(options: &Options) -> Result<(), QuickstartError> {
    let count: u16 = options.nodes.parse().expect("the parser lets only 1, 3 and 5 through");
    let nodes = nodes(count, options.port);
    ports::check(&nodes)?;
    let folder = Folder::open(&options.dir, count, options.port)?;
    if folder.is_new() {
        step("Making a certificate authority and a certificate for each node");
        certificates::make(&folder)?;
        configuration::write(&folder, &nodes)?;
        folder.mark_complete()?;
    } else {
        step(&format!("Resuming the cluster in {}", folder.path().display()));
    }
    step(&format!("Starting {} node processes", nodes.len()));
    let mut processes = Processes::start(&folder, &nodes)?;
    let outcome = tokio::select! {
        outcome = bring_up(&folder, &nodes) => outcome,
        ended = processes.next_ended() => Err(ended.into_error()),
        () = interrupted() => return stop(&mut processes).await,
    };
    let outcome = match outcome {
        Ok(()) => watch(&folder, &mut processes).await,
        failed => failed,
    };
    stop(&mut processes).await?;
    outcome
}

/// Waits for the interrupt. A node that ends by itself is said, and the others go on.
async fn watch(folder: &Folder, processes: &mut Processes) -> Result<(), QuickstartError> {
    let mut interrupted = std::pin::pin!(interrupted());
    loop {
        let ended = tokio::select! {
            ended = processes.next_ended() => ended,
            () = &mut interrupted => return Ok(()),
        };
        if processes.is_empty() {
            return Err(ended.into_error());
        }
        report::node_ended(folder, &ended, processes.len());
    }
}

async fn stop(processes: &mut Processes) -> Result<(), QuickstartError> {
    println!("\nStopping the nodes. Run the command again to resume this cluster.");
    processes.stop().await;
    Ok(())
}

async fn bring_up(folder: &Folder, nodes: &[Node]) -> Result<(), QuickstartError> {
    let ceremony = Ceremony::new(folder, nodes)?;
    ceremony.wait_until_listening().await?;
    ceremony.initialise().await?;
    ceremony.unseal().await?;
    ceremony.join().await?;
    ceremony.enable_kv().await?;
    ceremony.write_environment()?;
    report::print(&ceremony, folder).await
}

/// One line of progress.
fn step(text: &str) {
    println!("==> {text}");
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
