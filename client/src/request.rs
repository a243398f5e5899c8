//! One logical request: what to ask, not whom.
//!
//! It is not an attempt: one request may be sent several times, to several nodes. What surprises: the effect is apart
//! from the method, because several POST requests of the API only read (`auth/token/lookup`, `sys/capabilities-self`).

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::Error;
pub(crate) use crate::method::Scope;
pub use crate::method::{Effect, Method};
use crate::secret::Secret;

/// Writes that a node does itself, besides those below `sys/storage/raft/`.
const ACTS: &[&str] = &["sys/init", "sys/unseal", "sys/seal", "sys/step-down"];

/// A request to be sent with [`Client::send`](crate::Client::send).
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) wrap_ttl: Option<String>,
    pub(crate) token: Option<Secret>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) effect: Effect,
    pub(crate) scope: Scope,
    pub(crate) any_status: bool,
    /// The same on each attempt, so that a server can tell a repeated write from a new one.
    pub(crate) key: Uuid,
}

impl Request {
    /// A request for `path`, which is written without `/v1/`, such as `secret/data/app`.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let path: String = path.into();
        Self {
            method,
            path: path.trim_start_matches('/').to_owned(),
            query: Vec::new(),
            body: None,
            wrap_ttl: None,
            token: None,
            headers: Vec::new(),
            effect: method.effect(),
            scope: Scope::Cluster,
            any_status: false,
            key: Uuid::new_v4(),
        }
    }

    /// A read of `path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::Get, path)
    }

    /// A listing of the names below `path`.
    pub fn list(path: impl Into<String>) -> Self {
        Self::new(Method::List, path)
    }

    /// A write to `path`.
    pub fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::Post, path).json(body)
    }

    /// A deletion of `path`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::Delete, path)
    }

    /// Adds one query parameter; it is encoded when sent.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sets the body. The bytes are wiped once the last attempt has let go of them.
    pub fn json(self, body: &Value) -> Self {
        self.bytes(body.to_string().into_bytes())
    }

    /// Sets a body that is not JSON, such as a snapshot.
    pub fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = Some(Bytes::from_owner(Zeroizing::new(body)));
        self
    }

    /// Asks for the reply to be wrapped in a one-use token that lives this long (`60s`, `5m`).
    pub fn wrap_ttl(mut self, ttl: impl Into<String>) -> Self {
        self.wrap_ttl = Some(ttl.into());
        self
    }

    /// Uses this token instead of the client's.
    pub fn token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Adds a header. Of those that this client sets itself, `Content-Type` alone can be replaced.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Says that this request changes nothing although its method could, so that it may be repeated freely.
    pub fn reads_only(mut self) -> Self {
        self.effect = Effect::Read;
        self
    }

    /// Says that the answer is about one node: it goes to the first address only, and a sealed node's answer counts.
    pub fn about_one_node(mut self) -> Self {
        self.scope = Scope::Node;
        self
    }

    /// Whether a server that remembers writes can remember this one: not an act of a node itself, which leaves no record
    /// in the cluster, so that a second request would act a second time.
    pub(crate) fn is_remembered(&self) -> bool {
        let path = self.path.trim_end_matches('/');
        let is_act = ACTS.contains(&path) || path.starts_with("sys/storage/raft/");
        self.scope == Scope::Cluster && !is_act
    }

    /// Whether the answer is about one node.
    pub fn is_about_one_node(&self) -> bool {
        self.scope == Scope::Node
    }

    /// Hands every status back as a reply instead of an error.
    pub fn any_status(mut self) -> Self {
        self.any_status = true;
        self
    }

    /// The verb.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path, without `/v1/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The body as it will be sent.
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// The headers that were added.
    pub fn extra_headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// How long the reply's wrapping token should live, if one is asked for.
    pub fn wanted_wrap_ttl(&self) -> Option<&str> {
        self.wrap_ttl.as_deref()
    }

    /// The path and query as they stand in the URL, beginning with `/v1/`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the path is empty, too long, or holds `.`, `..` or control characters.
    pub fn target(&self) -> Result<String, Error> {
        if let Some(reason) = refusal(&self.path) {
            return Err(self.invalid(reason));
        }
        let mut target = String::from("/v1/");
        for (number, segment) in self.path.split('/').enumerate() {
            if number > 0 {
                target.push('/');
            }
            encode(segment, &mut target);
        }
        if self.method == Method::List && !target.ends_with('/') {
            target.push('/');
        }
        let list = (self.method == Method::List).then_some(("list", "true"));
        let pairs = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (number, (name, value)) in list.into_iter().chain(pairs).enumerate() {
            target.push(if number == 0 { '?' } else { '&' });
            encode(name, &mut target);
            target.push('=');
            encode(value, &mut target);
        }
        Ok(target)
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> Error {
        Error::InvalidRequest { method: self.method, path: self.path.clone(), reason: reason.into() }
    }

    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::MalformedReply {
            method: self.method,
            path: self.path.clone(),
            reason: reason.into(),
            effect: self.effect,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body, the token, the query and the headers may hold secrets.
        write!(formatter, "Request({} {})", self.method, self.path)
    }
}

const MAX_PATH_BYTES: usize = 8 * 1024;

fn refusal(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("the path is empty");
    }
    if path.len() > MAX_PATH_BYTES {
        return Some("the path is longer than 8192 bytes");
    }
    if path.chars().any(char::is_control) {
        return Some("the path holds a control character");
    }
    // A URL library would resolve these and so send a request for another path than the one written.
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Some("the path holds a segment `.` or `..`; write the path that is meant");
    }
    None
}

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3.
fn encode(text: &str, target: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_encoded_but_keeps_its_slashes() {
        let request = Request::get("secret/data/a b?c/ü").query("version", "1&2");
        assert_eq!(request.target().unwrap(), "/v1/secret/data/a%20b%3Fc/%C3%BC?version=1%262");
    }

    #[test]
    fn a_list_is_a_get_with_a_slash_at_the_end() {
        let request = Request::list("secret/metadata/app");
        assert_eq!(
            (request.method().verb(), request.target().unwrap().as_str()),
            ("GET", "/v1/secret/metadata/app/?list=true")
        );
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        assert!(Request::get("secret/../sys/seal").target().is_err());
    }

    #[test]
    fn debug_of_a_request_shows_no_body() {
        let request = Request::post("secret/data/app", &serde_json::json!({"data": {"word": "canary"}}));
        assert!(!format!("{request:?}").contains("canary"));
    }
}
