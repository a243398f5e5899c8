//! Templates in roles: those of identity, for users, hosts and extensions, and three names for key ids.

use crate::engines::ssh::role::by_commas;
use crate::error::Error;
use crate::policy::template::{Template, TemplateValues};

/// What a key id looks like if a role does not say it.
const KEY_ID_FORMAT: &str = "vault-{{token_display_name}}-{{public_key_hash}}";
/// The same for a token without a display name.
const SHORT_KEY_ID_FORMAT: &str = "vault-{{public_key_hash}}";
/// Longest key id, in bytes.
pub(super) const MAX_KEY_ID_BYTES: usize = 1024;

/// Refuses what is no text of templates by commas.
pub(super) fn check(text: &str) -> Result<(), Error> {
    let parse = |part: &str| Template::parse(part).map(drop).map_err(|error| Error::invalid(error.to_string()));
    by_commas(text).try_for_each(parse)
}

/// A text with its templates filled in; `None` if one has no value for who asks, or one that could be read as several names.
pub(super) fn fill(text: &str, values: &TemplateValues) -> Option<String> {
    match Template::parse(text).ok()? {
        None => Some(text.to_owned()),
        Some(template) => {
            let commas = |text: &str| text.matches(',').count();
            let filled = template.fill(values).ok()?;
            (commas(&filled) == commas(text) && !filled.contains(char::is_whitespace)).then_some(filled)
        }
    }
}

/// What a key id says of a request.
pub(super) struct KeyIdValues<'v> {
    pub(super) display_name: &'v str,
    pub(super) role: &'v str,
    /// Hexadecimal SHA-256 of the key.
    pub(super) key_hash: &'v str,
}

impl KeyIdValues<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "token_display_name" => Some(self.display_name),
            "role_name" => Some(self.role),
            "public_key_hash" => Some(self.key_hash),
            _ => None,
        }
    }
}

/// Refuses a format with names that a key id has no values for.
pub(super) fn check_key_id(format: &str) -> Result<(), Error> {
    key_id(format, &KeyIdValues { display_name: "", role: "", key_hash: "" }).map(drop)
}

/// The key id of a request. Values are inserted as they are, and never read as a format.
pub(super) fn key_id(format: &str, values: &KeyIdValues<'_>) -> Result<String, Error> {
    let mut rest = match (format, values.display_name) {
        ("", "") => SHORT_KEY_ID_FORMAT,
        ("", _) => KEY_ID_FORMAT,
        (format, _) => format,
    };
    let mut filled = String::new();
    while let Some((literal, behind)) = rest.split_once("{{") {
        let known = behind.split_once("}}").and_then(|(name, behind)| Some((values.value(name.trim())?, behind)));
        let (value, behind) = known.ok_or_else(|| {
            Error::invalid("key_id_format knows {{token_display_name}}, {{role_name}} and {{public_key_hash}} alone")
        })?;
        filled.push_str(literal);
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    check_key_id_text(&filled)?;
    Ok(filled)
}

/// Refuses a key id that would not be one line of a server's log.
pub(super) fn check_key_id_text(key_id: &str) -> Result<(), Error> {
    match key_id.len() <= MAX_KEY_ID_BYTES && !key_id.contains(char::is_control) {
        true => Ok(()),
        false => {
            Err(Error::invalid(format!("a key id has at most {MAX_KEY_ID_BYTES} bytes and no control characters")))
        }
    }
}
