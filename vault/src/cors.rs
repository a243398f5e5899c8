//! Which web pages may ask (Cross-Origin Resource Sharing, <https://fetch.spec.whatwg.org/#http-cors-protocol>). The core keeps
//! the settings, HTTP obeys them.

use std::sync::Arc;

use prost::Message;

use crate::error::Error;
use crate::store::{Store, decode};

/// Where the settings lie in the system area.
const CORS: &[&str] = &["core", "cors"];
/// Headers that every page may send.
pub(crate) const STANDARD_HEADERS: [&str; 10] = [
    "Content-Type",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Vault-Policy-Override",
    "Authorization",
    "X-Vault-Token",
];

/// The settings; without origins, no page of another origin may ask.
#[derive(Clone, PartialEq, Message)]
pub struct Cors {
    /// Origins whose pages may ask, as browsers spell them, or `*` alone.
    #[prost(string, repeated, tag = "1")]
    pub origins: Vec<String>,
    /// Headers that those pages may send besides the usual ones.
    #[prost(string, repeated, tag = "2")]
    pub headers: Vec<String>,
    /// Whether browsers may send what they keep for this server, such as client certificates.
    #[prost(bool, tag = "3")]
    pub allow_credentials: bool,
}

impl Cors {
    /// Whether pages of other origins may ask at all.
    pub fn is_enabled(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Whether pages of this origin may ask.
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }

    /// All headers that pages may send.
    pub fn all_headers(&self) -> impl Iterator<Item = &str> {
        STANDARD_HEADERS.into_iter().chain(self.headers.iter().map(String::as_str))
    }
}

/// The settings.
pub fn load(store: &mut Store<'_>) -> Result<Arc<Cors>, Error> {
    let system = store.system();
    store.get_cached_or_default(&system, CORS, decode)
}

/// Stores the settings, which the caller checked.
pub(crate) fn put(store: &mut Store<'_>, cors: &Cors) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, CORS, cors)
}

/// Turns it off.
pub(crate) fn clear(store: &mut Store<'_>) {
    let system = store.system();
    store.delete(&system, CORS);
}
