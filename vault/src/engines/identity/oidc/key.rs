//! Named keys: what signs tokens, how long, and for whom.
//!
//! A name's signing key is made when it is needed first, and another one in its place by the first token after its rotation
//! period. So a name that signs nothing changes nothing, and no rotation can be late: no token is signed by a key that is due. What
//! signed before stays public for the verification time.

use prost::Message;
use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::Call;
use crate::engines::identity::oidc::client;
use crate::engines::identity::oidc::jwk::{JwkPairRecord, algorithm_named};
use crate::engines::identity::oidc::role;
use crate::engines::listing;
use crate::engines::terms::{check_length, whole_secs};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::jose::algorithm::JwsAlgorithm;
use crate::reply::Reply;
use crate::store::{Area, Store};
use crate::time::Time;

/// Directory of the keys.
const FOLDER: &str = "oidc-key";
/// The key that is there from the start.
pub(super) const DEFAULT: &str = "default";
/// Most names of keys.
const MAX_KEYS: u64 = 256;
/// Most keys of one name that stay public at once.
const MAX_OLD: usize = 32;
/// Usual rotation period and verification time, in seconds.
const DAY_SECS: u64 = 24 * 3600;
/// Shortest rotation period, in seconds.
const MIN_ROTATION_SECS: u64 = 60;

const NAME: Field = field("name", Kind::Text, "Name of the key.");
const ROTATION: Field =
    field("rotation_period", Kind::Duration, "After this time the next token is signed by another key.").or("24h");
const VERIFICATION: Field = field(
    "verification_ttl",
    Kind::Duration,
    "How long a key stays public after it signs no more; at most ten rotation periods.",
)
.or("24h");
pub(super) const FIELDS: &[Field] = &[
    NAME,
    ROTATION,
    VERIFICATION,
    field("algorithm", Kind::Text, "What its tokens are signed with.")
        .one_of(&["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"])
        .or("RS256"),
    field("allowed_client_ids", Kind::CommaList, "Ids of the clients and roles that it signs for; \"*\" is all."),
];
pub(super) const ROTATE_FIELDS: &[Field] =
    &[NAME, field("verification_ttl", Kind::Duration, "As of the key, for the one that signs no more.")];

/// A name as it is stored.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct OidcKeyRecord {
    #[prost(uint64, tag = "1")]
    rotation_secs: u64,
    #[prost(uint64, tag = "2")]
    pub(super) verification_secs: u64,
    #[prost(string, tag = "3")]
    algorithm: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) allowed_client_ids: Vec<String>,
    /// What signs; absent before the first token.
    #[prost(message, optional, tag = "5")]
    signing: Option<JwkPairRecord>,
    /// When another one is due, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "6")]
    due_nanos: i64,
    /// What signed before, without private halves.
    #[prost(message, repeated, tag = "7")]
    old: Vec<OldKeyRecord>,
}

/// A key that signs no more.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct OldKeyRecord {
    #[prost(message, required, tag = "1")]
    pair: JwkPairRecord,
    /// Until when it is public, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    expires_nanos: i64,
}

impl OidcKeyRecord {
    fn new(is_for_all: bool) -> Self {
        Self {
            rotation_secs: DAY_SECS,
            verification_secs: DAY_SECS,
            algorithm: JwsAlgorithm::Rs256.as_str().to_owned(),
            allowed_client_ids: if is_for_all { vec!["*".to_owned()] } else { Vec::new() },
            ..Self::default()
        }
    }

    /// Whether it signs for a client or role.
    pub(super) fn allows(&self, client_id: &str) -> bool {
        self.allowed_client_ids.iter().any(|id| id == "*" || id == client_id)
    }

    /// The key that signs now. The caller stores the record.
    fn current(&mut self, context: &mut Context<'_>) -> Result<JwkPairRecord, Error> {
        if self.signing.is_none() || context.now >= Time::from_nanos(self.due_nanos) {
            self.rotate(context, self.verification_secs)?;
        }
        self.signing.clone().ok_or_else(|| Error::internal("a rotated key signs nothing"))
    }

    fn rotate(&mut self, context: &mut Context<'_>, verification_secs: u64) -> Result<(), Error> {
        let algorithm = algorithm_named(&self.algorithm);
        let algorithm = algorithm.ok_or_else(|| Error::internal("a key has an unknown algorithm"))?;
        let fresh = JwkPairRecord::generate(context, algorithm, "identity key")?;
        let now = context.now;
        self.old.retain(|old| now < Time::from_nanos(old.expires_nanos));
        if let Some(before) = self.signing.replace(fresh) {
            let expires_nanos = now.plus_secs(verification_secs).nanos();
            self.old.push(OldKeyRecord { pair: before.public_half(), expires_nanos });
        }
        if self.old.len() > MAX_OLD {
            return Err(Error::invalid(format!(
                "{MAX_OLD} keys that signed before are public still, the most that there are; wait, or shorten verification_ttl"
            )));
        }
        self.due_nanos = now.plus_secs(self.rotation_secs).nanos();
        Ok(())
    }

    /// All keys that may have signed what counts still.
    pub(super) fn public(&self, now: Time) -> impl Iterator<Item = &JwkPairRecord> {
        let old = self.old.iter().filter(move |old| now < Time::from_nanos(old.expires_nanos));
        self.signing.iter().chain(old.map(|old| &old.pair))
    }
}

