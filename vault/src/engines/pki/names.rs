//! The form of names in certificates: DNS names, addresses of mail, URIs and others. Whether a role allows one is said elsewhere.
//!
//! What surprises: names in other alphabets are refused unless they come in their form in ASCII (RFC 5890), so that a name is compared
//! and written as it is, and looks like nothing else.

use super::extension::AlternativeNames;
use super::oid;
use crate::error::Error;

/// Longest DNS name, in bytes (RFC 1035, section 2.3.4).
const MAX_DOMAIN_BYTES: usize = 253;
/// Longest label of one, in bytes.
const MAX_LABEL_BYTES: usize = 63;
/// Longest URI, in bytes.
const MAX_URI_BYTES: usize = 2_048;

/// Whether a text is a DNS name of letters, digits and dashes, with no dot at its end and no label that stands for several.
pub(super) fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_DOMAIN_BYTES && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let bytes = label.as_bytes();
    bytes.len() <= MAX_LABEL_BYTES
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().copied().all(is_inner)
}

/// Whether a text is a DNS name, or a wildcard and one behind it (RFC 6125, section 6.4.3).
pub(super) fn is_host(text: &str) -> bool {
    is_domain(text.strip_prefix("*.").unwrap_or(text))
}

/// As [`is_host`], where labels may have underscores and a dot may end the name, as some software wants.
pub(super) fn is_lenient_host(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    is_host(&text.replace('_', "a"))
}

/// The domain of an address of mail; `None` if a text is none.
pub(super) fn mail_domain(text: &str) -> Option<&str> {
    let (local, domain) = text.split_once('@')?;
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_address = !local.is_empty() && local.len() <= 64 && local.chars().all(is_atom) && is_domain(domain);
    is_address.then_some(domain)
}

/// Adds a common name to the alternative names, if it can be one.
pub(super) fn add_common_name(names: &mut AlternativeNames, common_name: &str) {
    if mail_domain(common_name).is_some() {
        names.emails.push(common_name.to_owned());
    } else if is_lenient_host(common_name) {
        names.dns.push(common_name.to_owned());
    }
}

/// Adds a DNS name or an address of mail; refuses what is neither.
pub(super) fn add(names: &mut AlternativeNames, name: &str) -> Result<(), Error> {
    let list = if name.contains('@') && mail_domain(name).is_some() {
        &mut names.emails
    } else if is_lenient_host(name) {
        &mut names.dns
    } else {
        return Err(Error::invalid(
            "alt_names holds what is neither a DNS name nor an address of mail; names in other alphabets need their form in ASCII",
        ));
    };
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
    Ok(())
}

/// A URI as a certificate can hold it (RFC 3986): a scheme and more, in ASCII.
pub(super) fn parse_uri(text: &str) -> Result<String, Error> {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let is_allowed = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    match is_scheme && text.len() <= MAX_URI_BYTES && text.len() > scheme.len() + 1 && text.chars().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err(Error::invalid("uri_sans holds what is no URI; each begins with a scheme, such as spiffe://")),
    }
}

/// An other name: `1.3.6.1.4.1.311.20.2.3;UTF8:text`.
pub(super) fn parse_other(text: &str) -> Result<(Vec<u64>, String), Error> {
    let parsed = text.split_once(';').and_then(|(arcs, value)| {
        let (kind, value) = value.split_once(':')?;
        let is_text = kind.eq_ignore_ascii_case("utf8") || kind.eq_ignore_ascii_case("utf-8");
        Some((oid::parse(arcs.trim())?, value.to_owned())).filter(|_| is_text)
    });
    parsed
        .ok_or_else(|| Error::invalid("other_sans holds what is none; write each as 1.3.6.1.4.1.311.20.2.3;UTF8:text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // check 116
    #[test]
    fn a_host_is_what_resolvers_know() {
        let long = format!("{}.example", "a".repeat(64));
        for (name, is) in [
            ("a.example", true),
            ("*.example", true),
            ("xn--nxasmq6b.example", true),
            ("", false),
            ("*", false),
            ("*.", false),
            ("*.*.example", false),
            ("a*.example", false),
            ("a..example", false),
            ("a.example.", false),
            ("-a.example", false),
            ("a_b.example", false),
            ("bücher.example", false),
            ("a\0.example", false),
            ("a b.example", false),
            (long.as_str(), false),
        ] {
            assert_eq!(is_host(name), is, "{name:?}");
        }
        assert!(is_lenient_host("a_b.example.") && !is_lenient_host("a..example"));
    }

    #[test]
    fn an_address_of_mail_has_a_name_and_a_domain() {
        assert_eq!(mail_domain("me@a.example"), Some("a.example"));
        for text in ["me@", "@a.example", "me@a@b.example", "a b@c.example", "me@*.example"] {
            assert_eq!(mail_domain(text), None, "{text}");
        }
    }

    #[test]
    fn uris_and_other_names_have_their_form() {
        assert!(parse_uri("spiffe://x/y").is_ok() && parse_uri("urn:a:b").is_ok());
        for text in ["", "x", ":x", "1a://x", "spiffe://x y", "http://é"] {
            assert!(parse_uri(text).is_err(), "{text}");
        }
        assert_eq!(parse_other("1.2.3;UTF8:a;b:c").unwrap(), (vec![1, 2, 3], "a;b:c".to_owned()));
        for text in ["", "1.2.3", "1.2.3;a", "x;UTF8:a", "1.2.3;INT:4"] {
            assert!(parse_other(text).is_err(), "{text}");
        }
    }
}
