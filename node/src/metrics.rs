//! What is counted, for Prometheus and for `sys/metrics` as JSON.
//!
//! A metric that means what one of Vault's means has Vault's name, so that dashboards go on working; ours begin with
//! `conclave_`. Labels hold operations and status codes only, never a path or a name, so their number is bounded and
//! they tell no secret.

use std::time::Duration;

use bytes::Bytes;
use conclave_raft::{Role, Status};
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use serde_json::{Map, Value, json};

use crate::gateway::Outgoing;
use crate::http::error::{JSON, failure};
use crate::keeper::State;
use crate::{host, logging};

/// Upper bounds of the histogram of request times, in milliseconds.
const MILLIS: [f64; 12] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 10_000.0];

type RaftCounter = (&'static str, &'static str, fn(&conclave_raft::Metrics) -> u64);
type RaftGauge = (&'static str, &'static str, fn(&Status) -> u64);

const RAFT_COUNTERS: [RaftCounter; 19] = [
    ("vault_raft_apply", "Proposals made here that were applied", |m| m.outcomes_applied),
    ("conclave_raft_conflicts_total", "Proposals made here that met a conflict and ran again", |m| m.outcomes_conflict),
    ("conclave_raft_other_outcomes_total", "Proposals too old, of another epoch or malformed", |m| m.outcomes_other),
    ("conclave_raft_not_appended_total", "Proposals that were certainly not appended", |m| m.not_appended),
    ("conclave_raft_unknown_total", "Proposals whose fate is not known", |m| m.unknown),
    ("conclave_raft_refused_total", "Proposals that the leader refused", |m| m.refused),
    ("conclave_raft_doomed_entries_total", "Entries that met a conflict although the leader had checked", |m| {
        m.doomed_entries
    }),
    ("conclave_raft_votes_total", "Votes written and synced", |m| m.votes),
    ("conclave_raft_appends_total", "Synced writes to the log", |m| m.appends),
    ("conclave_raft_appended_entries_total", "Entries written to the log", |m| m.appended_entries),
    ("conclave_raft_appended_bytes_total", "Payload bytes written to the log", |m| m.appended_bytes),
    ("conclave_raft_apply_batches_total", "Atomic writes to the table", |m| m.apply_batches),
    ("conclave_raft_applied_entries_total", "Entries applied to the table", |m| m.applied_entries),
    ("conclave_raft_leader_changes_total", "Changes of leader seen", |m| m.leader_changes),
    ("conclave_raft_read_rounds_total", "Rounds made for read points", |m| m.read_rounds),
    ("conclave_raft_read_points_total", "Read points given out", |m| m.read_points),
    ("conclave_raft_snapshots_built_total", "Snapshots made", |m| m.snapshots_built),
    ("conclave_raft_snapshots_sent_total", "Snapshots sent", |m| m.snapshots_sent),
    ("conclave_raft_snapshots_installed_total", "Snapshots installed", |m| m.snapshots_installed),
];

const RAFT_GAUGES: [RaftGauge; 10] = [
    ("vault_core_active", "1 if this node leads", |s| u64::from(s.role == Role::Leader)),
    ("vault_raft_storage_stats_commit_index", "Index through which entries are known to be committed", |s| s.committed),
    ("vault_raft_storage_stats_applied_index", "Index through which entries are applied", |s| s.applied),
    ("vault_raft_peers", "Members of the cluster", |s| s.members.len() as u64),
    ("conclave_raft_voters", "Members that vote", |s| s.members.iter().filter(|member| member.voter).count() as u64),
    ("conclave_raft_term", "Term", |s| s.term),
    ("conclave_raft_has_leader", "1 if a leader is known", |s| u64::from(s.leader.is_some())),
    ("conclave_raft_last_log_index", "Index of the last entry", |s| s.last_log),
    ("conclave_raft_snapshot_index", "Index of the newest snapshot", |s| s.snapshot),
    ("conclave_raft_halted", "1 if apply stopped at an entry that does not verify", |s| u64::from(s.halted.is_some())),
];

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_millis: Histogram,
    unsealed: IntGauge,
    state: IntGaugeVec,
    refused_shares: IntCounter,
    raft_counters: Vec<IntCounter>,
    raft_gauges: Vec<IntGauge>,
    waiting_bytes: IntGauge,
    last_contact_millis: IntGauge,
    dropped_log_lines: IntCounter,
    resident_bytes: IntGauge,
    open_files: IntGauge,
    cpu_seconds: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Registers what is described by literals, which are valid and differ.
