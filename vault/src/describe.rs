//! What the path tables say, for those who ask: help for people, and an OpenAPI document for generators of clients.
//!
//! Nothing here is written by hand, so nothing can be left out: a path that answers is a path that is described.

mod openapi;

#[cfg(test)]
mod tests;

pub(crate) use self::openapi::{Mounted, document};
use crate::engine::{Call, Engine, Matched, Path};
use crate::reply::Reply;
use crate::request::Operation;

/// Answers `?help=1`: a text, and the part of the OpenAPI document that is about the path. At the root of a mount, and
/// where no path matches, that is the whole engine.
pub(crate) fn help(call: &Call<'_, '_>, engine: &'static Engine, matched: Option<&Matched<'_>>) -> Reply {
    let mount = call.mount.record.path.as_str();
    let paths: Vec<&'static Path> = match matched {
        Some((path, _)) => vec![*path],
        None => engine.paths().collect(),
    };
    let mut text = format!("{}\n", engine.help);
    for path in &paths {
        text.push_str(&of_path(mount, path));
    }
    let mounted = Mounted { prefix: mount.to_owned(), parameter: None, paths };
    let mut reply = Reply::data(serde_json::json!({
        "help": text,
        "see_also": null,
        "openapi": document(&[mounted], call.context.api_version),
    }));
    reply.plain = true;
    reply
}

/// The words for a path's operations; a write where nothing is counts as its own.
pub(crate) fn words(path: &Path) -> Vec<&'static str> {
    let mut words = Vec::new();
    for (operation, _) in path.operations {
        if *operation == Operation::Update && path.exists.is_some() {
            words.push(Operation::Create.as_str());
        }
        words.push(operation.as_str());
    }
    words
}

/// A path for people.
fn of_path(mount: &str, path: &Path) -> String {
    let words = words(path).join(", ");
    let mut text = format!("\n{mount}{}\n    {}\n    Operations: {words}\n", shown(path), path.help);
    for field in path.fields() {
        let remarks = field.remarks();
        let comma = if remarks.is_empty() { "" } else { "; " };
        text.push_str(&format!("    {} ({}{comma}{remarks}): {}\n", field.name, field.kind.as_str(), field.help));
    }
    text
}

/// A pattern with one spelling for every kind of capture, and without the slash that a list may have.
pub(crate) fn shown(path: &Path) -> String {
    let pattern = path.pattern.strip_suffix("/?").unwrap_or(path.pattern);
    pattern.replace("..?}", "}").replace("..}", "}")
}
