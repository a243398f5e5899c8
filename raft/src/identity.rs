//! A node's identity: an Ed25519 key made at first start, and a random id kept beside it.
//!
//! There is no certificate and no authority: peers pin the public key itself, and TLS carries it as a raw public
//! key (RFC 7250), so nothing here can expire. An id is never reused; a wiped data directory gets a new one.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use conclave_storage::REPLACE_NODE;
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use crate::limits::MAX_KEY_FILE_BYTES;

const KEY_FILE: &str = "node.key";
const ID_FILE: &str = "node.id";
/// Written beside them by `peers.rs` once the node belongs to a cluster.
pub(crate) const CLUSTER_FILE: &str = "node.cluster";

/// What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system failed.
    #[error("cannot use {file} in the data directory")]
    Io {
        /// Which file.
        file: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the key.
    #[error("node.key may be read by others; set its mode to 0600, and replace the node if others may have had it")]
    Exposed,
    /// A file is not what this crate wrote.
    #[error("node/{0} is damaged; put it back from a copy of this folder, for it never changes, or {REPLACE_NODE}")]
    Damaged(&'static str),
    /// A node that has written something has no key or no id any more. A new one would be a stranger to the other members.
    #[error(
        "node/{0} is missing, by which the other members know this node; put it back from a copy of this folder, for it \
         never changes, or {REPLACE_NODE}"
    )]
    Lost(&'static str),
    /// The system's randomness or the cryptographic library failed.
    #[error("a key could not be generated")]
    Generation,
}

/// A node's key pair and id. The private key does not show in `Debug`.
pub struct Identity {
    id: u64,
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: [u8; 32],
    dir: Option<PathBuf>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads `node.key` and `node.id` from the data directory, or makes both if neither is there. Only for a node that has
    /// written nothing yet; every other has [`Identity::load`].
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let (id, key) = (read_optional(dir, ID_FILE)?, read_optional(dir, KEY_FILE)?);
        match (id, key) {
            // Whoever belongs to a cluster had both.
            _ if dir.join(CLUSTER_FILE).exists() => Self::load(dir),
            // The id is written first, so this is a first start that was cut short.
            (Some(id), None) => Self::create(dir, parse_id(&id)?),
            (None, None) => {
                let id = random_id();
                write_new(dir, ID_FILE, &id_text(id))?;
                Self::create(dir, id)
            }
            (_, Some(_)) => Self::load(dir),
        }
    }

    /// Reads `node.key` and `node.id` from the data directory, and makes neither.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Lost`] if one of them is not there.
    pub fn load(dir: &Path) -> Result<Self, IdentityError> {
        let read = |file| read_optional(dir, file)?.ok_or(IdentityError::Lost(file));
        let (id, key) = (read(ID_FILE)?, read(KEY_FILE)?);
        check_mode(dir)?;
        let found = Self::new(parse_id(&id)?, key, Some(dir.to_owned()))?;
        // What reads well and is not what was written was changed by somebody or something.
        let written = found.pair.to_pkcs8().map_err(|_| IdentityError::Generation)?;
        if written.as_ref() == found.pkcs8.as_slice() { Ok(found) } else { Err(IdentityError::Damaged(KEY_FILE)) }
    }

    /// An identity that lives in memory only, for tests and for a development server.
    pub fn ephemeral() -> Result<Self, IdentityError> {
        Self::new(random_id(), generate()?, None)
    }

    /// This node's id: random, not 0.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The Ed25519 public key (RFC 8032, 32 bytes).
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// Signs a message with Ed25519 (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    /// Where the files of this identity lie, if anywhere; the cluster file lies there too.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    pub(crate) fn private_key(&self) -> PrivatePkcs8KeyDer<'_> {
        PrivatePkcs8KeyDer::from(self.pkcs8.as_slice())
    }

    fn create(dir: &Path, id: u64) -> Result<Self, IdentityError> {
        let key = generate()?;
        write_new(dir, KEY_FILE, &key)?;
        Self::new(id, key, Some(dir.to_owned()))
    }

    fn new(id: u64, pkcs8: Zeroizing<Vec<u8>>, dir: Option<PathBuf>) -> Result<Self, IdentityError> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| IdentityError::Damaged(KEY_FILE))?;
        let public_key = pair.public_key().as_ref().try_into().map_err(|_| IdentityError::Damaged(KEY_FILE))?;
        Ok(Self { id, pair, pkcs8, public_key, dir })
    }
}

/// Whether `signature` is an Ed25519 signature (RFC 8032) by `public_key` over `message`.
pub fn verify_signature(public_key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&signature::ED25519, public_key).verify(message, signature).is_ok()
}

/// The SubjectPublicKeyInfo of a key.
pub(crate) fn to_spki(public_key: &[u8; 32]) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), public_key].concat()
}

/// The key in a SubjectPublicKeyInfo; `None` if it is of another kind.
pub(crate) fn from_spki(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

fn random_id() -> u64 {
    // Zero stands for "nobody" in places where an id is optional.
    rand::random_range(1..=u64::MAX)
}

fn generate() -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| IdentityError::Generation)?;
    let document = pair.to_pkcs8().map_err(|_| IdentityError::Generation)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

