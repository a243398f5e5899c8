//! Spellings: upper and lower case, for names in which they are one.
//!
//! Two questions, which must not be mixed up. [`lower`] is the one spelling under which such a name is stored. [`fold`] is
//! by which a policy's denies match: it unites at least what [`lower`] unites, so nobody gets around a deny by other letters,
//! and more, such as `ß` and `SS`, because who is told no in one spelling is meant in all. A test holds this for every
//! character.

use std::borrow::Cow;

/// The one spelling of a name in which case does not count.
pub(crate) fn lower(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let lowered = text.to_lowercase();
    if lowered == text { Cow::Borrowed(text) } else { Cow::Owned(lowered) }
}

/// Folds case until nothing changes any more, so that every way to write a name in other letters gives the same text.
/// Upper case first: some letters, such as the long s, differ from their fellows in lower case only. More than once: the
/// lower case of `ẞ` is `ß`, whose upper case is `SS`. Letter by letter, because the rules that look at neighbours would
/// fold a prefix otherwise than the whole.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut folded = fold_once(text);
    loop {
        let next = fold_once(&folded);
        if next == folded {
            return Cow::Owned(folded);
        }
        folded = next;
    }
}

fn fold_once(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Whether a text is most likely its own spelling: ASCII without capitals.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_leaves_no_variant_over() {
        for (one, other) in [
            ("ROLE", "role"),
            ("\u{212a}v", "kv"),
            ("\u{17f}ecret", "SECRET"),
            ("ΑΣ", "ας"),
            ("STRASSE", "straße"),
            ("GROẞ-ADMIN", "groß-admin"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
    }

    #[test]
    fn of_every_character_folding_unites_what_is_stored_as_one() {
        for c in '\0'..=char::MAX {
            for text in [c.to_string(), format!("a{c}"), format!("a{c}a")] {
                let (folded, lowered) = (fold(&text), lower(&text));
                assert_eq!(fold(&folded), folded, "{c:?} has a fold of its own fold");
                assert_eq!(fold(&lowered), folded, "{c:?}: what is stored as one is not denied as one");
                assert_eq!(fold(&text.to_uppercase()), folded, "{c:?} escapes in upper case");
                assert_eq!(lower(&lowered), lowered, "{c:?} is stored under two spellings");
            }
        }
    }
}
