use serde_json::json;

use super::*;

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn asked(method: &str, target: &str) -> Result<(Operation, String, Value), (u16, String)> {
    head(&parts(method, target, &[]), &Limits::default())
        .map(|head| (head.operation, head.path.as_str().to_owned(), Value::Object(head.data)))
        .map_err(|outgoing| (outgoing.status, String::from_utf8(outgoing.body.to_vec()).unwrap()))
}

#[test]
fn a_verb_and_its_query_are_an_operation() {
    let cases = [
        ("GET", "/v1/a/b", Operation::Read, "a/b", json!({})),
        ("GET", "/v1/a?version=2&x=1&x=2", Operation::Read, "a", json!({"version": "2", "x": ["1", "2"]})),
        ("GET", "/v1/a?list=true", Operation::List, "a/", json!({})),
        ("GET", "/v1/a/?list=True&after=b", Operation::List, "a/", json!({"after": "b"})),
        ("GET", "/v1/a?list=false", Operation::Read, "a", json!({"list": "false"})),
        ("GET", "/v1/a?list=", Operation::Read, "a", json!({"list": ""})),
        ("GET", "/v1/a?scan=1", Operation::Scan, "a/", json!({})),
        ("LIST", "/v1/a", Operation::List, "a/", json!({})),
        ("LIST", "/v1/a?list=true", Operation::List, "a/", json!({"list": "true"})),
        ("LIST", "/v1/", Operation::List, "", json!({})),
        ("SCAN", "/v1/a/", Operation::Scan, "a/", json!({})),
        ("HEAD", "/v1/sys/health?activecode=200", Operation::Header, "sys/health", json!({"activecode": "200"})),
        ("DELETE", "/v1/a?versions=1", Operation::Delete, "a", json!({"versions": "1"})),
        ("POST", "/v1/a?x=1", Operation::Update, "a", json!({})),
        ("PUT", "/v1/a", Operation::Update, "a", json!({})),
        ("GET", "/v1/a?help=1", Operation::Help, "a", json!({})),
        ("GET", "/v1/", Operation::Read, "", json!({})),
        ("GET", "/v1/p%2Fq+r/%C3%BC", Operation::Read, "p/q+r/ü", json!({})),
        ("GET", "/v1/a?token=root", Operation::Read, "a", json!({"token": "root"})),
    ];
    for (method, target, operation, path, data) in cases {
        assert_eq!(asked(method, target), Ok((operation, path.to_owned(), data)), "{method} {target}");
    }
}

#[test]
fn what_is_no_request_is_refused() {
    // check 46
    let cases = [
        ("GET", "/v1", 404, "[]"),
        ("GET", "/v2/a", 404, "[]"),
        ("GET", "/", 404, "[]"),
        ("GET", "//v1/a", 404, "[]"),
        ("BREW", "/v1/a", 405, "[]"),
        ("get", "/v1/a", 405, "[]"),
        ("TRACE", "/v1/a", 405, "[]"),
        ("OPTIONS", "/v1/a", 400, "cannot handle"),
        ("GET", "/v1/a?list=true&scan=true", 400, "[]"),
        ("GET", "/v1/a?list=maybe", 400, "[]"),
        ("GET", "/v1/a/%2e%2e/b", 400, "relative paths not supported"),
        ("GET", "/v1/a/../b", 400, "relative paths not supported"),
        ("GET", "/v1/a/./b", 400, "relative paths not supported"),
        ("GET", "/v1/a%00b", 400, "control character"),
        ("GET", "/v1/a%zz", 400, "percent escape"),
        ("GET", "/v1/a%2F%2Fb", 400, "empty segment"),
        ("GET", "/v1/a?b=%zz", 400, "query"),
    ];
    for (method, target, status, text) in cases {
        let (got, body) = asked(method, target).expect_err(target);
        assert!(got == status && body.contains(text), "{method} {target}: {got} {body}");
    }
}

#[test]
fn doubled_slashes_lead_to_the_address_with_single_ones() {
    // check 249
    let cases = [
        ("/v1//secret/a", "/v1/secret/a"),
        ("/v1/secret///a//?list=true&b=//", "/v1/secret/a/?list=true&b=//"),
        ("http://evil.example//v1//a", ""),
        ("http://evil.example/v1//a", "/v1/a"),
        ("/v1////evil.example/a", "/v1/evil.example/a"),
    ];
    for (target, expected) in cases {
        let Err(refused) = head(&parts("POST", target, &[]), &Limits::default()) else { panic!("{target} went on") };
        let location = refused.headers.iter().find(|(name, _)| name == "location").map_or("", |(_, value)| value);
        assert_eq!((refused.status, location), (if expected.is_empty() { 404 } else { 307 }, expected), "{target}");
    }
}

#[test]
fn a_patch_names_the_media_type_it_needs() {
    let ask = |given: &str| {
        let refused = head(&parts("PATCH", "/v1/a", &[("content-type", given)]), &Limits::default()).err();
        refused.map(|outgoing| (outgoing.status, String::from_utf8(outgoing.body.to_vec()).unwrap()))
    };
    assert_eq!(ask("application/merge-patch+json"), None);
    assert_eq!(ask("Application/Merge-Patch+JSON; charset=utf-8"), None);
    let (status, text) = ask("application/json").unwrap();
    assert_eq!(status, 415);
    assert!(
        text.contains("PATCH requires Content-Type of application/merge-patch+json, provided application/json"),
        "{text}"
    );
}

