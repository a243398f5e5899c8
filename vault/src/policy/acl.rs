//! The access control list of one token: its policies merged, ready for questions.
//!
//! It is built from parsed policies and the values of templates, and answers without parsing or allocating. Whoever
//! keeps one must drop it when a policy, the entity or a group changes, and at [`Acl::valid_until`].
//!
//! Order of a look-up: the exact path; for lists the exact path without its slash; the most specific pattern; for lists
//! the most specific pattern that matches without the slash. The first step that finds something decides. At every step
//! denies are found with case folded and allows as written, and a deny wins against an equal pattern.

mod export;
mod table;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::policy::acl::table::{Case, Table};
use crate::policy::capability::Capabilities;
use crate::policy::filter::KeyFilter;
use crate::policy::grant::Grant;
use crate::policy::parameters::Taken;
use crate::policy::pattern::{self, Pattern, Shape};
use crate::policy::template::{TemplateValues, Unfilled};
use crate::policy::{PathRule, Policy, RulePath};
use crate::request::Operation;
use crate::spelling;
use crate::time::Time;

/// A question: may this run?
#[derive(Clone, Copy)]
pub struct AclRequest<'a> {
    /// Canonical, without a leading slash. A list's ends with a slash.
    pub path: &'a str,
    /// What is to be done.
    pub operation: Operation,
    /// The fields sent, or the query parameters of a request without a body.
    pub data: Option<&'a Map<String, Value>>,
    /// What the path takes, so that a limit on a field's value finds it however it was spelled.
    pub fields: Taken<'a>,
    /// The wrapping that the client asked for; zero is none.
    pub wrap_ttl: Option<Duration>,
    /// Whether `sudo` is needed too: the path says so ([`crate::engine::Access::Sudo`]).
    pub is_sudo_path: bool,
}

/// Why a request is refused. For the audit record and for operators, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No block matches the path.
    NoRule,
    /// An explicit deny.
    Denied,
    /// The block that decides lacks the operation's capability.
    MissingCapability,
    /// The path is root-protected and the block lacks `sudo`.
    SudoRequired,
    /// No wrapping was asked for although it must be, or one out of bounds.
    Wrapping,
    /// A field is missing, denied, or not allowed.
    Parameters,
}

/// The answer.
#[derive(Clone, Copy)]
pub struct Decision<'a> {
    /// Whether the request may run.
    pub allowed: bool,
    /// Why it may not; `None` if it may.
    pub refusal: Option<Refusal>,
    /// Whether the token has the root policy.
    pub is_root: bool,
    /// Whether the token has `sudo` at this path, which some requests need because of their fields.
    pub has_sudo: bool,
    /// The most entries of a page, for lists.
    pub pagination_limit: Option<u64>,
    rule: Option<&'a Rule>,
    operation: Operation,
}

impl<'a> Decision<'a> {
    /// The filter of a list's names, which must be applied to the reply: see [`Acl::shows`].
    pub fn key_filter(&self) -> Option<&'a KeyFilter> {
        self.rule.and_then(|rule| rule.grant.key_filter.as_deref())
    }

    /// Names of the policies whose block allowed it; none if it is refused.
    pub fn granting_policies(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let needed = Capabilities::needed_for(self.operation).unwrap_or(Capabilities::NONE);
        let sources = self.rule.filter(|_| self.allowed).map(|rule| rule.sources.as_slice()).unwrap_or_default();
        let root = (self.is_root).then_some(crate::policy::name::ROOT);
        let granting = sources.iter().filter(move |source| source.capabilities.contains(needed));
        root.into_iter().chain(granting.map(|source| &*source.policy))
    }
}

/// A block that was left out, or a deny that was widened, because its template could not be filled in. Unsafe values are worth a warning in the
/// audit log: somebody may be trying to widen their rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Name of the policy.
    pub policy: Arc<str>,
    /// The path as it was written.
    pub template: String,
    /// Why.
    pub reason: Unfilled,
}

/// All blocks with one pattern, merged.
struct Rule {
    pattern: Arc<Pattern>,
    grant: Arc<Grant>,
    sources: Vec<Source>,
}

/// One block's part in a rule.
struct Source {
    policy: Arc<str>,
    capabilities: Capabilities,
}

