//! Why a command failed, in words that say what to try, and the exit code that goes with it.
//!
//! What surprises: a sealed server's `status` is no failure with words, only an exit code.

use std::fmt;
use std::path::PathBuf;

use conclave_client::{Address, Attempt, Cause, Error, StatusError, TlsFault};

/// How much of an answer is shown that is none of the API.
const RAW_CHARACTERS: usize = 400;

/// What a share is that the server refused.
pub(crate) const NO_SHARE: &str = "This is no share of this cluster: it was mistyped, or belongs to another one.";

/// What a command ends with.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something is wrong with what was typed or set here.
    #[error("{0}")]
    Usage(String),
    /// A file of this machine could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Output or input broke.
    #[error("the terminal or pipe failed: {0}")]
    Stream(#[from] std::io::Error),
    /// The server was asked and did not grant it.
    #[error("Error {doing}: {}", Told { error: source, advice: advice.as_deref(), if_forbidden: *if_forbidden })]
    Call {
        /// What was being done, such as `reading secret/app`.
        doing: String,
        /// Why it failed.
        source: Box<Error>,
        /// What to try, where that is known better than from the answer.
        advice: Option<String>,
        /// What to try if the server forbids it, where that is known better than from its answer.
        if_forbidden: Option<&'static str>,
    },
    /// There is nothing at the path.
    #[error("No value found at {path}{}", reasons.iter().map(|reason| format!("\n\n* {reason}")).collect::<String>())]
    NotFound {
        /// The path that was asked for.
        path: String,
        /// The server's words, if it had any.
        reasons: Vec<String>,
    },
    /// The reply lacks something that every server sends.
    #[error("{0}")]
    Reply(String),
    /// All was said already.
    #[error("")]
    Quiet(u8),
}

impl Failure {
    /// A failed call.
    pub(crate) fn call(doing: impl Into<String>, source: Error) -> Self {
        Self::Call { doing: doing.into(), source: Box::new(source), advice: None, if_forbidden: None }
    }

    /// The same failure with other advice.
    pub(crate) fn advising(mut self, text: String) -> Self {
        if let Self::Call { advice, .. } = &mut self {
            *advice = Some(text);
        }
        self
    }

    /// Whether a server answered with this status and these words.
    pub(crate) fn is_answer(&self, status: u16, words: &str) -> bool {
        matches!(self, Self::Call { source, .. }
            if matches!(&**source, Error::Status(error) if error.status == status && error.says(words)))
    }

    /// The same failure with other advice for the case that the server forbids the call.
    pub(crate) fn if_forbidden(mut self, advice: &'static str) -> Self {
        if let Self::Call { if_forbidden, .. } = &mut self {
            *if_forbidden = Some(advice);
        }
        self
    }

    /// A failed file operation.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// The process's exit code: 1 for what is wrong here, 2 for what a server said or did not say.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } | Self::Stream(_) => 1,
            Self::Call { source, .. } => match **source {
                Error::Configuration(_) | Error::InvalidRequest { .. } => 1,
                _ => 2,
            },
            Self::NotFound { .. } | Self::Reply(_) => 2,
            Self::Quiet(code) => *code,
        }
    }
}

/// An error with what to try.
struct Told<'a> {
    error: &'a Error,
    advice: Option<&'a str>,
    if_forbidden: Option<&'static str>,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            Error::Status(error) => {
                answer(formatter, error)?;
                let advice = self.advice.or_else(|| hint(error, self.if_forbidden));
                advice.map_or(Ok(()), |advice| write!(formatter, "\n\n{advice}"))
            }
            Error::Unreachable { attempts, .. }
            | Error::Unanswered { attempts, .. }
            | Error::UnknownOutcome { attempts, answer: None, .. } => {
                write!(formatter, "{}", self.error)?;
                telling(attempts).and_then(advice).map_or(Ok(()), |advice| write!(formatter, "\n\n{advice}"))
            }
            other => write!(formatter, "{other}"),
        }
    }
}

/// The server's answer, laid out as scripts for Vault look for it.
fn answer(formatter: &mut fmt::Formatter<'_>, error: &StatusError) -> fmt::Result {
    let address = error.reply.address();
    write!(formatter, "Error making API request.\n\nURL: {} {address}/v1/{}", error.method, error.path)?;
    match raw(error) {
        Some(text) => write!(formatter, "\nCode: {}. Raw Message:\n\n* {text}", error.status)?,
        None => write!(formatter, "\nCode: {}. Errors:\n", error.status)?,
    }
    // What has only warnings is refused by way of them.
    let warnings = error.reply.warnings();
    let reasons = error.errors.iter().map(String::as_str);
    for reason in reasons.chain(warnings.into_iter().filter(|_| error.errors.is_empty())) {
        write!(formatter, "\n* {}", reason.trim())?;
    }
    // A batch that failed says why item by item.
    let results = error.reply.json()["data"]["batch_results"].as_array();
    for (number, result) in results.into_iter().flatten().enumerate() {
        if let Some(reason) = result["error"].as_str().filter(|reason| !reason.is_empty()) {
            write!(formatter, "\n* batch_input {number}: {}", reason.trim())?;
        }
    }
    Ok(())
}

