//! Clients of the OIDC provider: applications whose users log in here.

use std::collections::BTreeSet;

use prost::Message;
use serde_json::{Value, json};

use crate::engine::Call;
use crate::engines::identity::oidc::role::CLIENT_ID_SYMBOLS;
use crate::engines::identity::oidc::{assignment, key};
use crate::engines::listing;
use crate::engines::terms::{check_length, whole_secs};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::store::{Area, Store};
use crate::token::lifetime::Bounds;

/// Directory of the clients by name, and of their names by client id.
const FOLDER: &str = "oidc-client";
const IDS: &str = "oidc-client-id";
/// Most clients.
const MAX_CLIENTS: u64 = 1_000;
/// Random symbols of a client's secret: 43 of 62 are 256 bits.
const SECRET_SYMBOLS: usize = 43;
/// Longest address that a client is sent back to, in bytes.
const MAX_URI_BYTES: usize = 2_048;

pub(super) const NAME: Field = field("name", Kind::Text, "Name of the client.");
pub(super) const FIELDS: &[Field] = &[
    NAME,
    field("key", Kind::Text, "Name of the key that signs its tokens.").or("default"),
    field("redirect_uris", Kind::CommaList, "Addresses that users may be sent back to; exactly these."),
    field("assignments", Kind::CommaList, "Who may log in there: names of assignments; allow_all is everybody."),
    field("client_type", Kind::Text, "Whether it can keep a secret; one that cannot must use PKCE. Never changes.")
        .one_of(&["confidential", "public"])
        .or("confidential"),
    field("id_token_ttl", Kind::Duration, "Time to live of its ID tokens; at most the key's verification_ttl.")
        .or("24h"),
    field("access_token_ttl", Kind::Duration, "Time to live of its access tokens; at most the mount's max_lease_ttl.")
        .or("24h"),
];

/// A client as it is stored. Has no `Debug`, because of its secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct OidcClientRecord {
    #[prost(string, tag = "1")]
    pub(super) client_id: String,
    /// Empty for public clients.
    #[prost(string, tag = "2")]
    pub(super) secret: String,
    #[prost(string, tag = "3")]
    pub(super) key: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) redirect_uris: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub(super) assignments: Vec<String>,
    #[prost(bool, tag = "6")]
    pub(super) is_public: bool,
    #[prost(uint64, tag = "7")]
    pub(super) id_token_secs: u64,
    #[prost(uint64, tag = "8")]
    pub(super) access_token_secs: u64,
}

/// What a client id stands for.
#[derive(Clone, PartialEq, Message)]
struct OidcClientNameRecord {
    #[prost(string, tag = "1")]
    name: String,
}

fn find(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<OidcClientRecord>, Error> {
    store.get(area, &[FOLDER, name])
}

/// A client by its id.
pub(super) fn by_id(store: &mut Store<'_>, area: &Area, id: &str) -> Result<Option<OidcClientRecord>, Error> {
    let name: Option<OidcClientNameRecord> = store.get(area, &[IDS, id])?;
    match name {
        Some(place) => find(store, area, &place.name),
        None => Ok(None),
    }
}

/// Names of the clients, sorted, that are somehow.
fn that(call: &mut Call<'_, '_>, is_meant: impl Fn(&OidcClientRecord) -> bool) -> Result<Vec<String>, Error> {
    let area = call.mount.area.clone();
    let mut names = Vec::new();
    for name in call.store.list(&area, &[FOLDER])?.iter() {
        if find(call.store, &area, &name.name)?.is_some_and(|client| is_meant(&client)) {
            names.push(name.name.to_string());
        }
    }
    Ok(names)
}

/// Names of the clients whose tokens a key signs.
pub(super) fn using_key(call: &mut Call<'_, '_>, key: &str) -> Result<Vec<String>, Error> {
    that(call, |client| client.key == key)
}

/// Refuses a verification time of a key that is shorter than the life of a client's ID tokens.
pub(super) fn check_ttls(call: &mut Call<'_, '_>, key: &str, verification_secs: u64) -> Result<(), Error> {
    match that(call, |client| client.key == key && client.id_token_secs > verification_secs)?.first() {
        Some(name) => Err(Error::invalid(format!(
            "unable to update key {key:?} because it is currently referenced by client {name:?}, whose id_token_ttl is longer than \
             verification_ttl"
        ))),
        None => Ok(()),
    }
}

/// The keys that sign for the clients that are somehow: their names, sorted, each once.
pub(super) fn keys_of(
    call: &mut Call<'_, '_>,
    is_meant: impl Fn(&OidcClientRecord) -> bool,
) -> Result<BTreeSet<String>, Error> {
    let area = call.mount.area.clone();
    let mut keys = BTreeSet::new();
    for name in call.store.list(&area, &[FOLDER])?.iter() {
        keys.extend(find(call.store, &area, &name.name)?.filter(&is_meant).map(|client| client.key));
    }
    Ok(keys)
}

/// Names of the clients that an assignment lets users into.
pub(super) fn using_assignment(call: &mut Call<'_, '_>, assignment: &str) -> Result<Vec<String>, Error> {
    that(call, |client| client.assignments.iter().any(|name| name == assignment))
}

fn shown(client: &OidcClientRecord) -> Value {
    let mut shown = json!({
        "access_token_ttl": client.access_token_secs,
        "assignments": client.assignments,
        "authorization_code": true,
        "client_credentials": false,
        "client_id": client.client_id,
        "client_type": if client.is_public { "public" } else { "confidential" },
        "id_token_ttl": client.id_token_secs,
        "key": client.key,
        "redirect_uris": client.redirect_uris,
    });
    if !client.is_public {
        shown["client_secret"] = client.secret.clone().into();
    }
    shown
}

/// `oidc/client`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let names = call.store.list(&area, &[FOLDER])?;
    listing::with_details(listing::page_of(&names, &call.fields)?, |name| {
        let client = find(call.store, &area, name)?;
        Ok(client.map(|client| {
            let mut shown = shown(&client);
            // Who may list need not be who may read a secret.
            shown.as_object_mut().map(|shown| shown.remove("client_secret"));
            shown
        }))
    })
}

