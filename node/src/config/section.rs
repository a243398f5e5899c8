//! One block of configuration while it is being read: typed access by name, and what was wrong or unknown.
//!
//! A wrong value is an error that names file, line and what was expected, and never repeats the value, which may be a
//! secret. A name nobody asked for is a warning. All problems are collected, so that one start shows them all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use conclave_vault::{boolean_text, parse_duration};

use crate::config::syntax::{Node, Value};

/// Something about a configuration file that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the environment variable, as it was named.
    pub file: String,
    /// Line, counted from 1; 0 if there is none.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Problem {
    /// Of a flag of the command line.
    pub(crate) fn of_flag(name: &str, message: &str) -> Self {
        Self { file: String::new(), line: 0, message: format!("-{name} {message}") }
    }

    /// Of a file that the configuration names.
    pub(crate) fn of_file(path: &Path, message: &str) -> Self {
        Self { file: path.display().to_string(), line: 0, message: message.to_owned() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.is_empty(), self.line) {
            (true, _) => f.write_str(&self.message),
            (false, 0) => write!(f, "{}: {}", self.file, self.message),
            (false, line) => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// What was found wrong so far.
#[derive(Default)]
pub(crate) struct Problems {
    pub(crate) errors: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// A block, by name.
pub(crate) struct Section<'a> {
    file: &'a str,
    title: String,
    line: usize,
    entries: &'a [(String, Node)],
    known: RefCell<BTreeSet<&'static str>>,
    problems: Rc<RefCell<Problems>>,
}

impl<'a> Section<'a> {
    /// The top of a file.
    pub(crate) fn top(file: &'a str, entries: &'a [(String, Node)], problems: Rc<RefCell<Problems>>) -> Self {
        Self { file, title: String::new(), line: 0, entries, known: RefCell::default(), problems }
    }

    fn below(&self, title: String, node: &'a Node) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self {
                file: self.file,
                title,
                line: node.line,
                entries,
                known: RefCell::default(),
                problems: self.problems.clone(),
            }),
            Value::Null => None,
            _ => {
                self.error(node.line, &format!("{title} must be a block"));
                None
            }
        }
    }

    /// The last value of that name, which is the one that counts.
    fn last(&self, name: &'static str) -> Option<&'a Node> {
        self.known.borrow_mut().insert(name);
        let node = self.entries.iter().rev().find(|(known, _)| known == name).map(|(_, node)| node)?;
        (node.value != Value::Null).then_some(node)
    }

    fn typed<T>(&self, name: &'static str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let node = self.last(name)?;
        let value = read(&node.value);
        if value.is_none() {
            self.error(node.line, &format!("{name} must be {expected}"));
        }
        value
    }

    /// A text; a number or a truth value as it was written.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        self.typed(name, "a text", as_text)
    }

    /// A text that is not empty.
    pub(crate) fn filled(&self, name: &'static str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A truth value in the spellings that occur: `true`, `"true"`, `1`, `"1"`.
    pub(crate) fn boolean(&self, name: &'static str) -> Option<bool> {
        self.typed(name, "true or false (1 and 0 are taken too)", |value| match value {
            Value::Boolean(value) => Some(*value),
            Value::Number(text) | Value::Text(text) => boolean_text(text),
            _ => None,
        })
    }

    /// A whole number, not negative.
    pub(crate) fn whole(&self, name: &'static str) -> Option<u64> {
        self.typed(name, "a whole number, not negative", |value| as_text(value)?.parse().ok())
    }

    /// A duration: seconds, or a text with units.
    pub(crate) fn duration(&self, name: &'static str) -> Option<Duration> {
        self.typed(name, "a duration such as 90, \"90s\", \"1h30m\" or \"32d\"", |value| {
            as_text(value).filter(|text| !text.is_empty()).and_then(|text| parse_duration(&text))
        })
    }

    /// Texts: a list of them, or one with commas.
    pub(crate) fn texts(&self, name: &'static str) -> Option<Vec<String>> {
        self.typed(name, "a list of texts", |value| match value {
            Value::List(items) => items.iter().map(|item| as_text(&item.value)).collect(),
            other => {
                let text = as_text(other)?;
                Some(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
            }
        })
    }

    /// The line on which a name stands; the block's own line if it does not.
    pub(crate) fn line_of(&self, name: &str) -> usize {
        self.entries.iter().rev().find(|(known, _)| known == name).map_or(self.line, |(_, node)| node.line)
    }

    /// The line on which the block begins.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// Blocks without a label, as often as they occur.
    pub(crate) fn blocks(&self, name: &'static str) -> Vec<Section<'a>> {
        self.known.borrow_mut().insert(name);
        let nodes = self.entries.iter().filter(|(known, _)| known == name).flat_map(|(_, node)| flatten(node));
        nodes.filter_map(|node| self.below(name.to_owned(), node)).collect()
    }

    /// Blocks with a label: `name "label" {}` in HCL; in JSON a map or a list of maps, or with the label as `type`.
    pub(crate) fn labelled(&self, name: &'static str) -> Vec<(String, Section<'a>)> {
        let mut found = Vec::new();
        for block in self.blocks(name) {
            if let Some(label) =
                block.entries.iter().find(|(known, _)| known == "type").and_then(|(_, node)| as_text(&node.value))
            {
                block.known.borrow_mut().insert("type");
                let title = format!("{name} \"{label}\"");
                found.push((label, Section { title, ..block }));
                continue;
            }
            for (label, node) in block.entries {
                let title = format!("{name} \"{label}\"");
                found.extend(
                    flatten(node)
                        .filter_map(|node| self.below(title.clone(), node))
                        .map(|section| (label.clone(), section)),
                );
            }
        }
        found
    }

    /// Every entry, for blocks whose names are the user's.
    pub(crate) fn all_texts(&self) -> Vec<(String, Vec<String>, usize)> {
        let read = |(name, node): &(String, Node)| match &node.value {
            Value::List(items) => {
                Some((name.clone(), items.iter().filter_map(|item| as_text(&item.value)).collect(), node.line))
            }
            other => as_text(other).map(|text| (name.clone(), vec![text], node.line)),
        };
        self.entries.iter().filter_map(read).collect()
    }

    /// Every entry that is a block.
    pub(crate) fn all_blocks(&self) -> Vec<(String, Section<'a>)> {
        let entries = self.entries.iter().flat_map(|(name, node)| flatten(node).map(move |node| (name, node)));
        entries
            .filter_map(|(name, node)| Some((name.clone(), self.below(format!("{}.{name}", self.title), node)?)))
            .collect()
    }

    /// What stands below further labels: every entry that is a block, but those of a name of the block's own.
    pub(crate) fn below_labels(&self, own: &str) -> Vec<(String, Section<'a>)> {
        let entries = self.entries.iter().filter(|(name, _)| name != own);
        let blocks = entries.flat_map(|(name, node)| flatten(node).map(move |node| (name, node)));
        let blocks = blocks.filter(|(_, node)| matches!(node.value, Value::Map(_)));
        blocks
            .filter_map(|(name, node)| Some((name.clone(), self.below(format!("{} \"{name}\"", self.title), node)?)))
            .collect()
    }

    /// Names that Vault knows and that change nothing here. Whoever set one is told, unless he asked for nothing.
    pub(crate) fn without_effect(&self, names: &[&'static str]) {
        self.known.borrow_mut().extend(names);
        for (name, node) in self.entries.iter().filter(|(name, _)| names.contains(&name.as_str())) {
            let asks_for_nothing = match &node.value {
                Value::Null | Value::Boolean(false) => true,
                Value::Text(text) | Value::Number(text) => matches!(text.as_str(), "" | "0" | "false"),
                _ => false,
            };
            if !asks_for_nothing {
                self.warning(node.line, &format!("{name} has no effect here"));
            }
        }
    }

    /// Says that something is wrong.
    pub(crate) fn error(&self, line: usize, message: &str) {
        self.problems.borrow_mut().errors.push(self.problem(line, message));
    }

    /// Says that something is odd.
    pub(crate) fn warning(&self, line: usize, message: &str) {
        self.problems.borrow_mut().warnings.push(self.problem(line, message));
    }

    fn problem(&self, line: usize, message: &str) -> Problem {
        let message = if self.title.is_empty() { message.to_owned() } else { format!("{}: {message}", self.title) };
        Problem { file: self.file.to_owned(), line, message }
    }

    /// Warns of every name that nobody asked for.
    pub(crate) fn finish(self) {
        for (name, node) in self.entries {
            if !self.known.borrow().contains(name.as_str()) {
                self.warning(node.line, &format!("{name} is not known and has no effect; check its spelling"));
            }
        }
    }
}

/// A list's items, or the value itself.
fn flatten(node: &Node) -> impl Iterator<Item = &Node> {
    match &node.value {
        Value::List(items) => items.iter(),
        _ => std::slice::from_ref(node).iter(),
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}
