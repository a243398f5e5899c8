//! Address ranges that a token is bound to (RFC 4632 for IPv4, RFC 4291 section 2.3 for IPv6).
//!
//! An IPv4 address that arrives in its IPv6-mapped form is the same address, on either side.

use std::net::{IpAddr, Ipv6Addr};

/// A range: all addresses that share the first bits with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
    network: u128,
    mask: u128,
}

/// Bits in front of an IPv4 address in its mapped form.
const MAPPED_BITS: u32 = 96;

impl Cidr {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse::<u32>().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (most, offset) = if address.is_ipv4() { (32, MAPPED_BITS) } else { (128, 0) };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return None;
        }
        let mask = u128::MAX.checked_shl(128 - (bits + offset)).unwrap_or(0);
        Some(Self { network: number(address) & mask, mask })
    }

    /// As [`Cidr::parse`], without addresses that have bits beyond their range.
    pub(crate) fn parse_network(text: &str) -> Option<Self> {
        let range = Self::parse(text)?;
        let address: IpAddr = text.split('/').next()?.parse().ok()?;
        (number(address) == range.network).then_some(range)
    }

    /// Whether an address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask == self.network
    }

    /// Whether all addresses of another range lie in this one.
    pub fn contains_range(&self, other: &Self) -> bool {
        other.mask & self.mask == self.mask && other.network & self.mask == self.network
    }
}

fn number(address: IpAddr) -> u128 {
    let mapped: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    u128::from(mapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        Cidr::parse(range).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_what_shares_its_bits() {
        // check 105
        assert!(contains("10.1.0.0/16", "10.1.255.3"));
        assert!(!contains("10.1.0.0/16", "10.2.0.1"));
        assert!(contains("10.1.2.3", "10.1.2.3"));
        assert!(!contains("10.1.2.3/32", "10.1.2.4"));
        assert!(contains("fd00::/8", "fdff::1"));
        assert!(!contains("fd00::/8", "fe80::1"));
        assert!(contains("10.1.2.99/24", "10.1.2.1"));
    }

    #[test]
    fn the_mapped_form_is_the_same_address() {
        // check 105
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(contains("::ffff:127.0.0.1", "127.0.0.1"));
        assert!(!contains("127.0.0.0/8", "::127.0.0.1"));
    }

    #[test]
    fn a_range_lies_in_a_wider_one_alone() {
        let range = |text| Cidr::parse(text).unwrap();
        assert!(range("10.0.0.0/8").contains_range(&range("10.1.0.0/16")));
        assert!(range("10.1.0.0/16").contains_range(&range("10.1.0.0/16")));
        assert!(!range("10.1.0.0/16").contains_range(&range("10.0.0.0/8")));
        assert!(!range("10.1.0.0/16").contains_range(&range("10.2.0.0/24")));
        assert!(range("0.0.0.0/0").contains_range(&range("192.0.2.1")));
        assert!(!range("0.0.0.0/0").contains_range(&range("::/0")));
    }

    #[test]
    fn everything_is_a_range_of_no_bits() {
        assert!(contains("0.0.0.0/0", "192.0.2.1"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
    }

    #[test]
    fn a_network_has_no_bits_beyond_its_range() {
        for text in ["10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "fd00::/8", "0.0.0.0/0"] {
            assert_eq!(Cidr::parse_network(text), Cidr::parse(text), "{text}");
        }
        for text in ["10.1.0.0/8", "fd00::1/8", "10.0.0.0/33", ""] {
            assert_eq!(Cidr::parse_network(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "host", " 10.0.0.1"]
        {
            assert_eq!(Cidr::parse(text), None, "{text:?}");
        }
    }
}
