//! The chain that the lines of an audit device form: each carries a value that vouches for all before it.
//!
//! A server writes it, and `audit verify` reads it; both go by what stands here. A line is an object of JSON, perhaps behind
//! a prefix, whose last member is `chain`. `text` is the line up to the comma in front of that member, and
//!
//! ```text
//! value = SHA-256("conclave audit chain v1" · id (16 bytes) · number (8 bytes, big-endian) · value before (32 bytes) · text)
//! ```
//!
//! Numbers count from 1, and before the first line the value is zero. What surprises: the values need no key, so that
//! whoever has the lines can check them. That nobody made a chain anew shows by the heads that the cluster commits.

pub mod verify;

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// What every value is made over first.
const CONTEXT: &[u8] = b"conclave audit chain v1";
/// The type of lines with which a chain, or its part in a file, begins.
pub const BEGINNING: &str = "chain";
/// What stands between a line's text and its link.
const MEMBER: &str = ",\"chain\":";

/// One line's place in its chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Names the chain.
    pub id: [u8; 16],
    /// Number of the line, counted from 1.
    pub number: u64,
    /// Vouches for the line and all before it.
    pub value: [u8; 32],
}

impl Link {
    /// Before the first line of a chain.
    pub fn before_first(id: [u8; 16]) -> Self {
        Self { id, number: 0, value: [0; 32] }
    }

    /// The place of the line that comes next.
    #[must_use]
    pub fn next(&self, text: &[u8]) -> Self {
        let number = self.number + 1;
        let mut context = Context::new(&SHA256);
        for part in [CONTEXT, &self.id, &number.to_be_bytes(), &self.value, text] {
            context.update(part);
        }
        let mut value = [0; 32];
        value.copy_from_slice(context.finish().as_ref());
        Self { id: self.id, number, value }
    }

    /// From its hexadecimal digits.
    pub fn parse(id: &str, number: u64, value: &str) -> Option<Self> {
        let (mut link, mut bytes) = (Self { id: [0; 16], number, value: [0; 32] }, [0; 32]);
        hex::decode_to_slice(id, &mut link.id).ok()?;
        hex::decode_to_slice(value, &mut bytes).ok()?;
        link.value = bytes;
        Some(link)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, value) = (hex::encode(self.id), hex::encode(self.value));
        write!(f, r#"{{"id":"{id}","number":{},"value":"{value}"}}"#, self.number)
    }
}

/// Puts a line behind another: an object of JSON, with what is in front of it, gets its link as its last member.
pub fn append(before: &Link, object: &[u8]) -> (Vec<u8>, Link) {
    let text = object.strip_suffix(b"}").unwrap_or(object);
    let link = before.next(text);
    let mut line = text.to_vec();
    line.extend_from_slice(format!("{MEMBER}{link}}}").as_bytes());
    (line, link)
}

/// A line's text and its link, as far as it has one.
pub fn split(line: &[u8]) -> Option<(&[u8], Link)> {
    let at = line.windows(MEMBER.len()).rposition(|window| window == MEMBER.as_bytes())?;
    let (text, member) = (&line[..at], &line[at + MEMBER.len()..]);
    let object: serde_json::Value = serde_json::from_slice(member.strip_suffix(b"}")?).ok()?;
    let digits = |name: &str| object[name].as_str();
    let link = Link::parse(digits("id")?, object["number"].as_u64()?, digits("value")?)?;
    // One link has one form, so that nothing can hide in it.
    (format!("{link}}}").as_bytes() == member).then_some((text, link))
}

/// What a file holds in front of a beginning.
#[derive(Clone, Copy, Default)]
pub struct Before {
    /// The link of its last whole line.
    pub last: Option<Link>,
    /// Whether half a line follows that, as a crash leaves it.
    pub is_torn: bool,
}

/// The line with which a chain begins in a file: who writes it, what stands before it there, and, where the chain goes on,
/// the value of its line before.
pub fn beginning(time: &str, node: &str, device: &str, chain: &Link, before: &Before) -> Vec<u8> {
    let (node, device) = (serde_json::Value::from(node), serde_json::Value::from(device));
    let mut line = format!(r#"{{"time":"{time}","type":"{BEGINNING}","node":{node},"device":{device}"#);
    if chain.number > 0 {
        line.push_str(&format!(r#","previous":"{}""#, hex::encode(chain.value)));
    }
    if let Some(last) = &before.last {
        line.push_str(&format!(r#","after":{last}"#));
    }
    if before.is_torn {
        line.push_str(r#","torn":true"#);
    }
    line.push('}');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_the_digest_that_the_page_describes() {
        let link = Link::before_first([1; 16]).next(b"{\"time\":\"t\"");
        let bytes = [CONTEXT, &[1; 16], &[0, 0, 0, 0, 0, 0, 0, 1], &[0; 32], b"{\"time\":\"t\""].concat();
        assert_eq!(link.value.as_slice(), aws_lc_rs::digest::digest(&SHA256, &bytes).as_ref());
        assert_eq!(link.number, 1);
    }

    #[test]
    fn a_line_gives_back_its_text_and_its_link() {
        let (line, link) = append(&Link::before_first([7; 16]), b"@cee: {\"a\":\",\\\"chain\\\":\"}");
        let (text, found) = split(&line).unwrap();
        assert_eq!(text, b"@cee: {\"a\":\",\\\"chain\\\":\"");
        assert!(found == link && serde_json::from_slice::<serde_json::Value>(&line[6..]).is_ok());
        assert!(split(b"{\"a\":1}").is_none() && split(b"").is_none());
        let spaced = String::from_utf8(line).unwrap().replace("\"number\":1", "\"number\": 1");
        assert!(split(spaced.as_bytes()).is_none(), "another form of the same link");
    }
}
