//! From an answer to bytes: the headers that every reply has, and what is echoed.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::config::Listener;
use crate::gateway::Outgoing;

/// How long browsers remember to use TLS: one year, in seconds (RFC 6797).
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// After how many seconds a client may ask again. Without it Vault's clients give up after three tries within five
/// seconds, which a change of leader may outlast; with it they wait for as long as they are told.
fn pause_secs(status: u16) -> Option<&'static str> {
    match status {
        429 => Some("1"),
        503 => Some("2"),
        _ => None,
    }
}

/// What a reply repeats of its request.
#[derive(Default)]
pub struct Echo {
    /// The namespace header, if one was sent.
    pub namespace: Option<String>,
    /// The idempotency key, which tells clients that it is understood.
    pub idempotency_key: Option<String>,
    /// Whether the verb was `HEAD`.
    pub is_head: bool,
    /// Whether the body came in chunks. Such a request may have had a length too, on which a proxy in front may have
    /// relied, so nothing that follows it on its connection is trusted (RFC 9112, section 6.1).
    pub is_chunked: bool,
    /// Headers that the request calls for, whatever it is answered.
    pub headers: Vec<(String, String)>,
}

/// The reply as it is sent.
pub fn render(outgoing: Outgoing, echo: &Echo, listener: &Listener) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(outgoing.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let has_body = !echo.is_head && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let body = if has_body { outgoing.body } else { Bytes::new() };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if listener.tls.is_some() {
        headers.insert(STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
    if echo.is_chunked {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(secs) = pause_secs(outgoing.status) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(secs));
    }
    let media_type = Some(&outgoing.content_type).filter(|text| !text.is_empty() && status != StatusCode::NO_CONTENT);
    let custom = listener.response_headers.iter().filter(|header| header.statuses.contains(outgoing.status));
    let pairs = custom.map(|header| (header.name.as_str(), header.value.as_str()));
    let pairs = pairs.chain(outgoing.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let pairs = pairs.chain(echo.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let pairs = pairs.chain(media_type.map(|text| (CONTENT_TYPE.as_str(), text.as_str())));
    let pairs = pairs.chain(echo.namespace.as_deref().map(|value| ("x-vault-namespace", value)));
    let pairs = pairs.chain(echo.idempotency_key.as_deref().map(|value| ("idempotency-key", value)));
    for (name, value) in pairs {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            // Splitting a reply by a line break in a value ends here.
            _ => tracing::error!(name, "a reply's header is not valid and was left out"),
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::listener::{ResponseHeader, Statuses};
    use crate::http::error::failure;

    #[test]
    fn every_reply_is_kept_out_of_caches() {
        // check 250
        let response = render(failure(403, &["permission denied"]), &Echo::default(), &Listener::plain("a:1"));
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(!response.headers().contains_key("strict-transport-security"));
    }

    #[test]
    fn who_is_turned_away_is_told_when_to_come_back() {
        let after = |status| {
            let response = render(failure(status, &[]), &Echo::default(), &Listener::plain("a:1"));
            response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!((after(429).as_deref(), after(503).as_deref()), (Some("1"), Some("2")));
        assert!([200, 204, 307, 400, 403, 404, 412, 500].into_iter().all(|status| after(status).is_none()));
    }

    #[test]
    fn what_the_client_relies_on_is_echoed() {
        let echo = Echo { namespace: Some("a/".into()), idempotency_key: Some("k".into()), ..Echo::default() };
        let response = render(failure(200, &[]), &echo, &Listener::plain("a:1"));
        assert_eq!(response.headers()["x-vault-namespace"], "a/");
        assert_eq!(response.headers()["idempotency-key"], "k");
    }

    #[test]
    fn a_listener_adds_headers_by_status() {
        let mut listener = Listener::plain("a:1");
        listener.response_headers =
            vec![ResponseHeader { statuses: Statuses::Class(4), name: "x-a".into(), value: "1".into() }];
        assert!(render(failure(404, &[]), &Echo::default(), &listener).headers().contains_key("x-a"));
        assert!(!render(failure(200, &[]), &Echo::default(), &listener).headers().contains_key("x-a"));
    }

    #[test]
    fn a_header_with_a_line_break_is_left_out() {
        let mut outgoing = failure(200, &[]);
        outgoing.headers.push(("x-a".into(), "1\r\nx-b: 2".into()));
        assert!(!render(outgoing, &Echo::default(), &Listener::plain("a:1")).headers().contains_key("x-a"));
    }
}
