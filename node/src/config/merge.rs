//! Several files and the environment become one configuration.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use conclave_vault::UserLockout;

use crate::config::limits::{MAX_CONFIGURATION_BYTES, MAX_CONFIGURATION_FILES};
use crate::config::section::{Problems, Section};
use crate::config::storage::is_url;
use crate::config::syntax;
use crate::config::vocabulary;
use crate::config::{
    AuditSettings, Config, Format, LEASE_SECS, Level, Limits, Listener, Log, Outbound, Problem, Raft, Storage,
    Telemetry, address,
};
use crate::config::{audit, user_lockout};

/// A configuration that cannot be used: everything that is wrong with it, and what is odd, which may be the reason.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.lines().join("\n"))]
pub struct ConfigError {
    /// What is wrong; at least one.
    pub errors: Vec<Problem>,
    /// What is odd.
    pub warnings: Vec<Problem>,
}

impl ConfigError {
    fn lines(&self) -> Vec<String> {
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        self.errors.iter().map(ToString::to_string).chain(warnings).collect()
    }
}

/// What was read so far; the last file that says something counts.
#[derive(Default)]
struct Draft {
    storage: Option<Storage>,
    listeners: Vec<Listener>,
    api_addr: Option<String>,
    cluster_addr: Option<String>,
    cluster_name: Option<String>,
    default_lease_ttl: Option<Duration>,
    max_lease_ttl: Option<Duration>,
    max_staleness: Option<Duration>,
    user_lockout: Option<UserLockout>,
    outbound: Option<Outbound>,
    disable_mlock: Option<bool>,
    ui: Option<bool>,
    raw_storage_endpoint: Option<bool>,
    log: Log,
    pid_file: Option<PathBuf>,
    telemetry: Telemetry,
    audit: AuditSettings,
    is_cluster_off: bool,
    /// Whether there was a storage block, usable or not.
    has_storage: bool,
    /// Whether there was a listener block, usable or not.
    has_listener: bool,
}

/// Loads files and folders in their order, then the environment, which `variable` reads by name. Answers the
/// configuration and what is odd about it.
///
/// A `base`, as dev mode has, stands for a file before all others.
pub fn load(
    paths: &[PathBuf],
    variable: &dyn Fn(&str) -> Option<String>,
    base: Option<Config>,
) -> Result<(Config, Vec<Problem>), ConfigError> {
    let problems = Rc::new(RefCell::new(Problems::default()));
    let mut draft = Draft::default();
    draft.audit.sources = paths.iter().filter(|path| path.is_dir()).cloned().collect();
    for (name, text) in gather(paths, variable, &problems) {
        match syntax::parse(&text) {
            Ok(entries) => draft.read(Section::top(&name, &entries, problems.clone())),
            Err(error) => fail(&problems, &name, error.line, &error.message),
        }
    }
    draft.read_environment(variable, &problems);
    let config = draft.finish(base, &problems);
    let Problems { errors, warnings } = problems.take();
    if errors.is_empty() { Ok((config, warnings)) } else { Err(ConfigError { errors, warnings }) }
}

fn fail(problems: &RefCell<Problems>, file: &str, line: usize, message: &str) {
    let problem = Problem { file: file.to_owned(), line, message: message.to_owned() };
    problems.borrow_mut().errors.push(problem);
}

/// Names and contents of everything that is to be read.
fn gather(
    paths: &[PathBuf],
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &RefCell<Problems>,
) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for path in paths {
        let files = if path.is_dir() { folder(path, problems) } else { vec![path.clone()] };
        for file in files {
            let name = file.display().to_string();
            match read_file(&file) {
                Ok(text) if texts.len() < MAX_CONFIGURATION_FILES => texts.push((name, text)),
                Ok(_) => {
                    fail(problems, &name, 0, &format!("a configuration has at most {MAX_CONFIGURATION_FILES} files"))
                }
                Err(reason) => fail(problems, &name, 0, &reason),
            }
        }
    }
    let local = named(variable, "LOCAL_CONFIG");
    texts.extend(local.map(|text| ("VAULT_LOCAL_CONFIG".to_owned(), text)));
    texts
}

fn read_file(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > MAX_CONFIGURATION_BYTES as u64 {
        return Err(format!("is larger than {MAX_CONFIGURATION_BYTES} bytes"));
    }
    fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

/// A folder's configuration files, sorted by name.
fn folder(path: &Path, problems: &RefCell<Problems>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            fail(problems, &path.display().to_string(), 0, &format!("cannot be read: {error}"));
            return Vec::new();
        }
    };
    let is_config =
        |file: &PathBuf| file.extension().is_some_and(|end| end == "hcl" || end == "json") && file.is_file();
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_config).collect();
    files.sort();
    if files.is_empty() {
        fail(problems, &path.display().to_string(), 0, "the folder holds no .hcl and no .json file");
    }
    files
}

