//! The tables in `docs/reference/`, rendered from the engines' path tables.
//!
//! Exists for tests alone: they compare each page with what is rendered here, so a page cannot say what the code does
//! not. What people wrote around the tables is left as it is.

use std::fmt::Write as _;

use crate::engine::{Access, Engine, Path};
use crate::field::Kind;
use crate::request::Operation;

mod tests;

/// An engine's paths and fields in Markdown. `mount` stands in front of each path: `sys/`, or a place holder.
pub(crate) fn render(engine: &Engine, mount: &str) -> String {
    let mut text = String::from("| Path | Operations | Meaning |\n|---|---|---|\n");
    for path in engine.paths() {
        let (shown, operations) = (shown_path(mount, path), operations(path));
        let _ = writeln!(text, "| `{shown}` | {operations} | {} |", sentence(path.help));
    }
    text.push_str("\n### Fields\n");
    for path in engine.paths().filter(|path| path.fields().next().is_some()) {
        let _ = write!(text, "\n#### `{}`\n\n| Field | Type | Meaning |\n|---|---|---|\n", shown_path(mount, path));
        for field in path.fields() {
            let _ = writeln!(text, "| `{}` | {} | {} |", field.name, kind(field.kind), sentence(field.help));
        }
        if path.takes_any_field {
            text.push_str("\nTakes other fields too.\n");
        }
    }
    text
}

/// A path with one spelling for every kind of capture, and without the slash that a list may have.
fn shown_path(mount: &str, path: &Path) -> String {
    let pattern = path.pattern.strip_suffix("/?").unwrap_or(path.pattern);
    format!("{mount}{}", pattern.replace("..?}", "}").replace("..}", "}"))
}

/// The capabilities that a path asks for, each with `sudo` where it needs that too.
fn operations(path: &Path) -> String {
    let rights = if path.access == Access::Sudo { " + sudo" } else { "" };
    let mut words = Vec::new();
    for (operation, _) in path.operations {
        if *operation == Operation::Update && path.exists.is_some() {
            words.push(format!("create{rights}"));
        }
        words.push(format!("{}{rights}", operation.as_str()));
    }
    let words = words.join(", ");
    match path.access {
        Access::Token | Access::Sudo => words,
        Access::Optional | Access::Open | Access::Login | Access::Presented => format!("{words}; no token"),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::LowerText | Kind::PolicyName => "text, lowered",
        Kind::MountPath => "path of a mount",
        Kind::Int => "whole number",
        Kind::Bool => "truth value",
        Kind::Duration => "duration",
        Kind::List => "list",
        Kind::CommaList => "list, or comma text",
        Kind::Names => "list of names",
        Kind::CommaNames => "list of names, or comma text",
        Kind::Map => "map",
        Kind::KeyValues => "map of texts",
        Kind::Any => "any JSON",
    }
}

/// Help as it stands in a table: without the full stop that some engines write, and without what would end a cell.
fn sentence(help: &str) -> String {
    help.strip_suffix('.').unwrap_or(help).replace('|', "\\|")
}
