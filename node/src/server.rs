//! `conclave server`: from flags to a running node, and from a signal to its orderly end.
//!
//! The order matters: memory is hardened before the first thread starts, the configuration is read before anything is
//! opened, listeners are bound before anybody is told that the server is ready. On the way down it is the reverse:
//! first no new requests, then those under way end, then consensus stops.

pub mod flags;

mod pid_file;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use conclave_raft::admission::Pool;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, StartError};
use crate::config::{self, Config, Problem};
use crate::dev::{self, DevError};
use crate::fresh::DevSecrets;
use crate::http::listener::{Bound, ListenError};
use crate::http::service::Services;
use crate::http::tls::Certificates;
use crate::logging::Logging;
use crate::server::flags::Flags;
use crate::server::pid_file::PidFile;
use crate::{memory, version, view};

/// How long the log may take to write its last lines.
const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// Why a server did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration; one line for each thing that is wrong.
    #[error("the configuration cannot be used:\n{0}")]
    Config(String),
    /// Dev mode.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// The log file.
    #[error("the log_file {path} cannot be opened")]
    Log {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The process id file.
    #[error("the pid_file {path} cannot be written")]
    PidFile {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The runtime or the signals.
    #[error("the system refuses what a server needs")]
    System(#[from] io::Error),
    /// Storage or consensus.
    #[error("the node does not start")]
    Start(#[from] StartError),
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A failure while running after which nothing may be promised any more.
    #[error("the server had to stop: {0}")]
    Fatal(String),
}

/// An error and what caused it, for the operator.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Runs a server with the arguments behind `server`.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let flags = match Flags::parse(arguments) {
        Ok(flags) => flags,
        Err(error) => {
            // The message itself says what was wrong or asked for; if it cannot be printed there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match start(flags) {
        Ok(code) => code,
        Err(error) => {
            // Whoever does not read this has the exit code.
            let _ = writeln!(io::stderr(), "Error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Errors are those that no log has taken.
fn start(mut flags: Flags) -> Result<ExitCode, ServerError> {
    let variable = |name: &str| std::env::var(name).ok();
    flags.add_environment(&variable);
    let (config, mut warnings) = read_config(&flags)?;
    warnings.extend(verify::warnings(&config, view::now()));
    if flags.only_checks {
        return check(&config, &warnings);
    }
    let notes = memory::harden();
    let logging = Logging::start(&config.log, &config.limits)
        .map_err(|source| ServerError::Log { path: config.log.file.clone().unwrap_or_default(), source })?;
    for note in notes.iter().map(String::as_str).chain(memory::swap_warning(config.disable_mlock || flags.is_dev)) {
        tracing::warn!("{note}");
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let (version, storage) = (version::line(), config.storage.name());
    tracing::info!(version, storage, api = config.api_addr, cluster = config.cluster_addr, "starting");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(&flags, config, &logging));
    if let Err(error) = &result {
        tracing::error!("{}", chain(error));
    }
    logging.flush(LOG_PATIENCE);
    runtime.shutdown_background();
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says all that is odd or wrong with a configuration, its files and its folders.
fn check(config: &Config, warnings: &[Problem]) -> Result<ExitCode, ServerError> {
    let mut said = io::stderr().lock();
    for warning in warnings {
        writeln!(said, "Warning: {warning}")?;
    }
    let errors = verify::errors(config);
    if !errors.is_empty() {
        return Err(ServerError::Config(errors.join("\n")));
    }
    writeln!(io::stdout(), "The configuration can be used; nothing was started.")?;
    Ok(ExitCode::SUCCESS)
}

fn read_config(flags: &Flags) -> Result<(Config, Vec<Problem>), ServerError> {
    let variable = |name: &str| std::env::var(name).ok();
    let base = if flags.is_dev { Some(dev::config(flags)?) } else { None };
    if base.is_none() && flags.configs.is_empty() && variable("VAULT_LOCAL_CONFIG").is_none() {
        return Err(ServerError::Config(
            "name a file or a folder with -config, or start a dev server with -dev".into(),
        ));
    }
    let (mut config, warnings) =
        config::load(&flags.configs, &variable, base).map_err(|error| ServerError::Config(error.to_string()))?;
    config.log.level = flags.log_level.unwrap_or(config.log.level);
    config.log.format = flags.log_format.unwrap_or(config.log.format);
    config.log.file = flags.log_file.clone().or(config.log.file);
    let ignored = flags.without_effect.iter().map(|name| Problem::of_flag(name, "has no effect here"));
    Ok((config, ignored.chain(warnings).collect()))
}

/// Everything between the runtime's start and its end.
async fn serve(flags: &Flags, config: Config, logging: &Logging) -> Result<(), ServerError> {
    let mut signals = Signals::new()?;
    let (app, secrets) = if flags.is_dev {
        let token = flags.dev_root_token.as_ref().map(|token| token.as_str());
        let (app, secrets) = App::start_dev(config.clone(), token).await?;
        (app, Some(secrets))
    } else {
        (App::start(config.clone()).await?, None)
    };
    let (bound, _pid_file) = match take_place(&app, &config).await {
        Ok(taken) => taken,
        Err(error) => {
            app.shutdown().await;
            return Err(error);
        }
    };
    announce(flags, &config, secrets.as_ref(), condition(&app));
    let certificates: Vec<_> = bound.iter().filter_map(Bound::certificates).collect();
    for listener in &bound {
        if let (Ok(address), Some(certificates)) = (listener.address(), listener.certificates()) {
            app.replica.metrics.watch_certificate(address.to_string(), certificates);
        }
    }
    let stop = CancellationToken::new();
    let mut listeners = JoinSet::new();
    for bound in bound {
        listeners.spawn(bound.serve(stop.clone()));
    }
    let fatal =
        wait(&app, &mut signals, end_of_input(flags.stops_with_input), || reload(flags, &certificates, logging, &app))
            .await;
    stop.cancel();
    if let Some(reason) = fatal {
        return Err(ServerError::Fatal(reason));
    }
    tracing::info!("stopping");
    let orderly = async {
        while listeners.join_next().await.is_some() {}
        app.shutdown().await;
    };
    tokio::select! {
        () = orderly => tracing::info!("stopped"),
        () = signals.terminate() => tracing::warn!("stopped at once, because a second signal came"),
    }
    Ok(())
}

/// What one process alone can have: its addresses, and with them the file that names it. Until then another server may be
/// running, whose file it is.
async fn take_place(app: &Arc<App>, config: &Config) -> Result<(Vec<Bound>, Option<PidFile>), ServerError> {
    let bound = bind(app, config).await?;
    let pid_file = config
        .pid_file
        .clone()
        .map(|path| PidFile::write(path.clone()).map_err(|source| ServerError::PidFile { path, source }));
    Ok((bound, pid_file.transpose()?))
}

/// Binds every listener before the first one serves.
async fn bind(app: &Arc<App>, config: &Config) -> Result<Vec<Bound>, ListenError> {
    let refresh = {
        let app = Arc::clone(app);
        Box::new(move || app.gauges.publish())
    };
    let services = Services::new(
        Arc::new(app.clone()),
        app.replica.metrics.clone(),
        app.in_flight.clone(),
        config.limits.clone(),
        refresh,
        config.ui,
    );
    let connections = Pool::new(config.limits.connections);
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let listener = Bound::bind(listener.clone(), services.clone(), connections.clone()).await?;
        if let Ok(address) = listener.address() {
            tracing::info!(%address, "listening");
        }
        bound.push(listener);
    }
    Ok(bound)
}

/// What a node that has just started needs before it serves.
fn condition(app: &App) -> &'static str {
    match (app.replica.is_initialized(), app.seal.state.is_sealed()) {
        (false, _) => {
            "not initialized; run `conclave operator init`, or let it join with `conclave operator raft join`"
        }
        (true, true) => "sealed; run `conclave operator unseal`",
        (true, false) => "unsealed",
    }
}

/// Says that the server is ready. Nobody may be reading, so it is said from a thread that nobody waits for.
fn announce(flags: &Flags, config: &Config, secrets: Option<&DevSecrets>, condition: &str) {
    let mut text = format!(
        "==> Conclave server configuration:\n\n\
         {:>24} {}\n{:>24} {}\n{:>24} {}\n{:>24} {}\n{:>24} {}\n{:>24} {}\n\n\
         ==> Server started! Log data follows on standard error.\n\n",
        "Api Address:",
        config.api_addr,
        "Cluster Address:",
        config.cluster_addr,
        "Log Level:",
        config.log.level.as_str(),
        "Storage:",
        config.storage.name(),
        "Version:",
        version::line(),
        "Node:",
        condition,
    );
    if let Some(secrets) = secrets {
        if !flags.dev_keeps_token {
            dev::keep_token(secrets);
        }
        let tls = config.listeners.first().and_then(|listener| listener.tls.as_ref());
        let ca_file = tls.map(|tls| tls.cert_file.with_file_name("vault-ca.pem"));
        text.push_str(&dev::banner(config, secrets, ca_file.as_deref()));
    }
    let text = zeroize::Zeroizing::new(text);
    std::thread::spawn(move || {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    });
}

/// Waits for the end. Answers the reason if it is a failure.
async fn wait(
    app: &App,
    signals: &mut Signals,
    end_of_input: impl Future<Output = ()>,
    reload: impl Fn(),
) -> Option<String> {
    let mut end_of_input = std::pin::pin!(end_of_input);
    loop {
        tokio::select! {
            reason = app.fatal() => return Some(reason),
            () = next(&mut signals.terminate) => return None,
            () = next(&mut signals.interrupt) => return None,
            () = &mut end_of_input => return None,
            () = next(&mut signals.hang_up) => reload(),
        }
    }
}

/// Resolves at the end of standard input, if that is to stop the server.
async fn end_of_input(is_wanted: bool) {
    if !is_wanted {
        return std::future::pending().await;
    }
    let (ended, end) = tokio::sync::oneshot::channel();
    // Detached on purpose: it may read for ever, and must not keep the process alive.
    std::thread::spawn(move || {
        // An error ends it as well: nobody is at the other end any more.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// Reads the TLS files of all listeners, the log level and the audit devices again, and opens the files of logs anew. What cannot
/// be read stays as it was, and then nothing claims success.
fn reload(flags: &Flags, certificates: &[Arc<Certificates>], logging: &Logging, app: &App) {
    logging.reopen();
    app.audit.reopen();
    let mut failed = 0;
    for files in certificates {
        if let Err(error) = files.reload() {
            failed += 1;
            tracing::error!(
                error = chain(&error),
                "the TLS files of a listener could not be reloaded; the old ones stay"
            );
        }
    }
    match read_config(flags) {
        Ok((config, mut warnings)) => {
            warnings.extend(verify::warnings(&config, view::now()));
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            logging.set_level(config.log.level);
            if let Err(failures) = app.configure_audit(&config) {
                failed += 1;
                let failures = failures.join("; ");
                tracing::error!(failures, "the audit devices of the configuration cannot be had; the old ones stay");
            }
        }
        Err(error) => {
            failed += 1;
            tracing::error!(error = chain(&error), "the configuration could not be reloaded; the old one stays");
        }
    }
    match failed {
        0 => tracing::info!(listeners = certificates.len(), "TLS files, log level and audit devices were reloaded"),
        _ => tracing::error!(failed, "the reload failed, and the server goes on with what it had"),
    }
}

/// The signals that a server knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// The next signal; the end of the stream, which does not come, counts as none.
async fn next(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn terminate(&mut self) {
        tokio::select! {
            () = next(&mut self.terminate) => {}
            () = next(&mut self.interrupt) => {}
        }
    }
}
