//! Families of metrics that are made when somebody looks, and not kept in the registry.

use conclave_raft::Times;
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::summary::Summary;

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

/// Times with quantiles.
pub(super) fn summary(name: &str, help: &str, summary: &Summary) -> MetricFamily {
    family(name, help, MetricType::SUMMARY, vec![summary.metric()])
}

/// Times by how long they took, in seconds.
pub(super) fn histogram(name: &str, help: &str, times: &Times) -> MetricFamily {
    let mut seen = 0;
    let buckets = Times::BOUNDS_MICROS.iter().zip(&times.counts).map(|(bound, count)| {
        seen += count;
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(seen);
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(times.counts.iter().sum());
    histogram.set_sample_sum(times.sum_micros as f64 / 1e6);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}

/// Adds a label to every metric of a family.
pub(super) fn label(family: &mut MetricFamily, name: &str, value: &str) {
    for metric in family.mut_metric() {
        let mut label = LabelPair::default();
        label.set_name(name.to_owned());
        label.set_value(value.to_owned());
        let mut labels = metric.take_label();
        labels.push(label);
        metric.set_label(labels);
    }
}
