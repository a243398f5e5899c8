//! Drawings as text: SVG, by hand, with one axis of time that all of them share.

use std::fmt::Write;

/// How wide a drawing is.
pub(super) const WIDTH: f64 = 1_060.0;
/// Room on the left for words.
pub(super) const LEFT: f64 = 90.0;
/// Room on the right.
const RIGHT: f64 = 10.0;
/// Room below for the axis.
const BELOW: f64 = 22.0;
/// Marks on an axis of time, at most.
const MARKS: f64 = 12.0;

/// The times that a drawing shows, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Span {
    /// Where a moment lies.
    pub(super) fn x(&self, secs: f64) -> f64 {
        let share = (secs.clamp(self.from, self.to) - self.from) / (self.to - self.from).max(1e-9);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Whether some of the time from one moment to another is shown.
    pub(super) fn shows(&self, from: f64, to: f64) -> bool {
        from <= self.to && to >= self.from
    }
}

/// A drawing in the making.
pub(super) struct Drawing {
    text: String,
    span: Span,
    height: f64,
}

impl Drawing {
    /// An empty one, whose inside is so high.
    pub(super) fn new(span: Span, height: f64, title: &str) -> Self {
        let mut drawing = Self { text: String::new(), span, height };
        let all = height + BELOW;
        drawing.add(&format!(
            "<svg viewBox=\"0 0 {WIDTH} {all}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n"
        ));
        drawing
    }

    /// Adds an element.
    pub(super) fn add(&mut self, element: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{element}");
    }

    /// A bar from one moment to another, with words that show when it is pointed at.
    pub(super) fn bar(&mut self, (from, to): (f64, f64), (y, height): (f64, f64), class: &str, words: &str) {
        if !self.span.shows(from, to) {
            return;
        }
        let (x, end) = (self.span.x(from), self.span.x(to));
        let (width, words) = ((end - x).max(1.5), escape(words));
        self.add(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{words}</title></rect>"
        ));
    }

    /// Words.
    pub(super) fn words(&mut self, x: f64, y: f64, class: &str, words: &str) {
        let words = escape(words);
        self.add(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"));
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(&format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")));
    }

    /// The drawing with its axis of time.
    pub(super) fn finish(mut self) -> String {
        let step = step((self.span.to - self.span.from) / MARKS);
        let mut secs = (self.span.from / step).ceil() * step;
        let (height, bottom) = (self.height, self.height + 15.0);
        while secs <= self.span.to {
            let x = self.span.x(secs);
            self.add(&format!("<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height}\"/>"));
            let digits = if step < 1.0 { 1 } else { 0 };
            self.words(x, bottom, "mark", &format!("{secs:.digits$} s"));
            secs += step;
        }
        self.add("</svg>");
        self.text
    }
}

/// The next larger of 1, 2 and 5 times a power of ten.
pub(super) fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-3).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// Text that HTML shows as it is.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers() {
        for (least, wanted) in [(0.07, 0.1), (0.9, 1.0), (1.1, 2.0), (3.0, 5.0), (5.1, 10.0), (40.0, 50.0)] {
            assert!((step(least) - wanted).abs() < 1e-9, "{least}: {}", step(least));
        }
    }

    #[test]
    fn words_cannot_become_markup() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
