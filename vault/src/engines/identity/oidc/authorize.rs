//! `authorize`: who is logged in here consents that a client learns it, and gets a code for that (RFC 6749, section 4.1; RFC 7636;
//! OpenID Connect Core 1.0, section 3.1.2).
//!
//! A code lies under an HMAC of itself, for five minutes and one use.

use prost::Message;
use serde_json::json;
use zeroize::Zeroizing;

use crate::engine::{Call, Work};
use crate::engines::identity::oidc::client::{self, OidcClientRecord};
use crate::engines::identity::oidc::provider::{self, OidcProviderRecord};
use crate::engines::identity::oidc::{assignment, scope};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::rights::Standing;
use crate::mount::Mount;
use crate::reply::{Reply, Status};
use crate::time::Time;

/// Directory of the codes.
const FOLDER: &str = "oidc-code";
/// With this begins the name of a reminder that a code is over.
const REMINDER: &str = "oidc-code.";
/// How long a code counts, in seconds.
const CODE_SECS: u64 = 300;
/// Random symbols of a code: 32 of 62 are 190 bits.
const CODE_SYMBOLS: usize = 32;
/// Longest text that a client hands through, in bytes.
const MAX_TEXT_BYTES: usize = 2_048;

pub(super) const FIELDS: &[Field] = &[
    provider::NAME,
    field("scope", Kind::Text, "Scopes, with spaces between; openid is one of them.").required(),
    field("response_type", Kind::Text, "code").required(),
    field("client_id", Kind::Text, "The client.").required(),
    field("redirect_uri", Kind::Text, "Where the user is sent back to.").required(),
    field("state", Kind::Text, "Is handed back."),
    field("nonce", Kind::Text, "Is put into the ID token."),
    field("max_age", Kind::Int, "How old the user's login may be, in seconds."),
    field("code_challenge", Kind::Text, "Of PKCE; a public client must send it."),
    field("code_challenge_method", Kind::Text, "How it was made.").one_of(&["plain", "S256"]).or("plain"),
    field("request", Kind::Text, "Refused."),
    field("request_uri", Kind::Text, "Refused."),
];

/// What a code stands for.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct OidcCodeRecord {
    #[prost(string, tag = "1")]
    pub(super) provider: String,
    #[prost(string, tag = "2")]
    pub(super) client_id: String,
    #[prost(string, tag = "3")]
    pub(super) redirect_uri: String,
    #[prost(string, tag = "4")]
    pub(super) entity_id: String,
    #[prost(string, repeated, tag = "5")]
    pub(super) scopes: Vec<String>,
    #[prost(string, tag = "6")]
    pub(super) nonce: String,
    #[prost(string, tag = "7")]
    pub(super) challenge: String,
    #[prost(bool, tag = "8")]
    pub(super) is_plain: bool,
    /// When the user logged in, seconds since the Unix epoch; 0 if the client did not ask.
    #[prost(int64, tag = "9")]
    pub(super) auth_secs: i64,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "10")]
    pub(super) expires_nanos: i64,
}

/// What a client is refused with (RFC 6749, section 4.1.2.1).
struct Refused {
    error: &'static str,
    description: String,
}

fn refused(error: &'static str, description: impl Into<String>) -> Refused {
    Refused { error, description: description.into() }
}

/// `oidc/provider/{name}/authorize`
pub(super) fn authorize(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let state = text(call, "state");
    let body = match consent(call)? {
        Ok(code) => json!({ "code": *code, "state": state }),
        Err(Refused { error, description }) => {
            let body = json!({ "error": error, "error_description": description, "state": state });
            return Ok(Reply { plain: true, status: Status::Invalid, ..Reply::data(body) });
        }
    };
    Ok(Reply { plain: true, ..Reply::data(body) })
}

fn text(call: &Call<'_, '_>, name: &str) -> String {
    call.fields.text_or_empty(name).to_owned()
}

