//! The test vectors of `docs/internals/barrier.md`, computed by the code that they describe.

use super::*;
use crate::barrier::forward::Envelope;

/// The page that must state what the code does.
const PAGE: &str = include_str!("../../../docs/internals/barrier.md");
const CLUSTER: ClusterId = [0xC1; 16];

/// "Random" bytes that count up from `a0`, so that a vector needs no key generator.
pub(crate) struct Counting(pub(crate) u8);

impl Random for Counting {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
    }
}

/// Bytes that count up.
pub(crate) fn counting<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|n| first.wrapping_add(n as u8))
}

/// A page states a vector as a row of a table: its name, then the bytes.
pub(crate) fn assert_stated(page: &str, name: &str, bytes: &[u8]) {
    let row = format!("| {name} | `{}` |", hex::encode(bytes));
    assert!(page.contains(&row), "the page lacks the row\n{row}");
}

fn term() -> Term {
    Term::new(1, Key32::copy_of(&counting(0)), 1_700_000_000_000)
}

fn keys() -> MountKeys {
    MountKeys::from_bytes(&[&[1][..], &counting::<64>(0x40), &counting::<32>(0x80)].concat()).unwrap()
}

/// A barrier over a keyring of the one term and pair above.
fn barrier() -> Barrier {
    let barrier = Barrier::new(Key32::copy_of(&counting(0x20)), Keyring::of(term(), keys()), CLUSTER, 1);
    barrier.lend_uses();
    barrier
}

fn envelope() -> Envelope<'static> {
    Envelope { from: 1, to: 2, nonce: &[0x4E; 16], method: "write" }
}

#[test]
fn derived_keys_are_as_documented() {
    for (name, label) in term::label::ALL {
        let key = derivation::derive(&CLUSTER, &counting::<32>(0), &[label, &1_u32.to_be_bytes()]);
        assert_stated(PAGE, name, key.expose());
    }
}

#[test]
fn a_value_is_as_documented() {
    let value = barrier().seal_value(&[0; 16], b"key", &[0xB1; 16], b"secret", &mut Counting(0xA0)).unwrap();
    assert_stated(PAGE, "value", &value);
}

#[test]
fn names_are_as_documented() {
    let names = keys().names();
    assert_stated(PAGE, "name `db` under an empty parent", &names.encrypt("db", b""));
    assert_stated(PAGE, "name `db` under `parent`", &names.encrypt("db", b"parent"));
}

#[test]
fn an_index_is_as_documented() {
    assert_stated(PAGE, "index of `hvs.example`", &keys().index("token", b"hvs.example"));
}

#[test]
fn a_batch_tag_is_as_documented() {
    assert_stated(PAGE, "batch tag", &barrier().sign_batch(b"body").1);
}

#[test]
fn messages_between_nodes_are_as_documented() {
    let barrier = barrier();
    let forward = barrier.seal_forward(&envelope(), b"request", &mut Counting(0xA0)).unwrap();
    assert_stated(PAGE, "forwarded message", &forward);
    assert_stated(PAGE, "answer MAC", &barrier.sign_answer(&envelope(), b"answer").1);
}

#[test]
fn a_batch_token_is_as_documented() {
    assert_stated(PAGE, "batch token", &barrier().seal_token(b"content", &mut Counting(0xA0)).unwrap());
}

#[test]
fn a_sealed_keyring_is_as_documented() {
    assert_stated(PAGE, "sealed keyring", &barrier().seal_keyring(&mut Counting(0xA0)));
}
