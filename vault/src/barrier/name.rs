//! Names as ciphertext: each segment of a path is encrypted on its own with AES-SIV (RFC 5297), bound to its parent.
//!
//! Deterministic, because a record must be found by its name: the disk shows depth, lengths, counts, and that two
//! names under one parent are equal, and nothing else. The same name under two parents has unrelated ciphertexts.
//! What surprises: the library's cipher is not shareable, so a few ready ones wait behind locks that are only tried.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use parking_lot::Mutex;

use super::error::BarrierError;
use super::locked::{Secret, burn_stack};

/// Bytes of a name key: two AES-256 keys, for S2V and for the counter mode.
pub(crate) const NAME_KEY_BYTES: usize = 64;
/// Ciphers kept ready. Setting one up costs two key schedules, a fifth of encrypting a short name; more callers at
/// once than this pay that, nobody waits.
const READY: usize = 4;
/// How errors call it.
const WHAT: &str = "encrypted name";

/// The cipher of the names of a mount or of the system's area.
pub struct NameCipher {
    key: Secret<NAME_KEY_BYTES>,
    /// On the heap, so that moving this moves no key.
    ready: Vec<Mutex<Aes256Siv>>,
}

impl NameCipher {
    pub(crate) fn new(key: Secret<NAME_KEY_BYTES>) -> Self {
        let ready = expand(&key, READY);
        burn_stack();
        Self { key, ready }
    }

    pub(crate) fn key(&self) -> &Secret<NAME_KEY_BYTES> {
        &self.key
    }

    /// Lets a ready cipher work, and leaves nothing of the key on the stack: the library expands half of it there.
    fn with<T>(&self, work: impl FnOnce(&mut Aes256Siv) -> T) -> T {
        let result = match self.ready.iter().find_map(Mutex::try_lock) {
            Some(mut ready) => run(work, &mut ready),
            None => run(work, expand(&self.key, 1)[0].get_mut()),
        };
        burn_stack();
        result
    }

    /// Encrypts a segment below a parent, which is the parent's whole encoded key (encrypted itself):
    /// `synthetic IV (16) · ciphertext (length of the segment)`.
    pub fn encrypt(&self, segment: &str, parent: &[u8]) -> Vec<u8> {
        let encrypted = self.with(|cipher| cipher.encrypt([parent], segment.as_bytes()));
        encrypted.expect("one header is below the limit of 126")
    }

    /// Decrypts a segment, if it was encrypted below this parent.
    pub fn decrypt(&self, encrypted: &[u8], parent: &[u8]) -> Result<String, BarrierError> {
        let segment = self.with(|cipher| cipher.decrypt([parent], encrypted));
        let segment = segment.map_err(|_| BarrierError::NotAuthentic { what: WHAT })?;
        String::from_utf8(segment).map_err(|_| BarrierError::Malformed { what: WHAT })
    }
}

/// Below the caller's frame, so that [`burn_stack`] reaches what it leaves.
#[inline(never)]
fn run<T>(work: impl FnOnce(&mut Aes256Siv) -> T, cipher: &mut Aes256Siv) -> T {
    work(cipher)
}

/// Ready ciphers. As [`run`], never a part of its caller.
#[inline(never)]
fn expand(key: &Secret<NAME_KEY_BYTES>, count: usize) -> Vec<Mutex<Aes256Siv>> {
    std::iter::repeat_with(|| Mutex::new(Aes256Siv::new(key.expose().into()))).take(count).collect()
}

#[cfg(test)]
mod tests {
    use aes_siv::siv::IV_SIZE;

    use super::super::seeded::Seeded;
    use super::*;

    fn names(seed: u64) -> NameCipher {
        NameCipher::new(Secret::random(&mut Seeded::new(seed)))
    }

    #[test]
    fn a_name_decrypts_below_its_parent() {
        let names = names(1);
        for segment in ["", "a", "database-password", "höhle", &"x".repeat(1024)] {
            let encrypted = names.encrypt(segment, b"parent");
            assert_eq!(encrypted.len(), segment.len() + IV_SIZE);
            assert_eq!(names.decrypt(&encrypted, b"parent").as_deref(), Ok(segment));
        }
    }

    #[test]
    fn a_name_is_always_encrypted_the_same_way() {
        let names = names(2);
        assert_eq!(names.encrypt("a", b"p"), names.encrypt("a", b"p"));
    }

    #[test]
    fn a_name_moved_below_another_parent_does_not_decrypt() {
        let names = names(3);
        let encrypted = names.encrypt("a", b"one");
        assert_eq!(names.decrypt(&encrypted, b"two"), Err(BarrierError::NotAuthentic { what: "encrypted name" }));
    }

    #[test]
    fn equal_names_below_two_parents_look_unrelated() {
        let names = names(4);
        assert_ne!(names.encrypt("a", b"one"), names.encrypt("a", b"two"));
    }

    #[test]
    fn a_name_of_another_mount_does_not_decrypt() {
        let encrypted = names(5).encrypt("a", b"p");
        assert!(names(6).decrypt(&encrypted, b"p").is_err());
    }

    // check 232
    #[test]
    fn the_ciphertext_holds_no_part_of_the_name() {
        let encrypted = names(7).encrypt("canary-canary-canary", b"p");
        assert!(!encrypted.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn no_cut_or_flipped_name_decrypts() {
        let names = names(8);
        let encrypted = names.encrypt("name", b"p");
        for length in 0..encrypted.len() {
            assert!(names.decrypt(&encrypted[..length], b"p").is_err(), "cut to {length} bytes");
        }
        for at in 0..encrypted.len() {
            let mut flipped = encrypted.clone();
            flipped[at] ^= 0x80;
            assert!(names.decrypt(&flipped, b"p").is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn callers_beyond_the_ready_ciphers_get_the_same_result() {
        let names = names(9);
        let expected = names.encrypt("a", b"p");
        let held: Vec<_> = names.ready.iter().map(Mutex::lock).collect();
        assert_eq!(names.encrypt("a", b"p"), expected);
        assert_eq!(names.decrypt(&expected, b"p").as_deref(), Ok("a"));
        drop(held);
    }
}
