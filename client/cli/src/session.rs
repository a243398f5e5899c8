//! What a command works with: a client set up from flags and environment, and where its results go.
//!
//! What surprises: the client of the SDK would go on for a minute; a person at a prompt is told after a few rounds.

use std::time::Duration;

use conclave_client::{Client, Discovery, Environment, Error, Method, Reply, Request, Secret, Variable};

use crate::curl::{self, Connection};
use crate::failure::Failure;
use crate::format::Format;
use crate::globals::Globals;
use crate::output::{self, Output};
use crate::token_file::TokenFile;

/// How long all nodes are tried again, unless the environment says how often: a healthy cluster elects a leader within.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a refused login can mean.
pub(crate) const LOGIN_FORBIDDEN: &str = "Is the auth method enabled at this path (`auth list`, -path)? Who is locked out, whose entity is disabled, or who \
     comes from an address that is not admitted, gets the same answer.";

/// One command's surroundings.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    pub(crate) token: Option<Secret>,
    /// Whether the environment holds the token, which a login then does not replace.
    pub(crate) has_environment_token: bool,
    pub(crate) token_file: Option<TokenFile>,
    pub(crate) may_ask: bool,
    pub(crate) version_line: String,
    headers: Vec<(String, String)>,
    connection: Connection,
    wrap_ttl: Option<String>,
    shows: Option<Show>,
}

/// What is printed of a request instead of sending it.
#[derive(Clone, Copy)]
enum Show {
    /// A curl command.
    Curl,
    /// The policy that it needs.
    Policy,
}

impl Session {
    /// Sets everything up; nothing is sent.
    pub(crate) fn open(globals: &Globals, version_line: &str) -> Result<Self, Failure> {
        let environment = environment(globals.clone());
        let local = |source: Error| Failure::Usage(source.to_string());
        let mut builder = Client::builder().discovery(Discovery::Off);
        if environment.get(Variable::MaxRetries).is_none() {
            builder = builder.patience(PATIENCE);
        }
        // Set for each request instead, because what is asked on the way must not be wrapped.
        let unwrapped =
            Environment::from_fn(|name| if name.ends_with("_WRAP_TTL") { None } else { environment.named(name) });
        let client = builder.environment(&unwrapped).map_err(local)?.build().map_err(local)?;
        drop(unwrapped);
        let token_file = TokenFile::locate(globals.token_file.clone());
        let from_environment = environment.get(Variable::Token).map(|token| Secret::new(token.trim()));
        let has_environment_token = from_environment.is_some();
        let token = match (from_environment, &token_file) {
            (Some(token), _) => Some(token),
            (None, Some(file)) => file.read()?,
            (None, None) => None,
        };
        client.set_token(token.clone());
        let format = match (globals.format, environment.get(Variable::Format)) {
            (Some(format), _) => format,
            (None, Some(name)) => Format::parse(&name).map_err(Failure::Usage)?,
            (None, None) => Format::Table,
        };
        let is_coloured = globals.allows_colour() && std::io::IsTerminal::is_terminal(&std::io::stderr());
        Ok(Self {
            client,
            output: Output { format, field: globals.field.clone(), is_coloured },
            token,
            has_environment_token,
            token_file,
            may_ask: !globals.non_interactive,
            version_line: version_line.to_owned(),
            headers: headers(&globals.header)?,
            connection: Connection::of(&environment, environment.skips_verification().map_err(local)?.unwrap_or(false)),
            wrap_ttl: environment.get(Variable::WrapTtl),
            shows: match (globals.output_curl_string, globals.output_policy) {
                (true, _) => Some(Show::Curl),
                (false, true) => Some(Show::Policy),
                (false, false) => None,
            },
        })
    }

    /// Sends a request; `doing` says what for, such as `reading secret/app`.
    pub(crate) async fn send(&self, doing: &str, request: Request) -> Result<Reply, Failure> {
        self.send_as(&self.client, self.token.is_some(), request).await.map_err(|failure| match failure {
            Sending::Failed(source) => self.failure(doing, source),
            Sending::Printed(outcome) => outcome,
        })
    }

    /// A failed call, which for want of a token needs other advice.
    fn failure(&self, doing: &str, source: Error) -> Failure {
        let is_login = matches!(&source, Error::Status(error) if is_login(&error.path));
        let failure = Failure::call(doing, source);
        if is_login {
            return failure.if_forbidden(LOGIN_FORBIDDEN);
        }
        match self.token {
            None => failure.if_forbidden("There is no token to send: `login` gets one, or set VAULT_TOKEN."),
            Some(_) => failure,
        }
    }

