//! Critical options and extensions of certificates (OpenSSH's PROTOCOL.certkeys).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engines::ssh::role::by_commas;
use crate::error::Error;
use crate::field::{Field, Fields};
use crate::token::cidr::Cidr;

/// Most options or extensions of a certificate.
const MAX_OPTIONS: usize = 64;
/// Longest name or value of one, in bytes.
const MAX_OPTION_BYTES: usize = 4096;

/// What was sent as a map of texts.
pub(super) fn map(fields: &Fields, of: &Field) -> Result<BTreeMap<String, String>, Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = fields.map(of.name).into_iter().flatten();
    let map: BTreeMap<String, String> = pairs.map(|(name, value)| (name.clone(), text(value))).collect();
    match map.len() <= MAX_OPTIONS {
        true => Ok(map),
        false => Err(Error::invalid(format!("{} has at most {MAX_OPTIONS} entries", of.name))),
    }
}

/// Refuses what no server would read, or would read as something else.
pub(super) fn check(map: &BTreeMap<String, String>) -> Result<(), Error> {
    let is_text = |text: &str| text.len() <= MAX_OPTION_BYTES && !text.contains(char::is_control);
    let is_name = |name: &str| !name.is_empty() && is_text(name) && !name.contains([' ', ',']);
    if !map.iter().all(|(name, value)| is_name(name) && is_text(value)) {
        return Err(Error::invalid(format!(
            "names of options and extensions are words, their values text of at most {MAX_OPTION_BYTES} bytes without control characters"
        )));
    }
    // sshd refuses every login with a list that it cannot read, and it reads neither blanks nor bits beyond the range.
    let is_source = |list: &String| list.split(',').all(|range| Cidr::parse_network(range).is_some());
    match map.get("source-address").is_none_or(is_source) {
        true => Ok(()),
        false => Err(Error::invalid(
            "source-address must be addresses or ranges by commas, without blanks and without bits beyond a range, such as 10.0.0.0/8",
        )),
    }
}

/// Names that are not on a list by commas.
pub(super) fn beyond<'m>(map: &'m BTreeMap<String, String>, allowed: &str) -> Vec<&'m str> {
    let is_listed = |name: &str| by_commas(allowed).any(|one| one == name);
    map.keys().map(String::as_str).filter(|name| !is_listed(name)).collect()
}