#[test]
fn a_compressed_body_is_refused() {
    // check 206
    let refused = |encoding: &str| {
        let parts = parts("POST", "/v1/a", &[("content-encoding", encoding)]);
        head(&parts, &Limits::default()).err().map(|outgoing| outgoing.status)
    };
    assert_eq!(refused("gzip"), Some(415));
    assert_eq!(refused("identity"), None);
}

fn body(content_type: &str, text: &[u8]) -> Result<(Value, bool), (u16, String)> {
    Body::new(Zeroizing::new(text.to_vec()), content_type)
        .and_then(|body| body.decode(Limits::default().query_parameters))
        .map(|data| (Value::Object(data.fields), data.is_there))
        .map_err(|outgoing| (outgoing.status, String::from_utf8(outgoing.body.to_vec()).unwrap()))
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_body_is_what_it_begins_with() {
    let cases: [(&str, &[u8], Value, bool); 9] = [
        ("application/ocsp-request", b"0\x03\x0a\x01\x00", json!({"request": "MAMKAQA="}), true),
        ("application/json", b" \n{\"a\":1} ", json!({"a": 1}), true),
        (FORM, b"{\"a\":1}", json!({"a": 1}), true),
        ("text/plain", b"{}", json!({}), true),
        ("", b"", json!({}), false),
        (FORM, b"", json!({}), false),
        ("application/json", b"null", json!({}), false),
        (FORM, b"a=1&a=2&b=%3D+x", json!({"a": "1,2", "b": "= x"}), true),
        ("application/X-WWW-form-urlencoded; charset=utf-8", b"a=1", json!({"a": "1"}), true),
    ];
    for (content_type, text, data, has_body) in cases {
        assert_eq!(body(content_type, text), Ok((data, has_body)), "{content_type} {text:?}");
    }
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let cases: [(&str, &[u8], &str); 8] = [
        ("", b"[1]", "failed to decode JSON input"),
        ("", b"\"x\"", "failed to decode JSON input"),
        ("", b"12", "failed to decode JSON input"),
        ("", b"{\"a\":1", "failed to decode JSON input"),
        ("", b"{\"a\":1} trailing", "failed to decode JSON input"),
        ("", "\u{feff}{}".as_bytes(), "failed to decode JSON input"),
        ("", b"a=1", "failed to decode JSON input"),
        (FORM, b"a=%zz", "error parsing form data"),
    ];
    for (content_type, text, expected) in cases {
        let (status, got) = body(content_type, text).expect_err("went on");
        assert!(status == 400 && got.contains(expected), "{text:?}: {status} {got}");
    }
}

#[test]
fn an_error_does_not_repeat_the_body() {
    // check 214
    for text in [&b"{\"a\": canary}"[..], b"canary", b"{\"canary\" 1}", b"[\"canary\"]"] {
        assert!(!body("", text).unwrap_err().1.contains("canary"));
    }
    assert!(!body(FORM, b"a=canary%zz").unwrap_err().1.contains("canary"));
}

#[test]
fn a_stranger_s_body_is_small() {
    // check 194, check 190
    let limits = Limits::default();
    let limit = |target: &str, headers: &[(&str, &str)]| {
        head(&parts("POST", target, headers), &limits).map(|head| head.body_limit(&limits, 32 << 20)).ok()
    };
    assert_eq!(limit("/v1/auth/userpass/login/a", &[]), Some(64 << 10));
    assert_eq!(limit("/v1/secret/a", &[("x-vault-token", "t")]), Some(32 << 20));
    assert_eq!(limit("/v1/sys/unseal", &[("x-vault-token", "t")]), Some(4 << 10));
}

#[test]
fn what_a_node_does_itself_is_not_said_to_be_remembered() {
    let may_be_remembered = |target: &str| {
        let head = head(&parts("POST", target, &[]), &Limits::default()).map_err(|outgoing| outgoing.status);
        head.map(|head| head.may_be_remembered())
    };
    for act in ["sys/init", "sys/unseal", "sys/seal", "sys/step-down", "sys/storage/raft/join-token"] {
        assert_eq!(may_be_remembered(&format!("/v1/{act}")), Ok(false), "{act}");
    }
    assert_eq!(may_be_remembered("/v1/secret/data/a"), Ok(true));
}

#[test]
fn whom_a_request_is_for_is_said_once() {
    let checked = |version, target: &str, hosts: &[&str]| {
        let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let mut parts = parts("GET", target, &hosts);
        parts.version = version;
        check_host(&parts).map_err(|refusal| refusal.status)
    };
    let (one, two) = (http::Version::HTTP_11, http::Version::HTTP_2);
    for (version, target, hosts, expected) in [
        (one, "/v1/a", &["x"][..], Ok(())),
        (one, "/v1/a", &[][..], Err(400)),
        (one, "/v1/a", &["x", "x"][..], Err(400)),
        (two, "http://x/v1/a", &[][..], Ok(())),
        (two, "http://x/v1/a", &["X"][..], Ok(())),
        (two, "/v1/a", &["x"][..], Ok(())),
        (two, "http://x/v1/a", &["y"][..], Err(400)),
        (two, "http://x/v1/a", &["x", "y"][..], Err(400)),
        (two, "/v1/a", &[][..], Err(400)),
    ] {
        assert_eq!(checked(version, target, hosts), expected, "{version:?} {target} {hosts:?}");
    }
}
