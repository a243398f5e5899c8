//! The drawings of a report.

use std::collections::{BTreeMap, BTreeSet};

use super::chart::{Drawing, LEFT, Span, WIDTH};
use crate::check::Violation;
use crate::history::{Event, Kind};
use crate::nemesis::{Outcome, Strike};
use crate::sample::{Activity, Sample};

/// Points of a cloud, at most; of more, every so many are shown.
const MAX_POINTS: usize = 3_000;
/// Lanes of a drawing of single operations, at most.
const MAX_LANES: usize = 24;
/// How long before and after something single operations are shown, in seconds.
const AROUND: f64 = 0.6;

/// One operation as it is drawn.
pub(super) struct Drawn<'a> {
    pub(super) invoked: &'a Event,
    pub(super) ended: Option<&'a Event>,
}

impl Drawn<'_> {
    fn from(&self) -> f64 {
        secs(self.invoked.nanos)
    }

    fn to(&self) -> Option<f64> {
        self.ended.map(|event| secs(event.nanos))
    }

    fn class(&self) -> &'static str {
        match self.ended.map(|event| event.kind) {
            Some(Kind::Ok) => "ok",
            Some(Kind::Fail) => "fail",
            _ => "info",
        }
    }
}

/// Nanoseconds of a history in seconds.
pub(super) fn secs(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// The operations of a history.
pub(super) fn operations(events: &[Event]) -> Vec<Drawn<'_>> {
    let mut open: BTreeMap<u32, &Event> = BTreeMap::new();
    let mut drawn = Vec::new();
    for event in events {
        if event.kind == Kind::Invoke {
            open.insert(event.process, event);
        } else if let Some(invoked) = open.remove(&event.process) {
            drawn.push(Drawn { invoked, ended: Some(event) });
        }
    }
    drawn.extend(open.into_values().map(|invoked| Drawn { invoked, ended: None }));
    drawn
}

/// Shades the faults.
fn shade(drawing: &mut Drawing, strikes: &[Strike], height: f64) {
    for strike in strikes {
        let class = if strike.outcome == Outcome::Installed { "fault" } else { "skipped" };
        let words = format!("{:?} on {}", strike.fault, names(&strike.nodes));
        drawing.bar((secs(strike.from_nanos), secs(strike.to_nanos)), (0.0, height), class, &words);
    }
}

/// Nodes by their names.
pub(super) fn names(nodes: &[usize]) -> String {
    nodes.iter().map(|node| format!("node{}", node + 1)).collect::<Vec<_>>().join(", ")
}

