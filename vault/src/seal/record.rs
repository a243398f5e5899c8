//! The records outside the barrier, readable without a key: a closed list.
//!
//! `cluster` (id and epoch), `seal` (parameters, share digests, the wrapped root key) and `keyring` (encrypted under
//! the root key). Nodes' public keys, which also lie outside, belong to the Raft membership and are not here.

use prost::Message;

use super::digest::{DIGEST_BYTES, SALT_BYTES, digest, is_listed};
use super::error::SealError;
use super::shamir::Parameters;
use super::share::{Parsed, Share};
use super::wrap::{self, WRAPPED_BYTES};
use crate::barrier::{Barrier, ClusterId, Key32};
use crate::context::Random;

/// Name of the record with the cluster's id and epoch.
pub const CLUSTER: &str = "cluster";
/// Name of the record with the seal.
pub const SEAL: &str = "seal";
/// Name of the record with the keyring.
pub const KEYRING: &str = "keyring";

/// Format version of the cluster and seal records.
const VERSION: u32 = 1;
/// The kind of seal that shares open.
pub(crate) const SHAMIR: &str = "shamir";
/// A new cluster's epoch. 0 is no epoch, so that a forgotten field shows.
pub(crate) const FIRST_EPOCH: u64 = 1;

/// Which cluster this is.
#[derive(Clone, PartialEq, Message)]
pub struct ClusterRecord {
    /// Format version.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub cluster_id: Vec<u8>,
    /// Raised by a restore, a forced recovery, or a set-back of cluster time.
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
}

/// A seal.
#[derive(Clone, PartialEq, Message)]
pub struct SealRecord {
    /// Format version.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// [`SHAMIR`]; other kinds have other fields.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// Number of shares.
    #[prost(uint32, tag = "3")]
    pub shares: u32,
    /// How many of them open it.
    #[prost(uint32, tag = "4")]
    pub threshold: u32,
    /// Counts up with every new root key or unseal key. Nodes refuse a lower one.
    #[prost(uint64, tag = "5")]
    pub generation: u64,
    /// Salt of the digests, 32 bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub salt: Vec<u8>,
    /// Digest of each share, 32 bytes, in no particular order.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub digests: Vec<Vec<u8>>,
    /// The root key under the unseal key; see [`super::wrap`].
    #[prost(bytes = "vec", tag = "8")]
    pub wrapped_root_key: Vec<u8>,
}

impl SealRecord {
    /// The record of a seal whose shares were just made.
    pub(super) fn new(
        shares: &[Share],
        threshold: u32,
        generation: u64,
        cluster_id: &ClusterId,
        wrapped_root_key: Vec<u8>,
        random: &mut dyn Random,
    ) -> Self {
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt);
        let mut digests: Vec<Vec<u8>> = shares.iter().map(|share| digest(&salt, cluster_id, share).to_vec()).collect();
        digests.sort_unstable();
        Self {
            version: VERSION,
            kind: SHAMIR.to_owned(),
            shares: shares.len() as u32,
            threshold,
            generation,
            salt: salt.to_vec(),
            digests,
            wrapped_root_key,
        }
    }

    fn check(self) -> Result<Self, SealError> {
        check_version(SEAL, self.version)?;
        let parameters = Parameters { shares: self.shares.into(), threshold: self.threshold.into() };
        let is_whole = self.kind == SHAMIR
            && parameters.check().is_ok()
            && self.salt.len() == SALT_BYTES
            && self.digests.len() == self.shares as usize
            && self.digests.iter().all(|digest| digest.len() == DIGEST_BYTES)
            && self.wrapped_root_key.len() == WRAPPED_BYTES;
        if is_whole { Ok(self) } else { Err(SealError::MalformedRecord { what: SEAL }) }
    }
}

/// The records outside the barrier, read and checked for their shape. They hold no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Outside {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Its epoch.
    pub epoch: u64,
    /// Its seal.
    pub seal: SealRecord,
    /// Its keyring, encrypted under the root key.
    pub keyring: Vec<u8>,
}

