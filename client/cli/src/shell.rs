//! Text that is pasted into a shell.

/// A word as a POSIX shell reads it back: as it is, or in single quotes (POSIX.1-2017, Shell Command Language, 2.2.2).
pub(crate) fn word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-:%".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(word("/a/b-1.pem"), "/a/b-1.pem");
        assert_eq!(word("two words"), "'two words'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("a?b=$c&d"), "'a?b=$c&d'");
        assert_eq!(word(""), "''");
    }
}