/// `oidc/client/{name}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let client = find(call.store, &call.mount.area, call.fields.text_or_empty(NAME.name))?;
    Ok(Reply::data(shown(&client.ok_or_else(Error::not_found)?)))
}

/// `oidc/client/{name}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, name) = (call.mount.area.clone(), call.fields.text_or_empty(NAME.name).to_owned());
    let found = find(call.store, &area, &name)?;
    let is_new = found.is_none();
    if is_new && call.store.count(&area, &[FOLDER])? >= MAX_CLIENTS {
        return Err(Error::invalid(format!(
            "there are {MAX_CLIENTS} clients, the most that there are; delete some first"
        )));
    }
    let mut client = found.unwrap_or_else(|| OidcClientRecord {
        key: key::DEFAULT.to_owned(),
        id_token_secs: 24 * 3600,
        access_token_secs: 24 * 3600,
        ..OidcClientRecord::default()
    });
    take_type(call, &mut client, is_new)?;
    take(call, &mut client)?;
    if is_new {
        client.client_id = call.context.base62(CLIENT_ID_SYMBOLS + 6);
        if !client.is_public {
            client.secret = format!("hvo_secret_{}", call.context.base62(SECRET_SYMBOLS));
        }
        call.store.put(&area, &[IDS, &client.client_id], &OidcClientNameRecord { name: name.clone() })?;
    }
    call.store.put(&area, &[FOLDER, &name], &client)?;
    Ok(Reply::empty())
}

fn take_type(call: &Call<'_, '_>, client: &mut OidcClientRecord, is_new: bool) -> Result<(), Error> {
    let is_public = match call.fields.text_or_empty("client_type") {
        "" => client.is_public,
        "public" => true,
        "confidential" => false,
        other => return Err(Error::invalid(format!("invalid client_type {other:?}"))),
    };
    if !is_new && is_public != client.is_public {
        return Err(Error::invalid("client_type modification is not allowed"));
    }
    client.is_public = is_public;
    Ok(())
}

fn take(call: &mut Call<'_, '_>, client: &mut OidcClientRecord) -> Result<(), Error> {
    let area = call.mount.area.clone();
    if let Some(key) = call.fields.text("key") {
        key.clone_into(&mut client.key);
    }
    if let Some(uris) = call.fields.list("redirect_uris") {
        check_length("redirect_uris", uris)?;
        if uris.iter().any(|uri| uri.len() > MAX_URI_BYTES || !uri.contains(':')) {
            return Err(Error::invalid(format!(
                "redirect_uris must be whole addresses such as https://app.example/callback, of at most {MAX_URI_BYTES} bytes"
            )));
        }
        client.redirect_uris = uris.to_vec();
    }
    if let Some(names) = call.fields.list("assignments").map(<[String]>::to_vec) {
        check_length("assignments", &names)?;
        for name in &names {
            if assignment::find(call.store, &area, name)?.is_none() {
                return Err(Error::invalid(format!("assignment {name:?} does not exist")));
            }
        }
        client.assignments = names;
    }
    client.id_token_secs = whole_secs(&call.fields, "id_token_ttl").unwrap_or(client.id_token_secs);
    if let Some(secs) = whole_secs(&call.fields, "access_token_ttl") {
        let max_secs = max_access_secs(call);
        if secs > max_secs {
            return Err(Error::invalid(format!(
                "access_token_ttl cannot be greater than the max_lease_ttl of the identity mount, {max_secs} seconds"
            )));
        }
        client.access_token_secs = secs;
    }
    let key = key::find(call.store, &area, &client.key)?;
    let key = key.ok_or_else(|| Error::invalid(format!("key {:?} does not exist", client.key)))?;
    match client.id_token_secs > key.verification_secs {
        true => Err(Error::invalid(
            "a client's id_token_ttl cannot be greater than the verification_ttl of the key it references",
        )),
        false => Ok(()),
    }
}

/// How long an access token may live, in seconds.
pub(super) fn max_access_secs(call: &Call<'_, '_>) -> u64 {
    Bounds::of_mount(call.context, &call.mount.record).limit_secs
}

/// `oidc/client/{name}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, name) = (call.mount.area.clone(), call.fields.text_or_empty(NAME.name).to_owned());
    if let Some(client) = find(call.store, &area, &name)? {
        call.store.delete(&area, &[IDS, &client.client_id]);
        call.store.delete(&area, &[FOLDER, &name]);
    }
    Ok(Reply::empty())
}