impl Outside {
    /// Reads the three records.
    pub fn decode(cluster: &[u8], seal: &[u8], keyring: &[u8]) -> Result<Self, SealError> {
        let malformed = |what| SealError::MalformedRecord { what };
        let cluster = ClusterRecord::decode(cluster).map_err(|_| malformed(CLUSTER))?;
        check_version(CLUSTER, cluster.version)?;
        let cluster_id = cluster.cluster_id.as_slice().try_into().map_err(|_| malformed(CLUSTER))?;
        if cluster.epoch == 0 {
            return Err(malformed(CLUSTER));
        }
        let seal = SealRecord::decode(seal).map_err(|_| malformed(SEAL))?.check()?;
        Ok(Self { cluster_id, epoch: cluster.epoch, seal, keyring: keyring.to_vec() })
    }

    /// The records by their names, for a batch that writes them.
    pub fn encode(&self) -> Vec<(&'static str, Vec<u8>)> {
        let cluster = ClusterRecord { version: VERSION, cluster_id: self.cluster_id.to_vec(), epoch: self.epoch };
        vec![(CLUSTER, cluster.encode_to_vec()), (SEAL, self.seal.encode_to_vec()), (KEYRING, self.keyring.clone())]
    }

    /// Whether a share belongs to the seal.
    pub fn is_own_share(&self, share: &Share) -> bool {
        let salt = self.seal.salt.as_slice().try_into();
        salt.is_ok_and(|salt| is_listed(&self.seal.digests, &digest(salt, &self.cluster_id, share)))
    }

    /// Whether a text is one of the seal's shares.
    pub fn has_share(&self, text: &str) -> bool {
        matches!(Share::parse(text), Parsed::Share(share) if self.is_own_share(&share))
    }

    /// Unwraps the root key.
    pub fn unwrap_root_key(&self, unseal_key: &Key32) -> Result<Key32, SealError> {
        wrap::unwrap(unseal_key, &self.seal.wrapped_root_key, &self.cluster_id, self.seal.generation)
    }

    /// Opens the barrier with a root key, from an unseal key or from another node.
    pub fn open_barrier(&self, root_key: Key32) -> Result<Barrier, SealError> {
        Barrier::open(root_key, &self.keyring, self.cluster_id, self.epoch).map_err(SealError::Keyring)
    }
}

fn check_version(what: &'static str, got: u32) -> Result<(), SealError> {
    if got == VERSION { Ok(()) } else { Err(SealError::UnknownVersion { what, expected: VERSION, got }) }
}

#[cfg(test)]
mod tests {
    use super::super::init;
    use super::*;
    use crate::barrier::seeded::Seeded;
    use crate::time::Time;

    fn records() -> Vec<(&'static str, Vec<u8>)> {
        let parameters = Parameters { shares: 3, threshold: 2 };
        init::initialize(parameters, &mut Seeded::new(1), Time::from_secs(1), [7; 16]).unwrap().records
    }

    fn decode(records: &[(&str, Vec<u8>)]) -> Result<Outside, SealError> {
        let bytes = |name| &records.iter().find(|(own, _)| *own == name).unwrap().1;
        Outside::decode(bytes(CLUSTER), bytes(SEAL), bytes(KEYRING))
    }

    #[test]
    fn records_read_as_they_were_written() {
        let outside = decode(&records()).unwrap();
        assert_eq!((outside.cluster_id, outside.epoch), ([7; 16], FIRST_EPOCH));
        assert_eq!((outside.seal.shares, outside.seal.threshold, outside.seal.generation), (3, 2, 1));
        assert_eq!(decode(&outside.encode()), Ok(outside));
    }

    #[test]
    fn a_seal_that_contradicts_itself_is_refused() {
        let whole = decode(&records()).unwrap();
        let edits: [fn(&mut SealRecord); 7] = [
            |seal| seal.kind = "other".into(),
            |seal| seal.threshold = 4,
            |seal| seal.threshold = 1,
            |seal| seal.salt.truncate(31),
            |seal| seal.digests.truncate(2),
            |seal| seal.digests[0].truncate(31),
            |seal| seal.wrapped_root_key.push(0),
        ];
        for edit in edits {
            let mut outside = whole.clone();
            edit(&mut outside.seal);
            assert_eq!(decode(&outside.encode()), Err(SealError::MalformedRecord { what: SEAL }));
        }
    }

    #[test]
    fn a_newer_record_is_named_in_the_error() {
        let mut outside = decode(&records()).unwrap();
        outside.seal.version = 2;
        let expected = SealError::UnknownVersion { what: SEAL, expected: 1, got: 2 };
        assert_eq!(decode(&outside.encode()), Err(expected));
    }

    #[test]
    fn empty_records_are_refused() {
        assert!(Outside::decode(&[], &[], &[]).is_err());
    }
}
