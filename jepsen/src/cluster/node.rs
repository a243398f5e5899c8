//! One node: its process, its files, and clients of it alone.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use conclave_client::Client;
use rustix::process::Signal;
use tokio::time::Instant;

use super::address::Place;
use super::disk::Disk;
use super::error::ClusterError;
use super::process::{Life, Process};
use super::proxy::Proxy;
use super::{Certificate, Links, Options, PATIENCE, PAUSE, STATUS_DEADLINE, client_at, clock, configuration};

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 15;
/// How long a node may take to stop in good order; handing over leadership is part of it.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// One node of a [`super::Cluster`]. All calls take `&self`, so that tasks can share it.
pub struct Node {
    name: String,
    address: String,
    place: Place,
    folder: PathBuf,
    program: PathBuf,
    environment: Vec<(String, String)>,
    process: Mutex<Process>,
    proxy: Option<Proxy>,
    certificate: Option<Certificate>,
    client: Client,
    /// The file system of its data, if that is one of its own.
    disk: Option<Disk>,
}

impl Node {
    /// Writes the configuration; nothing runs yet.
    pub(super) fn prepare(
        index: usize,
        place: Place,
        root: &Path,
        program: &Path,
        certificate: Option<&Certificate>,
        options: &Options,
    ) -> Result<Self, ClusterError> {
        let name = format!("node{}", index + 1);
        let folder = root.join(&name);
        fs::create_dir_all(&folder).map_err(ClusterError::file(&folder))?;
        let address = format!("{}://{}", configuration::scheme(certificate), place.api);
        let client = client_at(&address, STATUS_DEADLINE, certificate);
        let certificate = certificate.cloned();
        let (program, mut environment) = (program.to_owned(), options.environment.clone());
        if options.clocks {
            clock::set(&folder, 0).map_err(ClusterError::file(&folder))?;
            let missing = |reason| ClusterError::Process { node: name.clone(), source: std::io::Error::other(reason) };
            environment.extend(clock::environment(&folder).map_err(missing)?);
        }
        let disk = options.disks.then(|| Disk::make(&folder).map_err(ClusterError::file(&folder))).transpose()?;
        let (process, proxy) = (Mutex::default(), None);
        let node =
            Self { name, address, place, folder, program, environment, process, proxy, certificate, client, disk };
        node.configure(options)?;
        Ok(node)
    }

    /// Takes another place, from the next start on.
    pub(super) fn move_to(
        &mut self,
        place: Place,
        certificate: Option<&Certificate>,
        options: &Options,
    ) -> Result<(), ClusterError> {
        self.place = place;
        self.certificate = certificate.cloned();
        self.address = format!("{}://{}", configuration::scheme(certificate), place.api);
        self.client = client_at(&self.address, STATUS_DEADLINE, certificate);
        self.configure(options)
    }

    fn configure(&self, options: &Options) -> Result<(), ClusterError> {
        let text = configuration::text(&self.name, self.place, &self.data_dir(), self.certificate.as_ref(), options);
        let path = self.configuration_file();
        fs::write(&path, text).map_err(ClusterError::file(path))
    }

    /// Puts a proxy in front of the cluster port, if there is to be one.
    pub(super) async fn place_proxy(&mut self, links: Links) -> Result<(), ClusterError> {
        let tape = match links {
            Links::Direct | Links::Switched | Links::Captured => return Ok(()),
            Links::Proxied => None,
            Links::Recorded => Some(self.traffic_file()),
        };
        let proxy = Proxy::start(self.place.door, self.place.cluster, tape).await;
        self.proxy = Some(proxy.map_err(|source| self.failed(source))?);
        Ok(())
    }

    /// The name in logs and errors: `node1` is number 0.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API's address, such as `http://127.83.12.1:8200`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `host:port` where other nodes reach this one.
    pub fn cluster_address(&self) -> String {
        self.place.cluster.to_string()
    }

    /// The folder with the node's data. Touch it only while the node is down.
    pub fn data_dir(&self) -> PathBuf {
        self.disk.as_ref().map_or(self.folder.as_path(), Disk::place).join("data")
    }

    /// Lets the process run within a network namespace, from its next start on.
    pub(super) fn place_within(&self, namespace: Arc<OwnedFd>) {
        self.process().place_within(namespace);
    }

    /// Sets the wall clock of the process so many seconds off.
    ///
    /// # Errors
    /// [`ClusterError::File`]; the cluster must have been started with [`Options::clocks`].
    pub fn set_clock(&self, offset_secs: i64) -> Result<(), ClusterError> {
        clock::set(&self.folder, offset_secs).map_err(ClusterError::file(&self.folder))
    }

    /// Cuts the power of its disk; see [`super::Cluster::lose_power`].
    pub(super) fn lose_power(&self) -> Result<(), ClusterError> {
        self.disk()?.lose_power().map_err(|source| self.failed(source))
    }

    /// Brings its disk back after a loss of power.
    pub(super) fn bring_disk_back(&self) -> Result<(), ClusterError> {
        self.disk()?.come_back().map_err(|source| self.failed(source))
    }

    fn disk(&self) -> Result<&Disk, ClusterError> {
        let missing = || self.failed(std::io::Error::other("it has no disk; start the cluster with Options::disks"));
        self.disk.as_ref().ok_or_else(missing)
    }

