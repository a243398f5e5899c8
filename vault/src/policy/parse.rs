//! From the text of a policy to its rules.
//!
//! Anything unknown is an error, never skipped: a word that this server ignored would be a rule that its author
//! believes in. A key that could only narrow access but cannot be enforced here (`control_group`, `mfa_methods`) is
//! refused for the same reason.

mod block;

use crate::hcl::{self, Member, SyntaxError, Value};
use crate::limits::MAX_POLICY_BYTES;
use crate::policy::pattern::PatternError;
use crate::policy::template::TemplateError;
use crate::policy::{PathRule, Policy, capability, filter};

/// Longest excerpt of a path or a word in a message, in characters.
const EXCERPT_CHARS: usize = 128;

/// Why a text is no policy. The messages are for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    /// Over [`MAX_POLICY_BYTES`].
    #[error(
        "the policy is too long: {size_bytes} bytes, at most {MAX_POLICY_BYTES} are allowed; split it into several"
    )]
    TooLong {
        /// Its size.
        size_bytes: usize,
    },
    /// Neither HCL nor JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A key outside of any block that means nothing.
    #[error("line {line}: invalid key {key:?}; expected path \"…\" {{ … }}")]
    UnknownKey {
        /// Line of the key, from 1.
        line: u32,
        /// The key, perhaps cut off.
        key: String,
    },
    /// `path` without a path, or with something other than a block.
    #[error("line {line}: expected path \"…\" {{ … }}, found {found}")]
    NoBlock {
        /// Line of the key, from 1.
        line: u32,
        /// What is there instead.
        found: &'static str,
    },
    /// Something in a block.
    #[error("line {line}: path {path:?}: {problem}")]
    Block {
        /// Line of the key at fault, from 1.
        line: u32,
        /// The block's path, perhaps cut off.
        path: String,
        /// What is wrong there.
        problem: Problem,
    },
}

/// What is wrong in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// A key that means nothing.
    #[error("invalid key {0:?}; expected one of {known}", known = block::KNOWN_KEYS)]
    UnknownKey(String),
    /// A key that is given twice.
    #[error("{0:?} is given twice; keep one")]
    Twice(String),
    /// A word that is no capability.
    #[error("invalid capability {0:?}; expected one of {known}", known = capability::known_words())]
    UnknownCapability(String),
    /// A value of `policy` that is no old word.
    #[error("invalid policy {0:?}; expected deny, read, write or sudo, or use capabilities = [...]")]
    UnknownOldWord(String),
    /// A value of another type than its key takes.
    #[error("{key} takes {expected}, found {found}")]
    Type {
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// No wrapping could satisfy both.
    #[error("max_wrapping_ttl cannot be less than min_wrapping_ttl")]
    CrossedWrapping,
    /// A key that means something, but not on this server.
    #[error("{0} cannot be enforced by this server, so the policy is refused; remove it")]
    Unsupported(&'static str),
    /// The path is no pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The path holds a wrong template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The list's filter is wrong.
    #[error(transparent)]
    Filter(#[from] filter::FilterError),
}

/// Parses a policy, in HCL or JSON. It has no name yet: see [`Policy::named`]. A text without any block is a policy
/// that grants nothing.
pub(crate) fn parse(text: &str) -> Result<Policy, ParseError> {
    if text.len() > MAX_POLICY_BYTES {
        return Err(ParseError::TooLong { size_bytes: text.len() });
    }
    let mut rules = Vec::new();
    for member in &hcl::parse(text)? {
        match member.keys[0].as_str() {
            "path" => read_paths(member, &mut rules)?,
            "name" if member.keys.len() == 1 => {}
            key => return Err(ParseError::UnknownKey { line: member.line, key: excerpt(key) }),
        }
    }
    Ok(Policy::new(rules))
}

/// `path "a" { … }`, or `path = { "a" = { … } }` as JSON has to write it.
fn read_paths(member: &Member, rules: &mut Vec<PathRule>) -> Result<(), ParseError> {
    let no_block = |found| ParseError::NoBlock { line: member.line, found };
    match member.keys.as_slice() {
        [_, path] => read_blocks(path, member, rules),
        [_] => {
            for paths in objects(&member.value).ok_or_else(|| no_block(member.value.kind()))? {
                for inner in paths {
                    let [path] = inner.keys.as_slice() else { return Err(no_block("a path with a second label")) };
                    read_blocks(path, inner, rules)?;
                }
            }
            Ok(())
        }
        _ => Err(no_block("a path with a second label")),
    }
}

fn read_blocks(path: &str, member: &Member, rules: &mut Vec<PathRule>) -> Result<(), ParseError> {
    let blocks = objects(&member.value);
    let blocks = blocks.ok_or(ParseError::NoBlock { line: member.line, found: member.value.kind() })?;
    for block in blocks {
        let located = |(line, problem)| ParseError::Block {
            line,
            path: excerpt(path.strip_prefix('/').unwrap_or(path)),
            problem,
        };
        rules.push(block::read(path, member.line, block).map_err(located)?);
    }
    Ok(())
}

/// An object, or a list of objects, which JSON documents use for blocks that repeat.
fn objects(value: &Value) -> Option<Vec<&[Member]>> {
    match value {
        Value::Object(members) => Some(vec![members]),
        Value::List(items) => items
            .iter()
            .map(|item| if let Value::Object(members) = item { Some(members.as_slice()) } else { None })
            .collect(),
        _ => None,
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}

#[cfg(test)]
mod tests;
