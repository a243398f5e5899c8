//! The barrier: everything between plaintext and the bytes that leave this process, while it is unsealed.
//!
//! One [`Barrier`] exists per unsealed node. [`Barrier::revoke`] wipes the root key, the keyring and every derived key
//! although requests still hold the barrier; dropping it does the same later. It is not a store and knows no log: it is told
//! under which index a keyring was applied. What surprises: it is shared by all requests and yet changes, because a
//! rotated keyring is installed in place, between two applied entries. `docs/internals/barrier.md` has every format.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::context::Random;
use crate::time::Time;

pub(crate) mod locked;

pub(crate) mod error;
pub(crate) mod keyring;
pub(crate) mod term;

pub(crate) mod cipher;
pub(crate) mod uses;

pub(crate) mod index;
pub(crate) mod mount_keys;
pub(crate) mod name;

pub(crate) mod answer;
pub(crate) mod forward;
pub(crate) mod snapshot;
pub(crate) mod tag;
pub(crate) mod token;

pub(crate) mod aead;
pub(crate) mod derivation;
pub(crate) mod header;
pub(crate) mod mac;

#[cfg(test)]
pub(crate) mod seeded;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;

use cipher::Place;
use error::BarrierError;
use forward::Envelope;
use keyring::Keyring;
use locked::Secret;
use mount_keys::MountKeys;
use name::NameCipher;
use tag::Era;
use term::Term;
use uses::Reservation;

/// A 256-bit key in locked memory.
pub type Key32 = Secret<32>;
/// Identifies a cluster: 16 random bytes made at init, never changed, not even by a restore.
pub type ClusterId = [u8; 16];

/// What a rotation replaces as a whole, so that a request sees one keyring from start to end.
struct State {
    root: Arc<Key32>,
    keyring: Keyring,
    /// Log index at which a term's keyring was applied. Only the active term's entry decides anything.
    installed_at: BTreeMap<u32, u64>,
}

/// The unsealed state of a node.
pub struct Barrier {
    cluster_id: ClusterId,
    epoch: AtomicU64,
    /// Held only to clone or to replace the pointer.
    state: RwLock<Arc<State>>,
}

impl Barrier {
    /// An unsealed node's barrier. Tell it with [`Barrier::note_installed_at`] where its active term came from.
    pub fn new(root_key: Key32, keyring: Keyring, cluster_id: ClusterId, epoch: u64) -> Self {
        let state = State { root: Arc::new(root_key), keyring, installed_at: BTreeMap::new() };
        Self { cluster_id, epoch: AtomicU64::new(epoch), state: RwLock::new(Arc::new(state)) }
    }

    /// Opens a sealed keyring and makes the barrier from it.
    pub fn open(root_key: Key32, sealed: &[u8], cluster_id: ClusterId, epoch: u64) -> Result<Self, BarrierError> {
        let keyring = Keyring::open(&root_key, &cluster_id, sealed)?;
        Ok(Self::new(root_key, keyring, cluster_id, epoch))
    }

    /// The cluster that the keys belong to.
    pub fn cluster_id(&self) -> &ClusterId {
        &self.cluster_id
    }

    /// The epoch that messages between nodes and batch tokens are bound to.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Takes over an applied epoch. An epoch never goes back, so a lower one changes nothing.
    pub fn raise_epoch(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    fn active(&self) -> Arc<Term> {
        Arc::clone(self.state.read().keyring.active())
    }

    fn term(&self, number: u32) -> Result<Arc<Term>, BarrierError> {
        self.state.read().keyring.term(number).cloned().ok_or(BarrierError::UnknownTerm { term: number })
    }

    /// Takes the keys away from everybody who holds this barrier, and wipes them. Random ones that open nothing take
    /// their place, so a caller that is late fails and what it signs is accepted nowhere. Returns whether every key is
    /// gone; `false` means that somebody holds on to one. Blocks for as long as one encryption takes, at most 1 s a key.
    pub(crate) fn revoke(&self, random: &mut dyn Random) -> bool {
        let (root, keyring) = (Arc::new(Key32::random(random)), Keyring::blank(random));
        let blank = Arc::new(State { root, keyring, installed_at: BTreeMap::new() });
        let revoked = std::mem::replace(&mut *self.state.write(), blank);
        let Some(State { root, keyring, .. }) = locked::reclaim(revoked) else { return false };
        locked::reclaim(root).is_some() & keyring.wipe()
    }

    pub(crate) fn root_key(&self) -> Arc<Key32> {
        Arc::clone(&self.state.read().root)
    }
}

/// The keyring: rotation and installation.
impl Barrier {
    /// The term under which this node encrypts and tags.
    pub fn active_term(&self) -> u32 {
        self.active().number()
    }

    /// When the active term was made.
    pub fn active_term_made_at(&self) -> Time {
        self.active().made_at()
    }

