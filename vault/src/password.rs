//! Password policies: what a generated password is made of. They have nothing to do with access.
//!
//! ```text
//! length = 20
//! rule "charset" {
//!   charset   = "abcdefghij"
//!   min-chars = 1
//! }
//! ```
//!
//! What surprises: the characters that the rules demand are drawn first, the rest from all sets together, and then all are
//! shuffled. So every policy whose numbers add up makes a password at once, however unlikely chance would make one.

use crate::context::Random;
use crate::hcl::{self, Member, Value};
use crate::limits::MAX_PASSWORD_RULES;

/// Shortest password, in characters.
const SHORTEST: usize = 4;
/// Longest password, in characters.
const LONGEST: usize = 100;

/// A policy that was parsed.
pub(crate) struct PasswordPolicy {
    length: usize,
    rules: Vec<Charset>,
}

/// A set of characters, and how many of it a password has at least.
struct Charset {
    characters: Vec<char>,
    at_least: usize,
}

/// Why a text is no policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordPolicyError {
    #[error("invalid password policy: {0}")]
    Syntax(#[from] hcl::SyntaxError),
    #[error("invalid password policy: {key} is not known at line {line}; a policy has length and rules")]
    Unknown { key: String, line: u32 },
    #[error("invalid password policy: {0} must be a whole number")]
    Number(&'static str),
    #[error("invalid password policy: length must be > 0")]
    NoLength,
    #[error("passwords must be between {SHORTEST} and {LONGEST} characters")]
    Length,
    #[error("invalid password policy: unable to parse rules: unable to parse rule {0}: unrecognized rule type {0}")]
    Rule(String),
    #[error("invalid password policy: a rule must be a block such as rule \"charset\" {{ … }}")]
    RuleForm,
    #[error("invalid password policy: no charset specified")]
    NoCharset,
    #[error("invalid password policy: a charset has a character that cannot be printed")]
    Unprintable,
    #[error("invalid password policy: at least one charset rule must be specified")]
    NoRules,
    #[error("invalid password policy: more than {MAX_PASSWORD_RULES} rules")]
    TooManyRules,
    #[error("invalid password policy: specified rules require at least {least} characters but {length} is specified")]
    TooShort { least: usize, length: usize },
}

impl PasswordPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// What is wrong with it, in words that hold no part of its charsets.
    pub(crate) fn parse(text: &str) -> Result<Self, PasswordPolicyError> {
        let (mut length, mut rules) = (None, Vec::new());
        for member in hcl::parse(text)? {
            match member.keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["length"] => length = Some(number(&member.value, "length")?),
                ["rule", kind] => rules.extend(rules_of(kind, &member.value)?),
                ["rule"] => rules.extend(unlabelled(&member.value)?),
                _ => return Err(unknown(&member)),
            }
        }
        let policy = Self { length: length.unwrap_or(0), rules };
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), PasswordPolicyError> {
        let length = self.length;
        let least = self.rules.iter().fold(0_usize, |sum, rule| sum.saturating_add(rule.at_least));
        match self.rules.len() {
            _ if length == 0 => Err(PasswordPolicyError::NoLength),
            0 => Err(PasswordPolicyError::NoRules),
            rules if rules > MAX_PASSWORD_RULES => Err(PasswordPolicyError::TooManyRules),
            _ if least > length => Err(PasswordPolicyError::TooShort { least, length }),
            _ if !(SHORTEST..=LONGEST).contains(&length) => Err(PasswordPolicyError::Length),
            _ => Ok(()),
        }
    }

    /// A password.
    pub(crate) fn generate(&self, random: &mut dyn Random) -> String {
        let mut all: Vec<char> = self.rules.iter().flat_map(|rule| rule.characters.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        let mut password = Vec::with_capacity(self.length);
        for rule in &self.rules {
            password.extend((0..rule.at_least).map(|_| rule.characters[below(rule.characters.len(), random)]));
        }
        while password.len() < self.length {
            password.push(all[below(all.len(), random)]);
        }
        // Fisher and Yates: every order is equally likely.
        for last in (1..password.len()).rev() {
            password.swap(last, below(last + 1, random));
        }
        password.into_iter().collect()
    }
}

/// A number below a limit that is not 0, each equally likely (by rejection).
fn below(limit: usize, random: &mut dyn Random) -> usize {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    let usable = u32::MAX - u32::MAX % limit;
    loop {
        let mut bytes = [0; 4];
        random.fill(&mut bytes);
        let drawn = u32::from_be_bytes(bytes);
        if drawn < usable {
            return (drawn % limit) as usize;
        }
    }
}

fn unknown(member: &Member) -> PasswordPolicyError {
    PasswordPolicyError::Unknown { key: member.keys.join(" "), line: member.line }
}

fn number(value: &Value, what: &'static str) -> Result<usize, PasswordPolicyError> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|number| usize::try_from(number).ok()).ok_or(PasswordPolicyError::Number(what))
}

/// Rules in JSON: `"rule": [{"charset": {…}}]`.
fn unlabelled(value: &Value) -> Result<Vec<Charset>, PasswordPolicyError> {
    let mut rules = Vec::new();
    match value {
        Value::List(items) => {
            for item in items {
                rules.extend(unlabelled(item)?);
            }
        }
        Value::Object(members) => {
            for member in members {
                let [kind] = member.keys.as_slice() else { return Err(PasswordPolicyError::RuleForm) };
                rules.extend(rules_of(kind, &member.value)?);
            }
        }
        _ => return Err(PasswordPolicyError::RuleForm),
    }
    Ok(rules)
}

fn rules_of(kind: &str, value: &Value) -> Result<Vec<Charset>, PasswordPolicyError> {
    if kind != "charset" {
        return Err(PasswordPolicyError::Rule(kind.to_owned()));
    }
    match value {
        Value::List(items) => items.iter().map(charset).collect(),
        one => Ok(vec![charset(one)?]),
    }
}

fn charset(value: &Value) -> Result<Charset, PasswordPolicyError> {
    let Value::Object(members) = value else { return Err(PasswordPolicyError::RuleForm) };
    let (mut characters, mut at_least) = (Vec::new(), 0);
    for member in members {
        match (member.keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), &member.value) {
            (["charset"], Value::Text(text)) => characters = text.chars().collect(),
            (["min-chars"], value) => at_least = number(value, "min-chars")?,
            _ => return Err(unknown(member)),
        }
    }
    characters.sort_unstable();
    characters.dedup();
    if characters.is_empty() {
        return Err(PasswordPolicyError::NoCharset);
    }
    if characters.iter().any(|character| character.is_control()) {
        return Err(PasswordPolicyError::Unprintable);
    }
    Ok(Charset { characters, at_least })
}

#[cfg(test)]
mod tests;
