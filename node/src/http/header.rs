//! Request headers: the token, and what else a client says beside path and body.

use std::time::Duration;

use conclave_vault::parse_duration;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::config::Limits;
use crate::config::limits::{MAX_INDEXES, MAX_SMALL_HEADER_BYTES};
use crate::gateway::{Consistency, Outgoing};
use crate::http::error::failure;

/// What the headers say.
pub struct Said {
    /// The client token.
    pub token: Option<Zeroizing<String>>,
    /// The namespace as it was sent; empty if it was not.
    pub namespace: String,
    /// Whether it was sent at all, and so is echoed.
    pub has_namespace: bool,
    /// The wrap header as it was sent.
    pub wrap_ttl: Option<String>,
    /// The idempotency key.
    pub idempotency_key: Option<String>,
    /// How fresh a read must be.
    pub consistency: Consistency,
    /// Positions that must have been applied.
    pub wanted_indexes: Vec<String>,
}

/// Reads the headers, or answers what is wrong with them.
pub fn read(headers: &HeaderMap, limits: &Limits) -> Result<Said, Outgoing> {
    let namespace = small(headers, "x-vault-namespace")?;
    Ok(Said {
        token: token(headers, limits)?,
        has_namespace: namespace.is_some(),
        namespace: namespace.unwrap_or_default(),
        wrap_ttl: small(headers, "x-vault-wrap-ttl")?,
        idempotency_key: idempotency_key(headers, limits)?,
        consistency: consistency(headers)?,
        wanted_indexes: wanted_indexes(headers)?,
    })
}

/// `X-Vault-Token`, or else `Authorization: Bearer`. The first wins even when it is wrong. White space that HTTP takes as
/// part of a value makes another token of it, and one that nobody has. Cookies and the query are never looked at.
fn token(headers: &HeaderMap, limits: &Limits) -> Result<Option<Zeroizing<String>>, Outgoing> {
    let mut values = headers.get_all("x-vault-token").iter();
    let first = values.next().map(|value| token_text(value, limits)).transpose()?.filter(|token| !token.is_empty());
    if values.any(|value| Some(value) != headers.get("x-vault-token")) {
        return Err(failure(400, &["several X-Vault-Token headers with different values"]));
    }
    if first.is_some() {
        return Ok(first);
    }
    for value in headers.get_all(http::header::AUTHORIZATION) {
        // The scheme's name counts in this spelling only, as clients of Vault know it.
        if value.as_bytes().starts_with(b"Bearer ") {
            let text = token_text(value, limits)?;
            let token = Zeroizing::new(text["Bearer ".len()..].trim().to_owned());
            return Ok((!token.is_empty()).then_some(token));
        }
    }
    Ok(None)
}

fn token_text(value: &HeaderValue, limits: &Limits) -> Result<Zeroizing<String>, Outgoing> {
    if value.len() > limits.token_bytes {
        return Err(failure(431, &["the token is too long"]));
    }
    let is_printable = |text: &&str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(is_printable);
    let text = text.ok_or_else(|| failure(400, &["the token holds characters that no token has"]))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn idempotency_key(headers: &HeaderMap, limits: &Limits) -> Result<Option<String>, Outgoing> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim);
    let is_valid = |text: &&str| !text.is_empty() && text.len() <= limits.idempotency_key_bytes && !text.contains('\t');
    let text = text.filter(is_valid).ok_or_else(|| {
        let most = limits.idempotency_key_bytes;
        failure(400, &[&format!("Idempotency-Key must be 1 to {most} printable characters")])
    })?;
    Ok(Some(text.to_owned()))
}

fn consistency(headers: &HeaderMap) -> Result<Consistency, Outgoing> {
    let Some(text) = small(headers, "x-conclave-consistency")? else { return Ok(Consistency::default()) };
    let bounded = || text.strip_prefix("bounded=").and_then(parse_duration).filter(|age: &Duration| !age.is_zero());
    match text.as_str() {
        "linearizable" => Ok(Consistency::Linearizable),
        "local" => Ok(Consistency::Local),
        _ => bounded().map(Consistency::Bounded).ok_or_else(|| {
            failure(
                400,
                &["X-Conclave-Consistency must be linearizable, local or bounded=<duration>, such as bounded=5s"],
            )
        }),
    }
}

