//! What is counted of audit. The paths of devices are labels: who may enable one may choose them, and there are few.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::metrics::register;

/// Counts of records.
pub(crate) struct AuditMetrics {
    written: IntCounterVec,
    lacking: IntCounterVec,
    lost_requests: IntCounter,
    lost_responses: IntCounter,
}

impl AuditMetrics {
    /// All at zero.
    pub(super) fn new(registry: &Registry) -> Self {
        let by_device =
            |name: &str, help: &str| register(registry, IntCounterVec::new(Opts::new(name, help), &["device"]));
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help));
        Self {
            written: by_device("conclave_audit_records_total", "Records that an audit device wrote down"),
            lacking: by_device("conclave_audit_lacking_total", "Records that an audit device did not write down"),
            lost_requests: counter("vault_audit_log_request_failure", "Requests that no audit device recorded"),
            lost_responses: counter("vault_audit_log_response_failure", "Replies that no audit device recorded"),
        }
    }

    /// A device ended with some records.
    pub(crate) fn wrote(&self, device: &str, records: usize, is_written: bool) {
        let counter = if is_written { &self.written } else { &self.lacking };
        counter.with_label_values(&[device]).inc_by(records as u64);
    }

    /// No device recorded a request, or its reply.
    pub(crate) fn lost(&self, is_answer: bool) {
        if is_answer { self.lost_responses.inc() } else { self.lost_requests.inc() }
    }
}