fn consent(call: &mut Call<'_, '_>) -> Result<Result<Zeroizing<String>, Refused>, Error> {
    let Some((name, provider)) = provider::named(call)? else {
        return Ok(Err(refused("invalid_request", "provider not found")));
    };
    let area = call.mount.area.clone();
    let client = client::by_id(call.store, &area, &text(call, "client_id"))?;
    let (client, scopes) = match checked(call, &provider, client) {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let token = call.caller()?;
    let standing = Standing::admitted(call.store, &token.record.entity_id)?;
    let Some(entity) = &standing.entity else {
        return Ok(Err(refused("access_denied", "identity entity must be associated with the request")));
    };
    if !assignment::admit(call, &client.assignments, &standing)? {
        return Ok(Err(refused("access_denied", "identity entity not authorized by client assignment")));
    }
    let (login, now) = (Time::from_nanos(token.record.issued_nanos), call.context.now);
    let max_age = call.fields.int("max_age");
    if max_age.is_some_and(|secs| login.plus_secs(secs.unsigned_abs()) < now) {
        return Ok(Err(refused("max_age_violation", "active re-authentication is required by max_age")));
    }
    let record = OidcCodeRecord {
        provider: name,
        client_id: client.client_id,
        redirect_uri: text(call, "redirect_uri"),
        entity_id: entity.record.id.clone(),
        scopes,
        nonce: text(call, "nonce"),
        challenge: text(call, "code_challenge"),
        is_plain: text(call, "code_challenge_method") != "S256",
        auth_secs: if max_age.is_some() { login.secs() } else { 0 },
        expires_nanos: now.plus_secs(CODE_SECS).nanos(),
    };
    let code = Zeroizing::new(call.context.base62(CODE_SYMBOLS));
    let hash = hash_of(&call.mount, &code);
    call.store.put(&area, &[FOLDER, &hash], &record)?;
    call.work().remind(Time::from_nanos(record.expires_nanos), &format!("{REMINDER}{hash}"))?;
    Ok(Ok(code))
}

/// What can be refused before it is known who asks. Where a redirect is not the client's own, nothing else is said.
fn checked(
    call: &Call<'_, '_>,
    provider: &OidcProviderRecord,
    client: Option<OidcClientRecord>,
) -> Result<(OidcClientRecord, Vec<String>), Refused> {
    let has = |name: &str| !call.fields.text_or_empty(name).is_empty();
    let scope = call.fields.text_or_empty("scope");
    if !scope.split(' ').any(|name| name == scope::OPENID) {
        return Err(refused("invalid_request", "scope parameter must contain the \"openid\" value"));
    }
    if has("request") {
        return Err(refused("request_not_supported", "request parameter is not supported"));
    }
    if has("request_uri") {
        return Err(refused("request_uri_not_supported", "request_uri parameter is not supported"));
    }
    match call.fields.text_or_empty("response_type") {
        "code" => {}
        "" => return Err(refused("invalid_request", "response_type parameter is required")),
        _ => return Err(refused("unsupported_response_type", "unsupported response_type value")),
    }
    if !has("client_id") {
        return Err(refused("invalid_request", "client_id parameter is required"));
    }
    let client = client.ok_or_else(|| refused("invalid_client_id", "client with client_id not found"))?;
    if !provider.allows(&client.client_id) {
        return Err(refused("unauthorized_client", "client is not authorized to use the provider"));
    }
    if !has("redirect_uri") {
        return Err(refused("invalid_request", "redirect_uri parameter is required"));
    }
    if !client.redirect_uris.iter().any(|uri| uri == call.fields.text_or_empty("redirect_uri")) {
        return Err(refused("invalid_redirect_uri", "redirect_uri is not allowed for the client"));
    }
    if client.is_public && !has("code_challenge") {
        return Err(refused("invalid_request", "PKCE is required for public clients"));
    }
    if has("code_challenge") && !matches!(call.fields.text_or_empty("code_challenge_method"), "" | "plain" | "S256") {
        return Err(refused("invalid_request", "invalid code_challenge_method"));
    }
    if ["nonce", "state", "code_challenge"].iter().any(|name| call.fields.text_or_empty(name).len() > MAX_TEXT_BYTES) {
        return Err(refused("invalid_request", format!("a parameter is longer than {MAX_TEXT_BYTES} bytes")));
    }
    if call.fields.int("max_age").is_some_and(i64::is_negative) {
        return Err(refused("invalid_request", "max_age must not be negative"));
    }
    let known = |name: &&str| provider.scopes.iter().any(|scope| scope == name);
    Ok((client, scope.split(' ').filter(known).map(str::to_owned).collect()))
}

/// What stands for a code in the store.
fn hash_of(mount: &Mount, code: &str) -> String {
    hex::encode(mount.keys.index(FOLDER, code.as_bytes()))
}

/// Uses a code up; `None` if it does not count.
pub(super) fn redeem(call: &mut Call<'_, '_>, code: &str) -> Result<Option<OidcCodeRecord>, Error> {
    let (area, hash) = (call.mount.area.clone(), hash_of(&call.mount, code));
    let Some(record) = call.store.get::<OidcCodeRecord>(&area, &[FOLDER, &hash])? else { return Ok(None) };
    let expires = Time::from_nanos(record.expires_nanos);
    call.store.delete(&area, &[FOLDER, &hash]);
    call.work().forget_reminder(expires, &format!("{REMINDER}{hash}"));
    Ok((call.context.now < expires).then_some(record))
}

/// Removes a code that is over.
pub(in crate::engines::identity) fn forget(work: &mut Work<'_, '_>, name: &str) -> Result<(), Error> {
    if let Some(hash) = name.strip_prefix(REMINDER) {
        work.store.delete(&work.mount.area, &[FOLDER, hash]);
    }
    Ok(())
}
