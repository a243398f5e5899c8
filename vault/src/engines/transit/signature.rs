//! ECDSA signatures in their two forms: ASN.1 (RFC 3279, section 2.2.3) and the two numbers side by side (RFC 7518, section 3.4).
//!
//! What surprises: reading is strict. An encoding that is not the one of DER is no signature, so nobody makes a second text
//! out of one.

/// DER's tag of a sequence.
const SEQUENCE: u8 = 0x30;
/// DER's tag of a whole number.
const INTEGER: u8 = 0x02;

/// The two numbers of an ASN.1 signature, each of so many bytes; `None` if it is not one in DER.
pub(super) fn to_pair(der: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let (body, rest) = element(der, SEQUENCE)?;
    let (first, body) = element(body, INTEGER)?;
    let (second, after) = element(body, INTEGER)?;
    if !rest.is_empty() || !after.is_empty() {
        return None;
    }
    Some([padded(first, bytes)?, padded(second, bytes)?].concat())
}

/// The ASN.1 form of two numbers side by side; `None` if they are not of so many bytes.
pub(super) fn to_der(pair: &[u8], bytes: usize) -> Option<Vec<u8>> {
    if bytes == 0 || pair.len() != 2 * bytes {
        return None;
    }
    let body = [integer(&pair[..bytes]), integer(&pair[bytes..])].concat();
    let length = u8::try_from(body.len()).ok()?;
    let head: &[u8] = if length < 0x80 { &[SEQUENCE, length] } else { &[SEQUENCE, 0x81, length] };
    Some([head, &body].concat())
}

/// The content of the element that a text begins with, and what stands behind it. Lengths up to 255 in their shortest form.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [first, length @ 0..=0x7f, rest @ ..] if *first == tag => (*length, rest),
        [first, 0x81, length @ 0x80..=0xff, rest @ ..] if *first == tag => (*length, rest),
        _ => return None,
    };
    rest.split_at_checked(usize::from(length))
}

/// A positive number in its shortest form, with zeros in front.
fn padded(content: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let number = match content {
        [] | [0] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => return None,
        [0, number @ ..] | number => number,
    };
    let zeros = bytes.checked_sub(number.len())?;
    Some([&vec![0; zeros], number].concat())
}

fn integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len() - 1);
    let number = &number[start..];
    let sign: &[u8] = if number[0] >= 0x80 { &[0] } else { &[] };
    // At most 67 bytes: the caller checked the length.
    let length = u8::try_from(sign.len() + number.len()).unwrap_or(u8::MAX);
    [&[INTEGER, length], sign, number].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        for bytes in [32_usize, 48, 66] {
            let mut pair = vec![0; 2 * bytes];
            (pair[0], pair[bytes - 1], pair[bytes], pair[2 * bytes - 1]) = (0xff, 1, 0, 0x80);
            let der = to_der(&pair, bytes).unwrap();
            assert_eq!(to_pair(&der, bytes), Some(pair));
        }
    }

    #[test]
    fn only_the_shortest_encoding_is_one() {
        let good = [0x30, 6, 2, 1, 5, 2, 1, 7];
        assert!(to_pair(&good, 32).is_some());
        let bad: [&[u8]; 8] = [
            &[],
            &[0x30, 0],
            &[0x30, 6, 2, 1, 5, 2, 1],
            &[0x30, 6, 2, 1, 5, 2, 1, 7, 0],
            &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 7],
            &[0x30, 7, 2, 2, 0, 5, 2, 1, 7],
            &[0x30, 6, 2, 1, 0x85, 2, 1, 7],
            &[0x30, 6, 2, 1, 0, 2, 1, 7],
        ];
        for der in bad {
            assert!(to_pair(der, 32).is_none(), "{der:?}");
        }
        assert!(to_der(&[1; 63], 32).is_none() && to_der(&[], 0).is_none());
    }
}