/// An environment variable under any of its three prefixes; ours first.
pub(crate) fn named(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    spelled(variable, name).map(|(_, text)| text)
}

/// The same, with the name that it has.
fn spelled(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<(String, String)> {
    let names = ["CONCLAVE_", "VAULT_", "BAO_"].map(|prefix| format!("{prefix}{name}"));
    let spelled = names.into_iter().find_map(|name| variable(&name).map(|text| (name, text)));
    spelled.filter(|(_, text)| !text.is_empty())
}

impl Draft {
    fn read(&mut self, section: Section<'_>) {
        self.read_plain(&section);
        let blocks = section.labelled("storage").into_iter().chain(section.labelled("backend"));
        for (label, block) in blocks {
            self.has_storage = true;
            self.storage = Storage::read(&label, block).or(self.storage.take());
        }
        for (label, block) in section.labelled("listener") {
            self.has_listener = true;
            self.listeners.extend(Listener::read(&label, block));
        }
        for (label, block) in section.labelled("seal") {
            if label != "shamir" && !block.boolean("disabled").unwrap_or(false) {
                block.error(block.line(), "only the shamir seal is supported; remove this block");
            }
        }
        user_lockout::read(&section, &mut self.user_lockout);
        Outbound::read(&section, &mut self.outbound);
        for block in section.blocks("telemetry") {
            self.read_telemetry(block);
        }
        audit::read(&section, &mut self.audit);
        section.without_effect(&["service_registration", "ha_storage", "ha_backend", "plugin", "initialize"]);
        section.finish();
    }

    fn read_plain(&mut self, section: &Section<'_>) {
        set(&mut self.api_addr, section.filled("api_addr"));
        set(&mut self.cluster_addr, section.filled("cluster_addr"));
        set(&mut self.cluster_name, section.filled("cluster_name"));
        set(&mut self.default_lease_ttl, section.duration("default_lease_ttl").filter(|ttl| !ttl.is_zero()));
        set(&mut self.max_lease_ttl, section.duration("max_lease_ttl").filter(|ttl| !ttl.is_zero()));
        set(&mut self.max_staleness, section.duration("max_staleness"));
        set(&mut self.disable_mlock, section.boolean("disable_mlock"));
        set(&mut self.ui, section.boolean("ui"));
        set(&mut self.raw_storage_endpoint, section.boolean("raw_storage_endpoint"));
        set(&mut self.pid_file, section.filled("pid_file").map(PathBuf::from));
        self.is_cluster_off |= section.boolean("disable_clustering").unwrap_or(false);
        if let Some(text) = section.filled("log_level") {
            match Level::parse(&text) {
                Some(level) => self.log.level = level,
                None => {
                    section.error(section.line_of("log_level"), "log_level must be trace, debug, info, warn or error")
                }
            }
        }
        if let Some(text) = section.filled("log_format") {
            match Format::parse(&text) {
                Some(format) => self.log.format = format,
                None => section.error(section.line_of("log_format"), "log_format must be standard or json"),
            }
        }
        set(&mut self.log.file, section.filled("log_file").map(PathBuf::from));
        section.without_effect(vocabulary::TOP_WITHOUT_EFFECT);
        section.without_effect(&["raw_storage_endpoint"]);
    }

    fn read_telemetry(&mut self, block: Section<'_>) {
        if let Some(time) = block.duration("prometheus_retention_time") {
            self.telemetry.prometheus_retention_time = time;
        }
        self.telemetry.disable_hostname = block.boolean("disable_hostname").unwrap_or(false);
        block.without_effect(vocabulary::TELEMETRY_WITHOUT_EFFECT);
        block.finish();
    }

    fn read_environment(&mut self, variable: &dyn Fn(&str) -> Option<String>, problems: &RefCell<Problems>) {
        set(&mut self.api_addr, named(variable, "API_ADDR").or_else(|| named(variable, "REDIRECT_ADDR")));
        set(&mut self.cluster_addr, named(variable, "CLUSTER_ADDR"));
        if let Some(Storage::Raft(raft)) = &mut self.storage {
            if let Some(path) = named(variable, "RAFT_PATH") {
                raft.path = path.into();
            }
            set(&mut raft.node_id, named(variable, "RAFT_NODE_ID"));
        }
        if let Some((name, text)) = spelled(variable, "LOG_LEVEL") {
            match Level::parse(&text) {
                Some(level) => self.log.level = level,
                None => fail(problems, &name, 0, "must be trace, debug, info, warn or error"),
            }
        }
        if let Some((name, text)) = spelled(variable, "LOG_FORMAT") {
            match Format::parse(&text) {
                Some(format) => self.log.format = format,
                None => fail(problems, &name, 0, "must be standard or json"),
            }
        }
    }

    fn finish(self, base: Option<Config>, problems: &RefCell<Problems>) -> Config {
        let is_dev = base.is_some();
        let mut config = base.unwrap_or_else(|| Config::memory("127.0.0.1:8200"));
        match self.storage {
            Some(Storage::Raft(Raft { path, .. })) if path.as_os_str().is_empty() => {
                fail(
                    problems,
                    "",
                    0,
                    "storage \"raft\" needs a path: the folder for the data (or set VAULT_RAFT_PATH)",
                );
            }
            Some(storage) => config.storage = storage,
            None if is_dev || self.has_storage => {}
            None => fail(
                problems,
                "",
                0,
                "a storage block is needed, such as storage \"raft\" { path = \"/var/lib/conclave\" }",
            ),
        }
        match (self.listeners.is_empty(), is_dev) {
            (true, true) => {}
            (true, false) if self.has_listener => {}
            (true, false) => fail(
                problems,
                "",
                0,
                "a listener block is needed, such as listener \"tcp\" { address = \"0.0.0.0:8200\" … }",
            ),
            (false, true) => config.listeners.extend(self.listeners),
            (false, false) => config.listeners = self.listeners,
        }
        config.set_addresses(self.api_addr, self.cluster_addr, problems);
        config.cluster_name = self.cluster_name;
        config.max_lease_ttl = self.max_lease_ttl.unwrap_or(Duration::from_secs(LEASE_SECS));
        config.default_lease_ttl =
            self.default_lease_ttl.unwrap_or(Duration::from_secs(LEASE_SECS).min(config.max_lease_ttl));
        if config.default_lease_ttl > config.max_lease_ttl {
            fail(problems, "", 0, "default_lease_ttl must not be above max_lease_ttl");
        }
        config.max_staleness = self.max_staleness.unwrap_or(Duration::ZERO);
        config.user_lockout = self.user_lockout.unwrap_or_else(|| UserLockout::NONE.clone());
        config.outbound = self.outbound.unwrap_or_default();
        config.disable_mlock = self.disable_mlock.unwrap_or(false);
        config.ui = self.ui.unwrap_or(config.ui);
        config.raw_storage_endpoint = self.raw_storage_endpoint.unwrap_or(false);
        config.log = self.log;
        config.pid_file = self.pid_file;
        config.telemetry = self.telemetry;
        config.audit = self.audit;
        config.limits = Limits::default();
        if self.is_cluster_off && matches!(config.storage, Storage::Raft(_)) {
            fail(problems, "", 0, "disable_clustering contradicts storage \"raft\"; use storage \"file\" for one node");
        }
        config
    }
}

impl Config {
    /// Addresses that were not said follow from the first listener.
    fn set_addresses(&mut self, api: Option<String>, cluster: Option<String>, problems: &RefCell<Problems>) {
        let Some(first) = self.listeners.first() else { return };
        let scheme = if first.tls.is_some() { "https" } else { "http" };
        let reachable = |text: &str| address::reachable(text).unwrap_or_else(|| text.to_owned());
        self.api_addr = api.unwrap_or_else(|| format!("{scheme}://{}", reachable(&first.address)));
        let cluster = cluster.unwrap_or_else(|| reachable(&first.cluster_address));
        self.cluster_addr = if cluster.contains("://") { cluster } else { format!("https://{cluster}") };
        for (name, url) in [("api_addr", &self.api_addr), ("cluster_addr", &self.cluster_addr)] {
            if !is_url(url) {
                fail(
                    problems,
                    "",
                    0,
                    &format!("{name} must be a URL such as https://10.0.0.1:8200, without templates"),
                );
            }
        }
        let host_port = self.cluster_addr.split_once("://").map_or("", |(_, rest)| rest.trim_end_matches('/'));
        if matches!(self.storage, Storage::Raft(_)) && address::split(host_port).is_none() {
            fail(problems, "", 0, "cluster_addr must have a port, such as https://10.0.0.1:8201");
        }
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}