    /// The keyring as it lies outside the barrier.
    #[cfg(test)]
    pub(crate) fn seal_keyring(&self, random: &mut dyn Random) -> Vec<u8> {
        let state = self.state();
        state.keyring.seal(&state.root, &self.cluster_id, random)
    }

    /// A keyring with one more term than `sealed` has, sealed too, for the batch that rotates. `sealed` is the record that
    /// the batch guards: the keyring in memory may lag behind it, and a term made from that would take the place of one
    /// that is in use. Nothing changes here until that batch is applied and [`Barrier::load_keyring`] gets its bytes.
    pub fn rotated_keyring(
        &self,
        sealed: &[u8],
        now: Time,
        random: &mut dyn Random,
    ) -> Result<(u32, Vec<u8>), BarrierError> {
        let root = self.root_key();
        let mut keyring = Keyring::open(&root, &self.cluster_id, sealed)?;
        let term = keyring.rotate(now, random)?;
        Ok((term, keyring.seal(&root, &self.cluster_id, random)))
    }

    /// Installs a keyring that was applied at `index`, before the tag of the next entry is checked. Refuses one that
    /// lost or changed a term. Returns the active term.
    pub fn load_keyring(&self, sealed: &[u8], index: u64) -> Result<u32, BarrierError> {
        let root = self.root_key();
        let loaded = Keyring::open(&root, &self.cluster_id, sealed)?;
        let mut guard = self.state.write();
        let keyring = guard.keyring.succeeded_by(loaded)?;
        let mut installed_at = guard.installed_at.clone();
        let active = keyring.active().number();
        if active != guard.keyring.active().number() {
            installed_at.insert(active, index);
        }
        *guard = Arc::new(State { root, keyring, installed_at });
        Ok(active)
    }

