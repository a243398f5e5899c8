//! A server that runs already and speaks Vault's API.

use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use super::Subject;
use crate::arguments::RunOptions;
use crate::connection::Target;
use crate::error::BenchError;
use crate::request::{Dialect, Operation};

/// The variable with the token.
const TOKEN: &str = "BENCH_OTHER_TOKEN";

/// The server that the options name, if they name one. The secret that is read is written to it.
pub(crate) async fn subject(options: &RunOptions) -> Result<Option<Subject>, BenchError> {
    let Some(other) = &options.other else { return Ok(None) };
    let token = std::env::var(TOKEN).ok().and_then(|token| HeaderValue::from_str(&token).ok());
    let mut token = token.ok_or_else(|| BenchError::Settings(format!("set {TOKEN} to a token of {}", other.name)))?;
    token.set_sensitive(true);
    let target = match (&options.other_ca, other.is_tls) {
        (_, false) => Target::plain(&other.authority),
        (Some(path), true) => {
            let pem = fs::read_to_string(path).map_err(BenchError::system("reading the authority"))?;
            Target::tls(&other.authority, &pem)?
        }
        (None, true) => return Err(BenchError::Settings("a server with TLS needs --other-ca".to_owned())),
    };
    // What an earlier run left there must not be met again.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = u64::try_from(since_epoch.as_nanos()).unwrap_or_default();
    let subject = Subject {
        name: other.name.clone(),
        target,
        dialect: Dialect::Vault { token },
        processes: Vec::new(),
        writes: Arc::new(first.into()),
        gauges: Vec::new(),
    };
    subject.send(Operation::WriteTheReadOne).await?;
    Ok(Some(subject))
}
