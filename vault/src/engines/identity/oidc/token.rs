//! Identity tokens: signed for who asks, and looked into for others (RFC 7519, RFC 7515 section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::engine::Call;
use crate::engines::identity::oidc::jwk::{JwkPairRecord, base64url};
use crate::engines::identity::oidc::{issuer, key, role, template};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::entity;
use crate::identity::rights::Standing;
use crate::json::parse_object;
use crate::reply::Reply;

/// Longest token that is looked into, in bytes.
const MAX_TOKEN_BYTES: usize = 128 * 1024;

pub(super) const FIELDS: &[Field] = &[role::NAME];
pub(super) const INTROSPECT_FIELDS: &[Field] = &[
    field("token", Kind::Text, "The token.").required(),
    field("client_id", Kind::Text, "The audience that it must be for, if that matters."),
];

/// `oidc/token/{name}`
pub(super) fn make(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, name) = (call.mount.area.clone(), call.fields.text_or_empty(role::NAME.name).to_owned());
    let role =
        role::find(call.store, &area, &name)?.ok_or_else(|| Error::invalid(format!("role {name:?} not found")))?;
    let named = key::find(call.store, &area, &role.key)?;
    let named = named.ok_or_else(|| Error::invalid(format!("key {:?} not found", role.key)))?;
    if !named.allows(&role.client_id) {
        return Err(Error::invalid(format!(
            "the key {:?} does not list the client ID of the role {name:?} as an allowed client ID",
            role.key
        )));
    }
    let entity_id = call.caller()?.record.entity_id.clone();
    let standing = Standing::admitted(call.store, &entity_id)?;
    let subject = standing.entity.as_ref().map(|entity| entity.record.id.clone());
    let subject = subject.ok_or_else(|| Error::invalid("no entity associated with the request's token"))?;
    let now = call.context.now;
    let mut claims = template::fill(&role.template, &standing, now)?;
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", issuer::of_tokens(call)?.into());
    put("sub", subject.into());
    put("aud", role.client_id.clone().into());
    put("iat", now.secs().into());
    put("exp", now.plus_secs(role.ttl_secs).secs().into());
    put("namespace", "root".into());
    let token = sign(call, &role.key, &claims)?;
    Ok(Reply::data(json!({ "client_id": role.client_id, "token": token, "ttl": role.ttl_secs })))
}

/// Signs claims by a named key; ends the run if that must be made first.
pub(super) fn sign(call: &mut Call<'_, '_>, key: &str, claims: &Map<String, Value>) -> Result<String, Error> {
    let pair = key::signing(call, key)?;
    let header = json!({ "alg": pair.algorithm, "kid": pair.id }).to_string();
    let claims = Value::Object(claims.clone()).to_string();
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = pair.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", base64url(&signature)))
}

/// `oidc/introspect`
pub(super) fn introspect(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let token = call.fields.text_or_empty("token").to_owned();
    let client_id = call.fields.text_or_empty("client_id").to_owned();
    let body = match look_into(call, &token, &client_id)? {
        Ok(()) => json!({ "active": true }),
        Err(reason) => json!({ "active": false, "error": reason }),
    };
    Ok(Reply { plain: true, ..Reply::data(body) })
}

/// Whether a token is one of ours that counts still; if not, why.
fn look_into(call: &mut Call<'_, '_>, token: &str, client_id: &str) -> Result<Result<(), String>, Error> {
    if token.len() > MAX_TOKEN_BYTES {
        return Ok(Err(format!("error parsing token: it is longer than {MAX_TOKEN_BYTES} bytes")));
    }
    let keys = key::all_public(call)?;
    let claims = match opened(token, &keys) {
        Ok(claims) => claims,
        Err(reason) => return Ok(Err(reason)),
    };
    let now = call.context.now.secs();
    if claims["exp"].as_i64().is_none_or(|end| end <= now) {
        return Ok(Err("error validating claims: the token is expired (exp)".to_owned()));
    }
    if claims["iss"] != json!(issuer::of_tokens(call)?) {
        return Ok(Err("error validating claims: invalid issuer claim (iss)".to_owned()));
    }
    // Clients read these texts in a reply of status 200, so they are the ones of the API, its library's name included.
    if !client_id.is_empty() && claims["aud"] != json!(client_id) {
        return Ok(Err(
            "error validating claims: go-jose/go-jose/jwt: validation failed, invalid audience claim (aud)".to_owned(),
        ));
    }
    let (area, subject) = (call.mount.area.clone(), claims["sub"].as_str().unwrap_or_default().to_owned());
    match entity::find(call.store, &area, &subject)? {
        Some(entity) if !entity.record.is_disabled => Ok(Ok(())),
        Some(_) => Ok(Err("entity is disabled".to_owned())),
        None => Ok(Err("entity was not found".to_owned())),
    }
}

/// The claims of a token that one of the keys signed. The header names the key, and the key alone says the algorithm.
fn opened(token: &str, keys: &[JwkPairRecord]) -> Result<Value, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err("error parsing token: go-jose/go-jose: compact JWS format must have three parts".to_owned());
    };
    let malformed = || "error parsing token: it is not a signed JWT".to_owned();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
    let object = |bytes: Vec<u8>| parse_object(&bytes).ok().flatten().map(Value::Object).ok_or_else(malformed);
    let header_claims = object(decode(header)?)?;
    let key = keys.iter().find(|key| header_claims["kid"] == json!(key.id));
    let key = key.filter(|key| header_claims["alg"] == json!(key.algorithm));
    let key = key.ok_or_else(|| "unable to validate the token: no such signing key".to_owned())?;
    let signed = &token[..header.len() + 1 + claims.len()];
    if !key.verifies(signed.as_bytes(), &decode(signature)?) {
        return Err("unable to validate the token: the signature is not the key's".to_owned());
    }
    object(decode(claims)?)
}
