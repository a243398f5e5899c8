//! Capabilities: the words of a policy, as a bit set.

use std::fmt;

use crate::request::Operation;

/// A set of capabilities. `deny` excludes all others; the set keeps to that itself.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(u16);

/// Every word with its set, in the order in which the API sorts them.
const WORDS: [(&str, Capabilities); 11] = [
    ("create", Capabilities::CREATE),
    ("delete", Capabilities::DELETE),
    ("deny", Capabilities::DENY),
    ("list", Capabilities::LIST),
    ("patch", Capabilities::PATCH),
    ("read", Capabilities::READ),
    ("recover", Capabilities::RECOVER),
    ("scan", Capabilities::SCAN),
    ("subscribe", Capabilities::SUBSCRIBE),
    ("sudo", Capabilities::SUDO),
    ("update", Capabilities::UPDATE),
];

impl Capabilities {
    /// Nothing: a block that grants nothing still shadows less specific ones.
    pub(crate) const NONE: Self = Self(0);
    /// Explicitly nothing, and stronger than any other block with the same pattern.
    pub(crate) const DENY: Self = Self(1);
    /// Write where nothing is.
    pub(crate) const CREATE: Self = Self(1 << 1);
    /// Read.
    pub(crate) const READ: Self = Self(1 << 2);
    /// Write over what is there.
    pub(crate) const UPDATE: Self = Self(1 << 3);
    /// Merge into what is there.
    pub(crate) const PATCH: Self = Self(1 << 4);
    /// Delete.
    pub(crate) const DELETE: Self = Self(1 << 5);
    /// List names.
    pub(crate) const LIST: Self = Self(1 << 6);
    /// List names recursively.
    pub(crate) const SCAN: Self = Self(1 << 7);
    /// Use root-protected paths, in addition to the operation's own capability.
    pub(crate) const SUDO: Self = Self(1 << 8);
    /// Subscribe to events. Understood and reported; no operation needs it.
    pub(crate) const SUBSCRIBE: Self = Self(1 << 9);
    /// Recover from snapshots. Understood and reported; no operation needs it.
    pub(crate) const RECOVER: Self = Self(1 << 10);

    /// The set of one word; `None` for a word that is none. Case matters.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, set)| *set)
    }

    /// The set of an old word, the value of `policy = "…"` in a block.
    pub(crate) fn parse_old(word: &str) -> Option<Self> {
        let write = Self::CREATE | Self::READ | Self::UPDATE | Self::DELETE | Self::LIST;
        Some(match word {
            "deny" => Self::DENY,
            "read" => Self::READ | Self::LIST,
            "write" => write,
            "sudo" => write | Self::SUDO,
            _ => return None,
        })
    }

    /// What an operation needs; `None` if it needs nothing.
    pub(crate) fn needed_for(operation: Operation) -> Option<Self> {
        Some(match operation {
            Operation::Create => Self::CREATE,
            Operation::Read | Operation::Header => Self::READ,
            Operation::Update => Self::UPDATE,
            Operation::Patch => Self::PATCH,
            Operation::Delete => Self::DELETE,
            Operation::List => Self::LIST,
            Operation::Scan => Self::SCAN,
            Operation::Help => return None,
        })
    }

    /// Whether all of the other set are here.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it is an explicit deny.
    pub(crate) fn is_deny(self) -> bool {
        self == Self::DENY
    }

    /// Whether it grants anything.
    pub(crate) fn grants(self) -> bool {
        self != Self::NONE && !self.is_deny()
    }

    /// The words as the API reports them: sorted, and `deny` if there is nothing.
    pub(crate) fn words(self) -> Vec<&'static str> {
        if !self.grants() {
            return vec!["deny"];
        }
        WORDS.iter().filter(|(_, set)| self.contains(*set)).map(|(word, _)| *word).collect()
    }
}

impl std::ops::BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        let union = Self(self.0 | other.0);
        if union.contains(Self::DENY) { Self::DENY } else { union }
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join("+"))
    }
}

/// All words, for messages.
pub(in crate::policy) fn known_words() -> String {
    WORDS.map(|(word, _)| word).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_as_the_api_sorts_them() {
        assert!(WORDS.is_sorted_by_key(|(word, _)| *word));
        let all = WORDS.iter().filter(|(word, _)| *word != "deny").fold(Capabilities::NONE, |set, (_, one)| set | *one);
        assert_eq!(all.words().len(), WORDS.len() - 1);
    }

    #[test]
    fn deny_wipes_the_rest_in_any_order() {
        assert!((Capabilities::READ | Capabilities::DENY).is_deny());
        assert!((Capabilities::DENY | Capabilities::SUDO).is_deny());
        assert_eq!((Capabilities::DENY | Capabilities::SUDO).words(), ["deny"]);
    }

    #[test]
    fn old_words_stand_for_sets() {
        let words = |old| Capabilities::parse_old(old).map(Capabilities::words);
        assert_eq!(words("read").unwrap(), ["list", "read"]);
        assert_eq!(words("sudo").unwrap(), ["create", "delete", "list", "read", "sudo", "update"]);
        assert!(words("Read").is_none() && Capabilities::parse("Read").is_none());
    }
}
