//! The flags of `conclave server`, in the forms that scripts use: `-x=y`, `-x y`, `--x`.

use std::ffi::OsString;
use std::path::PathBuf;

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
    /// Whether help was asked for.
    pub wants_help: bool,
    /// Whether only the configuration is to be checked.
    pub only_checks: bool,
}

/// A command line that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Nobody knows it.
    #[error("-{0} is not a flag of server; see conclave server -help")]
    Unknown(String),
    /// It needs a value.
    #[error("-{0} needs a value, as in -{0}=VALUE")]
    NoValue(String),
    /// Its value is not valid.
    #[error("-{name} must be {expected}")]
    Wrong {
        /// Which flag.
        name: String,
        /// What it must be.
        expected: &'static str,
    },
    /// It is no flag.
    #[error("server takes flags only; one argument does not begin with a dash")]
    Stray,
    /// The bytes are no text.
    #[error("an argument is not valid UTF-8")]
    NoText,
}

/// What a flag expects behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Value,
}

/// Every flag, and whether it takes a value. Those that [`Flags::set`] does not name are Vault's and change nothing.
const KNOWN: [(&str, Kind); 36] = [
    ("config", Kind::Value),
    ("dev", Kind::Switch),
    ("dev-root-token-id", Kind::Value),
    ("dev-listen-address", Kind::Value),
    ("dev-no-store-token", Kind::Switch),
    ("dev-ha", Kind::Switch),
    ("dev-tls", Kind::Switch),
    ("dev-tls-cert-dir", Kind::Value),
    ("dev-tls-san", Kind::Value),
    ("dev-transactional", Kind::Switch),
    ("dev-leased-kv", Kind::Switch),
    ("dev-kv-v1", Kind::Switch),
    ("dev-latency", Kind::Value),
    ("dev-latency-jitter", Kind::Value),
    ("dev-plugin-dir", Kind::Value),
    ("dev-plugin-init", Kind::Switch),
    ("dev-consul", Kind::Switch),
    ("dev-skip-init", Kind::Switch),
    ("dev-three-node", Kind::Switch),
    ("dev-cluster-json", Kind::Value),
    ("log-level", Kind::Value),
    ("log-format", Kind::Value),
    ("log-file", Kind::Value),
    ("log-rotate-bytes", Kind::Value),
    ("log-rotate-duration", Kind::Value),
    ("log-rotate-max-files", Kind::Value),
    ("combine-logs", Kind::Switch),
    ("disable-gated-logging", Kind::Switch),
    ("exit-on-core-shutdown", Kind::Switch),
    ("experiment", Kind::Value),
    ("recovery", Kind::Switch),
    ("test-verify-only", Kind::Switch),
    ("test-server-config", Kind::Switch),
    ("non-interactive", Kind::Switch),
    ("help", Kind::Switch),
    ("h", Kind::Switch),
];

impl Flags {
    /// Reads the arguments behind `server`.
    pub fn parse(arguments: Vec<OsString>) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter().map(|argument| argument.into_string().map_err(|_| FlagError::NoText));
        while let Some(argument) = arguments.next().transpose()? {
            let text = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')).ok_or(FlagError::Stray)?;
            let (name, value) =
                text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
            let known =
                KNOWN.iter().find(|(known, _)| *known == name).ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
            let value = match (known.1, value) {
                (Kind::Switch, value) => value.unwrap_or_else(|| "true".into()),
                (Kind::Value, Some(value)) => value,
                (Kind::Value, None) => {
                    arguments.next().transpose()?.ok_or_else(|| FlagError::NoValue(name.to_owned()))?
                }
            };
            flags.set(known, value)?;
        }
        Ok(flags)
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

    fn set(&mut self, (name, kind): &(&'static str, Kind), value: String) -> Result<(), FlagError> {
        let wrong = |expected| FlagError::Wrong { name: (*name).to_owned(), expected };
        let is_on = match value.as_str() {
            _ if *kind == Kind::Value => true,
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => return Err(wrong("true or false")),
        };
        match *name {
            "config" => self.configs.push(value.into()),
            "dev" => self.is_dev = is_on,
            "dev-root-token-id" => self.dev_root_token = Some(Zeroizing::new(value)).filter(|token| !token.is_empty()),
            "dev-listen-address" => self.dev_address = Some(value),
            "dev-no-store-token" => self.dev_keeps_token = is_on,
            "dev-tls" => (self.dev_tls, self.is_dev) = (is_on, self.is_dev || is_on),
            "dev-tls-cert-dir" => {
                self.dev_tls_folder = Some(value.into());
                self.dev_tls = true;
                self.is_dev = true;
            }
            "dev-ha" | "dev-kv-v1" | "dev-three-node" | "dev-transactional" => self.is_dev |= is_on,
            "log-level" => {
                self.log_level = Some(Level::parse(&value).ok_or_else(|| wrong("trace, debug, info, warn or error"))?)
            }
            "log-format" => self.log_format = Some(Format::parse(&value).ok_or_else(|| wrong("standard or json"))?),
            "log-file" => self.log_file = Some(value.into()),
            "recovery" if is_on => return Err(wrong("left out: there is no recovery mode")),
            "test-verify-only" | "test-server-config" => self.only_checks = is_on,
            "help" | "h" => self.wants_help = is_on,
            _ => {}
        }
        Ok(())
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

  -dev                      Start a dev server.
  -dev-root-token-id=TOKEN  Its root token. Also VAULT_DEV_ROOT_TOKEN_ID.
  -dev-listen-address=ADDR  Where it listens; 127.0.0.1:8200. Also VAULT_DEV_LISTEN_ADDRESS.
  -dev-no-store-token       Do not write the root token to ~/.vault-token.
  -dev-tls                  Speak TLS with a certificate made at start.
  -dev-tls-cert-dir=PATH    Write vault-ca.pem, vault-cert.pem and vault-key.pem there.

Signals: TERM and INT stop it gracefully; HUP reads certificates and the log level again.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, FlagError> {
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
            assert_eq!(parse(form).unwrap_or_default().dev_address.as_deref(), Some("a:1"), "{form:?}");
        }
        let flags = parse(&["-config=a", "-config", "b", "-dev", "-dev-no-store-token=true", "-exit-on-core-shutdown"])
            .unwrap_or_default();
        assert_eq!(flags.configs, [PathBuf::from("a"), PathBuf::from("b")]);
        assert!(flags.is_dev && flags.dev_keeps_token);
        assert!(!parse(&["-dev=false"]).unwrap_or_default().is_dev);
    }

    #[test]
    fn what_is_no_flag_is_said() {
        let error = |arguments: &[&str]| parse(arguments).err();
        assert_eq!(error(&["-wat"]), Some(FlagError::Unknown("wat".into())));
        assert_eq!(error(&["-config"]), Some(FlagError::NoValue("config".into())));
        assert_eq!(error(&["x"]), Some(FlagError::Stray));
        assert!(matches!(error(&["-log-level=loud"]), Some(FlagError::Wrong { .. })));
        assert!(matches!(error(&["-dev=maybe"]), Some(FlagError::Wrong { .. })));
    }
}