/// The beginning of an answer that is none of the API: of a proxy, or of another kind of server.
fn raw(error: &StatusError) -> Option<String> {
    let is_of_the_api = !error.reply.json().is_null();
    let text = String::from_utf8_lossy(error.reply.bytes());
    let shown = text.trim().chars().filter(|character| !character.is_control() || *character == '\n');
    let shown: String = shown.take(RAW_CHARACTERS).collect();
    (!is_of_the_api && !shown.is_empty()).then_some(shown)
}

fn hint<'a>(error: &StatusError, if_forbidden: Option<&'a str>) -> Option<&'a str> {
    match error.status {
        300..400 => Some(
            "Only 307 is followed, and only to a known address. Does something in between redirect? Give the address of \
             the server itself, or let it pass requests on.",
        ),
        503 if error.says("is sealed") => Some(
            "Unseal the server first, share by share: `operator unseal`. A cluster that is new begins with `operator init`.",
        ),
        503 if error.says("could not be handed over") => {
            Some("Start or unseal another node, and try again; `operator members` shows how they are.")
        }
        503 if error.says("no leader") || error.says("confirms a leader") => Some(
            "The node is in contact with no leader: `status` says since when, `operator members` which nodes answer it.",
        ),
        403 => Some(forbidden(error, if_forbidden)),
        400 if raw(error).is_some_and(|text| text.contains("HTTP request to an HTTPS server")) => {
            Some("This server speaks TLS: write its address with https:// (VAULT_ADDR, -address).")
        }
        400 if error.says("failed to decrypt keys") => Some(NO_SHARE),
        // It says already which shares it takes.
        400 if error.says("about to join a cluster") => None,
        400 if error.says("already initialized") => {
            Some("Its shares were shown when that was done; `operator unseal` takes them.")
        }
        _ => None,
    }
}

/// What to try where the server forbids something.
fn forbidden<'a>(error: &StatusError, instead: Option<&'a str>) -> &'a str {
    if error.says("preflight capability check") {
        return "No engine is mounted there (`secrets list` shows them), or the token may do nothing there.";
    }
    if error.says("bad token") {
        return "The token that was asked about is wrong, expired or revoked.";
    }
    // Servers of this API count the reasons where a token works and may not do this, and only then.
    if error.says("error occurred") && !error.says("invalid token") {
        return "The token's policies do not allow this: `token capabilities` says what they do allow there.";
    }
    instead.unwrap_or("The token is wrong, expired or revoked, or its entity is disabled; `login` gets another.")
}

fn tls_advice(fault: TlsFault, address: &Address) -> Option<String> {
    let text = match fault {
        TlsFault::NotSpoken => {
            let plain = address.as_str().replacen("https://", "http://", 1);
            return Some(format!(
                "What listens at {address} does not speak TLS. If it is the server, write its address as {plain} \
                 (VAULT_ADDR, -address); tokens then travel in clear."
            ));
        }
        TlsFault::UnknownAuthority => {
            "No authority that is trusted here vouches for the server's certificate. Name the file of the authority that \
             does with -ca-cert or VAULT_CACERT."
        }
        TlsFault::OtherName => {
            "The server's certificate does not carry the name in the address. Write the address with a name that it \
             carries, or say which to expect with -tls-server-name or VAULT_TLS_SERVER_NAME."
        }
        TlsFault::OutOfTime => {
            "Is the clock of this machine right? If it is, the server needs a new certificate; it reads its files again \
             on the signal HUP."
        }
        TlsFault::AuthorityAsServer => {
            "The server shows a certificate that is an authority's. Make it one of its own, with \
             basicConstraints=critical,CA:FALSE."
        }
        TlsFault::OtherProtocol => {
            "What listens there speaks no HTTP. Is it the address for other nodes (cluster_addr)? Clients use the one of \
             the API (api_addr), by default one port below."
        }
        TlsFault::ClientCertificate => {
            "The server wants a certificate from an authority that it knows. Name yours with -client-cert and \
             -client-key, or VAULT_CLIENT_CERT and VAULT_CLIENT_KEY."
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The attempt that says most: a server that refuses a certificate is often seen to hang up and no more.
fn telling(attempts: &[Attempt]) -> Option<&Attempt> {
    attempts.iter().rev().find(|attempt| matches!(attempt.cause, Cause::Tls { .. })).or(attempts.last())
}

fn advice(attempt: &Attempt) -> Option<String> {
    let address = &attempt.address;
    match &attempt.cause {
        Cause::Refused => {
            Some(format!("Nothing listens at {address}. Is the server running, and is VAULT_ADDR or -address right?"))
        }
        Cause::Name => Some("Is the host name in VAULT_ADDR or -address spelled right?".to_owned()),
        Cause::Tls { fault, .. } => tls_advice(*fault, address),
        Cause::Lost(_) if !address.is_tls() => {
            Some(format!("If the server speaks TLS, write its address with https:// instead of {address}."))
        }
        Cause::Lost(_) => Some(format!(
            "{address} hung up. If the server demands a certificate of its clients, name yours with -client-cert and \
             -client-key, or VAULT_CLIENT_CERT and VAULT_CLIENT_KEY."
        )),
        Cause::Timeout => Some(format!("{address} does not answer; a firewall may drop the connection.")),
        _ => None,
    }
}