    /// Says at which index the keyring with this term was applied: the revision of the keyring's record.
    pub fn note_installed_at(&self, term: u32, index: u64) {
        let mut guard = self.state.write();
        let mut installed_at = guard.installed_at.clone();
        installed_at.insert(term, index);
        let (root, keyring) = (Arc::clone(&guard.root), guard.keyring.duplicate());
        *guard = Arc::new(State { root, keyring, installed_at });
    }
}

/// Values.
impl Barrier {
    /// Encrypts a record's value for one place, inside one batch.
    pub fn seal_value(
        &self,
        namespace: &[u8; 16],
        key: &[u8],
        batch_id: &[u8; 16],
        plaintext: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, BarrierError> {
        let term = self.active();
        term.uses().take(1)?;
        let place = Place { cluster_id: &self.cluster_id, namespace, key };
        Ok(cipher::seal_value(&term, &place, batch_id, plaintext, random))
    }

    /// Decrypts a record's value, if it was encrypted for this place.
    pub fn open_value(
        &self,
        namespace: &[u8; 16],
        key: &[u8],
        value: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, BarrierError> {
        let term = self.term(cipher::term_of(value)?)?;
        cipher::open_value(&term, &Place { cluster_id: &self.cluster_id, namespace, key }, value)
    }

    /// Whether it is time to reserve more uses of the active term.
    pub fn is_low_on_uses(&self) -> bool {
        self.active().uses().is_low()
    }

    /// Lends what the first batch of a new or recovered cluster takes; the next reservation repays it.
    pub(crate) fn lend_uses(&self) {
        self.active().uses().lend();
    }

    /// Whether nothing can be encrypted before a reservation is made, as right after unsealing and after a rotation.
    pub fn is_out_of_uses(&self) -> bool {
        self.active().uses().left() == 0
    }

    /// Encryptions under the active term that this node reserved and has not made.
    pub fn unspent_uses(&self) -> u64 {
        self.active().uses().left()
    }

    /// Begins a reservation; see [`uses`] for the protocol.
    pub fn open_reservation(&self) -> Reservation {
        let term = self.active();
        term.uses().open_reservation(term.number())
    }

    /// Grants a reservation whose record is committed.
    pub fn complete_reservation(&self, reservation: Reservation) {
        if let Ok(term) = self.term(reservation.term()) {
            term.uses().complete_reservation(reservation);
        }
    }
}

/// Names and the ids of tokens in the system's area. Mounts have pairs of their own.
impl Barrier {
    /// The cipher of names in the system's area.
    pub fn system_names(&self) -> Arc<NameCipher> {
        self.state.read().keyring.system().names()
    }

    /// The key pair of the system's area.
    pub fn system_keys(&self) -> MountKeys {
        self.state.read().keyring.system().clone()
    }

    /// What is stored in place of a token id, a wrapping token or an accessor; see [`index::IndexKey::index`].
    pub fn system_index(&self, label: &str, bytes: &[u8]) -> [u8; 32] {
        self.system_keys().index(label, bytes)
    }
}

/// Tags on batches, and what unsealed nodes say to each other.
impl Barrier {
    /// Tags a batch's body; returns the term and the tag.
    pub fn sign_batch(&self, body: &[u8]) -> (u32, [u8; 32]) {
        let term = self.active();
        (term.number(), tag::sign(&term, &self.cluster_id, body))
    }

    /// Checks the tag of a batch that has, or would get, the log index `at`. The rule on old terms is in [`tag`].
    pub fn verify_batch(&self, term: u32, body: &[u8], tag: &[u8], at: u64) -> Result<(), BarrierError> {
        let state = self.state();
        let active = state.keyring.active().number();
        let installed_at = state.installed_at.get(&active).copied();
        let era = Era { active, previous: state.keyring.previous(), installed_at, foreseen: Vec::new() };
        self.verify_batch_in(&era, term, body, tag, at)
    }

    /// Checks the tag of a batch whose entry was appended while another keyring was in force than the present one.
    pub fn verify_batch_in(&self, era: &Era, term: u32, body: &[u8], tag: &[u8], at: u64) -> Result<(), BarrierError> {
        era.check(term, at)?;
        let term = era.foreseen(term).map_or_else(|| self.term(term), |term| Ok(Arc::clone(term)))?;
        tag::verify(&term, &self.cluster_id, body, tag)
    }

    /// The terms that counted while `sealed`, applied at index `at`, was the keyring.
    pub fn era_of(&self, sealed: &[u8], at: u64) -> Result<Era, BarrierError> {
        let keyring = Keyring::open(&self.root_key(), &self.cluster_id, sealed)?;
        let (active, previous) = (keyring.active().number(), keyring.previous());
        let unknown = [Some(active), previous].into_iter().flatten().filter(|number| self.term(*number).is_err());
        let foreseen = unknown.filter_map(|number| keyring.term(number).cloned()).collect();
        Ok(Era { active, previous, installed_at: Some(at), foreseen })
    }

    /// The terms that counted before there was a keyring in the table: the first alone, which its own batch is tagged under.
    pub fn first_era(&self) -> Era {
        let first = self.state().keyring.terms().next().map_or(0, |term| term.number());
        Era { active: first, previous: None, installed_at: None, foreseen: Vec::new() }
    }

    /// Encrypts a forwarded request or its reply.
    pub fn seal_forward(
        &self,
        envelope: &Envelope<'_>,
        message: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, BarrierError> {
        let term = self.active();
        term.uses().take(1)?;
        Ok(forward::seal(&term, &self.cluster_id, self.epoch(), envelope, message, random))
    }

    /// Decrypts a forwarded request or its reply, if it was sent in this envelope.
    pub fn open_forward(&self, envelope: &Envelope<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BarrierError> {
        let term = self.recent_term(forward::term_of(sealed)?)?;
        forward::open(&term, &self.cluster_id, self.epoch(), envelope, sealed)
    }

    /// Authenticates an answer that another node will act on; returns the term and the MAC.
    pub fn sign_answer(&self, envelope: &Envelope<'_>, body: &[u8]) -> (u32, [u8; 32]) {
        let term = self.active();
        (term.number(), answer::sign(&term, &self.cluster_id, self.epoch(), envelope, body))
    }

    /// Checks an answer against the envelope whose nonce this node chose when it asked.
    pub fn verify_answer(
        &self,
        envelope: &Envelope<'_>,
        term: u32,
        body: &[u8],
        mac: &[u8],
    ) -> Result<(), BarrierError> {
        let term = self.recent_term(term)?;
        answer::verify(&term, &self.cluster_id, self.epoch(), envelope, body, mac)
    }

    /// Between nodes only the active and the previous term count: two nodes apply a rotation at different moments, but
    /// nobody has a reason to speak under an older one.
    fn recent_term(&self, number: u32) -> Result<Arc<Term>, BarrierError> {
        let state = self.state();
        let active = state.keyring.active().number();
        if number > active {
            return Err(BarrierError::UnknownTerm { term: number });
        }
        if number != active && Some(number) != state.keyring.previous() {
            return Err(BarrierError::StaleTerm { term: number, active });
        }
        self.term(number)
    }

    /// Encrypts the content of a batch token.
    pub fn seal_token(&self, content: &[u8], random: &mut dyn Random) -> Result<Vec<u8>, BarrierError> {
        let term = self.active();
        term.uses().take(1)?;
        Ok(token::seal(&term, &self.cluster_id, self.epoch(), content, random))
    }

    /// Decrypts a batch token of this cluster and epoch.
    pub fn open_token(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BarrierError> {
        let term = self.term(token::term_of(sealed)?)?;
        token::open(&term, &self.cluster_id, self.epoch(), sealed)
    }
}
