//! `login`: the certificate of the connection, for a token; and what bounds the renewal of that, which needs the certificate again.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use crate::engine::{Call, Work};
use crate::engines::cert::entry::{self, CertEntryRecord};
use crate::engines::cert::leaf::Leaf;
use crate::engines::cert::trust::{Chain, MAX_CHAIN};
use crate::engines::cert::{config, revocation};
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

/// A chain that a client shows, and what its own certificate says.
struct PresentedChain<'c> {
    certificates: &'c [Vec<u8>],
    chain: Chain<'c>,
    leaf: Leaf,
    /// Whether one of its certificates is revoked, once that was asked.
    is_revoked: Option<bool>,
}

impl<'c> PresentedChain<'c> {
    fn read(certificates: &'c [Vec<u8>], now: Time) -> Option<Self> {
        let (chain, leaf) = (Chain::new(certificates, now)?, Leaf::read(certificates.first()?)?);
        Some(Self { certificates, chain, leaf, is_revoked: None })
    }

    /// Whether an entry lets it in.
    fn is_admitted_by(
        &mut self,
        store: &mut Store<'_>,
        mount: &Mount,
        entry: &CertEntryRecord,
        trusted: &[Vec<u8>],
    ) -> Result<bool, Error> {
        if !self.leaf.is_allowed_by(entry) || !trusted.iter().any(|trusted| self.chain.is_trusted_by(trusted)) {
            return Ok(false);
        }
        let is_revoked = match self.is_revoked {
            Some(known) => known,
            None => revocation::has_revoked(store, mount, self.certificates)?,
        };
        self.is_revoked = Some(is_revoked);
        Ok(!is_revoked)
    }
}

/// `login`
pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let certificates = call.request.client_certificates.clone();
    let Some(certificate) = certificates.first() else {
        return Err(Error::invalid("no client certificate found"));
    };
    let refused = || Error::invalid("failed to match all constraints for this login certificate");
    if certificates.len() > MAX_CHAIN {
        return Err(Error::invalid(format!("the client shows more than {MAX_CHAIN} certificates; leave some out")));
    }
    let (mount, wanted) = (call.mount.clone(), call.fields.text_or_empty(NAME.name).to_owned());
    let (remote, now) = (call.request.remote_address, call.context.now);
    let mut shown = PresentedChain::read(&certificates, now).ok_or_else(refused)?;
    let entries: Vec<_> = entry::meant(call.store, &mount, &wanted)?
        .into_iter()
        .map(|(name, entry)| (entry.trusted(), name, entry))
        .collect();
    if !shown.chain.leads_to_any(entries.iter().flat_map(|(trusted, _, _)| trusted)) {
        return Err(refused());
    }
    for (trusted, name, entry) in entries {
        if !permits(&entry.terms.bound_cidrs, remote) || !shown.is_admitted_by(call.store, &mount, &entry, &trusted)? {
            continue;
        }
        let role_mark = mark(&entry, certificate);
        return admit(call, name, &entry, &shown.leaf, role_mark);
    }
    Err(refused())
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
        let certificates = work.context.client_certificates.clone();
        let is_same = certificates.first().is_some_and(|der| mark(&entry, der) == token.method_role_mark);
        let shown = PresentedChain::read(&certificates, work.context.now).filter(|_| is_same);
        let is_admitted = match shown {
            Some(mut shown) => shown.is_admitted_by(work.store, &mount, &entry, &entry.trusted())?,
            None => false,
        };
        if !is_admitted {
            return Err(Error::new(
                ErrorKind::Denied,
                "client identity during renewal not matching client identity used during login",
            ));
        }
    }
    Ok(Some(Bounds { role_max_secs: entry.terms.max_ttl_secs, period_secs: entry.terms.period_secs, ..bounds }))
}
