//! From a request line, headers and body to what the core is asked: one canonical path, one operation, one set of data.
//!
//! Refuses, never repairs, with one exception that clients need: doubled slashes are answered with the address that has
//! single ones, on the same origin.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conclave_vault::{Bounded, CanonicalPath, Operation, Request};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Uri};
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Limits;
use crate::gateway::{Incoming, Noted, Outgoing};
use crate::http::error::failure;
use crate::http::header::{self, Said};
use crate::http::query;
use crate::paths::{self, Class, OwnPath};

/// A request without its body.
pub struct Head {
    /// Its id.
    pub id: String,
    /// The verb.
    pub method: String,
    /// What is asked for.
    pub operation: Operation,
    /// Where.
    pub path: CanonicalPath,
    /// What the headers say.
    pub said: Said,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// Those of them that are data.
    data: Map<String, Value>,
}

/// Reads everything but the body, or answers what is wrong.
pub fn head(parts: &Parts, limits: &Limits) -> Result<Head, Outgoing> {
    let rest = below_v1(&parts.uri)?;
    let method = parts.method.as_str();
    refuse_verb(method)?;
    if rest.starts_with('/') || rest.contains("//") {
        return Err(collapsed(&parts.uri));
    }
    let path = CanonicalPath::decode(rest).map_err(|error| failure(400, &[&error.to_string()]))?;
    let said = header::read(&parts.headers, limits)?;
    let query = query::decode(parts.uri.query().unwrap_or(""), limits.query_parameters).map_err(|_| {
        failure(400, &[&format!("the query is not valid, or has more than {} parameters", limits.query_parameters)])
    })?;
    let (operation, flag) = operation(method, &query)?;
    if has_body(operation) {
        check_body_headers(method, &parts.headers)?;
    }
    let data = match operation {
        Operation::Update | Operation::Patch | Operation::Help => Map::new(),
        _ => query::as_data(query.iter().filter(|(name, _)| Some(name.as_str()) != flag)),
    };
    let path = if operation.is_list() { path.into_folder() } else { path };
    Ok(Head { id: Uuid::new_v4().to_string(), method: method.to_owned(), operation, path, said, query, data })
}

/// Exactly one `Host` in HTTP/1.1, and never two; in HTTP/2 `:authority` or `Host`, and the same in both: what stands between
/// may have gone by the other (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
pub fn check_host(parts: &Parts) -> Result<(), Outgoing> {
    let hosts = parts.headers.get_all(http::header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == http::Version::HTTP_11) {
        return Err(failure(400, &["a request has exactly one Host header"]));
    }
    if parts.version != http::Version::HTTP_2 {
        return Ok(());
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (authority, parts.headers.get(http::header::HOST)) {
        (None, None) => Err(failure(400, &["a request has :authority or a Host header"])),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host.as_bytes()) => {
            Err(failure(400, &["the Host header and :authority differ"]))
        }
        _ => Ok(()),
    }
}

/// The part of the path that the core sees, still escaped.
fn below_v1(uri: &Uri) -> Result<&str, Outgoing> {
    uri.path().strip_prefix("/v1/").ok_or_else(|| failure(404, &[]))
}

fn refuse_verb(method: &str) -> Result<(), Outgoing> {
    match method {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "LIST" | "SCAN" | "HEAD" => Ok(()),
        // Only CORS has a use for it, and CORS is off.
        "OPTIONS" => Err(failure(400, &["cannot handle internal-only request operation"])),
        _ => Err(failure(405, &[])),
    }
}

/// The address with single slashes. Relative and below `/v1/`, so it never leads elsewhere; 307 keeps verb and body.
fn collapsed(uri: &Uri) -> Outgoing {
    let mut location = String::with_capacity(uri.path().len());
    for c in uri.path().chars() {
        if !(c == '/' && location.ends_with('/')) {
            location.push(c);
        }
    }
    if let Some(query) = uri.query() {
        location.push('?');
        location.push_str(query);
    }
    let mut outgoing = failure(307, &[]);
    outgoing.headers.push(("location".into(), location));
    outgoing
}

/// The operation, and the query parameter that chose it.
fn operation(method: &str, query: &[(String, String)]) -> Result<(Operation, Option<&'static str>), Outgoing> {
    if query.iter().any(|(name, value)| name == "help" && !value.is_empty()) {
        return Ok((Operation::Help, None));
    }
    Ok(match method {
        "GET" => match (flag(query, "list")?, flag(query, "scan")?) {
            (true, true) => return Err(failure(400, &[])),
            (true, false) => (Operation::List, Some("list")),
            (false, true) => (Operation::Scan, Some("scan")),
            (false, false) => (Operation::Read, None),
        },
        "LIST" => (Operation::List, None),
        "SCAN" => (Operation::Scan, None),
        "HEAD" => (Operation::Header, None),
        "DELETE" => (Operation::Delete, None),
        "PATCH" => (Operation::Patch, None),
        _ => (Operation::Update, None),
    })
}

fn flag(query: &[(String, String)], name: &str) -> Result<bool, Outgoing> {
    let value = query.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    conclave_vault::boolean(&Value::from(value)).ok_or_else(|| failure(400, &[]))
}

/// Whether a body counts; others are thrown away.
pub fn has_body(operation: Operation) -> bool {
    matches!(operation, Operation::Update | Operation::Create | Operation::Patch)
}

