//! Logins of people in a browser (OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9700): a page to open, and what the provider
//! answers, which the command line receives and hands on.
//!
//! What must be remembered between the two travels in `state`: role, redirect, the client's nonce, an id and an end, under an
//! HMAC. Nonce and PKCE verifier follow from the id by an HMAC too, so nobody can make them from the state alone, and a stranger
//! who asks for pages leaves nothing behind. What is kept is the id of a state that was used, until its end.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use prost::Message;
use serde_json::json;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::engine::{Call, Work};
use crate::engines::jwt::config::{self, JwtConfigRecord, KeyPlaceRecord};
use crate::engines::jwt::login::admit;
use crate::engines::jwt::role::{self, JwtRoleRecord};
use crate::engines::jwt::source::{self, ProviderDocument};
use crate::engines::login::permits;
use crate::engines::named;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::jose::algorithm::JwsAlgorithm;
use crate::jose::claims::Claims;
use crate::mount::Mount;
use crate::reply::Reply;
use crate::time::Time;
use crate::web::{WebRequest, escaped};

/// Directory of the states that were used, in the mount's area.
const FOLDER: &str = "used-state";
/// How long a login in a browser may take, in seconds.
const STATE_SECS: u64 = 600;
/// Longest URL that a browser is sent back to, nonce of a client, and code, in bytes.
const MAX_TEXT_BYTES: usize = 2_048;
/// Length of the HMAC behind a state, in bytes.
const TAG_BYTES: usize = 32;

const ROLE_NAME: Field = field("role", Kind::LowerText, "The role; the default one if it is not said.");
const REDIRECT: Field = field("redirect_uri", Kind::Text, "Where the browser is sent back to.").required();
const CLIENT_NONCE: Field =
    field("client_nonce", Kind::Text, "What the client that begins a login drew; only who sends it again can end it.");
const STATE: Field = field("state", Kind::Text, "As the provider handed it back.").required();
const CODE: Field = field("code", Kind::Text, "What the provider gave for the login.");
const PROBLEM: Field = field("error", Kind::Text, "What the provider says in place of a code.");
const PROBLEM_TEXT: Field = field("error_description", Kind::Text, "What it says about that; not handed on.");
const ISSUER: Field = field("iss", Kind::Text, "Who the provider says it is (RFC 9207).");

pub(super) const URL_FIELDS: &[Field] = &[ROLE_NAME, REDIRECT, CLIENT_NONCE];
pub(super) const CALLBACK_FIELDS: &[Field] = &[STATE, CODE, CLIENT_NONCE, PROBLEM, PROBLEM_TEXT, ISSUER];

/// What travels with a login.
#[derive(Clone, PartialEq, Message)]
struct StateRecord {
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    role: String,
    #[prost(string, tag = "3")]
    redirect: String,
    /// SHA-256 of what the client drew; empty if it drew nothing.
    #[prost(bytes = "vec", tag = "4")]
    client: Vec<u8>,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "5")]
    expires_nanos: i64,
}

/// That a state was used; says nothing but that it is there.
#[derive(Clone, Copy, PartialEq, Message)]
struct UsedStateRecord {}

impl StateRecord {
    fn seal(&self, mount: &Mount) -> String {
        let mut bytes = self.encode_to_vec();
        let tag = mount.keys.index("state", &bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open(mount: &Mount, text: &str, now: Time) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (bytes, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        let is_ours = bool::from(mount.keys.index("state", bytes).as_slice().ct_eq(tag));
        let state = Self::decode(bytes).ok().filter(|_| is_ours)?;
        (now < Time::from_nanos(state.expires_nanos)).then_some(state)
    }

    /// What the ID token must hold.
    fn nonce(&self, mount: &Mount) -> String {
        URL_SAFE_NO_PAD.encode(mount.keys.index("nonce", &self.id))
    }

    /// The secret behind the challenge (RFC 7636, section 4.1).
    fn verifier(&self, mount: &Mount) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(mount.keys.index("verifier", &self.id)))
    }
}

pub(super) fn hashed(text: &str) -> Vec<u8> {
    if text.is_empty() { Vec::new() } else { digest(&SHA256, text.as_bytes()).as_ref().to_vec() }
}

fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

/// A loopback URL without its port, which native applications choose as they run (RFC 8252, section 7.3).
fn without_port(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let host = ["localhost", "127.0.0.1", "[::1]"].into_iter().find(|host| rest.starts_with(host))?;
    let rest = &rest[host.len()..];
    let path = rest.find('/').map_or("", |place| &rest[place..]);
    let port = &rest[..rest.len() - path.len()];
    let is_port = port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
    (port.is_empty() || is_port).then_some((host, path))
}

