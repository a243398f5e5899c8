//! Texts for people: which characters can be shown.
//!
//! What cannot be seen makes two names look like one, or breaks the screen that shows it. So texts that are kept to be
//! shown (metadata, descriptions) hold what can be printed, and the plain space.

use std::collections::BTreeMap;

use crate::error::Error;

/// Whether a character can be seen, or is the plain space. The blocks are those of Unicode's category of format
/// characters and of private use.
fn is_printable_char(c: char) -> bool {
    if c.is_control() || (c.is_whitespace() && c != ' ') {
        return false;
    }
    !matches!(u32::from(c),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f
        | 0xe000..=0xf8ff | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0x10_ffff)
}

/// Whether all of a text can be printed.
pub(crate) fn is_printable(text: &str) -> bool {
    text.chars().all(is_printable_char)
}

/// Refuses pairs of which a key or a value cannot be printed.
pub(crate) fn check_pairs(field: &str, pairs: &BTreeMap<String, String>) -> Result<(), Error> {
    match pairs.iter().all(|(key, value)| is_printable(key) && is_printable(value)) {
        true => Ok(()),
        false => Err(Error::invalid(format!("a key or value of {field} holds a character that cannot be printed"))),
    }
}

/// Refuses a note of which a line cannot be printed.
pub(crate) fn check_note(field: &str, note: &str) -> Result<(), Error> {
    match note.split('\n').all(is_printable) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{field} holds a character that cannot be printed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_seen_is_printable() {
        for text in ["ok", "two words", "Größe", "名前", "a\u{301}", "1+1=2", "→ 🙂"] {
            assert!(is_printable(text), "{text:?}");
        }
        for text in ["a\tb", "a\nb", "a\0", "\u{7}", "a\u{200b}b", "a\u{a0}b", "\u{2028}", "\u{feff}a", "\u{202e}a"] {
            assert!(!is_printable(text), "{text:?}");
        }
        assert!(check_note("description", "two\nlines").is_ok());
        assert!(check_note("description", "a\rb").is_err());
    }
}
