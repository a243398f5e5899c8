//! A run as one page that shows itself: `report.html` in the run's folder, without anything beside it.
//!
//! It judges nothing; it shows what the checkers said, and what happened meanwhile.

mod chart;
mod plots;

use std::fmt::Write;
use std::path::Path;

use crate::check::{Findings, Violation};
use crate::history::{Event, Kind};
use crate::nemesis::Strike;
use crate::run::{self, Report, RunError};
use crate::sample::Sample;
use crate::{history, scenario};

use chart::{Span, escape};
use plots::{Drawn, names, secs};

const STYLE: &str = include_str!("report/style.css");
/// Violations that are shown in words, at most.
const MAX_VIOLATIONS: usize = 5;

/// Writes the page of a run that was judged.
///
/// # Errors
/// [`RunError::File`] and [`RunError::History`].
pub fn write(folder: &Path, report: &Report) -> Result<(), RunError> {
    let events = history::read(&folder.join("history.jsonl"))?;
    let samples = run::samples(folder)?;
    run::write(&folder.join("report.html"), &page(report, &events, &samples))
}

/// The page.
fn page(report: &Report, events: &[Event], samples: &[Sample]) -> String {
    let operations = plots::operations(events);
    let end = events.last().map_or(1.0, |event| secs(event.nanos)).max(1.0);
    let span = Span { from: 0.0, to: end };
    let violation = report.findings.iter().find_map(|findings| findings.violations.first());
    let strikes = &report.strikes;
    let parts = [
        head(report),
        verdicts(report),
        violations(&report.findings),
        section("Operations a second", RATE, &plots::rate(&operations, strikes, span)),
        section("How long operations took", LATENCY, &plots::latency(&operations, strikes, span)),
        section("How the nodes were", STRIPS, &plots::strips(samples, strikes, report.settings.nodes, span)),
        section(closely_title(violation), CLOSELY, &plots::closely(&operations, strikes, violation)),
        faults(strikes),
        figures(&operations),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{} – {}</title><style>\n{STYLE}</style></head><body>\n{}</body></html>\n",
        escape(&report.settings.scenario),
        report.verdict(),
        parts.join("\n"),
    )
}

const RATE: &str = "<p class=\"key\"><span><i class=\"ok\"></i>done</span><span><i class=\"fail\"></i>certainly not done</span>\
    <span><i class=\"info\"></i>nobody knows</span><span><i class=\"fault\"></i>a fault, until every node served again</span></p>";
const LATENCY: &str =
    "<p class=\"soft\">Each dot is an operation, where it ended; the scale goes by powers of ten.</p>";
const STRIPS: &str = "<p class=\"key\"><span><i class=\"serving\"></i>serves</span><span><i class=\"sealed\"></i>sealed</span>\
    <span><i class=\"paused\"></i>halted</span><span><i class=\"down\"></i>no process</span><span><i class=\"silent\"></i>gives no answer</span>\
    <span><i class=\"leader\"></i>says that it leads</span></p>";
const CLOSELY: &str = "<p class=\"soft\">A bar is one operation of one client, from its question to its answer; point at it to read it.</p>";

fn section(title: &str, words: &str, drawing: &str) -> String {
    format!("<h2>{title}</h2>\n{words}\n{drawing}")
}

fn closely_title(violation: Option<&Violation>) -> &'static str {
    if violation.is_some() {
        "The operations that contradict each other"
    } else {
        "Single operations when the first fault came"
    }
}

