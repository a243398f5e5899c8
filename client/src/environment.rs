//! The settings that come from environment variables.
//!
//! Names are Vault's; the same with `CONCLAVE_` in front wins over them. What surprises: an empty variable counts as
//! not set, as scripts rely on.

use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::builder::ClientBuilder;
use crate::client::Client;
use crate::error::Error;

/// A setting that the environment can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// `VAULT_ADDR`: one address, or several separated by commas.
    Address,
    /// `VAULT_CACERT`: a file with authorities in PEM form.
    CaCert,
    /// `VAULT_CACERT_BYTES`: the same as text.
    CaCertBytes,
    /// `VAULT_CAPATH`: a folder of such files.
    CaPath,
    /// `VAULT_CLIENT_CERT`: a file with the client's certificate chain.
    ClientCert,
    /// `VAULT_CLIENT_KEY`: the file with its key.
    ClientKey,
    /// `VAULT_TOKEN`: the token.
    Token,
    /// `VAULT_NAMESPACE`: the namespace.
    Namespace,
    /// `VAULT_SKIP_VERIFY`: accept any certificate.
    SkipVerify,
    /// `VAULT_TLS_SERVER_NAME`: the name that certificates must carry.
    TlsServerName,
    /// `VAULT_CLIENT_TIMEOUT`: the deadline of a call; seconds, or with a unit.
    ClientTimeout,
    /// `VAULT_MAX_RETRIES`: how often the list of nodes is tried again.
    MaxRetries,
    /// `VAULT_WRAP_TTL`: wrap every reply for this long.
    WrapTtl,
    /// `VAULT_PROXY_ADDR`: the proxy.
    ProxyAddress,
    /// `VAULT_HTTP_PROXY`: the same, under its older name.
    HttpProxy,
    /// `VAULT_AGENT_ADDR`: the address of an agent, which wins over `VAULT_ADDR`.
    AgentAddress,
    /// `VAULT_FORMAT`: the output format; only the command line reads it.
    Format,
}

impl Variable {
    /// The name without its prefix.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Address => "ADDR",
            Self::CaCert => "CACERT",
            Self::CaCertBytes => "CACERT_BYTES",
            Self::CaPath => "CAPATH",
            Self::ClientCert => "CLIENT_CERT",
            Self::ClientKey => "CLIENT_KEY",
            Self::Token => "TOKEN",
            Self::Namespace => "NAMESPACE",
            Self::SkipVerify => "SKIP_VERIFY",
            Self::TlsServerName => "TLS_SERVER_NAME",
            Self::ClientTimeout => "CLIENT_TIMEOUT",
            Self::MaxRetries => "MAX_RETRIES",
            Self::WrapTtl => "WRAP_TTL",
            Self::ProxyAddress => "PROXY_ADDR",
            Self::HttpProxy => "HTTP_PROXY",
            Self::AgentAddress => "AGENT_ADDR",
            Self::Format => "FORMAT",
        }
    }
}

/// From a variable's name to its value.
type Lookup<'a> = dyn Fn(&str) -> Option<String> + Send + Sync + 'a;

/// Where variables are looked up: the process, or a function in tests.
pub struct Environment<'a> {
    lookup: Box<Lookup<'a>>,
}

impl<'a> Environment<'a> {
    /// The environment of this process.
    pub fn process() -> Self {
        Self::from_fn(|name| env::var(name).ok())
    }

    /// An environment given by a function from names to values.
    pub fn from_fn(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'a) -> Self {
        Self { lookup: Box::new(lookup) }
    }

    /// The value of a setting, if it is set and not empty.
    pub fn get(&self, variable: Variable) -> Option<String> {
        let suffix = variable.suffix();
        ["CONCLAVE_", "VAULT_"].iter().find_map(|prefix| self.named(&format!("{prefix}{suffix}")))
    }

