//! Memory for keys: locked into RAM, left out of core dumps, empty in a forked child, and wiped when a key is dropped.
//!
//! Not an allocator for anything else: a key takes one slot of 64 bytes and keeps its place for life. Slots are carved
//! from chunks of whole pages, because locking works on pages and does not count: two keys on one page of the ordinary
//! heap would unlock each other. What surprises: chunks are never given back, so a wiped slot stays readable (as
//! zeros) until another key takes it.

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::context::Random;

/// Bytes of a slot, and so of the longest key.
pub(crate) const SLOT_BYTES: usize = 64;
/// Bytes of a chunk: a whole number of pages for pages of up to 16 KiB.
const CHUNK_BYTES: usize = 16 * 1024;
/// Slots of a chunk.
const CHUNK_SLOTS: usize = CHUNK_BYTES / SLOT_BYTES;
/// Bits in a word of a chunk's map.
const WORD_BITS: usize = 64;

/// How often [`reclaim`] looks again, and the pause between two looks: one second in all.
const RECLAIM_LOOKS: u32 = 10_000;
const RECLAIM_PAUSE: Duration = Duration::from_micros(100);

/// Waits until a key's other holders let go and takes it out, so that dropping the result wipes it before the caller
/// goes on. `None` if somebody still holds it after a second.
pub(crate) fn reclaim<T>(mut shared: Arc<T>) -> Option<T> {
    for _ in 0..RECLAIM_LOOKS {
        match Arc::try_unwrap(shared) {
            Ok(owned) => return Some(owned),
            Err(held) => shared = held,
        }
        std::thread::sleep(RECLAIM_PAUSE);
    }
    None
}

/// Bytes of the stack that [`burn_stack`] overwrites: more than the cipher of names takes there. Unoptimised code takes
/// several times as much.
const BURN_BYTES: usize = if cfg!(debug_assertions) { 64 * 1024 } else { 12 * 1024 };

/// Overwrites the stack below its caller, where functions that returned left copies of what they worked on: moving a
/// value leaves the old copy behind, and no `Drop` knows of it.
#[inline(never)]
pub(super) fn burn_stack() {
    std::hint::black_box(&mut [0_u8; BURN_BYTES]);
}

/// Pages with slots.
struct Chunk {
    base: NonNull<u8>,
    /// A bit per slot; set while a key lives there.
    used: [u64; CHUNK_SLOTS / WORD_BITS],
    /// Whether the system agreed to keep the pages in RAM.
    is_locked: bool,
}

// SAFETY: a chunk owns its pages and is only reached through the mutex around `CHUNKS`.
unsafe impl Send for Chunk {}

/// All chunks of the process. Locked for a moment when a key is made or dropped, never when one is used.
static CHUNKS: Mutex<Vec<Chunk>> = Mutex::new(Vec::new());

impl Chunk {
    fn map() -> Self {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: an anonymous private mapping at an address of the system's choice touches no existing memory.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), CHUNK_BYTES, access, MapFlags::PRIVATE) };
        let base = NonNull::new(base.expect("the system has pages left for keys").cast::<u8>());
        let base = base.expect("a mapping made without a fixed address is never at null");
        // SAFETY: the range was mapped above and belongs to this chunk alone.
        let is_locked = unsafe { mlock(base.as_ptr().cast(), CHUNK_BYTES) }.is_ok();
        advise(base);
        Self { base, used: [0; CHUNK_SLOTS / WORD_BITS], is_locked }
    }

    /// Takes a free slot.
    fn take(&mut self) -> Option<NonNull<u8>> {
        let (word, bits) = self.used.iter_mut().enumerate().find(|(_, bits)| **bits != u64::MAX)?;
        let bit = bits.trailing_ones() as usize;
        *bits |= 1 << bit;
        // SAFETY: `word * WORD_BITS + bit` is below `CHUNK_SLOTS`, so the slot lies inside the chunk's mapping.
        Some(unsafe { self.base.add((word * WORD_BITS + bit) * SLOT_BYTES) })
    }

    /// The slot's number, if it is one of this chunk's.
    fn slot_of(&self, place: NonNull<u8>) -> Option<usize> {
        let offset = place.addr().get().checked_sub(self.base.addr().get())?;
        (offset < CHUNK_BYTES).then_some(offset / SLOT_BYTES)
    }
}

/// Asks that the pages stay out of core dumps and out of children. Refusal changes nothing that we rely on.
#[cfg(target_os = "linux")]
fn advise(base: NonNull<u8>) {
    use rustix::mm::{Advice, madvise};
    for advice in [Advice::LinuxDontDump, Advice::LinuxWipeOnFork] {
        // SAFETY: the range is a whole mapping of ours; neither advice changes its content in this process.
        let _ = unsafe { madvise(base.as_ptr().cast(), CHUNK_BYTES, advice) };
    }
}

/// Other systems know neither advice.
#[cfg(not(target_os = "linux"))]
fn advise(_base: NonNull<u8>) {}

fn take_slot() -> (NonNull<u8>, bool) {
    let mut chunks = CHUNKS.lock();
    for chunk in chunks.iter_mut() {
        if let Some(place) = chunk.take() {
            return (place, chunk.is_locked);
        }
    }
    let mut chunk = Chunk::map();
    let place = chunk.take().expect("a new chunk has free slots");
    let is_locked = chunk.is_locked;
    chunks.push(chunk);
    (place, is_locked)
}