/// A key by its name.
pub(super) fn find(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<OidcKeyRecord>, Error> {
    let found = store.get(area, &[FOLDER, name])?;
    Ok(found.or_else(|| (name == DEFAULT).then(|| OidcKeyRecord::new(true))))
}

/// The key of a name that signs now, made or rotated if that is due; ends the run if one must be made.
pub(super) fn signing(call: &mut Call<'_, '_>, name: &str) -> Result<JwkPairRecord, Error> {
    let area = call.mount.area.clone();
    let found = find(call.store, &area, name)?;
    let mut record = found.ok_or_else(|| Error::invalid(format!("key {name:?} does not exist")))?;
    let before = record.clone();
    let pair = record.current(call.context)?;
    if record != before {
        call.store.put(&area, &[FOLDER, name], &record)?;
    }
    Ok(pair)
}

/// All names of keys, sorted.
pub(super) fn names(store: &mut Store<'_>, area: &Area) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = store.list(area, &[FOLDER])?.iter().map(|name| name.name.to_string()).collect();
    if let Err(place) = names.binary_search_by(|name| name.as_str().cmp(DEFAULT)) {
        names.insert(place, DEFAULT.to_owned());
    }
    Ok(names)
}

/// The keys, of all names, that may have signed what counts still.
pub(super) fn all_public(call: &mut Call<'_, '_>) -> Result<Vec<JwkPairRecord>, Error> {
    let area = call.mount.area.clone();
    let names = names(call.store, &area)?;
    public_of(call, &names)
}

/// The keys, of some names, that may have signed what counts still.
pub(super) fn public_of<'n>(
    call: &mut Call<'_, '_>,
    names: impl IntoIterator<Item = &'n String>,
) -> Result<Vec<JwkPairRecord>, Error> {
    let (area, now) = (call.mount.area.clone(), call.context.now);
    let mut keys = Vec::new();
    for name in names {
        let record = find(call.store, &area, name)?;
        keys.extend(record.iter().flat_map(|record| record.public(now)).cloned());
    }
    Ok(keys)
}

fn name_of(call: &Call<'_, '_>) -> String {
    call.fields.text_or_empty(NAME.name).to_owned()
}

/// `oidc/key`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    listing::page(names(call.store, &area)?, &call.fields)
}

/// `oidc/key/{name}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = find(call.store, &call.mount.area, &name_of(call))?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({
        "algorithm": record.algorithm,
        "allowed_client_ids": record.allowed_client_ids,
        "rotation_period": record.rotation_secs,
        "verification_ttl": record.verification_secs,
    })))
}

/// `oidc/key/{name}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, name) = (call.mount.area.clone(), name_of(call));
    let found = find(call.store, &area, &name)?;
    if found.is_none() && call.store.count(&area, &[FOLDER])? >= MAX_KEYS {
        return Err(Error::invalid(format!("there are {MAX_KEYS} keys, the most that there are; delete some first")));
    }
    let mut record = found.unwrap_or_else(|| OidcKeyRecord::new(false));
    record.rotation_secs = whole_secs(&call.fields, ROTATION.name).unwrap_or(record.rotation_secs);
    record.verification_secs = whole_secs(&call.fields, VERIFICATION.name).unwrap_or(record.verification_secs);
    if record.rotation_secs < MIN_ROTATION_SECS {
        return Err(Error::invalid("rotation_period must be at least one minute"));
    }
    if record.verification_secs > record.rotation_secs.saturating_mul(10) {
        return Err(Error::invalid("verification_ttl cannot be longer than 10x rotation_period"));
    }
    if let Some(algorithm) = call.fields.text("algorithm") {
        let known = algorithm_named(algorithm);
        let known = known.ok_or_else(|| Error::invalid(format!("unknown signing algorithm {algorithm:?}")))?;
        if record.algorithm != known.as_str() {
            // The next token is signed by a key of the new algorithm.
            known.as_str().clone_into(&mut record.algorithm);
            record.due_nanos = 0;
        }
    }
    if let Some(ids) = call.fields.list("allowed_client_ids") {
        check_length("allowed_client_ids", ids)?;
        record.allowed_client_ids = ids.to_vec();
    }
    role::check_ttls(call, &name, record.verification_secs)?;
    client::check_ttls(call, &name, record.verification_secs)?;
    call.store.put(&area, &[FOLDER, &name], &record)?;
    Ok(Reply::empty())
}

/// `oidc/key/{name}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call);
    if name == DEFAULT {
        return Err(Error::invalid("deletion of key \"default\" not allowed"));
    }
    for (kind, users) in [("roles", role::using(call, &name)?), ("clients", client::using_key(call, &name)?)] {
        if !users.is_empty() {
            return Err(Error::invalid(format!(
                "unable to delete key {name:?} because it is currently referenced by these {kind}: {}",
                users.join(", ")
            )));
        }
    }
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}

/// `oidc/key/{name}/rotate`
pub(super) fn rotate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, name) = (call.mount.area.clone(), name_of(call));
    let found = find(call.store, &area, &name)?;
    let mut record = found.ok_or_else(|| Error::invalid(format!("no named key found at {name:?}")))?;
    let verification_secs = whole_secs(&call.fields, VERIFICATION.name).unwrap_or(record.verification_secs);
    record.rotate(call.context, verification_secs)?;
    call.store.put(&area, &[FOLDER, &name], &record)?;
    Ok(Reply::empty())
}

/// Keys as clients read them (RFC 7517, section 5).
pub(super) fn jwks(keys: &[JwkPairRecord]) -> Result<Reply, Error> {
    let keys = keys.iter().map(JwkPairRecord::to_jwk).collect::<Result<Vec<Value>, _>>()?;
    Ok(Reply { plain: true, ..Reply::data(json!({ "keys": keys })) })
}
