//! The flags of `conclave server`, in the forms that scripts use: `-x=y`, `-x y`, `--x`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{Error, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use conclave_cli::spelling;
use zeroize::Zeroizing;

use crate::config::{Format, Level, named};

/// What the command line says.
#[derive(Default)]
pub struct Flags {
    /// Files and folders, in their order.
    pub configs: Vec<PathBuf>,
    /// Whether this is a dev server.
    pub is_dev: bool,
    /// The dev server's root token.
    pub dev_root_token: Option<Zeroizing<String>>,
    /// Where the dev server listens.
    pub dev_address: Option<String>,
    /// Whether the root token stays out of the home folder.
    pub dev_keeps_token: bool,
    /// Whether the dev server speaks TLS.
    pub dev_tls: bool,
    /// Where its certificates are written.
    pub dev_tls_folder: Option<PathBuf>,
    /// Wins over the configuration.
    pub log_level: Option<Level>,
    /// Wins over the configuration.
    pub log_format: Option<Format>,
    /// Wins over the configuration.
    pub log_file: Option<PathBuf>,
    /// Whether only the configuration is to be checked.
    pub only_checks: bool,
    /// Whether the end of standard input stops the server, as a parent process wants that may be killed.
    pub stops_with_input: bool,
    /// Flags of Vault that were given and change nothing here.
    pub without_effect: Vec<&'static str>,
}

/// Switches of Vault that change nothing here.
const SWITCHES_WITHOUT_EFFECT: [&str; 12] = [
    "dev-ha",
    "dev-transactional",
    "dev-leased-kv",
    "dev-kv-v1",
    "dev-plugin-init",
    "dev-consul",
    "dev-skip-init",
    "dev-three-node",
    "combine-logs",
    "disable-gated-logging",
    "exit-on-core-shutdown",
    "non-interactive",
];

/// Flags of Vault that take a value and change nothing here.
const VALUES_WITHOUT_EFFECT: [&str; 9] = [
    "dev-tls-san",
    "dev-latency",
    "dev-latency-jitter",
    "dev-plugin-dir",
    "dev-cluster-json",
    "log-rotate-bytes",
    "log-rotate-duration",
    "log-rotate-max-files",
    "experiment",
];

/// Those among them that ask for a dev server all the same.
const ASK_FOR_DEV: [&str; 4] = ["dev-ha", "dev-transactional", "dev-kv-v1", "dev-three-node"];

fn command() -> Command {
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let value = |name: &'static str| Arg::new(name).long(name).value_name("VALUE");
    let path = |name: &'static str| value(name).value_parser(value_parser!(PathBuf));
    let level = |text: &str| Level::parse(text).ok_or("it is trace, debug, info, warn or error");
    let format = |text: &str| Format::parse(text).ok_or("it is standard or json");
    Command::new("conclave server")
        .override_usage("conclave server [flags]")
        .override_help(HELP)
        .args_override_self(true)
        .arg(path("config").action(ArgAction::Append))
        .args(["dev", "dev-no-store-token", "dev-tls", "recovery"].map(switch))
        .arg(switch("stop-at-end-of-input").hide(true))
        .arg(switch("test-verify-only").visible_alias("test-server-config"))
        .args(["dev-root-token-id", "dev-listen-address"].map(value))
        .args([path("dev-tls-cert-dir"), path("log-file")])
        .arg(value("log-level").value_parser(level))
        .arg(value("log-format").value_parser(format))
        .args(SWITCHES_WITHOUT_EFFECT.map(|name| switch(name).hide(true)))
        .args(VALUES_WITHOUT_EFFECT.map(|name| value(name).hide(true).action(ArgAction::Append)))
}

impl Flags {
    /// Reads the arguments behind `server`. The error knows how it is shown; the wish for help is one too.
    pub fn parse(arguments: Vec<OsString>) -> Result<Self, Error> {
        let mut command = command();
        let arguments = spelling::normalise(arguments, &spelling::switches(&command));
        let program = OsString::from("conclave server");
        let mut given = command.try_get_matches_from_mut(std::iter::once(program).chain(arguments))?;
        if given.get_flag("recovery") {
            return Err(command.error(ErrorKind::InvalidValue, "there is no recovery mode; leave -recovery out"));
        }
        Ok(Self::read(&mut given))
    }

    fn read(given: &mut ArgMatches) -> Self {
        let without_effect: Vec<_> = SWITCHES_WITHOUT_EFFECT
            .into_iter()
            .filter(|name| given.get_flag(name))
            .chain(VALUES_WITHOUT_EFFECT.into_iter().filter(|name| given.contains_id(name)))
            .collect();
        let dev_tls_folder: Option<PathBuf> = given.remove_one("dev-tls-cert-dir");
        let dev_tls = given.get_flag("dev-tls") || dev_tls_folder.is_some();
        let asks_for_dev = without_effect.iter().any(|name| ASK_FOR_DEV.contains(name));
        let token = given.remove_one::<String>("dev-root-token-id").filter(|token| !token.is_empty());
        Self {
            configs: given.remove_many("config").map(Iterator::collect).unwrap_or_default(),
            is_dev: given.get_flag("dev") || dev_tls || asks_for_dev,
            dev_root_token: token.map(Zeroizing::new),
            dev_address: given.remove_one("dev-listen-address"),
            dev_keeps_token: given.get_flag("dev-no-store-token"),
            dev_tls,
            dev_tls_folder,
            log_level: given.remove_one("log-level"),
            log_format: given.remove_one("log-format"),
            log_file: given.remove_one("log-file"),
            only_checks: given.get_flag("test-verify-only"),
            stops_with_input: given.get_flag("stop-at-end-of-input"),
            without_effect,
        }
    }