fn register<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("names of metrics are valid literals");
    registry.register(Box::new(metric.clone())).expect("names of metrics differ");
    metric
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help));
        let requests = Opts::new("conclave_http_requests_total", "Requests answered, by operation and status code");
        let millis = HistogramOpts::new("vault_core_handle_request", "Time of a request in milliseconds")
            .buckets(MILLIS.to_vec());
        Self {
            requests: register(&registry, IntCounterVec::new(requests, &["operation", "status"])),
            request_millis: register(&registry, Histogram::with_opts(millis)),
            state: register(
                &registry,
                IntGaugeVec::new(Opts::new("conclave_node_state", "1 for the state that this node is in"), &["state"]),
            ),
            unsealed: gauge("vault_core_unsealed", "1 if this node is unsealed"),
            refused_shares: counter("conclave_seal_refused_shares_total", "Texts that were no share of this seal"),
            raft_counters: RAFT_COUNTERS.iter().map(|(name, help, _)| counter(name, help)).collect(),
            raft_gauges: RAFT_GAUGES.iter().map(|(name, help, _)| gauge(name, help)).collect(),
            waiting_bytes: gauge(
                "conclave_raft_waiting_bytes",
                "Bytes of batches that wait to be appended and applied",
            ),
            last_contact_millis: gauge(
                "vault_raft_leader_lastContact",
                "Longest time since a member acknowledged a heartbeat, in milliseconds; on the leader only",
            ),
            dropped_log_lines: counter("conclave_log_lines_dropped_total", "Log lines that nobody took in time"),
            resident_bytes: gauge("process_resident_memory_bytes", "Memory in use"),
            open_files: gauge("process_open_fds", "Open files and sockets"),
            cpu_seconds: counter("process_cpu_seconds_total", "Processor time used, in whole seconds"),
            registry,
        }
    }

    /// Counts a request.
    pub fn request(&self, operation: &str, status: u16, duration: Duration) {
        self.requests.with_label_values(&[operation, &status.to_string()]).inc();
        self.request_millis.observe(duration.as_secs_f64() * 1_000.0);
    }

    /// Says whether this node is unsealed.
    pub fn set_seal(&self, is_unsealed: bool) {
        self.unsealed.set(i64::from(is_unsealed));
    }

    /// Counts a text that was entered as an unseal share and is none of this seal's.
    pub fn refused_share(&self) {
        self.refused_shares.inc();
    }

    /// Says what this node is, as the keeper sees it.
    pub fn set_state(&self, present: State) {
        for state in State::ALL {
            self.state.with_label_values(&[state.name()]).set(i64::from(state == present));
        }
    }

    /// Takes over what consensus counts.
    pub fn set_raft(&self, status: &Status, counted: &conclave_raft::Metrics) {
        for ((_, _, read), counter) in RAFT_COUNTERS.iter().zip(&self.raft_counters) {
            raise(counter, read(counted));
        }
        for ((_, _, read), gauge) in RAFT_GAUGES.iter().zip(&self.raft_gauges) {
            gauge.set(signed(read(status)));
        }
        self.waiting_bytes.set(signed(counted.waiting_bytes));
        let longest = status.peers.iter().filter_map(|peer| peer.last_contact).max().unwrap_or_default();
        self.last_contact_millis.set(i64::try_from(longest.as_millis()).unwrap_or(i64::MAX));
    }

    fn gather(&self) -> Vec<MetricFamily> {
        raise(&self.dropped_log_lines, logging::dropped());
        let process = host::process();
        self.resident_bytes.set(signed(process.resident_bytes));
        self.open_files.set(signed(process.open_files));
        raise(&self.cpu_seconds, process.cpu_secs);
        self.registry.gather()
    }

    /// In the text format of Prometheus, version 0.0.4.
    pub fn render_prometheus(&self) -> String {
        TextEncoder::new().encode_to_string(&self.gather()).unwrap_or_default()
    }

    /// In the shape of `sys/metrics` without a format.
    pub fn render_json(&self) -> Value {
        let (mut gauges, mut counters, mut samples) = (Vec::new(), Vec::new(), Vec::new());
        for family in self.gather() {
            let name = dotted(family.name());
            for metric in family.get_metric() {
                let labels: Map<String, Value> =
                    metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().into())).collect();
                match family.get_field_type() {
                    MetricType::GAUGE => {
                        gauges.push(json!({ "Name": name, "Value": metric.get_gauge().get_value(), "Labels": labels }))
                    }
                    MetricType::HISTOGRAM => {
                        let histogram = metric.get_histogram();
                        samples.push(aggregate(
                            &name,
                            histogram.get_sample_count(),
                            histogram.get_sample_sum(),
                            labels,
                        ));
                    }
                    _ => {
                        let sum = metric.get_counter().get_value();
                        counters.push(aggregate(&name, sum as u64, sum, labels));
                    }
                }
            }
        }
        let timestamp = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string();
        json!({ "Timestamp": timestamp, "Gauges": gauges, "Points": [], "Counters": counters, "Samples": samples })
    }

    /// The answer of `sys/metrics` for a format: `prometheus`, or empty for JSON.
    pub fn reply(&self, format: &str) -> Outgoing {
        let (content_type, body) = match format {
            "prometheus" => (prometheus::TEXT_FORMAT, self.render_prometheus()),
            "" => (JSON, self.render_json().to_string()),
            _ => return failure(400, &["metric response content type unknown: use format=prometheus or none"]),
        };
        Outgoing { status: 200, content_type: content_type.into(), headers: Vec::new(), body: Bytes::from(body) }
    }
}