fn wanted_indexes(headers: &HeaderMap) -> Result<Vec<String>, Outgoing> {
    let mut indexes = Vec::new();
    for value in headers.get_all("x-vault-index") {
        let text =
            value.to_str().ok().filter(|text| text.len() <= MAX_SMALL_HEADER_BYTES && indexes.len() < MAX_INDEXES);
        indexes.push(text.ok_or_else(|| failure(400, &["X-Vault-Index is not valid"]))?.trim().to_owned());
    }
    Ok(indexes)
}

/// A header of printable characters, trimmed; the first one if there are several.
fn small(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Outgoing> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_SMALL_HEADER_BYTES);
    let text =
        text.ok_or_else(|| failure(400, &[&format!("the header {name} holds characters that it may not hold")]))?;
    Ok(Some(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[(&'static str, &[u8])]) -> Result<Said, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        read(&headers, &Limits::default()).map_err(|outgoing| outgoing.status)
    }

    fn token_of(lines: &[(&'static str, &[u8])]) -> Result<Option<String>, u16> {
        said(lines).map(|said| said.token.map(|token| token.to_string()))
    }

    #[test]
    fn the_token_header_wins_over_authorization() {
        // check 6
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(token_of(&[("x-vault-token", b"root")]), some("root"));
        assert_eq!(token_of(&[("authorization", b"Bearer root")]), some("root"));
        assert_eq!(token_of(&[("authorization", b"bearer root")]), Ok(None));
        assert_eq!(token_of(&[("authorization", b"Basic cm9vdA==")]), Ok(None));
        assert_eq!(token_of(&[("x-vault-token", b"wrong"), ("authorization", b"Bearer root")]), some("wrong"));
        assert_eq!(token_of(&[("x-vault-token", b""), ("authorization", b"Bearer root")]), some("root"));
        assert_eq!(token_of(&[("x-vault-token", b"a"), ("x-vault-token", b"b")]), Err(400));
        assert_eq!(token_of(&[("x-vault-token", b"a"), ("x-vault-token", b"a")]), some("a"));
    }

    #[test]
    fn a_cookie_is_no_token() {
        // check 15, check 252
        assert_eq!(token_of(&[("cookie", b"vault-token=root")]), Ok(None));
    }

    #[test]
    fn a_token_that_cannot_be_one_is_refused() {
        // check 1, check 103
        assert_eq!(token_of(&[("x-vault-token", b" root ")]), Ok(Some(" root ".to_owned())), "as it is, to be refused");
        assert_eq!(token_of(&[("x-vault-token", b"a\tb")]), Err(400));
        assert_eq!(token_of(&[("x-vault-token", &[b'a', 0xff])]), Err(400));
        assert_eq!(token_of(&[("x-vault-token", &[b'a'; 8193])]), Err(431));
        assert!(token_of(&[("x-vault-token", &[b'a'; 8192])]).is_ok());
    }

    #[test]
    fn an_idempotency_key_has_a_length() {
        assert_eq!(said(&[("idempotency-key", &[b'k'; 256])]).unwrap().idempotency_key.map(|key| key.len()), Some(256));
        assert_eq!(said(&[("idempotency-key", &[b'k'; 257])]).err(), Some(400));
        assert_eq!(said(&[("idempotency-key", b"")]).err(), Some(400));
        assert_eq!(said(&[("idempotency-key", "é".as_bytes())]).err(), Some(400));
    }

    #[test]
    fn the_client_chooses_how_fresh_a_read_is() {
        let chosen = |text: &[u8]| said(&[("x-conclave-consistency", text)]).map(|said| said.consistency);
        assert_eq!(chosen(b"local"), Ok(Consistency::Local));
        assert_eq!(chosen(b"linearizable"), Ok(Consistency::Linearizable));
        assert_eq!(chosen(b"bounded=1.5s"), Ok(Consistency::Bounded(Duration::from_millis(1500))));
        for wrong in [&b"stale"[..], b"bounded", b"bounded=", b"bounded=-1s", b"LOCAL"] {
            assert_eq!(chosen(wrong), Err(400));
        }
    }

    #[test]
    fn a_namespace_is_known_to_have_been_sent() {
        assert!(!said(&[]).unwrap().has_namespace);
        assert!(said(&[("x-vault-namespace", b"")]).unwrap().has_namespace);
        assert_eq!(said(&[("x-vault-namespace", b" a/ ")]).unwrap().namespace, "a/");
    }
}
