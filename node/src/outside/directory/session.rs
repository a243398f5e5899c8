//! A connection to a directory, and the requests that are made on it, one after the other.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use ldap3_proto::LdapCodec;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapExtendedRequest, LdapFilter, LdapMsg, LdapOp, LdapResult,
    LdapResultCode, LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::Framed;

use crate::config::limits::{MAX_LDAP_DEPTH, MAX_START_TLS_BYTES};

/// The name of StartTLS (RFC 4511, section 4.14.1).
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// What a conversation is spoken over.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// What a directory may take up.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Time for one answer, or for one part of it.
    pub(super) request_time: Duration,
    /// All entries of a conversation, and each message of it, in bytes.
    pub(super) answer_bytes: usize,
}

pub(super) struct Session {
    framed: Framed<Box<dyn Wire>, LdapCodec>,
    last_id: i32,
    bounds: Bounds,
    entry_bytes: usize,
}

/// What is searched.
pub(super) struct Search<'a> {
    pub(super) base: &'a str,
    pub(super) is_subtree: bool,
    pub(super) dereference: u32,
    /// Most entries; 0 is without limit.
    pub(super) most: i32,
    pub(super) filter: LdapFilter,
    pub(super) attribute: &'a str,
    /// How many entries are asked for at a time; 0 is all at once.
    pub(super) page_entries: u32,
}

/// What was found, and how the search ended.
pub(super) struct Searched {
    pub(super) entries: Vec<LdapSearchResultEntry>,
    pub(super) end: LdapResult,
}

/// Has a server agree to encryption. It may have said nothing else yet: what arrives before the handshake was not encrypted, and
/// must not be taken for a part of what is (RFC 4511, section 6.5 of RFC 4513).
pub(super) async fn start_tls(stream: TcpStream, time: Duration) -> Result<TcpStream, String> {
    let mut framed = Framed::new(stream, codec(MAX_START_TLS_BYTES));
    let request = LdapOp::ExtendedRequest(LdapExtendedRequest { name: START_TLS.to_owned(), value: None });
    let exchange = async {
        framed.send(LdapMsg { msgid: 1, op: request, ctrl: Vec::new() }).await?;
        framed.next().await.transpose()
    };
    let answer = timeout(time, exchange).await.map_err(|_| "it did not answer in time")?;
    match answer {
        Ok(Some(LdapMsg { msgid: 1, op: LdapOp::ExtendedResponse(response), .. }))
            if response.res.code == LdapResultCode::Success => {}
        _ => return Err("it does not start TLS".into()),
    }
    let parts = framed.into_parts();
    match parts.read_buf.is_empty() {
        true => Ok(parts.io),
        false => Err("it sent something unencrypted after it agreed to TLS".into()),
    }
}

fn codec(most_bytes: usize) -> LdapCodec {
    LdapCodec::new(Some(most_bytes), Some(MAX_LDAP_DEPTH))
}

impl Session {
    pub(super) fn new(stream: Box<dyn Wire>, bounds: Bounds) -> Self {
        Self { framed: Framed::new(stream, codec(bounds.answer_bytes)), last_id: 0, bounds, entry_bytes: 0 }
    }

    /// Binds by a name and a password (RFC 4511, section 4.2). Both empty is nobody.
    pub(super) async fn bind(&mut self, name: &str, password: &str) -> Result<LdapResult, String> {
        let cred = LdapBindCred::Simple(password.to_owned());
        let request = LdapBindRequest { version: 3, dn: name.to_owned(), cred };
        self.send(LdapOp::BindRequest(request), Vec::new()).await?;
        match self.receive().await?.op {
            LdapOp::BindResponse(response) => Ok(response.res),
            _ => Err(no_directory()),
        }
    }

    /// Searches, page after page if that is wanted (RFC 2696).
    pub(super) async fn search(&mut self, search: &Search<'_>) -> Result<Searched, String> {
        let (mut entries, mut cookie) = (Vec::new(), Vec::new());
        loop {
            let control = LdapControl::SimplePagedResults { size: search.page_entries.into(), cookie };
            let controls = if search.page_entries > 0 { vec![control] } else { Vec::new() };
            self.send(LdapOp::SearchRequest(request(search)), controls).await?;
            let (end, controls) = self.take_entries(&mut entries).await?;
            let next = controls.into_iter().find_map(|control| match control {
                LdapControl::SimplePagedResults { cookie, .. } if !cookie.is_empty() => Some(cookie),
                _ => None,
            });
            match next {
                Some(next) if end.code == LdapResultCode::Success && search.page_entries > 0 => cookie = next,
                _ => return Ok(Searched { entries, end }),
            }
        }
    }

    async fn take_entries(
        &mut self,
        entries: &mut Vec<LdapSearchResultEntry>,
    ) -> Result<(LdapResult, Vec<LdapControl>), String> {
        loop {
            let message = self.receive().await?;
            match message.op {
                LdapOp::SearchResultEntry(entry) => {
                    self.entry_bytes += entry.size();
                    if self.entry_bytes > self.bounds.answer_bytes {
                        return Err(format!("what it found is longer than {} bytes", self.bounds.answer_bytes));
                    }
                    entries.push(entry);
                }
                // What lies on other servers is not looked for.
                LdapOp::SearchResultReference(_) => {}
                LdapOp::SearchResultDone(end) => return Ok((end, message.ctrl)),
                _ => return Err(no_directory()),
            }
        }
    }

    async fn send(&mut self, op: LdapOp, ctrl: Vec<LdapControl>) -> Result<(), String> {
        self.last_id += 1;
        let sending = self.framed.send(LdapMsg { msgid: self.last_id, op, ctrl });
        let sent = timeout(self.bounds.request_time, sending).await.map_err(|_| late())?;
        sent.map_err(|_| "it closed the connection".into())
    }

    async fn receive(&mut self) -> Result<LdapMsg, String> {
        let received = timeout(self.bounds.request_time, self.framed.next()).await.map_err(|_| late())?;
        let message = received.ok_or("it closed the connection")?.map_err(|_| no_directory())?;
        match message.msgid {
            id if id == self.last_id => Ok(message),
            // A notice that it is about to (RFC 4511, section 4.4.1).
            0 => Err("it closed the connection".into()),
            _ => Err(no_directory()),
        }
    }
}

fn request(search: &Search<'_>) -> LdapSearchRequest {
    LdapSearchRequest {
        base: search.base.to_owned(),
        scope: if search.is_subtree { LdapSearchScope::Subtree } else { LdapSearchScope::Base },
        aliases: match search.dereference {
            1 => LdapDerefAliases::InSearching,
            2 => LdapDerefAliases::FindingBaseObj,
            3 => LdapDerefAliases::Always,
            _ => LdapDerefAliases::Never,
        },
        sizelimit: search.most,
        timelimit: 0,
        typesonly: false,
        filter: search.filter.clone(),
        attrs: vec![search.attribute.to_owned()],
    }
}

fn no_directory() -> String {
    "it did not answer as a directory does, or its answer is too long".into()
}

fn late() -> String {
    "it did not answer in time (request_timeout)".into()
}
