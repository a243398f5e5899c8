//! Messages to web servers outside, such as those that publish keys: what a handler asks, and the node sends.
//!
//! What surprises: an answer may be one that the node has from before, so that a set of keys is not fetched for every login.
//! How old it may be is part of the question, so who needs a newer one asks again with less.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::context::Context;
use crate::errand::OutsideCall;
use crate::error::Error;
use crate::json;
use crate::limits::{MAX_TARGET_BYTES, MAX_URL_BYTES};

/// The word of the way by which the node sends them.
pub const WEB: &str = "web";

/// A request to a web server. Has no `Debug`: it may hold secrets.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct WebRequest {
    /// `GET` or `POST`.
    #[prost(string, tag = "1")]
    pub method: String,
    /// `https://…`, or `http://…` where the node allows that.
    #[prost(string, tag = "2")]
    pub url: String,
    /// Header lines.
    #[prost(btree_map = "string, string", tag = "3")]
    pub headers: BTreeMap<String, String>,
    /// What is sent with it.
    #[prost(bytes = "vec", tag = "4")]
    pub body: Vec<u8>,
    /// The authorities that the server's certificate must come from, in PEM; empty is the system's.
    #[prost(string, tag = "5")]
    pub ca_pem: String,
    /// How old an answer from before may be, in seconds; 0 always asks.
    #[prost(uint64, tag = "6")]
    pub max_age_secs: u64,
    /// Whether the node's own service account in Kubernetes, if it runs with one, is the bearer in place of the header line.
    #[prost(bool, tag = "7")]
    pub is_from_pod: bool,
    /// Whether that account's authorities, if it runs with one, are believed in place of the system's.
    #[prost(bool, tag = "8")]
    pub trusts_pod: bool,
}

impl Drop for WebRequest {
    fn drop(&mut self) {
        self.body.zeroize();
        self.headers.values_mut().for_each(Zeroize::zeroize);
    }
}

/// What a web server answered.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct WebReply {
    /// The status code.
    #[prost(uint32, tag = "1")]
    pub status: u32,
    /// The body.
    #[prost(bytes = "vec", tag = "2")]
    pub body: Vec<u8>,
}

impl Drop for WebReply {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

impl WebReply {
    /// The body as a JSON object, if it is one.
    pub(crate) fn object(&self) -> Option<Map<String, Value>> {
        json::parse_object(&self.body).ok()?
    }
}

impl WebRequest {
    /// A question for what is at a URL, which may have been answered before.
    pub(crate) fn get(url: &str, ca_pem: &str, max_age_secs: u64) -> Self {
        let (method, url, ca_pem) = ("GET".to_owned(), url.to_owned(), ca_pem.to_owned());
        Self {
            method,
            url,
            headers: BTreeMap::new(),
            body: Vec::new(),
            ca_pem,
            max_age_secs,
            is_from_pod: false,
            trusts_pod: false,
        }
    }
}

/// Host and port of a URL as it has them; `None` if it is no URL that is sent to: another scheme, a user, a fragment, or
/// something that two readers could understand in two ways.
fn authority(url: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>' | b'`');
    if url.len() > MAX_URL_BYTES || !url.bytes().all(is_plain) {
        return None;
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?']).next()?;
    let is_known = !authority.is_empty() && !authority.contains('@') && authority.len() <= MAX_TARGET_BYTES;
    is_known.then_some(authority)
}

/// A text as a part of a URL's query or of a form (RFC 3986, section 2.3).
pub(crate) fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

/// Refuses what is no URL of a web server.
pub(crate) fn check_url(field: &str, url: &str) -> Result<(), Error> {
    match authority(url) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(format!("{field} must be a URL such as https://host.example/path"))),
    }
}

impl Context<'_> {
    /// What a web server answers; ends the run as [`Context::ask_outside`] does.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unavailable`] if nothing was answered, [`crate::error::ErrorKind::Invalid`] if the URL is none.
    pub(crate) fn ask_web(&mut self, request: &WebRequest) -> Result<WebReply, Error> {
        let target = authority(&request.url).ok_or_else(|| Error::invalid("a URL that was learnt outside is none"))?;
        let message = request.encode_to_vec();
        let answer = self.ask_outside(OutsideCall { way: WEB, target: target.to_owned(), message })?;
        WebReply::decode(answer.as_slice()).map_err(|error| Error::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_have_an_authority() {
        for (url, expected) in [
            ("https://a.example", Some("a.example")),
            ("https://a.example:8443/x?y=@z", Some("a.example:8443")),
            ("http://[::1]:80/", Some("[::1]:80")),
            ("https://", None),
            ("https:///x", None),
            ("file:///etc/passwd", None),
            ("/etc/passwd", None),
            ("https://u:p@a.example/", None),
            ("https://a.example\\@b.example/", None),
            ("https://a.example/#x", None),
            ("https://a.example/ x", None),
            ("https://a.exämple/", None),
        ] {
            assert_eq!(authority(url), expected, "{url}");
        }
    }
}
