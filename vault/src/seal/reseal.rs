//! A new seal over the same root key: other shares of another unseal key.
//!
//! It is made in memory. The batch that writes it ([`crate::rekey`]) decides whether the old shares count or the new ones;
//! at no time do both, or neither. What surprises: the root key stays. Who keeps old shares **and** an old copy of the
//! records outside the barrier opens what that root key opens.

use super::error::SealError;
use super::proof::JoinKey;
use super::record::{Outside, SealRecord};
use super::shamir::{self, Parameters};
use super::share::Share;
use super::wrap::wrap;
use crate::barrier::{Barrier, Key32};
use crate::context::Random;

/// A seal that may take the place of the present one. Has no `Debug`, because of its shares.
pub struct NewSeal {
    shares: Vec<Share>,
    record: SealRecord,
    join_key: JoinKey,
}

impl NewSeal {
    /// Makes an unseal key and its shares, for the root key of an open barrier and the generation after the present one.
    ///
    /// # Errors
    /// [`SealError::InvalidParameters`].
    pub fn make(
        parameters: Parameters,
        barrier: &Barrier,
        present: &Outside,
        random: &mut dyn Random,
    ) -> Result<Self, SealError> {
        let unseal_key = Key32::random(random);
        let shares = shamir::split(&unseal_key, parameters, random)?;
        let (cluster_id, generation) = (&present.cluster_id, present.seal.generation + 1);
        let wrapped = wrap(&unseal_key, &barrier.root_key(), cluster_id, generation, random);
        let threshold = parameters.threshold as u32;
        let record = SealRecord::new(&shares, threshold, generation, cluster_id, wrapped, random);
        Ok(Self { shares, record, join_key: JoinKey::of_unseal_key(&unseal_key, cluster_id, generation) })
    }

    /// For the operators. They are nowhere else.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The records outside the barrier as they will be, with which new shares are tried before they count.
    pub fn foreseen(&self, present: &Outside) -> Outside {
        Outside { seal: self.record.clone(), ..present.clone() }
    }

    pub(crate) fn record(&self) -> &SealRecord {
        &self.record
    }

    pub(crate) fn join_key(&self) -> &JoinKey {
        &self.join_key
    }

    /// Whether a seal is this one: its salt and its digests are random, so no other has them.
    pub(crate) fn is(&self, other: &SealRecord) -> bool {
        (&other.salt, &other.digests) == (&self.record.salt, &self.record.digests)
    }
}
