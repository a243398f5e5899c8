//! `token` and `userinfo`: a client turns a code into tokens, and an access token into what it may know (RFC 6749, section 4.1.3;
//! OpenID Connect Core 1.0, sections 3.1.3 and 5.3).
//!
//! What surprises: an access token is a batch token that has no policies and no entity, so it is good for `userinfo` and for
//! nothing else. Who it is about, and for which client, stands in its metadata, and that it is one is shown by the path that
//! made it. It cannot be revoked; instead each use asks again what was asked when it was made.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::engine::Call;
use crate::engines::identity::oidc::authorize::{OidcCodeRecord, redeem};
use crate::engines::identity::oidc::client::{self, OidcClientRecord};
use crate::engines::identity::oidc::jwk::base64url;
use crate::engines::identity::oidc::provider::OidcProviderRecord;
use crate::engines::identity::oidc::{assignment, key, provider, scope, template, token as signed};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::rights::Standing;
use crate::lease::Origin;
use crate::reply::{Raw, Reply, Status};
use crate::token::record::TokenRecord;
use crate::token::{authenticate, issue};

/// Names of an access token's metadata.
const CLIENT: &str = "oidc_client";
const SUBJECT: &str = "oidc_subject";
const SCOPES: &str = "oidc_scopes";
/// What `userinfo` says without an access token (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer error=\"invalid_token\",error_description=\"permission denied\"";

pub(super) const FIELDS: &[Field] = &[
    provider::NAME,
    field("grant_type", Kind::Text, "authorization_code").required(),
    field("code", Kind::Text, "The code.").required(),
    field("redirect_uri", Kind::Text, "As it was sent to authorize.").required(),
    field("client_id", Kind::Text, "The client.").required(),
    field("client_secret", Kind::Text, "Its secret, if it has one."),
    field("code_verifier", Kind::Text, "Of PKCE."),
];
pub(super) const USERINFO_FIELDS: &[Field] = &[provider::NAME];

/// A refusal, whose reply keeps what was written: a code that was shown counts no more.
fn refused(error: &str, description: &str) -> Reply {
    let body = json!({ "error": error, "error_description": description });
    Reply { plain: true, status: Status::Invalid, ..Reply::data(body) }
}

/// `oidc/provider/{name}/token`
pub(super) fn exchange(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let text = |name: &str| Zeroizing::new(call.fields.text_or_empty(name).to_owned());
    let (client_id, code, grant) = (text("client_id"), text("code"), text("grant_type"));
    let Some((name, provider)) = provider::named(call)? else {
        return Ok(refused("invalid_request", "provider not found"));
    };
    if client_id.is_empty() {
        return Ok(refused("invalid_request", "client_id parameter is required"));
    }
    let area = call.mount.area.clone();
    let client = client::by_id(call.store, &area, &client_id)?;
    let Some(client) = client.filter(|client| is_client(call, client)) else {
        return Ok(refused("invalid_client", "client failed to authenticate"));
    };
    if !provider.allows(&client.client_id) {
        return Ok(refused("invalid_client", "client is not authorized to use the provider"));
    }
    if !key::find(call.store, &area, &client.key)?.is_some_and(|key| key.allows(&client.client_id)) {
        return Ok(refused("invalid_client", "client is not authorized to use the key"));
    }
    match grant.as_str() {
        "authorization_code" => {}
        "" => return Ok(refused("invalid_request", "grant_type parameter is required")),
        _ => return Ok(refused("unsupported_grant_type", "unsupported grant_type value")),
    }
    if code.is_empty() {
        return Ok(refused("invalid_request", "code parameter is required"));
    }
    let Some(record) = redeem(call, &code)?.filter(|record| is_for(call, record, &client, &name)) else {
        return Ok(refused("invalid_grant", "authorization grant is invalid or expired"));
    };
    let Some(standing) = admitted(call, &client, &record.entity_id)? else {
        return Ok(refused("invalid_request", "identity entity not authorized by client assignment"));
    };
    let issuer = provider.issuer(call, &name)?;
    let claims = claims_of(call, &provider, &record.scopes, &standing)?;
    give(call, &client, &record, claims, &issuer, &code)
}

/// An entity as it is now, if it is not disabled and a client's assignments admit it.
fn admitted(call: &mut Call<'_, '_>, client: &OidcClientRecord, entity_id: &str) -> Result<Option<Standing>, Error> {
    let standing = Standing::of(call.store, entity_id)?;
    let is_enabled = standing.entity.as_ref().is_some_and(|entity| !entity.record.is_disabled);
    let is_admitted = is_enabled && assignment::admit(call, &client.assignments, &standing)?;
    Ok(is_admitted.then_some(standing))
}

/// Whether the request comes from a client: a public one proves that by PKCE.
fn is_client(call: &Call<'_, '_>, client: &OidcClientRecord) -> bool {
    let secret = call.fields.text_or_empty("client_secret");
    client.is_public || bool::from(secret.as_bytes().ct_eq(client.secret.as_bytes()))
}

/// Whether a code is this client's, of this provider and this redirect, and who shows it asked for it.
fn is_for(call: &Call<'_, '_>, record: &OidcCodeRecord, client: &OidcClientRecord, provider: &str) -> bool {
    let verifier = call.fields.text_or_empty("code_verifier");
    let hashed = base64url(digest(&SHA256, verifier.as_bytes()).as_ref());
    let shown = if record.is_plain { verifier } else { &hashed };
    let is_verified = match record.challenge.is_empty() {
        // Without a challenge a verifier is another client's (RFC 9700, section 2.1.1).
        true => verifier.is_empty() && !client.is_public,
        false => bool::from(shown.as_bytes().ct_eq(record.challenge.as_bytes())),
    };
    let is_same = (record.client_id.as_str(), record.provider.as_str()) == (client.client_id.as_str(), provider);
    is_verified && is_same && record.redirect_uri == call.fields.text_or_empty("redirect_uri")
}