fn check_body_headers(method: &str, headers: &HeaderMap) -> Result<(), Outgoing> {
    if headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return Err(failure(415, &["a body with a Content-Encoding is not accepted; send it uncompressed"]));
    }
    let given = content_type(headers);
    if method == "PATCH" && !is_media_type(given, "application/merge-patch+json") {
        let message =
            format!("PATCH requires Content-Type of application/merge-patch+json, provided {}", essence(given));
        return Err(failure(415, &[&message]));
    }
    Ok(())
}

/// The media type as it was sent; empty if it was not.
pub fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// A media type without its parameters (RFC 9110, section 8.3.1).
fn essence(given: &str) -> &str {
    given.split(';').next().unwrap_or("").trim()
}

fn is_media_type(given: &str, wanted: &str) -> bool {
    essence(given).eq_ignore_ascii_case(wanted)
}

/// A body's data.
pub struct Data {
    /// Its fields.
    pub fields: Map<String, Value>,
    /// Whether there were any to speak of.
    pub is_there: bool,
    /// How long it was.
    pub bytes: usize,
}

/// A whole body, of which it is known what its fields will take.
pub enum Body {
    /// A form; its fields are few.
    Form(Zeroizing<Vec<u8>>),
    /// An OCSP request in DER (RFC 6960, appendix A.1), which is the one field `request` in base 64.
    Ocsp(Zeroizing<Vec<u8>>),
    /// JSON.
    Json {
        /// The document.
        document: Bounded<Zeroizing<Vec<u8>>>,
        /// How long it is, in bytes.
        bytes: usize,
    },
}

impl Body {
    /// Looks at a body, and refuses what is neither.
    pub fn new(body: Zeroizing<Vec<u8>>, content_type: &str) -> Result<Self, Outgoing> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        // Clients send JSON under any type, so what the body begins with counts more than what it is called.
        let is_json = matches!(first, None | Some(b'{' | b'['));
        if !is_json && is_media_type(content_type, "application/x-www-form-urlencoded") {
            return Ok(Self::Form(body));
        }
        if !is_json && is_media_type(content_type, "application/ocsp-request") {
            return Ok(Self::Ocsp(body));
        }
        let bytes = body.len();
        let document = Bounded::new(body).map_err(|error| failure(400, &[&error.to_string()]))?;
        Ok(Self::Json { document, bytes })
    }

    /// What its fields take beside it, in bytes, at most.
    pub fn decoded_bytes(&self) -> usize {
        match self {
            Self::Form(body) => body.len(),
            Self::Ocsp(body) => 2 * body.len(),
            Self::Json { document, .. } => document.decoded_bytes(),
        }
    }

    /// Reads its fields.
    pub fn decode(self, most_fields: usize) -> Result<Data, Outgoing> {
        match self {
            Self::Form(body) => {
                let text = std::str::from_utf8(&body).ok();
                let fields = text.and_then(|text| query::decode(text, most_fields).ok());
                let fields = fields.ok_or_else(|| failure(400, &["error parsing form data"]))?;
                Ok(Data { fields: query::as_form(fields), is_there: true, bytes: body.len() })
            }
            Self::Ocsp(body) => {
                let fields = Map::from_iter([("request".to_owned(), STANDARD.encode(&*body).into())]);
                Ok(Data { fields, is_there: true, bytes: body.len() })
            }
            Self::Json { document, bytes } => match document.into_object() {
                Ok(Some(fields)) => Ok(Data { fields, is_there: true, bytes }),
                Ok(None) => Ok(Data { fields: Map::new(), is_there: false, bytes }),
                Err(error) => Err(failure(400, &[&error.to_string()])),
            },
        }
    }
}

impl Head {
    /// Which places this request may take.
    pub fn class(&self) -> Class {
        // Help is for people, and an unsealed node answers it as any other question.
        if self.operation == Operation::Help {
            return Class::Ordinary;
        }
        paths::class(self.path.as_str(), has_body(self.operation))
    }

    /// Whether its reply may be remembered by its `Idempotency-Key`: not of what this node does itself, which leaves no
    /// record that a second request could find.
    pub fn may_be_remembered(&self) -> bool {
        !paths::is_act(self.path.as_str())
    }

    /// How large its body may be, in bytes.
    pub fn body_limit(&self, limits: &Limits, listener_bytes: usize) -> usize {
        match (paths::own(self.path.as_str()), &self.said.token) {
            (Some(OwnPath::Unseal), _) => limits.unseal_body_bytes.min(listener_bytes),
            (_, None) => limits.body_bytes_without_token.min(listener_bytes),
            (_, Some(_)) => listener_bytes,
        }
    }

    /// With its body's data, ready for the gateway.
    pub fn into_incoming(
        self,
        body: Option<Data>,
        client: IpAddr,
        certificates: Arc<[Vec<u8>]>,
        deadline: Instant,
        noted: Noted,
    ) -> Incoming {
        let Data { fields: data, is_there: has_body, bytes: body_bytes } =
            body.unwrap_or(Data { fields: self.data, is_there: false, bytes: 0 });
        let request = Request {
            id: self.id,
            operation: self.operation,
            path: self.path,
            namespace: self.said.namespace,
            data,
            has_body,
            token: self.said.token,
            wrap_ttl: self.said.wrap_ttl,
            idempotency_key: self.said.idempotency_key,
            remote_address: Some(client),
            client_certificates: certificates,
        };
        Incoming {
            request,
            method: self.method,
            query: self.query,
            consistency: self.said.consistency,
            wanted_indexes: self.said.wanted_indexes,
            body_bytes,
            deadline,
            noted,
        }
    }
}

#[cfg(test)]
mod tests;
