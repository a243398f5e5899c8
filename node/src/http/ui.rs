//! The web interface: what the listener serves below `/ui/` if the operator wants it.
//!
//! Its files are embedded as gzip packed them and never unpacked here. The page is a client like any other: it has no
//! rights of its own, and all that it does goes through `/v1/`. What surprises: `/ui/vault/auth/…/oidc/callback` is the
//! page too, because an OpenID provider sends browsers there.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HOST, IF_NONE_MATCH, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::gateway::Outgoing;
use crate::http::error::failure;

/// Names what the build made of its sources, in the addresses of the files: a file of one build is never another's.
const BUILD: &str = include_str!("../../ui/dist/build");

const PAGE: &[u8] = include_bytes!("../../ui/dist/index.html.gz");
const SCRIPT: &[u8] = include_bytes!("../../ui/dist/app.js.gz");
const STYLE: &[u8] = include_bytes!("../../ui/dist/app.css.gz");
const ICON: &[u8] = include_bytes!("../../ui/dist/icon.svg.gz");

/// Scripts, styles and requests of this node alone; nobody may frame the page; text never becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";
/// A file under its build's name never changes; the page names the build, so it is asked for each time.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// What a request for a page or one of its files is answered; `None` if it is for somebody else.
pub(crate) fn answer(parts: &Parts) -> Option<Outgoing> {
    let path = parts.uri.path();
    let rest = match path {
        "/" | "/ui" => return Some(to_the_page()),
        _ => path.strip_prefix("/ui/")?,
    };
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let mut refused = failure(405, &["the web interface is only read"]);
        refused.headers.push(header("allow", "GET, HEAD"));
        return Some(refused);
    }
    let Some((media_type, caching, body)) = file(rest) else { return Some(failure(404, &[])) };
    if !takes_gzip(&parts.headers) {
        return Some(failure(406, &["the web interface is sent packed: accept the content encoding gzip"]));
    }
    let tag = format!("\"{BUILD}\"");
    let is_known = parts.headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let headers = [
        ("content-security-policy", POLICY),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        ("cache-control", caching),
        ("etag", &tag),
        ("vary", "Accept-Encoding"),
        ("content-encoding", "gzip"),
    ];
    let headers = headers.map(|(name, value)| header(name, value)).into();
    let (status, body) = if is_known { (304, Bytes::new()) } else { (200, Bytes::from_static(body)) };
    Some(Outgoing { status, content_type: media_type.into(), headers, body })
}

/// Whether a request comes from the page of this very server, which needs nobody's leave to ask it.
pub(crate) fn is_own_page(parts: &Parts) -> bool {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    let origin = origins.next().and_then(|origin| origin.to_str().ok());
    let origin = origin.and_then(|origin| origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")));
    origins.next().is_none() && origin.is_some() && origin == host
}

/// The file at a path below `/ui/`: its media type, how long it may be kept, and its bytes.
fn file(path: &str) -> Option<(&'static str, &'static str, &'static [u8])> {
    let is_callback = path.starts_with("vault/auth/") && path.ends_with("/oidc/callback");
    if path.is_empty() || is_callback {
        return Some(("text/html; charset=utf-8", ASK_AGAIN, PAGE));
    }
    let name = path.strip_prefix("files/")?.strip_prefix(BUILD)?.strip_prefix('/')?;
    match name {
        "app.js" => Some(("text/javascript; charset=utf-8", FOR_GOOD, SCRIPT)),
        "app.css" => Some(("text/css; charset=utf-8", FOR_GOOD, STYLE)),
        "icon.svg" => Some(("image/svg+xml", FOR_GOOD, ICON)),
        _ => None,
    }
}

fn to_the_page() -> Outgoing {
    let headers = vec![header("location", "/ui/")];
    Outgoing { status: 307, content_type: String::new(), headers, body: Bytes::new() }
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3); one that says nothing takes anything.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok()).peekable();
    said.peek().is_none()
        || said.flat_map(|line| line.split(',')).any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
            ["gzip", "*"].contains(&name.trim()) && !is_refused
        })
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Outgoing> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&request.body(()).unwrap().into_parts().0)
    }

    fn value<'a>(outgoing: &'a Outgoing, name: &str) -> &'a str {
        outgoing.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    #[test]
    fn the_page_and_what_it_names_are_there_and_nothing_else() {
        let script = format!("/ui/files/{BUILD}/app.js");
        for (path, media_type) in [
            ("/ui/", "text/html; charset=utf-8"),
            ("/ui/vault/auth/corp/oidc/oidc/callback", "text/html; charset=utf-8"),
            (script.as_str(), "text/javascript; charset=utf-8"),
        ] {
            let outgoing = asked("GET", path, &[]).unwrap();
            assert_eq!((outgoing.status, outgoing.content_type.as_str()), (200, media_type), "{path}");
            assert_eq!(outgoing.body[..2], [0x1f, 0x8b], "{path} is not packed");
        }
        for path in ["/ui/files/other/app.js", "/ui/app.js", "/ui/../v1/sys/health", "/ui/files"] {
            assert_eq!(asked("GET", path, &[]).unwrap().status, 404, "{path}");
        }
        assert_eq!(asked("POST", "/ui/", &[]).unwrap().status, 405);
        assert!(asked("GET", "/v1/ui/", &[]).is_none());
        let moved = asked("GET", "/", &[]).unwrap();
        assert_eq!((moved.status, value(&moved, "location")), (307, "/ui/"));
    }

    #[test]
    fn nobody_frames_it_and_nothing_runs_in_it_that_is_not_in_its_files() {
        let page = asked("GET", "/ui/", &[]).unwrap();
        let policy = value(&page, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!((value(&page, "x-frame-options"), value(&page, "referrer-policy")), ("DENY", "no-referrer"));
    }

    #[test]
    fn files_are_kept_for_good_and_the_page_is_asked_for_again() {
        let icon = asked("GET", &format!("/ui/files/{BUILD}/icon.svg"), &[]).unwrap();
        assert!(value(&icon, "cache-control").contains("immutable"));
        let page = asked("GET", "/ui/", &[]).unwrap();
        assert_eq!(value(&page, "cache-control"), "no-cache");
        let again = asked("GET", "/ui/", &[("if-none-match", value(&page, "etag"))]).unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0));
    }

    #[test]
    fn who_cannot_unpack_it_is_told_so() {
        for (said, status) in
            [("gzip, br", 200), ("*", 200), ("gzip;q=0.5", 200), ("gzip;q=0.0", 406), ("identity", 406), ("", 406)]
        {
            assert_eq!(asked("GET", "/ui/", &[("accept-encoding", said)]).unwrap().status, status, "{said}");
        }
    }

    #[test]
    fn only_the_page_of_this_server_is_its_own() {
        let is_own = |origin: &str| {
            let request =
                http::Request::builder().uri("/v1/a").header("host", "a.example:8200").header("origin", origin);
            is_own_page(&request.body(()).unwrap().into_parts().0)
        };
        assert!(is_own("https://a.example:8200") && is_own("http://a.example:8200"));
        for other in
            ["https://a.example", "https://evil.example:8200", "null", "a.example:8200", "https://a.example:82000"]
        {
            assert!(!is_own(other), "{other}");
        }
    }
}