fn give(
    call: &mut Call<'_, '_>,
    client: &OidcClientRecord,
    record: &OidcCodeRecord,
    mut claims: Map<String, Value>,
    issuer: &str,
    code: &str,
) -> Result<Reply, Error> {
    // First what may end the run: the access token is another in each.
    let algorithm = key::signing(call, &client.key)?.algorithm.clone();
    let now = call.context.now;
    let (access, access_secs) = access_token(call, client, record)?;
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", issuer.into());
    put("sub", record.entity_id.clone().into());
    put("aud", client.client_id.clone().into());
    put("iat", now.secs().into());
    put("exp", now.plus_secs(client.id_token_secs).secs().into());
    put("namespace", "root".into());
    put("at_hash", half_hash(&algorithm, &access).into());
    put("c_hash", half_hash(&algorithm, code).into());
    if !record.nonce.is_empty() {
        put("nonce", record.nonce.clone().into());
    }
    if record.auth_secs != 0 {
        put("auth_time", record.auth_secs.into());
    }
    let id_token = signed::sign(call, &client.key, &claims)?;
    Ok(Reply {
        plain: true,
        ..Reply::data(json!({
            "access_token": *access, "expires_in": access_secs, "id_token": id_token, "token_type": "Bearer",
        }))
    })
}

/// The claims of those scopes that a provider supports. Of two that set the same claim the one whose name is later wins.
fn claims_of(
    call: &mut Call<'_, '_>,
    provider: &OidcProviderRecord,
    scopes: &[String],
    standing: &Standing,
) -> Result<Map<String, Value>, Error> {
    let (area, now) = (call.mount.area.clone(), call.context.now);
    let mut claims = Map::new();
    for name in scopes.iter().filter(|name| provider.scopes.contains(name)) {
        if let Some(scope) = scope::find(call.store, &area, name)? {
            claims.extend(template::fill(&scope.template, standing, now)?);
        }
    }
    Ok(claims)
}

/// A new access token, and its time to live in seconds.
fn access_token(
    call: &mut Call<'_, '_>,
    client: &OidcClientRecord,
    code: &OidcCodeRecord,
) -> Result<(Zeroizing<String>, u64), Error> {
    let now = call.context.now;
    let ttl_secs = client.access_token_secs.min(client::max_access_secs(call));
    let path = call.request.path.as_str();
    let meta = [(CLIENT, client.client_id.clone()), (SUBJECT, code.entity_id.clone()), (SCOPES, code.scopes.join(" "))];
    let record = TokenRecord {
        path: path.to_owned(),
        origin: Origin::new(&call.mount.record, path),
        display_name: "oidc".to_owned(),
        meta: meta.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
        issued_nanos: now.nanos(),
        ttl_secs,
        expires_nanos: now.plus_secs(ttl_secs).nanos(),
        ..TokenRecord::default()
    };
    Ok((issue::issue_batch(call.store, call.context, record)?.id, ttl_secs))
}

/// The left half of a text's hash, by the hash of the signature's algorithm (OpenID Connect Core 1.0, section 3.1.3.6).
fn half_hash(algorithm: &str, text: &str) -> String {
    let hash = match algorithm {
        "RS256" | "ES256" => &SHA256,
        "RS384" | "ES384" => &SHA384,
        _ => &SHA512,
    };
    let hashed = digest(hash, text.as_bytes());
    base64url(&hashed.as_ref()[..hashed.as_ref().len() / 2])
}

/// `oidc/provider/{name}/userinfo`
pub(super) fn userinfo(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let raw = call.raw_token().cloned().unwrap_or_default();
    let token = authenticate(call.store, call.context, &raw, call.request.remote_address).ok();
    let maker = call.request.path.as_str().strip_suffix("userinfo").map(|path| format!("{path}token"));
    let is_made_here = |path: &str| Some(path) == maker.as_deref();
    let Some(token) = token.filter(|token| token.is_batch() && is_made_here(&token.record.path)) else {
        return Ok(unauthorised());
    };
    let meta = |name: &str| token.record.meta.get(name).cloned().unwrap_or_default();
    let Some((_, provider)) = provider::named(call)? else { return Ok(unauthorised()) };
    let area = call.mount.area.clone();
    let client = client::by_id(call.store, &area, &meta(CLIENT))?;
    let Some(client) = client.filter(|client| provider.allows(&client.client_id)) else {
        return Ok(unauthorised());
    };
    let Some(standing) = admitted(call, &client, &meta(SUBJECT))? else { return Ok(unauthorised()) };
    let scopes: Vec<String> = meta(SCOPES).split(' ').map(str::to_owned).collect();
    let mut claims = claims_of(call, &provider, &scopes, &standing)?;
    claims.insert("sub".to_owned(), meta(SUBJECT).into());
    Ok(Reply { plain: true, data: Some(claims), ..Reply::default() })
}

/// A token that is none (RFC 6750, section 3.1).
fn unauthorised() -> Reply {
    let body = json!({ "error": "invalid_token", "error_description": "permission denied" }).to_string();
    let raw = Raw { status_code: 401, content_type: "application/json".to_owned(), body: body.into_bytes() };
    Reply { raw: Some(raw), challenge: Some(CHALLENGE), ..Reply::default() }
}
