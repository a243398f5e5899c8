//! Providers: which clients log their users in here, under which address, with which scopes.

use prost::Message;
use serde_json::{Value, json};

use crate::engine::Call;
use crate::engines::identity::oidc::jwk::ALGORITHMS;
use crate::engines::identity::oidc::{client, issuer, key, scope};
use crate::engines::listing;
use crate::engines::terms::check_length;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::jose::algorithm::JwsAlgorithm;
use crate::reply::Reply;
use crate::store::{Area, Store};

/// Directory of the providers.
const FOLDER: &str = "oidc-provider";
/// The provider that is there from the start.
const DEFAULT: &str = "default";
/// Most providers.
const MAX_PROVIDERS: u64 = 256;

pub(super) const NAME: Field = field("name", Kind::Text, "Name of the provider.");
pub(super) const FIELDS: &[Field] = &[
    NAME,
    field("issuer", Kind::Text, "Scheme, host and port of its address; empty is api_addr of the oldest member."),
    field("allowed_client_ids", Kind::CommaList, "Ids of the clients that may use it; \"*\" is all."),
    field("scopes_supported", Kind::CommaList, "Names of the scopes that clients can ask for, besides openid."),
];

/// A provider as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OidcProviderRecord {
    #[prost(string, tag = "1")]
    issuer: String,
    #[prost(string, repeated, tag = "2")]
    allowed_client_ids: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) scopes: Vec<String>,
}

impl OidcProviderRecord {
    /// Whether a client may use it.
    pub(super) fn allows(&self, client_id: &str) -> bool {
        self.allowed_client_ids.iter().any(|id| id == "*" || id == client_id)
    }

    /// The `iss` of its tokens.
    pub(super) fn issuer(&self, call: &mut Call<'_, '_>, name: &str) -> Result<String, Error> {
        Ok(format!("{}/v1/identity/oidc/provider/{name}", issuer::base(call, &self.issuer)?))
    }
}

pub(super) fn find(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<OidcProviderRecord>, Error> {
    let found = store.get(area, &[FOLDER, name])?;
    let first = || OidcProviderRecord { allowed_client_ids: vec!["*".to_owned()], ..OidcProviderRecord::default() };
    Ok(found.or_else(|| (name == DEFAULT).then(first)))
}

/// The provider in the request's path, and its name.
pub(super) fn named(call: &mut Call<'_, '_>) -> Result<Option<(String, OidcProviderRecord)>, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    let found = find(call.store, &call.mount.area, &name)?;
    Ok(found.map(|provider| (name, provider)))
}

fn names(call: &mut Call<'_, '_>) -> Result<Vec<String>, Error> {
    let listed = call.store.list(&call.mount.area, &[FOLDER])?;
    let mut names = listing::keys(&listed);
    if let Err(place) = names.binary_search_by(|name| name.as_str().cmp(DEFAULT)) {
        names.insert(place, DEFAULT.to_owned());
    }
    Ok(names)
}

/// Names of the providers that support a scope.
pub(super) fn using_scope(call: &mut Call<'_, '_>, scope: &str) -> Result<Vec<String>, Error> {
    let area = call.mount.area.clone();
    let mut users = Vec::new();
    for name in names(call)? {
        let provider = find(call.store, &area, &name)?;
        if provider.is_some_and(|provider| provider.scopes.iter().any(|name| name == scope)) {
            users.push(name);
        }
    }
    Ok(users)
}

fn shown(call: &mut Call<'_, '_>, name: &str, provider: &OidcProviderRecord) -> Result<Value, Error> {
    Ok(json!({
        "allowed_client_ids": provider.allowed_client_ids,
        "issuer": provider.issuer(call, name)?,
        "scopes_supported": provider.scopes,
    }))
}

/// `oidc/provider`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let page = listing::page(names(call)?, &call.fields)?;
    listing::with_details(page, |name| match find(call.store, &area, name)? {
        Some(provider) => shown(call, name, &provider).map(Some),
        None => Ok(None),
    })
}

/// `oidc/provider/{name}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, provider) = named(call)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(shown(call, &name, &provider)?))
}

/// `oidc/provider/{name}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, name) = (call.mount.area.clone(), call.fields.text_or_empty(NAME.name).to_owned());
    let found = find(call.store, &area, &name)?;
    if found.is_none() && call.store.count(&area, &[FOLDER])? >= MAX_PROVIDERS {
        return Err(Error::invalid(format!("there are {MAX_PROVIDERS} providers, the most that there are")));
    }
    let mut provider = found.unwrap_or_default();
    if let Some(issuer) = call.fields.text("issuer") {
        issuer::check(issuer)?;
        issuer.clone_into(&mut provider.issuer);
    }
    if let Some(ids) = call.fields.list("allowed_client_ids") {
        check_length("allowed_client_ids", ids)?;
        provider.allowed_client_ids = ids.to_vec();
    }
    if let Some(names) = call.fields.list("scopes_supported").map(<[String]>::to_vec) {
        check_length("scopes_supported", &names)?;
        for name in &names {
            if name != scope::OPENID && scope::find(call.store, &area, name)?.is_none() {
                return Err(Error::invalid(format!("scope {name:?} does not exist")));
            }
        }
        provider.scopes = names;
        provider.scopes.retain(|name| name != scope::OPENID);
    }
    call.store.put(&area, &[FOLDER, &name], &provider)?;
    let is_set = !provider.issuer.is_empty();
    Ok(if is_set { Reply::empty().warn(issuer::WARNING) } else { Reply::empty() })
}

/// `oidc/provider/{name}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    if name == DEFAULT {
        return Err(Error::invalid("deletion of OIDC provider \"default\" not allowed"));
    }
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}

/// `oidc/provider/{name}/.well-known/openid-configuration` (OpenID Connect Discovery 1.0, section 4)
pub(super) fn discover(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, provider) = named(call)?.ok_or_else(Error::not_found)?;
    let issuer = provider.issuer(call, &name)?;
    let base = issuer.split("/v1/").next().unwrap_or_default().to_owned();
    let scopes: Vec<&str> = provider.scopes.iter().map(String::as_str).chain([scope::OPENID]).collect();
    Ok(Reply {
        plain: true,
        ..Reply::data(json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/keys"),
            "authorization_endpoint": format!("{base}/ui/vault/identity/oidc/provider/{name}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "id_token_signing_alg_values_supported": ALGORITHMS.map(JwsAlgorithm::as_str),
            "response_types_supported": ["code"],
            "scopes_supported": scopes,
            "claims_supported": [],
            "subject_types_supported": ["public"],
            "grant_types_supported": ["authorization_code"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            "code_challenge_methods_supported": ["plain", "S256"],
        }))
    })
}

/// `oidc/provider/{name}/.well-known/keys`: of the keys that sign for its clients, and no others.
pub(super) fn keys(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (_, provider) = named(call)?.ok_or_else(Error::not_found)?;
    let names = client::keys_of(call, |client| provider.allows(&client.client_id))?;
    let keys = key::public_of(call, &names)?;
    key::jwks(&keys)
}
