//! CORS at the edge: whether a page of another origin may ask, and what its browser is told
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use std::sync::Arc;

use bytes::Bytes;
use conclave_vault::cors::Cors;
use http::HeaderMap;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN};
use http::request::Parts;

use crate::gateway::Outgoing;
use crate::http::error::failure;

/// Verbs that pages may use.
const METHODS: [&str; 8] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "LIST"];
/// How long a browser remembers what it was told, in seconds.
const REMEMBERED_SECS: &str = "300";

/// What follows from a request's origin.
pub(crate) enum Judged {
    /// It is served, and its reply has these headers too.
    Served(Vec<(String, String)>),
    /// It is answered with this.
    Answered(Box<Outgoing>),
}

/// Judges a request. The settings are asked for only if it names an origin.
pub(crate) fn judge(parts: &Parts, settings: impl FnOnce() -> Option<Arc<Cors>>) -> Judged {
    if !parts.headers.contains_key(ORIGIN) {
        return Judged::Served(Vec::new());
    }
    let Some(cors) = settings().filter(|cors| cors.is_enabled()) else { return Judged::Served(Vec::new()) };
    let Some(origin) = only(&parts.headers, &ORIGIN).filter(|origin| cors.allows(origin)) else {
        return Judged::Answered(Box::new(failure(403, &["origin not allowed"])));
    };
    let mut headers = vec![header("access-control-allow-origin", origin), header("vary", "Origin")];
    if cors.allow_credentials {
        headers.push(header("access-control-allow-credentials", "true"));
    }
    if parts.method != http::Method::OPTIONS {
        return Judged::Served(headers);
    }
    let wanted = only(&parts.headers, &ACCESS_CONTROL_REQUEST_METHOD).unwrap_or_default();
    if !METHODS.contains(&wanted) {
        let refused = Outgoing { status: 405, content_type: String::new(), headers: Vec::new(), body: Bytes::new() };
        return Judged::Answered(Box::new(refused));
    }
    headers.push(header("access-control-allow-methods", &METHODS.join(",")));
    headers.push(header("access-control-allow-headers", &cors.all_headers().collect::<Vec<_>>().join(",")));
    headers.push(header("access-control-max-age", REMEMBERED_SECS));
    Judged::Answered(Box::new(Outgoing { status: 200, content_type: String::new(), headers, body: Bytes::new() }))
}

/// The value of a header that comes once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: &str, headers: &[(&str, &str)], origins: &[&str]) -> (u16, Vec<(String, String)>) {
        let mut request = http::Request::builder().method(method).uri("/v1/secret/data/a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        match judge(&parts, || Some(Arc::new(Cors { origins, ..Cors::default() }))) {
            Judged::Served(headers) => (0, headers),
            Judged::Answered(outgoing) => (outgoing.status, outgoing.headers),
        }
    }

    fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    // check 251
    #[test]
    fn an_origin_is_allowed_whole_or_not_at_all() {
        for (origin, status) in [
            ("https://a.example", 0),
            ("https://a.example.evil.example", 403),
            ("https://evil-a.example", 403),
            ("http://a.example", 403),
            ("https://a.example:8443", 403),
            ("null", 403),
        ] {
            let (found, headers) = judged("GET", &[("origin", origin)], &["https://a.example"]);
            assert_eq!(found, status, "{origin}");
            let expected = (status == 0).then_some(origin);
            assert_eq!(value(&headers, "access-control-allow-origin"), expected, "{origin}");
        }
        let twice = [("origin", "https://a.example"), ("origin", "https://a.example")];
        assert_eq!(judged("GET", &twice, &["https://a.example"]).0, 403);
    }

    #[test]
    fn a_browser_that_asks_first_is_told_what_it_may() {
        let ask = |method| {
            judged("OPTIONS", &[("origin", "https://a.example"), ("access-control-request-method", method)], &["*"])
        };
        let (status, headers) = ask("PUT");
        assert_eq!((status, value(&headers, "access-control-max-age")), (200, Some("300")));
        assert!(value(&headers, "access-control-allow-headers").unwrap().contains("X-Vault-Token"));
        assert_eq!(value(&headers, "vary"), Some("Origin"));
        assert_eq!(ask("BREW").0, 405);
    }

    #[test]
    fn without_an_origin_or_while_it_is_off_nothing_changes() {
        assert_eq!(judged("GET", &[], &["*"]), (0, Vec::new()));
        assert_eq!(judged("OPTIONS", &[("origin", "https://a.example")], &[]), (0, Vec::new()));
    }
}
