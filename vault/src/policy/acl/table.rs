//! The index over an access control list's rules: exact paths, prefixes, and patterns with `+`.
//!
//! It holds positions in the list of rules, which every call gets. Exact paths and prefixes are sorted, so a look-up is
//! a binary search. Patterns with `+` are tried one after another, the most specific first.

use std::cmp::Reverse;

use crate::policy::acl::Rule;
use crate::policy::pattern::{self, Pattern, Shape};

/// By which text of its pattern a rule is found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Case {
    /// As the policy's author wrote it.
    #[default]
    AsWritten,
    /// With case folded; paths must be folded too.
    Folded,
}

/// An index over some of the rules.
#[derive(Default)]
pub(super) struct Table {
    case: Case,
    /// Sorted by text, which is unique.
    exact: Vec<usize>,
    /// Sorted by text without the `*`, which is unique.
    prefixes: Vec<Prefix>,
    /// The most specific first.
    segments: Vec<usize>,
}

struct Prefix {
    rule: usize,
    /// Position of the longest other prefix that this one begins with.
    parent: Option<usize>,
}

impl Case {
    fn key(self, pattern: &Pattern) -> &str {
        match self {
            Self::AsWritten => pattern.text(),
            Self::Folded => pattern.folded(),
        }
    }

    fn prefix(self, pattern: &Pattern) -> &str {
        pattern::split_glob(self.key(pattern)).1
    }
}

impl Table {
    /// Indexes the rules that are wanted.
    pub(super) fn new(rules: &[Rule], case: Case, wanted: impl Fn(&Rule) -> bool) -> Self {
        let of_shape = |shape| -> Vec<usize> {
            let positions = 0..rules.len();
            positions.filter(|at| rules[*at].pattern.shape() == shape && wanted(&rules[*at])).collect()
        };
        let (mut exact, mut prefixes, mut segments) =
            (of_shape(Shape::Exact), of_shape(Shape::Prefix), of_shape(Shape::Segments));
        // Patterns that differ only by case have one key when folded; which of them stays makes no difference.
        exact.sort_by_key(|at| case.key(&rules[*at].pattern));
        exact.dedup_by_key(|at| case.key(&rules[*at].pattern));
        prefixes.sort_by_key(|at| case.prefix(&rules[*at].pattern));
        prefixes.dedup_by_key(|at| case.prefix(&rules[*at].pattern));
        segments.sort_by_cached_key(|at| Reverse(rules[*at].pattern.precedence()));
        Self { case, exact, prefixes: chain(rules, case, &prefixes), segments }
    }

    /// The rule whose exact path this is.
    pub(super) fn exact<'r>(&self, rules: &'r [Rule], path: &str) -> Option<&'r Rule> {
        let found = self.exact.binary_search_by(|at| self.case.key(&rules[*at].pattern).cmp(path));
        found.ok().map(|position| &rules[self.exact[position]])
    }

    /// The most specific rule, other than by its exact path, that matches.
    pub(super) fn best<'r>(&self, rules: &'r [Rule], path: &str) -> Option<&'r Rule> {
        self.most_specific(rules, path, |_| true)
    }

    /// The most specific rule that matches a folder and everything below it.
    pub(super) fn cover<'r>(&self, rules: &'r [Rule], folder: &str) -> Option<&'r Rule> {
        self.most_specific(rules, folder, |rule| rule.pattern.text().ends_with('*'))
    }

    fn most_specific<'r>(&self, rules: &'r [Rule], path: &str, wanted: impl Fn(&Rule) -> bool) -> Option<&'r Rule> {
        let mut segments = self.segments.iter().map(|at| &rules[*at]).filter(|rule| wanted(rule));
        let wildcard = segments.find(|rule| pattern::segments_match(self.case.key(&rule.pattern), path));
        match (self.longest_prefix(rules, path), wildcard) {
            (Some(prefix), Some(wildcard)) if prefix.pattern.precedence() > wildcard.pattern.precedence() => {
                Some(prefix)
            }
            (prefix, wildcard) => wildcard.or(prefix),
        }
    }

    /// Every prefix of a path sorts at or before it, and whatever sorts between begins with that prefix. So the last
    /// one at or before the path, or one it begins with, is the answer.
    fn longest_prefix<'r>(&self, rules: &'r [Rule], path: &str) -> Option<&'r Rule> {
        let text = |prefix: &Prefix| self.case.prefix(&rules[prefix.rule].pattern);
        let mut candidate = self.prefixes.partition_point(|prefix| text(prefix) <= path).checked_sub(1);
        while let Some(position) = candidate {
            let prefix = &self.prefixes[position];
            if path.starts_with(text(prefix)) {
                return Some(&rules[prefix.rule]);
            }
            candidate = prefix.parent;
        }
        None
    }

    /// Whether a rule with an equal pattern is here, case aside.
    pub(super) fn has(&self, rules: &[Rule], pattern: &Pattern) -> bool {
        let wanted = self.case.key(pattern);
        match pattern.shape() {
            Shape::Exact => self.exact(rules, wanted).is_some(),
            Shape::Prefix => {
                let found = self.longest_prefix(rules, self.case.prefix(pattern));
                found.is_some_and(|rule| self.case.key(&rule.pattern) == wanted)
            }
            Shape::Segments => self.segments.iter().any(|at| self.case.key(&rules[*at].pattern) == wanted),
        }
    }
}

/// Links each of the sorted prefixes to the longest other that it begins with.
fn chain(rules: &[Rule], case: Case, sorted: &[usize]) -> Vec<Prefix> {
    let mut chained: Vec<Prefix> = Vec::with_capacity(sorted.len());
    for rule in sorted {
        let text = case.prefix(&rules[*rule].pattern);
        let mut parent = chained.len().checked_sub(1);
        while let Some(position) = parent {
            if text.starts_with(case.prefix(&rules[chained[position].rule].pattern)) {
                break;
            }
            parent = chained[position].parent;
        }
        chained.push(Prefix { rule: *rule, parent });
    }
    chained
}
