//! The tables in `docs/reference/`, rendered from the engines' path tables.
//!
//! Exists for tests alone: they compare each page with what is rendered here, so a page cannot say what the code does
//! not. What people wrote around the tables is left as it is.

use std::fmt::Write as _;

use crate::describe::{self, shown};
use crate::engine::{Access, Engine, Path};

mod tests;

/// An engine's paths and fields in Markdown. `mount` stands in front of each path: `sys/`, or a place holder.
pub(crate) fn render(engine: &Engine, mount: &str) -> String {
    let mut text = String::from("| Path | Operations | Meaning |\n|---|---|---|\n");
    for path in engine.paths() {
        let (shown, operations) = (format!("{mount}{}", shown(path)), operations(path));
        let _ = writeln!(text, "| `{shown}` | {operations} | {} |", sentence(path.help));
    }
    text.push_str("\n### Fields\n");
    for path in engine.paths().filter(|path| path.fields().next().is_some()) {
        let _ = write!(text, "\n#### `{mount}{}`\n\n| Field | Type | Meaning |\n|---|---|---|\n", shown(path));
        for field in path.fields() {
            let remarks = field.remarks();
            let comma = if remarks.is_empty() { "" } else { "; " };
            let kind = format!("{}{comma}{remarks}", field.kind.as_str());
            let _ = writeln!(text, "| `{}` | {} | {} |", field.name, sentence(&kind), sentence(field.help));
        }
        if path.takes_any_field {
            text.push_str("\nTakes other fields too.\n");
        }
    }
    text
}

/// The capabilities that a path asks for, each with `sudo` where it needs that too.
fn operations(path: &Path) -> String {
    let rights = if path.needs_sudo() { " + sudo" } else { "" };
    let words: Vec<_> = describe::words(path).into_iter().map(|word| format!("{word}{rights}")).collect();
    let words = words.join(", ");
    match path.access {
        Access::Sharers(_) => format!("{words}; no token if the listeners allow it"),
        _ if path.needs_token() => words,
        _ => format!("{words}; no token"),
    }
}

/// Help as it stands in a table: without the full stop that some engines write, and without what would end a cell.
fn sentence(help: &str) -> String {
    help.strip_suffix('.').unwrap_or(help).replace('|', "\\|")
}
