//! `outbound {}`: which servers outside the engines and auth methods may have a node reach.
//!
//! Who may configure a mount names the server; this is the operator's word over it. What surprises: addresses at which clouds hand
//! out credentials to whoever asks from a machine, and the rest of the link-local ones, are refused without any list, and only
//! a list that has the address itself opens them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conclave_vault::Cidr;

use crate::config::section::Section;

/// Where clouds answer about the machine that asks, besides the link-local addresses: Amazon and Google by IPv6, Alibaba, Azure,
/// Oracle.
const METADATA: [IpAddr; 5] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];
/// Behind these bits stands an IPv4 address to which a network translates (RFC 6052, section 2.1).
const TRANSLATED: u128 = 0x0064_ff9b << 96;

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// A host by its name, in lower case.
    Host(String),
    /// All hosts below a name, in lower case and with the dot in front.
    Below(String),
    /// An address or a range of them, as it was written.
    Range(String),
}

/// Which servers may be reached: all but some, or those of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound(Option<Vec<Allowed>>);

impl Outbound {
    /// Reads the blocks of a file; a later one takes the place of an earlier one.
    pub(super) fn read(section: &Section<'_>, found: &mut Option<Self>) {
        for block in section.blocks("outbound") {
            if let Some(texts) = block.texts("allow") {
                let entries: Vec<_> = texts.iter().filter_map(|text| allowed(text)).collect();
                if entries.len() < texts.len() {
                    let message =
                        "allow holds hosts (issuer.example, *.corp.example), addresses and ranges (10.0.0.0/8)";
                    block.error(block.line_of("allow"), message);
                }
                *found = Some(Self(Some(entries)));
            }
            block.finish();
        }
    }

    /// Those of a list alone.
    #[cfg(test)]
    pub(crate) fn allowing(entries: &[&str]) -> Self {
        Self(Some(entries.iter().map(|entry| allowed(entry).expect("a test names entries that are some")).collect()))
    }

    /// Whether an address may be reached, which a host has by the name that a URL names it.
    pub(crate) fn allows(&self, host: &str, address: IpAddr) -> bool {
        let (own, address) = (address.to_canonical(), reached(address));
        if self.lists_address(own) || self.lists_address(address) {
            return true;
        }
        !is_special(address) && (self.0.is_none() || self.lists_host(host))
    }

    /// Whether what is sent there may go unencrypted: to this machine, or where the list says so.
    pub(crate) fn allows_plain(&self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.lists_address(address) || self.lists_host(host)
    }

    fn entries(&self) -> &[Allowed] {
        self.0.as_deref().unwrap_or_default()
    }

    fn lists_address(&self, address: IpAddr) -> bool {
        let has = |range: &str| Cidr::parse(range).is_some_and(|range| range.contains(address));
        self.entries().iter().any(|entry| matches!(entry, Allowed::Range(range) if has(range)))
    }

    fn lists_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.entries().iter().any(|entry| match entry {
            Allowed::Host(name) => *name == host,
            Allowed::Below(end) => host.ends_with(end),
            Allowed::Range(_) => false,
        })
    }
}

fn allowed(text: &str) -> Option<Allowed> {
    let text = text.trim();
    if Cidr::parse(text).is_some() {
        return Some(Allowed::Range(text.to_owned()));
    }
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !name.is_empty() && name.bytes().all(is_part) && !name.starts_with('.')
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    if !is_name(name) {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    Some(if name.len() < text.len() { Allowed::Below(format!(".{lower}")) } else { Allowed::Host(lower) })
}

/// The address that is reached by one, which may only stand for it.
fn reached(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if address.to_bits() >> 32 == TRANSLATED >> 32 => {
            let [.., a, b, c, d] = address.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        address => address,
    }
}

/// Whether an address is nobody's, everybody's, or one that only a machine itself should ask.
fn is_special(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_link_local || address.is_unspecified() || address.is_multicast() || METADATA.contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Outbound {
        Outbound::allowing(entries)
    }

    fn allows(outbound: &Outbound, host: &str, address: &str) -> bool {
        outbound.allows(host, address.parse().unwrap())
    }

    // check 258, 260
    #[test]
    fn where_a_cloud_keeps_credentials_nobody_is_sent_without_a_word_of_the_operator() {
        let open = Outbound::default();
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "::",
        ] {
            assert!(!allows(&open, "metadata.example", address), "{address}");
            assert!(!allows(&list(&["metadata.example"]), "metadata.example", address), "{address}");
            assert!(allows(&list(&[address.trim_start_matches("::ffff:")]), "metadata.example", address), "{address}");
        }
        assert!(
            !allows(&open, "a.example", "64:ff9b::169.254.169.254") && allows(&open, "a.example", "64:ff9b::192.0.2.1")
        );
        assert!(allows(&open, "a.example", "10.0.0.1") && allows(&open, "localhost", "::1"));
    }

    #[test]
    fn a_list_opens_what_it_names_and_nothing_else() {
        let some = list(&["Issuer.example", "*.corp.example", "10.0.0.0/8"]);
        for (host, address, expected) in [
            ("issuer.example", "192.0.2.1", true),
            ("ISSUER.example.", "192.0.2.1", true),
            ("x.issuer.example", "192.0.2.1", false),
            ("a.b.corp.example", "192.0.2.1", true),
            ("corp.example", "192.0.2.1", false),
            ("evilcorp.example", "192.0.2.1", false),
            ("other.example", "10.1.2.3", true),
            ("other.example", "::ffff:10.1.2.3", true),
            ("other.example", "127.0.0.1", false),
        ] {
            assert_eq!(allows(&some, host, address), expected, "{host} {address}");
        }
        assert!(!allows(&list(&[]), "a.example", "192.0.2.1"));
        for text in ["", "*", "*.", "https://a.example", "a b", ".a"] {
            assert!(allowed(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_goes_unencrypted_stays_here_or_is_listed() {
        let plain =
            |outbound: &Outbound, host: &str, address: &str| outbound.allows_plain(host, address.parse().unwrap());
        assert!(plain(&Outbound::default(), "localhost", "127.0.0.1"));
        assert!(!plain(&Outbound::default(), "a.example", "10.0.0.1"));
        assert!(plain(&list(&["a.example"]), "a.example", "10.0.0.1"));
    }
}