    /// Sends a request without this session's token.
    pub(crate) async fn send_anonymously(&self, doing: &str, request: Request) -> Result<Reply, Failure> {
        let client = self.client.with_token(None);
        self.send_as(&client, false, request).await.map_err(|failure| match failure {
            Sending::Failed(source) => Failure::call(doing, source),
            Sending::Printed(outcome) => outcome,
        })
    }

    /// Sends a request for something that may not be there; a 404 with data counts as an answer.
    pub(crate) async fn fetch(&self, doing: &str, path: &str, request: Request) -> Result<Reply, Failure> {
        match self.send_as(&self.client, self.token.is_some(), request).await {
            Ok(reply) => Ok(reply),
            Err(Sending::Printed(outcome)) => Err(outcome),
            Err(Sending::Failed(source)) => self.found_anyway(source, doing, path),
        }
    }

    /// Asks something on the way to the request itself, as [`Session::fetch`] does, but the reply is never wrapped and
    /// the request is sent even where it shall only be shown.
    pub(crate) async fn ask(&self, doing: &str, path: &str, request: Request) -> Result<Reply, Failure> {
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let sent = self.client.send(request).await;
        sent.or_else(|source| self.found_anyway(source, doing, path))
    }

    /// Takes a 404 that carries data for an answer, and one that does not for nothing found.
    fn found_anyway(&self, source: Error, doing: &str, path: &str) -> Result<Reply, Failure> {
        match source {
            Error::Status(error) if error.status == 404 => {
                if error.reply.data().is_some_and(|data| !data.is_empty()) || !error.reply.warnings().is_empty() {
                    return Ok(error.reply);
                }
                Err(Failure::NotFound { path: path.to_owned(), reasons: error.errors })
            }
            source => Err(self.failure(doing, source)),
        }
    }

    async fn send_as(&self, client: &Client, has_token: bool, request: Request) -> Result<Reply, Sending> {
        let mut request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        if let Some(ttl) = self.wrap_ttl.as_ref().filter(|_| !request.is_about_one_node()) {
            request = request.wrap_ttl(ttl);
        }
        let shown = match self.shows {
            None => return client.send(request).await.map_err(Sending::Failed),
            Some(Show::Policy) => needed_policy(&request),
            Some(Show::Curl) => {
                let address = client.addresses().first().map(ToString::to_string).unwrap_or_default();
                let command = curl::command(&request, &address, has_token, &self.connection);
                command.map_err(Sending::Failed)? + "\n"
            }
        };
        Err(Sending::Printed(match output::print(&shown) {
            Ok(()) => Failure::Quiet(0),
            Err(failure) => failure,
        }))
    }
}

/// Whether a path is that of a login, which needs no token: `auth/…/login`, perhaps with a name behind it.
fn is_login(path: &str) -> bool {
    let mut segments = path.trim_matches('/').split('/');
    segments.next() == Some("auth") && segments.rev().take(2).any(|segment| segment == "login")
}

/// The policy that allows a request. Whether the path is root-protected, and so needs `sudo` too, only the server knows.
fn needed_policy(request: &Request) -> String {
    let capabilities = match request.method() {
        Method::Get | Method::Head => "\"read\"",
        Method::List => "\"list\"",
        Method::Post | Method::Put => "\"create\", \"update\"",
        Method::Patch => "\"patch\"",
        Method::Delete => "\"delete\"",
    };
    format!("path \"{}\" {{\n  capabilities = [{capabilities}]\n}}\n", request.path())
}

/// Why there is no reply.
enum Sending {
    Failed(Error),
    /// The request was printed instead of sent.
    Printed(Failure),
}

/// The process's environment, over which flags win.
fn environment(globals: Globals) -> Environment<'static> {
    Environment::from_fn(move |name| {
        let suffix = name.strip_prefix("CONCLAVE_").or_else(|| name.strip_prefix("VAULT_"))?;
        if let Some(value) = globals.instead_of(suffix) {
            return Some(value);
        }
        if globals.overrules(suffix) { None } else { std::env::var(name).ok() }
    })
}

fn headers(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |header: &String| match header.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Failure::Usage(format!("the header `{header}` must be written as NAME=VALUE"))),
    };
    given.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_known_by_its_path() {
        assert!(is_login("auth/userpass/login/ann") && is_login("/auth/team/approle/login"));
        assert!(
            !is_login("auth/userpass/users/ann") && !is_login("secret/login") && !is_login("auth/login/users/ann/x")
        );
    }
}
