//! Arithmetic in GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11B, FIPS 197, section 4).
//!
//! No table, no branch and no early exit depends on an operand (check 185): what is multiplied here are bytes of keys.
//! Addition and subtraction are both `^` and need no function.

/// The product of two elements: eight steps of shift and add, with masks in place of decisions.
pub(crate) fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & mask(b >> bit);
        a = (a << 1) ^ (0x1B & mask(a >> 7));
    }
    product
}

/// The inverse of an element: its 254th power, for the group has 255 elements. Zero, which has none, gives zero.
pub(crate) fn invert(a: u8) -> u8 {
    // 254 = 0b1111_1110: the product of a^2, a^4, ... a^128.
    let (mut power, mut product) = (a, 1);
    for _ in 0..7 {
        power = multiply(power, power);
        product = multiply(product, power);
    }
    product
}

/// All ones if the lowest bit is set, else zero. The barrier keeps the compiler from turning masks into branches.
fn mask(bit: u8) -> u8 {
    std::hint::black_box(bit & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Schoolbook: multiply the polynomials, then divide by 0x11B.
    fn slow_multiply(a: u8, b: u8) -> u8 {
        let mut product = (0..8).filter(|bit| b >> bit & 1 == 1).fold(0_u16, |sum, bit| sum ^ (u16::from(a) << bit));
        for bit in (8..16).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x11B << (bit - 8);
            }
        }
        product as u8
    }

    #[test]
    fn products_match_the_definition_for_all_pairs() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(multiply(a, b), slow_multiply(a, b), "{a} · {b}");
            }
        }
    }

    #[test]
    fn products_match_fips_197() {
        assert_eq!(multiply(0x57, 0x83), 0xC1);
        assert_eq!(multiply(0x57, 0x13), 0xFE);
    }

    #[test]
    fn an_element_times_its_inverse_is_one() {
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
        }
        assert_eq!(invert(0), 0);
    }
}
