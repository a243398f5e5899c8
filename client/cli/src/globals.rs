//! The flags that go with every verb.

use std::path::PathBuf;

use clap::Args;

use crate::format::Format;

/// Flags of every verb. Those with a variable in their text win over it.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    /// Where the server is; several addresses are separated by commas. [VAULT_ADDR]
    #[arg(long, global = true, hide_short_help = true, value_name = "URL")]
    pub(crate) address: Option<String>,
    /// A file with the authorities to trust, in PEM form. [VAULT_CACERT]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) ca_cert: Option<String>,
    /// A folder of such files. [VAULT_CAPATH]
    #[arg(long, global = true, hide_short_help = true, value_name = "FOLDER")]
    pub(crate) ca_path: Option<String>,
    /// A file with the certificate chain to present. [VAULT_CLIENT_CERT]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) client_cert: Option<String>,
    /// The file with its key. [VAULT_CLIENT_KEY]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) client_key: Option<String>,
    /// Accept any certificate; whoever sits between then reads the token. [VAULT_SKIP_VERIFY]
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) tls_skip_verify: bool,
    /// The name that the server's certificate must carry. [VAULT_TLS_SERVER_NAME]
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// The namespace. [VAULT_NAMESPACE]
    #[arg(long, global = true, hide_short_help = true, visible_alias = "ns", value_name = "PATH")]
    pub(crate) namespace: Option<String>,
    /// Wrap the reply in a one-use token that lives this long. [VAULT_WRAP_TTL]
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION")]
    pub(crate) wrap_ttl: Option<String>,
    /// How to print: table, json, yaml or raw. [VAULT_FORMAT]
    #[arg(long, global = true, value_parser = Format::parse)]
    pub(crate) format: Option<Format>,
    /// Print one field only, without anything around it.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) field: Option<String>,
    /// A further header, NAME=VALUE; may be repeated.
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME=VALUE")]
    pub(crate) header: Vec<String>,
    /// Print the request as a curl command instead of sending it.
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) output_curl_string: bool,
    /// Print the policy that the request needs instead of sending it.
    #[arg(long, global = true, hide_short_help = true, conflicts_with = "output_curl_string")]
    pub(crate) output_policy: bool,
    /// Never ask on the terminal.
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) non_interactive: bool,
    /// No colours. [NO_COLOR]
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_color: bool,
    /// Where the token is kept between commands, instead of ~/.vault-token.
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE", hide = true)]
    pub(crate) token_file: Option<PathBuf>,
}

impl Globals {
    /// Whether colours are allowed, by flag and environment (no-color.org).
    pub(crate) fn allows_colour(&self) -> bool {
        let is_forbidden = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        !self.no_color && !is_forbidden("NO_COLOR") && !is_forbidden("VAULT_CLI_NO_COLOR")
    }

    /// The value that a flag gives in place of the variable `VAULT_<suffix>`.
    pub(crate) fn instead_of(&self, suffix: &str) -> Option<String> {
        match suffix {
            "ADDR" => self.address.clone(),
            "CACERT" => self.ca_cert.clone(),
            "CAPATH" => self.ca_path.clone(),
            "CLIENT_CERT" => self.client_cert.clone(),
            "CLIENT_KEY" => self.client_key.clone(),
            "SKIP_VERIFY" => self.tls_skip_verify.then(|| "true".to_owned()),
            "TLS_SERVER_NAME" => self.tls_server_name.clone(),
            "NAMESPACE" => self.namespace.clone(),
            "WRAP_TTL" => self.wrap_ttl.clone(),
            _ => None,
        }
    }

    /// Whether a flag makes the variable `VAULT_<suffix>` meaningless.
    pub(crate) fn overrules(&self, suffix: &str) -> bool {
        match suffix {
            "CACERT_BYTES" => self.ca_cert.is_some() || self.ca_path.is_some(),
            "CACERT" => self.ca_path.is_some(),
            "AGENT_ADDR" => self.address.is_some(),
            _ => false,
        }
    }
}
