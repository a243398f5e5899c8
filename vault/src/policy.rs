//! Access policies: what a token may do where.
//!
//! [`parse::parse`] turns a document into a [`Policy`], [`acl::Acl`] merges the policies of one request and answers
//! whether it may run. Storing policies, collecting those of a token, and the endpoints are elsewhere; nothing here
//! keeps state, reads a clock or caches.
//!
//! What surprises: a deny wins only against the same pattern. Between patterns the more specific one decides alone, so
//! a wide deny does not narrow a closer allow. And a deny matches whatever the case of the request's letters, an allow
//! does not.

pub(crate) mod acl;
pub(crate) mod parse;

pub(crate) mod capability;
pub(crate) mod filter;
pub(crate) mod grant;
pub(crate) mod parameters;
pub(crate) mod pattern;
pub(crate) mod template;

pub(crate) mod builtin;
pub(crate) mod name;
pub(crate) mod records;
pub(crate) mod shown;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::policy::grant::Grant;
use crate::policy::pattern::Pattern;
use crate::policy::template::Template;
use crate::time::Time;

/// One parsed policy. Cheap to clone: the rules are shared.
#[derive(Clone, Debug)]
pub struct Policy {
    name: Arc<str>,
    rules: Arc<[PathRule]>,
    /// Only [`builtin::root`] sets it: no document and no name can.
    is_root: bool,
}

/// One `path` block.
#[derive(Clone, Debug)]
pub(in crate::policy) struct PathRule {
    place: RulePath,
    grant: Arc<Grant>,
    /// From then on the block is as if it were not there.
    expiration: Option<Time>,
}

/// Where a block applies.
#[derive(Clone, Debug)]
enum RulePath {
    /// The same for everybody.
    Fixed(Arc<Pattern>),
    /// Filled in for each request's entity.
    Templated(Template),
}

impl Policy {
    fn new(rules: Vec<PathRule>) -> Self {
        Self { name: Arc::from(""), rules: rules.into(), is_root: false }
    }

    /// Whether a rule is another for another entity.
    fn is_templated(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.place, RulePath::Templated(_)))
    }

    /// The same policy under a name, which decisions report.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Arc::from(name);
        self
    }
}
