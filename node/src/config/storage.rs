//! `storage` (or `backend`): where the Raft log and the table live, and how a node finds its cluster.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::address;
use crate::config::section::Section;
use crate::config::vocabulary;

/// Most addresses of other nodes: one for each that a cluster may have.
const MAX_PEERS: usize = conclave_vault::MAX_MEMBERS;

/// Where data lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory; gone when the process ends.
    Memory,
    /// In a folder, for one node without a network.
    File {
        /// The folder.
        path: PathBuf,
    },
    /// In a folder, replicated.
    Raft(Raft),
}

/// Settings of `storage "raft"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raft {
    /// The data folder.
    pub path: PathBuf,
    /// The node's name for people; the id in the protocol is random and lies in the data folder.
    pub node_id: Option<String>,
    /// Where a new node asks to join, in order.
    pub retry_join: Vec<RetryJoin>,
    /// Whether the node joins for good without a vote.
    pub is_non_voter: bool,
    /// `host:port` of other nodes, where a member that reaches nobody looks for them.
    pub peers: Vec<String>,
    /// Between which places the cluster runs.
    pub timing: Timing,
    /// Applied entries that stay in the log behind a snapshot; `None` is the default.
    pub trailing_logs: Option<u64>,
    /// Entries between snapshots; `None` is the default.
    pub snapshot_threshold: Option<u64>,
}

/// How fast heartbeats and elections are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// One region: heartbeat 100 ms, election 500 to 1,000 ms.
    #[default]
    Lan,
    /// Several regions: heartbeat 500 ms, election 1,500 to 3,000 ms.
    MultiRegion,
}

/// One address at which to ask for membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryJoin {
    /// URL of the API of a member. Not used, and may be empty, where there is a token, which names the members.
    pub leader_api_addr: String,
    /// PEM file with the authorities for that API's certificate.
    pub leader_ca_cert_file: Option<PathBuf>,
    /// The same, as PEM text.
    pub leader_ca_cert: Option<String>,
    /// PEM file with a certificate to present.
    pub leader_client_cert_file: Option<PathBuf>,
    /// The same, as PEM text.
    pub leader_client_cert: Option<String>,
    /// PEM file with its key.
    pub leader_client_key_file: Option<PathBuf>,
    /// The same, as PEM text.
    pub leader_client_key: Option<Hidden>,
    /// Name that the member's certificate must have.
    pub leader_tls_servername: Option<String>,
    /// A join token; without one, shares entered at this node prove it.
    pub token: Option<Hidden>,
}

/// A secret in the configuration. Shows nothing of itself.
#[derive(Clone)]
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// Keeps a secret.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for Hidden {}

impl Storage {
    /// The folder with the data; `None` if it is in memory.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::File { path } | Self::Raft(Raft { path, .. }) => Some(path),
        }
    }

    /// Reads a block; `None` if it cannot be used, with the reason among the problems.
    pub(crate) fn read(label: &str, section: Section<'_>) -> Option<Self> {
        section.without_effect(&["max_parallel"]);
        let storage = match label {
            "inmem" | "inmem_ha" | "inmem_transactional" | "inmem_transactional_ha" => Self::Memory,
            "file" => Self::File { path: read_path(&section)? },
            "raft" => Self::Raft(Raft::read(&section)?),
            _ => {
                section.error(section.line(), "this storage does not exist; choose \"raft\", \"file\" or \"inmem\"");
                return None;
            }
        };
        section.finish();
        Some(storage)
    }

    /// The name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Memory => "inmem",
            Self::File { .. } => "file",
            Self::Raft(_) => "raft",
        }
    }
}

fn read_path(section: &Section<'_>) -> Option<PathBuf> {
    let path = section.filled("path");
    if path.is_none() {
        section.error(section.line(), "path is needed: the folder for the data");
    }
    path.map(PathBuf::from)
}

