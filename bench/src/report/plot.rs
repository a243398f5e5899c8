//! Plots of a report, as SVG.

use std::collections::BTreeSet;

use plotters::prelude::*;

use super::{Measurement, Report, Spread, metric};
use crate::error::BenchError;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (720, 420);
/// One for each line, told apart also by those who see few colours (Okabe and Ito, 2008).
const COLOURS: &[RGBColor] = &[
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 86, 86),
];

/// A plot, ready to be written.
pub(crate) struct Plot {
    /// A file's name without its ending.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
}

/// What a plot shows, before it is drawn.
struct Figure {
    name: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    lines: Vec<Line>,
}

struct Line {
    label: String,
    points: Vec<(f64, Spread)>,
}

/// All plots that the report has figures for.
pub(crate) fn all(report: &Report) -> Result<Vec<Plot>, BenchError> {
    figures(report)
        .into_iter()
        .filter(|figure| figure.lines.iter().any(|line| line.points.len() > 1))
        .map(draw)
        .collect()
}

fn figures(report: &Report) -> Vec<Figure> {
    let by_connections = |name, title, prefix: &str| Figure {
        name,
        title,
        x: "connections",
        y: "requests per second",
        lines: lines(report, prefix, &[(metric::RATE, "")], |case, _| case.strip_prefix(prefix)?.parse().ok()),
    };
    let by_load = |name, title, prefix: &'static str| Figure {
        name,
        title,
        x: "requests per second, open loop",
        y: "milliseconds",
        lines: lines(report, prefix, &[(metric::P50, " p50"), (metric::P99, " p99")], |_, measurement| {
            Some(measurement.spread(metric::RATE)?.median)
        }),
    };
    let by_secrets = |name, title, y, metrics: &[(&'static str, &'static str)]| Figure {
        name,
        title,
        x: "secrets",
        y,
        lines: lines(report, "growth/", metrics, |_, measurement| {
            Some(measurement.spread(metric::SECRETS)?.median.max(1.0))
        }),
    };
    let reads: &[_] =
        &[(metric::RATE, " one secret"), (metric::SPREAD_RATE, " among all"), (metric::FILL_RATE, " writes")];
    vec![
        by_connections("writes-3-nodes", "Writes, three nodes", "write/3-nodes/"),
        by_connections("writes-1-node", "Writes, one node", "write/1-node/"),
        by_connections("reads-1-node", "Reads, one node", "read/1-node/"),
        by_load("write-times", "Times of writes, three nodes", "write/3-nodes/open/"),
        by_load("read-times", "Times of reads, one node", "read/1-node/open/"),
        by_secrets("growth-rates", "Rates as secrets grow in number", "requests per second", reads),
        by_secrets("growth-memory", "Memory as secrets grow in number", "MB resident", &[(metric::MEMORY, "")]),
        by_secrets("growth-disk", "Disk as secrets grow in number", "bytes per secret", &[(metric::DISK, "")]),
    ]
}

/// A line for each subject and metric, over the cases whose names begin with `prefix` and that have a place on the x axis.
fn lines(
    report: &Report,
    prefix: &str,
    metrics: &[(&'static str, &'static str)],
    place: impl Fn(&str, &Measurement) -> Option<f64>,
) -> Vec<Line> {
    let cases: Vec<_> = report.measurements.iter().filter(|one| one.case.starts_with(prefix)).collect();
    let subjects: BTreeSet<_> = cases.iter().map(|one| one.subject.as_str()).collect();
    let line = |subject: &str, (metric, suffix): &(&str, &str)| {
        let own = cases.iter().filter(|one| one.subject == subject);
        let point = |one: &&Measurement| Some((place(&one.case, one)?, one.spread(metric)?));
        let mut points: Vec<_> = own.filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { label: format!("{subject}{suffix}"), points }
    };
    let all = subjects.iter().flat_map(|subject| metrics.iter().map(move |metric| line(subject, metric)));
    all.filter(|line| !line.points.is_empty()).collect()
}

fn draw(figure: Figure) -> Result<Plot, BenchError> {
    let mut svg = String::new();
    draw_into(&figure, &mut svg).map_err(|error| BenchError::Plot(error.to_string()))?;
    Ok(Plot { name: figure.name, svg })
}

fn draw_into(figure: &Figure, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let points = || figure.lines.iter().flat_map(|line| &line.points);
    let lowest = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let highest = points().map(|point| point.0).fold(lowest, f64::max);
    let top = points().map(|point| point.1.high).fold(0.0, f64::max) * 1.08;
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(figure.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((lowest..highest).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(figure.x)
        .y_desc(figure.y)
        .light_line_style(WHITE)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| super::text::number(*y))
        .draw()?;
    for (line, colour) in figure.lines.iter().zip(COLOURS.iter().cycle()) {
        let medians = line.points.iter().map(|(x, spread)| (*x, spread.median));
        chart
            .draw_series(LineSeries::new(medians.clone(), colour.stroke_width(2)))?
            .label(line.label.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(medians.map(|point| Circle::new(point, 3, colour.filled())))?;
        let ranges = line.points.iter().map(|(x, spread)| [(*x, spread.low), (*x, spread.high)]);
        chart.draw_series(ranges.map(|range| PathElement::new(range, colour.stroke_width(1))))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    area.present()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_line_needs_two_points_and_is_labelled() {
        let mut first = report("write/3-nodes/1", &[100.0], &[90.0]);
        assert!(all(&first).unwrap().is_empty());
        first.measurements.extend(report("write/3-nodes/64", &[4000.0], &[2000.0]).measurements);
        let plots = all(&first).unwrap();
        assert_eq!(plots.iter().map(|plot| plot.name).collect::<Vec<_>>(), ["writes-3-nodes"]);
        assert!(plots[0].svg.contains("conclave") && plots[0].svg.contains("etcd"), "{}", plots[0].svg);
    }
}
