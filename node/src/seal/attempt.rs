//! Ceremonies with shares on an unsealed node: what they have in common. [`super::root_token`] and [`super::rekeying`] are
//! the two.
//!
//! An attempt lives in the memory of one node, under a nonce that whoever begins it hands to the holders of shares. It is
//! forgotten with the node's keys, and when no further share came for [`SHARES_TIME`].

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use conclave_vault::seal::{Entered, Entry, Outside, ShareError};
use conclave_vault::{Error, ErrorKind, GivenShare, Random as _};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Seal;
use super::shares::Shares;
use crate::config::limits::SHARES_TIME;
use crate::view::SystemRandomness;

/// What a step answers; nothing is 204.
pub(super) type StepAnswer = Option<Map<String, Value>>;

/// An attempt's shares, under its nonce.
pub(super) struct ShareAttempt {
    pub(super) nonce: String,
    pub(super) shares: Shares,
    /// When it began, or was last brought further.
    since: Instant,
}

impl ShareAttempt {
    pub(super) fn begin() -> Self {
        Self { nonce: fresh_nonce(), shares: Shares::default(), since: Instant::now() }
    }

    /// Whether it waited too long for another share.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= SHARES_TIME
    }

    /// How many shares are there.
    pub(super) fn progress(&self, outside: &Outside) -> usize {
        self.shares.progress(outside).entered
    }

    /// Checks what a share is for.
    pub(super) fn check(&self, share: &GivenShare, what: &str) -> Result<(), Error> {
        if share.nonce != self.nonce {
            return Err(Error::invalid(format!(
                "incorrect nonce supplied; nonce for this {what} operation is \"{}\"",
                self.nonce
            )));
        }
        if share.key.expose().is_empty() {
            return Err(Error::invalid("'key' must be specified in request body as JSON"));
        }
        Ok(())
    }

    /// Enters a share of a seal. Answers whether it was the last one needed.
    pub(super) fn enter(&mut self, share: &GivenShare, outside: &Outside) -> Result<bool, ShareError> {
        let now = Instant::now();
        let address = share.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let entry = Entry { key: share.key.expose(), address, confirmed: BTreeSet::new() };
        let before = self.progress(outside);
        let entered = self.shares.enter(entry, outside, &mut SystemRandomness::default(), now)?;
        let is_complete = matches!(entered, Entered::Unsealed { .. });
        if is_complete || self.progress(outside) > before {
            self.since = now;
        }
        Ok(is_complete)
    }
}

/// The records outside the barrier, which an unsealed node has.
pub(super) fn outside(seal: &Seal) -> Result<Outside, Error> {
    seal.replica.outside()?.ok_or_else(|| Error::unavailable("Vault is sealed"))
}

/// What whoever entered a share hears of its refusal.
pub(super) fn refused(seal: &Seal, share: &GivenShare, error: &ShareError) -> Error {
    match error {
        ShareError::Unreadable | ShareError::Wrong => {
            seal.note_refused_share(share.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            Error::invalid(error.to_string())
        }
        ShareError::Damaged(_) => Error::new(ErrorKind::Internal, error.to_string()),
    }
}

pub(super) fn object(value: Value) -> StepAnswer {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// A random UUID (RFC 9562, section 5.4).
fn fresh_nonce() -> String {
    let mut bytes = [0; 16];
    SystemRandomness::default().fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
