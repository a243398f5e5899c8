//! Two results beside each other. What surprises: figures of two runs differ by what else the machine did; only ranges that do not
//! meet are marked, and a comparison of two builds in one run (`run --server a=… --server b=…`) says more.

use crate::report::text::{align, number};
use crate::report::{Measurement, Report};

/// The table: a line for each metric that both have.
pub(crate) fn table(before: &Report, after: &Report) -> String {
    let mut rows = vec![["case", "subject", "metric", "before", "after", "ratio", ""].map(str::to_owned).to_vec()];
    for new in &after.measurements {
        let same = |old: &&Measurement| old.case == new.case && old.subject == new.subject;
        if let Some(old) = before.measurements.iter().find(same) {
            rows.extend(lines(old, new));
        }
    }
    align(&rows)
}

fn lines(old: &Measurement, new: &Measurement) -> Vec<Vec<String>> {
    let metrics = new.samples.first().into_iter().flat_map(|sample| sample.keys());
    let line = |metric: &String| {
        let (before, after) = (old.spread(metric)?, new.spread(metric)?);
        let is_apart = before.high < after.low || after.high < before.low;
        let ratio = if before.median == 0.0 { "-".to_owned() } else { format!("{:.2}", after.median / before.median) };
        let mark = if is_apart { "apart" } else { "" };
        let (case, subject) = (new.case.clone(), new.subject.clone());
        let figures = [number(before.median), number(after.median), ratio, mark.to_owned()];
        Some([case, subject, metric.clone()].into_iter().chain(figures).collect())
    };
    metrics.filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn only_ranges_that_do_not_meet_are_marked() {
        let before = report("read/leader/64", &[100.0, 110.0], &[50.0, 60.0]);
        let after = report("read/leader/64", &[200.0, 210.0], &[55.0, 65.0]);
        let table = table(&before, &after);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines[1].contains("conclave") && lines[1].ends_with("1.95   apart"), "{table}");
        assert!(lines[2].contains("etcd") && lines[2].ends_with("1.09"), "{table}");
    }

    #[test]
    fn cases_of_one_run_alone_are_left_out() {
        let table = table(&report("read/leader/1", &[1.0], &[]), &report("read/leader/64", &[1.0], &[]));
        assert_eq!(table.lines().count(), 1, "{table}");
    }
}
