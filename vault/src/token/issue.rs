//! Making tokens. Whoever calls decides policies and times; here the id is drawn and everything is written that lets
//! the token be found: by its hash, by its accessor, by its parent, by the path that made it, and by its expiry.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::lease::{self, mark::Revocations};
use crate::limits::{MAX_CHOSEN_ID_BYTES, MAX_TOKEN_BYTES, MAX_TOKEN_DEPTH};
use crate::policy::name;
use crate::reply::Auth;
use crate::store::Store;
use crate::task::calendar;
use crate::time::Time;
use crate::token::lifetime::secs_until;
use crate::token::record::{self, AccessorRecord, ChildRecord, TokenRecord};
use crate::token::revoke;
use crate::token::{BATCH_PREFIX, SERVICE_PREFIX, hash_of};

/// Random symbols of an id and of an accessor: 24 of 62 are 142 bits.
const ID_SYMBOLS: usize = 24;
/// Bytes of a token's id that the server draws.
pub(super) const ROOT_TOKEN_BYTES: usize = SERVICE_PREFIX.len() + ID_SYMBOLS;

/// A token that was made. Has no `Debug`: it holds the id.
pub(crate) struct Issued {
    /// What the client presents.
    pub id: Zeroizing<String>,
    /// The record, with accessor.
    pub record: TokenRecord,
    /// Whether it is a batch token.
    pub is_batch: bool,
}

/// Makes a service token. `chosen` is an id of the caller's choice.
///
/// # Errors
/// [`ErrorKind::Invalid`] if the chosen id is taken or not well formed, or the token would lie too deep in the tree.
pub(crate) fn issue(
    store: &mut Store<'_>,
    context: &mut Context<'_>,
    mut record: TokenRecord,
    chosen: Option<&str>,
) -> Result<Issued, Error> {
    if record.depth > MAX_TOKEN_DEPTH {
        return Err(Error::invalid(format!(
            "the token would have more than {MAX_TOKEN_DEPTH} ancestors; create an orphan instead"
        )));
    }
    let system = store.system();
    let id = Zeroizing::new(match chosen {
        Some(chosen) => chosen.to_owned(),
        None => format!("{SERVICE_PREFIX}{}", context.base62(ID_SYMBOLS)),
    });
    let hash = hash_of(store.barrier(), &id);
    if chosen.is_some() {
        if store.contains(&system, &record::token_path(&hash))? {
            return Err(Error::invalid("cannot create a token with a duplicate ID"));
        }
        // Children and private store of a token that ended would become those of the new one until they are removed.
        if revoke::is_ending(store, &hash)? {
            return Err(Error::invalid(
                "a token with this ID was revoked, and what it left is still being removed; use another ID, or try again",
            ));
        }
    }
    record.accessor = context.base62(ID_SYMBOLS);
    record.generation = Revocations::load(store)?.generation();
    store.put(&system, &record::token_path(&hash), &record)?;
    store.put(&system, &record::accessor_path(&record.accessor), &AccessorRecord { token: hash.clone() })?;
    if !record.parent.is_empty() {
        store.put(&system, &record::child_path(&record.parent, &hash), &ChildRecord {})?;
    }
    if record.expires_nanos != 0 {
        calendar::schedule(store, Time::from_nanos(record.expires_nanos), &revoke::EXPIRY, &hash)?;
        lease::add(store, &record.origin, &hash)?;
    }
    Ok(Issued { id, record, is_batch: false })
}

/// Makes a batch token: the record itself, encrypted. Nothing is stored.
///
/// # Errors
/// [`ErrorKind::TooLarge`] if policies and metadata make it longer than [`MAX_TOKEN_BYTES`].
pub(crate) fn issue_batch(store: &Store<'_>, context: &mut Context<'_>, record: TokenRecord) -> Result<Issued, Error> {
    let content = Zeroizing::new(record.encode_to_vec());
    let sealed = store.barrier().seal_token(&content, context.random);
    let sealed = sealed.map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))?;
    let id = Zeroizing::new(format!("{BATCH_PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)));
    if id.len() > MAX_TOKEN_BYTES {
        let message = format!(
            "the batch token would take {} bytes, at most {MAX_TOKEN_BYTES} are accepted; \
             use fewer policies or less metadata",
            id.len()
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(Issued { id, record, is_batch: true })
}

/// Path of the root token that initialisation gave out; no request created it.
pub(crate) const INITIAL_ROOT_PATH: &str = "auth/token/root";

/// Makes a root token without an end. The first one of a dev server has an id of the operator's choice, and looks as if
/// it had been created over the API, as clients of dev servers expect.
pub fn create_root(store: &mut Store<'_>, context: &mut Context<'_>, id: Option<&str>) -> Result<String, Error> {
    let (path, display_name) = match id {
        Some(_) => ("auth/token/create", "token"),
        None => (INITIAL_ROOT_PATH, "root"),
    };
    let record = TokenRecord {
        policies: vec![name::ROOT.to_owned()],
        path: path.to_owned(),
        display_name: display_name.to_owned(),
        issued_nanos: context.now.nanos(),
        ..TokenRecord::default()
    };
    let issued = issue(store, context, record, id)?;
    Ok(issued.id.to_string())
}

/// Checks an id of the caller's choice. Ids are hashed before they name anything, so a slash does no harm; a dot marks
/// the ids that the server makes.
pub(crate) fn check_chosen(id: &str) -> Result<(), Error> {
    if ["s.", "b.", "r.", "hvs.", "hvb.", "hvr."].iter().any(|prefix| id.starts_with(prefix)) {
        return Err(Error::invalid("custom token ID cannot have the 's.' prefix"));
    }
    if id.contains('.') {
        return Err(Error::invalid("custom token ID cannot have a '.' in the value"));
    }
    if id.len() > MAX_CHOSEN_ID_BYTES || id.chars().any(|c| c.is_control() || c.is_whitespace() || !c.is_ascii()) {
        let message =
            format!("custom token ID must be at most {MAX_CHOSEN_ID_BYTES} printable ASCII characters without spaces");
        return Err(Error::invalid(message));
    }
    Ok(())
}

impl Issued {
    /// What the client is told.
    pub(crate) fn auth(&self, now: Time) -> Auth {
        auth_of(&self.record, &self.id, self.is_batch, now)
    }
}

/// What a client is told about a token that it made or renewed; `id` is empty where it must not learn it.
pub(crate) fn auth_of(record: &TokenRecord, id: &str, is_batch: bool, now: Time) -> Auth {
    Auth {
        client_token: id.to_owned(),
        accessor: record.accessor.clone(),
        policies: record.policies.clone(),
        token_policies: record.policies.clone(),
        identity_policies: Vec::new(),
        metadata: metadata(record),
        lease_secs: if record.expires_nanos == 0 { 0 } else { secs_until(now, Time::from_nanos(record.expires_nanos)) },
        renewable: record.is_renewable,
        entity_id: record.entity_id.clone(),
        token_type: if is_batch { "batch" } else { "service" },
        orphan: record.parent.is_empty(),
        num_uses: record.uses_left,
        mfa_requirement: None,
    }
}

/// Metadata as the API shows it: a map, or nothing at all.
pub(crate) fn metadata(record: &TokenRecord) -> Option<Map<String, Value>> {
    let pairs = record.meta.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    (!record.meta.is_empty()).then(|| pairs.collect())
}
