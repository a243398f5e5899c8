//! Lending something out: begun, which is the intent to make it, then made by an errand, then given.
//!
//! A handler does all three, one after the other, and runs twice: the first run ends with the errand, behind what it began, which
//! is committed; the second finds what was begun, gets the errand's answer, and gives. If there is no second run, or it fails,
//! what was begun ends in the calendar, and is taken back as what was given would be.
//!
//! What surprises: the time for that is long, because taking back must not come before a making that is still on its way.

use crate::engine::Call;
use crate::error::{Error, ErrorKind};
use crate::lease::mark::Revocations;
use crate::lease::origin::Origin;
use crate::lease::record::{Lease, LeaseRecord, LeaseState};
use crate::lease::{ending, liveness};
use crate::limits::{MAX_LEASE_DATA_BYTES, MAX_TARGET_BYTES};
use crate::reply::Reply;
use crate::token;
use crate::token::lifetime::{Bounds, secs_until};

/// How long a lease that was begun waits to be given, in seconds. Longer than any request and errand lasts.
pub(crate) const BEGUN_SECS: u64 = 600;

/// Random bytes of a lease's name. As hexadecimal digits it has the 24 characters of which clients know the end of a lease's id.
const NAME_BYTES: usize = 12;

/// For how long something is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The wanted time to live in seconds; 0 is whatever the mount says.
    pub ttl_secs: u64,
    /// Longest life with all renewals, in seconds; 0 is the mount's.
    pub max_secs: u64,
    /// Whether it can be renewed.
    pub is_renewable: bool,
}

impl Call<'_, '_> {
    /// Begins a lease, before what it stands for is made. `purpose` tells several of one request apart, `target` is what must be
    /// reached to take it back, and `data` what the engine needs for that.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] in the run after the errand, if what was begun is being taken back already.
    pub fn begin_lease(&mut self, purpose: &str, target: &str, data: &[u8]) -> Result<Lease, Error> {
        if data.len() > MAX_LEASE_DATA_BYTES || target.len() > MAX_TARGET_BYTES {
            return Err(Error::internal("an engine keeps more with a lease than it may"));
        }
        let name = hex::encode(&self.context.lasting_bytes(&format!("lease {purpose}"))?[..NAME_BYTES]);
        if self.context.errands.is_kept(&name) {
            return self.begun(&name);
        }
        let token = self.caller()?;
        if !token::is_kept(self.store, &token)? {
            return Err(Error::invalid(
                "a lease ends with its token, and this was the token's last use; use a token that goes on",
            ));
        }
        // A batch token has no record with which something could end, so its parent's end is the lease's.
        let holder = if token.is_batch() { token.record.parent.clone() } else { token.hash_hex() };
        let now = self.context.now;
        let mut record = LeaseRecord::default();
        record.set_state(LeaseState::Begun);
        self.request.path.as_str().clone_into(&mut record.path);
        record.origin = Origin::new(&self.mount.record, self.request.path.as_str());
        record.generation = Revocations::load(self.store)?.generation();
        record.token = holder;
        record.issued_nanos = now.nanos();
        record.expires_nanos = now.plus_secs(BEGUN_SECS).nanos();
        target.clone_into(&mut record.target);
        record.data = data.to_vec();
        let mut lease = Lease { name, record };
        ending::reschedule(self.store, &mut lease, Some(now.plus_secs(BEGUN_SECS)))?;
        lease.add(self.store)?;
        self.context.errands.intend(&lease.name);
        Ok(lease)
    }

    /// What an earlier run of the request began.
    fn begun(&mut self, name: &str) -> Result<Lease, Error> {
        let lease = Lease::stored(self.store, name)?.filter(|lease| lease.record.state() == LeaseState::Begun);
        let upheld = match lease {
            Some(lease) if liveness::is_upheld(self.store, self.context, &lease)? => Some(lease),
            _ => None,
        };
        upheld.ok_or_else(|| {
            Error::unavailable(
                "the request took too long or was revoked, and what was made for it is taken back; try again",
            )
        })
    }

    /// Gives what was begun and made.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the mount's bounds leave no time.
    pub fn give(&mut self, mut lease: Lease, terms: LeaseTerms, mut reply: Reply) -> Result<Reply, Error> {
        let now = self.context.now;
        let bounds = Bounds { role_max_secs: terms.max_secs, ..Bounds::of_mount(self.context, &self.mount.record) };
        let mut life = bounds
            .lifetime(lease.issued(), now, terms.ttl_secs)
            .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        let token = self.caller()?;
        if let Some(end) = token.expires().filter(|end| token.is_batch() && *end < life.expires) {
            // Nothing would end it with the token, so it does not last longer.
            (life.expires, life.ttl_secs) = (end, secs_until(now, end));
        }
        lease.record.set_state(LeaseState::Given);
        lease.record.expires_nanos = life.expires.nanos();
        lease.record.max_secs = terms.max_secs;
        lease.record.is_renewable = terms.is_renewable;
        ending::reschedule(self.store, &mut lease, Some(life.expires))?;
        lease.save(self.store)?;
        reply.lease_id = lease.id();
        (reply.renewable, reply.lease_secs) = (terms.is_renewable, life.ttl_secs);
        reply.warnings.append(&mut life.warnings);
        Ok(reply)
    }
}
