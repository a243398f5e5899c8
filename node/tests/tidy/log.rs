//! `docs/operating/log.md` says what the log says. Operators search for those texts and alert on them, so each must be one that
//! a server says, and no line at `info` or above may lack there.

use std::fs;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

use crate::{assert_none, is_test, root, sources};

/// Crates whose lines a server writes.
const SERVER: [&str; 4] = ["storage", "raft", "vault", "node"];
/// Stands for what differs from line to line, and for the rest of a long one.
const ELLIPSIS: char = '…';
/// Shortest start of a line, in bytes, that the page may name it by.
const LEAST_START: usize = 20;

/// The server's sources without their tests, lines of text that go on in the next one joined.
fn server() -> Vec<(String, String)> {
    let files = sources().into_iter().filter(|(path, _)| !is_test(path));
    let files = files.filter(|(path, _)| SERVER.iter().any(|name| path.starts_with(Path::new(name).join("src"))));
    let code = |text: &str| {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let mut lines = code.split("\\\n");
        let first = lines.next().unwrap_or_default().to_owned();
        lines.fold(first, |joined, line| joined + line.trim_start())
    };
    files.map(|(path, text)| (path.display().to_string(), code(&text))).collect()
}

/// The texts of the page: what stands in backquotes in the columns that are headed so.
fn told(page: &str) -> Vec<&str> {
    let (mut column, mut texts) = (None, Vec::new());
    for line in page.lines() {
        let cells: Vec<_> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        match column {
            _ if !line.starts_with('|') => column = None,
            // The head of a table.
            None => column = Some(cells.iter().position(|cell| *cell == "Text")),
            Some(column) => {
                let cell = column.and_then(|column: usize| cells.get(column)).copied().unwrap_or_default();
                texts.extend(cell.split('`').skip(1).step_by(2));
            }
        }
    }
    texts
}

/// The rest of a literal whose first quote was taken.
fn literal(letters: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => text.extend(letters.next()),
            _ => text.push(letter),
        }
    }
    text
}

/// The message among the arguments of an event: the literal that is no field's value.
fn message(arguments: &str) -> Option<String> {
    let (mut depth, mut before, mut letters) = (0, ',', arguments.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                let text = literal(&mut letters);
                if depth == 0 && before == ',' {
                    return Some(text);
                }
                before = letter;
            }
            ')' | ']' | '}' if depth == 0 => return None,
            ')' | ']' | '}' => depth -= 1,
            '(' | '[' | '{' => depth += 1,
            _ if letter.is_whitespace() => {}
            _ => before = letter,
        }
    }
    None
}

/// What the events of a source at `info` and above say, up to the first thing that differs.
fn events(code: &str) -> Vec<String> {
    let starts = ["info", "warn", "error"].map(|level| format!("tracing::{level}!("));
    let all =
        starts.iter().flat_map(|start| code.match_indices(start.as_str()).map(|(at, _)| &code[at + start.len()..]));
    let fixed = |text: String| text.split('{').next().unwrap_or_default().trim_end_matches([':', ' ']).to_owned();
    all.filter_map(message).map(fixed).filter(|text| !text.is_empty()).collect()
}

fn is_told(said: &str, told: &[&str]) -> bool {
    told.iter().any(|text| match text.strip_suffix(ELLIPSIS) {
        Some(start) => start.len() >= LEAST_START && said.starts_with(start.trim_end()),
        None => *text == said,
    })
}

/// Whether a text of the page stands in a literal of a source, part by part.
fn is_said(told: &str, code: &str) -> bool {
    let parts: Vec<_> = told.split(ELLIPSIS).map(str::trim).filter(|part| !part.is_empty()).collect();
    let Some((first, others)) = parts.split_first() else { return false };
    code.match_indices(first).any(|(at, _)| {
        let mut rest = code[at + first.len()..].split('"').next().unwrap_or_default();
        others.iter().all(|part| rest.split_once(part).map(|(_, behind)| rest = behind).is_some())
    })
}

fn page() -> String {
    fs::read_to_string(root().join("docs/operating/log.md")).expect("the page is readable")
}

#[test]
fn every_line_that_the_page_of_the_log_tells_of_is_said() {
    let (page, server) = (page(), server());
    let told = told(&page);
    assert!(told.len() > 60, "the texts were not found");
    let gone = told.into_iter().filter(|text| !server.iter().any(|(_, code)| is_said(text, code)));
    assert_none("docs/operating/log.md tells of lines that nothing says", gone.map(str::to_owned).collect());
}

#[test]
fn every_line_that_is_said_stands_on_the_page_of_the_log() {
    let page = page();
    let told = told(&page);
    let said: Vec<_> =
        server().iter().flat_map(|(path, code)| events(code).into_iter().map(|said| (path.clone(), said))).collect();
    assert!(said.len() > 60, "the events were not found");
    let untold = said.into_iter().filter(|(_, said)| !is_told(said, &told));
    assert_none(
        "docs/operating/log.md lacks these lines",
        untold.map(|(path, said)| format!("{path}: {said}")).collect(),
    );
}

#[test]
fn texts_are_told_from_fields_and_pages_from_sources() {
    let code = "tracing::info!(kind = \"x\", id = format!(\"{id:x}\"), \"a share was \\\"entered\\\": {why}\");\ntracing::debug!(\"no\");\n\
                tracing::warn!(\"{text}\"); tracing::error!(error = chain(&error), \"it failed\")";
    assert_eq!(events(code), ["a share was \"entered\"", "it failed"]);
    let page = "| Event | Text | Level |\n|---|---|---|\n| `no` | `it failed` with x, `a share …` | info |\n\n`no`\n| A | B |\n| `no` | `no` |";
    assert_eq!(told(page), ["it failed", "a share …"]);
    assert!(is_told("it failed", &["it failed"]) && !is_told("it failed again", &["it failed"]));
    assert!(is_told("a share was entered with address", &["a share was entered …"]) && !is_told("a share", &["a …"]));
    assert!(is_said("… is enabled at …", "format!(\"{kind} is enabled at {path}\")"));
    assert!(!is_said("the mount at … is moved to …", "\"the mount at {from}\" \" is moved to \""));
}