fn head(report: &Report) -> String {
    let settings = &report.settings;
    let about = scenario::find(&settings.scenario).map_or("", |scenario| scenario.about);
    let class = if report.has_passed() { "verdict pass" } else { "verdict" };
    let record = if settings.record { " --record" } else { "" };
    let command = format!(
        "cargo run --release -p conclave-jepsen -- run {} --seed {} --nodes {} --secs {}{record} --dir run",
        settings.scenario, settings.seed, settings.nodes, settings.secs
    );
    format!(
        "<h1>{}: {}</h1>\n<p><span class=\"{class}\">{}</span></p>\n\
         <p>A cluster of {} processes was loaded by clients for {} seconds while it was hurt on purpose. Every question and answer was written \
         down; afterwards checkers looked for an order of all operations that explains every answer. If there is none, the cluster \
         broke its promise.</p>\n<p class=\"soft\">Begun {} s after the epoch. To repeat it (the same faults, not the same moments):</p>\n<pre>{}</pre>",
        escape(&settings.scenario),
        escape(about),
        report.verdict(),
        settings.nodes,
        settings.secs,
        settings.began_secs,
        escape(&command),
    )
}

fn verdicts(report: &Report) -> String {
    let mut rows = String::new();
    for findings in &report.findings {
        let Findings { checker, keys, searched, operations, violations, unknown } = findings;
        let verdict = match (violations.len(), unknown.len()) {
            (0, 0) => "holds".to_owned(),
            (0, unknown) => format!("unknown for {unknown} keys"),
            (violations, _) => format!("<b>{violations} violations</b>"),
        };
        // Writing to a text does not fail.
        let _ = writeln!(
            rows,
            "<tr><td>{checker}<td class=n>{operations}<td class=n>{keys}<td class=n>{searched}<td>{verdict}</tr>"
        );
    }
    let covered = if report.missing.is_empty() {
        "<p>The run covers enough to be judged.</p>".to_owned()
    } else {
        let items: Vec<_> = report.missing.iter().map(|missing| format!("<li>{}", escape(missing))).collect();
        format!("<p>The run covers too little:</p><ul>{}</ul>", items.join("\n"))
    };
    format!(
        "<h2>Verdicts</h2>\n<table><tr><th>checker<th>operations<th>keys<th>searched<th>verdict</tr>\n{rows}</table>\n{covered}"
    )
}

fn violations(findings: &[Findings]) -> String {
    let all: Vec<_> = findings.iter().flat_map(|findings| &findings.violations).take(MAX_VIOLATIONS).collect();
    if all.is_empty() {
        return String::new();
    }
    let words: Vec<_> = all.iter().map(|violation| format!("<pre>{}</pre>", escape(&violation.to_string()))).collect();
    format!("<h2>Violations</h2>\n{}", words.join("\n"))
}

fn faults(strikes: &[Strike]) -> String {
    let mut rows = String::new();
    let node = |leader: Option<usize>| leader.map_or("nobody".to_owned(), |leader| format!("node{}", leader + 1));
    for strike in strikes {
        let (from, to) = (secs(strike.from_nanos), secs(strike.to_nanos));
        let _ = writeln!(
            rows,
            "<tr><td class=n>{from:.1}<td class=n>{to:.1}<td>{:?}<td>{}<td>{}<td>{}<td>{}</tr>",
            strike.fault,
            names(&strike.nodes),
            node(strike.leader_before),
            node(strike.leader_after),
            escape(&format!("{:?}", strike.outcome)),
        );
    }
    format!(
        "<h2>Faults</h2>\n<table><tr><th>from, s<th>to, s<th>fault<th>nodes<th>led before<th>led after<th>came about</tr>\n{rows}</table>"
    )
}

/// How long operations took, in figures.
fn figures(operations: &[Drawn<'_>]) -> String {
    let mut times: Vec<_> = operations
        .iter()
        .filter_map(|drawn| {
            drawn.ended.filter(|event| event.kind == Kind::Ok).map(|event| event.nanos - drawn.invoked.nanos)
        })
        .collect();
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).copied().unwrap_or(0);
    let figure = |share: f64| format!("{:.1} ms", at(share) as f64 / 1e6);
    format!(
        "<h2>Figures</h2>\n<p>{} operations done; half of them within {}, 99 of 100 within {}, all within {}.</p>",
        times.len(),
        figure(0.5),
        figure(0.99),
        figure(1.0)
    )
}