fn free_slot(place: NonNull<u8>) {
    let mut chunks = CHUNKS.lock();
    for chunk in chunks.iter_mut() {
        if let Some(slot) = chunk.slot_of(place) {
            chunk.used[slot / WORD_BITS] &= !(1 << (slot % WORD_BITS));
            return;
        }
    }
}

/// Whether the system locked every page that holds keys. If not, the node warns: keys could reach swap.
pub fn is_everything_locked() -> bool {
    CHUNKS.lock().iter().all(|chunk| chunk.is_locked)
}

/// Whether any slot of the process holds these bytes.
#[cfg(test)]
pub(crate) fn holds(bytes: &[u8]) -> bool {
    let chunks = CHUNKS.lock();
    chunks.iter().any(|chunk| {
        (0..CHUNK_SLOTS).any(|slot| {
            // SAFETY: `slot` is below `CHUNK_SLOTS`, so the address lies inside the chunk's mapping.
            let place = unsafe { chunk.base.add(slot * SLOT_BYTES) };
            // SAFETY: chunks are never unmapped, and no test but the caller looks for these bytes, so a slot that its
            // owner writes meanwhile is at worst read as bytes that nobody compares with.
            unsafe { ptr::read_volatile(place.as_ptr().cast::<[u8; SLOT_BYTES]>()) }.starts_with(bytes)
        })
    })
}

/// A secret of `N` bytes, at most [`SLOT_BYTES`]. No `Debug`, no `Clone`, no `==`.
pub struct Secret<const N: usize> {
    place: NonNull<u8>,
    is_locked: bool,
}

// SAFETY: the slot belongs to this value alone, and it is written only while it is being made or dropped.
unsafe impl<const N: usize> Send for Secret<N> {}
// SAFETY: as above; shared references only read.
unsafe impl<const N: usize> Sync for Secret<N> {}

impl<const N: usize> Secret<N> {
    const FITS: () = assert!(N <= SLOT_BYTES, "a secret must fit into a slot");

    /// A secret that is written in place, so that no copy of it lies on a stack. It begins as zeros: fresh pages are,
    /// and every slot was wiped before it became free.
    pub fn filled(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let () = Self::FITS;
        let (place, is_locked) = take_slot();
        let secret = Self { place, is_locked };
        // SAFETY: the slot is mapped, has `SLOT_BYTES >= N` bytes (`FITS`) and nobody else knows it yet.
        fill(unsafe { &mut *secret.place.as_ptr().cast::<[u8; N]>() });
        secret
    }

    /// A new random secret.
    pub fn random(random: &mut dyn Random) -> Self {
        Self::filled(|bytes| random.fill(bytes))
    }

    /// A copy of bytes that the caller wipes.
    pub fn copy_of(bytes: &[u8; N]) -> Self {
        Self::filled(|own| own.copy_from_slice(bytes))
    }

    /// A copy of bytes that the caller wipes; `None` if they are not `N`.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::copy_of)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; N] {
        // SAFETY: the slot is mapped for the life of the process and ours until drop; see `filled` for its size.
        unsafe { &*self.place.as_ptr().cast::<[u8; N]>() }
    }

    /// A second holder of the same bytes.
    pub fn duplicate(&self) -> Self {
        Self::copy_of(self.expose())
    }

    /// Whether two secrets are the same, in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }

    /// Whether the system agreed to keep this secret in RAM.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        // SAFETY: the slot is ours until `free_slot`, which comes after the wipe.
        unsafe { &mut *self.place.as_ptr().cast::<[u8; SLOT_BYTES]>() }.zeroize();
        free_slot(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // check 188
    #[test]
    fn a_dropped_secret_leaves_none_of_its_bytes_behind() {
        let secret = Secret::<64>::copy_of(&[0xA5; 64]);
        let place = secret.place;
        drop(secret);
        // SAFETY: chunks are never unmapped, so a freed slot stays readable. Another test may have taken it meanwhile,
        // and no test but this one writes these bytes.
        let left = unsafe { ptr::read_volatile(place.as_ptr().cast::<[u8; 64]>()) };
        assert_ne!(left, [0xA5; 64]);
        assert!(left.windows(8).all(|window| window != [0xA5; 8]));
    }

    #[test]
    fn secrets_do_not_share_a_slot_across_a_chunk_boundary() {
        let secrets: Vec<Secret<32>> =
            (0..CHUNK_SLOTS * 2 + 1).map(|n| Secret::filled(|bytes| bytes.fill((n % 251) as u8))).collect();
        for (n, secret) in secrets.iter().enumerate() {
            assert_eq!(secret.expose(), &[(n % 251) as u8; 32]);
        }
        let mut places: Vec<_> = secrets.iter().map(|secret| secret.place.addr()).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[1].get() - pair[0].get() >= SLOT_BYTES));
    }

    #[test]
    fn a_secret_of_the_wrong_length_is_refused() {
        assert!(Secret::<32>::from_slice(&[1; 31]).is_none());
        assert!(Secret::<32>::from_slice(&[1; 33]).is_none());
        assert!(Secret::<32>::from_slice(&[1; 32]).is_some());
    }

    #[test]
    fn a_secret_is_the_same_as_its_duplicate_only() {
        let secret = Secret::<32>::copy_of(&[7; 32]);
        assert!(secret.is_same(&secret.duplicate()));
        assert!(!secret.is_same(&Secret::copy_of(&[8; 32])));
    }
}
