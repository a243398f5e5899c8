//! A report as lines of text.

use std::fmt::Write;

use super::{Measurement, Report, Spread, metric};

/// Metrics and their headings.
type Columns = &'static [(&'static str, &'static str)];

/// What the line of a load shows.
const LOAD: Columns = &[
    (metric::RATE, "per s"),
    (metric::P50, "p50 ms"),
    (metric::P99, "p99 ms"),
    (metric::P999, "p99.9 ms"),
    (metric::CPU, "cpu us"),
    (metric::SYNCS, "syncs"),
    (metric::MEMORY, "MB"),
];

/// What the line of a number of secrets shows.
const GROWTH: Columns = &[
    (metric::SECRETS, "secrets"),
    (metric::RATE, "reads of one"),
    (metric::SPREAD_RATE, "reads of all"),
    (metric::FILL_RATE, "writes"),
    (metric::PAGE, "page p50 ms"),
    (metric::MEMORY, "MB"),
    (metric::DISK, "disk bytes"),
];

/// The tables of a report: what was measured, and the ratios.
pub(crate) fn tables(report: &Report) -> String {
    let mut text = format!("{}\n\n", report.machine.line());
    let is_growth = |one: &&Measurement| one.spread(metric::SECRETS).is_some();
    let is_load = |one: &&Measurement| one.spread(metric::RATE).is_some() && !is_growth(one);
    text.push_str(&table(LOAD, report.measurements.iter().filter(is_load)));
    text.push_str(&table(GROWTH, report.measurements.iter().filter(is_growth)));
    for measurement in &report.measurements {
        if let Some(gap) = measurement.spread(metric::GAP) {
            let (case, subject, kills) = (&measurement.case, &measurement.subject, measurement.samples.len());
            writeln!(
                text,
                "{case}, {subject}: leader killed, next acknowledged write after {:.0} ms (median of {kills}; {:.0} to {:.0})",
                gap.median, gap.low, gap.high
            )
            .expect("text can be written");
        }
    }
    let ratios: Vec<_> = report
        .ratios()
        .iter()
        .map(|ratio| {
            let Spread { low, median, high } = ratio.spread;
            let range = format!("({low:.2} to {high:.2})");
            vec![ratio.case.clone(), format!("{median:.2} of {}", ratio.baseline), range]
        })
        .collect();
    if !ratios.is_empty() {
        writeln!(text, "\nratios of rates, of neighbouring measurements:\n{}", align(&ratios))
            .expect("text can be written");
    }
    text
}

/// A line for each measurement, with a heading; nothing if there are none.
fn table<'a>(columns: Columns, measurements: impl Iterator<Item = &'a Measurement>) -> String {
    let headings = columns.iter().map(|(_, heading)| *heading);
    let heading =
        ["case", "subject"].into_iter().chain(headings).chain(["range of rates"]).map(str::to_owned).collect();
    let rows: Vec<_> = [heading].into_iter().chain(measurements.map(|one| row(columns, one))).collect();
    if rows.len() > 1 { align(&rows) + "\n" } else { String::new() }
}

fn row(columns: Columns, measurement: &Measurement) -> Vec<String> {
    let mut row = vec![measurement.case.clone(), measurement.subject.clone()];
    let shown = |metric| measurement.spread(metric).map_or_else(|| "-".to_owned(), |spread| number(spread.median));
    row.extend(columns.iter().map(|(metric, _)| shown(metric)));
    let range = measurement.spread(metric::RATE).map(|rate| format!("{} to {}", number(rate.low), number(rate.high)));
    row.push(range.unwrap_or_default());
    row
}

/// A number with three digits that count, or all before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Rows with their columns below each other.
pub(crate) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn rates_and_ratios_are_shown() {
        let text = tables(&report("write/3-nodes/64", &[3000.0, 3100.0, 3200.0], &[1500.0, 1550.0, 1600.0]));
        assert!(text.contains("write/3-nodes/64  conclave  3100"), "{text}");
        assert!(text.contains("2.00 of etcd  (2.00 to 2.00)"), "{text}");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [12345.6, 12.345, 1.2345, 0.01234].map(number);
        assert_eq!(shown, ["12346", "12.3", "1.23", "0.012"]);
    }
}
