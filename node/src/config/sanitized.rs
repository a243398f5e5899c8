//! The configuration in force as `sys/config/state/sanitized` shows it: Vault's shape, without secrets.

use serde_json::{Value, json};

use crate::config::{Config, Listener, Storage};

impl Config {
    /// The effective settings. Join tokens, keys and certificates are left out, not masked.
    pub fn sanitized(&self) -> Value {
        json!({
            "api_addr": self.api_addr,
            "cache_size": 0,
            "cluster_addr": self.cluster_addr,
            "cluster_cipher_suites": "",
            "cluster_name": self.cluster_name.as_deref().unwrap_or(""),
            "default_lease_ttl": self.default_lease_ttl.as_secs(),
            "default_max_request_duration": self.limits.request_time.as_secs(),
            "disable_cache": false,
            "disable_clustering": !matches!(self.storage, Storage::Raft(_)),
            "disable_indexing": false,
            "disable_mlock": self.disable_mlock,
            "disable_performance_standby": false,
            "disable_printable_check": false,
            "disable_sealwrap": false,
            "enable_ui": self.ui,
            "listeners": self.listeners.iter().map(listener).collect::<Vec<_>>(),
            "log_format": self.log.format.as_str(),
            "log_level": self.log.level.as_str(),
            "max_lease_ttl": self.max_lease_ttl.as_secs(),
            "pid_file": self.pid_file.as_ref().map_or(String::new(), |path| path.display().to_string()),
            "plugin_directory": "",
            "raw_storage_endpoint": self.raw_storage_endpoint,
            "seals": [{ "type": "shamir", "disabled": false }],
            "storage": self.storage(),
            "telemetry": {
                "disable_hostname": self.telemetry.disable_hostname,
                "prometheus_retention_time": self.telemetry.prometheus_retention_time.as_secs(),
            },
        })
    }

    fn storage(&self) -> Value {
        let config = match &self.storage {
            Storage::Memory => json!({}),
            Storage::File { path } => json!({ "path": path.display().to_string() }),
            Storage::Raft(raft) => json!({
                "path": raft.path.display().to_string(),
                "node_id": raft.node_id.as_deref().unwrap_or(""),
            }),
        };
        json!({
            "type": self.storage.name(),
            "config": config,
            "cluster_addr": self.cluster_addr,
            "redirect_addr": self.api_addr,
            "disable_clustering": !matches!(self.storage, Storage::Raft(_)),
        })
    }
}

fn listener(listener: &Listener) -> Value {
    let mut config = json!({
        "address": listener.address,
        "cluster_address": listener.cluster_address,
        "max_request_duration": listener.max_request_duration.as_secs(),
        "max_request_size": listener.max_request_bytes,
        "tls_disable": listener.tls.is_none(),
    });
    if let Some(tls) = &listener.tls {
        config["tls_cert_file"] = tls.cert_file.display().to_string().into();
    }
    json!({ "type": "tcp", "config": config })
}