/// How many operations ended in each second, and how.
pub(super) fn rate(operations: &[Drawn<'_>], strikes: &[Strike], span: Span) -> String {
    const HEIGHT: f64 = 150.0;
    let mut drawing = Drawing::new(span, HEIGHT, "operations a second");
    shade(&mut drawing, strikes, HEIGHT);
    let length = span.to.ceil() as usize + 1;
    let mut counts: BTreeMap<&str, Vec<f64>> = ["ok", "fail", "info"].map(|class| (class, vec![0.0; length])).into();
    for operation in operations {
        let second = operation.to().unwrap_or(operation.from()) as usize;
        if let Some(count) = counts.get_mut(operation.class()).and_then(|counts| counts.get_mut(second)) {
            *count += 1.0;
        }
    }
    let most = counts.values().flatten().copied().fold(1.0, f64::max);
    for (class, counts) in &counts {
        let point =
            |(second, count): (usize, &f64)| (span.x(second as f64 + 0.5), HEIGHT - count / most * (HEIGHT - 8.0));
        let points: Vec<_> = counts.iter().enumerate().take(length - 1).map(point).collect();
        drawing.line(&points, &format!("line {class}"));
    }
    drawing.words(4.0, 14.0, "name", &format!("{most:.0} / s"));
    drawing.words(4.0, HEIGHT - 2.0, "name", "0");
    drawing.finish()
}

/// How long operations took, as a cloud.
pub(super) fn latency(operations: &[Drawn<'_>], strikes: &[Strike], span: Span) -> String {
    const HEIGHT: f64 = 200.0;
    let mut drawing = Drawing::new(span, HEIGHT, "how long operations took");
    shade(&mut drawing, strikes, HEIGHT);
    // From a tenth of a millisecond to ten seconds, by powers of ten.
    let y = |millis: f64| HEIGHT - (millis.clamp(0.1, 10_000.0).log10() + 1.0) / 5.0 * HEIGHT;
    for (millis, words) in [(1.0, "1 ms"), (10.0, "10 ms"), (100.0, "100 ms"), (1_000.0, "1 s")] {
        let height = y(millis);
        drawing.line(&[(LEFT, height), (WIDTH, height)], "grid");
        drawing.words(4.0, height + 4.0, "name", words);
    }
    let ended: Vec<_> = operations.iter().filter(|operation| operation.ended.is_some()).collect();
    for operation in ended.iter().step_by(ended.len() / MAX_POINTS + 1) {
        let to = operation.to().unwrap_or(0.0);
        let (x, y, class) = (span.x(to), y((to - operation.from()) * 1_000.0), operation.class());
        drawing.add(&format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.6\"/>"));
    }
    drawing.finish()
}

/// How each node was: running, halted, down; sealed; leading.
pub(super) fn strips(samples: &[Sample], strikes: &[Strike], nodes: usize, span: Span) -> String {
    const LANE: f64 = 40.0;
    let height = LANE * nodes as f64;
    let mut drawing = Drawing::new(span, height, "how the nodes were");
    shade(&mut drawing, strikes, height);
    for node in 0..nodes {
        let top = LANE * node as f64;
        drawing.words(4.0, top + 16.0, "name", &format!("node{}", node + 1));
        let own: Vec<_> = samples.iter().filter(|sample| sample.node == node).collect();
        if let Some(last) = own.last() {
            drawing.words(4.0, top + 29.0, "small", &format!("index {}", last.applied));
        }
        for (index, sample) in own.iter().enumerate() {
            let end = own.get(index + 1).map_or(sample.nanos + 250_000_000, |next| next.nanos);
            let class = match (sample.life, sample.sealed) {
                (Activity::Down, _) => "down",
                (Activity::Paused, _) => "paused",
                (Activity::Running, Some(true)) => "sealed",
                (Activity::Running, None) => "silent",
                (Activity::Running, Some(false)) => "serving",
            };
            let time = (secs(sample.nanos), secs(end));
            drawing.bar(time, (top + 6.0, 16.0), class, class);
            if sample.leads {
                drawing.bar(time, (top + 24.0, 7.0), "leader", "says that it leads");
            }
        }
    }
    drawing.finish()
}

/// The operations on a key around the first that shows a violation, or all around a fault.
pub(super) fn closely(operations: &[Drawn<'_>], strikes: &[Strike], violation: Option<&Violation>) -> String {
    let shown: BTreeSet<u64> = violation.into_iter().flat_map(|violation| violation.events.iter().copied()).collect();
    let own: Vec<_> = operations.iter().filter(|operation| shown.contains(&operation.invoked.index)).collect();
    let moment = match (own.first(), strikes.first()) {
        (Some(_), _) => own.iter().map(|operation| operation.from()).fold(f64::MAX, f64::min),
        (None, Some(strike)) => secs(strike.from_nanos),
        (None, None) => operations.first().map_or(0.0, Drawn::from),
    };
    let last = own.iter().filter_map(|operation| operation.to()).fold(moment, f64::max);
    let span = Span { from: (moment - AROUND).max(0.0), to: last + AROUND };
    let is_shown = |operation: &&Drawn<'_>| {
        let is_own = shown.contains(&operation.invoked.index);
        let is_key = violation.is_none_or(|violation| violation.key.starts_with(&operation.invoked.key));
        is_own || (is_key && span.shows(operation.from(), operation.to().unwrap_or(span.to)))
    };
    let visible: Vec<_> = operations.iter().filter(is_shown).collect();
    let processes: BTreeSet<_> = visible.iter().map(|it| (it.invoked.node, it.invoked.process)).collect();
    let lanes: BTreeMap<_, _> =
        processes.into_iter().take(MAX_LANES).enumerate().map(|(lane, it)| (it, lane)).collect();
    draw_lanes(&visible, &lanes, &shown, strikes, span)
}

/// Lanes by node and process.
type Lanes = BTreeMap<(usize, u32), usize>;

fn draw_lanes(visible: &[&Drawn<'_>], lanes: &Lanes, shown: &BTreeSet<u64>, strikes: &[Strike], span: Span) -> String {
    const LANE: f64 = 18.0;
    let height = LANE * lanes.len().max(1) as f64;
    let mut drawing = Drawing::new(span, height, "single operations");
    shade(&mut drawing, strikes, height);
    for ((node, process), lane) in lanes {
        let y = LANE * *lane as f64 + 12.0;
        drawing.words(4.0, y, "small", &format!("node{}, p{process}", node + 1));
    }
    for operation in visible {
        let Event { node, process, function, key, value, version, .. } = operation.invoked;
        let Some(lane) = lanes.get(&(*node, *process)) else { continue };
        let answer = operation.ended.map_or(String::new(), |ended| {
            format!(" -> {:?}, value {:?}, version {:?}, {:?}", ended.kind, ended.value, ended.version, ended.err)
        });
        let words = format!("{function:?} {key}, value {value:?}, version {version:?}{answer}");
        let is_shown = shown.contains(&operation.invoked.index);
        let class = format!("{}{}", operation.class(), if is_shown { " wrong" } else { "" });
        let time = (operation.from(), operation.to().unwrap_or(span.to));
        drawing.bar(time, (LANE * *lane as f64 + 2.0, LANE - 5.0), &class, &words);
    }
    drawing.finish()
}