fn allows(role: &JwtRoleRecord, redirect: &str) -> bool {
    let is_meant = |allowed: &String| {
        allowed == redirect || without_port(allowed).is_some_and(|it| without_port(redirect) == Some(it))
    };
    role.redirects.iter().any(is_meant)
}

/// The configuration, and the provider that it names.
fn provider(call: &mut Call<'_, '_>) -> Result<(JwtConfigRecord, KeyPlaceRecord), Error> {
    let config = config::required(call)?;
    let place = config.discovery.clone().filter(|_| !config.client_id.is_empty());
    let place = place.ok_or_else(|| Error::invalid("OIDC login is not configured for this mount"))?;
    Ok((config, place))
}

/// `oidc/auth_url`. A role that does not exist or may not be used so is answered with an empty URL, as clients know it.
pub(super) fn auth_url(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (config, place) = provider(call)?;
    let text = |name: &str| call.fields.text_or_empty(name).to_owned();
    let (redirect, client, sent) = (text(REDIRECT.name), text(CLIENT_NONCE.name), text(ROLE_NAME.name));
    if redirect.is_empty() {
        return Err(Error::invalid("missing redirect_uri"));
    }
    if redirect.len() > MAX_TEXT_BYTES || client.len() > MAX_TEXT_BYTES {
        return Err(Error::invalid(format!("redirect_uri and client_nonce have at most {MAX_TEXT_BYTES} bytes")));
    }
    let (name, role) = role::of_login(call, &sent, &config.default_role)?;
    let Some(role) = role.filter(|role| !role.is_for_tokens && allows(role, &redirect)) else {
        return Ok(Reply::data(json!({ "auth_url": "" })));
    };
    let document = source::document(call.context, &place)?;
    let state = StateRecord {
        id: call.context.bytes::<16>().to_vec(),
        role: name,
        redirect,
        client: hashed(&client),
        expires_nanos: call.context.now.plus_secs(STATE_SECS).nanos(),
    };
    let url = page(&call.mount, &config, &role, &document, &state)?;
    Ok(Reply::data(json!({ "auth_url": url })))
}

fn page(
    mount: &Mount,
    config: &JwtConfigRecord,
    role: &JwtRoleRecord,
    document: &ProviderDocument,
    state: &StateRecord,
) -> Result<String, Error> {
    let endpoint = document.url("authorization_endpoint")?;
    let scopes = std::iter::once("openid").chain(role.scopes.iter().map(String::as_str).filter(|it| *it != "openid"));
    let challenge = URL_SAFE_NO_PAD.encode(hashed(&state.verifier(mount)));
    let (scopes, sealed, nonce) = (scopes.collect::<Vec<_>>().join(" "), state.seal(mount), state.nonce(mount));
    let max_age = role.max_age_secs.to_string();
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", config.client_id.as_str()),
        ("redirect_uri", state.redirect.as_str()),
        ("scope", scopes.as_str()),
        ("state", sealed.as_str()),
        ("nonce", nonce.as_str()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    if role.max_age_secs > 0 {
        pairs.push(("max_age", max_age.as_str()));
    }
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    Ok(format!("{endpoint}{separator}{}", form(&pairs)))
}

/// `oidc/callback`
pub(super) fn callback(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (config, place) = provider(call)?;
    let over = || Error::invalid("Vault login failed. Expired or missing OAuth state.");
    let mount = call.mount.clone();
    let state = StateRecord::open(&mount, call.fields.text_or_empty(STATE.name), call.context.now).ok_or_else(over)?;
    let id = hex::encode(&state.id);
    if call.store.contains(&mount.area, &[FOLDER, &id])? {
        return Err(over());
    }
    if !bool::from(hashed(call.fields.text_or_empty(CLIENT_NONCE.name)).ct_eq(&state.client)) {
        return Err(Error::invalid("invalid client_nonce"));
    }
    let role =
        named::find::<JwtRoleRecord>(call.store, &mount, &state.role)?.filter(|role| allows(role, &state.redirect));
    let role = role.ok_or_else(|| Error::invalid("Vault login failed. Role could not be found"))?;
    if !permits(&role.terms.bound_cidrs, call.request.remote_address) {
        return Err(Error::bad_token());
    }
    let issuer = call.fields.text_or_empty(ISSUER.name);
    if !issuer.is_empty() && issuer != place.url {
        return Err(Error::invalid("the answer comes from another provider than the one that was asked"));
    }
    let code = Zeroizing::new(call.fields.text_or_empty(CODE.name).to_owned());
    if code.is_empty() || code.len() > MAX_TEXT_BYTES {
        return Err(Error::invalid("Vault login failed. No code parameter received: the provider refused the login."));
    }
    let claims = redeem(call, &config, &place, &state, &code)?;
    let expires = Time::from_nanos(state.expires_nanos);
    call.store.put(&mount.area, &[FOLDER, &id], &UsedStateRecord {})?;
    call.work().remind(expires, &id)?;
    admit(call, state.role, &role, &claims)
}

/// The claims behind a code (OpenID Connect Core 1.0, sections 3.1.3 and 5.3).
fn redeem(
    call: &mut Call<'_, '_>,
    config: &JwtConfigRecord,
    place: &KeyPlaceRecord,
    state: &StateRecord,
    code: &str,
) -> Result<Claims, Error> {
    let failed = |what: &str| Error::invalid(format!("Vault login failed. Error exchanging oidc code: {what}"));
    let document = source::document(call.context, place)?;
    let verifier = state.verifier(&call.mount);
    let credentials = format!("{}:{}", escaped(&config.client_id), escaped(&config.client_secret));
    let request = WebRequest {
        method: "POST".to_owned(),
        url: document.url("token_endpoint")?.to_owned(),
        headers: [
            ("accept".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), format!("Basic {}", STANDARD.encode(credentials))),
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ]
        .into(),
        body: form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", state.redirect.as_str()),
            ("code_verifier", verifier.as_str()),
        ])
        .into_bytes(),
        ca_pem: place.ca_pem.clone(),
        max_age_secs: 0,
        is_from_pod: false,
        trusts_pod: false,
    };
    let reply = call.context.ask_web(&request)?;
    let answer = reply.object().filter(|_| reply.status == 200);
    let answer = answer.ok_or_else(|| failed("the provider refused it"))?;
    let token = answer.get("id_token").and_then(serde_json::Value::as_str);
    let token = token.ok_or_else(|| failed("the provider gave no ID token"))?;
    let mut config = config.clone();
    if config.algorithms.is_empty() {
        config.algorithms.push(JwsAlgorithm::Rs256.as_str().to_owned());
    }
    let claims = source::open(call.context, &config, token)?;
    check_id_token(&config, &claims, document.issuer(), &state.nonce(&call.mount))?;
    Ok(claims)
}

