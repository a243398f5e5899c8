//! `listener "tcp"`: where clients connect, over which TLS, and how much they may ask for.

use std::path::PathBuf;
use std::time::Duration;

use conclave_vault::Cidr;

use crate::config::address;
use crate::config::limits::Limits;
use crate::config::section::Section;
use crate::config::vocabulary;

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `host:port` to bind.
    pub address: String,
    /// `host:port` for other nodes; by default the host of `address` and its port plus one.
    pub cluster_address: String,
    /// TLS; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// Whose word about the client's address counts.
    pub forwarded: Forwarded,
    /// Largest body, in bytes; 413 past it.
    pub max_request_bytes: usize,
    /// Longest time for one request.
    pub max_request_duration: Duration,
    /// Time from the connection to the end of its first request's headers.
    pub header_time: Duration,
    /// Time for one body to arrive.
    pub body_time: Duration,
    /// Time that a connection may lie idle.
    pub idle_time: Duration,
    /// Whether `sys/metrics` needs no token here.
    pub has_open_metrics: bool,
    /// Whether `sys/in-flight-req` needs no token here.
    pub has_open_in_flight_requests: bool,
    /// Whether the rekey ceremony needs no token.
    pub has_open_rekey: bool,
    /// Whether the generate-root ceremony needs no token.
    pub has_open_generate_root: bool,
    /// Headers to add to replies.
    pub response_headers: Vec<ResponseHeader>,
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate, then its issuers.
    pub cert_file: PathBuf,
    /// PEM file with the private key.
    pub key_file: PathBuf,
    /// PEM file with the authorities for client certificates; only used when one is required.
    pub client_ca_file: Option<PathBuf>,
    /// Lowest version that is spoken.
    pub min_version: TlsVersion,
    /// Highest version that is spoken.
    pub max_version: TlsVersion,
    /// What is asked of clients.
    pub client_certificate: ClientCertificate,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// What a listener asks of its clients in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Asked for, and any is tolerated; only login by certificate judges it. The default.
    Requested,
    /// Not asked for.
    Unwanted,
    /// Demanded, and issued by `tls_client_ca_file`.
    Required,
}

/// Which peers may say, in `X-Forwarded-For`, on whose behalf they ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Those peers; empty means that the header is ignored.
    pub authorized: Vec<Cidr>,
    /// Addresses to skip from the end of the header.
    pub hop_skips: usize,
    /// Whether a request without the header is refused.
    pub rejects_absent: bool,
    /// Whether the header from another peer is refused instead of ignored.
    pub rejects_unauthorized: bool,
}

/// A header that is added to replies of some statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Which statuses.
    pub statuses: Statuses,
    /// Name, in lower case.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Which status codes a header goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// All.
    All,
    /// Those of a hundred: 4 is 400 to 499.
    Class(u16),
    /// One.
    One(u16),
}

impl Statuses {
    /// Whether a status is among them.
    pub fn contains(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::Class(class) => status / 100 == class,
            Self::One(code) => status == code,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix("xx") {
            _ if text == "default" => Some(Self::All),
            Some(class) => class.parse().ok().filter(|class| (1..6).contains(class)).map(Self::Class),
            None => text.parse().ok().filter(|code| (100..600).contains(code)).map(Self::One),
        }
    }
}

impl Listener {
    /// A plain listener with every default.
    pub fn plain(address: impl Into<String>) -> Self {
        let (address, limits) = (address.into(), Limits::default());
        Self {
            cluster_address: address::next_port(&address).unwrap_or_default(),
            address,
            tls: None,
            forwarded: Forwarded::default(),
            max_request_bytes: limits.body_bytes,
            max_request_duration: limits.request_time,
            header_time: limits.header_time,
            body_time: limits.body_time,
            idle_time: limits.idle_time,
            has_open_metrics: false,
            has_open_in_flight_requests: false,
            has_open_rekey: false,
            has_open_generate_root: false,
            response_headers: Vec::new(),
        }
    }

