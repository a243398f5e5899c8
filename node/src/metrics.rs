//! What is counted, for Prometheus and for `sys/metrics` as JSON. `docs/reference/metrics.md` lists it.
//!
//! A metric that means what one of Vault's means has Vault's name and type, so that dashboards go on working; ours begin
//! with `conclave_`. Labels and names hold operations, status codes, nodes and mounts, never a path below a mount, and
//! the number of each is bounded.

mod audit;
mod barrier;
mod consensus;
mod family;
mod routes;
mod summary;
mod surroundings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::Status;
use parking_lot::Mutex;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use serde_json::{Map, Value, json};

use crate::gateway::Outgoing;
use crate::http::error::{JSON, failure};
use crate::http::tls::Certificates;
use crate::keeper::State;
use crate::metrics::audit::AuditMetrics;
pub(crate) use crate::metrics::barrier::Timed;
use crate::metrics::consensus::Consensus;
use crate::metrics::routes::Routes;
use crate::metrics::summary::Summary;
use crate::metrics::surroundings::Surroundings;

/// Those to which Vault adds the cluster's name.
const OF_CLUSTER: [&str; 3] = ["vault_core_active", "vault_core_unsealed", "vault_token_count"];

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    unsealed: IntGauge,
    state: IntGaugeVec,
    in_flight: IntGauge,
    refused_shares: IntCounter,
    tokens: IntGauge,
    request_time: Summary,
    commit_time: Summary,
    routes: Routes,
    consensus: Consensus,
    pub(crate) audit: AuditMetrics,
    surroundings: Surroundings,
    cluster: Mutex<String>,
    /// Held while gauges that belong together change, and while they are looked at.
    still: Mutex<()>,
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
        let requests = Opts::new("conclave_http_requests_total", "Requests answered, by operation and status code");
        let state = Opts::new("conclave_node_state", "1 for the state that this node is in, 0 for the others");
        let refused = ("conclave_seal_refused_shares_total", "Texts that were entered and are no share of this seal");
        Self {
            requests: register(&registry, IntCounterVec::new(requests, &["operation", "status"])),
            unsealed: gauge("vault_core_unsealed", "1 if this node is unsealed"),
            state: register(&registry, IntGaugeVec::new(state, &["state"])),
            in_flight: gauge("vault_core_in_flight_requests", "Requests that are being served"),
            refused_shares: register(&registry, IntCounter::new(refused.0, refused.1)),
            tokens: gauge("vault_token_count", "Service tokens in the store, as this node has it; 0 while sealed"),
            request_time: Summary::new(),
            commit_time: Summary::new(),
            routes: Routes::default(),
            consensus: Consensus::new(&registry),
            audit: AuditMetrics::new(&registry),
            surroundings: Surroundings::new(&registry),
            cluster: Mutex::default(),
            still: Mutex::default(),
            registry,
        }
    }

    /// Counts a request.
    pub fn request(&self, operation: &str, status: u16, time: Duration) {
        self.requests.with_label_values(&[operation, &status.to_string()]).inc();
        self.request_time.observe(time);
    }

    /// Counts a request to a mount.
    pub fn route(&self, operation: &'static str, mount: &str, time: Duration) {
        self.routes.observe(operation, mount, time);
    }

    /// Counts a change that was committed.
    pub fn committed(&self, time: Duration) {
        self.commit_time.observe(time);
    }

    /// Counts a text that was entered as an unseal share and is none of this seal's.
    pub fn refused_share(&self) {
        self.refused_shares.inc();
    }

    /// Says what this node may do, and how much it does.
    pub fn set_node(&self, present: State, is_unsealed: bool, in_flight: usize) {
        let _still = self.still.lock();
        for state in State::ALL {
            self.state.with_label_values(&[state.name()]).set(i64::from(*state == present));
        }
        self.unsealed.set(i64::from(is_unsealed));
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
    }

    /// Says which cluster this is, and what it holds.
    pub fn set_cluster(&self, name: &str, tokens: u64) {
        name.clone_into(&mut self.cluster.lock());
        self.tokens.set(signed(tokens));
    }

    /// Takes over what consensus says. `name` is that of a node.
    pub fn set_raft(&self, status: &Status, counted: conclave_raft::Metrics, name: impl Fn(u64) -> String) {
        let _still = self.still.lock();
        self.consensus.set(status, counted, name);
    }

    /// Watches the file system of a folder.
    pub fn watch_folder(&self, path: PathBuf) {
        self.surroundings.watch_folder(path);
    }

    /// Watches until when the certificate of a listener is valid.
    pub fn watch_certificate(&self, listener: String, certificates: Arc<Certificates>) {
        self.surroundings.watch_certificate(listener, certificates);
    }

    fn gather(&self) -> Vec<MetricFamily> {
        let _still = self.still.lock();
        self.surroundings.look();
        let mut families = self.registry.gather();
        families.extend(self.consensus.families());
        families.extend(self.routes.families());
        let summaries = [
            ("vault_core_handle_request", "Time of a request in milliseconds", &self.request_time),
            (
                "vault_raft_commitTime",
                "Time from proposing a change on this node until it was applied, in milliseconds",
                &self.commit_time,
            ),
            ("vault_barrier_get", "Time of reading a record for a request, in milliseconds", &barrier::GETS),
            ("vault_barrier_list", "Time of reading names for a request, in milliseconds", &barrier::LISTS),
        ];
        families.extend(summaries.map(|(name, help, summary)| family::summary(name, help, summary)));
        let cluster = self.cluster.lock();
        for family in families.iter_mut().filter(|family| !cluster.is_empty() && OF_CLUSTER.contains(&family.name())) {
            family::label(family, "cluster", &cluster);
        }
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
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
                let (histogram, summary) = (metric.get_histogram(), metric.get_summary());
                match family.get_field_type() {
                    MetricType::GAUGE => {
                        gauges.push(json!({ "Name": name, "Value": metric.get_gauge().get_value(), "Labels": labels }))
                    }
                    MetricType::HISTOGRAM => {
                        let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
                        samples.push(aggregate(&name, count, sum, labels));
                    }
                    MetricType::SUMMARY => {
                        samples.push(aggregate(&name, summary.sample_count(), summary.sample_sum(), labels));
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
mod tests;
