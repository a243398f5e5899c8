//! `sys/config/cors`: which web pages may ask ([`crate::cors`]).

use serde_json::json;

use crate::cors::{self, Cors};
use crate::engine::{Access, Call, Path};
use crate::error::{Error, multi};
use crate::field::{Kind, field};
use crate::reply::Reply;
use crate::request::Operation;

/// Most origins, and most headers.
const MAX_CORS_ENTRIES: usize = 256;
/// Longest origin and longest name of a header, in bytes.
const MAX_CORS_ENTRY_BYTES: usize = 512;

/// The paths.
pub(super) const PATHS: &[Path] = &[Path {
    pattern: "config/cors",
    fields: &[&[
        field("allowed_origins", Kind::CommaList, "Origins whose pages may ask, such as https://a.example, or * alone"),
        field("allowed_headers", Kind::CommaList, "Headers that they may send besides the usual ones"),
        field("allow_credentials", Kind::Bool, "Whether browsers may send what they keep for this server; not with *"),
        field("enable", Kind::Bool, "False turns it off"),
    ]],
    operations: &[(Operation::Read, read), (Operation::Update, write), (Operation::Delete, delete)],
    access: Access::Sudo,
    help: "Read, change or turn off which web pages may ask",
    ..Path::DEFAULT
}];

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let cors = cors::load(call.store)?;
    if !cors.is_enabled() {
        return Ok(Reply::data(json!({ "enabled": false })).injected());
    }
    Ok(Reply::data(json!({
        "enabled": true,
        "allowed_origins": cors.origins,
        "allowed_headers": cors.all_headers().collect::<Vec<_>>(),
        "allow_credentials": cors.allow_credentials,
    }))
    .injected())
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if call.fields.bool("enable") == Some(false) {
        cors::clear(call.store);
        return Ok(Reply::empty());
    }
    let list = |name| call.fields.list(name).unwrap_or_default().to_vec();
    let allow_credentials = call.fields.bool("allow_credentials").unwrap_or(false);
    let cors = Cors { origins: list("allowed_origins"), headers: list("allowed_headers"), allow_credentials };
    check(&cors).map_err(|reason| Error::invalid(multi(&reason)))?;
    cors::put(call.store, &cors)?;
    Ok(Reply::empty())
}

/// What cannot be, in the order and words that clients know.
fn check(cors: &Cors) -> Result<(), String> {
    let is_any = cors.origins.iter().any(|origin| origin == "*");
    if cors.origins.is_empty() {
        return Err("at least one origin or the wildcard must be provided".into());
    }
    if is_any && cors.origins.len() > 1 {
        return Err("to allow all origins the '*' must be the only value for allowed_origins".into());
    }
    if is_any && cors.allow_credentials {
        return Err("allow_credentials needs origins by name: with '*' every page could use them".into());
    }
    if cors.origins.len() > MAX_CORS_ENTRIES || cors.headers.len() > MAX_CORS_ENTRIES {
        return Err(format!("at most {MAX_CORS_ENTRIES} origins and headers can be named"));
    }
    // An opaque origin, such as a page from a file, calls itself null: anybody can make one.
    let is_origin = |origin: &String| {
        origin == "*" || (origin.contains("://") && !origin.ends_with('/') && is_plain(origin, |byte| byte != b'*'))
    };
    if let Some(wrong) = cors.origins.iter().find(|origin| !is_origin(origin)) {
        return Err(format!("{wrong:?} is no origin: a scheme and a host are expected, such as https://a.example"));
    }
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    match cors.headers.iter().find(|header| !is_plain(header, is_token)) {
        Some(wrong) => Err(format!("{wrong:?} is no name of a header")),
        None => Ok(()),
    }
}

fn is_plain(text: &str, is_allowed: impl Fn(u8) -> bool) -> bool {
    let is_graphic = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',' && is_allowed(byte));
    !text.is_empty() && text.len() <= MAX_CORS_ENTRY_BYTES && is_graphic
}

fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    cors::clear(call.store);
    Ok(Reply::empty())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::Harness;

    // check 251
    #[test]
    fn only_whole_origins_are_taken_and_none_that_anybody_can_have() {
        let mut harness = Harness::new();
        let mut set =
            |origins: Value| harness.request("POST", "sys/config/cors", json!({ "allowed_origins": origins })).0;
        for origins in [json!("https://a.example"), json!(["https://a.example", "http://b:80"]), json!("*")] {
            assert_eq!(set(origins.clone()), 204, "{origins}");
        }
        for origins in [
            json!("null"),
            json!("https://*.example"),
            json!("a.example"),
            json!("https://a.example/"),
            json!(["*", "https://a"]),
            json!([]),
        ] {
            assert_eq!(set(origins.clone()), 400, "{origins}");
        }
        let any = json!({ "allowed_origins": "*", "allow_credentials": true });
        assert_eq!(harness.request("POST", "sys/config/cors", any).0, 400);
        let header = json!({ "allowed_origins": "*", "allowed_headers": ["X-A\r\nX-B"] });
        assert_eq!(harness.request("POST", "sys/config/cors", header).0, 400);
    }

    #[test]
    fn it_is_off_until_it_is_turned_on_and_after_it_was_turned_off() {
        let mut harness = Harness::new();
        let read = |harness: &mut Harness| harness.request("GET", "sys/config/cors", Value::Null).1["data"].clone();
        assert_eq!(read(&mut harness), json!({ "enabled": false }));
        let on = json!({ "allowed_origins": "https://a.example", "allowed_headers": "X-Custom" });
        harness.request("POST", "sys/config/cors", on);
        let shown = read(&mut harness);
        assert_eq!((&shown["enabled"], &shown["allowed_origins"]), (&json!(true), &json!(["https://a.example"])));
        assert!(shown["allowed_headers"].as_array().unwrap().contains(&json!("X-Custom")));
        assert_eq!(harness.request("DELETE", "sys/config/cors", Value::Null).0, 204);
        assert_eq!(read(&mut harness), json!({ "enabled": false }));
    }
}