impl Raft {
    fn read(section: &Section<'_>) -> Option<Self> {
        // The path may come from the environment, so its absence is judged when everything is known.
        let path = section.filled("path").unwrap_or_default().into();
        section.without_effect(vocabulary::RAFT_WITHOUT_EFFECT);
        let timing = match section.filled("timing").as_deref() {
            None | Some("lan") => Timing::Lan,
            Some("multi-region") => Timing::MultiRegion,
            Some(_) => {
                section.error(section.line_of("timing"), "timing must be \"lan\" or \"multi-region\"");
                Timing::Lan
            }
        };
        if section.filled("engine").is_some_and(|engine| engine != "fjall") {
            section.error(section.line_of("engine"), "engine must be \"fjall\", the only one there is");
        }
        let peers = section.texts("peers").unwrap_or_default();
        if peers.len() > MAX_PEERS || peers.iter().any(|peer| address::split(peer).is_none()) {
            let message = "peers must be a list of at most 64 addresses of other nodes, such as [\"10.0.0.2:8201\"]";
            section.error(section.line_of("peers"), message);
        }
        Some(Self {
            path,
            peers,
            node_id: read_name(section),
            retry_join: section.blocks("retry_join").into_iter().filter_map(RetryJoin::read).collect(),
            is_non_voter: section.boolean("retry_join_as_non_voter").unwrap_or(false),
            timing,
            trailing_logs: section.whole("trailing_logs"),
            snapshot_threshold: section.whole("snapshot_threshold"),
        })
    }
}

/// The node's name, if it has one that people can see and that no id looks like.
fn read_name(section: &Section<'_>) -> Option<String> {
    let name = section.filled("node_id")?;
    // The id is not known here; a name that is an id is not needed, because a node without a name goes by its id.
    if let Err(error) = conclave_vault::members::check_name(0, &name) {
        section.error(section.line_of("node_id"), &error.messages.join("; "));
    }
    Some(name)
}

impl RetryJoin {
    fn read(section: Section<'_>) -> Option<Self> {
        if section.filled("auto_join").is_some() {
            section
                .error(section.line_of("auto_join"), "auto_join is not supported; name a member with leader_api_addr");
            return None;
        }
        section.without_effect(&["auto_join_scheme", "auto_join_port"]);
        let token = section.filled("token").map(Hidden::new);
        let leader_api_addr = match section.filled("leader_api_addr") {
            Some(address) if is_url(&address) => address,
            // The token names the members.
            None if token.is_some() => String::new(),
            _ => {
                section.error(
                    section.line_of("leader_api_addr"),
                    "leader_api_addr must be a URL such as \"https://10.0.0.1:8200\"; it may be left out where a join token is given",
                );
                return None;
            }
        };
        let file = |name| section.filled(name).map(PathBuf::from);
        let join = Self {
            leader_api_addr,
            leader_ca_cert_file: file("leader_ca_cert_file"),
            leader_ca_cert: section.filled("leader_ca_cert"),
            leader_client_cert_file: file("leader_client_cert_file"),
            leader_client_cert: section.filled("leader_client_cert"),
            leader_client_key_file: file("leader_client_key_file"),
            leader_client_key: section.filled("leader_client_key").map(Hidden::new),
            leader_tls_servername: section.filled("leader_tls_servername"),
            token,
        };
        if join.leader_client_cert_file.is_some() != join.leader_client_key_file.is_some()
            || join.leader_client_cert.is_some() != join.leader_client_key.is_some()
        {
            section.error(section.line(), "leader_client_cert and leader_client_key are needed together");
        }
        section.finish();
        Some(join)
    }

    /// The authorities, the certificate and its key in PEM form, as far as they are set. An error says what to do.
    pub fn tls_texts(&self) -> Result<[Option<Hidden>; 3], String> {
        let read = |text: Option<&str>, file: &Option<PathBuf>| match (text, file) {
            (Some(text), _) => Ok(Some(Hidden::new(text.to_owned()))),
            (None, None) => Ok(None),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(Hidden::new(text))),
                Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
            },
        };
        let key = self.leader_client_key.as_ref().map(Hidden::reveal);
        let texts = [
            read(self.leader_ca_cert.as_deref(), &self.leader_ca_cert_file)?,
            read(self.leader_client_cert.as_deref(), &self.leader_client_cert_file)?,
            read(key, &self.leader_client_key_file)?,
        ];
        if texts[1].is_some() != texts[2].is_some() {
            return Err("leader_client_cert and leader_client_key are needed together".to_owned());
        }
        Ok(texts)
    }
}

/// Whether a text is an address of an API.
pub(crate) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['{', '}', ' ', '@']))
}