/// OpenID Connect Core 1.0, section 3.1.3.7, but for times, which the role checks.
fn check_id_token(config: &JwtConfigRecord, claims: &Claims, issuer: &str, nonce: &str) -> Result<(), Error> {
    let invalid = |what: &str| Error::invalid(format!("Vault login failed. Error validating the ID token: {what}"));
    let bound = if config.issuer.is_empty() { issuer } else { &config.issuer };
    if claims.text("iss") != bound {
        return Err(invalid("invalid issuer (iss) claim"));
    }
    let audience = claims.audience().map_err(|reason| invalid(&reason))?;
    if !audience.contains(&config.client_id.as_str()) {
        return Err(invalid("invalid audience (aud) claim: it is for another client"));
    }
    let party = claims.text("azp");
    if (audience.len() > 1 || !party.is_empty()) && party != config.client_id {
        return Err(invalid("invalid authorized party (azp) claim: it is for another client"));
    }
    if !bool::from(claims.text("nonce").as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(invalid("invalid nonce claim"));
    }
    Ok(())
}

/// Removes the mark of a state that is over.
pub(super) fn forget(work: &mut Work<'_, '_>, id: &str) -> Result<(), Error> {
    work.store.delete(&work.mount.area, &[FOLDER, id]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // check 142
    #[test]
    fn a_redirect_is_the_one_that_is_allowed_but_for_a_loopback_port() {
        let role = JwtRoleRecord {
            redirects: ["http://localhost:8250/oidc/callback", "https://app.example/cb"].map(str::to_owned).to_vec(),
            ..JwtRoleRecord::default()
        };
        for (redirect, expected) in [
            ("http://localhost:8250/oidc/callback", true),
            ("http://localhost:9999/oidc/callback", true),
            ("http://localhost/oidc/callback", true),
            ("http://localhost:8250/oidc/callback?x", false),
            ("http://localhost.evil.example:8250/oidc/callback", false),
            ("http://localhost:x@evil.example/oidc/callback", false),
            ("http://127.0.0.1:8250/oidc/callback", false),
            ("https://localhost:8250/oidc/callback", false),
            ("https://app.example/cb", true),
            ("https://app.example:444/cb", false),
            ("https://app.example/cb/", false),
        ] {
            assert_eq!(allows(&role, redirect), expected, "{redirect}");
        }
    }

    #[test]
    fn a_part_of_a_query_cannot_become_another_part() {
        assert_eq!(form(&[("a", "b&c=d e/ü")]), "a=b%26c%3Dd%20e%2F%C3%BC");
    }
}