    /// Everything that the node has written to its output, over all its lives.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What other nodes and this one said to each other on connections that the others began; see [`Links::Recorded`].
    pub fn traffic_file(&self) -> PathBuf {
        self.folder.join("traffic")
    }

    /// Holds back all that other nodes send on connections they began, and the answers: silence, no error. The node itself
    /// still reaches the others.
    ///
    /// # Errors
    /// [`ClusterError::Process`] if the cluster was started with [`Links::Direct`].
    pub fn cut(&self) -> Result<(), ClusterError> {
        self.set_cut(true)
    }

    /// Takes [`Node::cut`] back; what was held back arrives now.
    ///
    /// # Errors
    /// As [`Node::cut`].
    pub fn mend(&self) -> Result<(), ClusterError> {
        self.set_cut(false)
    }

    fn set_cut(&self, is_cut: bool) -> Result<(), ClusterError> {
        let missing = || self.failed(std::io::Error::other("there is no proxy; start the cluster with Links::Proxied"));
        self.proxy.as_ref().map(|proxy| proxy.set_cut(is_cut)).ok_or_else(missing)
    }

    /// The server that it runs.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The node's configuration.
    pub fn configuration_file(&self) -> PathBuf {
        self.folder.join("conclave.hcl")
    }

    /// The process id, while there is a process.
    pub fn process_id(&self) -> Option<u32> {
        self.process().id()
    }

    /// Whether it runs and is not paused.
    pub fn is_running(&self) -> bool {
        self.process().life() == Life::Running
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.process().life() == Life::Paused
    }

    /// Kills the process (SIGKILL) and waits until it is gone. Fine if there is none.
    ///
    /// # Errors
    /// [`ClusterError::Process`].
    pub fn kill(&self) -> Result<(), ClusterError> {
        self.process().kill().map_err(|source| self.failed(source))
    }

    /// Sends SIGKILL without waiting, so that several nodes can be killed at the same moment.
    pub(super) fn signal_kill(&self) -> Result<(), ClusterError> {
        self.signal(Signal::KILL)
    }

    /// Halts the process (SIGSTOP); it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// [`ClusterError::Process`] if it does not run.
    pub fn pause(&self) -> Result<(), ClusterError> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on (SIGCONT).
    ///
    /// # Errors
    /// [`ClusterError::Process`] if it does not run.
    pub fn resume(&self) -> Result<(), ClusterError> {
        self.signal(Signal::CONT)
    }

    /// Stops the process in good order (SIGTERM) and waits until it is gone.
    ///
    /// # Errors
    /// [`ClusterError::Process`] if it does not run, [`ClusterError::TooSlow`] after 30 s.
    pub async fn stop(&self) -> Result<(), ClusterError> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.process().life() != Life::Down {
            if Instant::now() >= deadline {
                return Err(ClusterError::too_slow(&format!("stopping {}", self.name), STOP_TIMEOUT));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Starts the node again (killing it first if it runs) and waits until it listens. It is sealed then.
    ///
    /// # Errors
    /// [`ClusterError::Ended`] with the end of its log if it does not come up.
    pub async fn restart(&self) -> Result<(), ClusterError> {
        self.kill()?;
        self.spawn()?;
        self.wait_until_listening().await
    }

    /// Deletes all that the node has, so that its next start makes a new node. Only while it is down.
    ///
    /// # Errors
    /// [`ClusterError::File`].
    pub fn wipe(&self) -> Result<(), ClusterError> {
        let data = self.data_dir();
        fs::remove_dir_all(&data).map_err(ClusterError::file(data))
    }

    /// Runs a command of the node's program on this machine, with `input` on its standard input, to its end.
    ///
    /// # Errors
    /// [`ClusterError::Process`] if it does not start.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<Output, ClusterError> {
        self.begin(arguments, input)?.wait_with_output().map_err(|source| self.failed(source))
    }

    /// Begins a command of the node's program; see [`Node::run`].
    ///
    /// # Errors
    /// [`ClusterError::Process`] if it does not start.
    pub fn begin(&self, arguments: &[&str], input: &str) -> Result<Child, ClusterError> {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| self.failed(source))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading has said why.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(child)
    }

    /// Starts the process.
    pub(super) fn spawn(&self) -> Result<(), ClusterError> {
        let (configuration, log) = (self.configuration_file(), self.log_file());
        let spawned = self.process().spawn(&self.program, &configuration, &log, &self.environment);
        spawned.map_err(|source| self.failed(source))
    }

    /// Waits until the API answers.
    pub(super) async fn wait_until_listening(&self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + PATIENCE;
        while self.client.seals().status().await.is_err() {
            if self.process().life() == Life::Down {
                return Err(ClusterError::Ended { node: self.name.clone(), tail: self.log_tail() });
            }
            if Instant::now() >= deadline {
                return Err(ClusterError::too_slow(&format!("starting {}", self.name), PATIENCE));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// A client of this node alone, without a token, whose calls end after `deadline`.
    pub fn client(&self, deadline: Duration) -> Client {
        client_at(&self.address, deadline, self.certificate.as_ref())
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let text = fs::read(self.log_file()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn signal(&self, signal: Signal) -> Result<(), ClusterError> {
        self.process().signal(signal).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> ClusterError {
        ClusterError::Process { node: self.name.clone(), source }
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        // A panic elsewhere leaves the process as it is, and it must still be killed.
        self.process.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