    /// Reads a block; `None` if it cannot be used, with the reason among the problems.
    pub(crate) fn read(label: &str, section: Section<'_>) -> Option<Self> {
        if label != "tcp" {
            section.error(section.line(), "only listeners of type \"tcp\" are supported");
            return None;
        }
        let address = section.filled("address").unwrap_or_else(|| "127.0.0.1:8200".into());
        let Some(address) = address::bindable(&address) else {
            section.error(
                section.line_of("address"),
                "address must be host:port, such as \"0.0.0.0:8200\" or \"[::]:8200\"",
            );
            return None;
        };
        let mut listener = Self::plain(address);
        if let Some(cluster) = section.filled("cluster_address") {
            match address::bindable(&cluster) {
                Some(cluster) => listener.cluster_address = cluster,
                None => section.error(section.line_of("cluster_address"), "cluster_address must be host:port"),
            }
        }
        listener.tls = Tls::read(&section);
        listener.forwarded = Forwarded::read(&section);
        listener.read_bounds(&section);
        listener.read_open_paths(&section);
        listener.response_headers = read_headers(&section);
        if section.filled("proxy_protocol_behavior").is_some() {
            section.error(
                section.line_of("proxy_protocol_behavior"),
                "the PROXY protocol is not supported; use x_forwarded_for_authorized_addrs",
            );
        }
        section.without_effect(vocabulary::LISTENER_WITHOUT_EFFECT);
        if section.filled("chroot_namespace").is_some() {
            section.error(
                section.line_of("chroot_namespace"),
                "chroot_namespace is not supported, and without it this listener would serve more than you allow",
            );
        }
        section.finish();
        Some(listener)
    }

