//! Names that configuration files for Vault hold and that mean nothing here.
//!
//! Those whose absence an operator would notice are warned about; the others are passed over, so that a working file of
//! Vault starts without noise.

/// Top level, would change something if it were supported.
pub(crate) const TOP_WITHOUT_EFFECT: &[&str] = &[
    "disable_cache",
    "plugin_directory",
    "plugin_auto_download",
    "plugin_auto_register",
    "license_path",
    "experiments",
    "user_lockout",
    "enable_response_header_hostname",
    "enable_response_header_raft_node_id",
    "log_rotate_duration",
    "log_rotate_bytes",
    "log_rotate_max_files",
    "detect_deadlocks",
    "entropy",
];

/// Top level, nothing here for it to change.
pub(crate) const TOP_TOLERATED: &[&str] = &[
    "cache_size",
    "disable_performance_standby",
    "disable_sealwrap",
    "disable_indexing",
    "disable_printable_check",
    "introspection_endpoint",
    "log_requests_level",
    "max_request_size",
    "max_request_duration",
    "plugin_file_uid",
    "plugin_file_permissions",
    "plugin_tmpdir",
    "enable_ui",
    "allow_audit_log_prefixing",
    "unsafe_allow_api_audit_creation",
    "imprecise_lease_role_tracking",
    "kms",
    "include",
    "disable_standby_reads",
    "administrative_namespace_path",
];

/// `listener "tcp"`, would change something.
pub(crate) const LISTENER_WITHOUT_EFFECT: &[&str] = &[
    "max_request_json_memory",
    "max_request_json_strings",
    "agent_api",
    "proxy_api",
    "role",
    "redact_addresses",
    "redact_cluster_name",
    "redact_version",
];

/// `storage "raft"`, would change something.
pub(crate) const RAFT_WITHOUT_EFFECT: &[&str] = &[
    "max_entry_size",
    "max_mount_and_namespace_table_entry_size",
    "autopilot_redundancy_zone",
    "retry_join_as_non_voter",
    "non_voter",
    "max_transaction_size",
];

/// `storage "raft"`, nothing here for it to change.
pub(crate) const RAFT_TOLERATED: &[&str] = &[
    "autopilot_reconcile_interval",
    "autopilot_update_interval",
    "performance_multiplier",
    "snapshot_interval",
    "raft_log_verifier_enabled",
    "raft_log_verification_interval",
    "raft_wal",
    "autopilot_upgrade_version",
];

/// `telemetry`, would change something.
pub(crate) const TELEMETRY_WITHOUT_EFFECT: &[&str] = &[
    "statsite_address",
    "statsd_address",
    "dogstatsd_addr",
    "dogstatsd_tags",
    "circonus_api_token",
    "stackdriver_project_id",
    "metrics_prefix",
    "prefix_filter",
    "filter_default",
];

/// `telemetry`, nothing here for it to change.
pub(crate) const TELEMETRY_TOLERATED: &[&str] = &[
    "enable_hostname_label",
    "usage_gauge_period",
    "maximum_gauge_cardinality",
    "lease_metrics_epsilon",
    "num_lease_metrics_buckets",
    "add_lease_metrics_namespace_labels",
    "add_mount_point_rollback_metrics",
];