/// Brings a counter up to a number that is counted elsewhere.
fn raise(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Vault's JSON names have dots between their parts: `vault.core.handle_request`.
fn dotted(name: &str) -> String {
    if name.starts_with("vault_") { name.replacen('_', ".", 2) } else { name.to_owned() }
}

fn aggregate(name: &str, count: u64, sum: f64, labels: Map<String, Value>) -> Value {
    let mean = if count == 0 { 0.0 } else { sum / count as f64 };
    json!({
        "Name": name, "Count": count, "Rate": 0.0, "Sum": sum, "Min": 0.0, "Max": 0.0, "Mean": mean, "Stddev": 0.0,
        "Labels": labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_by_operation_and_status() {
        let metrics = Metrics::new();
        metrics.request("read", 200, Duration::from_millis(3));
        metrics.request("read", 200, Duration::from_millis(3));
        metrics.set_seal(true);
        let text = metrics.render_prometheus();
        assert!(text.contains("conclave_http_requests_total{operation=\"read\",status=\"200\"} 2"), "{text}");
        assert!(text.contains("vault_core_handle_request_count 2"), "{text}");
        assert!(text.contains("vault_core_unsealed 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }

    #[test]
    fn the_json_has_vaults_shape() {
        let metrics = Metrics::new();
        metrics.request("read", 200, Duration::from_millis(4));
        let json = metrics.render_json();
        for key in ["Timestamp", "Gauges", "Points", "Counters", "Samples"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(json["Samples"][0]["Name"], "vault.core.handle_request");
        assert_eq!(json["Samples"][0]["Mean"], 4.0);
    }

    #[test]
    fn an_unknown_format_is_refused() {
        assert_eq!(Metrics::new().reply("xml").status, 400);
        assert_eq!(Metrics::new().reply("prometheus").content_type, "text/plain; version=0.0.4");
    }
}