    /// The value of any variable by its full name, if it is set and not empty.
    pub fn named(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// Whether any certificate is accepted, if that is said.
    ///
    /// # Errors
    /// [`Error::Configuration`] if it is neither true nor false.
    pub fn skips_verification(&self) -> Result<Option<bool>, Error> {
        self.get(Variable::SkipVerify).map(|text| boolean("VAULT_SKIP_VERIFY", &text)).transpose()
    }

    pub(crate) fn apply(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, Error> {
        if let Some(addresses) = self.get(Variable::AgentAddress).or_else(|| self.get(Variable::Address)) {
            builder = builder.without_addresses().address(addresses);
        }
        if let Some(token) = self.get(Variable::Token) {
            builder = builder.token(token);
        }
        if let Some(namespace) = self.get(Variable::Namespace) {
            builder = builder.namespace(namespace);
        }
        if let Some(ttl) = self.get(Variable::WrapTtl) {
            builder = builder.wrap_ttl(ttl);
        }
        if let Some(proxy) = self.get(Variable::ProxyAddress).or_else(|| self.get(Variable::HttpProxy)) {
            builder = builder.proxy(proxy);
        }
        if let Some(timeout) = self.get(Variable::ClientTimeout) {
            builder = builder.deadline(duration("VAULT_CLIENT_TIMEOUT", &timeout)?);
        }
        if let Some(retries) = self.get(Variable::MaxRetries) {
            let retries = retries.parse().map_err(|_| wrong("VAULT_MAX_RETRIES", "a whole number from 0 up"))?;
            builder = builder.max_retries(retries);
        }
        self.apply_tls(builder)
    }

    fn apply_tls(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, Error> {
        if let Some(pem) = self.get(Variable::CaCertBytes) {
            builder = builder.ca_cert_pem(pem);
        } else if let Some(file) = self.get(Variable::CaCert) {
            if Path::new(&file).is_dir() {
                return Err(wrong("VAULT_CACERT", "a file; a folder of them goes into VAULT_CAPATH (-ca-path)"));
            }
            builder = builder.ca_cert_pem(read("VAULT_CACERT", Path::new(&file))?);
        } else if let Some(folder) = self.get(Variable::CaPath) {
            builder = builder.ca_folder(Path::new(&folder))?;
        }
        match (self.get(Variable::ClientCert), self.get(Variable::ClientKey)) {
            (Some(chain), Some(key)) => {
                let key = String::from_utf8(read("VAULT_CLIENT_KEY", Path::new(&key))?)
                    .map_err(|_| wrong("VAULT_CLIENT_KEY", "a file in PEM form"))?;
                builder = builder.client_cert(read("VAULT_CLIENT_CERT", Path::new(&chain))?, key);
            }
            (None, None) => {}
            _ => return Err(wrong("VAULT_CLIENT_CERT", "set together with VAULT_CLIENT_KEY")),
        }
        if let Some(name) = self.get(Variable::TlsServerName) {
            builder = builder.tls_server_name(name);
        }
        if let Some(skips) = self.skips_verification()? {
            builder = builder.danger_skip_verify(skips);
        }
        Ok(builder)
    }
}

impl Client {
    /// A client set up by the process environment (`VAULT_ADDR`, `VAULT_TOKEN`, ...; see [`Environment`]).
    ///
    /// # Errors
    /// [`Error::Configuration`] for a value or file that cannot be used.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().environment(&Environment::process())?.build()
    }
}

impl ClientBuilder {
    /// Takes over what the environment sets.
    ///
    /// # Errors
    /// [`Error::Configuration`] for a value or file that cannot be used.
    pub fn environment(self, environment: &Environment<'_>) -> Result<Self, Error> {
        environment.apply(self)
    }

    /// Trusts the authorities in every file of a folder, in PEM form.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the folder or a file of it cannot be read, or if it holds no file.
    pub fn ca_folder(mut self, folder: &Path) -> Result<Self, Error> {
        let entries = fs::read_dir(folder).map_err(|source| unreadable("VAULT_CAPATH", folder, &source))?;
        let mut found = false;
        for entry in entries.flatten() {
            if entry.path().is_file() {
                found = true;
                self = self.ca_cert_pem(read("VAULT_CAPATH", &entry.path())?);
            }
        }
        if found { Ok(self) } else { Err(wrong("VAULT_CAPATH", "a folder with certificates in it")) }
    }
}

fn read(variable: &str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| unreadable(variable, path, &source))
}

fn unreadable(variable: &str, path: &Path, source: &std::io::Error) -> Error {
    Error::Configuration(format!("{variable} names {}, which cannot be read: {source}", path.display()))
}

fn wrong(variable: &str, expected: &str) -> Error {
    Error::Configuration(format!("{variable} must be {expected}"))
}

fn boolean(variable: &str, text: &str) -> Result<bool, Error> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(wrong(variable, "true or false")),
    }
}

/// Whole seconds, or a number with the unit ms, s, m or h.
fn duration(variable: &str, text: &str) -> Result<Duration, Error> {
    let expected = || wrong(variable, "a number of seconds, or one with the unit ms, s, m or h");
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let number: u32 = text[..digits].parse().map_err(|_| expected())?;
    let unit = match &text[digits..] {
        "ms" => Duration::from_millis(1),
        "" | "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(expected()),
    };
    Ok(unit * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&str, &str)]) -> Environment<'static> {
        Environment::from_fn(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_address_variable_may_hold_a_list() {
        let environment = environment(&[("VAULT_ADDR", "http://a:1,http://b:2")]);
        let client = ClientBuilder::default().environment(&environment).unwrap().build().unwrap();
        assert_eq!(client.addresses().len(), 2);
    }

    #[test]
    fn an_agent_wins_over_the_server_behind_it() {
        let environment = environment(&[("VAULT_ADDR", "http://a:1"), ("VAULT_AGENT_ADDR", "http://b:2")]);
        let client = ClientBuilder::default().environment(&environment).unwrap().build().unwrap();
        assert_eq!(client.addresses()[0].as_str(), "http://b:2");
    }

    #[test]
    fn our_own_prefix_wins_over_the_one_of_vault() {
        let environment = environment(&[("VAULT_TOKEN", "one"), ("CONCLAVE_TOKEN", "two")]);
        assert_eq!(environment.get(Variable::Token).as_deref(), Some("two"));
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment = environment(&[("VAULT_ADDR", "")]);
        assert_eq!(environment.get(Variable::Address), None);
    }

    #[test]
    fn a_timeout_without_a_unit_is_in_seconds() {
        assert_eq!(duration("V", "90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("V", "250ms").unwrap(), Duration::from_millis(250));
        assert!(duration("V", "soon").is_err());
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_told_where_it_goes() {
        let environment = environment(&[("VAULT_CACERT", "/")]);
        let refused = ClientBuilder::default().environment(&environment).err().unwrap().to_string();
        assert!(refused.contains("VAULT_CAPATH"), "{refused}");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let environment = environment(&[("VAULT_CLIENT_CERT", "/nowhere")]);
        assert!(ClientBuilder::default().environment(&environment).is_err());
    }
}
