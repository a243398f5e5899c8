//! The way to directories (LDAP, RFC 4511): one question is one connection and one conversation.
//!
//! The servers of a directory are tried in order, until one can be spoken with. Referrals are not followed: where passwords go is
//! what somebody configured. What surprises: what a directory does not do as the configuration supposes is an answer, which
//! the request is refused with, and no failure of the way.

mod conversation;
mod filter;
mod session;
mod tls;

#[cfg(test)]
mod tests;

use std::time::Duration;

use conclave_vault::{DirectoryAnswer, DirectoryQuestion, DirectoryServers, DirectoryVerdict};
use futures::future::BoxFuture;
use http::Uri;
use prost::Message;
use zeroize::Zeroizing;

use crate::config::{Limits, Outbound};
use crate::outside::Way;
use crate::outside::address::{self, Endpoint};
use crate::outside::directory::session::Session;

const LDAP_IS_PLAIN: &str = "ldap:// without StartTLS is for this machine and for what outbound in the configuration allows; use ldaps:// or starttls";
/// Requests of one conversation, as the time for one question counts them; there are more only if groups come in pages.
const USUAL_REQUESTS: u64 = 6;

/// Asks directories.
pub(crate) struct Directories {
    outbound: Outbound,
    answer_bytes: usize,
}

/// Why a conversation ends early.
pub(super) enum End {
    /// It broke off: another server may do.
    Broken(String),
    /// There is an answer.
    Answered(DirectoryAnswer),
}

impl From<String> for End {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl From<&str> for End {
    fn from(reason: &str) -> Self {
        Self::Broken(reason.to_owned())
    }
}

impl End {
    /// The directory is not as the configuration supposes.
    fn misconfigured(reason: impl Into<String>) -> Self {
        Self::Answered(DirectoryAnswer::ended(DirectoryVerdict::Misconfigured, reason))
    }
}

impl Directories {
    pub(crate) fn new(outbound: Outbound, limits: &Limits) -> Self {
        Self { outbound, answer_bytes: limits.outside_answer_bytes }
    }

    async fn answer(&self, question: &DirectoryQuestion) -> Result<DirectoryAnswer, End> {
        let session = self.open(&question.servers).await?;
        conversation::hold(session, question).await
    }

    /// A connection to the first server that can be spoken with.
    async fn open(&self, servers: &DirectoryServers) -> Result<Session, End> {
        let mut reason = "url names no server".to_owned();
        for url in &servers.urls {
            match self.open_one(servers, url).await {
                Err(End::Broken(why)) => reason = why,
                opened => return opened,
            }
        }
        Err(End::Broken(reason))
    }

    async fn open_one(&self, servers: &DirectoryServers, url: &str) -> Result<Session, End> {
        let (server, is_tls) = server(url)?;
        let is_encrypted = is_tls || servers.starts_tls;
        let config = if is_encrypted { Some(tls::config(servers)?) } else { None };
        let plain = (!is_encrypted).then_some(LDAP_IS_PLAIN);
        let endpoint = Endpoint { host: &server.0, port: server.1, plain };
        let time = Duration::from_secs(servers.connect_secs);
        let stream = address::connect(&self.outbound, &endpoint, time).await?;
        let bounds = session::Bounds {
            request_time: Duration::from_secs(servers.request_secs),
            answer_bytes: self.answer_bytes,
        };
        let Some(config) = config else { return Ok(Session::new(Box::new(stream), bounds)) };
        let stream = if is_tls { stream } else { session::start_tls(stream, time).await? };
        let stream = tls::shake_hands(config, &server.0, stream, time).await?;
        Ok(Session::new(Box::new(stream), bounds))
    }
}

/// Host and port of a URL, and whether it is encrypted from the first byte.
fn server(url: &str) -> Result<((String, u16), bool), End> {
    let none = || End::misconfigured("url must hold servers such as ldaps://directory.example:636");
    let uri: Uri = url.parse().map_err(|_| none())?;
    let is_tls = match uri.scheme_str() {
        Some("ldaps") => true,
        Some("ldap") => false,
        _ => return Err(none()),
    };
    let has_more = uri.path_and_query().is_some_and(|rest| !matches!(rest.as_str(), "" | "/"));
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(none)?;
    if has_more || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(none());
    }
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).to_owned();
    Ok(((host, uri.port_u16().unwrap_or(if is_tls { 636 } else { 389 })), is_tls))
}

impl Way for Directories {
    fn reach<'a>(&'a self, _: &'a str, message: &'a [u8]) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, String>> {
        Box::pin(async move {
            let question = DirectoryQuestion::decode(message).map_err(|_| "the message is none of a directory")?;
            match self.answer(&question).await {
                Ok(answer) | Err(End::Answered(answer)) => Ok(Zeroizing::new(answer.encode_to_vec())),
                Err(End::Broken(reason)) => Err(reason),
            }
        })
    }

    fn time(&self, message: &[u8]) -> Option<Duration> {
        let question = DirectoryQuestion::decode(message).ok()?;
        let servers = &question.servers;
        let connect_secs = servers.connect_secs.saturating_mul(servers.urls.len() as u64);
        let request_secs = servers.request_secs.saturating_mul(USUAL_REQUESTS);
        Some(Duration::from_secs(connect_secs.saturating_add(request_secs)))
    }
}