    fn read_bounds(&mut self, section: &Section<'_>) {
        if let Some(bytes) = section.whole("max_request_size").filter(|bytes| *bytes > 0) {
            self.max_request_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        let times = [
            ("max_request_duration", &mut self.max_request_duration),
            ("http_read_header_timeout", &mut self.header_time),
            ("http_read_timeout", &mut self.body_time),
            ("http_idle_timeout", &mut self.idle_time),
        ];
        for (name, time) in times {
            if let Some(wanted) = section.duration(name).filter(|wanted| !wanted.is_zero()) {
                *time = wanted;
            }
        }
    }

    fn read_open_paths(&mut self, section: &Section<'_>) {
        for block in section.blocks("telemetry") {
            self.has_open_metrics = block.boolean("unauthenticated_metrics_access").unwrap_or(false);
            block.without_effect(&["disallow_metrics", "metrics_only"]);
            block.finish();
        }
        for block in section.blocks("inflight_requests_logging") {
            self.has_open_in_flight_requests =
                block.boolean("unauthenticated_in_flight_requests_access").unwrap_or(false);
            block.finish();
        }
        for block in section.blocks("profiling") {
            block.without_effect(&["unauthenticated_pprof_access", "unauthenticated_in_flight_request_access"]);
            block.finish();
        }
        self.has_open_rekey = !section.boolean("disable_unauthed_rekey_endpoints").unwrap_or(true);
        self.has_open_generate_root = !section.boolean("disable_unauthed_generate_root_endpoints").unwrap_or(true);
    }
}

impl Tls {
    fn read(section: &Section<'_>) -> Option<Self> {
        let files = (section.filled("tls_cert_file"), section.filled("tls_key_file"));
        let is_disabled = section.boolean("tls_disable").unwrap_or(false);
        let tls = Self {
            cert_file: files.0.clone().unwrap_or_default().into(),
            key_file: files.1.clone().unwrap_or_default().into(),
            client_ca_file: section.filled("tls_client_ca_file").map(PathBuf::from),
            min_version: read_version(section, "tls_min_version").unwrap_or(TlsVersion::Tls12),
            max_version: read_version(section, "tls_max_version").unwrap_or(TlsVersion::Tls13),
            client_certificate: read_client_certificate(section),
        };
        if is_disabled {
            return None;
        }
        if files.0.is_none() || files.1.is_none() {
            section.error(
                section.line(),
                "tls_cert_file and tls_key_file are needed; set tls_disable = true for plain HTTP, \
                 which sends every secret in the clear",
            );
        }
        if tls.min_version > tls.max_version {
            section.error(section.line_of("tls_max_version"), "tls_max_version must not be below tls_min_version");
        }
        if tls.client_certificate == ClientCertificate::Required && tls.client_ca_file.is_none() {
            section.error(
                section.line_of("tls_require_and_verify_client_cert"),
                "tls_require_and_verify_client_cert needs tls_client_ca_file",
            );
        }
        Some(tls)
    }
}

fn read_client_certificate(section: &Section<'_>) -> ClientCertificate {
    let is_required = section.boolean("tls_require_and_verify_client_cert").unwrap_or(false);
    let is_unwanted = section.boolean("tls_disable_client_certs").unwrap_or(false);
    match (is_required, is_unwanted) {
        (true, true) => {
            section.error(
                section.line_of("tls_disable_client_certs"),
                "tls_disable_client_certs contradicts tls_require_and_verify_client_cert",
            );
            ClientCertificate::Required
        }
        (true, false) => ClientCertificate::Required,
        (false, true) => ClientCertificate::Unwanted,
        (false, false) => ClientCertificate::Requested,
    }
}

fn read_version(section: &Section<'_>, name: &'static str) -> Option<TlsVersion> {
    match section.filled(name)?.as_str() {
        "tls12" => Some(TlsVersion::Tls12),
        "tls13" => Some(TlsVersion::Tls13),
        _ => {
            section.error(
                section.line_of(name),
                &format!("{name} must be \"tls12\" or \"tls13\"; older versions are not safe"),
            );
            None
        }
    }
}

impl Forwarded {
    fn read(section: &Section<'_>) -> Self {
        let mut authorized = Vec::new();
        for text in section.texts("x_forwarded_for_authorized_addrs").unwrap_or_default() {
            match Cidr::parse(text.trim()) {
                Some(network) => authorized.push(network),
                None => section.error(
                    section.line_of("x_forwarded_for_authorized_addrs"),
                    "x_forwarded_for_authorized_addrs must hold addresses or networks such as \"10.0.0.0/8\"",
                ),
            }
        }
        Self {
            authorized,
            hop_skips: usize::try_from(section.whole("x_forwarded_for_hop_skips").unwrap_or(0)).unwrap_or(usize::MAX),
            rejects_absent: section.boolean("x_forwarded_for_reject_not_present").unwrap_or(true),
            rejects_unauthorized: section.boolean("x_forwarded_for_reject_not_authorized").unwrap_or(true),
        }
    }
}

fn read_headers(section: &Section<'_>) -> Vec<ResponseHeader> {
    let mut headers = Vec::new();
    for block in section.blocks("custom_response_headers") {
        for (status, entries) in block.all_blocks() {
            let Some(statuses) = Statuses::parse(&status) else {
                block.error(
                    entries.line(),
                    "a status must be \"default\", a class such as \"4xx\" or a code such as \"404\"",
                );
                continue;
            };
            for (name, values, line) in entries.all_texts() {
                let value = values.join("; ");
                let is_valid = name.parse::<http::HeaderName>().is_ok() && value.parse::<http::HeaderValue>().is_ok();
                if !is_valid || name.to_ascii_lowercase().starts_with("x-vault-") {
                    block.error(line, "a header must have a valid name, not X-Vault-…, and a valid value");
                    continue;
                }
                headers.push(ResponseHeader { statuses, name: name.to_ascii_lowercase(), value });
            }
        }
    }
    headers
}
