//! What can be typed: the verbs and the flags that go with all of them.
//!
//! Each verb's own flags stand in its file under `command`.

use clap::{Command, CommandFactory, Parser};

use crate::command::Verb;
use crate::globals::Globals;

/// Verbs of Vault's command line that are not here yet.
pub(crate) const ABSENT: [&str; 13] = [
    "agent",
    "debug",
    "diagnose",
    "events",
    "hcp",
    "migrate",
    "monitor",
    "namespace",
    "pki",
    "plugin",
    "proxy",
    "ssh",
    "usage",
];

/// The whole line.
#[derive(Parser)]
#[command(
    name = "conclave",
    about = "A replicated secrets vault, and a client for any server that speaks the Vault HTTP API",
    after_help = "`-h` behind a verb shows its own flags, `-help` also those of every verb.",
    disable_version_flag = true,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// All that can be typed, with the two verbs that do not pass here: they have flags of their own.
pub(crate) fn description() -> Command {
    let elsewhere = |name: &'static str, about: &'static str| Command::new(name).about(about);
    CommandLine::command()
        .subcommand(elsewhere("server", "Run a node; `conclave server -help` lists its flags"))
        .subcommand(elsewhere("quickstart", "Start a cluster of three nodes on this machine"))
        .mut_subcommand("operator", |operator| {
            let about =
                "Make a stopped node the only voter after the majority is lost; `-help` behind it lists its flags";
            let restore = "Make a node of a snapshot, in an empty data folder; `-help` behind it lists its flags";
            operator.subcommand(elsewhere("recover", about)).subcommand(elsewhere("restore", restore))
        })
}

/// Where a word is a verb that was typed without what it stands below, such as `unseal` for `operator unseal`.
pub(crate) fn elsewhere(word: &str, within: &Command, typed: &str) -> Vec<String> {
    let mut found = Vec::new();
    for inner in within.get_subcommands() {
        let whole = format!("{typed} {}", inner.get_name()).trim_start().to_owned();
        if inner.get_name() == word && !typed.is_empty() {
            found.push(whole.clone());
        }
        found.extend(elsewhere(word, inner, &whole));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::format::Format;

    #[test]
    fn a_verb_is_found_below_others() {
        let found = |word: &str| elsewhere(word, &description(), "");
        assert_eq!(found("unseal"), ["operator unseal"]);
        assert_eq!(found("get"), ["kv get", "kv metadata get"]);
        assert!(found("frobnicate").is_empty());
    }

    #[test]
    fn the_description_of_all_verbs_and_flags_has_no_contradiction() {
        description().debug_assert();
    }

    /// The verbs of a command, as they are typed.
    fn verbs(command: &clap::Command, typed: &str, found: &mut BTreeSet<String>) {
        for inner in command.get_subcommands() {
            let typed = format!("{typed} {}", inner.get_name()).trim_start().to_owned();
            if inner.has_subcommands() {
                verbs(inner, &typed, found);
            } else {
                found.insert(typed);
            }
        }
    }

    /// The verbs that the reference names: in the first cell of a row, the first one whole, the others by their last word.
    fn written_verbs() -> BTreeSet<String> {
        let page = include_str!("../../../docs/reference/cli.md");
        let table = page.split("## ").find(|part| part.starts_with("Verbs")).expect("a part about verbs");
        let mut found = BTreeSet::new();
        for cell in table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next()) {
            let names: Vec<&str> = cell.trim_end_matches('`').split("`, `").collect();
            let before = names[0].rsplit_once(' ').map_or("", |(before, _)| before);
            found.insert(names[0].to_owned());
            found.extend(names[1..].iter().map(|name| format!("{before} {name}").trim_start().to_owned()));
        }
        found
    }

    #[test]
    fn what_is_not_here_yet_is_listed_and_not_here() {
        let page = include_str!("../../../docs/reference/cli.md");
        let (_, line) = page.split_once("Not here yet: ").expect("a line about what is not here");
        let line = line.split(".\n").next().unwrap_or_default().replace('\n', " ");
        let listed: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, ABSENT);
        let mut known = BTreeSet::new();
        verbs(&description(), "", &mut known);
        let is_known = |word: &&&str| known.iter().any(|verb| verb.split(' ').any(|part| part == **word));
        assert_eq!(ABSENT.iter().find(is_known), None);
    }

    #[test]
    fn the_reference_names_every_verb_and_no_other() {
        let mut known = BTreeSet::new();
        verbs(&description(), "", &mut known);
        assert_eq!(written_verbs(), known);
    }

    #[test]
    fn flags_of_every_command_are_understood_before_and_after_the_verb() {
        let before = CommandLine::try_parse_from(["conclave", "--format", "json", "status"]).unwrap();
        let after = CommandLine::try_parse_from(["conclave", "status", "--format=json"]).unwrap();
        assert!(before.globals.format == Some(Format::Json) && after.globals.format == Some(Format::Json));
    }

    #[test]
    fn flags_may_stand_behind_data() {
        let line = ["conclave", "kv", "put", "secret/a", "b=c", "--cas", "0", "--mount=kv"];
        assert!(CommandLine::try_parse_from(line).is_ok());
    }
}
