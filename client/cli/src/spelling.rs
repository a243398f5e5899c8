//! Brings flags into the one spelling that the parser knows: two dashes, and switches without a value.
//!
//! It parses nothing itself. What surprises: it must know which flags are switches, because `-tls-skip-verify=false`
//! has to vanish, and it takes that from the parser's own description.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::{ArgAction, Command};

/// The long names of all switches of a command and its subcommands.
pub fn switches(command: &Command) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(command, &mut names);
    names
}

fn collect(command: &Command, names: &mut BTreeSet<String>) {
    for argument in command.get_arguments().filter(|argument| matches!(argument.get_action(), ArgAction::SetTrue)) {
        names.extend(argument.get_long_and_visible_aliases().into_iter().flatten().map(str::to_owned));
    }
    command.get_subcommands().for_each(|inner| collect(inner, names));
}

/// Rewrites the arguments up to a lone `--`.
pub fn normalise(arguments: Vec<OsString>, switches: &BTreeSet<String>) -> Vec<OsString> {
    let mut is_literal = false;
    let rewrite = |argument: OsString| {
        is_literal = is_literal || argument == "--";
        if is_literal { Some(argument) } else { rewrite_one(argument, switches) }
    };
    arguments.into_iter().filter_map(rewrite).collect()
}

/// Nothing for a switch that is switched off.
fn rewrite_one(argument: OsString, switches: &BTreeSet<String>) -> Option<OsString> {
    let Some(name) = argument.to_str().and_then(long_name) else { return Some(argument) };
    match name.split_once('=') {
        Some((name, value)) if switches.contains(name) => match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(format!("--{name}").into()),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => None,
            // The parser says that this switch takes no such value.
            _ => Some(format!("--{name}={value}").into()),
        },
        _ => Some(format!("--{name}").into()),
    }
}

/// What follows the dashes, if this is a flag of more than one letter.
fn long_name(argument: &str) -> Option<&str> {
    if let Some(name) = argument.strip_prefix("--") {
        return Some(name);
    }
    let name = argument.strip_prefix('-')?;
    let letters = name.split_once('=').map_or(name, |(name, _)| name);
    let starts_with_letter = name.starts_with(|first: char| first.is_ascii_alphabetic());
    (starts_with_letter && letters.len() > 1).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(line: &str) -> String {
        let switches = BTreeSet::from(["force".to_owned()]);
        let arguments = line.split(' ').map(OsString::from).collect();
        let words: Vec<_> =
            normalise(arguments, &switches).into_iter().map(|word| word.into_string().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn one_dash_becomes_two() {
        assert_eq!(normalised("-address=http://a:1 kv get -field x"), "--address=http://a:1 kv get --field x");
    }

    #[test]
    fn two_dashes_stay() {
        assert_eq!(normalised("--format=json status"), "--format=json status");
    }

    #[test]
    fn a_short_flag_and_a_lone_dash_stay() {
        assert_eq!(normalised("write -f path -"), "write -f path -");
    }

    #[test]
    fn a_switch_that_is_off_vanishes_and_one_that_is_on_loses_its_value() {
        assert_eq!(normalised("write -force=false path"), "write path");
        assert_eq!(normalised("write -force=true path"), "write --force path");
    }

    #[test]
    fn nothing_is_changed_after_two_lone_dashes() {
        assert_eq!(normalised("write -- -odd"), "write -- -odd");
    }

    #[test]
    fn data_that_begins_with_a_number_is_not_a_flag() {
        assert_eq!(normalised("token renew -increment -1h"), "token renew --increment -1h");
    }
}
