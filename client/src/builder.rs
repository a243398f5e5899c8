//! The settings of a client, checked when it is built.
//!
//! What surprises: without `max_retries` a call goes on until its deadline, because a cluster that elects a leader is
//! back within seconds; and without an address the client talks to this machine.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::address::Address;
use crate::client::Client;
use crate::error::Error;
use crate::failover::Shared;
use crate::index::IndexMemory;
use crate::nodes::Nodes;
use crate::retry::Limits;
use crate::secret::Secret;
use crate::tls::TlsSettings;
use crate::transport::Transport;

/// Where a client looks when no address is given.
pub(crate) const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

/// Whether a client learns addresses that it was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// Asks the cluster now and then (`sys/ha-status`), with the client's token, and only over TLS.
    /// That costs one use of a token, so switch it off for tokens with a limited number of uses.
    Automatic,
    /// Keeps to the addresses given.
    Off,
}

/// Settings of a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    addresses: Vec<String>,
    token: Option<Secret>,
    namespace: Option<String>,
    wrap_ttl: Option<String>,
    proxy: Option<String>,
    tls: TlsSettings,
    limits: Limits,
    connect_timeout: Duration,
    max_reply_bytes: usize,
    discovery: Discovery,
    assume_remembered_writes: bool,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            token: None,
            namespace: None,
            wrap_ttl: None,
            proxy: None,
            tls: TlsSettings::default(),
            limits: Limits {
                deadline: Duration::from_secs(60),
                attempt_timeout: Duration::from_secs(10),
                max_retries: None,
                patience: None,
            },
            connect_timeout: Duration::from_secs(5),
            max_reply_bytes: 64 * 1024 * 1024,
            discovery: Discovery::Automatic,
            assume_remembered_writes: false,
        }
    }
}

impl Client {
    /// Begins the settings of a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl ClientBuilder {
    /// Adds the address of a node, or several separated by commas. The first is tried first.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Adds the addresses of several nodes.
    pub fn addresses<T: Into<String>>(mut self, addresses: impl IntoIterator<Item = T>) -> Self {
        self.addresses.extend(addresses.into_iter().map(Into::into));
        self
    }

    /// Forgets the addresses given so far.
    pub fn without_addresses(mut self) -> Self {
        self.addresses.clear();
        self
    }

    /// The token that goes with every request.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The namespace of every request.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Asks for every reply to be wrapped, for this long (`60s`).
    pub fn wrap_ttl(mut self, ttl: impl Into<String>) -> Self {
        self.wrap_ttl = Some(ttl.into());
        self
    }

    /// Sends everything through this proxy. The environment's `HTTP_PROXY` is not looked at.
    pub fn proxy(mut self, address: impl Into<String>) -> Self {
        self.proxy = Some(address.into());
        self
    }

    /// Trusts these authorities, in PEM form, instead of the system's. May be called several times.
    pub fn ca_cert_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.roots_pem.push(pem.into());
        self
    }

    /// Presents this certificate chain, with its key, both in PEM form.
    pub fn client_cert(mut self, chain_pem: impl Into<Vec<u8>>, key_pem: impl Into<Secret>) -> Self {
        self.tls.identity = Some((chain_pem.into(), key_pem.into()));
        self
    }

    /// Expects certificates to carry this name instead of the address's host. The name sent in the handshake remains
    /// the host's.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate. Whoever sits between then reads the token; for trials only.
    pub fn danger_skip_verify(mut self, skip: bool) -> Self {
        self.tls.skip_verify = skip;
        self
    }

    /// How long a call may take with all its attempts (60 s).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// How long one attempt may take while another node could be asked (10 s); it doubles with each round.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.limits.attempt_timeout = timeout;
        self
    }

    /// How long connecting may take, TLS included (5 s).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often the whole list of nodes is tried again; 0 tries each node once. Without it: until the deadline.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.limits.max_retries = Some(retries);
        self
    }

    /// How long new rounds over the list of nodes are begun, a pause that a server asks for included. Without it: until
    /// the deadline. One attempt may take longer.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.limits.patience = Some(patience);
        self
    }

    /// The longest reply that is read, in bytes (64 MiB).
    pub fn max_reply_bytes(mut self, bytes: usize) -> Self {
        self.max_reply_bytes = bytes;
        self
    }

    /// Whether further addresses are learned from the cluster (automatic).
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Vouches that every server behind these addresses remembers writes by their `Idempotency-Key`, so that also the
    /// first write may be repeated after a lost attempt. Wrong for plain Vault: it would do such a write twice.
    pub fn assume_remembered_writes(mut self, assume: bool) -> Self {
        self.assume_remembered_writes = assume;
        self
    }

    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Configuration`] for an address, a certificate or a proxy that cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        let mut addresses = Vec::new();
        for list in &self.addresses {
            addresses.extend(Address::parse_list(list)?);
        }
        if addresses.is_empty() {
            addresses.push(Address::parse(DEFAULT_ADDRESS)?);
        }
        if self.limits.deadline.is_zero() {
            return Err(Error::Configuration("the deadline of a call must be longer than 0 s".to_owned()));
        }
        let transport = Transport::new(&self.tls, self.connect_timeout, self.max_reply_bytes, self.proxy.as_deref())?;
        let shared = Shared {
            transport: Arc::new(transport),
            nodes: Mutex::new(Nodes::new(addresses)),
            indexes: Mutex::new(IndexMemory::default()),
            remembers: AtomicBool::new(self.assume_remembered_writes),
            limits: self.limits,
            discovery: (self.discovery == Discovery::Automatic).then(|| Mutex::new(None)),
        };
        Ok(Client {
            shared: Arc::new(shared),
            token: Arc::new(RwLock::new(self.token)),
            namespace: self.namespace,
            wrap_ttl: self.wrap_ttl,
        })
    }
}