fn id_text(id: u64) -> Vec<u8> {
    format!("{id}\n").into_bytes()
}

fn parse_id(bytes: &[u8]) -> Result<u64, IdentityError> {
    let text = std::str::from_utf8(bytes).ok().map(str::trim_end);
    let id = text.and_then(|text| text.parse().ok()).filter(|id| *id != 0 && id_text(*id) == bytes);
    id.ok_or(IdentityError::Damaged(ID_FILE))
}

fn failed(file: &'static str) -> impl Fn(io::Error) -> IdentityError {
    move |source| IdentityError::Io { file, source }
}

fn read_optional(dir: &Path, file: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
    let path = dir.join(file);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(file)(error)),
        Ok(metadata) if metadata.len() > MAX_KEY_FILE_BYTES => Err(IdentityError::Damaged(file)),
        Ok(_) => fs::read(&path).map(|bytes| Some(Zeroizing::new(bytes))).map_err(failed(file)),
    }
}

fn check_mode(dir: &Path) -> Result<(), IdentityError> {
    let mode = fs::metadata(dir.join(KEY_FILE)).map_err(failed(KEY_FILE))?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(IdentityError::Exposed) }
}

fn write_new(dir: &Path, file: &'static str, bytes: &[u8]) -> Result<(), IdentityError> {
    fs::create_dir_all(dir).and_then(|()| write_durably(dir, file, bytes)).map_err(failed(file))
}

/// Puts a small file in place so that after a crash it is there whole or not at all; mode 0600.
pub(crate) fn write_durably(dir: &Path, file: &str, bytes: &[u8]) -> io::Result<()> {
    let staged = dir.join(format!("{file}.new"));
    // A left-over of a crash; it was never in place.
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&staged, dir.join(file))?;
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_a_restart() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = Identity::load_or_create(dir.path()).expect("a new identity");
        let again = Identity::load_or_create(dir.path()).expect("the same identity");
        assert_eq!((first.id(), first.public_key()), (again.id(), again.public_key()));
    }

    #[test]
    fn the_key_file_is_for_its_owner_only() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Identity::load_or_create(dir.path()).expect("a new identity");
        let mode = fs::metadata(dir.path().join(KEY_FILE)).expect("the key file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Identity::load_or_create(dir.path()).expect("a new identity");
        let path = dir.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its owner may change the mode");
        assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Exposed)));
    }

    #[test]
    fn a_key_without_its_id_is_not_given_a_new_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Identity::load_or_create(dir.path()).expect("a new identity");
        fs::remove_file(dir.path().join(ID_FILE)).expect("the id file");
        assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Lost(ID_FILE))));
    }

    #[test]
    fn a_first_start_that_was_cut_short_goes_on_but_a_member_gets_no_new_key() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = Identity::load_or_create(dir.path()).expect("a new identity");
        fs::remove_file(dir.path().join(KEY_FILE)).expect("the key file");
        assert!(matches!(Identity::load(dir.path()), Err(IdentityError::Lost(KEY_FILE))));
        let again = Identity::load_or_create(dir.path()).expect("a key for the id");
        assert_eq!(again.id(), first.id());
        fs::write(dir.path().join(CLUSTER_FILE), b"").expect("a file of a member");
        for gone in [KEY_FILE, ID_FILE] {
            fs::remove_file(dir.path().join(gone)).expect("it is there");
            assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Lost(_))), "without {gone}");
        }
    }

    #[test]
    fn a_file_that_reads_well_and_is_not_what_was_written_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Identity::load_or_create(dir.path()).expect("a new identity");
        for file in [ID_FILE, KEY_FILE] {
            let good = fs::read(dir.path().join(file)).expect("the file");
            let tail = [good.as_slice(), b"\n"].concat();
            for bad in [tail, [b"+".as_slice(), &good].concat(), good[..good.len() - 1].to_vec(), Vec::new()] {
                fs::write(dir.path().join(file), &bad).expect("the file can be written");
                let refused = Identity::load(dir.path());
                assert!(matches!(refused, Err(IdentityError::Damaged(name)) if name == file), "{bad:?}: {refused:?}");
            }
            fs::write(dir.path().join(file), good).expect("the file can be written");
        }
        Identity::load(dir.path()).expect("all is as it was");
    }

    #[test]
    fn a_signature_verifies_under_its_own_key_and_message_only() {
        let one = Identity::ephemeral().expect("an identity");
        let two = Identity::ephemeral().expect("an identity");
        let signature = one.sign(b"message");
        assert!(verify_signature(&one.public_key(), b"message", &signature));
        assert!(!verify_signature(&two.public_key(), b"message", &signature));
        assert!(!verify_signature(&one.public_key(), b"massage", &signature));
    }

    #[test]
    fn a_public_key_comes_back_out_of_its_envelope() {
        let identity = Identity::ephemeral().expect("an identity");
        assert_eq!(from_spki(&to_spki(&identity.public_key())), Some(identity.public_key()));
        assert_eq!(from_spki(&identity.public_key()), None);
    }

    #[test]
    fn the_private_key_does_not_show() {
        let identity = Identity::ephemeral().expect("an identity");
        assert_eq!(format!("{identity:?}"), format!("Identity {{ id: {}, .. }}", identity.id()));
    }
}
