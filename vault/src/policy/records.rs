//! Stored policies, and the access rules of a token made from them.
//!
//! Policies are read at use: what is written here counts for the next request of every token that names it, and a
//! policy that is gone grants nothing. A parsed policy is kept under its record's revision, a merged [`Acl`] under the
//! texts it was made of, and with templates in them also under all that these can refer to, so neither can be stale. `root` and `response-wrapping` are built in and have no record.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use prost::Message;

use crate::error::Error;
use crate::limits::MAX_POLICIES;
use crate::policy::acl::Acl;
use crate::policy::parse::parse;
use crate::policy::template::{Subject, TemplateValues};
use crate::policy::{Policy, builtin, name};
use crate::store::{Store, decode};
use crate::time::Time;

/// Directory of the records in the system area; a name is one segment, slashes included.
const FOLDER: [&str; 2] = ["policies", "acl"];
/// Begins the cache key of a merged ACL; no encoded storage key begins with a segment of this length.
const MERGED: &[u8] = &[0xff, 0xff];

/// A policy as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRecord {
    /// The text as it was written, in HCL or JSON.
    #[prost(string, tag = "1")]
    pub text: String,
    /// How often the text was written.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// When it was last written, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "3")]
    pub modified_nanos: i64,
}

/// The policy of wrapping tokens, parsed once.
static RESPONSE_WRAPPING: LazyLock<Arc<ParsedPolicy>> =
    LazyLock::new(|| Arc::new(ParsedPolicy { policy: builtin::response_wrapping(), digest: [0; 32], text_bytes: 0 }));
/// The policy of root tokens.
static ROOT: LazyLock<Arc<ParsedPolicy>> =
    LazyLock::new(|| Arc::new(ParsedPolicy { policy: builtin::root(), digest: [0; 32], text_bytes: 0 }));

/// A policy that was parsed, with a digest of its text that is zero for built-in ones.
struct ParsedPolicy {
    policy: Policy,
    digest: [u8; 32],
    text_bytes: usize,
}

impl ParsedPolicy {
    fn new(name: &str, text: &str) -> Result<Self, Error> {
        // What was stored was parsed before, so this is a newer version's grammar, or damage.
        let policy = parse(text)
            .map_err(|error| Error::internal(format!("the stored policy {name} does not parse: {error}")))?;
        Ok(Self { policy: policy.named(name), digest: sha256(text.as_bytes()), text_bytes: text.len() })
    }
}

/// A stored policy.
pub(crate) fn get(store: &mut Store<'_>, name: &str) -> Result<Option<PolicyRecord>, Error> {
    let system = store.system();
    store.get(&system, &path(name))
}

/// Whether a policy of this name exists, stored or built in.
pub(crate) fn exists(store: &mut Store<'_>, name: &str) -> Result<bool, Error> {
    let system = store.system();
    Ok(built_in(name).is_some() || store.contains(&system, &path(name))?)
}

/// Stores a policy's text, which must have been parsed by the caller.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if there are [`MAX_POLICIES`] already.
pub(crate) fn put(store: &mut Store<'_>, name: &str, text: &str, now: Time) -> Result<(), Error> {
    let system = store.system();
    let before = store.get::<PolicyRecord>(&system, &path(name))?;
    if before.is_none() && store.count(&system, &FOLDER)? >= MAX_POLICIES {
        return Err(Error::invalid(format!(
            "there are {MAX_POLICIES} policies, the most that are stored; delete some first"
        )));
    }
    let version = before.map_or(0, |before| before.version) + 1;
    store.put(&system, &path(name), &PolicyRecord { text: text.to_owned(), version, modified_nanos: now.nanos() })
}

/// Deletes a policy; absent is as good.
pub(crate) fn delete(store: &mut Store<'_>, name: &str) {
    let system = store.system();
    store.delete(&system, &path(name));
}

/// All names in the API's order: plain names, then names with a slash, then `root`.
pub(crate) fn list(store: &mut Store<'_>) -> Result<Vec<String>, Error> {
    let system = store.system();
    let mut names: Vec<String> = store.list(&system, &FOLDER)?.iter().map(|name| name.name.to_string()).collect();
    names.sort_by(|a, b| (a.contains('/'), a).cmp(&(b.contains('/'), b)));
    names.push(name::ROOT.to_owned());
    Ok(names)
}

/// Writes the policies that a new cluster has.
pub(crate) fn put_initial(store: &mut Store<'_>, now: Time) -> Result<(), Error> {
    put(store, name::DEFAULT, builtin::DEFAULT_TEXT, now)
}

/// What somebody with these policies may do: their merger as they are now.
pub(crate) fn acl_of(
    store: &mut Store<'_>,
    names: &[String],
    subject: &impl Subject,
    now: Time,
) -> Result<Arc<Acl>, Error> {
    let mut policies = Vec::with_capacity(names.len());
    for name in names {
        policies.extend(load(store, name)?.map(|parsed| (name, parsed)));
    }
    let is_templated = policies.iter().any(|(_, parsed)| parsed.policy.is_templated());
    let key = merged_key(&policies, is_templated.then_some(subject));
    let is_valid = |acl: &Arc<Acl>| acl.valid_until().is_none_or(|until| now < until);
    if let Some(acl) = store.cache().derived::<Acl>(&key).filter(is_valid) {
        return Ok(acl);
    }
    let values = if is_templated { subject.values() } else { TemplateValues::default() };
    let acl = Arc::new(Acl::new(policies.iter().map(|(_, parsed)| &parsed.policy), &values, now));
    // The rules are shared with the parsed policies; the tables over them are the list's own.
    let bytes = policies.iter().map(|(_, parsed)| parsed.text_bytes).sum();
    store.cache().put_derived(&key, Arc::clone(&acl), bytes);
    Ok(acl)
}

/// What a merged list is kept under: whom it is about, if that makes a difference, by its length; then digest and name of
/// each policy.
fn merged_key(policies: &[(&String, Arc<ParsedPolicy>)], subject: Option<&impl Subject>) -> Bytes {
    let mut about = Vec::new();
    if let Some(subject) = subject {
        subject.fingerprint(&mut about);
    }
    let mut key = MERGED.to_vec();
    key.extend_from_slice(&u32::try_from(about.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend_from_slice(&about);
    for (name, parsed) in policies {
        key.extend_from_slice(&parsed.digest);
        key.extend_from_slice(name.as_bytes());
        key.push(0);
    }
    key.into()
}

/// A policy, parsed; `None` if there is none of this name.
fn load(store: &mut Store<'_>, name: &str) -> Result<Option<Arc<ParsedPolicy>>, Error> {
    if let Some(parsed) = built_in(name) {
        return Ok(Some(Arc::clone(parsed)));
    }
    let system = store.system();
    store.get_cached(&system, &path(name), |bytes| ParsedPolicy::new(name, &decode::<PolicyRecord>(bytes)?.text))
}

/// A policy without a record.
fn built_in(name: &str) -> Option<&'static Arc<ParsedPolicy>> {
    match name {
        name::ROOT => Some(&ROOT),
        name::RESPONSE_WRAPPING => Some(&RESPONSE_WRAPPING),
        _ => None,
    }
}

fn path(name: &str) -> [&str; 3] {
    [FOLDER[0], FOLDER[1], name]
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}
