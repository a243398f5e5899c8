//! SHA3-224 (FIPS 202), the one hash that clients may ask for and the cryptography library lacks.
//!
//! For `sys/tools/hash` only: nothing else may rest on a hash written here.

/// Bytes of the state that take input: 200 less twice the output.
const RATE_BYTES: usize = 200 - 2 * 28;
/// Rounds of the permutation.
const ROUNDS: usize = 24;

/// The hash of a message.
pub(super) fn sha3_224(message: &[u8]) -> [u8; 28] {
    let mut state = [0_u64; 25];
    let mut blocks = message.chunks_exact(RATE_BYTES);
    for block in blocks.by_ref() {
        absorb(&mut state, block);
    }
    // Section 5.1 and B.2: the suffix 01 and the padding 10*1, low bits first.
    let mut last = [0; RATE_BYTES];
    let rest = blocks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] ^= 0x06;
    last[RATE_BYTES - 1] ^= 0x80;
    absorb(&mut state, &last);
    let mut output = [0; 28];
    for (byte, from) in output.iter_mut().zip(state.iter().flat_map(|lane| lane.to_le_bytes())) {
        *byte = from;
    }
    output
}

fn absorb(state: &mut [u64; 25], block: &[u8]) {
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        *lane ^= u64::from_le_bytes(bytes.try_into().expect("chunks_exact gives 8 bytes"));
    }
    permute(state);
}

/// Keccak-f[1600], section 3.3. Lane (x, y) lies at x + 5y.
fn permute(state: &mut [u64; 25]) {
    let mut register = 1_u8;
    for _ in 0..ROUNDS {
        theta(state);
        rho_and_pi(state);
        chi(state);
        state[0] ^= round_constant(&mut register);
    }
}

fn theta(state: &mut [u64; 25]) {
    let column = |x: usize| (0..5).fold(0, |parity, y| parity ^ state[x + 5 * y]);
    let parities: [u64; 5] = std::array::from_fn(column);
    for (index, lane) in state.iter_mut().enumerate() {
        let x = index % 5;
        *lane ^= parities[(x + 4) % 5] ^ parities[(x + 1) % 5].rotate_left(1);
    }
}

fn rho_and_pi(state: &mut [u64; 25]) {
    let before = *state;
    let (mut x, mut y) = (1, 0);
    // Section 3.2.2: the t-th lane on this walk turns by the t-th triangular number.
    for t in 1..=24_u32 {
        let turned = before[x + 5 * y].rotate_left((t * (t + 1) / 2) % 64);
        (x, y) = (y, (2 * x + 3 * y) % 5);
        state[x + 5 * y] = turned;
    }
}

fn chi(state: &mut [u64; 25]) {
    for row in state.chunks_exact_mut(5) {
        let before: [u64; 5] = std::array::from_fn(|x| row[x]);
        for x in 0..5 {
            row[x] = before[x] ^ (!before[(x + 1) % 5] & before[(x + 2) % 5]);
        }
    }
}

/// Section 3.2.5: seven bits of a linear feedback shift register at the places 2^j - 1.
fn round_constant(register: &mut u8) -> u64 {
    let mut constant = 0;
    for j in 0..7 {
        if *register & 1 == 1 {
            constant |= 1 << ((1_u32 << j) - 1);
        }
        let carry = *register >> 7;
        *register = (*register << 1) ^ (carry * 0x71);
    }
    constant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_messages_have_known_hashes() {
        // NIST's example values for SHA3-224, and messages on both sides of a block's end.
        let cases = [
            (Vec::new(), "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7"),
            (b"abc".to_vec(), "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
            (vec![0xa3; 200], "9376816aba503f72f96ce7eb65ac095deee3be4bf9bbc2a1cb7e11e0"),
        ];
        for (message, expected) in cases {
            assert_eq!(hex::encode(sha3_224(&message)), expected);
        }
        let lengths = [RATE_BYTES - 1, RATE_BYTES, RATE_BYTES + 1].map(|length| sha3_224(&vec![7; length]));
        assert!(lengths[0] != lengths[1] && lengths[1] != lengths[2]);
    }
}