    /// Takes from the environment what the arguments did not say; only a dev server has such settings.
    pub fn add_environment(&mut self, variable: &dyn Fn(&str) -> Option<String>) {
        if self.dev_root_token.is_none() {
            self.dev_root_token = named(variable, "DEV_ROOT_TOKEN_ID").map(Zeroizing::new);
        }
        if self.dev_address.is_none() {
            self.dev_address = named(variable, "DEV_LISTEN_ADDRESS");
        }
    }
}

/// What `conclave server -help` prints.
pub const HELP: &str = "\
Usage: conclave server [flags]

  Starts a server. It is sealed until enough unseal keys were entered.

      $ conclave server -config=/etc/conclave/server.hcl

  A dev server lives in memory, is unsealed, and is for trying things out only:

      $ conclave server -dev -dev-root-token-id=root

Flags:

  -config=PATH              A file, or a folder with .hcl and .json files. May be repeated.
  -log-level=LEVEL          trace, debug, info, warn or error.
  -log-format=FORMAT        standard or json.
  -log-file=PATH            Also write the log to this file.

  -test-verify-only         Check the configuration, its certificates, keys and paths; start nothing.

  -dev                      Start a dev server.
  -dev-root-token-id=TOKEN  Its root token. Also VAULT_DEV_ROOT_TOKEN_ID.
  -dev-listen-address=ADDR  Where it listens; 127.0.0.1:8200. Also VAULT_DEV_LISTEN_ADDRESS.
  -dev-no-store-token       Do not write the root token to ~/.vault-token.
  -dev-tls                  Speak TLS with a certificate made at start.
  -dev-tls-cert-dir=PATH    Write vault-ca.pem, vault-cert.pem and vault-key.pem there.

Signals: TERM and INT stop it gracefully; HUP reads TLS files and the log level again.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, Error> {
        Flags::parse(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn a_flag_takes_its_value_in_every_form() {
        for form in [
            &["-dev-listen-address=a:1"][..],
            &["-dev-listen-address", "a:1"],
            &["--dev-listen-address=a:1"],
            &["--dev-listen-address", "a:1"],
        ] {
            assert_eq!(parse(form).unwrap().dev_address.as_deref(), Some("a:1"), "{form:?}");
        }
        let flags = parse(&["-config=a", "-config", "b", "-dev", "-dev-no-store-token=true"]).unwrap();
        assert_eq!(flags.configs, [PathBuf::from("a"), PathBuf::from("b")]);
        assert!(flags.is_dev && flags.dev_keeps_token && flags.without_effect.is_empty());
        assert!(!parse(&["-dev=false"]).unwrap().is_dev);
        assert_eq!(parse(&["-log-level=info", "-log-level=debug"]).unwrap().log_level, Some(Level::Debug));
        assert!(parse(&["-test-server-config"]).unwrap().only_checks);
    }

    #[test]
    fn a_flag_of_vault_that_changes_nothing_is_remembered() {
        let flags = parse(&["-dev-kv-v1", "-exit-on-core-shutdown", "-experiment=x"]).unwrap();
        assert_eq!(flags.without_effect, ["dev-kv-v1", "exit-on-core-shutdown", "experiment"]);
        assert!(flags.is_dev);
        assert!(parse(&["-dev-kv-v1=false"]).unwrap().without_effect.is_empty());
    }

    #[test]
    fn what_is_no_flag_is_said_with_what_was_meant() {
        let error = |arguments: &[&str]| parse(arguments).err().unwrap();
        assert!(error(&["-confg=x"]).to_string().contains("config"), "{}", error(&["-confg=x"]));
        assert_eq!(error(&["-config"]).kind(), ErrorKind::InvalidValue);
        assert_eq!(error(&["x"]).kind(), ErrorKind::UnknownArgument);
        assert!(error(&["-log-level=loud"]).to_string().contains("trace, debug, info, warn or error"));
        assert!(parse(&["-dev=maybe"]).is_err());
        assert!(error(&["-recovery"]).to_string().contains("no recovery mode"));
        for help in ["-help", "--help", "-h"] {
            assert_eq!(error(&[help]).kind(), ErrorKind::DisplayHelp);
        }
    }

    #[test]
    fn every_flag_that_does_something_is_in_the_help() {
        for argument in command().get_arguments().filter(|argument| !argument.is_hide_set()) {
            let name = argument.get_long().unwrap();
            assert!(name == "recovery" || HELP.contains(&format!("  -{name}")), "{name}");
        }
    }
}
