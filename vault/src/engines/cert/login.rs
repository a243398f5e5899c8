//! `login`: the certificate of the connection, for a token; and what bounds the renewal of that, which needs the certificate again.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use crate::engine::{Call, Work};
use crate::engines::cert::entry::{self, CertEntryRecord};
use crate::engines::cert::leaf::Leaf;
use crate::engines::cert::{config, revocation, trust};
use crate::engines::login::{self, Login, log_in, permits};
use crate::engines::named;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Kind, field};
use crate::identity::login::KnownAs;
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;
use crate::time::Time;
use crate::token::lifetime::Bounds;
use crate::token::record::TokenRecord;

const NAME: Field = field("name", Kind::Text, "The entry; the first of all that fits if it is not said.");

pub(super) const FIELDS: &[Field] = &[NAME];

/// What an entry's tokens are marked by: the entry, and the certificate that made them.
fn mark(entry: &CertEntryRecord, certificate: &[u8]) -> String {
    format!("{}.{}", entry.id, hex::encode(digest(&SHA256, certificate)))
}

/// Whether an entry lets a chain in.
fn admits(
    store: &mut Store<'_>,
    mount: &Mount,
    entry: &CertEntryRecord,
    chain: &[Vec<u8>],
    now: Time,
) -> Result<Option<Leaf>, Error> {
    let Some(leaf) = chain.first().and_then(|der| Leaf::read(der)) else { return Ok(None) };
    let is_trusted = entry.trusted().iter().any(|trusted| trust::is_trusted(chain, trusted, now));
    if !is_trusted || !leaf.is_allowed_by(entry) || revocation::has_revoked(store, mount, chain)? {
        return Ok(None);
    }
    Ok(Some(leaf))
}

/// `login`
pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let chain = call.request.client_certificates.clone();
    let Some(certificate) = chain.first() else {
        return Err(Error::invalid("no client certificate found"));
    };
    let (mount, wanted) = (call.mount.clone(), call.fields.text_or_empty(NAME.name).to_owned());
    let (remote, now) = (call.request.remote_address, call.context.now);
    for (name, entry) in entry::meant(call.store, &mount, &wanted)? {
        let Some(leaf) = admits(call.store, &mount, &entry, &chain, now)? else { continue };
        if !permits(&entry.terms.bound_cidrs, remote) {
            continue;
        }
        let role_mark = mark(&entry, certificate);
        return admit(call, name, &entry, &leaf, role_mark);
    }
    Err(Error::invalid("failed to match all constraints for this login certificate"))
}

fn admit(
    call: &mut Call<'_, '_>,
    name: String,
    entry: &CertEntryRecord,
    leaf: &Leaf,
    role_mark: String,
) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    if leaf.common_name.is_empty() {
        return Err(Error::invalid("the certificate has no common name, by which its holder would be known"));
    }
    let meta = leaf.metadata(entry, &name);
    let has_metadata = config::of(call.store, &mount)?.has_alias_metadata;
    let metadata = if has_metadata { meta.clone() } else { BTreeMap::new() };
    log_in(
        call,
        Login {
            terms: &entry.terms,
            role: name,
            role_mark,
            shown_as: Some(entry.display_name.clone()),
            known_as: KnownAs { name: leaf.common_name.clone(), metadata, groups: Vec::new() },
            meta,
            bound_cidrs: entry.terms.bound_cidrs.clone(),
        },
    )
}

/// What bounds a token's renewal: the entry as it is now, which must still let the same certificate in.
///
/// # Errors
/// [`ErrorKind::Invalid`] if the entry that made the token is gone, [`ErrorKind::Denied`] if the connection shows another
/// certificate, or it is not let in any more.
pub(super) fn renewal(work: &mut Work<'_, '_>, token: &TokenRecord, bounds: Bounds) -> Result<Option<Bounds>, Error> {
    let mount = work.mount.clone();
    let entry = named::find::<CertEntryRecord>(work.store, &mount, &token.method_role)?;
    let made_by = token.method_role_mark.split_once('.').unwrap_or_default().0;
    let entry = entry.filter(|entry| entry.id == made_by).ok_or_else(login::gone)?;
    if !config::of(work.store, &mount)?.renews_without {
        let chain = work.context.client_certificates.clone();
        let is_same = chain.first().is_some_and(|der| mark(&entry, der) == token.method_role_mark);
        if !is_same || admits(work.store, &mount, &entry, &chain, work.context.now)?.is_none() {
            return Err(Error::new(
                ErrorKind::Denied,
                "client identity during renewal not matching client identity used during login",
            ));
        }
    }
    Ok(Some(Bounds { role_max_secs: entry.terms.max_ttl_secs, period_secs: entry.terms.period_secs, ..bounds }))
}
