//! A report as one page of HTML that needs nothing else.

use super::Report;
use super::plot::Plot;
use super::text;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>conclave-bench</title>
<style>
body { font-family: sans-serif; max-width: 80em; margin: 2em auto; padding: 0 1em; }
pre { overflow-x: auto; }
svg { max-width: 100%; height: auto; }
</style>
"#;

/// The page.
pub(crate) fn page(report: &Report, plots: &[Plot]) -> String {
    let settings = &report.settings;
    let about = format!(
        "conclave-bench {}\n{} to {}; {} measurements of {} s each; what is shown is their median",
        settings.command, report.started, report.ended, settings.repeats, settings.seconds
    );
    let (about, tables) = (escape(&about), escape(&text::tables(report)));
    let figures: String = plots.iter().map(|plot| format!("<figure>{}</figure>\n", plot.svg)).collect();
    format!("{HEAD}<h1>conclave-bench</h1>\n<pre>{about}</pre>\n<pre>{tables}</pre>\n{figures}</html>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn the_page_holds_tables_and_plots_and_no_markup_of_others() {
        let mut report = report("read/leader/1", &[1.0], &[2.0]);
        report.measurements[0].subject = "<b>".to_owned();
        let page = page(&report, &[Plot { name: "x", svg: "<svg/>".to_owned() }]);
        assert!(page.contains("&lt;b>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("<figure><svg/></figure>"), "{page}");
    }
}