/// The merged policies of one token.
pub struct Acl {
    is_root: bool,
    /// Sorted by pattern text, which is unique.
    rules: Vec<Rule>,
    /// Explicit denies, found with case folded.
    denies: Table,
    /// The rest, found as written.
    allows: Table,
    valid_until: Option<Time>,
    dropped: Vec<Dropped>,
}

impl Acl {
    /// Merges policies. The root policy makes a root token only if it is alone; beside others it counts for nothing.
    pub fn new<'p>(policies: impl Iterator<Item = &'p Policy>, values: &TemplateValues, now: Time) -> Self {
        let mut acl = Self {
            is_root: false,
            rules: Vec::new(),
            denies: Table::default(),
            allows: Table::default(),
            valid_until: None,
            dropped: Vec::new(),
        };
        let (mut roots, mut others) = (0, 0);
        let mut blocks = Vec::new();
        for policy in policies {
            if policy.is_root {
                roots += 1
            } else {
                others += 1
            }
            for rule in policy.rules.iter() {
                acl.collect(policy, rule, values, now, &mut blocks);
            }
        }
        acl.is_root = roots > 0 && others == 0;
        acl.rules = merge(blocks);
        acl.denies = Table::new(&acl.rules, Case::Folded, |rule| rule.grant.capabilities.is_deny());
        acl.allows = Table::new(&acl.rules, Case::AsWritten, |rule| !rule.grant.capabilities.is_deny());
        acl
    }

    /// Takes one block if it applies now and to this entity.
    fn collect<'p>(
        &mut self,
        policy: &'p Policy,
        rule: &'p PathRule,
        values: &TemplateValues,
        now: Time,
        blocks: &mut Vec<(Arc<Pattern>, &'p Policy, &'p PathRule)>,
    ) {
        if let Some(expiration) = rule.expiration {
            if expiration <= now {
                return;
            }
            self.valid_until = Some(self.valid_until.map_or(expiration, |until| until.min(expiration)));
        }
        let pattern = match &rule.place {
            RulePath::Fixed(pattern) => Arc::clone(pattern),
            RulePath::Templated(template) => match template.fill(values) {
                Ok(path) => Arc::new(Pattern::new(&path)),
                Err(reason) => {
                    let name = Arc::clone(&policy.name);
                    self.dropped.push(Dropped { policy: name, template: template.text().to_owned(), reason });
                    if reason != Unfilled::Unsafe || !rule.grant.capabilities.is_deny() {
                        return;
                    }
                    Arc::new(Pattern::new(&template.cover()))
                }
            },
        };
        blocks.push((pattern, policy, rule));
    }

    /// Whether a request may run.
    pub fn check(&self, request: &AclRequest<'_>) -> Decision<'_> {
        let listing = request.operation.is_list();
        if self.is_root || request.operation == Operation::Help {
            return self.decide(request, None, None);
        }
        // The caller gives folders their slash. If it ever did not, a deny below the folder would be missed.
        let path = match listing && !request.path.ends_with('/') {
            true => Cow::Owned(format!("{}/", request.path)),
            false => Cow::Borrowed(request.path),
        };
        match self.find(&path, listing) {
            None => self.decide(request, None, Some(Refusal::NoRule)),
            Some(rule) => self.decide(request, Some(rule), rule.grant.permit(request).err()),
        }
    }

    fn decide<'a>(
        &'a self,
        request: &AclRequest<'_>,
        rule: Option<&'a Rule>,
        refusal: Option<Refusal>,
    ) -> Decision<'a> {
        Decision {
            allowed: refusal.is_none(),
            refusal,
            is_root: self.is_root,
            has_sudo: self.is_root || rule.is_some_and(|rule| rule.grant.capabilities.contains(Capabilities::SUDO)),
            pagination_limit: rule.and_then(|rule| rule.grant.pagination_limit),
            rule,
            operation: request.operation,
        }
    }

    /// The capabilities at a path, as `sys/capabilities` reports them: sorted; `root` for root, `deny` for none.
    /// The path is taken as a list's, so that both forms of a folder tell the truth about listing it.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.is_root {
            return vec![crate::policy::name::ROOT];
        }
        let rule = self.find(path.strip_prefix('/').unwrap_or(path), true);
        rule.map_or(Capabilities::NONE, |rule| rule.grant.capabilities).words()
    }

    /// Whether a list shows a name, by the filter from [`Decision::key_filter`]. The listed path ends with a slash.
    pub fn shows(&self, filter: &KeyFilter, listed: &str, key: &str) -> bool {
        let (path, operation) = filter.probe(listed, key);
        let needed = Capabilities::needed_for(operation).unwrap_or(Capabilities::NONE);
        let is_granted = |rule: &Rule| rule.grant.capabilities.contains(needed);
        self.is_root || self.find(&path, operation.is_list()).is_some_and(is_granted)
    }

    /// Whether anything is granted at or below a mount, whose path ends with a slash. Looks at every rule.
    pub fn has_mount_access(&self, mount: &str) -> bool {
        if self.is_root || self.find(mount, true).is_some_and(|rule| rule.grant.capabilities.grants()) {
            return true;
        }
        let cover = self.denies.cover(&self.rules, &spelling::fold(mount));
        self.rules.iter().filter(|rule| rule.grant.capabilities.grants() && !self.is_shadowed(rule)).any(|rule| {
            let text = rule.pattern.text();
            let (_, start) = pattern::split_glob(text);
            match rule.pattern.shape() {
                Shape::Exact => text.starts_with(mount),
                Shape::Prefix => (start.starts_with(mount) || mount.starts_with(start)) && is_over(rule, cover),
                Shape::Segments => pattern::segments_reach(text, mount) && is_over(rule, cover),
            }
        })
    }

    /// Whether the token has the root policy, and so every right.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// When the first block expires, after which this list grants or denies too much.
    pub fn valid_until(&self) -> Option<Time> {
        self.valid_until
    }

    /// Blocks left out, or widened, because of their templates.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// The rule that decides about a path. `listing` allows a folder's path to fall back to the one without the slash.
    fn find(&self, path: &str, listing: bool) -> Option<&Rule> {
        let folded = spelling::fold(path);
        let bare =
            path.strip_suffix('/').filter(|_| listing).map(|path| (path, folded.strip_suffix('/').unwrap_or(&folded)));
        self.exact(path, &folded)
            .or_else(|| bare.and_then(|(path, folded)| self.exact(path, folded)))
            .or_else(|| self.best(path, &folded))
            .or_else(|| bare.and_then(|(path, folded)| self.best(path, folded)))
    }

    fn exact(&self, path: &str, folded: &str) -> Option<&Rule> {
        self.denies.exact(&self.rules, folded).or_else(|| self.allows.exact(&self.rules, path))
    }

    fn best(&self, path: &str, folded: &str) -> Option<&Rule> {
        match (self.denies.best(&self.rules, folded), self.allows.best(&self.rules, path)) {
            (Some(deny), Some(allow)) if is_over(allow, Some(deny)) => Some(allow),
            (deny, allow) => deny.or(allow),
        }
    }

    /// Whether a deny with an equal pattern makes a rule void.
    fn is_shadowed(&self, rule: &Rule) -> bool {
        self.denies.has(&self.rules, &rule.pattern)
    }
}

/// Whether an allow is more specific than a deny.
fn is_over(allow: &Rule, deny: Option<&Rule>) -> bool {
    deny.is_none_or(|deny| allow.pattern.precedence() > deny.pattern.precedence())
}

/// Makes one rule of all blocks with the same pattern. The order of the policies is kept within each.
fn merge(mut blocks: Vec<(Arc<Pattern>, &Policy, &PathRule)>) -> Vec<Rule> {
    blocks.sort_by(|(one, ..), (other, ..)| one.text().cmp(other.text()));
    let mut rules: Vec<Rule> = Vec::with_capacity(blocks.len());
    for (pattern, policy, block) in blocks {
        let source = Source { policy: Arc::clone(&policy.name), capabilities: block.grant.capabilities };
        match rules.last_mut().filter(|rule| rule.pattern.text() == pattern.text()) {
            Some(rule) => {
                Arc::make_mut(&mut rule.grant).merge(&block.grant);
                rule.sources.push(source);
            }
            None => rules.push(Rule { pattern, grant: Arc::clone(&block.grant), sources: vec![source] }),
        }
    }
    rules
}

#[cfg(test)]
mod tests;
